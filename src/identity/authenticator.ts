/** Who asks, by whichever kind of bearer token: one of the file here first, then one of a configured issuer. */
import type { TokenIssuers } from './issuers.ts';
import type { Authenticated, Refused, Tokens } from './tokens.ts';

export interface Authenticator {
  /** null for no token at all, or for one that is nobody's. */
  authenticate(authorization: string | undefined): Authenticated | Refused | null | Promise<Authenticated | Refused | null>;
}

/** Three parts in base64url, none empty: one that is not signed is none. Longer ones than this come in no header. @see RFC 7515 §7.1 */
const JWT = /^Bearer ((?=.{1,16384}$)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i;

export function makeAuthenticator(tokens: Tokens, issuers: TokenIssuers | null): Authenticator {
  return {
    authenticate(authorization) {
      const token = JWT.exec(authorization ?? '')?.[1];
      return tokens.authenticate(authorization) ?? (issuers === null || token === undefined ? null : issuers.authenticate(token));
    },
  };
}
