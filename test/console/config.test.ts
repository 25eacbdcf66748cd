/** What a console may be configured with: a mistake is named, and nothing is started by half. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ASSET_NAMES } from '../../src/console/assets.ts';
import { loadConsoleConfig } from '../../src/console/config.ts';
import { startConsole } from '../../src/console/start.ts';
import { CERTIFICATE, KEY } from '../support/door-certificate.ts';

const GOOD = { publicUrl: 'https://console.acme.example', listen: { port: 0 }, sidecars: [{ name: 'eu', url: 'http://127.0.0.1:8099' }], login: { kind: 'token' }, logLevel: 'silent' };
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cs-console-'));
});
afterEach(() => rm(folder, { recursive: true }));
async function load(edit: object): ReturnType<typeof loadConsoleConfig> {
  await writeFile(join(folder, 'console.yaml'), JSON.stringify({ ...GOOD, ...edit }));
  return loadConsoleConfig(join(folder, 'console.yaml'));
}

describe('console.yaml', () => {
  it.each([
    ['/publicUrl', { publicUrl: 'http://console.acme.example' }],
    ['/publicUrl', { publicUrl: 'https://console.acme.example/below' }],
    ['/tls', { listen: { host: '0.0.0.0', port: 0 } }],
    ['/sidecars/0/url', { sidecars: [{ name: 'eu', url: 'http://10.0.0.1:8099' }] }],
    ['/sidecars', { sidecars: [] }],
    ['/sidecars', { sidecars: [GOOD.sidecars[0], GOOD.sidecars[0]] }],
    ['/login', { login: { kind: 'anybody' } }],
    ['/login/issuer', { login: { kind: 'oidc', issuer: 'http://login.acme.example', clientId: 'c' } }],
  ])('names %s', async (pointer, edit) => {
    await expect(load(edit)).rejects.toMatchObject({ code: 'malformed', issues: expect.arrayContaining([expect.objectContaining({ pointer: expect.stringContaining(pointer) as unknown })]) as unknown });
  });

  it('refuses what it does not know, and takes paths from its own folder', async () => {
    await expect(load({ sesion: {} })).rejects.toMatchObject({ code: 'malformed' });
    expect((await load({ tls: { cert: 'c.pem', key: 'k.pem' } })).tls).toEqual({ cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') });
  });
});

describe('a console that is started', () => {
  it('speaks TLS, to its own name alone, and starts with no key that others can read', async () => {
    await writeFile(join(folder, 'cert.pem'), CERTIFICATE);
    await writeFile(join(folder, 'key.pem'), KEY, { mode: 0o644 });
    for (const name of ASSET_NAMES) await writeFile(join(folder, name), `/* ${name} */`);
    const config = await load({ tls: { cert: 'cert.pem', key: 'key.pem' } });
    await expect(startConsole(config, { assets: folder })).rejects.toThrow(/others can read/);
    await rm(join(folder, 'key.pem'));
    await writeFile(join(folder, 'key.pem'), KEY, { mode: 0o600 });
    const started = await startConsole(config, { assets: folder });
    const ask = (host: string): Promise<number> => new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: new URL(started.address).port, path: '/signin', ca: CERTIFICATE, servername: 'localhost', headers: { host }, agent: false }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode!));
      }).on('error', reject).end();
    });
    expect([await ask('console.acme.example'), await ask('rebound.example')]).toEqual([200, 421]);
    await started.close();
  });

  it('says which of its parts is not built', async () => {
    await expect(startConsole(await load({}), { assets: folder })).rejects.toThrow(/no console\.css.*npm run verifier:build/);
  });
});
