/** What the floor of the sidecar's own trust folder asks for is asked for from the decision on: nothing is authorised below it, and what is recorded verifies by it. */
import { afterEach, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { planLines } from '../../src/protocol/plan-as-seen.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { floorSchema, type Floor } from '../../src/protocol/trust.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, RECIPIENT, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const CALLER = 'nhi:prod/ci-deployer';
const ONE: Decision = answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] });
const floored = (edit: Partial<Floor>): ((trust: Trust) => void) => (trust) => Object.assign(trust, { requirements: { ...trust.requirements, floors: [floorSchema.parse({ connector: '*', target: '*', privilege: '*', quorum: 2, proofClass: 'session', approvers: null, maxLeaseSeconds: null, ...edit })] } });
const open = async (floor: Partial<Floor>, decision = ONE, options: TestOptions = {}): Promise<void> => void (sidecar = await openTestSidecar({ ...options, decide: () => decision, trusts: floored(floor) }));
const show = async ({ id }: ChangeView): Promise<ChangeView> => (await sidecar.send(CALLER, 'GET', `/v1/changes/${id}`)).body as ChangeView;
const approve = ({ id, planDigest }: ChangeView, by: string): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest });
const authorised = (): number => sidecar.executor.steps.filter(({ plan }) => plan !== null).length;
const violations = async (): Promise<string[]> => {
  await sidecar.log.sync();
  const { workflow } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
  return workflow!.violations.map(({ code, message }) => `${code}: ${message}`);
};

it('a change waits until as many have approved as the floor asks for, says so, and comes up to it for every verifier', async () => {
  await open({});
  const change = await sidecar.change(CALLER, GRANT);
  expect(change).toMatchObject({ state: 'pending', waitingFor: 'the floor asks for 2 approvals: by person:wei, person:ana', floor: { approvers: { atLeast: 2, of: ['person:wei', 'person:ana'] } } });
  expect(planLines({ ...change, plan: change.plan! }).filter(({ name }) => name === 'floor')).toEqual([{ name: 'floor', text: 'asks for 2 approvals, of person:wei, person:ana; policy asks for less' }]);
  expect((await approve(change, 'person:wei')).body).toMatchObject({ state: 'pending', waitingFor: 'the floor asks for 2 approvals: by person:ana, beside that of person:wei' });
  expect(authorised()).toBe(0);
  const list = (await sidecar.send('person:ana', 'GET', '/v1/changes?waitingForMe=true')).body as { changes: ChangeView[] };
  expect(list.changes.map(({ id }) => id)).toEqual([change.id]);
  expect((await approve(change, 'person:ana')).status).toBe(200);
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
  expect(await show(change)).toMatchObject({ waitingFor: null });
  expect(await violations()).toEqual([]);
});

it('where policy asks nobody, who answers for the identity is asked', async () => {
  await open({ quorum: 1 }, answerOf('allow'));
  expect(await sidecar.engine.evaluate([CALLER], GRANT, null)).toMatchObject({ code: 'needs-approval', message: 'the floor asks for 1 approval' });
  const change = await sidecar.change(CALLER, GRANT);
  expect(change).toMatchObject({ state: 'pending', decision: { effect: 'allow' } });
  expect(change.turns!.now).toContain('person:wei');
  expect((await approve(change, 'person:wei')).status).toBe(200);
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
  expect(await violations()).toEqual([]);
});

it('those whom the floor names are asked beside those whom policy does', async () => {
  await open({ quorum: 1, approvers: ['person:olga'] });
  const change = await sidecar.change(CALLER, GRANT);
  expect((await approve(change, 'person:wei')).body).toMatchObject({ state: 'pending', waitingFor: 'the floor asks for 1 approval: by person:olga' });
  expect((await approve(change, 'person:olga')).status).toBe(200);
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
  expect(await violations()).toEqual([]);
});

it('everybody whom the floor names is asked, however many it may name', async () => {
  const approvers = [...Array.from({ length: 63 }, (_, i) => `person:p${i}`), 'person:olga'];
  await open({ quorum: 1, approvers });
  const change = await sidecar.change(CALLER, GRANT);
  expect(change.floor).toMatchObject({ approvers: { atLeast: 1, of: approvers } });
  expect((await approve(change, 'person:olga')).status).toBe(200);
  expect((await approve(change, 'person:wei')).status).toBe(200);
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
  expect(await violations()).toEqual([]);
});

