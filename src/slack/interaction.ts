/** What a person does in Slack, as Slack says it: a button of a message, or the form for a rejection. Fields that nothing here reads may come and go. */
import { z } from 'zod';
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { withoutHidden } from '../protocol/plain.ts';
import { changeIdSchema, digestSchema } from '../protocol/values.ts';

export const APPROVE = 'countersign.approve';
export const REJECT = 'countersign.reject';
/** Of the form that asks why, and of what is written into it. */
export const REASON = 'countersign.reason';
export const COMMENT_LENGTH_MAX = 500;

const idSchema = z.string().regex(/^[A-Z0-9]{2,32}$/);
/** A message is known by its channel and when it was posted. */
const tsSchema = z.string().regex(/^[0-9]{1,12}\.[0-9]{1,9}$/);
const person = { team: z.object({ id: idSchema }), user: z.object({ id: idSchema }) };

const interactionSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('block_actions'), ...person, trigger_id: z.string().min(1).max(256),
    container: z.object({ type: z.literal('message'), channel_id: idSchema, message_ts: tsSchema }),
    actions: z.array(z.object({ action_id: z.enum([APPROVE, REJECT]), value: z.string().max(512) })).length(1),
  }),
  z.object({
    type: z.literal('view_submission'), ...person,
    view: z.object({
      callback_id: z.literal(REJECT), private_metadata: z.string().max(512),
      state: z.object({ values: z.object({ [REASON]: z.object({ [REASON]: z.object({ value: z.string().max(COMMENT_LENGTH_MAX).nullable() }) }) }) }),
    }),
  }),
]);

/** The very plan that a message shows, and where that message is. */
export interface Shown {
  readonly changeId: string;
  readonly planDigest: string;
  readonly channel: string;
  readonly ts: string;
}

export type Interaction = { readonly team: string; readonly user: string } & (
  | { readonly did: 'approve'; readonly about: Shown }
  | { readonly did: 'askWhy'; readonly about: Shown; readonly trigger: string }
  | { readonly did: 'reject'; readonly about: Shown; readonly comment: string | null }
);

const BODY = { maxBytes: 65_536, maxDepth: 32, numbers: 'any' } as const;

/** What a body of `application/x-www-form-urlencoded` with one field `payload` says; null where it is nothing that was shown from here. */
export function readInteraction(body: Uint8Array): Interaction | null {
  const fields = [...new URLSearchParams(Buffer.from(body).toString('latin1'))];
  if (fields.length !== 1 || fields[0]![0] !== 'payload') return null;
  const parsed = interactionSchema.safeParse(jsonOf(fields[0]![1]));
  if (!parsed.success) return null;
  const { data } = parsed;
  const who = { team: data.team.id, user: data.user.id };
  if (data.type === 'view_submission') {
    const [channel, ts, ...value] = data.view.private_metadata.split(' ');
    const about = shown(value.join(' '), channel, ts);
    const text = data.view.state.values[REASON][REASON].value ?? '';
    // The form takes several lines, and whatever is pasted into it.
    const comment = withoutHidden(text).trim();
    return about === null ? null : { ...who, did: 'reject', about, comment: comment === '' ? null : comment };
  }
  const { action_id, value } = data.actions[0]!;
  const about = shown(value, data.container.channel_id, data.container.message_ts);
  if (about === null) return null;
  return action_id === APPROVE ? { ...who, did: 'approve', about } : { ...who, did: 'askWhy', about, trigger: data.trigger_id };
}

/** What a button carries. */
export function formatValue({ changeId, planDigest }: Pick<Shown, 'changeId' | 'planDigest'>): string {
  return `${changeId} ${planDigest}`;
}

function shown(value: string, channel: string | undefined, ts: string | undefined): Shown | null {
  const [changeId, planDigest, ...more] = value.split(' ');
  const isShown = more.length === 0 && changeIdSchema.safeParse(changeId).success && digestSchema.safeParse(planDigest).success && idSchema.safeParse(channel).success && tsSchema.safeParse(ts).success;
  return isShown ? { changeId: changeId!, planDigest: planDigest!, channel: channel!, ts: ts! } : null;
}

function jsonOf(text: string): unknown {
  try {
    return parseStrict(Buffer.from(text, 'utf8'), BODY);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}
