import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, exitCodeOf } from '../../ledger/index.ts';
import { encodeDocument, type Manifest } from '../../src/evidence/pack-format.ts';
import { entryBytes, formatHeader } from '../../src/evidence/tar.ts';
import { cleanStory } from '../support/story.ts';
import { ledgerOf, linesOf, tarOf, unpack, verdictOf, verifyStoryPack, type StoryLedger } from '../support/packs.ts';

let ledger: StoryLedger;
let pack: Buffer;
let manifest: Manifest;
let files: Map<string, Buffer>;

beforeAll(async () => {
  const { beats, denied } = cleanStory();
  ledger = await ledgerOf([...linesOf(beats), 'heads']);
  pack = await ledger.pack({ change: denied.changeId });
  ({ manifest, files } = unpack(pack));
});
afterAll(() => ledger.remove());

/** Sets the checksum right, as whoever forges a header would. */
function forged(name: string, bytes: Buffer, edit: (header: Buffer) => void): Buffer {
  const header = Buffer.from(formatHeader(name, bytes.length));
  edit(header);
  header.write('        ', 148, 'latin1');
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, bytes, Buffer.alloc(entryBytes(bytes.length) - 512 - bytes.length)]);
}
const listed = (all: ReadonlyMap<string, Buffer>, more: Partial<Record<keyof Manifest, unknown>> = {}): Buffer =>
  Buffer.from(encodeDocument({ ...manifest, files: [...all].map(([name, bytes]) => ({ name, size: bytes.length, sha256: digestOf(bytes).slice(7) })), ...more } as Manifest));
/** The pack with one more entry, listed or not, at the end of the files. */
function withEntry(name: string, entry: Buffer, list = true): Buffer {
  const all = list ? new Map([...files, [name, Buffer.from('x')]]) : files;
  const whole = tarOf([['pack.json', listed(all)], ...files]);
  return Buffer.concat([whole.subarray(0, -1024), entry, Buffer.alloc(1024)]);
}
const typed = (type: string, name = 'objects/x') => (): Buffer => withEntry(name, forged(name, Buffer.from('x'), (header) => header.write(type, 156, 'latin1')));
const named = (name: string) => (): Buffer => withEntry(name, forged('objects/x', Buffer.from('x'), (header) => {
  header.fill(0, 0, 100);
  header.write(name.slice(0, 100), 0, 'latin1');
}));
/** The header of `checkpoint`, which comes second, edited and with its checksum set right. */
const editedHeader = (edit: (header: Buffer) => void) => (): Buffer => {
  const at = pack.indexOf('checkpoint\0');
  const entry = forged('checkpoint', files.get('checkpoint')!, edit);
  return Buffer.concat([pack.subarray(0, at), entry, pack.subarray(at + entry.length)]);
};
const relisted = (edit: (entries: { name: string; size: number; sha256: string }[]) => unknown) => (): Buffer => {
  const entries = [...files].map(([name, bytes]) => ({ name, size: bytes.length, sha256: digestOf(bytes).slice(7) }));
  const result = edit(entries);
  return tarOf([['pack.json', listed(files, { files: Array.isArray(result) ? result : entries })], ...files]);
};
const replaced = (name: string, bytes: () => Buffer) => (): Buffer => {
  const all = new Map([...files].map(([one, content]) => [one, one.startsWith(name) ? bytes() : content]));
  return tarOf([['pack.json', listed(all)], ...all]);
};
const manifestOf = (text: () => string) => (): Buffer => tarOf([['pack.json', Buffer.from(text())], ...files]);

