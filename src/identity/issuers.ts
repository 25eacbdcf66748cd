/**
 * Bearer tokens that others issue: JSON Web Tokens of the configured issuers, each verified by that issuer's own keys and rules, or refused.
 *
 * Whatever the token says of how to verify it is not asked: its issuer's keys, algorithms and audience are the configuration's.
 *
 * @see RFC 7519, RFC 8725 (best current practices), RFC 9068, RFC 8693 §4.1 (actors), SPIFFE JWT-SVID
 */
import type * as jose from 'jose';
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyResult, ProtectedHeaderParameters } from 'jose';
import type { Clock, Logger } from '../engine/ports.ts';
import type { Facts } from '../facts/load.ts';
import { authenticationSchema } from '../protocol/authentication.ts';
import { readActChain } from './act-chain.ts';
import { IssuerKeysError, loadKeys } from './fetch-keys.ts';
import type { IssuerConfig } from './issuer-config.ts';
import { keepKeys, type KeyCache } from './key-cache.ts';
import { mapActor, mapClaims, type Mapped } from './map-claims.ts';
import type { Authenticated, Refused, Role } from './tokens.ts';

export interface TokenIssuers {
  /** Who comes with this token, or why nobody does. Never rejects for what is in it. */
  authenticate(token: string): Promise<Authenticated | Refused>;
}

export interface IssuersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly facts: () => Pick<Facts, 'directory'>;
  readonly userAgent: string;
}

type Jose = typeof jose;
interface Issuer {
  readonly config: IssuerConfig;
  readonly cache: KeyCache<JWTVerifyGetKey>;
}

const TYPES: ReadonlySet<string> = new Set(['JWT', 'AT+JWT', 'JOSE']);
/** By these a token would say itself what it is verified by. @see RFC 8725 §3.10 */
const KEY_HEADERS = ['jku', 'jwk', 'x5u', 'x5c'];
/** Nobody acts for another with these: they are a person's, or an operator's, to use herself. */
const NEVER_DELEGATED: ReadonlySet<Role> = new Set(['approver', 'eraser']);

/**
 * Reads key files now; asks at URLs when the first token comes, so that no issuer keeps the sidecar from starting.
 *
 * @throws IssuerKeysError for a file that holds no keys
 */
export async function openIssuers(configs: readonly IssuerConfig[], { clock, logger, facts, userAgent }: IssuersOptions): Promise<TokenIssuers> {
  // Loaded here: where there are no issuers, no start waits for it.
  const library: Jose = await import('jose');
  const issuers = new Map<string, Issuer>();
  for (const config of configs) {
    const { issuer, jwks } = config;
    const load = async (): Promise<JWTVerifyGetKey> => library.createLocalJWKSet(await loadKeys(config, clock, userAgent));
    const first = jwks.file === undefined ? null : await load();
    const failed = (error: unknown): void => logger.warn({ issuer, error: error instanceof IssuerKeysError ? error.message : 'the keys are not usable' }, 'the keys of an issuer could not be had; those at hand count until their end');
    issuers.set(issuer, { config, cache: keepKeys({ clock, load, failed, refreshMs: jwks.refreshSeconds * 1000, keepMs: jwks.keepSeconds * 1000 }, first) });
  }
  return {
    async authenticate(token) {
      let header: ProtectedHeaderParameters;
      let claimed: JWTPayload;
      try {
        [header, claimed] = [library.decodeProtectedHeader(token), library.decodeJwt(token)];
      } catch {
        return refused('it is no JSON Web Token');
      }
      const known = issuers.get(issuerNamed(claimed));
      if (known === undefined) return refused('its issuer is none of those configured');
      const wrong = headerFault(header, known.config);
      if (wrong !== null) return refused(wrong);
      const verified = await verify(library, token, known, clock.nowMs());
      if ('refused' in verified) return verified;
      const unfit = claimsFault(verified.payload, known.config, clock.nowMs());
      return unfit === null ? whoIs(known.config, verified, facts().directory) : refused(unfit);
    },
  };

  async function verify(from: Jose, token: string, { config, cache }: Issuer, nowMs: number): Promise<(JWTVerifyResult & { readonly key: string }) | Refused> {
    const { issuer, audience, algorithms, clockToleranceSeconds } = config;
    const options = {
      audience, algorithms: [...algorithms], clockTolerance: clockToleranceSeconds, currentDate: new Date(nowMs), requiredClaims: ['exp', 'sub'],
      ...(issuer.startsWith('spiffe:') ? {} : { issuer }),
    };
    const by = async (keys: JWTVerifyGetKey): Promise<JWTVerifyResult & { readonly key: string }> => {
      const { key, ...result } = await from.jwtVerify(token, keys, options);
      // A set of public keys holds no other kind.
      if (key instanceof Uint8Array) throw new from.errors.JWKSInvalid();
      return { ...result, key: `sha256:${Buffer.from(await from.calculateJwkThumbprint(key, 'sha256'), 'base64url').toString('hex')}` };
    };
    let keys = await cache.keys();
    try {
      if (keys === null) return unavailable(issuer);
      try {
        return await by(keys);
      } catch (error) {
        if (!(error instanceof from.errors.JWKSNoMatchingKey)) throw error;
        // Its key may be newer than those at hand.
        const newer = await cache.keys('newer');
        if (newer === null) return unavailable(issuer);
        if (newer === keys) throw error;
        keys = newer;
        return await by(keys);
      }
    } catch (error) {
      if (error instanceof from.errors.JOSEError) return refused(reasonOf(from, error));
      // What the platform's cryptography throws at a key or a signature that is none.
      return refused('it cannot be verified by its issuer’s keys');
    }
  }
}

