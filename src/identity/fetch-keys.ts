/**
 * An issuer's JWKS, from a file or over https: always from where the configuration says, never from where a token does.
 *
 * Addresses are looked at when they are connected to, as of webhooks; no redirect is followed and no proxy used.
 */
import { lookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { JSONWebKeySet, JWK } from 'jose';
import type { Clock } from '../engine/ports.ts';
import { mayConnect } from '../webhook/address.ts';
import { checkedLookup, NOT_ALLOWED } from '../webhook/guarded-post.ts';
import type { IssuerConfig } from './issuer-config.ts';

/** The keys cannot be had, or are none. The message holds nothing that the other side wrote. */
export class IssuerKeysError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'IssuerKeysError';
  }
}

const BYTES_MAX = 262_144;
const KEYS_MAX = 64;
const TIMEOUT_MS = 3_000;
/** Of which each is a secret: a set that holds one was not meant to be seen, and one of its keys is no longer its owner's alone. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** @throws IssuerKeysError */
export async function loadKeys(config: Pick<IssuerConfig, 'jwks' | 'mapping'>, clock: Pick<Clock, 'after'>, userAgent: string): Promise<JSONWebKeySet> {
  const { file, url } = config.jwks;
  const bytes = url === undefined ? await readKeys(file!) : await fetchKeys(new URL(url), config.jwks, clock, userAgent);
  return parseKeys(bytes, config.mapping.kind === 'spiffe');
}

async function readKeys(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new IssuerKeysError(`${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'error'})`);
  }
}

/** The public keys of a JWK set; of a SPIFFE bundle, those for JWT-SVIDs. @throws IssuerKeysError @see RFC 7517 §5, SPIFFE Trust Domain and Bundle §4 */
export function parseKeys(bytes: Uint8Array, isSpiffe: boolean): JSONWebKeySet {
  if (bytes.byteLength > BYTES_MAX) throw new IssuerKeysError(`more than ${BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new IssuerKeysError('no JSON');
  }
  const keys = typeof value === 'object' && value !== null && 'keys' in value ? value.keys : null;
  if (!Array.isArray(keys) || !keys.every((key): key is JWK => typeof key === 'object' && key !== null && !Array.isArray(key))) throw new IssuerKeysError('no JWK set');
  if (keys.length > KEYS_MAX) throw new IssuerKeysError(`more than ${KEYS_MAX} keys`);
  if (keys.some((key) => PRIVATE_MEMBERS.some((member) => Object.hasOwn(key, member)))) throw new IssuerKeysError('a set with a secret key in it, which must be replaced at its issuer');
  if (!isSpiffe) return { keys };
  return { keys: keys.filter(({ use }) => use === 'jwt-svid' || use === 'sig' || use === undefined).map(({ use: _use, ...key }) => ({ ...key, use: 'sig' })) };
}

async function fetchKeys(url: URL, { caFile, allowPrivate }: IssuerConfig['jwks'], clock: Pick<Clock, 'after'>, userAgent: string): Promise<Buffer> {
  const ca = caFile === undefined ? undefined : await readKeys(caFile);
  const may = (address: string): boolean => mayConnect(address, allowPrivate);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address that is written out is not looked up, so nobody would check it there.
  if (isIP(host) !== 0 && !may(host)) throw new IssuerKeysError('the address is not allowed');
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      cancel();
      request.destroy();
      settle();
    };
    const fail = (reason: string): void => end(() => reject(new IssuerKeysError(reason)));
    const cancel = clock.after(TIMEOUT_MS, () => fail(`no whole answer within ${TIMEOUT_MS / 1000} s`));
    const request = httpsRequest(url, {
      method: 'GET', headers: { accept: 'application/jwk-set+json, application/json', 'user-agent': userAgent }, maxHeaderSize: 16_384,
      lookup: checkedLookup(lookup, may), agent: new Agent({ keepAlive: false }),
      // Said here, so that no variable of the environment can unsay it.
      rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }),
    }, (answer) => {
      if (answer.statusCode !== 200) return fail(`it answered ${answer.statusCode ?? 0}`);
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.byteLength;
        parts.push(part);
        if (bytes > BYTES_MAX) fail(`more than ${BYTES_MAX} bytes`);
      });
      answer.on('end', () => (answer.complete ? end(() => resolve(Buffer.concat(parts))) : fail('the answer broke off')));
      answer.on('error', () => fail('the answer broke off'));
    });
    request.on('error', (error) => fail(reasonOf(error)));
    request.end();
  });
}

/** Codes only: a message may quote addresses, or what the other side sent. */
function reasonOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(error.code) ? error.code : 'unknown';
  return code === NOT_ALLOWED ? 'the address is not allowed' : `it cannot be reached (${code})`;
}
