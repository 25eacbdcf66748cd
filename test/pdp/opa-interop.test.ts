/** Signatures that `opa` makes are accepted here, and those made here by `opa`; each refuses what the other refuses. */
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { opaFilesOf, packFiles } from '../../src/cli/policy-pack.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { filesOfArchive, filesOfDirectory } from '../../src/pdp/opa-archive.ts';
import { openOpaBundle } from '../../src/pdp/opa-bundle.ts';
import { demandSigned, parseSigningKey, parseVerificationKey, type SignatureAlgorithm } from '../../src/pdp/opa-signature.ts';
import { WITHOUT_OPA } from '../support/opa.ts';
import { BUNDLE, ROOT } from './support.ts';

describe.skipIf(WITHOUT_OPA).each<SignatureAlgorithm>(['ES256', 'RS256', 'EdDSA'])('%s, with opa', (algorithm) => {
  let directory: string;
  let at: (...names: string[]) => string;
  const pair = algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : algorithm === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2_048 }) : generateKeyPairSync('ed25519');
  const keys = { publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }) as string, privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
  const key = (scope: string | null = null) => ({ algorithm, key: parseVerificationKey(keys.publicKey, algorithm), scope });
  const opa = (args: string[], cwd: string): string => execFileSync('opa', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  /** Whether opa loads it, all of it as it was signed by the key. */
  const opaTakes = (path: string): boolean => spawnSync('opa', ['build', '-b', path, '--verification-key', at('public.pem'), '--verification-key-id', 'k', '--signing-alg', algorithm, '-o', at('out.tar.gz')], { encoding: 'utf8' }).status === 0;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'countersign-opa-'));
    at = (...names) => join(directory, ...names);
    await writeFile(at('private.pem'), keys.privateKey);
    await writeFile(at('public.pem'), keys.publicKey);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('takes what `opa build` signed, with its sources', async () => {
    const source = at('source');
    for (const root of ['access', 'lib', 'workflow']) await cp(join(ROOT, 'policy', root), join(source, root), { recursive: true, filter: (path) => !path.endsWith('_test.rego') });
    await writeFile(join(source, 'data.json'), await readFile(join(BUNDLE, 'data.json')));
    const entrypoints = ['access/decide', 'access/reconcile', 'access/schedule', 'access/verify'].flatMap((name) => ['-e', name]);
    opa(['build', '-t', 'wasm', '--capabilities', join(ROOT, 'policy', 'capabilities.json'), '--revision', '7-abc', ...entrypoints, '--signing-key', at('private.pem'), '--signing-alg', algorithm, '-o', at('built.tar.gz'), '-b', source], directory);
    const files = await filesOfArchive(await readFile(at('built.tar.gz')));
    expect([...files.keys()].filter((name) => name.endsWith('.rego')).length).toBeGreaterThan(10);
    const opened = await openOpaBundle(files, [key()]);
    expect(opened.revision).toBe('7-abc');
    expect(Buffer.from(opened.evidence.data).equals(await readFile(join(BUNDLE, 'data.json')))).toBe(true);
  });

  it('takes what `opa sign` signed, `bundle.sig.json` and scope with it, whatever is in the documents', async () => {
    const bundle = at('signed');
    await mkdir(bundle);
    const odd = JSON.stringify({ '😀': 1, '\ue000': [1, -2, true, null, {}, []], 'a<b>&': '\u2028\u2029\u0001\b\f\n\r\t\u007f/"\\ é', limits: { z: 1, a: 2 } }, null, 2);
    await writeFile(join(bundle, 'data.json'), odd.replace('é', '\\u00e9'));
    await writeFile(join(bundle, 'bundle.sig.json'), '{"b": 1,   "a": 2}\n');
    await writeFile(join(bundle, '.manifest'), '{"revision": "8", "roots": [""]}\n');
    await cp(join(BUNDLE, 'policy.wasm'), join(bundle, 'policy.wasm'));
    await writeFile(at('claims.json'), '{"keyid": "k", "scope": "write"}');
    opa(['sign', '--signing-key', at('private.pem'), '--signing-alg', algorithm, '--claims-file', at('claims.json'), '--bundle', '.', '-o', '.'], bundle);
    const files = await filesOfDirectory(bundle);
    demandSigned(files, [key('write')]);
    expect(() => demandSigned(files, [key()])).toThrow(/scope/);
    expect(() => demandSigned(new Map([...files, ['data.json', Buffer.from(odd.replace('😀', '😁'))]]), [key('write')])).toThrow(/data\.json/);
  });

  it('signs what `opa` takes, and refuses with it what was changed afterwards', async () => {
    const signing = { algorithm, key: parseSigningKey(keys.privateKey, algorithm), scope: null, id: 'k' };
    const files = await opaFilesOf(BUNDLE, '9', signing);
    await writeFile(at('ours.tar.gz'), await packFiles(files));
    expect(opaTakes(at('ours.tar.gz'))).toBe(true);
    expect(JSON.parse(gunzipSync(await packFiles(files)).toString('latin1').slice(512, 512 + files.get('.manifest')!.length))).toMatchObject({ revision: '9' });
    expect((await openOpaBundle(await filesOfArchive(await readFile(at('ours.tar.gz'))), [key()])).digest).toBe((await readBundle(BUNDLE)).digest);
    for (const [name, content] of [['data.json', '{"limits": {}}'], ['.manifest', '{"revision": "10", "roots": [""]}'], ['more.rego', 'package more\n']] as const) {
      const spoilt = new Map([...files, [name, Buffer.from(content)]]);
      await writeFile(at('spoilt.tar.gz'), await packFiles(spoilt));
      expect([name, opaTakes(at('spoilt.tar.gz'))]).toEqual([name, false]);
      expect(() => demandSigned(spoilt, [key()])).toThrow();
    }
  });
});
