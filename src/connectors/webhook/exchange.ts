/**
 * One request to a receiver, and what its answer means for the worker: whether nothing has happened, or something may have.
 *
 * Nothing is repeated here: the worker asks again, and looks before it does anything twice.
 */
import { JsonError, parseStrict } from '../../../ledger/index.ts';
import { TargetError } from '../../executor/connector.ts';
import { signedPost, signWith, type PostOptions, type Posted } from '../../webhook/signed-post.ts';
import { redact, repeats } from './redact.ts';
import { webhookAnswerSchemas, webhookRefusalSchema, webhookRequestSchema, type Operation, type WebhookAnswer, type WebhookRequest } from './protocol.ts';

/** No longer than the worker waits between two tries to take back: an answer to one request holds up the next only so long. */
export const RETRY_AFTER_MS_MAX = 30_000;
const ANSWER_BYTES_MAX = 512 * 1024;

export interface ExchangeOptions extends Omit<PostOptions, 'sign' | 'answerBytesMax'> {
  /** `whsec_…`, one or two. Asked for each request, for secrets that rotate. */
  readonly signingSecrets: () => Promise<readonly string[]>;
  readonly randomBytes: (size: number) => Uint8Array;
}

type Body<O extends Operation> = Omit<Extract<WebhookRequest, { operation: O }>, 'v' | 'operation' | 'sentAt' | 'notAfter'>;

export interface Exchange {
  /**
   * What the receiver answered.
   *
   * @throws TargetError `unreachable`: nothing was done; `rejected`: refused, nothing was done; `ambiguous`, of `apply` and `revoke` alone: it
   *   may have been done
   */
  ask<O extends Operation>(operation: O, body: Body<O>, signal: AbortSignal): Promise<WebhookAnswer<O>>;
}

export function openExchange(options: ExchangeOptions): Exchange {
  const { clock, timeoutMs } = options;
  /** Until when the receiver asked to be left alone, in epoch ms. */
  let quietUntilMs = 0;
  return {
    async ask(operation, body, signal) {
      const nowMs = clock.nowMs();
      // A clock that was set back does not make it longer.
      quietUntilMs = Math.min(quietUntilMs, nowMs + RETRY_AFTER_MS_MAX);
      if (nowMs < quietUntilMs) throw new TargetError('unreachable', `the receiver asked to be left alone for another ${Math.ceil((quietUntilMs - nowMs) / 1000)} s`);
      const signingSecrets = await readSecrets(options);
      const notAfter = new Date(nowMs + timeoutMs).toISOString();
      const request = { v: 1, operation, sentAt: new Date(nowMs).toISOString(), notAfter, ...body };
      // What was wrong with it is not repeated: it could be a secret.
      if (!webhookRequestSchema.safeParse(request).success) throw new TargetError('rejected', 'this cannot be asked of a receiver: a name that no plan may have');
      const message = { id: `msg_${Buffer.from(options.randomBytes(16)).toString('hex')}`, body: JSON.stringify(request) };
      const posted = await signedPost({ ...options, sign: signWith(signingSecrets), answerBytesMax: ANSWER_BYTES_MAX }, message, signal, 'the deadline has passed');
      if (posted.answered && (posted.status === 429 || posted.status === 503)) quietUntilMs = clock.nowMs() + retryAfterMs(posted.retryAfter, clock.nowMs());
      return read(operation, posted, [...signingSecrets, ...secretOf(body)]);
    },
  };
}

/** @throws TargetError `unreachable`: secrets that are not there now may be written in a moment */
async function readSecrets({ signingSecrets }: ExchangeOptions): Promise<readonly string[]> {
  try {
    return await signingSecrets();
  } catch (error) {
    throw new TargetError('unreachable', `the signing secret could not be read: ${error instanceof Error ? error.message : ''}`);
  }
}

function secretOf(body: object): string[] {
  return 'secret' in body && typeof body.secret === 'string' ? [body.secret] : [];
}

/** Seconds or a date, as RFC 9110 §10.2.3 has it; nothing else holds anything up. */
function retryAfterMs(text: string | null, nowMs: number): number {
  if (text === null) return 0;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX) : 0;
}

/** @throws TargetError as of `ask` */
function read<O extends Operation>(operation: O, posted: Posted, secrets: readonly string[]): WebhookAnswer<O> {
  const changes = operation === 'apply' || operation === 'revoke';
  if (!posted.answered) {
    if (changes && posted.sent) throw new TargetError('ambiguous', `no answer to a change that was sent: ${posted.reason}`);
    throw new TargetError('unreachable', `no answer: ${posted.reason}`);
  }
  const { status, body } = posted;
  const refusal = (why: string): string => `HTTP ${status}: ${why}`;
  const said = (): string => {
    const parsed = webhookRefusalSchema.safeParse(parseBody(body));
    return parsed.success ? redact(parsed.data.reason, secrets) : 'no reason given';
  };
  // It has not begun.
  if (status === 429 || status === 503) throw new TargetError('unreachable', refusal('it asks to be asked later'));
  // The proxy in front of it may have timed out, or this may be where a form sends its reader after the deed.
  if (status === 408 || status >= 500 || (status >= 300 && status < 400)) {
    throw new TargetError(changes ? 'ambiguous' : 'unreachable', refusal(status < 400 ? 'redirects are not followed' : 'a fault of its own'));
  }
  if (status >= 400) throw new TargetError('rejected', refusal(said()));
  const schema: (typeof webhookAnswerSchemas)[Operation] = webhookAnswerSchemas[operation];
  const answer = status === 200 ? schema.safeParse(parseBody(body)) : null;
  // What was wrong with it is not repeated: it could be a secret.
  if (answer?.success !== true) throw new TargetError(changes ? 'ambiguous' : 'rejected', refusal('the answer is not one of the protocol'));
  const { data } = answer;
  // What is read becomes evidence.
  if (operation === 'read' && repeats(JSON.stringify(data), secrets)) throw new TargetError('rejected', refusal('the answer holds the signing secret'));
  return ('reason' in data ? { ...data, reason: redact(data.reason, secrets) } : data) as WebhookAnswer<O>;
}

/** Undefined where there is none, or none that is JSON. */
function parseBody(body: Buffer | null): unknown {
  if (body === null) return undefined;
  try {
    return parseStrict(body);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}
