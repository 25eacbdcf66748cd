/**
 * A ledger of 200 records, with everything small done to it: every byte flipped, every record taken out, put in, put in again and swapped;
 * bytes taken out, put in and swapped. All of it with COUNTERSIGN_EXHAUSTIVE=1, as on CI; else what a person has the time for.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeBundle, decodeRecord, encodeBundle, encodeRecord, exitCodeOf, leafHash, MerkleTree, type Verification } from '../../ledger/index.ts';
import { decodeObjectHeader, OBJECT_HEADER_BYTES } from '../../ledger/objects.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { fill, verdict, verify } from './ledger-fixture.ts';

const SIZE = 200;
const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
const BUNDLE = `ledger/tile/entries/000.p/${SIZE}`;
const TILE = `ledger/tile/0/000.p/${SIZE}`;
const OBJECTS = 'ledger/objects/0';
const isWhole = process.env['COUNTERSIGN_EXHAUSTIVE'] === '1';
const EVERY_BYTE = isWhole ? 1 : 211;
const EVERY_RECORD = isWhole ? 1 : 17;
const MINUTES = 60_000;

const disk = new FaultyDisk();
let entries: readonly Uint8Array[] = [];
beforeAll(async () => {
  await fill(disk, SIZE, 7);
  entries = decodeBundle(disk.files.get(BUNDLE)!);
});

async function harmed(files: Readonly<Record<string, Uint8Array>>): Promise<Verification> {
  const next = new FaultyDisk();
  for (const [path, bytes] of disk.files) if (path.startsWith('ledger/')) next.files.set(path, bytes);
  for (const [path, bytes] of Object.entries(files)) next.files.set(path, Buffer.from(bytes));
  return verify(next);
}

/** For each byte of the bundle, the record that it is of. */
function recordOfByte(): number[] {
  return entries.flatMap((entry, i) => Array.from({ length: 2 + entry.byteLength }, () => i));
}

/** For each byte of the object file, the first record that names its object. */
function namingRecordOfByte(): number[] {
  const file = disk.files.get(OBJECTS)!;
  const naming = new Map<string, number>();
  for (const [seq, entry] of entries.entries()) for (const digest of decodeRecord(entry).objects) if (!naming.has(digest)) naming.set(digest, seq);
  const found: number[] = [];
  while (found.length < file.length) {
    const { digest, length } = decodeObjectHeader(file.subarray(found.length, found.length + OBJECT_HEADER_BYTES));
    for (let i = 0; i < OBJECT_HEADER_BYTES + length; i++) found.push(naming.get(digest)!);
  }
  return found;
}

function integrityOf(verification: Verification): { readonly status: string; readonly seq?: number; readonly message: string } {
  expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(1);
  return verdict(verification, 'INTEGRITY');
}

describe('a byte that is flipped', () => {
  async function flipAll(path: string, seqOf: (at: number) => number | null): Promise<number> {
    const whole = disk.files.get(path)!;
    let count = 0;
    for (let at = 0; at < whole.length; at += EVERY_BYTE) {
      const bytes = Buffer.from(whole);
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      const verification = await harmed({ [path]: bytes });
      const seq = seqOf(at);
      if (exitCodeOf(verification.verdicts, REQUIRED) !== 1) expect.fail(`byte ${at} of ${path} was flipped, and nothing failed`);
      if (seq !== null) expect(verdict(verification, 'INTEGRITY'), `byte ${at} of ${path}`).toMatchObject({ status: 'fails', seq });
      count++;
    }
    return count;
  }

  it('in a record fails, and the record is named', async () => {
    const records = recordOfByte();
    expect(records).toHaveLength(disk.files.get(BUNDLE)!.length);
    expect(await flipAll(BUNDLE, (at) => records[at]!)).toBeGreaterThan(isWhole ? 60_000 : 300);
  }, 20 * MINUTES);

  it('in a tile fails, and the record that the hash is of is named', async () => {
    expect(await flipAll(TILE, (at) => Math.floor(at / 32))).toBeGreaterThan(30);
  }, 5 * MINUTES);

  it('in an object fails, and the record that names it is named', async () => {
    const records = namingRecordOfByte();
    expect(await flipAll(OBJECTS, (at) => records[at]!)).toBeGreaterThan(30);
  }, 5 * MINUTES);

  it('in the checkpoint fails', async () => {
    expect(await flipAll('ledger/checkpoint', () => null)).toBeGreaterThan(0);
  }, 5 * MINUTES);
});

