/** Making a ledger again from a copy of it: every byte, or nothing. */
import { describe, expect, test } from 'vitest';
import {
  digestOf, directorySource, exitCodeOf, LedgerError, REQUIRED_BY_DEFAULT, restoreLog, signCheckpoint, type KnownHead, type LedgerPart, type LedgerSource, type LogOptions, type StoredObject,
} from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, AT_MS, draft, fill, objectOf, open, ORIGIN, signer, signerOf, verify } from './ledger-fixture.ts';

const SIZE = 300;
const options = (disk: FaultyDisk): LogOptions => ({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => AT_MS });
const ledgerOf = (disk: FaultyDisk): [string, string][] => [...disk.files].filter(([path]) => path.startsWith('ledger/')).map(([path, bytes]): [string, string] => [path, bytes.toString('base64')]).sort();

async function original(size = SIZE): Promise<FaultyDisk> {
  const disk = new FaultyDisk();
  await fill(disk, size);
  return disk;
}

const sourceOf = async (disk: FaultyDisk): Promise<LedgerSource> => (await directorySource(disk, 'ledger', 'the copy'))!;

/** The source with its parts made into others. */
async function altered(disk: FaultyDisk, edit: (parts: LedgerPart[]) => LedgerPart[]): Promise<LedgerSource> {
  const source = await sourceOf(disk);
  const parts: LedgerPart[] = [];
  for await (const part of source.parts()) parts.push(part);
  const edited = edit(parts);
  return {
    ...source,
    async *parts() {
      yield* edited;
    },
  };
}

describe('a ledger that is restored', () => {
  test.each([1, 2, 255, 256, 257, SIZE, 700])('is byte for byte what it was, with %i records', async (size) => {
    const disk = await original(size);
    const to = new FaultyDisk();
    expect((await restoreLog(options(to), await sourceOf(disk))).size).toBe(size);
    expect(ledgerOf(to)).toEqual(ledgerOf(disk));
    expect(exitCodeOf((await verify(to)).verdicts, REQUIRED_BY_DEFAULT.filter((name) => name !== 'WORKFLOW'))).toBe(0);
  });

  test('goes on where it ended', async () => {
    const disk = await original();
    const to = new FaultyDisk();
    await restoreLog(options(to), await sourceOf(disk));
    for (const one of [disk, to]) {
      const log = await open(one);
      await appendOne(log, SIZE, { checkpoint: true }).durable;
      await log.close();
    }
    expect(ledgerOf(to)).toEqual(ledgerOf(disk));
  });

  test('has what was erased as it was: its length, and nothing else', async () => {
    const disk = await original();
    const log = await open(disk);
    const digest = digestOf(objectOf(4));
    await log.append([draft(SIZE, { change: null, type: 'erasure', body: { erased: [digest] } })], { checkpoint: true }).durable;
    await log.erase([digest]);
    expect((await log.stored(digest)).payload).toEqual(new Uint8Array(objectOf(4).byteLength));
    await log.close();
    const to = new FaultyDisk();
    await restoreLog(options(to), await sourceOf(disk));
    expect(ledgerOf(to)).toEqual(ledgerOf(disk));
    const again = await open(to);
    expect(await again.object(digest)).toBeNull();
    await again.close();
  });
});

