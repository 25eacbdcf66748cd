import { describe, expect, it } from 'vitest';
import type { NewEvent } from '../../src/change/events.ts';
import { NOTIFICATION_EVENTS } from '../../src/change/events.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { messageId, notificationOfProposal, notificationsOf, withLink, type Notification, type Told } from '../../src/notify/derive.ts';
import { consumersOf, notificationSchema } from '../../src/notify/payload.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import { glassOf } from '../support/break-glass.ts';
import { standingOf, TEMPLATE, useOf } from '../support/standing.ts';
import { changeIdOf, decided, found, LOG_ID, memoryLedger, OFFBOARD, ordered, planOf, requested, ROTATE, verdictOf, verified } from './support.ts';

const AT = Date.parse('2026-11-23T19:00:00.000Z');
const ID = changeIdOf(1);
const ROTATION = planOf(ID, ROTATE);
const CASE = planOf(ID, OFFBOARD);

/** Sam broke the glass for the plan, which nobody verifies here. */
function brokenOf({ changeId, revision, ...plan }: Plan): NewEvent {
  const statement = glassOf({ v: 1, log: LOG_ID, changeId, revision, planDigest: planDigest({ changeId, revision, ...plan }), reason: { commitment: `sha256:${'1'.repeat(64)}` }, usedBy: 'person:sam', expiresAt: '2026-11-23T19:15:00.000Z' });
  return { type: 'breakglass.used', actor: 'person:sam', body: { revision, statement, reason: 'nobody answers', reviewBy: '2026-11-24T19:00:00.000Z' } };
}
const REVIEWED: NewEvent = { type: 'breakglass.reviewed', actor: 'person:ben', body: { verdict: 'unjustified', comment: 'I was there' } };

/** A template of Ana's was used for the third time, which nobody verifies here. */
const STANDING = standingOf({ ...TEMPLATE, uses: 10, expiresAt: '2026-12-20T19:00:00.000Z' });
const USED: NewEvent = { type: 'approval.recorded', actor: `sidecar:${LOG_ID}`, body: { approval: useOf(STANDING, 3), comment: null } };

/** As a floor has it that names these; directory and floor have their own test. */
const REVIEWERS = ['person:ben', 'person:olga'];
const tellOf = (told: Told): Notification[] => notificationsOf(told, () => REVIEWERS);

/** What is told of the last of these events. */
function toldOf(...events: readonly NewEvent[]): Notification[] {
  const ledger = memoryLedger(() => AT);
  ledger.add(ID, AT, ...events);
  return tellOf(ledger.told.at(-1)!);
}
const typesOf = (told: readonly Notification[]): string[] => told.map(({ payload }) => payload.type);

