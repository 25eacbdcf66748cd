import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readBundle, type Manifest } from '../../src/pdp/bundle.ts';
import { EngineFault, openPdp } from '../../src/pdp/engine.ts';
import { copiedBundle } from './support.ts';

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  await writeFile(file, bytes);
}
async function editManifest(directory: string, edit: (manifest: Manifest) => void): Promise<void> {
  const file = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest;
  edit(manifest);
  await writeFile(file, JSON.stringify(manifest));
}
const other = `sha256:${'1'.repeat(64)}`;

const SPOILT: [string, string, (directory: string) => Promise<unknown>][] = [
  ['a bit of the module', 'bundle-tampered', (directory) => flip(join(directory, 'policy.wasm'), -5)],
  ['the first bit of the module', 'bundle-tampered', (directory) => flip(join(directory, 'policy.wasm'), 0)],
  ['a limit in the data', 'bundle-tampered', async (directory) => {
    const file = join(directory, 'data.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"high":2', '"high":1'));
    expect(await readFile(file, 'utf8')).not.toBe(text);
  }],
  ['white space after the data', 'bundle-tampered', (directory) => appendFile(join(directory, 'data.json'), '\n')],
  ['the module taken away', 'bundle-tampered', (directory) => rm(join(directory, 'policy.wasm'))],
  ['the data taken away', 'bundle-tampered', (directory) => rm(join(directory, 'data.json'))],
  ['the manifest taken away', 'no-policy', (directory) => rm(join(directory, 'manifest.json'))],
  ['a file that is not listed', 'bundle-tampered', (directory) => writeFile(join(directory, 'policy2.wasm'), 'x')],
  ['a directory that is not listed', 'bundle-tampered', (directory) => mkdir(join(directory, '.signatures'))],
  ['the module under another name', 'bundle-tampered', (directory) => rename(join(directory, 'policy.wasm'), join(directory, 'Policy.wasm'))],
  ['module and data exchanged', 'bundle-tampered', async (directory) => {
    await rename(join(directory, 'policy.wasm'), join(directory, 'x'));
    await rename(join(directory, 'data.json'), join(directory, 'policy.wasm'));
    await rename(join(directory, 'x'), join(directory, 'data.json'));
  }],
  ['another digest in the manifest', 'bundle-tampered', (directory) => editManifest(directory, (manifest) => (manifest.digest = other))],
  ['another digest of a file', 'bundle-tampered', (directory) => editManifest(directory, (manifest) => (manifest.files[1]!.digest = other))],
  ['entrypoints that the digest does not cover', 'bundle-tampered', (directory) => editManifest(directory, (manifest) => manifest.entrypoints.push('access/everything'))],
  ['a file listed twice', 'bundle-tampered', (directory) => editManifest(directory, (manifest) => (manifest.files[1] = manifest.files[0]!))],
  ['a manifest with a member that nobody knows', 'bundle-tampered', (directory) => editManifest(directory, (manifest) => Object.assign(manifest, { alg: 'none' }))],
  ['a manifest with a member twice', 'bundle-tampered', async (directory) => {
    const file = join(directory, 'manifest.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"v": 1,', '"v": 1, "v": 1,'));
  }],
  ['an empty manifest', 'bundle-tampered', (directory) => writeFile(join(directory, 'manifest.json'), '')],
];

test.each(SPOILT)('a bundle with %s is not opened', async (_what, code, spoil) => {
  const directory = await copiedBundle();
  await spoil(directory);
  const fault: unknown = await openPdp({ directory }).catch((cause: unknown) => cause);
  expect(fault).toBeInstanceOf(EngineFault);
  expect((fault as EngineFault).code).toBe(code);
});

test('a whole copy of a bundle has the same digest, wherever it is and whoever built it', async () => {
  const directory = await copiedBundle();
  const { digest } = await readBundle(directory);
  await editManifest(directory, (manifest) => Object.assign(manifest, { opa: 'another', sources: other }));
  expect((await readBundle(directory)).digest).toBe(digest);
});
