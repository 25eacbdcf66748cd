/** What is old is moved out of a ledger: nothing is lost on the way, everything verifies as before, and what is missing is missed by name. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { archiveLedger, beginJournalFile, compactJournal, digestOf, exitCodeOf, openLog, readDirectory, readMoved, withArchives, type LogOptions } from '../../ledger/index.ts';
import { markArchive, writeMoved } from '../../ledger/archives.ts';
import { encodeObject } from '../../ledger/objects.ts';
import { bundle, compacted, logOptions, options, PACE, records, REQUIRED, TO, verifyOver } from './archive-fixture.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, draft, open, verdict, verify } from './ledger-fixture.ts';

const SIZE = 1_500;
const ledgerOf = (disk: FaultyDisk): Map<string, string> => new Map([...disk.files].filter(([path]) => path.startsWith('ledger/')).map(([path, bytes]): [string, string] => [path.slice(7), bytes.toString('base64')]));
const bundlesIn = (disk: FaultyDisk): string[] => [...disk.files.keys()].map((path) => path.replace(/^ledger\//, '')).filter((path) => path.startsWith('tile/entries/')).sort();
let whole: FaultyDisk;
let left: FaultyDisk;
let archive: FaultyDisk;
beforeAll(async () => {
  whole = await compacted(new FaultyDisk(), SIZE);
  left = whole.reboot();
  archive = new FaultyDisk();
  expect(await archiveLedger(options(left, archive, { stay: [600] }))).toMatchObject({ bundles: 2, objectFiles: 0, below: 1_024, kept: 2 });
});

const withoutBases = (disk: FaultyDisk): FaultyDisk => {
  const next = disk.reboot();
  for (const path of [...next.files.keys()]) if (path.startsWith('journal/base')) next.files.delete(path);
  return next;
};

describe('archiving', () => {
  it('moves whole bundles below the record, but for the first, those that are to stay, and all that the journal has', () => {
    expect(bundlesIn(archive)).toEqual([bundle(1), bundle(3)]);
    expect(bundlesIn(left)).toEqual([bundle(0), bundle(2), bundle(4), `${bundle(5)}.p/220`]);
    const before = ledgerOf(whole);
    for (const [path, bytes] of archive.files) if (path !== 'archive') expect(bytes.toString('base64'), path).toBe(before.get(path));
    for (const [path, bytes] of ledgerOf(left)) expect(bytes, path).toBe(before.get(path));
  });

  it('moves nothing that the journal still has', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    for (let i = 0; i < 600; i++) appendOne(log, i);
    await log.close();
    const to = new FaultyDisk();
    expect(await archiveLedger(options(disk, to))).toMatchObject({ bundles: 0, below: 0 });
    expect([to.files.size, await readMoved({ disk, journal: 'journal' })]).toEqual([0, null]);
  });

  it('is taken up later by what has come since, also with another archive', async () => {
    const disk = left.reboot();
    const second = new FaultyDisk();
    const first = archive.reboot();
    const log = await openLog(logOptions(disk, first));
    for (let i = SIZE; i < 2_000; i++) await appendOne(log, i).durable;
    await log.close();
    await beginJournalFile(logOptions(disk), await compactJournal(logOptions(disk, first)));
    expect(await archiveLedger({ ...options(disk, second, { before: 1e9 }), to: { disk: second, directory: '/archive/2027' } })).toMatchObject({ bundles: 3, below: 1_536, kept: 1 });
    expect(await readMoved({ disk, journal: 'journal' })).toEqual({ below: 1_536, segments: 0, directories: [TO, '/archive/2027'] });
    const both = await openLog({ ...logOptions(disk), readAll: true, archive: (directory) => (directory === TO ? first : second) });
    expect(await records(both)).toEqual(Array.from({ length: 2_000 }, (_, i) => i));
    await both.close();
    expect(exitCodeOf((await verifyOver(disk, second, first)).verdicts, REQUIRED)).toBe(0);
  });

  it('begins a new file of the journal, of which the next time gives up the old one', async () => {
    const disk = new FaultyDisk();
    const own = { ...logOptions(disk), pace: { ...PACE, journalFileBytes: 1e9 } };
    const fillTo = async (size: number): Promise<void> => {
      const log = await openLog(own);
      for (let i = log.size; i < size; i++) appendOne(log, i);
      await log.close();
    };
    await fillTo(600);
    const once = await compactJournal(own);
    expect(once).toMatchObject({ from: 0, files: 0 });
    await beginJournalFile(own, once);
    await fillTo(900);
    expect(await compactJournal(own)).toMatchObject({ from: 600, files: 1 });
    const to = new FaultyDisk();
    expect(await archiveLedger(options(disk, to))).toMatchObject({ bundles: 1, below: 512 });
    const log = await open(disk);
    expect(await records(log, 512)).toHaveLength(388);
    await log.close();
  });

  it.each([
    ['a bundle is altered', (disk: FaultyDisk) => void disk.files.get(`ledger/${bundle(1)}`)!.write('"i":9', disk.files.get(`ledger/${bundle(1)}`)!.indexOf('"i":3')), () => undefined],
    ['the archive has another bundle of that name', () => undefined, (to: FaultyDisk) => void to.files.set(bundle(1), Buffer.from('another'))],
  ])('refuses where %s, and moves it nowhere', async (_name, harm, fill) => {
    const disk = whole.reboot();
    const to = new FaultyDisk();
    harm(disk);
    fill(to);
    const before = [disk.files.get(`ledger/${bundle(1)}`), to.files.get(bundle(1))];
    await expect(archiveLedger(options(disk, to))).rejects.toMatchObject({ code: 'corrupt' });
    expect([disk.files.get(`ledger/${bundle(1)}`), to.files.get(bundle(1))]).toEqual(before);
  });

  it('takes nothing out of the ledger that the archive does not give back as it was', async () => {
    const disk = whole.reboot();
    const to = new (class extends FaultyDisk {
      override async read(path: string): Promise<Uint8Array | null> {
        return (await super.read(path))?.subarray(1) ?? null;
      }
    })();
    await expect(archiveLedger(options(disk, to))).rejects.toMatchObject({ code: 'unwritable' });
    expect(bundlesIn(disk)).toEqual(bundlesIn(whole));
  });
});

describe('a ledger of which a part is in an archive', () => {
  it('opens without it from a base, goes on, and reads what is not in it', async () => {
    const log = await openLog(logOptions(left.reboot()));
    expect(await records(log, 1_024)).toHaveLength(SIZE - 1_024);
    await appendOne(log, SIZE).durable;
    expect(log.root(1_000)).toHaveLength(32);
    await expect(records(log)).rejects.toMatchObject({ code: 'archived', message: expect.stringContaining(`ledger/${bundle(1)} was moved to ${TO}`) as string });
    await log.close();
  });

  it.each([['it is read whole', left0, true], ['there is no base', () => withoutBases(left), false]])('does not open without it where %s: it says what is where, and changes nothing', async (_name, disk, readAll) => {
    const found = disk();
    const before = new Map(found.files);
    await expect(openLog({ ...logOptions(found), readAll })).rejects.toMatchObject({ code: 'archived', message: expect.stringContaining(TO) as string });
    expect([...found.files].filter(([path, bytes]) => before.get(path) !== bytes).map(([path]) => path)).toEqual([]);
    expect(found.files.size).toBe(before.size);
  });

  it('is as it was where the archive can be reached', async () => {
    const log = await openLog({ ...logOptions(withoutBases(left), archive.reboot()), readAll: true });
    expect(await records(log)).toEqual(Array.from({ length: SIZE }, (_, i) => i));
    await log.close();
    const found = await readDirectory(withArchives(left, 'ledger', [archive]), 'ledger');
    const seqs: number[] = [];
    for await (const { seq } of found.entries(0, SIZE)) seqs.push(seq);
    expect(seqs).toHaveLength(SIZE);
  });

  it('verifies with the archive as if nothing had been moved, and without it fails, naming what is missing', async () => {
    const before = await verify(whole);
    expect(exitCodeOf(before.verdicts, REQUIRED)).toBe(0);
    expect((await verifyOver(left, archive)).verdicts).toEqual(before.verdicts);
    const without = await verify(left);
    expect(verdict(without, 'INTEGRITY')).toMatchObject({ status: 'fails', seq: 256 });
    expect(verdict(without, 'INTEGRITY').message).toMatch(/tile\/entries\/001, with records 256 to 511, is missing; if they were moved to an archive/);
    expect(exitCodeOf(without.verdicts, REQUIRED)).toBe(1);
    const more = left.reboot();
    more.files.delete(`ledger/${bundle(2)}`);
    expect(verdict(await verify(more), 'INTEGRITY').message).toMatch(/records 256 to 511, is missing, and so are those up to record 1023; if/);
  });

  it.each([
    ['a byte of it is another', (to: FaultyDisk) => void to.files.get(bundle(3))!.write('"i":9', to.files.get(bundle(3))!.indexOf('"i":800')), 800],
    ['one bundle of it is gone', (to: FaultyDisk) => void to.files.delete(bundle(3)), 768],
    ['its bundles are swapped', (to: FaultyDisk) => void to.files.set(bundle(3), to.files.get(bundle(1))!), 768],
  ])('fails where %s', async (_name, harm, seq) => {
    const to = archive.reboot();
    harm(to);
    expect(verdict(await verifyOver(left, to), 'INTEGRITY')).toMatchObject({ status: 'fails', seq });
  });

  it('says nothing of what else is in the archive, and reads what is in the ledger first', async () => {
    const to = archive.reboot();
    for (const [path, text] of [['checkpoint', 'x'], ['README', 'x'], ['tile/0/000', 'x'], [bundle(2), 'x'], [bundle(900), 'x'], ['objects/0', 'x'], ['objects/7', 'x'], ['.tmp/1', 'x']] as const) to.files.set(path, Buffer.from(text));
    expect(exitCodeOf((await verifyOver(left, to)).verdicts, REQUIRED)).toBe(0);
  });
});

function left0(): FaultyDisk {
  return left.reboot();
}
describe('object files', () => {
  const BIG = 16_777_000;
  const big = (i: number): Uint8Array => Buffer.alloc(BIG, `${i}`);
  let disk: FaultyDisk;
  let to: FaultyDisk;
  /** As it was after the move. */
  let original: FaultyDisk;

  /** Three object files: the first named by records of bundle 1 alone, the second by one later again. */
  beforeAll(async () => {
    disk = new FaultyDisk();
    to = new FaultyDisk();
    const own = { ...logOptions(disk), pace: { ...PACE, journalFileBytes: 1e7 } };
    const log = await openLog(own);
    for (let i = 0; i < 300; i++) log.append([draft(i)]);
    const append = async (i: number, name: number): Promise<void> => log.append([draft(i, { objects: [digestOf(big(name))] })], { objects: [big(name)] }).durable;
    for (let i = 0; i < 10; i++) await append(300 + i, i);
    for (let i = 310; i < 800; i++) log.append([draft(i)]);
    await log.append([draft(800, { objects: [digestOf(big(4))] })]).durable;
    await log.close();
    await beginJournalFile(own, await compactJournal(own));
    const more = await openLog(own);
    for (let i = 801; i < 1_100; i++) more.append([draft(i)]);
    await more.close();
    await compactJournal(own);
    expect([...disk.files.keys()].filter((path) => path.startsWith('ledger/objects'))).toHaveLength(3);
    expect(await archiveLedger(options(disk, to, { before: 768 }))).toMatchObject({ bundles: 2, objectFiles: 1 });
    original = to.reboot();
  }, 60_000);

  it('go with the bundles that alone name them; one that a later record names stays, and so does the last', () => {
    expect([...to.files.keys()].filter((path) => path.startsWith('objects'))).toEqual(['objects/0']);
    expect([...disk.files.keys()].filter((path) => path.startsWith('ledger/objects')).sort()).toEqual(['ledger/objects/1', 'ledger/objects/2']);
  });

  it('verify with the archive, and are missed without it', async () => {
    expect(exitCodeOf((await verifyOver(disk, to)).verdicts, REQUIRED)).toBe(0);
    const without = new FaultyDisk();
    without.files.set(bundle(1), to.files.get(bundle(1))!);
    without.files.set(bundle(2), to.files.get(bundle(2))!);
    expect(verdict(await verifyOver(disk, without), 'INTEGRITY')).toMatchObject({ status: 'fails', message: expect.stringContaining('objects/0 is missing') as string });
  });

  it('are read and erased in the archive, and where that cannot be reached nothing is erased', async () => {
    const digest = digestOf(big(1));
    const alone = disk.reboot();
    const cut = await openLog(logOptions(alone));
    await expect(cut.object(digest)).rejects.toMatchObject({ code: 'archived' });
    await cut.append([draft(1_100, { change: null, type: 'erasure', body: { erased: [digest] } })]).durable;
    await expect(cut.erase([digest])).rejects.toMatchObject({ code: 'archived' });
    await cut.close();
    // What is on record is finished once it can be.
    const log = await openLog(logOptions(alone, to));
    expect(await log.object(digest)).toBeNull();
    expect(await log.object(digestOf(big(2)))).toHaveLength(BIG);
    await log.close();
    expect(to.files.get('objects/0')!.includes('1111111111')).toBe(false);
    expect(exitCodeOf((await verifyOver(alone, to)).verdicts, REQUIRED)).toBe(0);
  });

  describe('of which a copy is in the ledger as well', () => {
    const digest = digestOf(big(1));
    const text = '1111111111';
    const erasing = draft(1_100, { change: null, type: 'erasure', body: { erased: [digest] } });
    const inLedger = (one: FaultyDisk): Buffer => one.files.get('ledger/objects/0')!;
    /** As a move that was cut short leaves it, or whoever puts a file back. */
    const twofold = (): FaultyDisk => {
      const both = disk.reboot();
      for (const path of ['objects/0', bundle(1), bundle(2)]) both.files.set(`ledger/${path}`, Buffer.from(archived.files.get(path)!));
      return both;
    };
    let archived: FaultyDisk;
    beforeEach(() => {
      archived = original.reboot();
    });

    it.each<[string, (reached: FaultyDisk) => LogOptions['archive']]>([
      ['is not mounted', () => () => new FaultyDisk()],
      ['cannot be opened', () => undefined],
      ['is another ledger’s, with a file of that name', () => () => another()],
      ['is another ledger’s, without one', () => () => another(false)],
    ])('are erased nowhere while the archive %s, and everywhere at the first start that reaches it', async (_what, archive) => {
      const both = twofold();
      const at = archive(archived);
      const own = { ...logOptions(both), ...(at === undefined ? {} : { archive: at }) };
      const log = await openLog(own);
      await log.append([erasing]).durable;
      await expect(log.erase([digest])).rejects.toMatchObject({ code: 'archived', message: expect.stringContaining(TO) as string });
      expect(await log.object(digest)).toHaveLength(BIG);
      await log.close();

      // What has to end does not wait for an archive; the journal, which alone remembers, is not given up.
      const again = await openLog(own);
      await again.append([draft(1_101)]).durable;
      await again.close();
      await expect(compactJournal(own)).rejects.toMatchObject({ code: 'archived' });
      expect([inLedger(both).includes(text), archived.files.get('objects/0')!.includes(text)]).toEqual([true, true]);

      const reached = await openLog(logOptions(both, archived));
      expect(await reached.object(digest)).toBeNull();
      await reached.close();
      expect([inLedger(both).includes(text), archived.files.get('objects/0')!.includes(text)]).toEqual([false, false]);
      expect(exitCodeOf((await verifyOver(both, archived)).verdicts, REQUIRED)).toBe(0);
    });

    it('are erased in every archive that there is; one that is there and has no such file is no hindrance, and one that is away is', async () => {
      const both = twofold();
      const note = (await readMoved({ disk: both, journal: 'journal' }))!;
      await writeMoved({ disk: both, journal: 'journal' }, { ...note, directories: [TO, '/archive/2027'] });
      const second = new FaultyDisk();
      const log = await openLog({ ...logOptions(both), archive: (directory) => (directory === TO ? archived : second) });
      await log.append([erasing]).durable;
      await expect(log.erase([digest])).rejects.toMatchObject({ code: 'archived', message: expect.stringContaining('in /archive/2027 as well') as string });
      expect(archived.files.get('objects/0')!.includes(text)).toBe(true);
      await markArchive({ disk: second, directory: '/archive/2027' }, log.origin);
      await log.erase([digest]);
      await log.close();
      expect([inLedger(both).includes(text), archived.files.get('objects/0')!.includes(text)]).toEqual([false, false]);
    });

    it('are erased in the ledger last: where the archive fails, a start that reads everything finishes it', async () => {
      const both = twofold();
      const log = await openLog(logOptions(both, archived));
      await log.append([erasing]).durable;
      archived.failAt = archived.operations + 1;
      await expect(log.erase([digest])).rejects.toThrow('injected');
      await log.close();
      const next = archived.reboot();
      const whole = await openLog({ ...logOptions(withoutBases(both), next), readAll: true });
      expect(await whole.object(digest)).toBeNull();
      await whole.close();
      expect(next.files.get('objects/0')!.includes(text)).toBe(false);
    });

    it('do not keep what no archive may have from being erased', async () => {
      const both = twofold();
      const log = await openLog({ ...logOptions(both), archive: () => new FaultyDisk() });
      const [other, third] = [digestOf(big(5)), both.files.get('ledger/objects/1')!];
      expect(third.includes('5555555555')).toBe(true);
      await log.append([draft(1_100, { change: null, type: 'erasure', body: { erased: [digest, other] } })]).durable;
      await expect(log.erase([digest, other])).rejects.toMatchObject({ code: 'archived' });
      expect([await log.object(other), await log.object(digest)].map((one) => one?.byteLength)).toEqual([undefined, BIG]);
      await log.close();
    });
  });

  it('an archive says whose it is, and takes nothing of another', async () => {
    expect(original.files.get('archive')!.toString()).toBe('log.test/ledger\n');
    const theirs = another(false);
    await expect(archiveLedger(options(whole.reboot(), theirs))).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('an archive of something else than log.test/ledger') as string });
    expect([...theirs.files.keys()]).toEqual(['archive', bundle(1)]);
  });

  function another(withFile = true): FaultyDisk {
    const theirs = new FaultyDisk();
    theirs.files.set('archive', Buffer.from('log.test/another\n'));
    theirs.files.set(bundle(1), Buffer.from('x'));
    if (withFile) theirs.files.set('objects/0', Buffer.concat([7, 8].map((i) => encodeObject({ digest: digestOf(big(i)), erased: false, payload: big(i) }))));
    return theirs;
  }
});