it('a proof that the floor asks for is asked for on record', async () => {
  await open({ quorum: 1, proofClass: 'passkey' });
  const change = await sidecar.change(CALLER, GRANT);
  expect(change).toMatchObject({ requirement: { proofClass: 'passkey' }, waitingFor: 'the floor asks for approvals with a passkey' });
  expect(problemIn(await approve(change, 'person:wei'))).toMatchObject({ code: 'proof-too-weak' });
});

it.each<[string, Partial<Floor>, RegExp]>([
  ['for longer than the floor allows', { quorum: 1, maxLeaseSeconds: 60 }, /^a lease of 900 s where the floor allows 60 s$/],
  ['that too few are there to approve', { approvers: ['person:olga'] }, /^the floor asks for 2 approvals, and one person is asked whose approval counts there$/],
])('a change %s is denied at once', async (_what, floor, message) => {
  await open(floor);
  expect(await sidecar.change(CALLER, GRANT)).toMatchObject({ state: 'denied', decision: { effect: 'deny', reasons: [{ code: 'below-floor', message: expect.stringMatching(message) as unknown }] } });
  expect(await violations()).toEqual([]);
});

it('what was approved under a lower floor waits again before it is dispatched under a higher one', async () => {
  const held: Decision = { ...ONE, obligations: { ...ONE.obligations, notBefore: new Date(Date.now() + 1_500).toISOString() } };
  let decision = held;
  sidecar = await openTestSidecar({ decide: () => decision, trusts: floored({ quorum: 1 }) });
  const change = await sidecar.change(CALLER, GRANT);
  expect((await approve(change, 'person:wei')).body).toMatchObject({ state: 'scheduled' });
  const before = sidecar;
  await before.close('keep');
  decision = ONE;
  sidecar = await openTestSidecar({ after: before, decide: () => decision, trusts: floored({}) });
  await expect.poll(async () => (await show(change)).state, { timeout: 10_000 }).toBe('pending');
  expect(authorised()).toBe(0);
  expect((await approve(change, 'person:ana')).status).toBe(200);
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
  expect(await violations()).toEqual([]);
});

it('a revoke waits for no floor, and a folder without floors asks for nothing more', async () => {
  await open({}, answerOf('allow'));
  const revoke = await sidecar.change(CALLER, { kind: 'revoke', subject: CALLER, purpose: 'deploy-orders', reason: 'over', entitlements: GRANT.entitlements });
  expect(revoke.floor).toBeUndefined();
  await sidecar.close();
  sidecar = await openTestSidecar({ decide: () => answerOf('allow') });
  expect((await sidecar.change(CALLER, GRANT)).floor).toBeUndefined();
  await expect.poll(authorised, { timeout: 10_000 }).toBe(1);
});

it('what is under way is held to the floor of what is still to be given: a higher one keeps no old login alive', async () => {
  const rotation: ChangeRequest = { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'quarterly', recipient: RECIPIENT, grace: 'PT1H' };
  const facts: TestOptions['facts'] = (usual) => ({ ...usual, inventory: new Map([...usual.inventory].map(([id, nhi]) => [id, id === CALLER ? { ...nhi, consumers: ['deploy-pipeline'] } : nhi])) });
  await open({ quorum: 0 }, answerOf('allow'), { facts });
  const change = await sidecar.change(CALLER, rotation);
  expect(change).toMatchObject({ state: 'staged' });
  const { digest } = (await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/delivery`)).body as { digest: string };
  expect((await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/delivery`, { digest })).status).toBe(200);
  const before = sidecar;
  await before.close('keep');
  await open({ quorum: 2 }, answerOf('allow'), { facts, after: before });
  expect((await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/confirmations`, { consumer: 'deploy-pipeline' })).status).toBe(200);
  await expect.poll(async () => (await show(change)).state, { timeout: 10_000 }).toBe('done');
});
