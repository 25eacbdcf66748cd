/** An issuer of tokens with real keys, and what a sidecar that takes them is configured with. */
import { createServer, type Server } from 'node:https';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { identitySchema, type IssuerConfig } from '../../src/identity/issuer-config.ts';
import { CERTIFICATE, KEY } from './door-certificate.ts';

export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'countersign.example';

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly secret: CryptoKey;
  readonly jwk: JWK;
}

export async function issuerKey(kid: string, alg = 'ES256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, secret: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** A token that holds, at `nowMs`, but for what is said otherwise; `undefined` leaves a claim out. */
export function issue(key: IssuerKey, claims: Record<string, unknown>, { nowMs = Date.now(), header = {} }: { nowMs?: number; header?: Record<string, unknown> } = {}): Promise<string> {
  const at = Math.floor(nowMs / 1000);
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, iat: at, exp: at + 600, ...claims }).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }).sign(key.secret);
}

export async function writeKeys(directory: string, keys: readonly JWK[], name = 'jwks.json'): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, JSON.stringify({ keys }));
  return file;
}

type Given = Omit<Partial<IssuerConfig>, 'mapping' | 'jwks' | 'algorithms'> & { readonly mapping: object; readonly jwks: object; readonly algorithms?: readonly string[] };

/** As the configuration reads it. */
export function issuerConfig(given: Given): IssuerConfig {
  return identitySchema.parse({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, algorithms: ['ES256'], ...given }] }).issuers[0]!;
}

export interface KeyServer {
  readonly url: string;
  /** How often it was asked. */
  readonly asked: () => number;
  /** What it answers from now on; null: it answers 503. */
  serve(keys: readonly JWK[] | null): void;
  readonly server: Server;
  close(): Promise<void>;
}

/** Serves a JWKS at https://localhost, with the certificate of `door-certificate.ts`. */
export async function serveKeys(first: readonly JWK[]): Promise<KeyServer> {
  let keys: readonly JWK[] | null = first;
  let asked = 0;
  const server = createServer({ cert: CERTIFICATE, key: KEY }, (request, response) => {
    asked += 1;
    if (request.url === '/elsewhere') return void response.writeHead(302, { location: '/jwks' }).end();
    response.writeHead(keys === null ? 503 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(keys === null ? {} : { keys }));
  });
  await new Promise<void>((resolve) => void server.listen(0, 'localhost', resolve));
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}/jwks`, server, asked: () => asked,
    serve: (next) => void (keys = next),
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
  };
}
