import { describe, expect, it } from 'vitest';
import { nextWork, type WorkLimits } from '../../src/change/work.ts';
import { asDecision } from '../../src/pdp/answers.ts';
import { ESCALATED_TO_MAX, soonestEscalation, type Decision, type Escalation } from '../../src/protocol/decision.ts';
import { decision, expectOk, GRANT, SIDECAR, Story, T0 } from './story.ts';

const LIMITS: WorkLimits = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const HOUR = 3_600_000;
const escalating = (escalation: Escalation | null, approvers: Decision['obligations']['approvers'] = { anyOf: ['person:wei', 'person:ana'] }): Decision => {
  const asked = decision('needsApproval', approvers);
  return { ...asked, obligations: { ...asked.obligations, ...(escalation === null ? {} : { escalation }) } };
};
const SOON: Escalation = { afterSeconds: 600, to: ['person:ben', 'person:sam'] };
const pending = (escalation: Escalation | null = SOON): Story => {
  const story = new Story().requested().read();
  expectOk(story.decided(escalating(escalation)));
  return story;
};
const escalate = (story: Story) => story.try({ type: 'escalate', by: SIDECAR });

describe('a change that waits for approvals', () => {
  it('is looked at again when it is time to tell further people, and when the time to decide is over', () => {
    const story = pending();
    expect(nextWork(story.now, T0, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + 600_000 });
    expect(nextWork(story.now, T0 + 599_999, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + 600_000 });
    expect(nextWork(story.now, T0 + 600_000, LIMITS).work).toEqual({ do: 'escalate' });
    story.nowMs = T0 + 600_000;
    expectOk(escalate(story));
    expect(nextWork(story.now, story.nowMs, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + HOUR });
  });

  it('is escalated once, as the decision says, and still waits for the same people', () => {
    const story = pending();
    story.nowMs = T0 + 599_999;
    expect(escalate(story)).toMatchObject({ ok: false, code: 'not-expected' });
    story.nowMs = T0 + 650_000;
    const { requirement } = story.now;
    const answer = escalate(story);
    expect(answer.ok && answer.events).toEqual([{ type: 'approval.escalated', actor: SIDECAR, body: { revision: 1, to: SOON.to, dueAt: '2026-11-23T19:10:00.000Z' } }]);
    expect(story.now).toMatchObject({ name: 'pending', requirement, escalated: { to: SOON.to, dueAtMs: T0 + 600_000, atMs: T0 + 650_000 } });
    expect(escalate(story)).toMatchObject({ ok: false, code: 'not-expected' });
    for (const told of SOON.to) expect(story.approve(told)).toMatchObject({ ok: false, code: 'not-an-approver' });
    expectOk(story.approve('person:wei'));
    expect(story.now.name).toBe('scheduled');
  });

  it('is not escalated where no decision says so', () => {
    const story = pending(null);
    expect(nextWork(story.now, T0, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + HOUR });
    story.nowMs = T0 + 1_000_000;
    expect(escalate(story)).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('expires and is not escalated where both are due', () => {
    const story = pending({ ...SOON, afterSeconds: 7200 });
    expect(nextWork(story.now, T0, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + HOUR });
    story.nowMs = T0 + 2 * HOUR;
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'expire' });
    expect(escalate(story)).toMatchObject({ ok: false, code: 'not-expected' });
    expectOk(story.try({ type: 'expire', by: SIDECAR, cause: 'approval' }));
  });

  it('that was approved, rejected or withdrawn in the same instant is not escalated', () => {
    const ends: readonly ((story: Story) => unknown)[] = [
      (story) => story.approve('person:wei'),
      (story) => story.must({ type: 'approve', approval: story.approval('person:wei', { verdict: 'reject' }), comment: 'no' }),
      (story) => story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null }),
    ];
    for (const end of ends) {
      const story = pending();
      story.nowMs = T0 + 600_000;
      end(story);
      expect(story.now.name).not.toBe('pending');
      expect(nextWork(story.now, story.nowMs, LIMITS).work).not.toEqual({ do: 'escalate' });
      expect(escalate(story)).toMatchObject({ ok: false, code: 'not-expected' });
    }
  });

  it('begins anew with each revision', () => {
    const story = pending();
    story.nowMs = T0 + 600_000;
    expectOk(escalate(story));
    story.nowMs = T0 + 700_000;
    story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'release 43' } });
    expect(story.now.escalated).toBeNull();
    story.read();
    expectOk(story.decided(escalating(SOON)));
    expect(nextWork(story.now, story.nowMs, LIMITS)).toEqual({ work: null, wakeAtMs: T0 + 1_300_000 });
    story.nowMs = T0 + 1_300_000;
    const answer = escalate(story);
    expect(answer.ok && answer.events).toMatchObject([{ body: { revision: 2, dueAt: '2026-11-23T19:21:40.000Z' } }]);
  });

  it('is escalated as soon as any decision said, to everybody whom any named', () => {
    const story = pending({ afterSeconds: 900, to: ['person:sam'] });
    story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'release 43' } });
    story.read();
    expectOk(story.decided(escalating(null)));
    expect(story.now.escalation).toEqual({ afterSeconds: 900, to: ['person:sam'] });
    story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, reason: 'release 44' } });
    story.read();
    expectOk(story.decided(escalating({ afterSeconds: 1800, to: ['person:ben'] })));
    expect(story.now.escalation).toEqual({ afterSeconds: 900, to: ['person:sam', 'person:ben'] });
  });

  it('waits anew where the decision before dispatch asks for more people', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    story.nowMs = T0 + 30 * 60_000;
    expectOk(story.decided(escalating(SOON, 'person:olga'), 'dispatch'));
    expect(story.now.name).toBe('pending');
    expect(nextWork(story.now, story.nowMs, LIMITS)).toEqual({ work: null, wakeAtMs: story.nowMs + 600_000 });
  });
});

describe('the escalation that holds when two do', () => {
  it('is the earlier one, to more people, each once, and no more than a record takes', () => {
    expect(soonestEscalation(null, null)).toBeNull();
    expect(soonestEscalation(SOON, null)).toEqual(SOON);
    expect(soonestEscalation(null, SOON)).toEqual(SOON);
    expect(soonestEscalation(SOON, { afterSeconds: 60, to: ['person:sam', 'person:olga'] })).toEqual({ afterSeconds: 60, to: ['person:ben', 'person:sam', 'person:olga'] });
    expect(soonestEscalation({ afterSeconds: 60, to: ['person:olga'] }, SOON)).toEqual({ afterSeconds: 60, to: ['person:olga', 'person:ben', 'person:sam'] });
    const crowd = { afterSeconds: 60, to: Array.from({ length: ESCALATED_TO_MAX }, (_, n) => `person:p${n}`) };
    expect(soonestEscalation(crowd, SOON)).toEqual(crowd);
  });

  it('of an answer that policy gave in another form is a fault, and no decision', () => {
    expect(asDecision(escalating(SOON)).obligations.escalation).toEqual(SOON);
    for (const escalation of [{ ...SOON, to: [] }, { ...SOON, to: ['nhi:prod/ci-deployer'] }, { ...SOON, afterSeconds: 0 }, { ...SOON, afterSeconds: 0.5 }, { ...SOON, also: 1 }, null]) {
      const answer = escalating(null);
      expect(() => asDecision({ ...answer, obligations: { ...answer.obligations, escalation } }), JSON.stringify(escalation)).toThrow(/escalation/);
    }
  });
});
