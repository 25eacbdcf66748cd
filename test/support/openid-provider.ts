/** A real OpenID Provider over TLS, whose access tokens for {@link RESOURCE} are JWTs that a sidecar can be made to take. Anybody logs in by a name. */
import type { Role } from '../../src/identity/tokens.ts';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK } from 'jose';
import { Provider } from 'oidc-provider';
import { CERTIFICATE, KEY } from './door-certificate.ts';
import { issuerKey } from './token-issuer.ts';

export const RESOURCE = 'https://countersign.acme.example';
export const AUDIENCE = 'countersign';
export const CLIENT_ID = 'console';
export const CLIENT_SECRET = 'a-secret-of-thirty-two-bytes-or-more';

export interface OpenIdProvider {
  readonly issuer: string;
  close(): Promise<void>;
}

/** @param callback where `console` is sent back to; `robot` has a token of its own */
export async function serveOpenIdProvider(callback: string): Promise<OpenIdProvider> {
  const server = createServer({ cert: CERTIFICATE, key: KEY });
  await new Promise<void>((resolve) => void server.listen(0, 'localhost', resolve));
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  const key = await issuerKey('rsa-1', 'RS256');
  const handle = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(key.secret)), kid: key.kid, alg: key.alg, use: 'sig' }] },
    clients: [
      { client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [callback], response_types: ['code'], grant_types: ['authorization_code'] },
      { client_id: 'robot', client_secret: CLIENT_SECRET, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
    ],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true, defaultResource: () => undefined, useGrantedResource: () => true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({ scope: 'changes', audience: resource === RESOURCE ? AUDIENCE : 'another', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  }).callback();
  server.on('request', (request, response) => handle(request, response));
  return {
    issuer,
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
  };
}

/** The directory with a login `u-<name>` of the issuer for each person. */
export function withLogins(directory: string, issuer: string): string {
  return directory.replaceAll(/\{id: person:([a-z-]+), (.*)\}$/gm, `{id: person:$1, $2, logins: [{issuer: '${issuer}', value: u-$1}]}`);
}

/** What `identity.issuers` of a configuration needs to take its tokens; `ca.pem` holds its certificate. */
export function issuerLines(issuer: string, roles: readonly Role[] = ['caller', 'approver']): string {
  return `identity:\n  issuers:\n    - {issuer: '${issuer}', audience: ${AUDIENCE}, algorithms: [RS256], typ: at+jwt, jwks: {url: '${issuer}/jwks', caFile: ca.pem, allowPrivate: true}, mapping: {kind: person, roles: [${roles.join(', ')}]}}\n`;
}
