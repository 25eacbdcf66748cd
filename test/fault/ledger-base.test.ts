/** Bases make opening short. They must never make it wrong. */
import { beforeAll, describe, expect, it } from 'vitest';
import { digestOf, exitCodeOf, type Log } from '../../ledger/index.ts';
import { OBJECT_SEGMENT_BYTES } from '../../ledger/objects.ts';
import { DEFAULT_PACE } from '../../ledger/writer.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, draft, fill, objectOf, open, verify } from './ledger-fixture.ts';

const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
const SIZE = 5_000;

/** A ledger with a base that is not at its end. */
let kept: FaultyDisk;
beforeAll(async () => {
  kept = new FaultyDisk();
  await fill(kept, SIZE - 300, 200);
  await fill(kept, SIZE, 70);
});

function baseOf(disk: FaultyDisk): string[] {
  return [...disk.files.keys()].filter((path) => path.startsWith('journal/base'));
}

/** The bundles that are read from now on. */
function bundlesRead(disk: FaultyDisk): readonly string[] {
  const read = disk.read.bind(disk);
  const bundles: string[] = [];
  disk.read = (path) => {
    if (path.includes('/entries/')) bundles.push(path);
    return read(path);
  };
  return bundles;
}

/** What a log says that depends on everything a base keeps. */
async function portrait(log: Log): Promise<unknown> {
  const appended = await Promise.all([0, 1, 2].map(async (i) => {
    const { records, durable } = log.append([draft(i, { change: `chg_${i}`, body: { again: i } })]);
    await durable;
    return records[0]!.record;
  }));
  const entries: number[] = [];
  for await (const { seq } of log.entries(SIZE - 600)) entries.push(seq);
  const proof = [0, 255, 256, 4_095, SIZE - 301, SIZE - 1].map((i) => log.prove(i, SIZE).hashes.map((hash) => Buffer.from(hash).toString('hex')));
  const consistency = [1, 257, 4_096, SIZE - 300].map((i) => log.proveConsistency(i, SIZE).map((hash) => Buffer.from(hash).toString('hex')));
  const object = Buffer.from((await log.object(digestOf(objectOf(4))))!).toString();
  return { size: log.size, appended, entries, proof, consistency, object };
}

