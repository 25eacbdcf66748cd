/** Bundles in OPA's format: what is accepted, and what is refused before anything of it is used. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { opaFilesOf, packFiles } from '../../src/cli/policy-pack.ts';
import { formatHeader } from '../../src/evidence/tar.ts';
import { describeBundle, readBundle } from '../../src/pdp/bundle.ts';
import { EngineFault } from '../../src/pdp/engine.ts';
import { filesOfArchive, filesOfDirectory, type BundleFiles } from '../../src/pdp/opa-archive.ts';
import { openOpaBundle } from '../../src/pdp/opa-bundle.ts';
import { signFiles, type SignatureAlgorithm, type SigningKey } from '../../src/pdp/opa-signature.ts';
import { notForward } from '../../src/pdp/revision.ts';
import { BUNDLE, copiedBundle } from './support.ts';

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
const PAIRS: Record<SignatureAlgorithm, Pair> = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }), RS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }), EdDSA: generateKeyPairSync('ed25519'),
};
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signing = (over: Partial<SigningKey> = {}): SigningKey => ({ algorithm: 'ES256', key: PAIRS.ES256.privateKey, scope: null, id: null, ...over });
const KEY = { algorithm: 'ES256' as const, key: PAIRS.ES256.publicKey, scope: null };
const good = await opaFilesOf(BUNDLE, '7-abc', signing());
const shipped = await readBundle(BUNDLE);

const faultOf = async (work: Promise<unknown>): Promise<string> => {
  const fault = await work.then(() => null, (cause: unknown) => cause);
  expect(fault).toBeInstanceOf(EngineFault);
  return (fault as EngineFault).code;
};
/** Signed anew over what `edit` makes of the files. */
function resigned(edit: (files: Map<string, Uint8Array>) => unknown): BundleFiles {
  const files = new Map(good);
  files.delete('.signatures.json');
  edit(files);
  return new Map([...files, ['.signatures.json', signFiles(files, signing())]]);
}
const edited = (edit: (files: Map<string, Uint8Array>) => unknown): BundleFiles => {
  const files = new Map(good);
  edit(files);
  return files;
};
/** The module with a custom section of so many zeros. */
function padded(wasm: Uint8Array, bytes: number): Uint8Array {
  const size = bytes + 1;
  const leb = [0, 7, 14, 21, 28].map((shift) => (Math.floor(size / 2 ** shift) % 128) | (shift < 28 ? 128 : 0));
  return Buffer.concat([wasm, Buffer.from([0, ...leb]), Buffer.alloc(size)]);
}
/** The JWT with header or payload edited, its signature left as it is. */
const forged = (edit: (parts: string[]) => void): BundleFiles => edited((files) => {
  const { signatures: [token] } = JSON.parse(Buffer.from(files.get('.signatures.json')!).toString()) as { signatures: [string] };
  const parts = token.split('.');
  edit(parts);
  files.set('.signatures.json', Buffer.from(JSON.stringify({ signatures: [parts.join('.')] })));
});

test('a bundle that a configured key has signed is the same policy under the same digest', async () => {
  for (const algorithm of ['ES256', 'RS256', 'EdDSA'] as const) {
    const files = await opaFilesOf(BUNDLE, '7-abc', signing({ algorithm, key: PAIRS[algorithm].privateKey, scope: 'prod' }));
    const opened = await openOpaBundle(await filesOfArchive(await packFiles(files)), [KEY, { algorithm, key: PAIRS[algorithm].publicKey, scope: 'prod' }]);
    expect([opened.digest, opened.revision]).toEqual([shipped.digest, '7-abc']);
  }
});

test('white space in the data is no other policy', async () => {
  const files = resigned((map) => map.set('data.json', Buffer.from(` ${Buffer.from(map.get('data.json')!).toString()}\n`)));
  expect((await openOpaBundle(files, [KEY])).digest).toBe(shipped.digest);
});

