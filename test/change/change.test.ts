import { describe, expect, it } from 'vitest';
import { nextWork, type WorkLimits } from '../../src/change/work.ts';
import { shownState } from '../../src/change/state.ts';
import type { Seal } from '../../src/protocol/signed.ts';
import { decision, EXECUTOR, expectOk, GRANT, SIDECAR, STATE_BEFORE, Story, T0 } from './story.ts';

const LIMITS: WorkLimits = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const pending = (): Story => {
  const story = new Story().requested().read();
  expectOk(story.decided(decision('needsApproval', { allOf: ['person:wei', { anyOf: ['person:olga', 'person:ben'] }] })));
  return story;
};

describe('a request', () => {
  it('is read at the target before anything is decided', () => {
    const story = new Story().requested();
    expect(nextWork(story.now, T0, LIMITS).work).toEqual({ do: 'read' });
    story.read();
    expect(nextWork(story.now, T0, LIMITS).work).toEqual({ do: 'decide' });
  });

  it('is denied for good by a policy that says no', () => {
    const story = new Story().requested().read();
    expectOk(story.decided(decision('deny')));
    expect(story.now.name).toBe('denied');
    expect(nextWork(story.now, T0, LIMITS)).toEqual({ work: null, wakeAtMs: null });
    expect(story.approve('person:wei')).toMatchObject({ ok: false, code: 'not-an-approver' });
  });

  it('cannot be allowed without a plan', () => {
    const story = new Story().requested();
    const provenance = { bundle: null, input: `sha256:${'0'.repeat(64)}`, facts: [] };
    const answer = story.try({ type: 'recordDecision', by: SIDECAR, phase: 'request', plan: null, decision: decision('allow'), provenance, approvalSeconds: 60 });
    expect(answer).toMatchObject({ ok: false, code: 'not-expected' });
  });
});

describe('an approval', () => {
  it('counts only when every part of the expression is met by distinct people', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:wei'));
    expect(story.now.name).toBe('pending');
    expect(story.now.approvals).toHaveLength(1);
    expectOk(story.approve('person:ben'));
    expect(story.now.name).toBe('scheduled');
  });

  it('by someone who is not asked is refused', () => {
    expect(pending().approve('person:mallory')).toMatchObject({ ok: false, code: 'not-an-approver' });
  });

  it('by whoever asked is refused, even if policy named them', () => {
    const story = new Story().requested(GRANT, ['nhi:prod/ci-deployer', 'person:wei']).read();
    expectOk(story.decided(decision('needsApproval', 'person:wei')));
    expect(story.approve('person:wei')).toMatchObject({ ok: false, code: 'self-approval' });
  });

  it('of another plan, another revision or too late is refused', () => {
    const story = pending();
    const other = `sha256:${'1'.repeat(64)}`;
    expect(story.try({ type: 'approve', approval: story.approval('person:wei', { planDigest: other }), comment: null })).toMatchObject({ ok: false, code: 'plan-changed' });
    expect(story.try({ type: 'approve', approval: story.approval('person:wei', { revision: 2 }), comment: null })).toMatchObject({ ok: false, code: 'plan-changed' });
    story.nowMs += 3_600_000;
    expect(story.approve('person:wei')).toMatchObject({ ok: false, code: 'approval-expired' });
  });

  it('is void once the request is revised, and the requirement does not shrink', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: { ...GRANT, duration: 'PT5M' } as typeof GRANT });
    expect(story.now).toMatchObject({ name: 'requested', revision: 2, approvals: [], plan: null });
    story.read();
    expectOk(story.decided(decision('allow')));
    expect(story.now.name).toBe('pending');
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:olga'));
    expect(story.now.name).toBe('scheduled');
  });

  it('that rejects settles the change, and the next one is told so', () => {
    const story = pending();
    story.must({ type: 'approve', approval: story.approval('person:olga', { verdict: 'reject' }), comment: 'not today' });
    expect(story.now.name).toBe('rejected');
    expect(story.approve('person:wei')).toMatchObject({ ok: false, code: 'already-decided' });
  });

  it('that never comes lets the change expire when its time is over, not before', () => {
    const story = pending();
    expect(story.try({ type: 'expire', by: SIDECAR, cause: 'approval' })).toMatchObject({ ok: false });
    story.nowMs += 3_600_000;
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'expire' });
    story.must({ type: 'expire', by: SIDECAR, cause: 'approval' });
    expect(story.now.name).toBe('expired');
  });
});

