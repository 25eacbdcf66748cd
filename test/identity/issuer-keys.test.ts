import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseKeys } from '../../src/identity/fetch-keys.ts';
import { openIssuers, type TokenIssuers } from '../../src/identity/issuers.ts';
import { COOL_DOWN_MS, keepKeys } from '../../src/identity/key-cache.ts';
import { CERTIFICATE, OTHER_CERTIFICATE } from '../support/door-certificate.ts';
import { issue, issuerConfig, issuerKey, serveKeys, writeKeys, type KeyServer } from '../support/token-issuer.ts';

const DIRECTORY = { v: 1 as const, people: [{ id: 'person:wei', name: 'wei', active: true, linked: [], logins: [{ issuer: 'https://issuer.example', value: 'u-wei' }] }], teams: [] };
let directory: string;
let server: KeyServer;
let nowMs: number;
let warned: Record<string, unknown>[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-keys-'));
  await writeFile(join(directory, 'ca.pem'), CERTIFICATE);
  server = await serveKeys([]);
  nowMs = Date.UTC(2026, 0, 2);
  warned = [];
});
afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

const open = (jwks: object = {}): Promise<TokenIssuers> => openIssuers([issuerConfig({ mapping: { kind: 'person', roles: ['caller'] }, jwks: { url: server.url, caFile: join(directory, 'ca.pem'), allowPrivate: true, ...jwks } })], {
  clock: { nowMs: () => nowMs, after: () => () => undefined }, facts: () => ({ directory: DIRECTORY }), userAgent: 'test',
  logger: { info: () => undefined, warn: (fields) => void warned.push(fields), error: () => undefined },
});
const WEI = expect.objectContaining({ principal: 'person:wei' }) as unknown;
const REFUSED = expect.objectContaining({ refused: 'token-refused' }) as unknown;
const UNAVAILABLE = expect.objectContaining({ refused: 'issuer-unavailable' }) as unknown;

