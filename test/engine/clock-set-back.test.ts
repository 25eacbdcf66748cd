/** A clock that went ahead for a moment and was set back: records are as late as it was, so all that is decided is judged by them, and nothing is judged at one time and folded at another. */
import { afterEach, expect, it, vi } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { revokeOrderSchema, ticketSchema } from '../../src/protocol/signed.ts';
import { STANDING_NAMESPACE, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { formatTime, parseTime } from '../../src/protocol/values.ts';
import { asOfRecord } from '../../src/engine/ask.ts';
import type { Clock } from '../../src/engine/ports.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, PROVISION, scriptedPdp, usualPolicy, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { testSshKey } from '../support/ssh.ts';

const CALLER = GRANT.subject;
const [WEI, ANA] = ['person:wei', 'person:ana'];
const HOUR = 3_600_000;
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

let aheadMs = 0;
/** Timers go by another clock, which nobody sets. */
const clock: Clock = { ...systemClock, nowMs: () => Date.now() + aheadMs };
async function open(options: TestOptions = {}): Promise<void> {
  aheadMs = 0;
  sidecar = await openTestSidecar({ clock, limits: { approvalSeconds: 600 }, ...options });
}
/** From now on records are of so much later than the clock. */
async function setAheadAndBack(ms: number): Promise<void> {
  aheadMs += ms;
  await sidecar.engine.lock('person:olga', { nhi: 'nhi:dev/report-preview', connector: null }, 'beside all this');
  aheadMs -= ms;
}
const ask = (reason: string): Promise<ChangeView> => sidecar.change(CALLER, { ...GRANT, reason });
const approve = ({ id, planDigest }: ChangeView, by = WEI): ReturnType<TestSidecar['send']> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest });
const comesTo = (id: string, name: string): Promise<void> => vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe(name), { timeout: 10_000, interval: 10 });

it('who is asked then has the whole time to decide, and her approval counts; the lease ends by the clock that executors have', async () => {
  await open();
  await setAheadAndBack(2 * HOUR);
  const change = await ask('after all');
  expect(parseTime(change.approvalsBy!) - clock.nowMs()).toBeGreaterThan(2 * HOUR);
  expect((await approve(change)).status).toBe(200);
  await comesTo(change.id, 'active');
  const { lease, act } = sidecar.engine.get(change.id)!;
  const endsAtMs = parseTime(readPayload(lease!.order, revokeOrderSchema).notBefore);
  expect(endsAtMs).toBe(lease!.endsAtMs);
  expect(endsAtMs).toBeLessThanOrEqual(clock.nowMs() + 900_000);
  expect(parseTime(readPayload(act!.ticket, ticketSchema).notBefore)).toBeLessThanOrEqual(clock.nowMs());
});

it('what waits at its dispatch for people again can be approved by them', async () => {
  await open();
  const { ok, value: lock } = (await sidecar.engine.lock('person:olga', { nhi: CALLER, connector: null }, 'for a while')) as { ok: true; value: { lockId: string } };
  expect(ok).toBe(true);
  const change = await ask('under a lock');
  expect((await approve(change)).status).toBe(200);
  await comesTo(change.id, 'scheduled');
  // Her approval is over by the records.
  await setAheadAndBack(HOUR);
  await sidecar.engine.unlock('person:olga', lock.lockId, 'over');
  await comesTo(change.id, 'pending');
  // Her inbox has it, though by the clock what she has said is good.
  expect((await sidecar.send(WEI, 'GET', '/v1/changes?waitingForMe=true')).body).toMatchObject({ count: 1, changes: [{ id: change.id }] });
  expect((await approve(change)).status).toBe(200);
  await comesTo(change.id, 'active');
});

it('what the records say is too late expires as soon as somebody is told so', async () => {
  await open();
  const change = await ask('in time');
  await setAheadAndBack(HOUR);
  expect(problemIn(await approve(change))).toMatchObject({ code: 'approval-expired' });
  await comesTo(change.id, 'expired');
});

