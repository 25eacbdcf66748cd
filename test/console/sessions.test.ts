/** Who is signed in, for how long, and what another page in her browser can do: nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeView } from '../../src/client/index.ts';
import type { OidcLogin } from '../../src/console/oidc.ts';
import { openSessions } from '../../src/console/sessions.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { CONSOLE, openTestConsole, placeOf, type TestBrowser, type TestConsole } from '../support/console.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { GRANT, tokenOf } from '../support/sidecar.ts';

const MINUTE_MS = 60_000;
let sidecar: ServedSidecar;
let console: TestConsole;
let change: ChangeView;
let nowMs = Date.now();
beforeAll(async () => {
  sidecar = await serveTestSidecar();
  console = openTestConsole([placeOf('eu', sidecar)], { nowMs: () => nowMs, idleSeconds: 600, lifetimeSeconds: 1_800 });
  change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
});
afterAll(async () => sidecar.close());

async function signedIn(principal = 'person:wei'): Promise<TestBrowser> {
  const browser = console.browser();
  await browser.signIn(tokenOf(principal));
  return browser;
}
const reject = (browser: TestBrowser, form: Record<string, string> = {}, headers?: Record<string, string>): ReturnType<TestBrowser['post']> =>
  browser.post(`/changes/eu/${change.id}/reject`, { formKey: browser.formKey(), planDigest: change.planDigest!, comment: 'typed with care', ...form }, headers);
const isPending = async (): Promise<boolean> => (await sidecar.client('person:wei').get(change.id)).state === 'pending';

describe('a sign-in at a provider', () => {
  let began = 0;
  const provider: OidcLogin = {
    async begin() {
      began += 1;
      return { url: new URL(`https://login.acme.example/?state=${began}`), begun: { state: String(began), nonce: 'n', verifier: 'v' } };
    },
    async finish(answered, { state }) {
      if (answered.searchParams.get('state') !== state) throw new Error('another sign-in');
      return { token: tokenOf('person:wei'), endsAtMs: null };
    },
  };

  it('is not forgotten for however many that others begin, and is her browser’s alone', async () => {
    const asked = openTestConsole([placeOf('eu', sidecar)], { nowMs: () => nowMs, oidc: provider });
    const [wei, mallory] = [asked.browser(), asked.browser()];
    const hers = await wei.get('/signin/provider?then=/leases');
    for (let n = 0; n < 10_001; n += 1) await asked.app.request(`${CONSOLE}/signin/provider`);
    await mallory.get('/signin/provider');
    const answer = `/signin/callback?code=c&state=${new URL(hers.location!).searchParams.get('state')!}`;
    expect((await mallory.get(answer)).status).toBe(400);
    expect((await asked.browser().get(answer)).status).toBe(400);
    const back = await wei.get(answer);
    expect([back.status, back.location]).toEqual([303, '/leases']);
    expect((await wei.get('/leases')).status).toBe(200);
    // Once, and not again.
    expect((await wei.get(answer)).status).toBe(400);
  });

  it('is too old after a while, and one that was altered is none', async () => {
    let atMs = nowMs;
    const asked = openTestConsole([placeOf('eu', sidecar)], { nowMs: () => atMs, oidc: provider });
    const begin = async (): Promise<{ browser: TestBrowser; answer: string }> => {
      const browser = asked.browser();
      const { location } = await browser.get('/signin/provider');
      return { browser, answer: `/signin/callback?code=c&state=${new URL(location!).searchParams.get('state')!}` };
    };
    const [late, altered] = [await begin(), await begin()];
    const name = '__Host-countersign-signin';
    const sealed = Buffer.from(altered.browser.cookies.get(name)!, 'base64url');
    sealed[40]! ^= 1;
    altered.browser.cookies.set(name, sealed.toString('base64url'));
    expect((await altered.browser.get(altered.answer)).status).toBe(400);
    atMs += 10 * MINUTE_MS;
    expect((await late.browser.get(late.answer)).status).toBe(400);
  });
});

describe('a sign-in with a token', () => {
  const GUESS = 'cst_as-good-as-any';
  it('is looked at as often as at other doors, by where it comes from: a guess costs more', async () => {
    const asked = openTestConsole([placeOf('eu', sidecar)], { nowMs: () => nowMs });
    const from = async (remoteAddress: string, token: string, headers: Record<string, string> = {}): Promise<{ status: number; after: string | null }> => {
      const answer = await asked.app.request(`${CONSOLE}/signin`, { method: 'POST', body: new URLSearchParams({ token, then: '/' }), headers: { 'sec-fetch-site': 'same-origin', ...headers } }, { incoming: { socket: { remoteAddress } } });
      return { status: answer.status, after: answer.headers.get('retry-after') };
    };
    const guesses = async (address: string, headers?: Record<string, string>): Promise<number> => {
      for (let count = 0; ; count += 1) if ((await from(address, GUESS, headers)).status === 429) return count;
    };
    expect(await guesses('192.0.2.1')).toBe(5);
    expect(await from('192.0.2.1', tokenOf('person:wei'))).toEqual({ status: 429, after: '10' });
    expect((await from('192.0.2.2', tokenOf('person:wei'))).status).toBe(303);
    // Of what ends TLS on this machine, by the address that it has put last; of anything else, whatever it says.
    expect(await guesses('127.0.0.1', { 'x-forwarded-for': '198.51.100.7, 192.0.2.3' })).toBe(5);
    expect((await from('::ffff:127.0.0.1', GUESS, { 'x-forwarded-for': '192.0.2.3, 198.51.100.7' })).status).toBe(401);
    expect(await guesses('192.0.2.4', { 'x-forwarded-for': '198.51.100.8' })).toBe(5);
    expect((await from('192.0.2.4', GUESS, { 'x-forwarded-for': '198.51.100.9' })).status).toBe(429);
    nowMs += 10_000;
    expect((await from('192.0.2.1', tokenOf('person:wei'))).status).toBe(303);
  });

  it('that no sidecar could answer is no guess', async () => {
    const asked = openTestConsole([placeOf('us', { socket: '/nowhere/s' })], { nowMs: () => nowMs }).browser();
    for (let n = 0; n < 10; n += 1) expect((await asked.post('/signin', { token: GUESS, then: '/' })).status).toBe(401);
  });
});

describe('a session', () => {
  it('has a cookie that no script reads, no other site sends with a form, and no plain connection carries; no token is in it', async () => {
    const browser = console.browser();
    const answer = await browser.post('/signin', { token: tokenOf('person:wei'), then: '/changes' });
    expect(answer.location).toBe('/changes');
    const [cookie] = answer.headers.getSetCookie();
    expect(cookie).toMatch(/^__Host-countersign-session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect((await browser.get('/')).text).not.toContain(tokenOf('person:wei'));
  });

  it('is another one with each sign-in, and the one before is over', async () => {
    const browser = await signedIn();
    const before = browser.cookies.get('__Host-countersign-session')!;
    await browser.signIn(tokenOf('person:wei'));
    expect(browser.cookies.get('__Host-countersign-session')).not.toBe(before);
    browser.cookies.set('__Host-countersign-session', before);
    expect((await browser.get('/')).location).toBe('/signin?then=%2F&over');
  });

  it('ends when it is not used, and however it is used', async () => {
    const idle = await signedIn();
    nowMs += 10 * MINUTE_MS;
    expect((await idle.get('/')).location).toBe('/signin?then=%2F&over');
    const used = await signedIn();
    for (let minutes = 9; minutes < 30; minutes += 9) {
      nowMs += 9 * MINUTE_MS;
      expect((await used.get('/')).status).toBe(200);
    }
    nowMs += 3 * MINUTE_MS;
    expect((await used.get('/')).location).toContain('/signin');
  });

  it('is not kept going by a page that is left open', async () => {
    const browser = await signedIn();
    nowMs += 9 * MINUTE_MS;
    const cookie = `__Host-countersign-session=${browser.cookies.get('__Host-countersign-session')!}`;
    const open = await console.app.request(`${CONSOLE}/stream`, { headers: { cookie } });
    expect([open.status, open.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    await open.body!.cancel();
    nowMs += 2 * MINUTE_MS;
    expect((await console.app.request(`${CONSOLE}/stream`, { headers: { cookie } })).status).toBe(401);
  });

  it('that is over decides nothing, says so, and gives back what was typed', async () => {
    const browser = await signedIn();
    nowMs += 11 * MINUTE_MS;
    const answer = await reject(browser);
    expect(answer.status).toBe(401);
    expect(answer.text).toContain('nothing was decided');
    expect(answer.text).toContain('typed with care');
    expect(answer.text).toContain(`value="/changes/eu/${change.id}"`);
    expect(await isPending()).toBe(true);
  });

  it('is ended by signing out', async () => {
    const browser = await signedIn();
    const cookie = browser.cookies.get('__Host-countersign-session')!;
    await browser.post('/signout', { formKey: browser.formKey() });
    browser.cookies.set('__Host-countersign-session', cookie);
    expect((await browser.get('/')).status).toBe(303);
  });

  it('is not ended by however many sign in with what no sidecar takes: it is one once a sidecar has', () => {
    const sessions = openSessions({ idleSeconds: 600, lifetimeSeconds: 1_800 }, () => nowMs, systemRandom);
    const hers = sessions.make('cst_hers', null);
    expect(sessions.find(hers.id, true)).toBe(null);
    sessions.begin(hers);
    for (let n = 0; n < 10_001; n += 1) sessions.make('cst_wrong', null);
    expect(sessions.find(hers.id, true)).toBe(hers);
  });

  it('is not given for a token that no sidecar takes', async () => {
    const browser = console.browser();
    const answer = await browser.post('/signin', { token: 'cst_wrong', then: '/' });
    expect([answer.status, browser.cookies.size]).toEqual([401, 0]);
    expect(answer.text).not.toContain('cst_wrong');
  });
});

describe('another page in her browser', () => {
  it.each([
    ['without the key of our forms', { formKey: '' }, {}, 401],
    ['with the key of somebody else’s session', { formKey: 'x'.repeat(43) }, {}, 401],
    ['from another site', {}, { 'sec-fetch-site': 'cross-site' }, 403],
    ['from another name of the same site', {}, { 'sec-fetch-site': 'same-site' }, 403],
    ['from another origin', {}, { origin: 'https://evil.example' }, 403],
    ['from nowhere that says so', {}, { origin: 'null' }, 403],
  ])('decides nothing %s', async (_how, form, headers, status) => {
    expect((await reject(await signedIn(), form, headers)).status).toBe(status);
    expect(await isPending()).toBe(true);
  });

  it('decides nothing by a link', async () => {
    const browser = await signedIn();
    for (const deed of ['approve', 'reject', 'reduce', 'withdraw', 'revoke']) expect((await browser.get(`/changes/eu/${change.id}/${deed}`)).status).toBe(404);
    expect(await isPending()).toBe(true);
  });

  it('sends nobody elsewhere after a sign-in', async () => {
    for (const then of ['https://evil.example/', '//evil.example/', '/\\evil.example', '/.//evil.example/', '/x/..//evil.example/', 'javascript:alert(1)']) {
      expect((await console.browser().post('/signin', { token: tokenOf('person:wei'), then })).location).toBe('/');
    }
  });

  it('cannot frame a page of ours, nor put a script into it', async () => {
    const { headers } = await (await signedIn()).get('/');
    const policy = headers.get('content-security-policy')!;
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'", "require-trusted-types-for 'script'"]) expect(policy).toContain(part);
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect([headers.get('cache-control'), headers.get('strict-transport-security')]).toEqual(['no-store', 'max-age=31536000']);
  });

  it('is not answered under another name', async () => {
    expect((await console.app.request('https://rebound.example/', {})).status).toBe(421);
  });
});
