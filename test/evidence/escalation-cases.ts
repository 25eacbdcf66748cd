/** Stories of changes that wait for approvals, with one thing wrong in each. */
import type { EventBody, NewEvent } from '../../src/change/events.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { editing, twice, withBody } from '../support/edit-story.ts';
import { ROTATE, toldUntilApproved, toldUntilPlanned } from '../support/step-stories.ts';
import { sidecar, sign, START_MS, statementOf, type Beat, type Telling } from '../support/story.ts';
import type { Case } from './verified.ts';

export const AFTER_MS = 600_000;
/** The decision comes thirty milliseconds into the story. */
const DECIDED_MS = START_MS + 30;

/** A rotation that waits for approvals, of which one person more is told after ten minutes. */
export const waiting = (escalation = { afterSeconds: AFTER_MS / 1000, to: ['person:sam'] }): Telling => toldUntilPlanned(ROTATE, START_MS, { obligations: { escalation } });

/** They were told of it. */
export function escalated(telling: Telling = waiting(), lateMs = 0): Telling {
  telling.atMs = Math.max(telling.atMs, DECIDED_MS + AFTER_MS + lateMs);
  return telling.do({ type: 'escalate', by: sidecar });
}

/** That record, whatever `decide` thinks of it. */
const forced = (telling: Telling, edit: Partial<EventBody<'approval.escalated'>> = {}): readonly Beat[] =>
  telling.force({ type: 'approval.escalated', actor: sidecar, body: { revision: 1, to: ['person:sam'], dueAt: formatTime(DECIDED_MS + AFTER_MS), ...edit } }).beats;
const edited = (edit: Partial<EventBody<'approval.escalated'>>): readonly Beat[] => editing('approval.escalated', (event) => withBody(event, edit))(escalated().beats);

/** Approved by somebody who was told of it, and was not asked. */
function approvedByTold(): readonly Beat[] {
  const telling = escalated();
  const event: NewEvent = { type: 'approval.recorded', actor: 'person:sam', body: { approval: sign.approval(statementOf(telling, 'person:sam')), comment: null } };
  return telling.later(1_000).force(event).beats;
}

export const ESCALATION_CASES: readonly Case[] = [
  { title: 'people who were told before it was time', code: 'wrong-order', beats: () => editing('approval.escalated', () => ({ atMs: DECIDED_MS + AFTER_MS - 1 }))(escalated().beats) },
  { title: 'people who were told twice', code: 'wrong-order', beats: () => twice('approval.escalated')(escalated().beats) },
  { title: 'people who were told of a change that was approved', code: 'wrong-order', beats: () => forced(toldUntilApproved(waiting()).later(AFTER_MS)) },
  { title: 'people who were told of another revision', code: 'wrong-order', beats: () => edited({ revision: 2 }) },
  { title: 'people who were told by an executor', code: 'wrong-actor', beats: () => editing('approval.escalated', (event) => ({ ...event, actor: 'executor:main' }))(escalated().beats) },
  { title: 'people who were told by somebody who was to approve', code: 'wrong-actor', beats: () => editing('approval.escalated', (event) => ({ ...event, actor: 'person:ana' }))(escalated().beats) },
  { title: 'people who were told though no decision says so', code: 'escalation-mismatch', beats: () => forced(toldUntilPlanned(ROTATE, START_MS).later(AFTER_MS)) },
  { title: 'others who were told than the decision names', code: 'escalation-mismatch', beats: () => edited({ to: ['person:mallory'] }) },
  { title: 'more who were told than the decision names', code: 'escalation-mismatch', beats: () => edited({ to: ['person:sam', 'person:mallory'] }) },
  { title: 'people who were told, it says, when it was not time', code: 'escalation-mismatch', beats: () => edited({ dueAt: formatTime(DECIDED_MS + AFTER_MS - 60_000) }) },
  { title: 'fewer who were told than an earlier decision names', code: 'escalation-mismatch', beats: () => {
    const telling = waiting();
    telling.later(1_000).do({ type: 'revise', by: ROTATE.subject, request: { ...ROTATE, reason: 'again' } });
    toldUntilPlanned({ ...ROTATE, reason: 'again' }, telling.atMs, { obligations: { escalation: { afterSeconds: 60, to: ['person:olga'] } } }, telling);
    const dueAt = formatTime(telling.atMs + 60_000);
    return forced(telling.later(60_000), { revision: 2, to: ['person:olga'], dueAt });
  } },
  { title: 'an approval by somebody who was told and not asked', code: 'not-an-approver', beats: approvedByTold },
  { title: 'people who were told after the change was over', code: 'record-after-end', beats: () => {
    const telling = waiting();
    telling.later(1_000).do({ type: 'withdraw', by: ROTATE.subject, comment: null });
    return forced(telling.later(AFTER_MS));
  } },
];