test.each<[string, string, () => BundleFiles]>([
  ['without a signature', 'bundle-unsigned', () => edited((files) => files.delete('.signatures.json'))],
  ['with a bit of the module changed', 'bundle-tampered', () => edited((files) => files.set('policy.wasm', Buffer.concat([files.get('policy.wasm')!, Buffer.from([0])])))],
  ['with a limit in the data changed', 'bundle-tampered', () => edited((files) => files.set('data.json', Buffer.from('{}')))],
  ['with another revision', 'bundle-tampered', () => edited((files) => files.set('.manifest', Buffer.from(Buffer.from(files.get('.manifest')!).toString().replace('7-abc', '8-abc'))))],
  ['without the data that was signed', 'bundle-tampered', () => edited((files) => files.delete('data.json'))],
  ['with a file that nobody signed', 'bundle-tampered', () => edited((files) => files.set('more.rego', Buffer.from('package more')))],
  ['signed by another key', 'bundle-unsigned', () => edited((files) => {
    files.delete('.signatures.json');
    files.set('.signatures.json', signFiles(files, signing({ key: other.privateKey })));
  })],
  ['signed for a scope that is not ours', 'bundle-unsigned', () => edited((files) => {
    files.delete('.signatures.json');
    files.set('.signatures.json', signFiles(files, signing({ scope: 'staging' })));
  })],
  ['whose JWT says alg none', 'bundle-unsigned', () => forged((parts) => {
    parts[0] = Buffer.from('{"alg":"none"}').toString('base64url');
    parts[2] = '';
  })],
  ['whose JWT is keyed with our public key as a secret', 'bundle-unsigned', () => forged((parts) => (parts[0] = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')))],
  ['whose list was edited', 'bundle-unsigned', () => forged((parts) => (parts[1] = Buffer.from('{"files":[]}').toString('base64url')))],
  ['with two signatures', 'bundle-unsigned', () => edited((files) => {
    const { signatures } = JSON.parse(Buffer.from(files.get('.signatures.json')!).toString()) as { signatures: string[] };
    files.set('.signatures.json', Buffer.from(JSON.stringify({ signatures: [...signatures, ...signatures] })));
  })],
  ['with more beside its signature than is read before that is believed', 'bad-bundle', () => edited((files) => {
    const { signatures } = JSON.parse(Buffer.from(files.get('.signatures.json')!).toString()) as { signatures: string[] };
    files.set('.signatures.json', Buffer.from(JSON.stringify({ signatures, more: new Array<object>(400_000).fill({}) })));
  })],
  ['with data in a place that only OPA would read', 'bad-bundle', () => resigned((files) => files.set('limits/data.json', Buffer.from('{}')))],
  ['that is a patch', 'bad-bundle', () => resigned((files) => files.set('patch.json', Buffer.from('{}')))],
  ['without a module', 'bad-bundle', () => resigned((files) => files.delete('policy.wasm'))],
  ['whose manifest names another module', 'bad-bundle', () => resigned((files) => files.set('.manifest', Buffer.from(Buffer.from(files.get('.manifest')!).toString().replace('/policy.wasm', '/other.wasm'))))],
  ['without an entrypoint', 'bad-bundle', () => resigned((files) => files.set('.manifest', Buffer.from('{"revision":"7","wasm":[{"entrypoint":"access/decide","module":"/policy.wasm"}]}')))],
  ['whose revision no record may have', 'bad-bundle', () => resigned((files) => files.set('.manifest', Buffer.from(Buffer.from(files.get('.manifest')!).toString().replace('7-abc', '7-a\u202ebc'))))],
  ['whose module is larger than an object of the ledger', 'bad-bundle', () => resigned((files) => files.set('policy.wasm', padded(files.get('policy.wasm')!, 16_777_216)))],
  ['with a signature that no record has room for', 'bundle-tampered', () => resigned((files) => files.set('bundle.sig.json', Buffer.from(JSON.stringify({ payload: 'AAAA'.repeat(20_000), payloadType: 'a/b', signatures: [{ keyid: 'k', sig: 'AAAA' }] }))))],
  ['whose module is none', 'bad-bundle', () => resigned((files) => files.set('policy.wasm', Buffer.from('no')))],
])('a bundle %s is refused', async (_what, code, files) => {
  expect(await faultOf(openOpaBundle(files(), [KEY]))).toBe(code);
});

const tarOf = async (edit: (tar: Buffer) => Buffer): Promise<Uint8Array> => gzipSync(edit(gunzipSync(await packFiles(good))));
const entry = (name: string, content: string, type = '0'): Buffer => {
  const header = Buffer.from(formatHeader('x'.repeat(name.length), content.length));
  header.write(name, 0, 'latin1');
  header.write(type, 156, 'latin1');
  header.fill(0x20, 148, 156);
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)]);
};