it('policy is asked as of the record that its answer will be in', async () => {
  const asked: ChangeInput[] = [];
  await open({ decide: (input) => (asked.push(input), usualPolicy(input)) });
  await setAheadAndBack(HOUR);
  const lateMs = sidecar.engine.locks()[0]!.atMs;
  const change = await sidecar.change('nhi:prod/billing-export', PROVISION);
  await comesTo(change.id, 'active');
  expect(asked.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['request', 'dispatch']));
  expect(asked.every(({ nowMs }) => nowMs >= lateMs)).toBe(true);
  // Facts have not become older for it.
  expect(Math.max(...asked.map(({ facts }) => facts.ageMs))).toBeLessThan(HOUR / 2);
  // Nor are they others, which would be indexed anew for each question.
  expect(asOfRecord({ clock, facts: () => sidecar.facts, store: { nextAtMs: () => lateMs } }).facts).toBe(sidecar.facts);
});

it('an approval that begins by the records, and not yet by the clock, is not taken unless policy accepts it', async () => {
  const ana = testSshKey();
  const asks = answerOf('needsApproval', { anyOf: [WEI, ANA] });
  const refusing: Pdp = { ...scriptedPdp(() => ({ ...asks, obligations: { ...asks.obligations, standingApproval: { maxLeaseSeconds: 3_600 } } })), accept: async () => ({ effect: 'refuse', reasons: asks.reasons, controls: [] }) };
  await open({
    pdp: refusing,
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${ANA} ${ana.publicLine}`),
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null, standing: true }] },
    }),
  });
  const salt = Buffer.alloc(16, 3).toString('base64url');
  const statement: StandingStatement = {
    v: 1, log: sidecar.log.logId, approver: ANA, subject: CALLER, kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'], recipients: [],
    maxLeaseSeconds: 900, uses: 3, notBefore: formatTime(clock.nowMs() + HOUR), expiresAt: formatTime(clock.nowMs() + 9 * HOUR), reason: commitmentTo({ name: 'reason', salt, value: 'each release' }),
  };
  const signature = writeArmour(ana.sign(canonicalBytes(statement), { namespace: STANDING_NAMESPACE }));
  expect((await sidecar.send(ANA, 'POST', '/v1/standing-approvals', { statement, reason: 'each release', salt, signature })).status).toBe(201);
  await setAheadAndBack(2 * HOUR);
  const change = await ask('each release');
  await sidecar.engine.standingTried(change.id);
  expect(sidecar.engine.get(change.id)).toMatchObject({ name: 'pending', approvals: [] });
});

it('a lease that is over by the records, and runs by the clock, is taken back where policy says so', async () => {
  let effect: 'keep' | 'revoke' = 'keep';
  const pdp: Pdp = { ...scriptedPdp(usualPolicy), redecide: async () => ({ effect, reasons: answerOf('deny').reasons, controls: [] }) };
  await open({ pdp, redecision: { everyMs: 5, confirmAbove: { percent: 20, leases: 5 } } });
  const { id } = await sidecar.change('nhi:prod/billing-export', PROVISION);
  await comesTo(id, 'active');
  await setAheadAndBack(2 * HOUR);
  expect(sidecar.engine.get(id)!.lease!.endsAtMs).toBeLessThan(sidecar.engine.locks()[0]!.atMs);
  effect = 'revoke';
  sidecar.load({ ...sidecar.facts, digests: { ...sidecar.facts.digests, inventory: `sha256:${'7'.repeat(64)}` } });
  await comesTo(id, 'revoked');
});

it('a ticket is out by the clock of who holds it: none is issued again for a record that is later', async () => {
  await open();
  await setAheadAndBack(2 * HOUR);
  sidecar.executor.acting = false;
  const { id } = (await sidecar.send(CALLER, 'POST', '/v1/changes', GRANT)).body as ChangeView;
  await vi.waitFor(() => expect(sidecar.executor.steps).toHaveLength(1), { timeout: 10_000, interval: 10 });
  await sidecar.engine.lock('person:olga', { nhi: 'nhi:dev/report-preview', connector: null }, 'wakes what waits');
  await vi.waitFor(() => expect(sidecar.log.durableSize).toBe(sidecar.log.size), { timeout: 10_000 });
  expect(sidecar.engine.get(id)!.read!.issue).toBe(1);
});
