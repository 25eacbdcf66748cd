/** People who are asked one after the other, and how many of them must say no. */
import { describe, expect, it } from 'vitest';
import { waitsForApprovalOf } from '../../src/change/waits-for.ts';
import type { ApproverExpression, Decision } from '../../src/protocol/decision.ts';
import { decision, expectOk, GRANT, Story, T0 } from './story.ts';

const OWNER = { anyOf: ['person:ana', 'person:ben'] };
const STAGES: ApproverExpression = { stages: [OWNER, 'person:olga', { atLeast: 3, of: ['person:ana', 'person:ben', 'person:olga', 'person:wei'] }] };
const asking = (approvers: ApproverExpression, rejections?: number): Decision => {
  const asked = decision('needsApproval', approvers);
  return { ...asked, obligations: { ...asked.obligations, ...(rejections === undefined ? {} : { rejections }) } };
};
const pending = (approvers: ApproverExpression = STAGES, rejections?: number): Story => {
  const story = new Story().requested().read();
  expectOk(story.decided(asking(approvers, rejections)));
  return story;
};
const reject = (story: Story, approver: string) => story.try({ type: 'approve', approval: story.approval(approver, { verdict: 'reject' }), comment: null });
const waiting = (story: Story): string[] => ['person:ana', 'person:ben', 'person:olga', 'person:wei'].filter((person) => waitsForApprovalOf(story.now, person, story.nowMs));

describe('a change that is approved in stages', () => {
  it('waits for one stage after the other', () => {
    const story = pending();
    expect(waiting(story)).toEqual(['person:ana', 'person:ben']);
    expectOk(story.approve('person:ben'));
    expect(waiting(story)).toEqual(['person:olga']);
    expectOk(story.approve('person:olga'));
    expect(waiting(story)).toEqual(['person:ana', 'person:wei']);
    expectOk(story.approve('person:wei'));
    expect(story.now.name).toBe('scheduled');
  });

  it('takes no approval that comes too early, records nothing of it, and says who is waited for', () => {
    const story = pending();
    const { length } = story.events;
    for (const early of ['person:olga', 'person:wei']) expect(story.approve(early)).toMatchObject({ ok: false, code: 'approval-out-of-stage', message: `${early} is asked once those before have approved: it waits for person:ana, person:ben` });
    expect(story.events).toHaveLength(length);
    expectOk(story.approve('person:ana'));
    expectOk(story.approve('person:olga'));
  });

  it('is rejected by whoever is asked later, at any time', () => {
    const story = pending();
    expectOk(reject(story, 'person:wei'));
    expect(story.now.name).toBe('rejected');
  });

  it('loses no order by what another policy asks beside it', () => {
    const story = pending('person:olga');
    expectOk(story.try({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'again' } }));
    story.read();
    expectOk(story.decided(asking({ stages: ['person:ana', 'person:olga'] })));
    expect(story.approve('person:olga')).toMatchObject({ code: 'approval-out-of-stage' });
    expectOk(story.approve('person:ana'));
    expectOk(story.approve('person:olga'));
    expect(story.now.name).toBe('scheduled');
  });

  it('waits for the first stage again once its approval is over', () => {
    const story = pending();
    expectOk(story.try({ type: 'approve', approval: story.approval('person:ana', { expiresAt: new Date(T0 + 60_000).toISOString() }), comment: null }));
    story.nowMs = T0 + 60_000;
    expect(story.approve('person:olga')).toMatchObject({ code: 'approval-out-of-stage' });
    expect(waiting(story)).toEqual(['person:ana', 'person:ben']);
  });

  it('is approved by nobody where there is no stage', () => {
    const story = pending({ stages: [] });
    expect(story.now.name).toBe('pending');
    expect(story.approve('person:ana')).toMatchObject({ code: 'not-an-approver' });
  });
});

