import { describe, expect, it } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { draftOf } from '../support/drafts.ts';
import { GRANT, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded } from '../support/story.ts';
import { reduced, REDUCTION_CASES, waiting } from './reduction-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

describe('a request that an approver reduced', () => {
  it('is followed to its end, with her own approval among those that count', async () => {
    const telling = reduced();
    toldUntilActive(toldUntilArmed(toldUntilDecided(telling.now.request as typeof GRANT, telling.atMs, 'needsApproval', telling)));
    toldUntilEnded(telling, telling.now.lease!.order);
    const verification = await verified(telling.beats);
    expect(verification.workflow?.violations).toEqual([]);
    expect(workflowOf(verification).status).toBe('holds');
  });

  it('is a record of version 3, and any other revision stays one of version 2', () => {
    const versionOf = (beats: ReturnType<typeof waiting>['beats']): number => {
      const { changeId, event, atMs } = beats.find((beat) => beat.event.type === 'change.revised')!;
      return draftOf(changeId, event, atMs).draft.v;
    };
    expect(versionOf(reduced().beats)).toBe(3);
    expect(versionOf(waiting().do({ type: 'revise', by: GRANT.subject, request: GRANT }).beats)).toBe(2);
  });

  it('says so in a sentence', () => {
    const { event } = reduced().beats.at(-1)!;
    const [line] = tellStory([{ seq: 5, type: event.type, at: formatTime(START_MS), actor: event.actor, body: event.body }]);
    expect(line!.text).toBe('person:ben, who is asked to approve it, reduced the request, which is now revision 2: grant role:deploy at pg-main/app to nhi:prod/ci-deployer for PT8H, for deploy-orders. Every approval before is void.');
  });
});

describe('what is found out', () => {
  it.each(REDUCTION_CASES)('$title: $code', (one) => expectCaught(one, () => reduced().beats));
});
