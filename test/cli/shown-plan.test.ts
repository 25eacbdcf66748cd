/** What is shown beside a plan and the plan: the same in every honest view, and told apart in any other, whatever the digest says. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { confirmPlan, planToDecide } from '../../src/cli/decide.ts';
import { describeChange } from '../../src/cli/describe.ts';
import { openOutput } from '../../src/cli/output.ts';
import { differingField } from '../../src/cli/shown-plan.ts';
import { statementFault } from '../../src/cli/shown-statement.ts';
import type { Session } from '../../src/cli/world.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { ApprovalStatement } from '../../src/protocol/signed.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';
import { testRun } from '../support/run.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let granted: ChangeView;
beforeAll(async () => {
  sidecar = await openTestSidecar({ decide: () => answerOf('needsApproval', { anyOf: ['person:wei'] }) });
  granted = await sidecar.change(CALLER, GRANT);
});
afterAll(() => sidecar.close());

const STANDING: ChangeRequest = (({ duration: _, ...rest }) => rest)(PROVISION);
it.each<[string, string, ChangeRequest]>([
  ['a grant', CALLER, GRANT], ['a grant that ends by a time', CALLER, { ...GRANT, endsBy: '2999-01-01T00:00:00.000Z' }], ['access that stands', 'nhi:prod/billing-export', STANDING],
  ['a new credential', 'nhi:prod/billing-export', PROVISION], ['a rotation', CALLER, { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: testRun().key, timeout: 'PT5M' } }],
])('%s is shown as it is planned', async (_what, by, request) => {
  const change = await sidecar.change(by, request);
  expect(change.plan).not.toBeNull();
  expect(differingField(change)).toBeNull();
});

/** The plan made another, and its digest with it: the view beside it is what it was. */
const replanned = (edit: Partial<Plan>): ChangeView => {
  const plan = { ...granted.plan!, ...edit };
  return { ...granted, plan, planDigest: planDigest(plan) };
};
it('says whose a new secret is to be, and that access stands where nothing ends it', async () => {
  const standing = await sidecar.change('nhi:prod/billing-export', STANDING);
  const out = openOutput({ stdout: { write: () => true, isTTY: false }, stderr: { write: () => true, isTTY: false }, env: {}, json: false });
  const lines = (change: ChangeView): string => describeChange(change, out, { nowMs: 0 }).join('\n');
  expect(lines(standing)).toContain(`secret for  ${standing.plan!.recipient!}`);
  expect(lines(standing)).toContain('never by itself');
  expect(lines(granted)).not.toMatch(/secret for|never by itself/);
});

