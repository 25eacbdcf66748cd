/**
 * One GET of a bundle: where it may go is said here, what came of it is a value. No proxy is used, and a redirect is followed within the origin only:
 * elsewhere would be somebody else's word for where to send the token.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../engine/ports.ts';

export interface FetchOptions {
  readonly url: URL;
  readonly token: string | null;
  /** PEM of the authorities to believe instead of the system's. */
  readonly ca: string | null;
  readonly clock: Clock;
  /** For all of it, from resolving the name to the last byte, redirects with it. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly userAgent: string;
}

export type Fetched =
  | { readonly is: 'new'; readonly bytes: Uint8Array; readonly etag: string | null }
  | { readonly is: 'same' }
  /** `reason` holds nothing that the other side wrote. */
  | { readonly is: 'failed'; readonly reason: string };

const REDIRECTS_MAX = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const ETAG = /^(?:W\/)?"[\x21\x23-\x7e]{0,512}"$/;

type Once = Fetched | { readonly is: 'moved'; readonly to: URL };

/** Never rejects. @param etag of what is held already; null: all of it is wanted */
export async function fetchBundle(options: FetchOptions, etag: string | null, signal: AbortSignal): Promise<Fetched> {
  const dueMs = options.clock.nowMs() + options.timeoutMs;
  let { url } = options;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const came = await once({ ...options, url, timeoutMs: Math.max(1, dueMs - options.clock.nowMs()) }, etag, signal);
    if (came.is !== 'moved') return came;
    if (came.to.origin !== url.origin) return failed('it redirects to another origin, which is not followed');
    url = came.to;
  }
  return failed('it redirects too often');
}

function once({ url, token, ca, clock, timeoutMs, bytesMax, userAgent }: FetchOptions, etag: string | null, signal: AbortSignal): Promise<Once> {
  return new Promise((resolve) => {
    const end = (result: Once): void => {
      cancel();
      signal.removeEventListener('abort', abort);
      request.destroy();
      resolve(result);
    };
    const abort = (): void => end(failed('stopped'));
    const cancel = clock.after(timeoutMs, () => end(failed('no whole answer in time')));
    const headers = {
      accept: 'application/vnd.openpolicyagent.bundles, application/gzip', 'user-agent': userAgent,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...(etag === null ? {} : { 'if-none-match': etag }),
    };
    const take = (answer: IncomingMessage): void => void readAnswer(answer, url, bytesMax, etag !== null).then(end);
    const shared: RequestOptions = { method: 'GET', headers, maxHeaderSize: 16_384 };
    const request = url.protocol === 'https:'
      // Said here, so that no variable of the environment can unsay it.
      ? httpsRequest(url, { ...shared, agent: new HttpsAgent({ keepAlive: false }), rejectUnauthorized: true, ...(ca === null ? {} : { ca }) }, take)
      : httpRequest(url, { ...shared, agent: new HttpAgent({ keepAlive: false }) }, take);
    request.on('error', (error) => end(failed(codeOf(error))));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort);
    request.end();
  });
}

async function readAnswer(answer: IncomingMessage, url: URL, bytesMax: number, isConditional: boolean): Promise<Once> {
  const status = answer.statusCode ?? 0;
  if (status === 304 && isConditional) return { is: 'same' };
  const { location, etag } = answer.headers;
  if (REDIRECTS.has(status) && location !== undefined) return URL.canParse(location, url.href) ? { is: 'moved', to: new URL(location, url.href) } : failed('it redirects to no URL');
  if (status !== 200) return failed(`it answered ${status}`);
  let body: Uint8Array | null;
  try {
    body = await wholeOf(answer, bytesMax);
  } catch {
    return failed('the answer broke off');
  }
  if (body === null) return failed(`it sends more than ${bytesMax} bytes`);
  if (!answer.complete) return failed('the answer broke off');
  return { is: 'new', bytes: body, etag: etag !== undefined && ETAG.test(etag) ? etag : null };
}

/** All of what comes, in one piece that grows: what is sent byte by byte takes no more room than its bytes. null: it is more than `bytesMax`. */
export async function wholeOf(parts: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array | null> {
  let whole = Buffer.alloc(0);
  let bytes = 0;
  for await (const part of parts) {
    const from = bytes;
    bytes += part.byteLength;
    if (bytes > bytesMax) return null;
    if (bytes > whole.byteLength) whole = Buffer.concat([whole], Math.min(bytesMax, Math.max(bytes, 2 * whole.byteLength)));
    whole.set(part, from);
  }
  return whole.subarray(0, bytes);
}

function failed(reason: string): Fetched {
  return { is: 'failed', reason };
}

/** Codes only: a message may quote addresses, or what the other side sent. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? `it cannot be reached (${code})` : 'the answer broke off';
}
