/** A running console: its configuration read, its door open. */
import { readFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { readPrivateFile } from '../identity/private-file.ts';
import { listenOnAddress } from '../sidecar/listen.ts';
import { createConsole } from './app.tsx';
import { builtAssets, readAssets } from './assets.ts';
import type { ConsoleConfig } from './config.ts';
import { oidcLogin, type OidcLogin } from './oidc.ts';
import { openPlaces } from './places.ts';
import { openSessions } from './sessions.ts';
import { openRanges } from './source.ts';
import { readVerifierPage } from './verifier-page.ts';

export interface Console {
  /** Where it listens; people reach it at `publicUrl`. */
  readonly address: string;
  close(): Promise<void>;
}

const DRAIN_MS = 5_000;

/** @throws ListenError, PrivateFileError, TrustError, or Error where its pages are not built */
export async function startConsole(config: ConsoleConfig, { assets = builtAssets(), nowMs = Date.now }: { assets?: string; nowMs?: () => number } = {}): Promise<Console> {
  const logger = pino({ level: config.logLevel, base: null, redact: ['token', 'passkey'] }, pino.destination({ fd: 2, sync: false }));
  const random = (length: number): Uint8Array => randomBytes(length);
  const publicUrl = new URL(config.publicUrl);
  const draining = new AbortController();
  const made = {
    publicUrl, nowMs, random, logger, draining: draining.signal, oidc: await openLogin(config, publicUrl, nowMs, random), assets: await readAssets(assets), verifier: await readVerifierPage(join(dirname(assets), 'verifier.html')), sessions: openSessions(config.session, nowMs, random),
    isTrustedProxy: openRanges(config.trustedProxies),
  };
  const tls = config.tls === undefined ? null : { cert: await readFile(config.tls.cert, 'utf8'), key: Buffer.from(await readPrivateFile(config.tls.key)).toString('utf8') };
  const places = await openPlaces(config, { nowMs, random, logger });
  const app = createConsole({ ...made, places: places.all });
  const listening = await listenOnAddress(config.listen.host, config.listen.port, tls, app.fetch).catch(async (cause: unknown) => {
    // A bus that is still being dialled would keep the process.
    await places.close();
    throw cause;
  });
  return {
    address: listening.address,
    async close() {
      draining.abort();
      await listening.close(DRAIN_MS);
      await places.close();
    },
  };
}

async function openLogin({ login }: ConsoleConfig, publicUrl: URL, nowMs: () => number, random: (length: number) => Uint8Array): Promise<OidcLogin | null> {
  if (login.kind === 'token') return null;
  const clientSecret = login.clientSecretFile === undefined ? null : Buffer.from(await readPrivateFile(login.clientSecretFile)).toString('utf8').trim();
  return oidcLogin({ config: login, clientSecret, publicUrl, nowMs, random });
}
