/**
 * A channel in Slack in which changes are shown and decided. A message is a hint, and a press in it a session of the person whom the configuration
 * names for that Slack account: whoever runs the workspace could make one up, and where more than a session is asked for, none counts.
 *
 * It keeps nothing: where a message is that an earlier process posted, Slack's own history says.
 */
import { z } from 'zod';
import type { Clock, Logger } from '../engine/ports.ts';
import { notificationMessageSchema, type CoalescedPayload, type NotificationMessage, type NotificationPayload } from '../notify/payload.ts';
import type { Receiver } from '../notify/queue.ts';
import type { Outcome } from '../notify/webhook.ts';
import type { ChangeView } from '../sidecar/schemas.ts';
import type { SlackApi } from './api.ts';
import { REASON, readInteraction, type Interaction, type Shown } from './interaction.ts';
import { alarm, changeMessage, escaped, glassMessage, mention, rejectionForm, reminder, togetherMessage, type Rendering, type SlackMessage } from './message.ts';
import { isFromSlack, type SlackRequest } from './signature.ts';

export interface SlackChannelOptions {
  /** `C…` */
  readonly channel: string;
  /** `T…`: presses in any other workspace are refused. */
  readonly team: string;
  /** By Slack account (`U…`), the person here. Whoever is not in it decides nothing. */
  readonly people: ReadonlyMap<string, string>;
  /** Of the app: see {@link isFromSlack}. */
  readonly signingSecrets: readonly string[];
  readonly api: SlackApi;
  /** What is asked for in a spell of so long is shown at its end; 0: at once. */
  readonly coalesceMs: number;
  /** The change as it is, durable; null where there is none. */
  readonly view: (changeId: string) => Promise<ChangeView | null>;
  /** The plan as every channel shows it. */
  readonly lines: (change: ChangeView) => readonly string[];
  /** What a person decides about exactly that plan. */
  readonly decide: (person: string, about: Pick<Shown, 'changeId' | 'planDigest'>, verdict: 'approve' | 'reject', comment: string | null) => Promise<{ readonly ok: true } | { readonly ok: false; readonly message: string }>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Message {
  readonly ts: string;
  /** The record that asked when it was posted; null where no asking posted it, or a version of before. */
  readonly askedBy: number | null;
}

interface Known {
  readonly posted: Map<string, Message>;
  /** Whether those of earlier processes have been looked for, or there can be none. */
  isSearched: boolean;
}

export interface SlackReply {
  readonly status: 200 | 400 | 401;
  /** What a form that was sent does next; null: an empty answer. */
  readonly body: object | null;
}

export interface SlackChannel {
  /** Told of what is to be shown. */
  readonly receiver: Receiver;
  /** A request that says it is Slack's. Nothing is decided unless it is, and the account in it is a person's. Answers within Slack's three seconds. */
  take(request: SlackRequest): Promise<SlackReply>;
  /** Resolves once nothing is under way. */
  close(): Promise<void>;
}

/** In records and logs; no webhook may have it as well. */
export const SLACK_RECEIVER = 'slack';
const EVENTS = [
  'approval.requested', 'approval.escalated', 'approval.decided', 'change.reduced', 'change.revised', 'change.withdrawn', 'change.expired', 'breakglass.used', 'revoke.overdue', 'change.stuck',
] as const;
/** What a message is posted for: what only changes one that is there disturbs nobody. */
const POSTED = ['approval.requested', 'approval.escalated'] as const;
/** Slack waits for three seconds. */
const ANSWER_MS = 2_500;
const METADATA = 'countersign_change';
const KNOWN_MAX = 10_000;
/** Of 200 messages each: what people have written in the channel since the change was asked for. */
const HISTORY_PAGES_MAX = 10;
const OVER = 'Nobody is asked about this plan any more: its message says what has become of it. Nothing was decided.';
const UNKNOWN_PERSON = 'This Slack account is nobody whom Countersign knows: nothing was decided. Whoever runs it adds accounts under slack.people.';

const postedSchema = z.looseObject({ ts: z.string() });
const historySchema = z.looseObject({
  response_metadata: z.looseObject({ next_cursor: z.string().max(1_024).optional() }).optional().catch(undefined),
  messages: z.array(z.looseObject({ ts: z.string(), metadata: z.looseObject({ event_type: z.string(), event_payload: z.record(z.string(), z.unknown()) }).optional().catch(undefined) })),
});

export function openSlackChannel(options: SlackChannelOptions): SlackChannel {
  const { channel, team, people, api, clock, logger } = options;
  const closing = new AbortController();
  const running = new Set<Promise<unknown>>();
  const startedMs = clock.nowMs();
  /** By change, its messages: by plan, when that one was posted, and for what. */
  const known = new Map<string, Known>();
  const accountOf = new Map([...people].map(([account, person]) => [person, account]));
  const slackIdOf = (person: string): string | undefined => accountOf.get(person);
  const rendering = (change: ChangeView): Rendering => ({ lines: options.lines(change), slackIdOf });

  const knownOf = (changeId: string, requestedMs: number): Known => {
    const one = known.get(changeId) ?? { posted: new Map(), isSearched: requestedMs >= startedMs };
    known.delete(changeId);
    known.set(changeId, one);
    if (known.size > KNOWN_MAX) known.delete(known.keys().next().value!);
    return one;
  };

  /** The messages about that change, as far as they are known: by plan, when it was posted. */
  const messagesAbout = async ({ id, requestedAt }: ChangeView, ends: AbortSignal): Promise<Known['posted']> => {
    const sinceMs = Date.parse(requestedAt);
    const one = knownOf(id, sinceMs);
    if (!one.isSearched) {
      for (let page = 0, cursor = ''; page < HISTORY_PAGES_MAX && !one.isSearched; page += 1) {
        const answer = await api('conversations.history', { channel, oldest: String(Math.floor(sinceMs / 1000)), limit: 200, include_all_metadata: true, ...(cursor === '' ? {} : { cursor }) }, ends);
        if (!answer.ok) break;
        const history = historySchema.safeParse(answer.value).data;
        for (const { ts, metadata } of history?.messages ?? []) {
          const { change, planDigest, record } = metadata?.event_type === METADATA ? metadata.event_payload : {};
          // The newest of several; one that is known by a press alone is known by its record as well, once it is found.
          if (change === id && typeof planDigest === 'string' && (one.posted.get(planDigest)?.ts ?? ts) === ts) one.posted.set(planDigest, { ts, askedBy: typeof record === 'number' ? record : null });
        }
        cursor = history?.response_metadata?.next_cursor ?? '';
        one.isSearched = cursor === '' || page === HISTORY_PAGES_MAX - 1;
      }
    }
    return one.posted;
  };

  const post = async (message: SlackMessage, ends: AbortSignal, more: object = {}): Promise<{ readonly outcome: Outcome; readonly ts: string | null }> => {
    const answer = await api('chat.postMessage', { channel, ...message, ...more, unfurl_links: false, unfurl_media: false }, ends);
    return answer.ok ? { outcome: { delivered: true }, ts: postedSchema.safeParse(answer.value).data?.ts ?? null } : { outcome: { delivered: false, gone: false, reason: answer.reason }, ts: null };
  };

  /** Shows what has become of that plan in the message about it. One that somebody has deleted is not missed. */
  const refresh = async (ts: string, planDigest: string, change: ChangeView, ends: AbortSignal): Promise<Outcome> => {
    const answer = await api('chat.update', { channel, ts, ...changeMessage(change, planDigest, rendering(change)) }, ends);
    return answer.ok || answer.reason === 'chat.update: message_not_found' ? { delivered: true } : { delivered: false, gone: false, reason: answer.reason };
  };

  const postChange = async (change: ChangeView, planDigest: string, askedBy: number | null, ends: AbortSignal): Promise<Outcome> => {
    const metadata = { event_type: METADATA, event_payload: { change: change.id, planDigest, ...(askedBy === null ? {} : { record: askedBy }) } };
    const { outcome, ts } = await post(changeMessage(change, planDigest, rendering(change)), ends, { metadata });
    if (ts === null) return outcome;
    knownOf(change.id, Date.parse(change.requestedAt)).posted.set(planDigest, { ts, askedBy });
    // What became of it while the message was on its way was told where no message was known yet.
    const now = await options.view(change.id);
    const isTheSame = now === null || (now.state === change.state && now.planDigest === change.planDigest && now.approvals.length === change.approvals.length);
    return isTheSame ? outcome : refresh(ts, planDigest, now, ends);
  };

  /** The same of every plan that the change has had. */
  const refreshAll = async (change: ChangeView, ends: AbortSignal): Promise<Outcome> => {
    for (const [planDigest, { ts }] of await messagesAbout(change, ends)) {
      const outcome = await refresh(ts, planDigest, change, ends);
      if (!outcome.delivered) return outcome;
    }
    return { delivered: true };
  };

  /** All who were asked and not waited for are told, and those who review it. What stands in the message about the plan is as it is now, first. */
  const tellOfGlass = async (data: Extract<NotificationPayload, { type: 'breakglass.used' }>['data'], ends: AbortSignal): Promise<Outcome> => {
    const change = await options.view(data.changeId);
    const shown = change === null ? null : await refreshAll(change, ends);
    if (shown?.delivered === false) return shown;
    return (await post(glassMessage(data, slackIdOf), ends)).outcome;
  };

  /** Many changes in one message, without buttons: each has a plan of its own to look at. Those that wait no more are left out. */
  const tellTogether = async ({ event, to, first, rest }: CoalescedPayload['data'], ends: AbortSignal): Promise<Outcome> => {
    const waiting: ChangeView[] = [];
    for (const { changeId } of [...first.map(({ data }) => data), ...rest]) {
      const change = await options.view(changeId);
      if (change?.state === 'pending') waiting.push(change);
    }
    if (waiting.length === 0) return { delivered: true };
    return (await post(togetherMessage(waiting, event === 'approval.escalated' ? 'toldAsWell' : 'asked', to, slackIdOf), ends)).outcome;
  };

  /** A stage has opened, or policy asks for more than was approved: Slack tells nobody of whom a message mentions once it has been posted. */
  const askFurther = async (ts: string, change: ChangeView, { planDigest, approvers }: Extract<NotificationPayload, { type: 'approval.requested' }>['data'], ends: AbortSignal): Promise<Outcome> => {
    const shown = await refresh(ts, planDigest, change, ends);
    const people = approvers.filter((person) => change.turns?.now.includes(person) ?? true);
    if (!shown.delivered || people.length === 0) return shown;
    const text = `Asked now: ${people.map((person) => mention(person, slackIdOf)).join(', ')}`;
    return (await post({ text, blocks: [{ type: 'section', text: { type: 'mrkdwn', text } }] }, ends, { thread_ts: ts, reply_broadcast: true })).outcome;
  };

  const tell = async (payload: NotificationMessage, ends: AbortSignal): Promise<Outcome> => {
    if (payload.type === 'notifications.coalesced') return tellTogether(payload.data, ends);
    const { data, type } = payload;
    if (type === 'revoke.overdue' || type === 'change.stuck') {
      const words = `${type === 'change.stuck' ? `${data.code}: ` : 'Access should be gone, and nobody has said that it is: '}${data.message}`;
      return (await post(alarm(words, data.changeId), ends)).outcome;
    }
    if (type === 'breakglass.used') return tellOfGlass(data, ends);
    const change = 'changeId' in data ? await options.view(data.changeId) : null;
    if (change === null) return { delivered: true };
    if (type !== 'approval.requested' && type !== 'approval.escalated') return refreshAll(change, ends);
    if (change.state !== 'pending' || change.planDigest !== data.planDigest) return refreshAll(change, ends);
    const message = (await messagesAbout(change, ends)).get(data.planDigest);
    if (message === undefined) return postChange(change, data.planDigest, type === 'approval.requested' ? data.record : null, ends);
    const { ts } = message;
    if (type === 'approval.requested') return isAskedFirst(change, message, data.record) ? { delivered: true } : askFurther(ts, change, data, ends);
    const text = reminder(change, data.to, slackIdOf);
    return (await post({ text, blocks: [{ type: 'section', text: { type: 'mrkdwn', text } }] }, ends, { thread_ts: ts, reply_broadcast: true })).outcome;
  };

  const whisper = async (user: string, text: string): Promise<void> => {
    const answer = await api('chat.postEphemeral', { channel, user, text: escaped(text) }, closing.signal);
    if (!answer.ok) logger.warn({ reason: answer.reason }, 'somebody in Slack could not be told what became of a press');
  };

  /** Where Slack's history says nothing, a press tells where the message is. False where another message about that plan is known, which keeps up with the change. */
  const keepsUp = ({ id, requestedAt }: ChangeView, { planDigest, ts }: Shown): boolean => {
    const { posted } = knownOf(id, Date.parse(requestedAt));
    if (!posted.has(planDigest)) posted.set(planDigest, { ts, askedBy: null });
    return posted.get(planDigest)!.ts === ts;
  };

  /** What the form says next; null where that is nothing. */
  const act = async (interaction: Interaction, answered: () => boolean): Promise<object | null> => {
    const { user, about } = interaction;
    const person = people.get(user);
    if (person === undefined) {
      await whisper(user, UNKNOWN_PERSON);
      return null;
    }
    // Where it cannot be read now, the press says so.
    const before = await options.view(about.changeId).catch(() => null);
    const isKept = before === null || keepsUp(before, about);
    if (interaction.did === 'askWhy') {
      if (before !== null && isOver(before, about)) {
        await refresh(about.ts, about.planDigest, before, closing.signal);
        await whisper(user, OVER);
        return null;
      }
      const answer = await api('views.open', { trigger_id: interaction.trigger, view: rejectionForm(about) }, closing.signal);
      if (!answer.ok) logger.warn({ reason: answer.reason }, 'Slack did not show the form for a rejection');
      return null;
    }
    // As on every channel; what is all blanks Slack lets through.
    if (interaction.did === 'reject' && interaction.comment === null) return { response_action: 'errors', errors: { [REASON]: 'A rejection says why.' } };
    const decided = await options.decide(person, about, interaction.did, interaction.did === 'reject' ? interaction.comment : null);
    if (decided.ok) {
      logger.info({ changeId: about.changeId, approver: person, verdict: interaction.did }, 'decided in Slack');
      const after = isKept ? null : await options.view(about.changeId);
      if (after !== null) await refresh(about.ts, about.planDigest, after, closing.signal);
      return null;
    }
    const change = await options.view(about.changeId);
    // Who pressed sees what the change is by now, instead of buttons that do nothing.
    if (change !== null && (change.state !== 'pending' || change.planDigest !== about.planDigest)) await refresh(about.ts, about.planDigest, change, closing.signal);
    const text = `Not ${interaction.did === 'approve' ? 'approved' : 'rejected'}: ${decided.message}`;
    if (interaction.did === 'reject' && !answered()) return { response_action: 'errors', errors: { [REASON]: text.slice(0, 2_000) } };
    await whisper(user, text);
    return null;
  };

  const track = <T>(work: Promise<T>): Promise<T> => {
    running.add(work);
    return work.finally(() => running.delete(work));
  };

  return {
    receiver: {
      name: SLACK_RECEIVER, events: EVENTS, consumers: null, coalescing: options.coalesceMs === 0 ? undefined : { withinMs: options.coalesceMs, events: POSTED },
      send: ({ body }, signal) => track(tell(notificationMessageSchema.parse(JSON.parse(body)), AbortSignal.any([signal, closing.signal]))),
    },
    async take(request) {
      if (!isFromSlack(request, options.signingSecrets, clock.nowMs())) return { status: 401, body: null };
      const interaction = readInteraction(request.body);
      if (interaction === null || interaction.about.channel !== channel) return { status: 400, body: null };
      if (interaction.team !== team) return { status: 401, body: null };
      let answered = false;
      const work = track(act(interaction, () => answered).catch((error: unknown) => {
        logger.error({ changeId: interaction.about.changeId, error: String(error) }, 'a press in Slack came to nothing');
        return null;
      }));
      const late = new Promise<null>((resolve) => {
        const cancel = clock.after(ANSWER_MS, () => resolve(null));
        void work.finally(cancel);
      });
      const body = await Promise.race([work, late]);
      answered = true;
      return { status: 200, body };
    },
    async close() {
      closing.abort();
      await Promise.allSettled(running);
    },
  };
}

/** Whether a press decides nothing about that plan any more. What was approved beforehand may be rejected until it is dispatched. */
function isOver({ planDigest, state }: ChangeView, about: Shown): boolean {
  return planDigest !== about.planDigest || (state !== 'pending' && state !== 'scheduled');
}

/**
 * Whether the message is what that record asked by: another try of that asks nobody twice. Where it is not known, whether nobody had decided on the plan by then;
 * approvals that count no more are not seen so.
 */
function isAskedFirst({ approvals }: ChangeView, { askedBy }: Message, record: number): boolean {
  return askedBy === null ? approvals.every((one) => one.record > record) : askedBy === record;
}