describe('a step', () => {
  it('is not authorised on approvals alone: policy decides again, just before', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:ben'));
    expect(story.authorise()).toMatchObject({ ok: false, code: 'stale-decision' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    story.nowMs += 31_000;
    expect(story.authorise()).toMatchObject({ ok: false, code: 'stale-decision' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expect(story.now.name).toBe('authorised');
  });

  it('is not authorised with an end later than its lease, from its record or from the beginning of its ticket, whichever is earlier', () => {
    const story = new Story().allowed(GRANT);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    const recordMs = story.nowMs;
    const { leaseSeconds } = story.now.plan!.lease!;
    for (const clockMs of [recordMs - 3_600_000, recordMs, recordMs + 3_600_000]) {
      const latestMs = Math.min(clockMs, recordMs) + leaseSeconds * 1000;
      expect(story.authorise(clockMs, latestMs + 1)).toMatchObject({ ok: false, message: 'the order does not end the lease when it ends' });
    }
    expectOk(story.authorise(recordMs - 3_600_000, recordMs - 3_600_000 + leaseSeconds * 1000));
  });

  it('is not authorised when policy has come to deny, and the change ends', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:ben'));
    expectOk(story.decided(decision('deny'), 'dispatch'));
    expect(story.now.name).toBe('denied');
    expect(story.authorise()).toMatchObject({ ok: false });
  });

  it('goes back to the approvers when policy has come to ask for more', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:ben'));
    expectOk(story.decided(decision('needsApproval', 'person:sam'), 'dispatch'));
    expect(story.now.name).toBe('pending');
    expectOk(story.approve('person:sam'));
    expect(story.now.name).toBe('scheduled');
  });

  it('that nobody takes up, ticket after ticket, is a finding, and none any more once somebody does', () => {
    const story = new Story().allowed({ ...GRANT, duration: 'PT1H' } as typeof GRANT);
    for (let issue = 1; issue <= 3; issue += 1) {
      expectOk(story.decided(decision('allow'), 'dispatch'));
      expectOk(story.authorise());
      story.try({ type: 'recordArmed', by: SIDECAR, orderDigest: story.now.lease!.orderDigest });
      story.nowMs = story.now.act!.notAfterMs;
      expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: issue < 3 ? 'dispatch' : 'unanswered' });
    }
    story.must({ type: 'openFinding', by: SIDECAR, code: 'step-stuck', message: 'nobody', owner: 'person:wei' });
    expect(shownState(story.now)).toBe('stuck');
    // It goes on being asked for.
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'dispatch' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.claimed());
    expect(story.now.findings.size).toBe(0);
    expect(shownState(story.now)).toBe('executing');
  });

  it('is published only after its revoke is armed', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expectOk(story.approve('person:ben'));
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'arm' });
    story.must({ type: 'recordArmed', by: SIDECAR, orderDigest: story.now.lease!.orderDigest });
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'publishAct' });
  });

  it('is issued again with the same end when its ticket ran out unclaimed', () => {
    const story = new Story().armed();
    const end = story.now.lease!.endsAtMs;
    story.nowMs += 300_000;
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'dispatch' });
    expectOk(story.decided(decision('needsApproval', 'person:wei'), 'dispatch'));
    expectOk(story.authorise());
    expect(story.now).toMatchObject({ act: { issue: 2 }, lease: { endsAtMs: end, armed: true } });
  });

  it('ends in an active lease only after the state that was read has been verified', () => {
    const story = new Story().armed();
    expectOk(story.acted('done'));
    expect(story.now.name).toBe('verifying');
    expectOk(story.verified());
    expect(story.now).toMatchObject({ name: 'active', lease: { active: true } });
  });

  it('whose result policy refuses is taken back, and the change fails', () => {
    const story = new Story().armed();
    expectOk(story.acted('done'));
    expectOk(story.verified('deny'));
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'compensate' });
    const order = story.order('early', story.nowMs);
    story.must({ type: 'orderRevoke', by: SIDECAR, order, comment: null });
    expectOk(story.revoked('done', order));
    expect(story.now.name).toBe('failed');
  });

  it('has one result: a second report of it adds nothing', () => {
    const story = new Story().armed();
    expectOk(story.acted('done'));
    const length = story.events.length;
    expectOk(story.acted('done'));
    expectOk(story.acted('failed'));
    expect(story.events).toHaveLength(length);
  });

  it('that drifted or was refused for good ends the change; one refused for its window is issued again', () => {
    const drifted = new Story().armed();
    expectOk(drifted.acted('drifted', 'drifted'));
    expect(drifted.now.name).toBe('failed');
    const late = new Story().armed();
    expectOk(late.acted('refused', 'outside-window'));
    expect(late.now.name).toBe('authorised');
    expect(nextWork(late.now, late.nowMs, LIMITS).work).toEqual({ do: 'dispatch' });
  });
});

