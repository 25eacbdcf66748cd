/** Policy that is fetched from a real server: what comes into force, what never does, and what stays when the server is gone. */
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalBytes, digestOf, generateSignerKey, parseSigner, type LedgerRecord } from '../../ledger/index.ts';
import { opaFilesOf, packFiles } from '../../src/cli/policy-pack.ts';
import { signPolicy } from '../../src/cli/policy-sign.ts';
import { connect, type Client } from '../../src/client/index.ts';
import { describeBundle, ENTRYPOINTS, readBundle } from '../../src/pdp/bundle.ts';
import type { BundleFiles } from '../../src/pdp/opa-archive.ts';
import { signFiles, type SigningKey } from '../../src/pdp/opa-signature.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { CERTIFICATE, KEY, OTHER_CERTIFICATE } from '../support/door-certificate.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';
import { openDesk } from '../support/world.ts';

const BUNDLE = join(import.meta.dirname, '../../policy/bundle');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signing: SigningKey = { algorithm: 'ES256', key: pair.privateKey, scope: null, id: null };
const { digest } = await readBundle(BUNDLE);

/** The shipped policy, or one with a limit of its own, called `revision`. */
async function archive(revision: string, over: { readonly limit?: number; readonly signing?: SigningKey; readonly from?: string } = {}): Promise<Uint8Array> {
  return packFiles(await filesOf(revision, over));
}
async function filesOf(revision: string, over: { readonly limit?: number; readonly signing?: SigningKey; readonly from?: string } = {}): Promise<BundleFiles> {
  const files = new Map(await opaFilesOf(over.from ?? BUNDLE, revision, signing));
  files.delete('.signatures.json');
  if (over.limit !== undefined) {
    const data = JSON.parse(Buffer.from(files.get('data.json')!).toString()) as { limits: object };
    files.set('data.json', Buffer.from(JSON.stringify({ ...data, limits: { ...data.limits, ofThisBundle: over.limit } })));
  }
  files.set('.signatures.json', signFiles(files, over.signing ?? signing));
  return files;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const serving = (bytes: Uint8Array, etag?: string): Answer => (request, response) => {
  if (etag !== undefined && request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
  response.writeHead(200, etag === undefined ? {} : { etag }).end(bytes);
};

let installation: Installation;
let server: Server;
let answer: Answer;
let seen: { readonly url: string | undefined; readonly etag: string | undefined; readonly token: string | undefined; readonly status: () => number }[];
const running: Sidecar[] = [];
const url = (to: Server = server): string => `http://127.0.0.1:${(to.address() as AddressInfo).port}/bundle.tar.gz`;
const listening = (one: Server): Promise<void> => new Promise((resolve) => one.listen(0, '127.0.0.1', resolve));

beforeEach(async () => {
  installation = await makeInstallation();
  seen = [];
  answer = (_request, response) => void response.writeHead(404).end();
  server = createServer((request, response) => {
    seen.push({ url: request.url, etag: request.headers['if-none-match'], token: request.headers.authorization, status: () => response.statusCode });
    answer(request, response);
  });
  await listening(server);
  await installation.write('policy.pem', pair.publicKey.export({ type: 'spki', format: 'pem' }) as string);
  await installation.write('bundle.token', 'abc.def\n');
});
afterEach(async () => {
  for (const sidecar of running.splice(0)) await sidecar.close();
  server.closeAllConnections();
  if (server.listening) await new Promise((resolve) => server.close(resolve));
  await installation.remove();
});

/** Started, and its first look is over. */
async function start(at = url(), more: object = {}): Promise<Sidecar> {
  const config = await installation.config();
  const file = (name: string): string => join(installation.directory, name);
  const policySource = { keys: [{ file: file('policy.pem'), algorithm: 'ES256' as const }], url: at, token: file('bundle.token'), everySeconds: 3_600, timeoutSeconds: 10, ...more };
  const sidecar = await startSidecar({ ...config, policySource }, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  running.push(sidecar);
  await sidecar.reload();
  return sidecar;
}
async function stop(): Promise<void> {
  for (const sidecar of running.splice(0)) await sidecar.close();
}
const clientOf = (sidecar: Sidecar, principal = 'nhi:prod/ci-deployer'): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });
async function readiness(sidecar: Sidecar): Promise<{ ready: boolean; policy: boolean; source: string }> {
  const { ready, checks } = await clientOf(sidecar).ready();
  return { ready, policy: checks.find(({ check }) => check === 'policy')!.ok, source: checks.find(({ check }) => check === 'policySource')!.message };
}
async function activations(sidecar: Sidecar): Promise<unknown[]> {
  await sidecar.log.durable();
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) if (record.type === 'bundle.activated') found.push(record);
  return found.map(({ v, body }) => [v, body['bundle'], body['revision']]);
}
const kept = (): string => join(installation.directory, 'data/policy/bundle.tar.gz');

