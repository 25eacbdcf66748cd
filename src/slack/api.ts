/** Slack's Web API: a POST with a token, and an answer that says `ok`. @see https://docs.slack.dev/apis/web-api */
import { z } from 'zod';
import { guardedPost, type GuardedPostOptions } from '../webhook/guarded-post.ts';

export interface SlackApiOptions extends Omit<GuardedPostOptions, 'url' | 'timeoutMs' | 'answerBytesMax'> {
  /** Ends with `/`. */
  readonly url: string;
  /** `xoxb-…` */
  readonly token: string;
  readonly userAgent: string;
}

/** `reason` holds Slack's own code at most. */
export type SlackAnswer = { readonly ok: true; readonly value: Readonly<Record<string, unknown>> } | { readonly ok: false; readonly reason: string };

export type SlackApi = (method: string, body: object, signal: AbortSignal) => Promise<SlackAnswer>;

/** Of one call. */
export const CALL_MS = 10_000;
const ANSWER_BYTES_MAX = 1_048_576;
const answerSchema = z.looseObject({ ok: z.boolean(), error: z.string().regex(/^[a-z0-9_]{1,64}$/).optional().catch(undefined) });

/** Never rejects. What was not answered may have been done all the same. */
export function slackApi(options: SlackApiOptions): SlackApi {
  const { token, userAgent } = options;
  return async (method, body, signal) => {
    const headers = { 'content-type': 'application/json; charset=utf-8', authorization: `Bearer ${token}`, 'user-agent': userAgent };
    const posted = await guardedPost({ ...options, url: new URL(method, options.url), timeoutMs: CALL_MS, answerBytesMax: ANSWER_BYTES_MAX }, headers, JSON.stringify(body), signal, 'the sidecar is closing');
    if (!posted.answered) return { ok: false, reason: posted.reason };
    if (posted.status !== 200 || posted.body === null) return { ok: false, reason: `${method} answered ${posted.status}` };
    const answer = answerSchema.safeParse(jsonOf(posted.body));
    if (!answer.success) return { ok: false, reason: `${method} answered something that is no answer` };
    return answer.data.ok ? { ok: true, value: answer.data } : { ok: false, reason: `${method}: ${answer.data.error ?? 'refused'}` };
  };
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
