/** What the buttons say, where a standing approval has approved for somebody. */
import { expect, it } from 'vitest';
import type { ChangeView, Me } from '../../src/client/index.ts';
import { actsOf } from '../../src/console/may.ts';

const me = { principal: 'person:ana', roles: ['approver'] } as unknown as Me;
const statement = { proofClass: 'session', passkeys: [] } as never;
const USED = { approver: 'person:ana', verdict: 'approve', proofClass: 'ssh', standing: { use: 1, uses: 3, expiresAt: '2026-12-20T19:00:00.000Z' } };
const change = (edit: object): ChangeView => ({
  id: 'chg_1', kind: 'grant', state: 'pending', requester: ['nhi:prod/ci-deployer'], requirement: { approvers: 'person:ana', proofClass: 'session' }, approvalsBy: '2026-11-23T19:00:00.000Z',
  approvals: [USED], entitlements: [], duration: null, lease: null, ended: null, ...edit,
}) as unknown as ChangeView;
const acts = (edit: object, nowMs = Date.parse('2026-11-23T18:00:00.000Z')) => actsOf(change(edit), { me, statement, review: null }, nowMs);

it('whoever is asked again, since hers counts no more, may approve', () => {
  expect(acts({ turns: { now: ['person:ana'], then: [] } }).approve.may).toBe(true);
  expect(acts({ turns: { now: ['person:wei'], then: [] } }).approve.may).toBe(false);
});

it('what a standing approval met may be rejected until it is dispatched, however long that takes', () => {
  const late = Date.parse('2026-11-24T19:00:00.000Z');
  expect(acts({ state: 'scheduled' }, late)).toMatchObject({ approve: { may: false }, reject: { may: true } });
  expect(acts({ state: 'authorised' }, late).reject.may).toBe(false);
  expect(acts({ state: 'scheduled', approvals: [{ ...USED, standing: undefined }] }, late).reject.may).toBe(false);
});

it('a broken glass is reviewed by those who were asked: not by who broke it, and as its floor asks', () => {
  const review = (edit: object, by: 'session' | 'ssh' | 'passkey' = 'session', passkeys: readonly object[] = [], principal = 'person:ana', more: object = {}) => {
    const asked = { statement: {}, proofClass: by, passkeys, ...more } as never;
    return actsOf(change({ state: 'active', breakGlass: { usedBy: 'person:sam', review: null, rotation: null, ...edit } }), { me: { ...me, principal }, statement: null, review: asked }, 0).review;
  };
  expect(review({})).toMatchObject({ may: true, proofs: ['session'], verdict: null, mayWaive: false });
  expect(review({}, 'passkey')).toMatchObject({ may: false, proofs: [] });
  expect(review({}, 'passkey', [{}])).toMatchObject({ may: true, proofs: ['passkey'] });
  expect(review({}, 'ssh')?.may).toBe(false);
  expect(review({ usedBy: 'person:ana' })).toMatchObject({ may: false, why: 'You broke it: somebody else reviews it.' });
  expect(review({}, 'session', [], 'person:olga')?.may).toBe(false);
  expect(review({}, 'session', [], 'person:olga', { standsIn: 'security' })?.may).toBe(true);
  expect(review({}, 'session', [], 'person:ana', { reviewers: ['person:wei'] })).toMatchObject({ may: false, why: 'The floor counts a review by person:wei.' });
  expect(review({}, 'session', [], 'person:ana', { reviewers: ['person:ana'] })?.may).toBe(true);
  expect(review({ reviewers: ['person:wei', 'person:ben'] })).toMatchObject({ may: false, why: 'A review counts by person:wei, person:ben.' });
  expect(review({ reviewers: ['person:ana'] })?.may).toBe(true);
  const owed = { review: { by: 'person:wei', verdict: 'justified' }, rotation: { change: null, waivedBy: null } };
  expect(review(owed)).toMatchObject({ may: true, verdict: 'justified', mayWaive: true });
  expect(review({ ...owed, rotation: { change: 'chg_2', waivedBy: null } })).toMatchObject({ may: false, why: 'It is reviewed.' });
  expect(actsOf(change({}), { me, statement: null, review: null }, 0).review).toBeNull();
});
