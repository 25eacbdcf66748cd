/** What every page of the console is made with. */
import type { Hono } from 'hono';
import type { Client } from '../client/index.ts';
import type { Assets } from './assets.ts';
import type { OidcLogin } from './oidc.ts';
import type { Session, Sessions } from './sessions.ts';
import type { VerifierPage } from './verifier-page.ts';

/** A sidecar that people decide at. */
export interface Place {
  readonly name: string;
  /** Asks with this token, and can do no more than it may. */
  open(token: string): Client;
}

export interface ConsoleLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ConsoleContext {
  readonly publicUrl: URL;
  readonly places: readonly Place[];
  readonly sessions: Sessions;
  /** How people sign in; null: with a token of the sidecars. */
  readonly oidc: OidcLogin | null;
  readonly assets: Assets;
  /** What verifies offline, to be handed out; null where it is not built. */
  readonly verifier: VerifierPage | null;
  /** Whether what that address says of where a request comes from is believed. */
  readonly isTrustedProxy: (address: string) => boolean;
  readonly logger: ConsoleLogger;
  readonly nowMs: () => number;
  readonly random: (length: number) => Uint8Array;
  /** Aborted once the console is being stopped. */
  readonly draining: AbortSignal;
}

export interface ConsoleEnv {
  /** As Node's server hands it over. */
  Bindings: { readonly incoming?: { readonly socket: { readonly remoteAddress?: string | undefined } } };
  Variables: {
    /** Whose request it is; null where nobody is signed in. */
    session: Session | null;
  };
}
export type ConsoleApp = Hono<ConsoleEnv>;
