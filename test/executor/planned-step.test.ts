/** What a plan may consist of: the steps that the server derives for its kind, and none that a thief of the ticket key would rather have. */
import { describe, expect, test } from 'vitest';
import { actStepId } from '../../src/change/derive.ts';
import { admit, type AdmissionContext } from '../../src/executor/admission.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';
import type { Plan, PlanStep, PlanWindow, StepAction } from '../../src/protocol/plan.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { makeRead, makeStep, NEW, OLD, publicKeyOf, type Edits } from '../support/envelopes.ts';
import { EXECUTOR, keys, RECIPIENT, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

const runKey = publicKeyOf(keys.stranger);
const OTHER_RUN_KEY = publicKeyOf(keys.otherExecutor);

function answer(edits: Edits, context: Partial<AdmissionContext> & { readonly trustEdit?: TrustEdit } = {}): string {
  const { trustEdit, ...rest } = context;
  const admission = admit(makeStep(edits).envelope, {
    trust: storyTrust(trustEdit), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null, ...rest,
  });
  return admission.ok ? 'admitted' : `${admission.code}: ${admission.message}`;
}
const asCaller = { executorId: callerIdOf(runKey) } as const;
const steps = (edit: (steps: PlanStep[]) => PlanStep[]) => (plan: Plan): Plan => ({ ...plan, steps: edit(plan.steps) });
const nth = (n: number, edit: Partial<PlanStep>) => steps((all) => all.map((step, i) => (i === n ? { ...step, ...edit } : step)));

describe('a step of each kind is admitted as the server derives it', () => {
  test.each(['stage', 'cutover', 'retire', 'replace', 'disable'] as const)('%s', (action) => {
    expect(answer({ action })).toBe('admitted');
  });
  test.each(['rotate', 'revoke', 'disable'] as const)('call, where the caller makes a %s itself', (called) => {
    expect(answer({ action: 'call', called, runKey }, asCaller)).toBe('admitted');
  });
});

describe('anything else is refused as a wrong step', () => {
  const cases: readonly (readonly [string, Edits])[] = [
    ['a rotation that retires before it cuts over', { action: 'retire', plan: steps(([a, b, c]) => [a!, { ...c!, stepId: b!.stepId }, { ...b!, stepId: c!.stepId }]) }],
    ['a rotation without its cutover', { action: 'cutover', plan: steps(([a, b, c]) => [a!, { ...c!, stepId: b!.stepId }]) }],
    ['a rotation that only retires', { action: 'stage', plan: steps(([a, , c]) => [{ ...c!, stepId: a!.stepId }]) }],
    ['a rotation with a step too many', { action: 'stage', plan: (plan) => ({ ...plan, kind: 'disable' }) }],
    ['a rotation that stages one login and cuts over to another', { action: 'cutover', plan: nth(1, { account: 'somebody' }) }],
    ['a rotation that retires what it did not read as current', { action: 'retire', plan: nth(2, { account: 'postgres' }) }],
    ['a rotation that retires the login it made', { action: 'retire', plan: nth(2, { account: NEW, other: OLD }) }],
    ['a rotation that gives the new login something else', { action: 'stage', plan: nth(0, { privileges: ['role:superuser'] }) }],
    ['a rotation that gives every login something else', { action: 'stage', plan: steps((all) => all.map((step) => ({ ...step, privileges: ['role:superuser'] }))) }],
    ['a rotation whose step is marked as another change', { action: 'retire', plan: nth(2, { clientToken: makeStep().plan.steps[0]!.clientToken }) }],
    ['a rotation with an entitlement', { action: 'stage', plan: (plan) => ({ ...plan, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:superuser' }] }) }],
    ['a rotation without its terms', { action: 'stage', plan: ({ rotation: _, ...plan }) => plan }],
    ['a rotation whose terms are of another overlap', { action: 'stage', plan: (plan) => ({ ...plan, rotation: { ...plan.rotation!, overlap: 'none' } }) }],
    ['a replacement that was read as twins', { action: 'replace', plan: (plan) => ({ ...plan, before: { ...plan.before, overlap: 'twin' } }) }],
    ['a replacement of a secret with privileges', { action: 'replace', plan: nth(0, { privileges: ['role:superuser'] }) }],
    ['a rotation with a lease', { action: 'stage', plan: (plan) => ({ ...plan, lease: { leaseId: `lse_${plan.changeId.slice(4)}`, leaseSeconds: 60, endsBy: null } }) }],
    ['a shut-out with a lease', { action: 'disable', plan: (plan) => ({ ...plan, lease: { leaseId: `lse_${plan.changeId.slice(4)}`, leaseSeconds: 60, endsBy: null } }) }],
    ['a new login with no recipient for its secret', { action: 'stage', plan: (plan) => ({ ...plan, recipient: null }) }],
    ['a replaced secret with no recipient', { action: 'replace', plan: (plan) => ({ ...plan, recipient: null }) }],
    ['a shut-out with a recipient', { action: 'disable', plan: (plan) => ({ ...plan, recipient: RECIPIENT }) }],
    ['a shut-out with rotation terms', { action: 'disable', plan: (plan) => ({ ...plan, rotation: makeStep({ action: 'stage' }).plan.rotation! }) }],
    ['a plan with items', { action: 'disable', plan: (plan) => ({ ...plan, items: [] }) }],
    ['a step of an offboarding', { action: 'disable', plan: (plan) => ({ ...plan, kind: 'offboard', items: [] }) }],
    ['a plan of another target than its step', { action: 'disable', plan: (plan) => ({ ...plan, target: 'payroll' }) }],
    ['another step of the plan under the id of this one', { action: 'cutover', ticket: (ticket) => ({ ...ticket, step: { ...makeStep({ action: 'retire', changeId: ticket.changeId }).ticket.step, stepId: ticket.stepId } }) }],
    ['this step under the id of another', { action: 'cutover', ticket: (ticket) => ({ ...ticket, stepId: actStepId(ticket.changeId, 1, 3) }) }],
    ['a fourth step', { action: 'retire', ticket: (ticket) => ({ ...ticket, stepId: actStepId(ticket.changeId, 1, 4) }) }],
    ['the step of a plan that the caller carries out', { action: 'call', runKey, ticket: (ticket) => ({ ...ticket, audience: EXECUTOR }) }],
    ['a plan for a run, in mode executor', { action: 'disable', plan: (plan) => ({ ...plan, caller: { key: runKey, timeoutSeconds: 60 } }), ticket: (ticket) => ({ ...ticket, audience: EXECUTOR }) }],
    ['a call that nobody makes', { action: 'call', runKey, plan: ({ caller: _, ...plan }) => plan }],
    ['a call in mode executor', { action: 'call', runKey, plan: ({ caller: _, ...plan }) => ({ ...plan, mode: 'executor' }) }],
  ];
  test.each(cases.map(([name, edits]) => ({ name, edits })))('$name', ({ edits }) => {
    expect(answer(edits)).toMatch(/^wrong-step: /);
  });
});

describe('a caller is an executor for its own run alone', () => {
  const call = { action: 'call', runKey } as const;
  test('a ticket for another run is not for it', () => {
    expect(answer({ action: 'call', runKey: OTHER_RUN_KEY }, asCaller)).toMatch(/^wrong-audience: /);
  });
  test('a plan of another run is not its plan, whoever the ticket is for', () => {
    expect(answer({ action: 'call', runKey: OTHER_RUN_KEY, ticket: (ticket) => ({ ...ticket, audience: asCaller.executorId }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('a step that an executor carries out is not a caller\'s', () => {
    expect(answer({ action: 'disable', ticket: (ticket) => ({ ...ticket, audience: asCaller.executorId }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('a plan in mode caller with nobody who calls is refused', () => {
    expect(answer({ ...call, plan: ({ caller: _, ...plan }) => plan, ticket: (ticket) => ({ ...ticket, audience: asCaller.executorId }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('a plan that names it in mode executor is refused', () => {
    expect(answer({ action: 'disable', plan: (plan) => ({ ...plan, caller: { key: runKey, timeoutSeconds: 60 } }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test.each(['provision', 'grant'] as const)('a %s is lent, and needs an executor that takes it back', (kind) => {
    expect(answer({ ...call, called: 'revoke', plan: (plan) => ({ ...plan, kind }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('a secret that an executor would seal is not made by a caller', () => {
    expect(answer({ ...call, plan: (plan) => ({ ...plan, recipient: RECIPIENT }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('a rotation that it makes has no terms for an executor', () => {
    expect(answer({ ...call, plan: (plan) => ({ ...plan, rotation: makeStep({ action: 'stage' }).plan.rotation! }) }, asCaller)).toMatch(/^wrong-step: /);
  });
  test('it is asked to read nothing', () => {
    const { envelope } = makeRead({ ticket: (ticket) => ({ ...ticket, audience: asCaller.executorId }) });
    expect(admit(envelope, { trust: storyTrust(), nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null, ...asCaller })).toMatchObject({ ok: false, code: 'wrong-step' });
  });
  test('its floor is the whole account\'s: what its code does nobody can tell beforehand', () => {
    expect(answer(call, { ...asCaller, trustEdit: { quorum: 2 } })).toMatch(/^below-floor: /);
  });
});

describe('a planned window', () => {
  const window = (opensMs: number, closesMs: number): PlanWindow => ({
    calendar: 'night', opensAt: formatTime(START_MS + opensMs), closesAt: formatTime(START_MS + closesMs), onMissed: 'expire', consumers: [],
  });
  const within = (action: StepAction, one: PlanWindow): Edits => ({ action, plan: (plan) => ({ ...plan, window: one }) });
  test.each(['stage', 'cutover', 'replace', 'provision', 'grant'] as const)('holds the ticket of a %s', (action) => {
    expect(answer(within(action, window(0, 300_000)))).toBe('admitted');
    expect(answer(within(action, window(0, 299_999)))).toMatch(/^outside-window: /);
    expect(answer(within(action, window(1, 300_000)))).toMatch(/^outside-window: /);
  });
  test.each(['retire', 'revoke', 'disable'] as const)('does not hold up a %s, which only takes away', (action) => {
    expect(answer(within(action, window(0, 1)))).toBe('admitted');
  });
  test('is believed give or take the difference of clocks that is tolerated', () => {
    const at = (nowMs: number): string => answer(within('stage', window(0, 300_000)), { nowMs });
    expect(at(START_MS - 1_000)).toBe('admitted');
    expect(at(START_MS - 1_001)).toMatch(/^outside-window: /);
    expect(at(START_MS + 300_999)).toBe('admitted');
    expect(at(START_MS + 301_000)).toMatch(/^outside-window: /);
  });
});

describe('the floor', () => {
  const unapproved: Edits = { approvals: () => [], body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) };
  test.each(['stage', 'replace'] as const)('holds for a %s, whatever the decision said', (action) => {
    expect(answer({ ...unapproved, action })).toMatch(/^below-floor: /);
  });
  test.each(['cutover', 'retire', 'disable', 'revoke'] as const)('does not for a %s, which gives nothing', (action) => {
    expect(answer({ ...unapproved, action })).toBe('admitted');
  });
  test('limits leases, and a new secret for what stands is none', () => {
    expect(answer({ action: 'stage' }, { trustEdit: { maxLeaseSeconds: 60 } })).toBe('admitted');
  });
});

describe('approvals of a change that was begun under them', () => {
  const late: Edits = { statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS - 60_000) }] };
  test('still count for what is left of it, though they have expired since', () => {
    expect(answer({ ...late, action: 'retire' }, { beganAtMs: () => START_MS - 120_000 })).toBe('admitted');
  });
  test('do not where they had expired before it began, or nobody knows that it did', () => {
    expect(answer({ ...late, action: 'retire' }, { beganAtMs: () => START_MS - 30_000 })).toMatch(/^approvals-insufficient: /);
    expect(answer({ ...late, action: 'retire' })).toMatch(/^approvals-insufficient: /);
  });
});