describe('a bundle that is fetched', () => {
  it('comes into force, is on record with its revision, decides, and is asked for again by its ETag', async () => {
    answer = serving(await archive('17-abc'), '"one"');
    const sidecar = await start();
    expect(await readiness(sidecar)).toEqual({ ready: true, policy: true, source: 'revision 17-abc is in force' });
    expect(await activations(sidecar)).toEqual([[2, null, undefined], [3, digest, '17-abc']]);
    const change = await clientOf(sidecar).request(GRANT, { waitSeconds: 20 });
    expect(change.state).toBe('pending');

    // Once as it started, and once as it was asked to.
    expect(seen.map(({ etag, token, status }) => [etag, token, status()])).toEqual([[undefined, 'Bearer abc.def', 200], ['"one"', 'Bearer abc.def', 304]]);
    expect((await activations(sidecar)).length).toBe(2);

    answer = serving(await archive('18', { limit: 1 }), '"two"');
    await sidecar.reload();
    expect(await readiness(sidecar)).toEqual({ ready: true, policy: true, source: 'revision 18 is in force' });
    const [, , [, next]] = (await activations(sidecar)) as [unknown, unknown, [number, string]];
    expect(next).not.toBe(digest);
    await clientOf(sidecar, 'person:wei').approve(change.id, change.planDigest!);
    expect((await clientOf(sidecar).wait(change.id, { until: ({ state }) => state === 'active' })).state).toBe('active');
    const bundles: unknown[] = [];
    for await (const { record } of sidecar.log.entries(0)) if (record.type === 'policy.decided') bundles.push((record.body['provenance'] as { bundle: string }).bundle);
    expect([bundles[0], bundles.at(-1)]).toEqual([digest, next]);
  });

  it('is there after a restart without the server, verified again, and nothing new is on record', async () => {
    answer = serving(await archive('17'));
    const before = await activations(await start());
    await stop();
    await new Promise((resolve) => server.close(resolve));
    const sidecar = await start('http://127.0.0.1:1/bundle.tar.gz');
    expect(await readiness(sidecar)).toEqual({ ready: true, policy: true, source: 'revision 17 is in force; it cannot be reached (ECONNREFUSED)' });
    expect(await activations(sidecar)).toEqual(before);
    expect((await clientOf(sidecar).request(GRANT, { waitSeconds: 20 })).state).toBe('pending');

    await stop();
    const bytes = await readFile(kept());
    bytes[bytes.length - 100]! ^= 1;
    await writeFile(kept(), bytes);
    expect(await readiness(await start('http://127.0.0.1:1/bundle.tar.gz'))).toMatchObject({ ready: false, policy: false });
  });

  const BAD: readonly (readonly [what: string, told: string, spoil: () => Promise<Answer>])[] = [
    ['an answer that is an error', 'it answered 500', async () => (_request, response) => void response.writeHead(500).end('no')],
    ['no bundle', 'bad-bundle', async () => serving(Buffer.from('<html>'))],
    ['a bundle of another key', 'bundle-unsigned', async () => serving(await archive('18', { limit: 1, signing: { ...signing, key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey } }))],
    ['a bundle that is cut short', 'bad-bundle', async () => serving((await archive('18', { limit: 1 })).subarray(0, 9_000))],
    ['an answer that breaks off', 'the answer broke off', async () => (_request, response) => {
      response.writeHead(200, { 'content-length': 100_000 });
      response.write(Buffer.alloc(5_000), () => response.destroy());
    }],
    ['more than a bundle may be', 'it sends more than 16777216 bytes', async () => serving(Buffer.alloc(17 * 1024 * 1024))],
    ['an earlier revision', 'revision 16 is behind 17', async () => serving(await archive('16', { limit: 1 }))],
    ['an earlier revision that only looks later', 'revision 9 is behind 17', async () => serving(await archive('9', { limit: 1 }))],
    ['another bundle of the same revision', 'revision 17 is another bundle than 17 was', async () => serving(await archive('17', { limit: 1 }))],
    ['a revision that begins with no number', 'revision "v18" begins with no number, so that nobody can tell whether it is newer', async () => serving(await archive('v18', { limit: 1 }))],
    ['a 304 that nobody asked for', 'it answered 304', async () => (_request, response) => void response.writeHead(304).end()],
    ['a redirect in a circle', 'it redirects too often', async () => (_request, response) => void response.writeHead(302, { location: '/again' }).end()],
  ];
  it('stays in force whatever else comes, until a good one of a later revision does', async () => {
    answer = serving(await archive('17'));
    const sidecar = await start();
    const before = [await activations(sidecar), digestOf(await readFile(kept()))];
    for (const [what, told, spoil] of BAD) {
      answer = await spoil();
      await sidecar.reload();
      expect(await readiness(sidecar), what).toEqual({ ready: true, policy: true, source: `revision 17 is in force; ${told}` });
      expect([await activations(sidecar), digestOf(await readFile(kept()))], what).toEqual(before);
    }
    answer = serving(await archive('18', { limit: 1 }));
    await sidecar.reload();
    expect(await readiness(sidecar)).toMatchObject({ source: 'revision 18 is in force' });
  });

  it('is not fetched from another origin than was configured, and the token does not go there', async () => {
    const elsewhere: IncomingMessage[] = [];
    const bytes = await archive('17');
    const other = createServer((request, response) => {
      elsewhere.push(request);
      response.end(bytes);
    });
    await listening(other);
    answer = (_request, response) => void response.writeHead(302, { location: url(other) }).end();
    const sidecar = await start();
    expect(await readiness(sidecar)).toEqual({ ready: false, policy: false, source: 'no bundle is in force; it redirects to another origin, which is not followed' });
    expect(elsewhere).toEqual([]);
    answer = (request, response) => (request.url === '/bundle.tar.gz' ? void response.writeHead(307, { location: '/there' }).end() : serving(bytes)(request, response));
    await sidecar.reload();
    expect(await readiness(sidecar)).toMatchObject({ ready: true, source: 'revision 17 is in force' });
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
  });

  it('is looked for anew by whoever asks for it while an older look is under way', async () => {
    const [older, newer] = [serving(await archive('17')), serving(await archive('18'))];
    const arrived = new Promise<() => void>((resolve) => {
      answer = (request, response) => {
        answer = newer;
        resolve(() => older(request, response));
      };
    });
    const starting = start();
    (await arrived)();
    expect(await readiness(await starting)).toMatchObject({ ready: true, source: 'revision 18 is in force' });
  });

  it('was never there: nothing is gained, and what was given is taken back', async () => {
    answer = serving(await archive('17'));
    let sidecar = await start();
    const change = await clientOf(sidecar).request(GRANT, { waitSeconds: 20 });
    await clientOf(sidecar, 'person:wei').approve(change.id, change.planDigest!);
    await clientOf(sidecar).wait(change.id, { until: ({ state }) => state === 'active' });
    await stop();
    await rm(kept());
    sidecar = await start('http://127.0.0.1:1/bundle.tar.gz');
    expect(await readiness(sidecar)).toEqual({ ready: false, policy: false, source: 'no bundle is in force; it cannot be reached (ECONNREFUSED)' });
    expect((await clientOf(sidecar).request({ ...GRANT, reason: 'another' }, { waitSeconds: 20 })).state).toBe('denied');
    expect((await clientOf(sidecar, 'person:wei').revoke(change.id, 'enough')).recorded).toBe(true);
    expect((await clientOf(sidecar).wait(change.id, { until: ({ state }) => state === 'revoked' })).state).toBe('revoked');
  });

  it('does not go back by what is put in its place on disk, nor by having been forgotten there', async () => {
    answer = serving(await archive('17'));
    await start();
    await stop();
    const earlier = await archive('16', { limit: 1 });
    await mkdir(join(kept(), '..'), { recursive: true });
    await writeFile(kept(), earlier);
    answer = serving(earlier);
    let sidecar = await start();
    expect(await readiness(sidecar)).toEqual({ ready: false, policy: false, source: 'no bundle is in force; revision 16 is behind 17' });
    expect((await activations(sidecar)).at(-1)).toEqual([3, null, '17']);
    await stop();
    await rm(kept());
    sidecar = await start();
    expect(await readiness(sidecar)).toMatchObject({ ready: false, source: 'no bundle is in force; revision 16 is behind 17' });
    answer = serving(await archive('17'));
    await sidecar.reload();
    expect(await readiness(sidecar)).toMatchObject({ ready: true, source: 'revision 17 is in force' });
  });

  it('comes over TLS from whom the configuration trusts, and from nobody else', async () => {
    const bytes = await archive('17');
    const secure = createSecureServer({ cert: CERTIFICATE, key: KEY }, (_request, response) => void response.end(bytes));
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    await installation.write('ca.pem', CERTIFICATE);
    await installation.write('other.pem', OTHER_CERTIFICATE);
    const at = `https://localhost:${(secure.address() as AddressInfo).port}/bundle.tar.gz`;
    for (const more of [{}, { caFile: join(installation.directory, 'other.pem') }]) {
      expect(await readiness(await start(at, more))).toMatchObject({ ready: false, source: expect.stringContaining('it cannot be reached') as string });
      await stop();
    }
    expect(await readiness(await start(at, { caFile: join(installation.directory, 'ca.pem') }))).toMatchObject({ ready: true, source: 'revision 17 is in force' });
    secure.closeAllConnections();
    await new Promise((resolve) => secure.close(resolve));
  });

  it('needs its own signature too where the trust folder names policy signers; by that, what two bundles decided is asked again', async () => {
    const signer = generateSignerKey('policy.example', systemRandom(32));
    await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], policySigners: [signer.vkey], clockSkewMs: 0 }));
    answer = serving(await archive('16'));
    const sidecar = await start();
    expect(await readiness(sidecar)).toMatchObject({ ready: false, source: 'no bundle is in force; bundle-unsigned' });

    const signed = async (name: string, edit: (directory: string) => void): Promise<string> => {
      const directory = join(installation.directory, name);
      cpSync(BUNDLE, directory, { recursive: true });
      edit(directory);
      await signPolicy(directory, parseSigner(signer.skey));
      return directory;
    };
    answer = serving(await archive('17', { from: await signed('first', () => undefined) }));
    await sidecar.reload();
    const change = await clientOf(sidecar).request(GRANT, { waitSeconds: 20 });
    const stricter = await signed('second', (directory) => {
      const data = canonicalBytes({ ...(JSON.parse(readFileSync(join(directory, 'data.json'), 'utf8')) as object), more: 1 });
      writeFileSync(join(directory, 'data.json'), data);
      writeFileSync(join(directory, 'manifest.json'), JSON.stringify(describeBundle({ wasm: readFileSync(join(directory, 'policy.wasm')), data }, { entrypoints: ENTRYPOINTS, opa: '', sources: digest })));
    });
    answer = serving(await archive('18', { from: stricter }));
    await sidecar.reload();
    expect(await readiness(sidecar)).toMatchObject({ ready: true, source: 'revision 18 is in force' });
    await clientOf(sidecar, 'person:wei').approve(change.id, change.planDigest!);
    await clientOf(sidecar).wait(change.id, { until: ({ state }) => state === 'active' });
    await stop();
    const desk = openDesk();
    const { stdout } = await desk.run('verify', join(installation.directory, 'data/ledger'), '--trust', join(installation.directory, 'trust'), '--json');
    desk.remove();
    const { verdicts } = JSON.parse(stdout) as { verdicts: { name: string; status: string; message: string }[] };
    expect(Object.fromEntries(verdicts.map(({ name, status, message }) => [name, name === 'REPLAY' ? message : status]))).toMatchObject({ INTEGRITY: 'holds', COMPLETENESS: 'holds', WORKFLOW: 'holds', REPLAY: '4 decisions came out the same' });
  });

  it('may lie in a folder, signed by one of the keys; one that is not gives nothing', async () => {
    const folder = join(installation.directory, 'opa');
    await mkdir(folder);
    for (const [name, bytes] of await filesOf('any words')) await writeFile(join(folder, name), bytes);
    const config = { ...(await installation.config()), policy: folder, policySource: { keys: [{ file: join(installation.directory, 'policy.pem'), algorithm: 'ES256' as const }], everySeconds: 60, timeoutSeconds: 30 } };
    const begin = async (): Promise<Sidecar> => {
      const sidecar = await startSidecar(config, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
      running.push(sidecar);
      return sidecar;
    };
    const sidecar = await begin();
    expect([(await clientOf(sidecar).ready()).ready, await activations(sidecar)]).toEqual([true, [[2, digest, undefined]]]);
    await stop();
    await rm(join(folder, '.signatures.json'));
    expect((await clientOf(await begin()).ready()).ready).toBe(false);
  });
});
