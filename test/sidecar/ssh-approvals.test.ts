/** Approving with one's own signature, over HTTP: what is asked for, what is taken, and that nothing weaker counts. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalBytes, nodeDisk } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { admit } from '../../src/executor/admission.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import type { ApproverExpression, ProofClass } from '../../src/protocol/decision.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { ChangeView, StatementAnswer } from '../../src/sidecar/schemas.ts';
import { movedClock } from '../support/moved-clock.ts';
import { answerOf, EXECUTOR, GRANT, openTestSidecar, problemIn, RECIPIENT, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';

const CALLER = 'nhi:prod/ci-deployer';
const WEI = 'person:wei';
const [wei, ana, stranger] = [testSshKey(), testSshKey(), testSshKey()];
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

async function open(asked: ProofClass, floor: ProofClass = 'session', approvers: ApproverExpression = { anyOf: [WEI, 'person:ana'] }, options: TestOptions = {}): Promise<ChangeView> {
  sidecar = await openTestSidecar({
    ...options,
    decide: () => ({ ...answerOf('needsApproval', approvers), obligations: { ...answerOf('needsApproval', approvers).obligations, proofClass: asked } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${WEI} ${wei.publicLine}\nperson:ana ${ana.publicLine}`),
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: floor, approvers: null, maxLeaseSeconds: null }] },
    } satisfies Partial<Trust>),
  });
  return sidecar.change(CALLER, GRANT);
}

const statement = async ({ id }: ChangeView, by = WEI, verdict = 'approve'): Promise<StatementAnswer> => (await sidecar.send(by, 'GET', `/v1/changes/${id}/statement?verdict=${verdict}`)).body as StatementAnswer;
const decide = ({ id, planDigest }: ChangeView, body: object, by = WEI): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest, ...body });
const signed = async (change: ChangeView, key: TestSshKey = wei, edit: object = {}, by = WEI): Promise<object> => {
  const asked = (await statement(change, by)).statement;
  return { ssh: { expiresAt: asked.expiresAt, signature: writeArmour(key.sign(canonicalBytes({ ...asked, ...edit }))) } };
};

describe('a change that is approved by signature', () => {
  it.each<[string, ProofClass, ProofClass]>([['because policy says so', 'ssh', 'session'], ['because the floor does, whatever policy says', 'session', 'ssh']])('%s', async (_why, asked, floor) => {
    const change = await open(asked, floor);
    expect(await statement(change)).toMatchObject({ proofClass: 'ssh', statement: { changeId: change.id, revision: 1, planDigest: change.planDigest, verdict: 'approve', approver: WEI } });
    const size = sidecar.log.size;
    expect(problemIn(await decide(change, {}))).toMatchObject({ status: 403, code: 'proof-too-weak' });
    expect(sidecar.log.size).toBe(size);
    const approved = await decide(change, await signed(change));
    expect(approved).toMatchObject({ status: 200, body: { approvals: [{ approver: WEI, verdict: 'approve', proofClass: 'ssh' }] } });
    // The same again changes nothing.
    expect((await decide(change, await signed(change))).status).toBe(200);
  });

  it('may be rejected by whoever is who she is', async () => {
    const change = await open('ssh', 'ssh');
    expect(await decide(change, { verdict: 'reject', comment: 'not today' })).toMatchObject({ status: 200, body: { state: 'rejected' } });
  });

  it('may be rejected with a signature that proves nothing: the no counts', async () => {
    const change = await open('ssh', 'ssh');
    const { ssh } = (await signed(change, stranger, { verdict: 'reject' })) as { ssh: object };
    expect(await decide(change, { verdict: 'reject', comment: 'not today', ssh })).toMatchObject({ status: 200, body: { state: 'rejected' } });
    expect((await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/evidence`)).text).toContain('"proofClass":"session"');
  });

  it('may be rejected by signature', async () => {
    const change = await open('ssh', 'ssh');
    const { expiresAt } = (await statement(change, WEI, 'reject')).statement;
    const { ssh } = (await signed(change, wei, { verdict: 'reject', expiresAt })) as { ssh: object };
    expect(await decide(change, { verdict: 'reject', comment: 'not today', ssh: { ...ssh, expiresAt } })).toMatchObject({ status: 200, body: { state: 'rejected' } });
    expect((await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/evidence`)).text).toContain('"proofClass":"ssh"');
  });
});

it('who need not sign, may', async () => {
  const change = await open('session');
  expect((await statement(change)).proofClass).toBe('session');
  expect(await decide(change, await signed(change))).toMatchObject({ status: 200, body: { approvals: [{ proofClass: 'ssh' }] } });
});

it('who has approved by session may sign as well, for the floors of others that ask for it', async () => {
  const change = await open('session', 'session', { atLeast: 2, of: [WEI, 'person:ana'] });
  expect((await decide(change, {})).status).toBe(200);
  expect(await decide(change, await signed(change))).toMatchObject({ status: 200, body: { state: 'pending', approvals: [{ proofClass: 'session' }, { proofClass: 'ssh' }] } });
  const size = sidecar.log.size;
  expect((await decide(change, await signed(change))).status).toBe(200);
  expect((await decide(change, {})).status).toBe(200);
  expect(sidecar.log.size).toBe(size);
});

describe('is no proof, and nothing is recorded', () => {
  it.each<[string, (change: ChangeView) => Promise<object>, RegExp]>([
    ['a key that nobody allowed', (change) => signed(change, stranger), /not among the allowed signers/],
    ['the key of somebody else', (change) => signed(change, ana), /a key of person:ana/],
    ['a signature of another plan', (change) => signed(change, wei, { planDigest: `sha256:${'0'.repeat(64)}` }), /does not hold/],
    ['a signature of a rejection', (change) => signed(change, wei, { verdict: 'reject' }), /does not hold/],
    ['a signature in the name of somebody else', (change) => signed(change, wei, { approver: 'person:ana' }), /does not hold/],
    ['one that is good for longer than there is to decide', async (change) => {
      const expiresAt = '2999-01-01T00:00:00.000Z';
      const { ssh } = (await signed(change, wei, { expiresAt })) as { ssh: object };
      return { ssh: { ...ssh, expiresAt } };
    }, /is the longest/],
    ['rubbish in its armour', async (change) => ({ ssh: { expiresAt: (await statement(change)).statement.expiresAt, signature: writeArmour(Buffer.from('SSHSIG and so on')) } }), /SSH signature/],
    ['rubbish', async (change) => ({ ssh: { expiresAt: (await statement(change)).statement.expiresAt, signature: 'AAAA' } }), /not between/],
  ])('%s', async (_what, body, message) => {
    const change = await open('ssh');
    const made = await body(change);
    const size = sidecar.log.size;
    const problem = problemIn(await decide(change, made));
    expect(problem).toMatchObject({ status: 422, code: 'proof-invalid' });
    expect(problem.detail).toMatch(message);
    expect(sidecar.log.size).toBe(size);
  });

  it('one that had expired', async () => {
    const change = await open('ssh');
    const expiresAt = '2020-01-01T00:00:00.000Z';
    const { ssh } = (await signed(change, wei, { expiresAt })) as { ssh: object };
    expect(problemIn(await decide(change, { ssh: { ...ssh, expiresAt } }))).toMatchObject({ status: 409, code: 'approval-expired' });
  });
});

it('a statement is for people, about what there is', async () => {
  const change = await open('ssh');
  expect(problemIn(await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/statement?verdict=approve`)).status).toBe(403);
  expect(problemIn(await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/statement?verdict=maybe`))).toMatchObject({ status: 400, code: 'malformed-query' });
  expect(problemIn(await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/statement`)).status).toBe(400);
});

it('a key that is over by the time of the record approves nothing, though the clock was set back', async () => {
  const clock = movedClock();
  const until = formatTime(clock.nowMs() + 120_000).replaceAll(/[-:T]|\.\d{3}/g, '');
  sidecar = await openTestSidecar({
    clock, decide: () => answerOf('needsApproval', { anyOf: [WEI, 'person:ana'] }),
    trusts: (trust) => Object.assign(trust, { signers: parseAllowedSigners(`${WEI} valid-before="${until}" ${wei.publicLine}`) } satisfies Partial<Trust>),
  });
  const change = await sidecar.change(CALLER, GRANT);
  clock.move(300_000);
  await sidecar.change(CALLER, { ...GRANT, reason: 'another' });
  clock.move(-300_000);
  expect(problemIn(await decide(change, await signed(change)))).toMatchObject({ code: 'proof-invalid' });
});

it('an approval whose key ends before the dispatch counts no more, on record: the change waits for people again, and no executor is sent what it would refuse', async () => {
  const clock = movedClock();
  const at = (minutes: number): number => clock.nowMs() + minutes * 60_000;
  const [until, notBefore] = [formatTime(at(60)).replaceAll(/[-:T]|\.\d{3}/g, ''), formatTime(at(120))];
  const asks = answerOf('needsApproval', { anyOf: [WEI, 'person:ana'] });
  sidecar = await openTestSidecar({
    clock, decide: () => ({ ...asks, obligations: { ...asks.obligations, notBefore } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${WEI} valid-before="${until}" ${wei.publicLine}\nperson:ana ${ana.publicLine}`),
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'ssh', approvers: null, maxLeaseSeconds: null }] },
    } satisfies Partial<Trust>),
  });
  const change = await sidecar.change(CALLER, GRANT);
  const show = async (): Promise<ChangeView> => (await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}`)).body as ChangeView;
  const sent = (): StepEnvelope[] => sidecar.executor.steps.filter(({ plan }) => plan !== null);
  expect((await decide(change, await signed(change))).body).toMatchObject({ state: 'scheduled' });
  clock.move(121 * 60_000);
  await expect.poll(async () => (await show()).state, { timeout: 10_000 }).toBe('pending');
  expect(await show()).toMatchObject({ approvals: [], turns: { now: [WEI, 'person:ana'] } });
  expect((await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/evidence`)).text).toMatch(/"uncounted":\["apr_/);
  expect(problemIn(await decide(change, await signed(change)))).toMatchObject({ code: 'proof-invalid' });
  expect((await decide(change, await signed(change, ana, {}, 'person:ana'), 'person:ana')).status).toBe(200);
  await expect.poll(() => sent().length, { timeout: 10_000 }).toBe(1);
  expect(admit(sent()[0]!, { trust: sidecar.trust, executorId: EXECUTOR, nowMs: clock.nowMs(), connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null })).toMatchObject({ ok: true });
  await sidecar.log.sync();
  expect((await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true })).workflow!.violations).toEqual([]);
});

it('whoever has approved by a session, which is not enough any more, signs under no other of her ids: at an executor whose floor asks for two, they would be two', async () => {
  const asks = answerOf('needsApproval', { anyOf: [WEI, 'person:mallory'] });
  sidecar = await openTestSidecar({
    decide: ({ phase }) => ({ ...asks, obligations: { ...asks.obligations, proofClass: phase === 'dispatch' ? 'ssh' : 'session' } }),
    facts: (facts) => ({ ...facts, directory: { ...facts.directory, people: facts.directory.people.map((person) => (person.id === WEI ? { ...person, linked: ['person:mallory'] } : person)) } }),
    trusts: (trust) => Object.assign(trust, { signers: parseAllowedSigners(`${WEI} ${wei.publicLine}\nperson:mallory ${stranger.publicLine}`) } satisfies Partial<Trust>),
  });
  const change = await sidecar.change(CALLER, GRANT);
  expect((await decide(change, {})).status).toBe(200);
  await expect.poll(async () => (await statement(change)).proofClass, { timeout: 10_000 }).toBe('ssh');
  expect(problemIn(await decide(change, await signed(change, stranger, {}, 'person:mallory'), 'person:mallory'))).toMatchObject({ status: 409, code: 'already-decided' });
  expect((await decide(change, await signed(change))).status).toBe(200);
});

it('what has begun goes on under an approval whose key is in the folder no more: no old login is kept alive for it', async () => {
  const asks = answerOf('needsApproval', WEI);
  sidecar = await openTestSidecar({
    decide: () => asks,
    facts: (usual) => ({ ...usual, inventory: new Map([...usual.inventory].map(([id, nhi]) => [id, id === CALLER ? { ...nhi, consumers: ['deploy-pipeline'] } : nhi])) }),
    trusts: (trust) => Object.assign(trust, { signers: parseAllowedSigners(`${WEI} ${wei.publicLine}`) } satisfies Partial<Trust>),
  });
  const change = await sidecar.change(CALLER, { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'quarterly', recipient: RECIPIENT, grace: 'PT1H' });
  const state = async (): Promise<string> => ((await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}`)).body as ChangeView).state;
  expect((await decide(change, await signed(change))).status).toBe(200);
  await expect.poll(state, { timeout: 10_000 }).toBe('staged');
  Object.assign(sidecar.trust, { signers: parseAllowedSigners('') });
  const { digest } = (await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/delivery`)).body as { digest: string };
  expect((await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/delivery`, { digest })).status).toBe(200);
  expect((await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/confirmations`, { consumer: 'deploy-pipeline' })).status).toBe(200);
  await expect.poll(state, { timeout: 10_000 }).toBe('done');
});

it('whoever signs again and again for a moment keeps neither the step from its executor nor the sidecar from its ledger', async () => {
  const clock = movedClock();
  const change = await open('session', 'session', { allOf: [WEI, 'person:ana'] }, { clock });
  const again = async (expiresAt: string): Promise<Answered> => {
    const { statement: asked } = await statement(change);
    return decide(change, { ssh: { expiresAt, signature: writeArmour(wei.sign(canonicalBytes({ ...asked, expiresAt }))) } });
  };
  for (let n = 0; n < 34; n += 1) {
    expect((await again(formatTime(clock.nowMs() + 60_000))).status).toBe(200);
    clock.move(61_000);
  }
  expect((await decide(change, await signed(change))).status).toBe(200);
  expect((await decide(change, await signed(change, ana, {}, 'person:ana'), 'person:ana')).status).toBe(200);
  await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
  const envelope = sidecar.executor.steps.find(({ plan }) => plan !== null)!;
  expect(admit(envelope, { trust: sidecar.trust, executorId: EXECUTOR, nowMs: clock.nowMs(), connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null })).toMatchObject({ ok: true });
  const before = sidecar;
  await before.close('keep');
  sidecar = await openTestSidecar({ after: before, clock });
  expect((await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}`)).status).toBe(200);
}, 30_000);
