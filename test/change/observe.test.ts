/** Under observe: what was not enforced holds for that moment alone, and what policy asks for stays what it is. */
import { expect, test } from 'vitest';
import { decide } from '../../src/change/decide.ts';
import { deriveActTicket, deriveRevokeOrder, leaseEndMs } from '../../src/change/derive.ts';
import { stepOf } from '../../src/change/state.ts';
import type { Decision, Observed } from '../../src/protocol/decision.ts';
import { ANA, decision, EXECUTOR, GRANT, provenance, sidecar, sign, START_MS, Telling, toldUntilArmed, toldUntilDecided } from '../support/story.ts';

const UNTIL_MS = START_MS + 3_600_000;
const observed = (said: Partial<Observed> = {}): Decision => ({
  ...decision('allow'), observed: { scope: 'trial', owner: 'person:wei', until: new Date(UNTIL_MS).toISOString(), effect: 'needsApproval', reasons: decision('needsApproval').reasons, approvers: ANA, ...said },
});
const told = (said = observed()): Telling => toldUntilDecided(GRANT, START_MS, 'allow', new Telling(START_MS), said);
const again = (telling: Telling, said: Decision): Telling =>
  telling.do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan: telling.now.plan, decision: said, provenance, approvalSeconds: 3600 });
function authorise(telling: Telling): ReturnType<typeof decide> {
  const plan = telling.now.plan!;
  const order = sign.order(deriveRevokeOrder(plan, EXECUTOR, leaseEndMs(plan, telling.atMs)!, 'leaseEnd', sidecar)!);
  return decide(telling.now, { type: 'authoriseAct', by: sidecar, ticket: sign.ticket(deriveActTicket(telling.now, plan, stepOf(telling.now)!, EXECUTOR, telling.atMs, 300)), order }, telling.atMs);
}

test('nobody is waited for, what policy asks for is the requirement on record, and the step says that nobody’s approval is enforced', () => {
  const telling = told();
  expect(telling.now).toMatchObject({ name: 'scheduled', requirement: { approvers: ANA }, approvalsByMs: null });
  toldUntilArmed(telling, observed());
  const step = telling.beats.find(({ event }) => event.type === 'step.authorised' && event.body.kind === 'act')!.event;
  expect(step.body).toMatchObject({ requirement: { approvers: null }, approvals: [] });
  expect(telling.now.requirement.approvers).toEqual(ANA);
});

test('once it is not under observe any more, the approvals are needed again, within the usual time', () => {
  const telling = again(told().later(10), decision('needsApproval', ANA));
  expect(telling.now).toMatchObject({ name: 'pending', requirement: { approvers: ANA }, approvalsByMs: telling.atMs + 3_600_000 });
  expect(authorise(telling)).toMatchObject({ ok: false });
});

test('what policy comes to allow needs the approvals that it asked for before', () => {
  expect(again(told().later(10), decision('allow')).now).toMatchObject({ name: 'pending', requirement: { approvers: ANA } });
});

test('once it is not under observe any more, what is denied is denied', () => {
  expect(again(told(observed({ effect: 'deny' })).later(10), decision('deny')).now.name).toBe('denied');
});

test('a decision that comes when the scope is over is not recorded', () => {
  const telling = told();
  telling.atMs = UNTIL_MS;
  const late = decide(telling.now, { type: 'recordDecision', by: sidecar, phase: 'dispatch', plan: telling.now.plan, decision: observed(), provenance, approvalSeconds: 3600 }, telling.atMs);
  expect(late).toMatchObject({ ok: false, code: 'stale-decision' });
});

test('a lease that would outlast the scope is not authorised', () => {
  const telling = told();
  telling.atMs = UNTIL_MS - 1_800_000;
  expect(authorise(again(telling, observed()))).toMatchObject({ ok: true });
  const later = told();
  later.atMs = UNTIL_MS - 1_799_999;
  expect(authorise(again(later, observed()))).toMatchObject({ ok: false, code: 'stale-decision', message: expect.stringContaining('outlast') as string });
});
