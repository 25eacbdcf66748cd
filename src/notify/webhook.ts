/**
 * One attempt to tell one receiver: Standard Webhooks (https://www.standardwebhooks.com), over a connection that goes only where it may.
 *
 * No redirect is followed and no proxy used: either would be somebody else's word for where to connect. What the receiver answers beyond
 * its status is read to a small bound and thrown away.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Clock } from '../engine/ports.ts';
import { mayConnect } from './address.ts';

export interface Message {
  /** `webhook-id`. */
  readonly id: string;
  readonly body: string;
}

export type Outcome =
  | { readonly delivered: true }
  /** `gone`: the receiver wants no more of it. `reason` holds nothing that the receiver wrote. */
  | { readonly delivered: false; readonly gone: boolean; readonly reason: string };

/** Tells, or says why it could not. Never rejects, and has let go of its connection when it resolves; `signal` ends the attempt. */
export type Send = (message: Message, signal: AbortSignal) => Promise<Outcome>;

export interface WebhookOptions {
  readonly url: string;
  /** `whsec_…`: each signs, so that a receiver can change from one to the next. */
  readonly secrets: readonly string[];
  readonly allowHttp: boolean;
  readonly allowPrivate: boolean;
  readonly clock: Clock;
  readonly userAgent: string;
  /** How names are resolved; default: as the system does. */
  readonly lookup?: LookupFunction;
  /** PEM of the authorities to believe instead of the system's. */
  readonly ca?: string;
}

/** From resolving the name to the end of the answer. */
export const ATTEMPT_MS = 10_000;
const ANSWER_BYTES_MAX = 4_096;
const HEADER_BYTES_MAX = 16_384;
const NOT_ALLOWED = 'ADDRESS_NOT_ALLOWED';

/** @throws Error when a secret is none; nothing was sent */
export function webhookSender(options: WebhookOptions): Send {
  const url = new URL(options.url);
  const signers = options.secrets.map((secret) => new Webhook(secret));
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // A connection for each attempt: one kept open would outlive the check of its address.
  const agent = url.protocol === 'https:' ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const lookup = checkedLookup(options.lookup ?? systemLookup, options.allowPrivate);

  return async (message, signal) => {
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && options.allowHttp)) return failed('only https is allowed');
    // An address that is written out is not looked up, so nobody would check it there.
    if (isIP(host) !== 0 && !mayConnect(host, options.allowPrivate)) return failed('the address is not allowed');
    const sentAt = new Date(options.clock.nowMs());
    const headers = {
      'content-type': 'application/json', 'content-length': Buffer.byteLength(message.body), 'user-agent': options.userAgent,
      'webhook-id': message.id, 'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
      'webhook-signature': signers.map((signer) => signer.sign(message.id, sentAt, message.body)).join(' '),
    };
    const shared = { method: 'POST', headers, agent, lookup, maxHeaderSize: HEADER_BYTES_MAX };
    return exchange(
      (answered) => url.protocol === 'https:'
        // Said here, so that no variable of the environment can unsay it.
        ? httpsRequest(url, { ...shared, rejectUnauthorized: true, ...(options.ca === undefined ? {} : { ca: options.ca }) }, answered)
        : httpRequest(url, shared, answered),
      message.body, options.clock, signal,
    );
  };
}

function exchange(open: (answered: (answer: IncomingMessage) => void) => ClientRequest, body: string, clock: Clock, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    let status: number | null = null;
    let over = false;
    const end = (outcome: Outcome): void => {
      if (over) return;
      over = true;
      cancel();
      signal.removeEventListener('abort', aborted);
      request.destroy();
      resolve(outcome);
    };
    /** The exchange is over, for better or worse: a status that came in time is the answer, whatever became of the rest. */
    const endAs = (reason: string): void => end(status === null ? failed(reason) : judge(status));
    const aborted = (): void => endAs('the sidecar is closing');
    const cancel = clock.after(ATTEMPT_MS, () => endAs(`no answer within ${ATTEMPT_MS / 1000} s`));

    const request = open((answer) => {
      status = answer.statusCode ?? 0;
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.byteLength;
        if (bytes >= ANSWER_BYTES_MAX) endAs('');
      });
      answer.on('error', () => endAs(''));
      answer.on('close', () => endAs(''));
    });
    request.on('error', (error) => endAs(reasonOf(error)));
    request.on('close', () => endAs('the connection was closed without an answer'));
    if (signal.aborted) aborted();
    else {
      signal.addEventListener('abort', aborted);
      request.end(body);
    }
  });
}

function judge(status: number): Outcome {
  if (status >= 200 && status < 300) return { delivered: true };
  if (status >= 300 && status < 400) return failed(`answered ${status}: redirects are not followed`);
  return { delivered: false, gone: status === 410, reason: `answered ${status}` };
}

function failed(reason: string): Outcome {
  return { delivered: false, gone: false, reason };
}

/** Codes only: a message may quote addresses, or what the other side sent. */
function reasonOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(error.code) ? error.code : 'unknown';
  return code === NOT_ALLOWED ? 'the address is not allowed' : `not reached (${code})`;
}

/** The same, refusing a name of which any address is not allowed: one that has both is not one to send to. */
function checkedLookup(lookup: LookupFunction, allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, found: string | LookupAddress[], family) => {
      if (error !== null) return callback(error, found, family);
      const addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address);
      if (addresses.length > 0 && addresses.every((address) => mayConnect(address, allowPrivate))) return callback(null, found, family);
      callback(Object.assign(new Error('the address is not allowed'), { code: NOT_ALLOWED }), '', 0);
    });
  };
}
