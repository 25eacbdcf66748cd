/** The few requests that a witness is sent, each bounded in time and bytes. They go to the addresses in the operator's own trust folder, and follow no redirect. */
import { isIP } from 'node:net';
import { ADD_CHECKPOINT_BYTES_MAX, logIdOf, sha256, type HttpAnswer, type TrustedWitness } from '../../ledger/index.ts';
import type { Clock } from '../engine/ports.ts';
import { isLoopback } from '../webhook/address.ts';

export interface WitnessHttp {
  /** @throws where there is no whole answer in time */
  post(url: string, body: string): Promise<HttpAnswer>;
  get(url: string): Promise<HttpAnswer>;
}

/** From connecting to the end of the answer. */
export const ASK_MS = 5_000;

/** @param ending aborts what is under way */
export function witnessHttp(clock: Pick<Clock, 'after'>, ending: AbortSignal): WitnessHttp {
  const ask = async (url: string, request: RequestInit): Promise<HttpAnswer> => {
    const aborting = new AbortController();
    const cancel = clock.after(ASK_MS, () => aborting.abort(new Error(`no answer within ${ASK_MS / 1000} s`)));
    try {
      const response = await fetch(url, { ...request, redirect: 'error', signal: AbortSignal.any([aborting.signal, ending]) });
      return { status: response.status, contentType: response.headers.get('content-type'), body: await readUpTo(response, ADD_CHECKPOINT_BYTES_MAX) };
    } finally {
      cancel();
    }
  };
  return {
    post: (url, body) => ask(url, { method: 'POST', body, headers: { 'content-type': 'text/plain; charset=utf-8' } }),
    get: (url) => ask(url, { method: 'GET' }),
  };
}

/** The body, cut off a little past `bytesMax`: whoever reads it refuses one that is longer. */
async function readUpTo({ body }: Response, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    parts.push(part);
    bytes += part.byteLength;
    if (bytes > bytesMax) break;
  }
  return Buffer.concat(parts);
}

/** Why a witness cannot be asked at its address; null where it can. Plain HTTP stays on this machine. */
export function addressFault({ name, url }: Pick<TrustedWitness, 'name' | 'url'>): string | null {
  const parsed = url === null || !URL.canParse(url) ? null : new URL(url);
  if (parsed === null) return `${name} has no URL that could be asked`;
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  const isHere = host === 'localhost' || (isIP(host) !== 0 && isLoopback(host));
  if (parsed.protocol !== 'https:' && !(parsed.protocol === 'http:' && isHere)) return `the URL of ${name} is neither https nor http to this machine`;
  return parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '' ? `the URL of ${name} is more than an address and a path` : null;
}

/** Where a witness says which head of the log it cosigned last. @see https://c2sp.org/tlog-witness */
export function headUrl(url: string, origin: string): string {
  return `${url.replace(/\/+$/, '')}/${Buffer.from(sha256(Buffer.from(origin))).toString('hex')}/checkpoint`;
}

/** What an error says, without what it may quote. */
export function reasonOf(error: unknown): string {
  const { cause, message } = error instanceof Error ? error : { cause: undefined, message: String(error) };
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : null;
  return code === null ? message : `not reached (${code})`;
}

/** Short, for a file's name. */
export const fileNameOf = (name: string): string => (/^[A-Za-z0-9._-]{1,64}$/.test(name) ? name : logIdOf(name));
