/** Stories of changes that people approve one after the other, and that more than one must reject, with one thing wrong in each. */
import type { NewEvent } from '../../src/change/events.ts';
import { ROTATE, toldUntilPlanned } from '../support/step-stories.ts';
import { sign, START_MS, statementOf, type Beat, type Telling } from '../support/story.ts';
import { editing, withBody } from '../support/edit-story.ts';
import type { Case } from './verified.ts';

const APPROVERS = { stages: ['person:ana', { atLeast: 2, of: ['person:ben', 'person:olga', 'person:sam', 'person:wei'] }] };
/** A rotation that waits for Ana, then for two others; two people must reject it. */
export const waiting = (): Telling => toldUntilPlanned(ROTATE, START_MS, { obligations: { approvers: APPROVERS, rejections: 2 } });

export function deciding(telling: Telling, verdict: 'approve' | 'reject', ...people: readonly string[]): Telling {
  for (const person of people) telling.later(1_000).do({ type: 'approve', approval: sign.approval(statementOf(telling, person, verdict)), comment: null });
  return telling;
}

/** That record, whatever `decide` thinks of it. */
function forced(telling: Telling, person: string, verdict: 'approve' | 'reject', outcome?: 'open' | 'enough' | 'unreachable', otherIds?: string[]): readonly Beat[] {
  const approval = sign.approval(statementOf(telling.later(1_000), person, verdict));
  const event: NewEvent = verdict === 'approve' ? { type: 'approval.recorded', actor: person, body: { approval, comment: null } }
    : { type: 'approval.rejected', actor: person, body: { approval, comment: null, ...(outcome === undefined ? {} : { outcome }), ...(otherIds === undefined ? {} : { otherIds }) } };
  return telling.force(event).beats;
}

const rejected = (): Telling => deciding(deciding(waiting(), 'approve', 'person:ana'), 'reject', 'person:wei');

/** Sam has rejected it, who is asked as Ben as well. */
const linked = (): Telling => {
  const telling = deciding(waiting(), 'approve', 'person:ana').later(1_000);
  return telling.do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:sam', 'reject')), comment: null, otherIds: ['person:ben'] });
};

export const STAGE_CASES: readonly Case[] = [
  { title: 'an approval before those who were asked first', code: 'approval-out-of-stage', beats: () => forced(waiting(), 'person:ben', 'approve') },
  { title: 'an approval by whoever had rejected it', code: 'rejection-mismatch', beats: () => forced(rejected(), 'person:wei', 'approve') },
  { title: 'a rejection that is counted twice', code: 'rejection-mismatch', beats: () => forced(rejected(), 'person:wei', 'reject', 'enough') },
  { title: 'a rejection that comes to nothing, it says, and is the second of two', code: 'rejection-mismatch', beats: () => forced(rejected(), 'person:ben', 'reject', 'open') },
  { title: 'a rejection that says nothing of what it comes to', code: 'rejection-mismatch', beats: () => forced(waiting(), 'person:wei', 'reject') },
  { title: 'a rejection that ends it, it says, where others can still approve it', code: 'rejection-mismatch', beats: () => editing('approval.rejected', (event) => withBody(event, { outcome: 'unreachable' }))(rejected().beats) },
  { title: 'a rejection by somebody who had rejected it by another id', code: 'rejection-mismatch', beats: () => forced(deciding(waiting(), 'reject', 'person:wei'), 'person:ben', 'reject', 'enough', ['person:wei']) },
  { title: 'an approval by another id of who had rejected it', code: 'rejection-mismatch', beats: () => forced(linked(), 'person:ben', 'approve') },
  { title: 'an approval of a change that enough people had rejected', code: 'record-after-end', beats: () => forced(deciding(rejected(), 'reject', 'person:ana'), 'person:sam', 'approve') },
];