describe('a lease', () => {
  const active = (): Story => {
    const story = new Story().armed();
    expectOk(story.acted('done'));
    expectOk(story.verified());
    return story;
  };

  it('ends by its executor alone, with nothing for the sidecar to do', () => {
    const story = active();
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toBeNull();
    story.nowMs = story.now.lease!.endsAtMs + 100;
    expectOk(story.revoked('done'));
    expect(story.now.name).toBe('revoked');
  });

  it('that nobody reports as ended is overdue, loudly, and ordered back', () => {
    const story = active();
    story.nowMs = story.now.lease!.endsAtMs + LIMITS.overdueAfterMs;
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'overdue' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'revoke-overdue', message: 'late', owner: 'person:wei' });
    expect(shownState(story.now)).toBe('stuck');
    story.must({ type: 'orderRevoke', by: SIDECAR, order: story.order('early', story.nowMs), comment: null });
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'publishRevoke' });
    expectOk(story.revoked('already-absent', story.now.revokes[0]!.order));
    expect(story.now).toMatchObject({ name: 'revoked' });
    expect(story.now.findings.size).toBe(0);
  });

  it('that was ordered back and is not reported as gone is overdue too, and the order goes on being sent', () => {
    const story = active();
    story.must({ type: 'orderRevoke', by: 'person:wei', order: story.order('early', story.nowMs), comment: 'leaked' });
    expect(nextWork(story.now, story.nowMs, LIMITS)).toEqual({ work: { do: 'publishRevoke' }, wakeAtMs: story.nowMs + LIMITS.overdueAfterMs });
    story.nowMs += LIMITS.overdueAfterMs;
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'overdue' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'revoke-overdue', message: 'late', owner: 'person:wei' });
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'publishRevoke' });
  });

  it('whose ticket ran out is not issued again on approvals that no longer suffice: what it may have given is taken back', () => {
    const story = new Story().armed();
    story.nowMs += 300_000;
    expectOk(story.decided(decision('needsApproval', 'person:sam'), 'dispatch'));
    expect(story.now.name).toBe('revoking');
    expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'compensate' });
  });

  it('whose revoke failed is not revoked: it is a finding until the access is gone', () => {
    const story = active();
    expectOk(story.revoked('failed'));
    expectOk(story.revoked('failed'));
    expect(story.now.name).toBe('active');
    expect([...story.now.findings.keys()]).toEqual(['revoke-failed']);
    expectOk(story.revoked('done'));
    expect(story.now).toMatchObject({ name: 'revoked' });
  });

  it('can be revoked at once, and a withdrawn step is taken back as well', () => {
    const early = active();
    early.must({ type: 'orderRevoke', by: 'person:wei', order: early.order('early', early.nowMs), comment: 'leaked' });
    expect(early.now.name).toBe('revoking');
    const withdrawn = new Story().armed();
    withdrawn.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null });
    expect(withdrawn.now.name).toBe('withdrawing');
    expect(nextWork(withdrawn.now, withdrawn.nowMs, LIMITS).work).toEqual({ do: 'compensate' });
    const order = withdrawn.order('early', withdrawn.nowMs);
    withdrawn.must({ type: 'orderRevoke', by: SIDECAR, order, comment: null });
    expectOk(withdrawn.revoked('already-absent', order));
    expect(withdrawn.now.name).toBe('withdrawn');
  });

  it('cannot be ordered back where nothing was given', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    expect(story.try({ type: 'orderRevoke', by: 'person:wei', order: story.order('early', T0), comment: null })).toMatchObject({ ok: false, code: 'nothing-to-revoke' });
  });
});

describe('a secret that is kept in a sink', () => {
  const seal = (recipient: string): Seal => ({ recipient, ciphertext: `sha256:${'a'.repeat(64)}`, fingerprint: 'b'.repeat(64), replaces: null });
  const made = (recipient: string): Story => {
    const story = new Story().allowed({ ...GRANT, kind: 'provision', recipient } as typeof GRANT, { ...STATE_BEFORE, exists: false });
    return story.stepDone(seal(recipient));
  };

  it('is delivered by that: nobody has to fetch it', () => {
    const story = made('kv:app-kv/orders');
    expect(story.now).toMatchObject({ name: 'active', delivery: { status: 'acknowledged' } });
    expect(story.events.find(({ type }) => type === 'delivery.acknowledged')).toMatchObject({ actor: EXECUTOR });
  });

  it('is not one that is sealed to somebody', () => {
    expect(made(`age1${'q'.repeat(58)}`).now.delivery?.status).toBe('sealed');
  });

  it('is not delivered where it failed at its first use: nobody finds it', () => {
    const story = new Story().allowed({ ...GRANT, kind: 'provision', recipient: 'kv:app-kv/orders' } as typeof GRANT, { ...STATE_BEFORE, exists: false });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('done', null, seal('kv:app-kv/orders'), 'fails'));
    expect(story.now.delivery?.status).toBe('sealed');
  });
});
