/** A console over test sidecars, and a browser of sorts: it keeps cookies, and sends a form as a page of the console would. */
import { connect } from '../../src/client/index.ts';
import { createConsole } from '../../src/console/app.tsx';
import { assetOf, ASSET_NAMES, type Assets } from '../../src/console/assets.ts';
import type { Place } from '../../src/console/context.ts';
import type { OidcLogin } from '../../src/console/oidc.ts';
import { openSessions } from '../../src/console/sessions.ts';
import { LOOPBACK_RANGES, openRanges } from '../../src/console/source.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import type { ServedSidecar } from './served.ts';

export const CONSOLE = 'https://console.acme.example';

export interface Browsed {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly location: string | null;
}

export interface TestBrowser {
  get(path: string, headers?: Record<string, string>): Promise<Browsed>;
  /** As a browser does for a form of this console's own; `headers` overrides. */
  post(path: string, form: Record<string, string>, headers?: Record<string, string>): Promise<Browsed>;
  /** Signs in with a token, and finds the key of its forms. */
  signIn(token: string): Promise<void>;
  readonly formKey: () => string;
  readonly cookies: Map<string, string>;
}

export interface TestConsole {
  readonly app: ReturnType<typeof createConsole>;
  browser(): TestBrowser;
  /** What it logged. */
  readonly logged: string[];
  readonly draining: AbortController;
}

export function placeOf(name: string, { socket }: Pick<ServedSidecar, 'socket'>): Place {
  return { name, open: (token) => connect({ socket, token, timeoutMs: 5_000 }) };
}

export function openTestConsole(places: readonly Place[], { nowMs = Date.now, idleSeconds = 1_800, lifetimeSeconds = 36_000, oidc = null }: { nowMs?: () => number; idleSeconds?: number; lifetimeSeconds?: number; oidc?: OidcLogin | null } = {}): TestConsole {
  const logged: string[] = [];
  const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const draining = new AbortController();
  const assets = Object.fromEntries(ASSET_NAMES.map((name) => [name, assetOf(name, Buffer.from(`/* ${name} */`))])) as Assets;
  const app = createConsole({
    publicUrl: new URL(CONSOLE), places, assets, verifier: { bytes: Buffer.from('<!DOCTYPE html>verifier'), sha256: 'f'.repeat(64) }, nowMs, random: systemRandom, logger: { info: log, error: log }, draining: draining.signal, oidc,
    isTrustedProxy: openRanges(LOOPBACK_RANGES),
    sessions: openSessions({ idleSeconds, lifetimeSeconds }, nowMs, systemRandom),
  });
  const browser = (): TestBrowser => {
    const cookies = new Map<string, string>();
    let formKey = '';
    const send = async (path: string, init: RequestInit): Promise<Browsed> => {
      const headers = new Headers(init.headers);
      headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '));
      const answer = await app.request(`${CONSOLE}${path}`, { ...init, headers });
      for (const cookie of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
        if (value === '') cookies.delete(name!);
        else cookies.set(name!, value!);
      }
      const text = await answer.text();
      formKey = /name="formKey" value="([^"]+)"/.exec(text)?.[1] ?? formKey;
      return { status: answer.status, headers: answer.headers, text, location: answer.headers.get('location') };
    };
    const post: TestBrowser['post'] = (path, form, headers = {}) => send(path, {
      method: 'POST', body: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', origin: CONSOLE, ...headers },
    });
    const get: TestBrowser['get'] = (path, headers = {}) => send(path, { headers });
    return {
      cookies, get, post, formKey: () => formKey,
      async signIn(token) {
        const answer = await post('/signin', { token, then: '/' });
        if (answer.status !== 303) throw new Error(`${answer.status} ${answer.text}`);
        await get('/');
      },
    };
  };
  return { app, browser, logged, draining };
}
