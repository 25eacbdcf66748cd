/**
 * Notifications of one event to the same people, told in one message where many come at once. What they have in common is in their records: the
 * same records make the same messages, whichever process tells them. Pure.
 */
import { canonicalBytes } from '../../ledger/index.ts';
import type { NotificationEvent } from '../change/events.ts';
import type { Notification } from './derive.ts';
import { COALESCED_FIRST, COALESCED_MAX, isCoalescable, type CoalescedPayload, type NotificationMessage, type NotificationPayload } from './payload.ts';

/** What a receiver lets be told in one message. */
export interface Coalescing {
  readonly withinMs: number;
  readonly events: readonly NotificationEvent[];
}

/** What one message tells of, in the ledger's order: never nothing. */
export type ToldTogether = readonly [Notification, ...Notification[]];

/** A spell of `withinMs`, by the time of records, and what belongs together in it. */
export interface Spell {
  readonly name: string;
  readonly endsAtMs: number;
}

/** When the notification is told with others; null where it waits for none. */
export function spellOf(notification: Notification, coalescing: Coalescing | undefined): Spell | null {
  const { payload, atMs, urgent } = notification;
  if (coalescing === undefined || urgent || !isCoalescable(payload) || !coalescing.events.includes(payload.type)) return null;
  const spell = Math.floor(atMs / coalescing.withinMs);
  const name = Buffer.from(canonicalBytes({ spell, event: payload.type, to: [...peopleOf(payload)].sort() })).toString('latin1');
  return { name, endsAtMs: (spell + 1) * coalescing.withinMs };
}

/** The messages that tell of what came in one spell, in the ledger's order: a few are told each by itself. */
export function messagesOf(spell: readonly Notification[]): readonly ToldTogether[] {
  const ordered = [...spell].sort((a, b) => a.about - b.about);
  const messages: ToldTogether[] = [];
  for (let from = 0; from < ordered.length; from += COALESCED_MAX) {
    const [first, ...others] = ordered.slice(from, from + COALESCED_MAX);
    if (others.length >= COALESCED_FIRST) messages.push([first!, ...others]);
    else messages.push(...[first!, ...others].map((one): ToldTogether => [one]));
  }
  return messages;
}

/** What is sent of it. */
export function payloadOf(told: ToldTogether): NotificationMessage {
  const first = told[0].payload;
  if (told.length === 1) return first;
  const of = told.map(({ payload }) => payload).filter(isCoalescable);
  const data: CoalescedPayload['data'] = {
    event: of[0]!.type, to: [...peopleOf(first)], count: told.length, first: of.slice(0, COALESCED_FIRST),
    rest: of.slice(COALESCED_FIRST).map(({ data: { changeId, record } }) => ({ changeId, record })),
  };
  return { type: 'notifications.coalesced', timestamp: told.at(-1)!.payload.timestamp, data };
}

/** Whom it is for, where it says so; nobody where it is for whoever is told. */
function peopleOf({ data }: NotificationPayload): readonly string[] {
  if ('to' in data) return data.to;
  return 'approvers' in data ? data.approvers : [];
}