describe('approvers', () => {
  const asked = decided(ROTATION, 'needsApproval', { approvers: ['person:wei', 'person:ana', 'person:wei'], approvalsBy: '2026-11-24T19:00:00.000Z' });

  it('are told when a change comes to wait for them, with the digest of what they decide on', () => {
    expect(toldOf(requested(ROTATE), asked).map(({ payload }) => payload)).toEqual([{
      type: 'approval.requested', timestamp: '2026-11-23T19:00:00.000Z',
      data: {
        changeId: ID, record: 1, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 1, requester: ['person:ana'],
        planDigest: planDigest(ROTATION), approvers: ['person:wei', 'person:ana'], approvalsBy: '2026-11-24T19:00:00.000Z', requesterWords: { reason: ROTATE.reason },
      },
    }]);
  });

  it('are told when the decision before dispatch asks for more', () => {
    const again = decided(ROTATION, 'needsApproval', { phase: 'dispatch', approvers: ['person:wei'] });
    expect(typesOf(toldOf(requested(ROTATE), decided(ROTATION, 'allow'), again))).toEqual(['approval.requested']);
  });

  it('are told what each of them decides, whether it still waits for others, and nothing that she wrote', () => {
    const two = decided(ROTATION, 'needsApproval', { approvers: ['person:wei', 'person:ben'] });
    const body = two.type === 'policy.decided' ? { ...two.body, requirement: { approvers: { allOf: ['person:wei', 'person:ben'] }, proofClass: 'session' as const } } : null;
    const both = { ...two, body } as NewEvent;
    const first = verdictOf(ROTATION, 'person:wei', 'approve');
    const data = { changeId: ID, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 1, planDigest: planDigest(ROTATION), verdict: 'approve' };
    expect(toldOf(requested(ROTATE), both, first).map(({ payload }) => payload)).toEqual([{ type: 'approval.decided', timestamp: '2026-11-23T19:00:00.000Z', data: { ...data, record: 2, approver: 'person:wei', pending: true } }]);
    expect(toldOf(requested(ROTATE), both, first, verdictOf(ROTATION, 'person:ben', 'approve'))[0]!.payload.data).toEqual({ ...data, record: 3, approver: 'person:ben', pending: false });
    expect(toldOf(requested(ROTATE), both, verdictOf(ROTATION, 'person:ben', 'reject'))[0]!.payload.data).toMatchObject({ verdict: 'reject', pending: false });
  });

  it.each([
    ['withdrawn', { type: 'change.withdrawn', actor: 'person:ana', body: { comment: 'not needed' } }, { by: 'person:ana' }],
    ['expired', { type: 'change.expired', actor: 'sidecar:x', body: { cause: 'approval' } }, { by: 'sidecar:x', cause: 'approval' }],
    ['revised', { type: 'change.revised', actor: 'person:ana', body: { revision: 2, request: ROTATE } }, { by: 'person:ana', revision: 2 }],
  ] as readonly (readonly [string, NewEvent, object])[])('are told that it is %s, where they were asked, and nobody is told where nobody was', (_what, event, more) => {
    expect(toldOf(requested(ROTATE), asked, event).map(({ payload }) => payload)).toEqual([{
      type: event.type, timestamp: '2026-11-23T19:00:00.000Z',
      data: { changeId: ID, record: 2, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 1, requester: ['person:ana'], approvers: ['person:wei', 'person:ana'], ...more },
    }]);
    expect(toldOf(requested(ROTATE), event)).toEqual([]);
  });

  it('are told when their stage opens, and not before', () => {
    const two = decided(ROTATION, 'needsApproval', { approvers: ['person:wei'], approvalsBy: '2026-11-24T19:00:00.000Z' });
    const approvers = { stages: [{ anyOf: ['person:wei', 'person:ana-adm'] }, { allOf: ['person:wei', 'person:ben', 'person:sam'] }, 'person:olga'] };
    const staged = { ...two, body: two.type === 'policy.decided' ? { ...two.body, requirement: { approvers, proofClass: 'session' as const } } : null } as NewEvent;
    const asked = (...events: readonly NewEvent[]): unknown[] => toldOf(requested(ROTATE), staged, ...events).map(({ payload }) => payload.type === 'approval.requested' && payload.data.approvers);
    const [wei, ben, sam] = ['person:wei', 'person:ben', 'person:sam'].map((person) => verdictOf(ROTATION, person, 'approve')) as [NewEvent, NewEvent, NewEvent];
    expect(asked()).toEqual([['person:wei', 'person:ana-adm']]);
    expect(asked(wei)).toEqual([false, ['person:ben', 'person:sam']]);
    expect(asked(wei, ben)).toEqual([false]);
    expect(asked(wei, ben, sam)).toEqual([false, ['person:olga']]);
    for (const told of toldOf(requested(ROTATE), staged, wei)) expect(notificationSchema.safeParse(told.payload).error).toBeUndefined();
  });

  it('are told once more, and further people with them, when it has waited for long; who may approve is what it was', () => {
    const escalated: NewEvent = { type: 'approval.escalated', actor: 'sidecar:x', body: { revision: 1, to: ['person:sam'], dueAt: '2026-11-23T18:30:00.000Z' } };
    expect(toldOf(requested({ ...ROTATE, urgency: 'emergency' } as typeof ROTATE), asked, escalated).map(({ payload }) => payload)).toEqual([{
      type: 'approval.escalated', timestamp: '2026-11-23T19:00:00.000Z',
      data: {
        changeId: ID, record: 2, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 1, requester: ['person:ana'],
        planDigest: planDigest(ROTATION), to: ['person:sam'], approvers: ['person:wei', 'person:ana'], dueAt: '2026-11-23T18:30:00.000Z', approvalsBy: '2026-11-24T19:00:00.000Z',
        urgency: 'emergency', requesterWords: { reason: ROTATE.reason },
      },
    }]);
  });

  it('are told that somebody did not wait for them, who may review it, and by when; but not who broke the glass, nor who had approved', () => {
    const three = decided(ROTATION, 'needsApproval', { approvers: ['person:wei', 'person:ben', 'person:sam', 'person:ana'] });
    const two = three.type === 'policy.decided' ? { ...three.body, requirement: { approvers: { allOf: ['person:wei', 'person:ben', 'person:sam', 'person:ana'] }, proofClass: 'session' as const } } : null;
    const asksAll = { ...three, body: two } as NewEvent;
    const data = { changeId: ID, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app' };
    expect(toldOf(requested(ROTATE), asksAll, verdictOf(ROTATION, 'person:wei', 'approve'), brokenOf(ROTATION)).map(({ payload }) => payload)).toEqual([{
      type: 'breakglass.used', timestamp: '2026-11-23T19:00:00.000Z',
      data: {
        ...data, record: 3, revision: 1, requester: ['person:ana'], planDigest: planDigest(ROTATION), usedBy: 'person:sam', skipped: ['person:ben', 'person:ana'], reviewers: REVIEWERS,
        reviewBy: '2026-11-24T19:00:00.000Z', review: `/v1/changes/${ID}/break-glass/review`, requesterWords: { reason: ROTATE.reason }, usersWords: { reason: 'nobody answers' },
      },
    }]);
    expect(toldOf(requested(ROTATE), asksAll, brokenOf(ROTATION), REVIEWED).map(({ payload }) => payload)).toEqual([{
      type: 'breakglass.reviewed', timestamp: '2026-11-23T19:00:00.000Z', data: { ...data, record: 3, usedBy: 'person:sam', reviewer: 'person:ben', verdict: 'unjustified' },
    }]);
  });

  it('are told that a standing approval of theirs approved a plan, which use it was, and that it still can be rejected', () => {
    const told = toldOf(requested(ROTATE), asked, USED).map(({ payload }) => payload);
    expect(told.map(({ type }) => type)).toEqual(['approval.decided', 'standing.used']);
    expect(told[0]!.data).toMatchObject({ approver: 'person:ana', planDigest: planDigest(ROTATION), revision: 1, verdict: 'approve' });
    expect(told[1]!.data).toEqual({
      changeId: ID, record: 2, kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 1, requester: ['person:ana'], planDigest: planDigest(ROTATION),
      approvalId: useOf(STANDING).approvalId, approver: 'person:ana', use: 3, uses: 10, expiresAt: '2026-12-20T19:00:00.000Z', requesterWords: { reason: ROTATE.reason },
    });
  });

  it('are told what one of them has left of a request, and who asked with them', () => {
    const request = { kind: 'grant', subject: 'nhi:prod/orders', purpose: 'p', reason: 'a secret wish', duration: 'PT1H', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:read' }] } as const;
    const reduced: NewEvent = { type: 'change.revised', actor: 'person:wei', body: { revision: 2, request: { ...request, entitlements: [...request.entitlements] }, reduced: { revision: 1, planDigest: planDigest(ROTATION) } } };
    expect(toldOf(requested(ROTATE), asked, reduced).map(({ payload }) => payload)).toEqual([{
      type: 'change.reduced', timestamp: '2026-11-23T19:00:00.000Z',
      data: {
        changeId: ID, record: 2, kind: 'grant', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', revision: 2, requester: ['person:ana'], by: 'person:wei',
        planDigest: planDigest(ROTATION), entitlements: request.entitlements, duration: 'PT1H',
      },
    }]);
  });

  it('are not told of what is denied, allowed or only asked', () => {
    expect(toldOf(requested(ROTATE))).toEqual([]);
    expect(toldOf(requested(ROTATE), decided(ROTATION, 'deny'))).toEqual([]);
    expect(toldOf(requested(ROTATE), decided(ROTATION, 'allow'))).toEqual([]);
  });

  it('see that it is urgent', () => {
    expect(toldOf(requested({ ...ROTATE, urgency: 'emergency' } as typeof ROTATE), asked)[0]!.payload.data).toMatchObject({ urgency: 'emergency' });
  });
});

describe('consumers', () => {
  const window = { calendar: 'nights', opensAt: '2026-11-23T22:00:00.000Z', closesAt: '2026-11-23T23:00:00.000Z', onMissed: 'expire' as const, consumers: ['shop'] };

  it('are told when their window opens and closes', () => {
    const opened: NewEvent = { type: 'window.opened', actor: 'sidecar:x', body: window };
    const closed: NewEvent = { type: 'window.closed', actor: 'sidecar:x', body: { ...window, cause: 'missed' } };
    const [first] = toldOf(requested(ROTATE), opened);
    const [second] = toldOf(requested(ROTATE), closed);
    expect(first!.payload).toMatchObject({ type: 'window.opened', data: { calendar: 'nights', opensAt: window.opensAt, closesAt: window.closesAt, consumers: ['shop'] } });
    expect(second!.payload).toMatchObject({ type: 'window.closed', data: { cause: 'missed', consumers: ['shop'] } });
    expect(consumersOf(first!.payload)).toEqual(['shop']);
  });

  /** The rotation once its step of that number was verified. */
  const afterStep = (n: number): Told => {
    const ledger = memoryLedger(() => AT);
    const { state } = ledger.add(ID, AT, requested(ROTATE), decided(ROTATION, 'allow'));
    const { events } = ledger.add(ID, AT, verified(ROTATION.steps[n]!.stepId));
    return { event: events[0]!, state: { ...state, name: n === 2 ? 'done' : 'staged' } };
  };

  it('are told which login replaces which, where to confirm and until when, once it is staged', () => {
    expect(tellOf(afterStep(0)).map(({ payload }) => payload)).toMatchObject([{
      type: 'credential.staged',
      data: {
        stepId: ROTATION.steps[0]!.stepId, account: 'orders_b', replaces: 'orders_a', consumers: ['shop', 'billing'], confirmBy: '2026-11-23T19:10:00.000Z',
        confirmations: `/v1/changes/${ID}/confirmations`, retire: 'whenUnused',
      },
    }]);
  });

  it('are not told again when the steps after it are verified, nor when what was staged is taken back', () => {
    expect([tellOf(afterStep(1)), tellOf(afterStep(2))]).toEqual([[], []]);
    const { event, state } = afterStep(0);
    expect(tellOf({ event, state: { ...state, name: 'verifying' } })).toEqual([]);
  });
});

describe('a rotation that comes to nothing', () => {
  const order = (notBefore: string): NewEvent => ordered(ROTATION, notBefore);
  const told = (before: readonly NewEvent[], name: ChangeState['name'] = 'staged', more: Partial<ChangeState> = {}): Notification[] => {
    const ledger = memoryLedger(() => AT);
    ledger.add(ID, AT, requested(ROTATE), decided(ROTATION, 'allow'), verified(ROTATION.steps[0]!.stepId));
    const { state, events } = ledger.add(ID, AT, ...before, order('2026-11-23T19:00:00.000Z'));
    return tellOf({ event: events.at(-1)!, state: { ...state, name, stagedAtMs: AT, ...more } });
  };

  it('tells its consumers to go on with the old login', () => {
    expect(told([]).map(({ payload }) => payload)).toMatchObject([{
      type: 'credential.withdrawn', data: { account: 'orders_b', fallBack: 'orders_a', consumers: ['shop', 'billing'], cause: 'compensation' },
    }]);
  });

  it('names no login to go back to once the new one has taken over', () => {
    const finished = [{}, {}] as unknown as ChangeState['finished'];
    expect(told([], 'staged', { finished })[0]!.payload.data).toMatchObject({ fallBack: null });
  });

  it('tells them once, and nobody where nothing was staged', () => {
    expect(told([order('2026-11-23T19:30:00.000Z')])).toEqual([]);
    expect(told([], 'executing', { stagedAtMs: null })).toEqual([]);
  });
});

describe('an offboarding', () => {
  const begun = [requested(OFFBOARD), decided(CASE, 'allow'), decided(CASE, 'allow', { phase: 'dispatch' })];
  const settled = (item: number, outcome: 'gone' | 'open'): NewEvent => ({ type: 'item.settled', actor: 'sidecar:x', body: { item, outcome, owner: 'person:olga', detail: 'tried' } });

  it('is told of when it begins, which is not when it was asked for', () => {
    expect(toldOf(...begun.slice(0, 2))).toEqual([]);
    expect(toldOf(...begun)[0]!.payload).toMatchObject({ type: 'offboarding.started', data: { subject: 'thirdParty:acme', items: 2, requesterWords: { reason: OFFBOARD.reason } } });
    expect(toldOf(...begun)[0]!.payload.data).not.toHaveProperty('connector');
  });

  it('is told of item by item, and as finished with the last that is gone', () => {
    expect(toldOf(...begun, settled(1, 'open')).map(({ payload }) => payload)).toMatchObject([
      { type: 'offboarding.item', data: { item: { kind: 'account', account: 'acme_sync' }, number: 1, items: 2, outcome: 'open', owner: 'person:olga', detail: 'tried' } },
    ]);
    expect(typesOf(toldOf(...begun, settled(0, 'gone')))).toEqual(['offboarding.item']);
    expect(typesOf(toldOf(...begun, settled(1, 'open'), settled(0, 'gone')))).toEqual(['offboarding.item']);
    expect(typesOf(toldOf(...begun, settled(0, 'gone'), settled(1, 'gone')))).toEqual(['offboarding.item', 'offboarding.finished']);
  });
});

describe('what is wrong', () => {
  it('is told with its owner, an overdue revoke by its own name', () => {
    expect(toldOf(requested(ROTATE), found('rotation-stalled'))[0]!.payload).toMatchObject({ type: 'change.stuck', data: { code: 'rotation-stalled', owner: 'person:olga', message: 'it does not get on' } });
    const ledger = memoryLedger(() => AT);
    const { state, events } = ledger.add(ID, AT, requested(ROTATE), found('revoke-overdue'));
    const leased = { ...state, lease: { leaseId: 'l', epoch: 1, endsAtMs: AT - 60_000, order: { payload: '', payloadType: '', signatures: [] }, orderDigest: '', armed: true, active: true } };
    expect(tellOf({ event: events[1]!, state: leased })[0]!.payload).toMatchObject({ type: 'revoke.overdue', data: { dueAt: '2026-11-23T18:59:00.000Z', owner: 'person:olga' } });
    expect(toldOf(requested(ROTATE), found('revoke-overdue'))[0]!.payload).toMatchObject({ data: { dueAt: null } });
  });

  it('is not told again when it is over, nor is anything told of being told', () => {
    expect(toldOf(requested(ROTATE), found('policy-fault'), { type: 'finding.closed', actor: 'sidecar:x', body: { code: 'policy-fault' } })).toEqual([]);
    expect(toldOf(requested(ROTATE), { type: 'notification.delivered', actor: 'sidecar:x', body: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: 1 } })).toEqual([]);
  });
});

const PROPOSAL = { proposalId: `prp_${'0'.repeat(26)}`, bundle: `sha256:${'1'.repeat(64)}`, revision: null, listing: null, signature: null, approvals: [], outcome: 'waiting', rejected: null } as const;

describe('every notification', () => {
  const window = { calendar: 'nights', opensAt: '2026-11-23T22:00:00.000Z', closesAt: '2026-11-23T23:00:00.000Z', onMissed: 'replan' as const, consumers: ['shop'] };
  const ledger = memoryLedger(() => AT);
  ledger.add(ID, AT, requested(ROTATE), decided(ROTATION, 'needsApproval', { approvers: ['person:wei'] }));
  ledger.add(ID, AT, { type: 'window.opened', actor: 'sidecar:x', body: window }, { type: 'window.closed', actor: 'sidecar:x', body: { ...window, cause: 'over' } }, found('revoke-overdue'), found('policy-fault'));
  const staged = ledger.add(ID, AT, verified(ROTATION.steps[0]!.stepId));
  const withdrawn = ledger.add(ID, AT, ordered(ROTATION, '2026-11-23T19:00:00.000Z'));
  const two = changeIdOf(2);
  const three = changeIdOf(3);
  const rotation = planOf(three, ROTATE);
  ledger.add(three, AT, requested(ROTATE), decided(rotation, 'needsApproval', { approvers: ['person:wei'] }),
    { type: 'approval.escalated', actor: 'sidecar:x', body: { revision: 1, to: ['person:sam'], dueAt: '2026-11-23T18:30:00.000Z' } }, verdictOf(rotation, 'person:wei', 'reject'));
  const offboarding = planOf(two, OFFBOARD);
  ledger.add(two, AT, requested(OFFBOARD), decided(offboarding, 'allow'), decided(offboarding, 'allow', { phase: 'dispatch' }));
  ledger.add(changeIdOf(4), AT, requested(ROTATE), decided(planOf(changeIdOf(4), ROTATE), 'needsApproval', { approvers: ['person:ben'] }), brokenOf(planOf(changeIdOf(4), ROTATE)), REVIEWED);
  const four = changeIdOf(4);
  const entitlements = [{ connector: 'pg-main', target: 'app', privilege: 'role:read' }];
  ledger.add(four, AT, requested(ROTATE), { type: 'change.revised', actor: 'person:wei', body: {
    revision: 2, request: { kind: 'grant', subject: 'nhi:prod/orders', purpose: 'p', reason: 'r', duration: 'PT1H', entitlements }, reduced: { revision: 1, planDigest: planDigest(ROTATION) },
  } });
  for (const [n, end] of [
    [5, { type: 'change.revised', actor: 'person:ana', body: { revision: 2, request: ROTATE } }], [6, { type: 'change.withdrawn', actor: 'person:ana', body: { comment: null } }],
    [7, { type: 'change.expired', actor: 'sidecar:x', body: { cause: 'approval' } }],
  ] as const) ledger.add(changeIdOf(n), AT, requested(ROTATE), decided(planOf(changeIdOf(n), ROTATE), 'needsApproval', { approvers: ['person:ben'] }), end);
  const eighth = planOf(changeIdOf(8), ROTATE);
  ledger.add(changeIdOf(8), AT, requested(ROTATE), decided(eighth, 'needsApproval', { approvers: ['person:ana'] }), USED);
  for (const item of [0, 1]) ledger.add(two, AT, { type: 'item.settled', actor: 'sidecar:x', body: { item, outcome: 'gone', owner: null, detail: 'gone' } });
  const all = [...ledger.told.flatMap(tellOf), ...tellOf({ event: staged.events[0]!, state: { ...staged.state, name: 'staged' } }),
    ...tellOf({ event: withdrawn.events[0]!, state: { ...withdrawn.state, stagedAtMs: AT } }), notificationOfProposal({ ...PROPOSAL, seq: 99, atMs: AT }, ['person:ana'])];

  it('is what its schema says, in every event that there is', () => {
    expect(new Set(typesOf(all))).toEqual(new Set(NOTIFICATION_EVENTS));
    for (const { payload } of all) expect(notificationSchema.parse(JSON.parse(JSON.stringify(payload)))).toEqual(payload);
  });

  it('names the page only where people are asked to go there, and as the configuration does', () => {
    const linked = all.filter((one) => withLink(one, 'https://cs.example.org') !== one);
    expect(new Set(typesOf(linked))).toEqual(new Set(['approval.requested', 'approval.escalated']));
    for (const one of linked) {
      expect(notificationSchema.parse(withLink(one, 'https://cs.example.org').payload)).toMatchObject({ data: { link: `https://cs.example.org/approve#${one.changeId!}` } });
      expect(withLink(one, undefined)).toBe(one);
    }
  });

  it('has an id of its own for each receiver and log, and the same one when it is derived again', () => {
    const ids = all.flatMap((one) => ['ops', 'shop'].flatMap((webhook) => ['0123456789abcdef', 'fedcba9876543210'].map((log) => messageId(log, webhook, one))));
    expect(new Set(ids).size).toBe(all.length * 4);
    expect(ids.every((id) => /^msg_[0-9a-f]{32}$/.test(id))).toBe(true);
    expect(messageId('0123456789abcdef', 'ops', structuredClone(all[0]!))).toBe(ids[0]);
  });
});
