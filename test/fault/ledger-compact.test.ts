/** A journal whose oldest files were given up: everything is as it was, as long as `ledger/` has what they held. */
import { beforeAll, describe, expect, it } from 'vitest';
import { compactJournal, digestOf, directorySource, exitCodeOf, restoreLog, type LogOptions } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, AT_MS, draft, fill, objectOf, open, ORIGIN, signer, verify } from './ledger-fixture.ts';
import { BRISK } from './ledger-life.ts';

const SIZE = 700;
const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
const PACE = { ...BRISK, baseEveryRunning: 1e9, baseEveryClosing: 1e9, journalFileBytes: 20_000 };
const options = (disk: FaultyDisk): LogOptions => ({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => AT_MS, pace: PACE });
const journalsOf = (disk: FaultyDisk): string[] => [...disk.files.keys()].filter((path) => path.endsWith('.journal')).sort();
const ledgerOf = (disk: FaultyDisk): [string, string][] => [...disk.files].filter(([path]) => path.startsWith('ledger/')).map(([path, bytes]): [string, string] => [path, bytes.toString('base64')]).sort();

let whole: FaultyDisk;
let compacted: FaultyDisk;
beforeAll(async () => {
  whole = new FaultyDisk();
  const log = await open(whole, undefined, { pace: PACE });
  for (let i = 0; i < SIZE; i++) {
    const { durable } = appendOne(log, i);
    if (i % 5 === 0) await durable;
  }
  await log.append([draft(SIZE, { change: null, type: 'erasure', body: { i: SIZE, erased: [digestOf(objectOf(4))] } })]).durable;
  await log.erase([digestOf(objectOf(4))]);
  await log.close();
  compacted = whole.reboot();
  const before = journalsOf(compacted).length;
  const done = await compactJournal(options(compacted));
  expect(done.files).toBe(before - journalsOf(compacted).length);
  expect(done.files).toBeGreaterThan(5);
  expect(done.from).toBeGreaterThan(256);
});

const withoutBases = (disk: FaultyDisk): FaultyDisk => {
  const next = disk.reboot();
  for (const path of [...next.files.keys()]) if (path.startsWith('journal/base')) next.files.delete(path);
  return next;
};

describe('a compacted journal', () => {
  it('keeps what no full bundle holds, and leaves the ledger as it was', () => {
    expect(Number(journalsOf(compacted)[0]!.slice(8, 24))).toBeLessThanOrEqual(512);
    expect(ledgerOf(compacted)).toEqual(ledgerOf(whole));
  });

  it.each([['from a base', (disk: FaultyDisk) => disk.reboot()], ['without one', withoutBases]])('opens %s, with every record and object, and goes on', async (_name, left) => {
    const disk = left(compacted);
    const log = await open(disk, undefined, { pace: PACE });
    const found: unknown[] = [];
    for await (const { record } of log.entries(0)) found.push(record.body['i']);
    expect(found).toEqual(Array.from({ length: SIZE + 1 }, (_, i) => i));
    expect(Buffer.from((await log.object(digestOf(objectOf(6))))!)).toEqual(Buffer.from(objectOf(6)));
    expect(await log.object(digestOf(objectOf(4)))).toBeNull();
    await log.close();
    await fill(disk, SIZE + 300);
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  it('is the source of a ledger that is made again, byte for byte', async () => {
    const to = new FaultyDisk();
    await restoreLog(options(to), (await directorySource(compacted, 'ledger', 'the copy'))!);
    expect(ledgerOf(to)).toEqual(ledgerOf(whole));
  });

  it('is enough to make again what is derived and not older than it', async () => {
    for (const path of ledgerOf(compacted).map(([name]) => name).filter((name) => !/^ledger\/tile\/entries\/00[01]$|^ledger\/objects/.test(name))) {
      const disk = withoutBases(compacted);
      disk.files.delete(path);
      await (await open(disk)).close();
      expect(ledgerOf(disk), path).toEqual(ledgerOf(whole));
    }
  });

  it('makes the end of an object file again, and keeps its beginning', async () => {
    const disk = withoutBases(compacted);
    const bytes = disk.files.get('ledger/objects/0')!;
    disk.files.set('ledger/objects/0', Buffer.from(bytes.subarray(0, bytes.length - 10)));
    await (await open(disk)).close();
    expect(ledgerOf(disk)).toEqual(ledgerOf(whole));
  });

  it.each([
    ['a bundle that it alone had is lost', (disk: FaultyDisk) => void disk.files.delete('ledger/tile/entries/000')],
    ['a record in one is altered', (disk: FaultyDisk) => {
      const bytes = disk.files.get('ledger/tile/entries/000')!;
      bytes.write('"i":9', bytes.indexOf('"i":8,'));
    }],
    ['an object is altered', (disk: FaultyDisk) => {
      const bytes = disk.files.get('ledger/objects/0')!;
      bytes.write('y', bytes.indexOf('xxxx'));
    }],
  ])('refuses where %s, and changes nothing', async (_name, harm) => {
    const disk = withoutBases(compacted);
    harm(disk);
    const before = new Map(disk.files);
    await expect(open(disk)).rejects.toMatchObject({ code: 'corrupt' });
    for (const [path, bytes] of before) expect(disk.files.get(path)).toBe(bytes);
  });

  it('finishes an erasure that a crash cut short, though no journal has the object any more', async () => {
    const disk = compacted.reboot();
    const digest = digestOf(objectOf(6));
    const log = await open(disk, undefined, { pace: PACE });
    await log.append([draft(SIZE + 1, { change: null, type: 'erasure', body: { erased: [digest] } })]).durable;
    await log.sync();
    Object.assign(disk, { failAt: disk.operations + 1, failKind: 'half' });
    await expect(log.erase([digest])).rejects.toThrow();
    await log.close();
    for (const left of [disk.reboot(), withoutBases(disk)]) {
      const again = await open(left);
      expect(await again.object(digest)).toBeNull();
      await again.close();
      for (const bytes of left.files.values()) expect(bytes.includes('salt 6"')).toBe(false);
      expect(exitCodeOf((await verify(left)).verdicts, REQUIRED)).toBe(0);
    }
  });
});
