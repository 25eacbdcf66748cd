import { describe, expect, it } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { ROTATE, toldUntilApproved, toldUntilPlanned, toldUntilStep } from '../support/step-stories.ts';
import { sidecar, START_MS, type Beat } from '../support/story.ts';
import { AFTER_MS, escalated, ESCALATION_CASES, waiting } from './escalation-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

async function held(beats: readonly Beat[]): Promise<void> {
  const verification = await verified(beats);
  expect(verification.workflow?.violations).toEqual([]);
  expect(workflowOf(verification).status).toBe('holds');
}

describe('a change of which further people were told', () => {
  it('is followed to its end, and is approved by those who were asked', async () => {
    await held(toldUntilStep(escalated()).beats);
  });

  it('may be told of late, by a sidecar that was away', async () => {
    await held(toldUntilApproved(escalated(waiting(), AFTER_MS)).beats);
  });

  it('may be told of again once it was revised', async () => {
    const telling = escalated();
    telling.later(1_000).do({ type: 'revise', by: ROTATE.subject, request: { ...ROTATE, reason: 'at last' } });
    toldUntilPlanned({ ...ROTATE, reason: 'at last' }, telling.atMs, {}, telling);
    telling.later(AFTER_MS).do({ type: 'escalate', by: sidecar });
    await held(toldUntilApproved(telling).beats);
  });

  it('says so in a sentence', () => {
    const { event } = escalated().beats.at(-1)!;
    const [line] = tellStory([{ seq: 5, type: event.type, at: formatTime(START_MS), actor: event.actor, body: event.body }]);
    expect(line!.text).toBe('It still waited for approvals at 2026-11-23T19:10:00.030Z: person:sam is told as well. Who may approve has not changed.');
  });
});

describe('what is found out', () => {
  it.each(ESCALATION_CASES)('$title: $code', (one) => expectCaught(one, () => escalated().beats));
});