test.each<[string, (tar: Buffer) => Buffer]>([
  ['a name that leads out of it', (tar) => Buffer.concat([entry('../policy.wasm', 'x'), tar])],
  ['a name that leads out of it further in', (tar) => Buffer.concat([entry('a/../../policy.wasm', 'x'), tar])],
  ['a symbolic link', (tar) => Buffer.concat([entry('link', '', '2'), tar])],
  ['a hard link', (tar) => Buffer.concat([entry('link', '', '1'), tar])],
  ['a device', (tar) => Buffer.concat([entry('null', '', '3'), tar])],
  ['a pax header', (tar) => Buffer.concat([entry('pax', '20 path=policy.wasm\n', 'x'), tar])],
  ['a file twice', (tar) => Buffer.concat([entry('data.json', '{}'), tar])],
  ['a file twice, spelled in another way', (tar) => Buffer.concat([entry('./data.json', '{}'), tar])],
  ['something after its end', (tar) => Buffer.concat([tar, entry('data.json', '{}')])],
  ['its end cut off', (tar) => tar.subarray(0, tar.length - 1_024)],
  ['a file cut short', (tar) => tar.subarray(0, 2_048)],
  ['a checksum that is another', (tar) => {
    tar[148] = tar[148]! ^ 1;
    return tar;
  }],
  ['directories without end', (tar) => Buffer.concat([...new Array<Buffer>(3_000).fill(entry('d/', '', '5')), tar])],
  ['more in it than may be unpacked', (tar) => Buffer.concat([tar, Buffer.alloc(64 * 1024 * 1024)])],
])('an archive with %s is refused', async (_what, edit) => {
  expect(await faultOf(tarOf(edit).then(filesOfArchive))).toBe('bad-bundle');
});

test('what is no gzip, or is cut short, is refused', async () => {
  const archive = await packFiles(good);
  expect(await faultOf(filesOfArchive(archive.subarray(0, archive.length / 2)))).toBe('bad-bundle');
  expect(await faultOf(filesOfArchive(Buffer.from('<html>')))).toBe('bad-bundle');
});

test('a directory is read as the archive is, and a link in it is refused', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-opa-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const [name, bytes] of good) await writeFile(join(directory, name), bytes);
  expect((await openOpaBundle(await filesOfDirectory(directory), [KEY])).digest).toBe(shipped.digest);
  await symlink(join(directory, 'data.json'), join(directory, 'other.rego'));
  expect(await faultOf(filesOfDirectory(directory))).toBe('bad-bundle');
});

test('what would be another bundle once it is read is not packed', async () => {
  const directory = await copiedBundle();
  const data = Buffer.from(`${await readFile(join(directory, 'data.json'), 'utf8')}\n`);
  const { manifest, evidence } = await readBundle(directory);
  await writeFile(join(directory, 'data.json'), data);
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(describeBundle({ wasm: evidence.wasm, data }, manifest)));
  expect((await readBundle(directory)).digest).not.toBe(shipped.digest);
  expect(await faultOf(opaFilesOf(directory, '1', signing()))).toBe('bad-bundle');
});

test('a revision only goes forward, and is one bundle', () => {
  const last = { revision: '17-abc', bundle: 'a' };
  expect(notForward(null, { revision: '1', bundle: 'b' })).toBeNull();
  expect(notForward(last, { revision: '18', bundle: 'b' })).toBeNull();
  expect(notForward(last, { revision: '17-other-words', bundle: 'a' })).toBeNull();
  for (const revision of ['16', '9', '17-abc', '', 'v18', '018', '1e3', '18abc']) expect(notForward(last, { revision, bundle: 'b' }), revision).not.toBeNull();
  expect(notForward({ revision: '17', bundle: null }, { revision: '17', bundle: 'b' })).toBeNull();
  expect(notForward({ revision: '17', bundle: null }, { revision: '16', bundle: 'b' })).not.toBeNull();
});
