/** `policy pack`: one signed file of a compiled bundle, or nothing. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readBundle } from '../../src/pdp/bundle.ts';
import { filesOfArchive } from '../../src/pdp/opa-archive.ts';
import { openOpaBundle } from '../../src/pdp/opa-bundle.ts';
import { openDesk, type Desk } from '../support/world.ts';

const BUNDLE = join(import.meta.dirname, '../../policy/bundle');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let desk: Desk;
beforeEach(() => {
  desk = openDesk();
  writeFileSync(join(desk.directory, 'key.pem'), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  chmodSync(join(desk.directory, 'key.pem'), 0o600);
});
afterEach(() => desk.remove());
const pack = (...more: string[]) => desk.run('policy', 'pack', BUNDLE, '--signing-key', 'key.pem', '--out', 'bundle.tar.gz', ...more);

it('writes the bundle under the digest that it has, signed for the scope', async () => {
  const { exit, stdout } = await pack('--revision', '17-abc', '--scope', 'prod', '--key-id', 'k');
  expect([exit, stdout]).toEqual([0, expect.stringContaining('revision 17-abc')]);
  const files = await filesOfArchive(readFileSync(join(desk.directory, 'bundle.tar.gz')));
  const { digest, revision } = await openOpaBundle(files, [{ algorithm: 'ES256', key: pair.publicKey, scope: 'prod' }]);
  expect([digest, revision]).toEqual([(await readBundle(BUNDLE)).digest, '17-abc']);
});

it.each([
  ['a revision that begins with no number', ['--revision', 'abc'], 'begins with a whole number'],
  ['a revision that turns the text around it', ['--revision', '17-a\u202eb'], 'plain text'],
  ['an algorithm that needs a shared secret', ['--revision', '1', '--signing-alg', 'HS256'], 'ES256, RS256, EdDSA'],
  ['a key of another kind', ['--revision', '1', '--signing-alg', 'EdDSA'], 'no private key for EdDSA'],
])('with %s writes nothing', async (_what, flags, told) => {
  const { exit, stderr } = await pack(...flags);
  expect([exit, stderr]).toEqual([2, expect.stringContaining(told)]);
  expect(existsSync(join(desk.directory, 'bundle.tar.gz'))).toBe(false);
});