describe('a log opened from a base', () => {
  it('is the log that the whole journal gives', async () => {
    expect(baseOf(kept)).toHaveLength(1);
    const from = await open(kept.reboot());
    const without = kept.reboot();
    for (const path of baseOf(without)) without.files.delete(path);
    const whole = await open(without);
    expect(await portrait(from)).toEqual(await portrait(whole));
    await Promise.all([from.close(), whole.close()]);
  });

  it('reads none of the bundles and records before it', async () => {
    const disk = kept.reboot();
    const bundles = bundlesRead(disk);
    const log = await open(disk);
    expect(bundles.length).toBeLessThanOrEqual(3);
    await log.close();
  });

  it('goes on to a ledger that verifies, and to the next base', async () => {
    const disk = kept.reboot();
    await fill(disk, SIZE + 4_500, 200);
    expect(baseOf(disk)).toHaveLength(2);
    const log = await open(disk.reboot());
    expect(log.size).toBe(SIZE + 4_500);
    await log.close();
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  it('finds the records after it, also those that nobody signed', async () => {
    const disk = kept.reboot();
    const log = await open(disk);
    await appendOne(log, SIZE + 1).durable;
    const next = await open(disk.reboot());
    expect(next.size).toBe(SIZE + 1);
    await next.close();
  });

  it('reads on from it also after a crash, and puts right what was not published of the records after it', async () => {
    const disk = kept.reboot();
    const running = await open(disk);
    for (let i = SIZE; i < SIZE + 300; i++) await appendOne(running, i).durable;
    const crashed = disk.reboot();
    const bundles = bundlesRead(crashed);
    await (await open(crashed)).close();
    expect(bundles.length).toBeLessThanOrEqual(5);
    const whole = disk.reboot();
    await (await open(whole, undefined, { readAll: true })).close();
    const evidence = ({ files }: FaultyDisk): Map<string, string> => new Map([...files].filter(([path]) => path.startsWith('ledger/')).map(([path, bytes]) => [path, bytes.toString('hex')]));
    expect(evidence(crashed)).toEqual(evidence(whole));
    expect(exitCodeOf((await verify(crashed)).verdicts, REQUIRED)).toBe(0);
  });
});

describe('a base of a log whose objects fill more than one file', () => {
  it('is what the log is opened from, also where objects have come after it', async () => {
    const disk = new FaultyDisk();
    const first = await open(disk, undefined, { pace: { ...DEFAULT_PACE, baseEveryClosing: 1 } });
    const large = [0, 1, 2, 3, 4].map((i) => Buffer.alloc(OBJECT_SEGMENT_BYTES / 4 - 1_024, i));
    for (const [i, object] of large.entries()) await first.append([draft(i, { objects: [digestOf(object)] })], { objects: [object] }).durable;
    await first.close();
    const next = await open(disk);
    await appendOne(next, 6).durable;
    await next.close();
    expect([...disk.files.keys()].filter((path) => path.startsWith('ledger/objects/'))).toEqual(['ledger/objects/0', 'ledger/objects/1']);

    const read = disk.read.bind(disk);
    const paths: string[] = [];
    disk.read = (path) => {
      paths.push(path);
      return read(path);
    };
    const log = await open(disk);
    expect(log.size).toBe(large.length + 1);
    expect(paths).not.toContain('ledger/objects/0');
    // Read again, it would be to put something right.
    expect(paths.filter((path) => path === 'journal/base.0')).toHaveLength(1);
    await log.close();
  });
});

describe('a log opened with every byte to be read', () => {
  it('makes again what a base would have passed over', async () => {
    const disk = kept.reboot();
    disk.files.delete('ledger/tile/entries/003');
    await (await open(disk)).close();
    expect(disk.files.has('ledger/tile/entries/003')).toBe(false);
    await (await open(disk, undefined, { readAll: true })).close();
    expect(disk.files.get('ledger/tile/entries/003')?.equals(kept.files.get('ledger/tile/entries/003')!)).toBe(true);
  });
});

describe('a base that is not right', () => {
  it.each([
    ['a byte flipped near its start', 40],
    ['a byte flipped among the heads', 20_000],
    ['a byte flipped at its end', -1],
  ])('for %s is ignored', async (_name, at) => {
    const disk = kept.reboot();
    const [path] = baseOf(disk);
    const bytes = disk.files.get(path!)!;
    const i = at < 0 ? bytes.length + at : at;
    bytes[i] = bytes[i]! ^ 1;
    const log = await open(disk);
    expect(log.size).toBe(SIZE);
    await log.close();
  });

  it('because it is cut short anywhere is ignored', async () => {
    for (const part of [0, 3, 100, 0.5, 0.999]) {
      const disk = kept.reboot();
      const [path] = baseOf(disk);
      const bytes = disk.files.get(path!)!;
      disk.files.set(path!, Buffer.from(bytes.subarray(0, part < 1 ? Math.floor(bytes.length * part) : part)));
      const log = await open(disk);
      expect(log.size).toBe(SIZE);
      await log.close();
    }
  });

  it.each([0, 1])('leaves nothing in an object file that no record names, %i records after it', async (records) => {
    const disk = kept.reboot();
    await (await open(disk, undefined, { pace: { ...DEFAULT_PACE, baseEveryClosing: 1 } })).close();
    if (records > 0) await fill(disk, SIZE + records);
    disk.files.set('ledger/objects/0', Buffer.concat([disk.files.get('ledger/objects/0')!, Buffer.from('left by a crash')]));
    await (await open(disk)).close();
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  /** Half of another group stands at the end of the journal. */
  function torn(): FaultyDisk {
    const disk = kept.reboot();
    const journal = [...disk.files.keys()].filter((path) => path.endsWith('.journal')).sort().at(-1)!;
    const bytes = disk.files.get(journal)!;
    disk.files.set(journal, Buffer.concat([bytes, bytes.subarray(0, 100)]));
    return disk;
  }

  it('for an object file that ends before it is found so before a torn end is cut, and the cut is told', async () => {
    const disk = torn();
    disk.files.set('ledger/objects/0', Buffer.from(disk.files.get('ledger/objects/0')!.subarray(0, 50)));
    const log = await open(disk);
    expect([log.size, log.recovered]).toEqual([SIZE, { bytesCut: 100, size: SIZE }]);
    expect(disk.trace.filter((step) => step.startsWith('open journal/') && step.endsWith('.journal'))).toHaveLength(1);
    await log.close();
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  it('because it is gone once the torn end is cut takes nothing from what is told of the cut, and leaves no file open', async () => {
    const disk = torn();
    disk.files.delete('ledger/tile/entries/019.p/136');
    const [read, openAppend] = [disk.read.bind(disk), disk.openAppend.bind(disk)];
    let opened = 0;
    disk.read = (path) => (opened > 0 && path.startsWith('journal/base') ? Promise.resolve(null) : read(path));
    let closed = 0;
    disk.openAppend = async (path) => {
      const file = await openAppend(path);
      if (!path.endsWith('.journal')) return file;
      opened++;
      const close = async (): Promise<void> => {
        closed++;
      };
      return Object.assign(file, { close });
    };
    const log = await open(disk);
    expect([opened, closed]).toEqual([2, 1]);
    expect([log.size, log.recovered]).toEqual([SIZE, { bytesCut: 100, size: SIZE }]);
    await log.close();
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  it('is no way round a journal that was cut', async () => {
    const disk = kept.reboot();
    const [journal] = [...disk.files.keys()].filter((path) => path.endsWith('.journal'));
    const bytes = disk.files.get(journal!)!;
    disk.files.set(journal!, Buffer.from(bytes.subarray(0, bytes.length >> 1)));
    await expect(open(disk)).rejects.toMatchObject({ code: 'rolled-back' });
  });

  it.each(['ledger/tile/0/000', 'ledger/tile/1/000.p/19', 'ledger/tile/entries/019.p/136', 'ledger/objects/0'])('for a file beside it that was lost (%s), everything is made again', async (path) => {
    const disk = kept.reboot();
    expect(disk.files.has(path)).toBe(true);
    disk.files.delete(path);
    await (await open(disk)).close();
    expect(disk.files.get(path)?.equals(kept.files.get(path)!)).toBe(true);
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });
});