describe('the keys of an issuer', () => {
  it('are asked for when the first token comes, once for all that come at the same time, and again when they are old', async () => {
    const key = await issuerKey('k1');
    server.serve([key.jwk]);
    const at = await open();
    expect(server.asked()).toBe(0);
    const token = await issue(key, { sub: 'u-wei' }, { nowMs });
    expect(await Promise.all(Array.from({ length: 20 }, () => at.authenticate(token)))).toEqual(Array.from({ length: 20 }, () => WEI));
    expect(server.asked()).toBe(1);
    nowMs += 299_999;
    await at.authenticate(token);
    expect(server.asked()).toBe(1);
    nowMs += 1;
    await at.authenticate(token);
    expect(server.asked()).toBe(2);
  });

  it('are found when they are new, and no longer count when they are gone', async () => {
    const [old, next] = [await issuerKey('k1'), await issuerKey('k2')];
    server.serve([old.jwk]);
    const at = await open();
    expect(await at.authenticate(await issue(old, { sub: 'u-wei' }, { nowMs }))).toEqual(WEI);
    server.serve([next.jwk]);
    nowMs += COOL_DOWN_MS;
    expect(await at.authenticate(await issue(next, { sub: 'u-wei' }, { nowMs }))).toEqual(WEI);
    expect(await at.authenticate(await issue(old, { sub: 'u-wei' }, { nowMs }))).toEqual(REFUSED);
    expect(server.asked()).toBe(2);
  });

  it('are not asked for as often as somebody sends tokens with keys that nobody has', async () => {
    const key = await issuerKey('k1');
    server.serve([key.jwk]);
    const at = await open();
    const ours = await issue(key, { sub: 'u-wei' }, { nowMs });
    const theirs = await Promise.all(Array.from({ length: 50 }, (_, n) => issue(key, { sub: 'u-wei' }, { nowMs, header: { kid: `x${n}` } })));
    await at.authenticate(ours);
    nowMs += COOL_DOWN_MS;
    for (const token of theirs) expect(await at.authenticate(token)).toEqual(REFUSED);
    await Promise.all(theirs.map((token) => at.authenticate(token)));
    expect(server.asked()).toBe(2);
    expect(await at.authenticate(ours)).toEqual(WEI);
  });

  it('count until their end while the issuer is down, and then nobody is let in, with an error that says so', async () => {
    const key = await issuerKey('k1');
    server.serve([key.jwk]);
    const at = await open();
    const token = async (): Promise<string> => issue(key, { sub: 'u-wei' }, { nowMs });
    expect(await at.authenticate(await token())).toEqual(WEI);
    server.serve(null);
    nowMs += 3_599_999;
    expect(await at.authenticate(await token())).toEqual(WEI);
    expect(warned).toEqual([expect.objectContaining({ issuer: 'https://issuer.example', error: 'it answered 503' })]);
    nowMs += 1;
    expect(await at.authenticate(await token())).toEqual(UNAVAILABLE);
    // Nor is an issuer that is down asked by every token.
    const asked = server.asked();
    await Promise.all(Array.from({ length: 20 }, async () => at.authenticate(await token())));
    expect(server.asked()).toBe(asked);
    server.serve([key.jwk]);
    nowMs += COOL_DOWN_MS;
    expect(await at.authenticate(await token())).toEqual(WEI);
  });

  it('do not get younger when the clock is set back', async () => {
    const key = await issuerKey('k1');
    server.serve([key.jwk]);
    const at = await open();
    const token = await issue(key, { sub: 'u-wei' }, { nowMs, header: {} });
    expect(await at.authenticate(token)).toEqual(WEI);
    server.serve(null);
    nowMs -= 3_600_000;
    expect(await at.authenticate(token)).toEqual(UNAVAILABLE);
  });

  it.each<[string, () => object, RegExp]>([
    ['from an address that is not allowed', () => ({ allowPrivate: false }), /address is not allowed/],
    ['from a server with another certificate', () => ({ caFile: join(directory, 'other.pem') }), /cannot be reached \([A-Z_]+\)/],
    ['by way of a redirect', () => ({ url: server.url.replace('/jwks', '/elsewhere') }), /answered 302/],
    ['that nobody serves', () => ({ url: 'https://localhost:1/jwks' }), /cannot be reached \(ECONNREFUSED\)/],
  ])('are not taken %s', async (_name, jwks, why) => {
    await writeFile(join(directory, 'other.pem'), OTHER_CERTIFICATE);
    const key = await issuerKey('k1');
    server.serve([key.jwk]);
    expect(await (await open(jwks())).authenticate(await issue(key, { sub: 'u-wei' }, { nowMs }))).toEqual(UNAVAILABLE);
    expect(warned).toEqual([expect.objectContaining({ error: expect.stringMatching(why) as unknown })]);
  });

  it('in a file are read at the start, and again as often', async () => {
    const [old, next] = [await issuerKey('k1'), await issuerKey('k2')];
    const file = await writeKeys(directory, [old.jwk]);
    const at = await open({ url: undefined, caFile: undefined, file });
    await writeKeys(directory, [next.jwk]);
    expect(await at.authenticate(await issue(old, { sub: 'u-wei' }, { nowMs }))).toEqual(WEI);
    nowMs += COOL_DOWN_MS;
    expect(await at.authenticate(await issue(next, { sub: 'u-wei' }, { nowMs }))).toEqual(WEI);
    expect(server.asked()).toBe(0);
  });

  it('in no file keep the sidecar from starting', async () => {
    await expect(open({ url: undefined, caFile: undefined, file: join(directory, 'absent.json') })).rejects.toThrow('cannot be read (ENOENT)');
  });

  it.each<[string, string, string]>([
    ['no JSON', 'x', 'no JSON'], ['a list', '[]', 'no JWK set'], ['keys that are none', '{"keys":[1]}', 'no JWK set'], ['too many', JSON.stringify({ keys: Array.from({ length: 65 }, () => ({})) }), 'more than 64'],
    ['a private key', '{"keys":[{"kty":"EC","d":"x"}]}', 'secret key'], ['a symmetric key', '{"keys":[{"kty":"oct","k":"x"}]}', 'secret key'], ['too much', ' '.repeat(262_145), 'more than 262144 bytes'],
  ])('are not %s', (_name, text, why) => {
    expect(() => parseKeys(Buffer.from(text), false)).toThrow(why);
  });
});

describe('keys that are kept', () => {
  it('are asked for once at a time, though the clock is set back meanwhile', async () => {
    let now = 100_000;
    let loads = 0;
    let arrive: (keys: object) => void = () => undefined;
    const load = (): Promise<object> => new Promise((resolve) => {
      loads += 1;
      arrive = resolve;
    });
    const cache = keepKeys<object>({ clock: { nowMs: () => now }, load, failed: () => undefined, refreshMs: 100_000, keepMs: 200_000 });
    const first = cache.keys();
    now = 0;
    const second = cache.keys();
    arrive({ n: 1 });
    expect(await Promise.all([first, second])).toEqual([{ n: 1 }, { n: 1 }]);
    expect(loads).toBe(1);
  });

  it('are those at hand while the next are on their way and none is missing', async () => {
    let now = 0;
    let arrive: (keys: object) => void = () => undefined;
    const cache = keepKeys<object>({ clock: { nowMs: () => now }, load: () => new Promise((resolve) => (arrive = resolve)), failed: () => undefined, refreshMs: 100_000, keepMs: 200_000 }, { n: 1 });
    now = 50_000;
    const newer = cache.keys('newer');
    expect(await cache.keys()).toEqual({ n: 1 });
    arrive({ n: 2 });
    expect(await newer).toEqual({ n: 2 });
  });
});
