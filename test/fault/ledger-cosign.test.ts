import { describe, expect, it } from 'vitest';
import { formatCheckpoint, formatSignatureLine, generateSignerKey, parseCosigner, parseNote, sha256, type Log } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, AT_MS, open, verify, verdict } from './ledger-fixture.ts';

const cosignerOf = (name: string): ReturnType<typeof parseCosigner> => parseCosigner(generateSignerKey(`witness.test/${name}`, sha256(Buffer.from(name)), 4).skey);
const [north, south] = [cosignerOf('north'), cosignerOf('south')];
const AT = AT_MS / 1000 - 0.123;

function cosigned(note: string, by = north, seconds = AT): string {
  const { text } = parseNote(note);
  return note + formatSignatureLine(by.keyName, by.cosign(text, seconds));
}
const onDisk = (disk: FaultyDisk): string => disk.files.get('ledger/checkpoint')!.toString();
async function ledger(): Promise<{ disk: FaultyDisk; log: Log }> {
  const disk = new FaultyDisk();
  const log = await open(disk);
  await appendOne(log, 0, { checkpoint: true }).durable;
  return { disk, log };
}

describe('cosignatures', () => {
  it('are put on the checkpoint while it is the head, after the signature of the log, and each key once', async () => {
    const { disk, log } = await ledger();
    const plain = log.checkpoint().text;
    expect(await log.cosign(cosigned(plain))).toBe(true);
    expect([log.checkpoint().text, onDisk(disk)]).toEqual([cosigned(plain), cosigned(plain)]);
    // Given over the plain head, and by one that has signed already: what is there stays.
    expect(await log.cosign(cosigned(cosigned(plain, north, AT + 5), south))).toBe(true);
    expect(onDisk(disk)).toBe(cosigned(cosigned(plain), south));
    expect(parseNote(log.checkpoint().text).signatures.map(({ name }) => name)).toEqual([log.origin, 'witness.test/north', 'witness.test/south']);
    await log.close();
    const reopened = await open(disk.reboot());
    expect(reopened.checkpoint().text).toBe(cosigned(cosigned(plain), south));
    await reopened.close();
  });

  it('of a head that the log has left behind change nothing', async () => {
    const { disk, log } = await ledger();
    const first = log.checkpoint().text;
    await appendOne(log, 1, { checkpoint: true }).durable;
    const second = onDisk(disk);
    expect(await log.cosign(cosigned(first))).toBe(false);
    expect([log.checkpoint().text, onDisk(disk)]).toEqual([second, second]);
    await log.close();
    expect(await log.cosign(cosigned(second))).toBe(false);
  });

  it('over another text are refused, whatever size it names', async () => {
    const { disk, log } = await ledger();
    const plain = onDisk(disk);
    const other = formatCheckpoint({ origin: log.origin, size: 1, root: sha256(Buffer.from('other')) }) + plain.slice(plain.indexOf('\n\n') + 1);
    await expect(log.cosign(cosigned(other))).rejects.toMatchObject({ code: 'malformed' });
    await expect(log.cosign(cosigned(plain.replace('\n1\n', '\n2\n')))).rejects.toMatchObject({ code: 'not-found' });
    await expect(log.cosign('no note')).rejects.toMatchObject({ code: 'malformed' });
    expect(onDisk(disk)).toBe(plain);
    await log.close();
  });

  it.each(['cosigned', 'grown'] as const)('and the next head meet, the %s one first: however slow the cosigned one is, the newest stays on disk', async (first) => {
    const { disk, log } = await ledger();
    const held: (() => void)[] = [];
    const write = disk.writeDerived.bind(disk);
    disk.writeDerived = async (path, bytes) => {
      if (path === 'ledger/checkpoint') await new Promise<void>((resolve) => held.push(resolve));
      await write(path, bytes);
    };
    const turns = async (until: () => boolean): Promise<void> => {
      for (let i = 0; i < 300 && !until(); i++) await Promise.resolve();
    };
    const note = cosigned(log.checkpoint().text);
    const act = { cosigned: () => log.cosign(note), grown: () => appendOne(log, 1, { checkpoint: true }).durable };
    const one = act[first]();
    await turns(() => held.length === 1);
    const other = act[first === 'cosigned' ? 'grown' : 'cosigned']();
    await turns(() => held.length === 2);
    // The next head is let go first, where both may write at once.
    for (const release of first === 'grown' ? held.splice(0) : held.splice(0).reverse()) {
      release();
      await turns(() => false);
    }
    for (const release of held) release();
    await Promise.all([one, other]);
    expect(log.checkpoint().size).toBe(2);
    expect(onDisk(disk)).toBe(log.checkpoint().text);
    disk.writeDerived = write;
    await log.close();
    expect(verdict(await verify(disk), 'INTEGRITY').status).toBe('holds');
  });

  it('that cannot be written leave the checkpoint as it was, and the log goes on', async () => {
    const { disk, log } = await ledger();
    const plain = onDisk(disk);
    disk.failAt = disk.operations + 1;
    await expect(log.cosign(cosigned(plain))).rejects.toThrow('EIO');
    expect([log.checkpoint().text, onDisk(disk), log.failed]).toEqual([plain, plain, null]);
    await appendOne(log, 1, { checkpoint: true }).durable;
    expect(log.checkpoint().size).toBe(2);
    await log.close();
  });
});
