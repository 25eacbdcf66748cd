/** One signed POST: Standard Webhooks (https://www.standardwebhooks.com), sent only where it may go. */
import { Webhook } from 'standardwebhooks';
import { guardedPost, type GuardedPostOptions, type Posted } from './guarded-post.ts';

export type { Posted };

export interface Message {
  /** `webhook-id`. */
  readonly id: string;
  readonly body: string;
}

export interface PostOptions extends GuardedPostOptions {
  /** Makes `webhook-signature`: see {@link signWith}. */
  readonly sign: Sign;
  readonly userAgent: string;
}

export type Sign = (message: Message, at: Date) => string;

/**
 * Signs with each of the secrets, so that a receiver can change from one to the next.
 *
 * @param secrets `whsec_…`
 * @throws Error when one is none
 */
export function signWith(secrets: readonly string[]): Sign {
  const signers = secrets.map((secret) => new Webhook(secret));
  return ({ id, body }, at) => signers.map((signer) => signer.sign(id, at, body)).join(' ');
}

/** Never rejects, and has let go of its connection when it resolves; `signal` ends it, and then `aborted` is the reason. */
export function signedPost(options: PostOptions, message: Message, signal: AbortSignal, aborted: string): Promise<Posted> {
  const sentAt = new Date(options.clock.nowMs());
  const headers = {
    'content-type': 'application/json', 'user-agent': options.userAgent,
    'webhook-id': message.id, 'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)), 'webhook-signature': options.sign(message, sentAt),
  };
  return guardedPost(options, headers, message.body, signal, aborted);
}