/** `iss`; of a JWT-SVID without one, its trust domain. */
function issuerNamed({ iss, sub }: Readonly<Record<string, unknown>>): string {
  if (typeof iss === 'string') return iss;
  return iss === undefined && typeof sub === 'string' ? (/^spiffe:\/\/[a-z0-9._-]+(?=\/)/.exec(sub)?.[0] ?? '') : '';
}

function headerFault(header: ProtectedHeaderParameters, { algorithms, typ }: IssuerConfig): string | null {
  if (!algorithms.some((algorithm) => algorithm === header.alg)) return 'its algorithm is none of those configured for its issuer';
  if (KEY_HEADERS.some((name) => Object.hasOwn(header, name))) return 'it says itself by which key it is verified';
  // Nobody has looked at what kind of value it is: the header is as it came.
  if (header.typ !== undefined && typeof header.typ !== 'string') return 'it is of another type';
  const type = header.typ?.toUpperCase().replace(/^APPLICATION\//, '');
  if (typ === undefined ? type !== undefined && !TYPES.has(type) : type !== typ.toUpperCase()) return 'it is of another type';
  return null;
}

/** Of verified claims. */
function claimsFault({ sub, exp, cnf }: JWTPayload, { issuer, lifetimeSeconds, clockToleranceSeconds }: IssuerConfig, nowMs: number): string | null {
  if (!authenticationSchema.shape.subject.safeParse(sub).success) return 'its claim sub is no subject';
  if (issuer.startsWith('spiffe:') && !sub!.startsWith(`${issuer}/`)) return 'its claim sub is of another trust domain';
  if (exp! - nowMs / 1000 > lifetimeSeconds + clockToleranceSeconds) return 'it is good for longer than is taken';
  // Whoever holds a token that is bound to a key must show the key, which a bearer does not. RFC 7800, RFC 9449 §7
  return cnf === undefined ? null : 'it is bound to a key';
}

/** The actors before whom they act for; each of them must be somebody. */
function whoIs(config: IssuerConfig, { payload, key }: JWTVerifyResult & { readonly key: string }, directory: Facts['directory']): Authenticated | Refused {
  const actors = readActChain(payload);
  if (actors === null) return refused('its chain of actors is none, or is too long');
  const authentication = { kind: config.mapping.kind, issuer: config.issuer, subject: payload.sub!, key };
  const chain: Exclude<Mapped, { missing: string }>[] = [];
  for (const [index, claims] of [...actors, payload].entries()) {
    const mapped = index < actors.length ? mapActor(config, claims, directory) : mapClaims(config, claims, directory);
    if ('missing' in mapped) return { refused: 'token-not-mapped', detail: `${index < actors.length ? 'an actor in its chain' : 'the token'} stands for nobody: ${mapped.missing}` };
    chain.push(mapped);
  }
  const [acting, ...others] = chain;
  const roles = acting!.roles.filter((role) => others.length === 0 || (!NEVER_DELEGATED.has(role) && others.every((one) => one.roles.includes(role))));
  const actsFor = [...new Set(others.map((one) => one.principal))].filter((principal) => principal !== acting!.principal);
  return { principal: acting!.principal, roles: new Set(roles), isDelegated: others.length > 0, actsFor, authentication };
}

function reasonOf({ errors }: Jose, error: InstanceType<Jose['errors']['JOSEError']>): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  // Only registered names are checked there.
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} does not hold`;
  if (error instanceof errors.JWKSNoMatchingKey) return 'its key is none of its issuer’s';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'it does not say which of its issuer’s keys it is by';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature does not hold';
  return 'it is none that can be verified';
}

function refused(why: string): Refused {
  return { refused: 'token-refused', detail: `the token is refused: ${why}` };
}

function unavailable(issuer: string): Refused {
  return { refused: 'issuer-unavailable', detail: `the keys of ${issuer} cannot be had, and none at hand still count` };
}
