/** What a console may be configured with: a mistake is named, and nothing is started by half. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateSignerKey, logIdOf, parseTrustPolicy } from '../../ledger/index.ts';
import { ASSET_NAMES } from '../../src/console/assets.ts';
import { loadConsoleConfig } from '../../src/console/config.ts';
import { namedByOrigin } from '../../src/console/places.ts';
import { startConsole } from '../../src/console/start.ts';
import { CERTIFICATE, KEY } from '../support/door-certificate.ts';

const GOOD = { publicUrl: 'https://console.acme.example', listen: { port: 0 }, sidecars: [{ name: 'eu', url: 'http://127.0.0.1:8099' }], login: { kind: 'token' }, logLevel: 'silent' };
const BUS = { servers: ['nats://127.0.0.1:4222'], seed: 'console.seed' };
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
    ['/nats', { sidecars: 'bus', trust: 'trust' }],
    ['/trust', { sidecars: [{ name: 'us', log: 'us.example/log' }], nats: BUS }],
    ['/nats', { nats: BUS }],
    ['/sidecars', { sidecars: 'all', nats: BUS, trust: 'trust' }],
    ['/sidecars/0', { sidecars: [{ name: 'us', log: 'us.example/log', url: 'http://127.0.0.1:8099' }], nats: BUS, trust: 'trust' }],
    ['/trustedProxies/0', { trustedProxies: ['proxy.internal'] }],
    ['/trustedProxies/1', { trustedProxies: ['10.1.0.0/16', '0.0.0.0/0'] }],
    ['/trustedProxies/0', { trustedProxies: ['10.1.0.0/33'] }],
    ['/trustedProxies/0', { trustedProxies: ['10.1.0.0/16/8'] }],
    ['/trustedProxies/0', { trustedProxies: ['fe80::1%eth0'] }],
    ['/trustedProxies/0', { trustedProxies: ['::ffff:10.1.0.0/112'] }],
    ['/login', { login: { kind: 'anybody' } }],
    ['/login/issuer', { login: { kind: 'oidc', issuer: 'http://login.acme.example', clientId: 'c' } }],
  ])('names %s', async (pointer, edit) => {
    await expect(load(edit)).rejects.toMatchObject({ code: 'malformed', issues: expect.arrayContaining([expect.objectContaining({ pointer: expect.stringContaining(pointer) as unknown })]) as unknown });
  });

  it('refuses what it does not know, and takes paths from its own folder', async () => {
    await expect(load({ sesion: {} })).rejects.toMatchObject({ code: 'malformed' });
    expect((await load({})).trustedProxies).toEqual(['127.0.0.0/8', '::1']);
    expect((await load({ tls: { cert: 'c.pem', key: 'k.pem' } })).tls).toEqual({ cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') });
    expect(await load({ sidecars: 'bus', nats: { ...BUS, caFile: 'ca.pem' }, trust: 'trust' })).toMatchObject({ sidecars: 'bus', trust: join(folder, 'trust'), nats: { seed: join(folder, 'console.seed'), caFile: join(folder, 'ca.pem') } });
  });
});

describe('a console that is started', () => {
  it('speaks TLS, to its own name alone, and starts with no key that others can read', async () => {
    await writeFile(join(folder, 'cert.pem'), CERTIFICATE);
    await writeFile(join(folder, 'key.pem'), KEY, { mode: 0o644 });
    for (const name of ASSET_NAMES) await writeFile(join(folder, name), `/* ${name} */`);
    const config = await load({ tls: { cert: 'cert.pem', key: 'key.pem' }, trustedProxies: ['127.0.0.1', '10.1.0.0/16'] });
    await expect(startConsole(config, { assets: folder })).rejects.toThrow(/others can read/);
    await rm(join(folder, 'key.pem'));
    await writeFile(join(folder, 'key.pem'), KEY, { mode: 0o600 });
    const started = await startConsole(config, { assets: folder });
    const ask = (host: string, method = 'GET', headers: Record<string, string> = {}): Promise<number> => new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: new URL(started.address).port, method, path: '/signin', ca: CERTIFICATE, servername: 'localhost', headers: { host, 'sec-fetch-site': 'same-origin', ...headers }, agent: false }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode!));
      }).on('error', reject).end();
    });
    expect([await ask('console.acme.example'), await ask('rebound.example')]).toEqual([200, 421]);
    // By the address of the connection, or that which stands before the proxies that are trusted.
    let status = 401;
    for (let n = 0; n < 200 && status === 401; n += 10) status = Math.max(...(await Promise.all(Array.from({ length: 10 }, () => ask('console.acme.example', 'POST')))));
    expect([status, await ask('console.acme.example', 'POST', { 'x-forwarded-for': '192.0.2.1' }), await ask('console.acme.example', 'POST', { 'x-forwarded-for': '192.0.2.2, 10.1.2.3' })]).toEqual([429, 401, 401]);
    await started.close();
  });

  it('does not start for a sidecar on the bus whose key nobody has given it', async () => {
    await mkdir(join(folder, 'trust'));
    const { vkey } = generateSignerKey('us.example/log', new Uint8Array(32).fill(1));
    const files = { 'trust.policy': `log ${vkey}\nquorum none\n`, 'sidecars.json': '[]', 'executors.json': '[]', 'requirements.json': JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0 }) };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'trust', name), text);
    for (const name of ASSET_NAMES) await writeFile(join(folder, name), `/* ${name} */`);
    const start = async (sidecars: unknown): Promise<unknown> => startConsole(await load({ sidecars, nats: BUS, trust: 'trust', publicUrl: 'http://localhost:1' }), { assets: folder });
    await expect(start('bus')).rejects.toThrow(/names no sidecar/);
    await expect(start([{ name: 'us', log: 'us.example/log' }])).rejects.toThrow(/no key for the log us\.example\/log/);
  });

  it('says which of its parts is not built', async () => {
    await expect(startConsole(await load({}), { assets: folder })).rejects.toThrow(/no console\.css.*npm run verifier:build/);
  });
});

describe('sidecars on the bus', () => {
  it('are named by the origins of their logs, as far as those can be in an address and are told apart', () => {
    const origins = ['Countersign.example/EU', 'countersign.example/eu', 'us.example/log', `${'long.'.repeat(8)}example/log`, 'retired.example/log'];
    const policy = parseTrustPolicy(`${origins.map((origin, index) => `log ${generateSignerKey(origin, new Uint8Array(32).fill(index + 1)).vkey}`).join('\n')}\nquorum none\n`);
    const sidecars = new Map(origins.slice(0, 4).map((origin) => [logIdOf(origin), []]));
    expect(namedByOrigin({ policy, sidecars })).toEqual(origins.slice(0, 4).map((log) => ({ name: log === 'us.example/log' ? 'us-example-log' : logIdOf(log), log })));
  });
});
