import { describe, expect, it } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { ROTATE, toldUntilAuthorised, toldUntilPlanned, toldUntilStep } from '../support/step-stories.ts';
import { START_MS, type Beat, type Telling } from '../support/story.ts';
import { deciding, STAGE_CASES, waiting } from './stage-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

async function held(beats: readonly Beat[]): Promise<void> {
  const verification = await verified(beats);
  expect(verification.workflow?.violations).toEqual([]);
  expect(workflowOf(verification).status).toBe('holds');
}
const said = (telling: Telling): string => {
  const { event } = telling.beats.at(-1)!;
  return tellStory([{ seq: 5, type: event.type, at: formatTime(START_MS), actor: event.actor, body: event.body }])[0]!.text;
};

describe('a change that people approve one after the other', () => {
  it('is followed to its end, past one who rejects it', async () => {
    const telling = deciding(deciding(waiting(), 'approve', 'person:ana'), 'reject', 'person:wei');
    expect(said(telling)).toMatch(/rejected plan .* The change waits for others\.$/);
    await held(toldUntilStep(deciding(telling, 'approve', 'person:ben', 'person:sam')).beats);
  });

  it('is over with the second who rejects it, or once those who are left cannot approve it', async () => {
    await held(deciding(deciding(waiting(), 'approve', 'person:ana'), 'reject', 'person:wei', 'person:ben').beats);
    const alone = deciding(waiting(), 'reject', 'person:ana');
    expect(said(alone)).toMatch(/Those who are left cannot approve it: the change is over\.$/);
    await held(alone.beats);
  });

  it('does not count the approval of whoever rejected it later', async () => {
    const obligations = { approvers: { atLeast: 2, of: ['person:ana', 'person:ben', 'person:sam'] }, rejections: 2 };
    const changed = deciding(deciding(deciding(toldUntilPlanned(ROTATE, START_MS, { obligations }), 'approve', 'person:ana'), 'reject', 'person:ana'), 'approve', 'person:ben');
    expect(changed.now.name).toBe('pending');
    const telling = deciding(changed, 'approve', 'person:sam');
    expect(telling.now.approvals.map(({ statement }) => statement.approver)).toEqual(['person:ben', 'person:sam']);
    await held(toldUntilAuthorised(telling).beats);
  });
});

describe('what is found out', () => {
  it.each(STAGE_CASES)('$title: $code', (one) => expectCaught(one, () => waiting().beats));
});
