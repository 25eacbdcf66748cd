/** One attempt to tell one receiver. What it answers beyond its status is read to a small bound and thrown away. */
import type { LookupFunction } from 'node:net';
import type { Clock } from '../engine/ports.ts';
import { mayConnect } from '../webhook/address.ts';
import { signedPost, signWith, type Message } from '../webhook/signed-post.ts';

export type { Message };

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

/** @throws Error when a secret is none; nothing was sent */
export function webhookSender(options: WebhookOptions): Send {
  const { clock, userAgent, lookup, ca } = options;
  const url = new URL(options.url);
  const sign = signWith(options.secrets);
  const post = {
    url, sign, clock, userAgent, lookup, ca, timeoutMs: ATTEMPT_MS, answerBytesMax: ANSWER_BYTES_MAX,
    mayConnect: (address: string) => mayConnect(address, options.allowPrivate),
  };
  return async (message, signal) => {
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && options.allowHttp)) return failed('only https is allowed');
    const posted = await signedPost(post, message, signal, 'the sidecar is closing');
    return posted.answered ? judge(posted.status) : failed(posted.reason);
  };
}

function judge(status: number): Outcome {
  if (status >= 200 && status < 300) return { delivered: true };
  if (status >= 300 && status < 400) return failed(`answered ${status}: redirects are not followed`);
  return { delivered: false, gone: status === 410, reason: `answered ${status}` };
}

function failed(reason: string): Outcome {
  return { delivered: false, gone: false, reason };
}