describe('bytes', () => {
  it.each(['taken out', 'put in', 'swapped'] as const)('that are %s, in any file, fail', async (how) => {
    for (const [path, whole] of disk.files) {
      if (!path.startsWith('ledger/')) continue;
      for (let at = 0; at < whole.length - 1; at += isWhole ? 31 : 977) {
        const [before, after] = [whole.subarray(0, at), whole.subarray(at)];
        const bytes = { 'taken out': [before, after.subarray(1)], 'put in': [before, Buffer.from([at % 256]), after], swapped: [before, after.subarray(1, 2), after.subarray(0, 1), after.subarray(2)] }[how];
        const changed = Buffer.concat(bytes);
        if (!changed.equals(whole)) integrityOf(await harmed({ [path]: changed }));
      }
    }
  }, 10 * MINUTES);
});

describe.each(['kept', 'fitted'] as const)('a record, tiles %s,', (tiles) => {
  /** The records as they are now, and the tile that their number or their hashes call for. */
  function filesOf(changed: readonly Uint8Array[]): Record<string, Uint8Array> {
    const tree = new MerkleTree();
    for (const entry of changed) tree.append(leafHash(entry));
    const fitted = Buffer.concat([tree.nodes(0, 0, Math.min(SIZE, tree.size)), Buffer.alloc(Math.max(0, SIZE - tree.size) * 32)]);
    return { [BUNDLE]: encodeBundle(changed), ...(tiles === 'fitted' ? { [TILE]: fitted } : {}) };
  }

  it('that is taken out is named', async () => {
    for (let i = 0; i < SIZE; i += EVERY_RECORD) {
      expect(integrityOf(await harmed(filesOf(entries.filter((_, j) => j !== i)))), `without record ${i}`).toMatchObject({ status: 'fails', seq: i });
    }
  }, 5 * MINUTES);

  it('that is put in again is named', async () => {
    for (let i = 1; i < SIZE; i += EVERY_RECORD) {
      const again = (i * 7) % i;
      expect(integrityOf(await harmed(filesOf([...entries.slice(0, i), entries[again]!, ...entries.slice(i, -1)]))), `record ${again} again for record ${i}`).toMatchObject({ status: 'fails', seq: i });
    }
  }, 5 * MINUTES);

  it('that is made up and put in is named', async () => {
    for (let i = 0; i < SIZE; i += EVERY_RECORD) {
      const madeUp = encodeRecord({ ...decodeRecord(entries[i]!), body: { made: 'up' } });
      const { status, seq } = integrityOf(await harmed(filesOf([...entries.slice(0, i), madeUp, ...entries.slice(i)])));
      // Where the tile was made to fit, nothing tells which of two that both follow on the one before is the record.
      expect([status, seq === i || (tiles === 'fitted' && seq === i + 1)], `before record ${i}: ${seq}`).toEqual(['fails', true]);
    }
  }, 5 * MINUTES);

  it('that changes places with another is named', async () => {
    for (let i = 0; i < SIZE; i += EVERY_RECORD) {
      for (const j of new Set([(i + 1) % SIZE, (i * 31 + 7) % SIZE])) {
        if (i === j) continue;
        const swapped = entries.map((entry, k) => (k === i ? entries[j]! : k === j ? entries[i]! : entry));
        expect(integrityOf(await harmed(filesOf(swapped))), `records ${i} and ${j}`).toMatchObject({ status: 'fails', seq: Math.min(i, j) });
      }
    }
  }, 5 * MINUTES);
});