const HOSTILE: readonly (readonly [string, () => Buffer])[] = [
  // Names.
  ['a name that goes up', named('../checkpoint')], ['a name that goes up further in', named('objects/../../x')], ['an absolute name', named('/etc/passwd')],
  ['a name with a backslash', named('objects\\x')], ['a name with a drive', named('C:x')], ['a name with a dot', named('./checkpoint')], ['an empty folder in a name', named('records//0.json')],
  ['a second spelling of a record', named('records/00.json')], ['a record beyond any number', named('records/99999999999999999999.json')], ['a case twin', named('Checkpoint')],
  ['an object in capitals', named(`objects/${'A'.repeat(64)}`)], ['an object that is too short', named('objects/ab')], ['a change that is none', named('heads/chg_1.json')],
  ['a trust folder', named('trust/trust.policy')], ['a name that is a control character', named('objects/\u0007')], ['a name that is UTF-8', named('objects/\u00e9')],
  // Kinds of entry.
  ['a hard link', typed('1')], ['a symbolic link', typed('2')], ['a character device', typed('3')], ['a block device', typed('4')], ['a directory', typed('5')], ['a FIFO', typed('6')],
  ['a contiguous file', typed('7')], ['a pax header', typed('x')], ['a global pax header', typed('g')], ['a GNU long name', typed('L')], ['a GNU long link', typed('K')],
  ['a GNU sparse file', typed('S')], ['a file of the old format', typed('\0')],
  // Spellings of a header.
  ['a size in base 256', editedHeader((header) => header.write('\u0080\0\0\0\0\0\0\0\0\0\u0001\u0000', 124, 'latin1'))],
  ['a size with leading blanks', editedHeader((header) => header.write(`${files.get('checkpoint')!.length.toString(8).padStart(11, ' ')}\0`, 124, 'latin1'))],
  ['a size that lies', editedHeader((header) => header.write('00000000001\0', 124, 'latin1'))], ['a size that is enormous', editedHeader((header) => header.write('77777777777\0', 124, 'latin1'))],
  ['another mode', editedHeader((header) => header.write('0004755\0', 100, 'latin1'))], ['an owner', editedHeader((header) => header.write('0001750\0', 108, 'latin1'))],
  ['a time', editedHeader((header) => header.write('14000000000\0', 136, 'latin1'))], ['a name of an owner', editedHeader((header) => header.write('root', 265, 'latin1'))],
  ['a prefix', editedHeader((header) => header.write('x', 345, 'latin1'))], ['a link target', editedHeader((header) => header.write('x', 157, 'latin1'))],
  ['the magic of GNU tar', editedHeader((header) => header.write('ustar  \0', 257, 'latin1'))], ['bytes after its end', editedHeader((header) => header.write('x', 510, 'latin1'))],
  ['a wrong checksum', () => Buffer.from(pack.map((byte, i) => (i === pack.indexOf('checkpoint\0') + 150 ? byte ^ 1 : byte)))],
  ['a checksum in another spelling', () => {
    const copy = Buffer.from(pack);
    copy.write(' \0', pack.indexOf('checkpoint\0') + 154, 'latin1');
    return copy;
  }],
  ['padding that is not empty', () => Buffer.from(pack.map((byte, i) => (i === pack.indexOf('checkpoint\0') + 512 + files.get('checkpoint')!.length ? 1 : byte)))],
  // The archive as a whole.
  ['gzip', () => gzipSync(pack)], ['a zip', () => Buffer.concat([Buffer.from('PK\u0003\u0004'), pack])], ['nothing but zeros', () => Buffer.alloc(10_240)], ['a megabyte of noise', () => Buffer.alloc(1_048_576, 0x5a)],
  ['a byte after its end', () => Buffer.concat([pack, Buffer.from('x')])], ['more zeros after its end', () => Buffer.concat([pack, Buffer.alloc(512)])], ['another archive after its end', () => Buffer.concat([pack, pack])],
  ['no end', () => pack.subarray(0, -1024)], ['half an end', () => pack.subarray(0, -512)], ['a cut in the middle', () => pack.subarray(0, pack.length / 2)], ['a cut in its first header', () => pack.subarray(0, 300)],
  ['no manifest', () => tarOf(files)], ['the manifest not first', () => tarOf([...files, ['pack.json', listed(files)]])], ['two manifests', () => tarOf([['pack.json', listed(files)], ['pack.json', listed(files)], ...files])],
  ['a file that is not listed', () => withEntry('objects/x', forged('objects/x', Buffer.from('x'), () => undefined), false)],
  ['a file twice', () => tarOf([['pack.json', listed(files)], ...files, ['checkpoint', files.get('checkpoint')!]])],
  // The manifest.
  ['a file listed and not there', relisted((entries) => entries.push({ name: `objects/${'f'.repeat(64)}`, size: 1, sha256: 'f'.repeat(64) }))], ['a file listed twice', relisted((entries) => entries.splice(1, 0, entries[0]!))],
  ['files in another order', relisted((entries) => entries.reverse())], ['a digest of something else', relisted((entries) => (entries[1]!.sha256 = 'f'.repeat(64)))], ['a size of something else', relisted((entries) => (entries[1]!.size += 1))],
  ['a size below nothing', relisted((entries) => (entries[1]!.size = -1))], ['no files', relisted(() => [])], ['no checkpoint', relisted((entries) => entries.slice(1))],
  ['a manifest in another spelling', manifestOf(() => listed(files).toString().replace('"v":1', '"v": 1'))], ['a manifest with a key twice', manifestOf(() => listed(files).toString().replace('"v":1', '"v":1,"v":1'))],
  ['a manifest with more in it', manifestOf(() => listed(files, { more: 1 } as never).toString())], ['a manifest of another version', manifestOf(() => listed(files, { v: 2 }).toString())],
  ['a manifest that is no JSON', manifestOf(() => 'x')], ['a manifest nested without end', manifestOf(() => '['.repeat(100_000))], ['an empty manifest', manifestOf(() => '')],
  ['a manifest of another log', manifestOf(() => listed(files, { origin: 'other.example/log' }).toString())], ['a manifest of another size', manifestOf(() => listed(files, { size: 1 }).toString())],
  // The files.
  ['a record that is no JSON', replaced('records/', () => Buffer.from('x'))], ['a record that is empty', replaced('records/', () => Buffer.alloc(0))], ['a record of a megabyte', replaced('records/', () => Buffer.alloc(1_048_576, 0x20))],
  ['a proof that is none', replaced('proofs/', () => Buffer.from('x'))], ['a proof of a megabyte', replaced('proofs/', () => Buffer.alloc(1_048_576, 0x41))], ['a checkpoint that is none', replaced('checkpoint', () => Buffer.from('x\n'))],
  ['a checkpoint that is not UTF-8', replaced('checkpoint', () => Buffer.from([0xff, 0xfe]))], ['a head that is no JSON', replaced('heads/', () => Buffer.from('x'))], ['a head of an empty object', replaced('heads/', () => Buffer.from('{}'))],
];