describe('a copy is refused', () => {
  const flip = (bytes: Uint8Array, at: number): Uint8Array => Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ 1 : byte));
  const withEntry = (parts: readonly LedgerPart[], at: number, entries: readonly Uint8Array[]): LedgerPart[] => parts.map((part, i) => (i === at ? { ...part, entries } : part));
  const withObject = (parts: readonly LedgerPart[], make: (object: StoredObject) => StoredObject): LedgerPart[] =>
    parts.map((part, i) => (i === 0 ? { ...part, objects: part.objects.map((object, j) => (j === 3 ? make(object) : object)) } : part));
  const cases: readonly (readonly [string, (parts: LedgerPart[]) => LedgerPart[], string, number | undefined])[] = [
    ['a record is altered', (parts) => withEntry(parts, 0, parts[0]!.entries.map((entry, i) => (i === 7 ? Buffer.from(Buffer.from(entry).toString('utf8').replace('"i":7', '"i":8')) : entry))), 'corrupt', 8],
    ['the last record is altered', (parts) => withEntry(parts, 1, parts[1]!.entries.map((entry, i, all) => (i === all.length - 1 ? Buffer.from(Buffer.from(entry).toString('utf8').replace('"i":299', '"i":298')) : entry))), 'corrupt', undefined],
    ['a record is no JSON', (parts) => withEntry(parts, 0, parts[0]!.entries.map((entry, i) => (i === 9 ? Buffer.from('hello') : entry))), 'corrupt', 9],
    ['a record is left out', (parts) => withEntry(parts, 0, parts[0]!.entries.filter((_entry, i) => i !== 5)), 'corrupt', 5],
    ['two records are swapped', (parts) => withEntry(parts, 0, parts[0]!.entries.map((entry, i, all) => (i === 5 ? all[6]! : i === 6 ? all[5]! : entry))), 'corrupt', 5],
    ['its parts are swapped', (parts) => [...parts].reverse(), 'corrupt', 0],
    ['a part comes twice', (parts) => [parts[0]!, ...parts], 'corrupt', 256],
    ['its end is missing', (parts) => parts.slice(0, 1), 'corrupt', 256],
    ['an object is altered', (parts) => withObject(parts, (object) => ({ ...object, payload: flip(object.payload, 2) })), 'corrupt', 0],
    ['an object is another one', (parts) => withObject(parts, () => ({ digest: digestOf(Buffer.from('x')), erased: false, payload: Buffer.from('x') })), 'corrupt', 0],
    ['an object is missing', (parts) => parts.map((part, i) => (i === 0 ? { ...part, objects: part.objects.slice(1) } : part)), 'corrupt', 0],
    ['an object is said to be erased, and no record says so', (parts) => withObject(parts, (object) => ({ ...object, erased: true, payload: new Uint8Array(object.payload.byteLength) })), 'corrupt', 0],
  ];
  test.each(cases)('when %s', async (_what, edit, code, seq) => {
    const disk = await original();
    const to = new FaultyDisk();
    await expect(restoreLog(options(to), await altered(disk, edit))).rejects.toMatchObject({ code, seq });
    expect(to.files.has('ledger/checkpoint')).toBe(false);
  });

  test('when its checkpoint is signed by another key, or says another size', async () => {
    const disk = await original();
    const source = await sourceOf(disk);
    const log = await open(disk);
    const root = log.root(SIZE);
    const short = log.root(SIZE - 1);
    await log.close();
    const thief = signerOf(ORIGIN, 'thief');
    await expect(restoreLog(options(new FaultyDisk()), { ...source, checkpoint: signCheckpoint({ origin: ORIGIN, size: SIZE, root }, thief) })).rejects.toMatchObject({ code: 'untrusted' });
    await expect(restoreLog(options(new FaultyDisk()), { ...source, checkpoint: source.checkpoint.replace(`\n${SIZE}\n`, `\n${SIZE - 1}\n`) })).rejects.toMatchObject({ code: 'untrusted' });
    await expect(restoreLog(options(new FaultyDisk()), { ...source, checkpoint: signCheckpoint({ origin: ORIGIN, size: SIZE - 1, root: short }, signer) })).rejects.toMatchObject({ code: 'corrupt', seq: SIZE - 1 });
  });

  test('when somebody has seen more than it holds, or another history', async () => {
    const disk = await original();
    const log = await open(disk);
    const heads = (size: number, root: Uint8Array): KnownHead[] => [{ by: 'executor:pg-1', size, root }];
    const [at100, at99] = [log.root(100), log.root(99)];
    await log.close();
    await expect(restoreLog(options(new FaultyDisk()), await sourceOf(disk), heads(SIZE + 1, at100))).rejects.toMatchObject({ code: 'rolled-back', seq: SIZE });
    await expect(restoreLog(options(new FaultyDisk()), await sourceOf(disk), heads(100, at99))).rejects.toMatchObject({ code: 'forked' });
    expect((await restoreLog(options(new FaultyDisk()), await sourceOf(disk), heads(100, at100))).size).toBe(SIZE);
  });

  test('when there is a ledger where it is to go', async () => {
    const disk = await original();
    const to = await original(3);
    const before = ledgerOf(to);
    await expect(restoreLog(options(to), await sourceOf(disk))).rejects.toMatchObject({ code: 'unwritable' });
    expect(ledgerOf(to)).toEqual(before);
  });
});

test('a log that must not go on appends nothing more, and can still be read', async () => {
  const disk = await original(5);
  const log = await open(disk);
  log.refuse(new LedgerError('rolled-back', 'the copy has more'));
  expect(() => appendOne(log, 5)).toThrow(expect.objectContaining({ code: 'unwritable' }) as Error);
  expect(log.failed?.message).toContain('the copy has more');
  let read = 0;
  for await (const _entry of log.entries(0)) read += 1;
  expect(read).toBe(5);
  await log.close();
  const again = await open(disk);
  expect(again.size).toBe(5);
  await again.close();
});
