/**
 * One POST over a connection that goes only where it may.
 *
 * No redirect is followed and no proxy used: either would be somebody else's word for where to connect. Nothing is repeated.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Clock } from '../engine/ports.ts';

export interface GuardedPostOptions {
  readonly url: URL;
  /** Asked of every address before it is connected to: one that is written out, and each that a name resolves to. */
  readonly mayConnect: (address: string) => boolean;
  readonly clock: Clock;
  /** From resolving the name to the end of the answer. */
  readonly timeoutMs: number;
  /** Of the answer's body; a longer one is cut off. */
  readonly answerBytesMax: number;
  /** How names are resolved; default: as the system does. */
  readonly lookup?: LookupFunction | undefined;
  /** PEM of the authorities to believe instead of the system's. */
  readonly ca?: string | undefined;
}

export type Posted =
  | { readonly answered: true; readonly status: number; readonly retryAfter: string | null; /** Null where it was too long or broke off. */ readonly body: Buffer | null }
  /** `sent`: the other side may have got it. `reason` holds nothing that the other side wrote. */
  | { readonly answered: false; readonly sent: boolean; readonly reason: string };

const HEADER_BYTES_MAX = 16_384;
/** Code of the error with which {@link checkedLookup} refuses. */
export const NOT_ALLOWED = 'ADDRESS_NOT_ALLOWED';

/** Never rejects, and has let go of its connection when it resolves; `signal` ends it, and then `aborted` is the reason. */
export function guardedPost(options: GuardedPostOptions, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal, aborted: string): Promise<Posted> {
  const { url } = options;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address that is written out is not looked up, so nobody would check it there.
  if (isIP(host) !== 0 && !options.mayConnect(host)) return Promise.resolve(unanswered(false, 'the address is not allowed'));
  const secure = url.protocol === 'https:';
  const shared = {
    method: 'POST', maxHeaderSize: HEADER_BYTES_MAX, lookup: checkedLookup(options.lookup ?? systemLookup, options.mayConnect),
    // A connection for each: one kept open would outlive the check of its address.
    agent: secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false }),
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
  };
  const open = (answered: (answer: IncomingMessage) => void): ClientRequest => secure
    // Said here, so that no variable of the environment can unsay it.
    ? httpsRequest(url, { ...shared, rejectUnauthorized: true, ...(options.ca === undefined ? {} : { ca: options.ca }) }, answered)
    : httpRequest(url, shared, answered);
  return exchange(open, body, options, signal, aborted);
}

type Limits = Pick<GuardedPostOptions, 'clock' | 'timeoutMs' | 'answerBytesMax' | 'url'>;

function exchange(open: (answered: (answer: IncomingMessage) => void) => ClientRequest, body: string, { clock, timeoutMs, answerBytesMax, url }: Limits, signal: AbortSignal, aborted: string): Promise<Posted> {
  return new Promise((resolve) => {
    let answered: { readonly status: number; readonly retryAfter: string | null } | null = null;
    let sent = false;
    let over = false;
    /** A status that came in time is an answer, whatever became of the rest. */
    const end = (reason: string, whole: Buffer | null = null): void => {
      if (over) return;
      over = true;
      cancel();
      signal.removeEventListener('abort', abort);
      request.destroy();
      resolve(answered === null ? unanswered(sent, reason) : { answered: true, ...answered, body: whole });
    };
    const abort = (): void => end(aborted);
    const cancel = clock.after(timeoutMs, () => end(`no answer within ${timeoutMs / 1000} s`));

    const request = open((answer) => {
      answered = { status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] ?? null };
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.byteLength;
        parts.push(part);
        if (bytes >= answerBytesMax) end('');
      });
      answer.on('end', () => end('', answer.complete ? Buffer.concat(parts) : null));
      answer.on('error', () => end(''));
      answer.on('close', () => end(''));
    });
    request.on('socket', (socket) => socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => (sent = true)));
    request.on('error', (error) => end(reasonOf(error)));
    request.on('close', () => end('the connection was closed without an answer'));
    if (signal.aborted) abort();
    else {
      signal.addEventListener('abort', abort);
      request.end(body);
    }
  });
}

function unanswered(sent: boolean, reason: string): Posted {
  return { answered: false, sent, reason };
}

/** Codes only: a message may quote addresses, or what the other side sent. */
function reasonOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(error.code) ? error.code : 'unknown';
  return code === NOT_ALLOWED ? 'the address is not allowed' : `not reached (${code})`;
}

/** The same, refusing a name of which any address is not allowed: one that has both is not one to send to. */
export function checkedLookup(lookup: LookupFunction, mayConnect: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, found: string | LookupAddress[], family) => {
      if (error !== null) return callback(error, found, family);
      const addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address);
      if (addresses.length > 0 && addresses.every(mayConnect)) return callback(null, found, family);
      callback(Object.assign(new Error('the address is not allowed'), { code: NOT_ALLOWED }), '', 0);
    });
  };
}