describe('an archive from an attacker', () => {
  it.each(HOSTILE)('with %s is refused, and nothing of it believed', async (_what, make) => {
    const started = performance.now();
    const found = await verifyStoryPack(make());
    expect(exitCodeOf(found.verdicts)).not.toBe(0);
    expect([verdictOf(found, 'INTEGRITY').status, verdictOf(found, 'SIGNATURE').status]).toContain('fails');
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('is many cases', () => {
    expect(HOSTILE.length).toBeGreaterThanOrEqual(80);
    expect(new Set(HOSTILE.map(([what]) => what)).size).toBe(HOSTILE.length);
  });

  it('costs no more to read than it has bytes: of one that claims to be enormous, little is read', async () => {
    let read = 0;
    const found = await verifyStoryPack(pack, {
      pack: { byteLength: 2 ** 40, read: async (start, length) => {
        read += length;
        return pack.subarray(start, start + length);
      } },
    });
    expect(verdictOf(found, 'INTEGRITY').status).toBe('fails');
    expect(read).toBe(0);
  });
});

describe('a pack of which one byte was flipped', () => {
  it('is caught, whichever byte it is', async () => {
    const [asked] = linesOf(cleanStory().beats);
    const small = await ledgerOf([asked!, 'heads']);
    const one = await small.pack({ change: asked!.draft.change! });
    small.remove();
    expect(exitCodeOf((await verifyStoryPack(one)).verdicts)).toBe(0);
    const missed: number[] = [];
    for (let at = 0; at < one.length; at++) {
      const copy = Buffer.from(one);
      copy[at]! ^= 1 << (at % 8);
      if (exitCodeOf((await verifyStoryPack(copy)).verdicts) === 0) missed.push(at);
    }
    expect(missed).toEqual([]);
  }, 240_000);
});