it('is shown in lines that a sidecar which lies makes neither more nor other of: nothing beside the plan moves the cursor', () => {
  const evil = '1\u001b[2J\u001b[H\n  access      nothing at all';
  const lie = { ...granted, state: evil, updatedAt: evil, lastRecord: evil, id: evil, kind: evil, approvalsBy: evil, links: { ...granted.links, approve: evil }, approvals: [{ approvalId: evil, approver: evil, verdict: 'approve', proofClass: evil, record: evil }] } as unknown as ChangeView;
  const lines = describeChange(lie, openOutput({ stdout: { write: () => true, isTTY: true }, stderr: { write: () => true, isTTY: true }, env: {}, json: false }), { nowMs: 0 });
  expect(lines.length).toBeGreaterThan(8);
  for (const line of lines) expect(line.replaceAll(/\u001b\[(?:0|1|2|31|32)m/g, '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
});

it('decides on the change that was named, and on none that a sidecar puts in its place', async () => {
  const other = await sidecar.change(CALLER, GRANT);
  expect(planToDecide(granted.id, granted, undefined, 'approve')).toBe(granted.planDigest);
  for (const expected of [undefined, other.planDigest!]) expect(() => planToDecide(granted.id, other, expected, 'approve')).toThrow(expect.objectContaining({ code: 'plan-changed' }));
});

it('signs a statement of an approval, in its one form, or nothing', () => {
  const statement: ApprovalStatement = { v: 1, log: granted.plan!.log, changeId: granted.id, revision: 1, planDigest: granted.planDigest!, verdict: 'approve', approver: 'person:wei', expiresAt: '2026-12-01T00:00:00.000Z' };
  const faultOf = (edit: object): string | null => statementFault(granted, { ...statement, ...edit }, 'approve', Date.parse('2026-11-30T00:00:00.000Z'));
  expect(faultOf({})).toBeNull();
  for (const edit of [{ also: 1 }, { v: 2 }, { approver: 'person:wei\u001b[8m' }, { expiresAt: 'Dec 1 2026 (\u001b[8m)' }]) expect(faultOf(edit), JSON.stringify(edit)).toBe('no statement of an approval');
});

it('asks about nothing but the plan of the digest, whatever proves the answer', async () => {
  const out = openOutput({ stdout: { write: () => true, isTTY: false }, stderr: { write: () => true, isTTY: false }, env: {}, json: false });
  const asked: string[] = [];
  const session = { out, interactive: true, nowMs: () => 0, ask: (question: string) => Promise.resolve((asked.push(question), 'y')) } as unknown as Session;
  const lie = { ...granted, plan: { ...granted.plan!, purpose: 'x' } };
  await expect(confirmPlan(session, lie, 'approve')).rejects.toMatchObject({ code: 'plan-changed' });
  expect(asked).toEqual([]);
  await confirmPlan(session, granted, 'approve');
  expect(asked).toHaveLength(1);
});

it.each<[string, () => ChangeView, string]>([
  ['access that stands, shown with an end', () => replanned({ lease: null }), 'duration'],
  ['a longer lease', () => replanned({ lease: { ...granted.plan!.lease!, leaseSeconds: 90_000 } }), 'duration'],
  ['a later end', () => ({ ...granted, endsBy: '2026-12-01T00:00:00.000Z' }), 'endsBy'],
  ['another identity', () => replanned({ subject: 'nhi:prod/other' }), 'subject'],
  ['another kind', () => replanned({ kind: 'provision' }), 'kind'],
  ['another target', () => replanned({ target: 'payroll' }), 'system'],
  ['more', () => replanned({ entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:admin' }] }), 'entitlements'],
  ['somebody else’s asking', () => replanned({ requester: ['nhi:prod/other'] }), 'requester'],
  ['the caller’s own code', () => replanned({ mode: 'caller' }), 'mode'],
  ['another change’s lease', () => replanned({ extends: { change: granted.id, epoch: 2 } }), 'extends'],
  ['another window', () => replanned({ window: { calendar: 'nightly', opensAt: '2026-12-01T00:00:00.000Z', closesAt: '2026-12-01T01:00:00.000Z', onMissed: 'expire', consumers: [] } }), 'window'],
  ['what an offboarding takes back', () => replanned({ items: [{ kind: 'lease', nhi: 'nhi:prod/other', change: granted.id }] }), 'items'],
  ['a plan under the digest of another', () => ({ ...granted, plan: { ...granted.plan!, purpose: 'x' } }), 'planDigest'],
  ['no plan', () => ({ ...granted, plan: null }), 'planDigest'],
])('%s is told', (_what, lie, field) => {
  expect(differingField(lie())).toBe(field);
});

it('is shown in lines whose rest, where a narrow terminal breaks them, stands under none of its names', () => {
  const forge = (blank: string): string => `x${blank.repeat(60)}secret for${blank.repeat(2)}age1mine  access${blank.repeat(6)}nothing at all`;
  const out = openOutput({ stdout: { write: () => true, isTTY: true }, stderr: { write: () => true, isTTY: true }, env: {}, json: false });
  const privilegeOf = (text: string): ChangeView => {
    const [entitlement] = granted.plan!.entitlements;
    const change = replanned({ entitlements: [{ ...entitlement!, privilege: text, scope: text }], steps: granted.plan!.steps.map((step) => ({ ...step, account: text, privileges: [text] })) });
    const decision = { ...granted.decision!, reasons: [{ code: text, message: text, rule: text }], excess: [{ ...entitlement!, privilege: text }] };
    return { ...change, entitlements: change.plan!.entitlements, reason: text, waitingFor: text, decision, state: text as 'done', result: { outcome: text as 'done', at: text, byUse: text as 'notTried', selfReported: false } };
  };
  // `x` stands behind the id in the first line, in a column of its own.
  for (const blank of [' ', '\u00a0', '\u2003', '\u3000', '\u2800', '\t', ' \u3000']) {
    for (const change of [privilegeOf(forge(blank)), { ...privilegeOf(forge(blank)), plan: null }]) {
      const rows = describeChange(change, out, { nowMs: 0 }).map((line) => line.replaceAll(/\u001b\[(?:0|1|2|31|32)m/g, '')).flatMap((line) => [...line.match(/.{1,40}/gu)!].slice(1));
      expect(rows.filter((row) => /[\p{Zs}\u2800]{2}(?!new|held|not held|\(|x)|\u3000/u.test(row))).toEqual([]);
      expect(rows.length).toBeGreaterThan(20);
    }
  }
});