describe('a change that more than one person must reject', () => {
  const TWO_OF = { atLeast: 2, of: ['person:ana', 'person:ben', 'person:olga', 'person:wei'] };

  it('waits on after the first, whose approval counts no more and comes no more', () => {
    const story = pending(TWO_OF, 2);
    expectOk(story.approve('person:ana'));
    const answer = reject(story, 'person:ana');
    expect(answer.ok && answer.events.map(({ body }) => 'outcome' in body && body.outcome)).toEqual(['open']);
    expect(story.now).toMatchObject({ name: 'pending', approvals: [], rejections: [{ statement: { approver: 'person:ana', verdict: 'reject' } }] });
    expect(story.approve('person:ana')).toMatchObject({ code: 'already-decided' });
    expect(reject(story, 'person:ana')).toEqual({ ok: true, events: [] });
    expect(waiting(story)).toEqual(['person:ben', 'person:olga', 'person:wei']);
    expectOk(story.approve('person:ben'));
    expectOk(story.approve('person:wei'));
    expect(story.now.name).toBe('scheduled');
    expectOk(story.decided(asking(TWO_OF, 2), 'dispatch'));
    expectOk(story.authorise());
    expect(story.events.at(-1)).toMatchObject({ type: 'step.authorised', body: { approvals: story.now.approvals.map(({ approval }) => approval.approvalId) } });
    expect(story.now.approvals.map(({ statement }) => statement.approver)).toEqual(['person:ben', 'person:wei']);
  });

  it('is over with the second', () => {
    const story = pending(TWO_OF, 2);
    expectOk(reject(story, 'person:ana'));
    const answer = reject(story, 'person:wei');
    expect(answer.ok && answer.events).toMatchObject([{ body: { outcome: 'enough' } }]);
    expect(story.now.name).toBe('rejected');
  });

  it('is over with the first where those who are left cannot approve it, and the record says so', () => {
    const story = pending({ allOf: ['person:olga', TWO_OF] }, 3);
    const answer = reject(story, 'person:olga');
    expect(answer.ok && answer.events).toMatchObject([{ body: { outcome: 'unreachable' } }]);
    expect(story.now.name).toBe('rejected');
  });

  it('is over with the first, without a word more on record, where nothing is said', () => {
    const story = pending(TWO_OF);
    const answer = reject(story, 'person:ana');
    expect(answer.ok && 'outcome' in answer.events[0]!.body).toBe(false);
    expect(story.now.name).toBe('rejected');
  });

  it('is held to the fewest that any decision about it says', () => {
    const story = pending(TWO_OF, 3);
    expectOk(reject(story, 'person:ana'));
    expectOk(story.try({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'again' } }));
    story.read();
    expectOk(story.decided(asking(TWO_OF, 2)));
    expect(story.now).toMatchObject({ rejectionsDue: 2, rejections: [] });
    expectOk(story.try({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'and again' } }));
    story.read();
    expectOk(story.decided(asking(TWO_OF, 3)));
    expect(story.now.rejectionsDue).toBe(2);
  });

  it('is over before it is dispatched where policy now says that as many as rejected it are enough', () => {
    const story = pending(TWO_OF, 2);
    expectOk(reject(story, 'person:ana'));
    expectOk(story.approve('person:ben'));
    expectOk(story.approve('person:wei'));
    expectOk(story.decided(asking(TWO_OF), 'dispatch'));
    expect(story.now.name).toBe('rejected');
    expect(story.authorise()).toMatchObject({ ok: false });
  });

  it('counts a person once, by whichever of her ids she says no', () => {
    const story = pending(TWO_OF, 2);
    expectOk(story.approve('person:olga'));
    const by = (approver: string, verdict: 'approve' | 'reject', ...otherIds: string[]) => story.try({ type: 'approve', approval: story.approval(approver, { verdict }), comment: null, otherIds });
    const first = by('person:ana', 'reject', 'person:olga');
    expect(first.ok && first.events).toMatchObject([{ body: { outcome: 'open', otherIds: ['person:olga'] } }]);
    // What she had approved by her other id is void too.
    expect(story.now).toMatchObject({ name: 'pending', approvals: [], rejections: [{ otherIds: ['person:olga'] }] });
    expect(by('person:olga', 'reject', 'person:ana')).toEqual({ ok: true, events: [] });
    expect(by('person:olga', 'approve', 'person:ana')).toMatchObject({ code: 'already-decided' });
    expect(by('person:olga', 'approve')).toMatchObject({ code: 'already-decided' });
    expect(waiting(story)).toEqual(['person:ben', 'person:wei']);
    const last = by('person:ben', 'reject');
    expect(last.ok && last.events).toMatchObject([{ body: { outcome: 'enough' } }]);
    expect(story.now.name).toBe('rejected');
  });

  it('counts her once where it became known only afterwards that both ids are hers, and misses both where others are counted', () => {
    const later = pending(TWO_OF, 2);
    expectOk(reject(later, 'person:ana'));
    expect(later.try({ type: 'approve', approval: later.approval('person:olga', { verdict: 'reject' }), comment: null, otherIds: ['person:ana'] })).toEqual({ ok: true, events: [] });
    const few = pending({ atLeast: 3, of: TWO_OF.of }, 3);
    const answer = few.try({ type: 'approve', approval: few.approval('person:ana', { verdict: 'reject' }), comment: null, otherIds: ['person:olga'] });
    expect(answer.ok && answer.events).toMatchObject([{ body: { outcome: 'unreachable' } }]);
  });

  it('is over with the first where those who are left would never be asked, each waiting for a stage of the other', () => {
    const crossed = pending({ allOf: [{ stages: [{ anyOf: ['person:ana', 'person:ben'] }, 'person:olga'] }, { anyOf: ['person:wei', { stages: ['person:olga', 'person:ben'] }] }] }, 3);
    expectOk(reject(crossed, 'person:wei'));
    // Ana can still open the way to Olga, and Olga to Ben.
    expect(crossed.now.name).toBe('pending');
    const answer = reject(crossed, 'person:ana');
    expect(answer.ok && answer.events).toMatchObject([{ body: { outcome: 'unreachable' } }]);
    expect(crossed.now.name).toBe('rejected');
  });

  it('waits on for who is left where an approval that is there has opened the way', () => {
    const story = pending({ stages: ['person:ana', { anyOf: ['person:ben', 'person:olga'] }] }, 2);
    expectOk(story.approve('person:ana'));
    const answer = reject(story, 'person:ben');
    expect(answer.ok && answer.events).toMatchObject([{ body: { outcome: 'open' } }]);
    expectOk(story.approve('person:olga'));
    expect(story.now.name).toBe('scheduled');
  });
});
