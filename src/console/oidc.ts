/**
 * People sign in at their OpenID Provider, by authorization code with PKCE, state and nonce. What counts afterwards is her access token: the
 * sidecars verify it, and say who she is. The ID token shows that the answer is to what was asked; nothing else is read from it.
 */
import * as openid from 'openid-client';
import type { ConsoleConfig } from './config.ts';

/** A sign-in that has begun: what the answer will be held to. */
export interface BegunSignIn {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface OidcLogin {
  begin(): Promise<{ readonly url: URL; readonly begun: BegunSignIn }>;
  /** @param answered the address that the provider sent her back to. @throws Error where it is not an answer to what was begun */
  finish(answered: URL, begun: BegunSignIn): Promise<{ readonly token: string; readonly endsAtMs: number | null }>;
}

export interface OidcOptions {
  readonly config: Extract<ConsoleConfig['login'], { kind: 'oidc' }>;
  readonly clientSecret: string | null;
  readonly publicUrl: URL;
  readonly nowMs: () => number;
  readonly random: (length: number) => Uint8Array;
}

export const CALLBACK = '/signin/callback';

/** Asks the provider what it is when somebody first signs in, so that one that is away keeps nobody from starting this. */
export function oidcLogin({ config, clientSecret, publicUrl, nowMs, random }: OidcOptions): OidcLogin {
  const secret = (): string => Buffer.from(random(32)).toString('base64url');
  const resource = config.resource === undefined ? {} : { resource: config.resource };
  let provider: Promise<openid.Configuration> | null = null;
  const find = (): Promise<openid.Configuration> => {
    provider ??= openid
      .discovery(new URL(config.issuer), config.clientId, undefined, clientSecret === null ? openid.None() : openid.ClientSecretBasic(clientSecret))
      .catch((cause: unknown) => {
        provider = null;
        throw cause;
      });
    return provider;
  };
  return {
    async begin() {
      const begun = { state: secret(), nonce: secret(), verifier: secret() };
      const url = openid.buildAuthorizationUrl(await find(), {
        ...config.parameters, ...resource, redirect_uri: new URL(CALLBACK, publicUrl).href, scope: config.scopes.join(' '), state: begun.state, nonce: begun.nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(begun.verifier), code_challenge_method: 'S256',
      });
      return { url, begun };
    },
    async finish(answered, { state, nonce, verifier }) {
      const isOpenId = config.scopes.includes('openid');
      const tokens = await openid.authorizationCodeGrant(
        await find(), answered, { expectedState: state, pkceCodeVerifier: verifier, ...(isOpenId ? { expectedNonce: nonce, idTokenExpected: true } : {}) }, resource,
      );
      return { token: tokens.access_token, endsAtMs: tokens.expires_in === undefined ? null : nowMs() + tokens.expires_in * 1000 };
    },
  };
}
