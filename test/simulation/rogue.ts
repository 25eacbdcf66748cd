/**
 * A thief with all keys of another sidecar that the executors trust, log key included: she makes real tickets under real receipts, but has no
 * approvals. Only the executor's own floor is between her and the target (invariant 9).
 */
import { logIdOf, openLog } from '../../ledger/index.ts';
import { clientTokenOf, deriveRevokeOrder, leaseIdOf } from '../../src/change/derive.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import { makeReceipt } from '../../src/engine/receipt.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import { APPROVAL_TYPE, REVOKE_ORDER_TYPE, TICKET_TYPE, type ActTicket, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { Rng } from './rng.ts';
import { instantDisk } from './sim-disk.ts';
import { ROGUE_ORIGIN } from './fixtures.ts';
import type { World } from './world.ts';

/** Sends one forged step, some time in the run. */
export async function startRogue(world: World, rng: Rng): Promise<void> {
  const { scheduler, keys } = world;
  const log = logIdOf(ROGUE_ORIGIN);
  const atMs = scheduler.nowMs() + rng.between(5_000, 60_000);
  const changeId = newChangeId(log, atMs, (length) => rng.bytes(length));
  const stem = changeId.slice('chg_'.length);
  const step = {
    stepId: `stp_${stem}_r1_1`, action: 'grant' as const, connector: 'pg-main', target: 'app', account: 'ci_deployer', privileges: ['role:deploy'], clientToken: clientTokenOf(changeId),
  };
  world.rogueTokens.add(step.clientToken);
  const plan: Plan = {
    v: 1, salt: Buffer.from(rng.bytes(16)).toString('base64url'), log, changeId, revision: 1, kind: 'grant', requester: ['person:mallory'], subject: 'nhi:prod/ci-deployer',
    purpose: 'deploy-orders', connector: 'pg-main', target: 'app', mode: 'executor', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }], steps: [step],
    before: { nativeId: 1, held: [] }, lease: { leaseId: leaseIdOf(changeId), leaseSeconds: 600, endsBy: null }, recipient: null,
  };
  const endsAtMs = atMs + 600_000;
  const order = signDsse(REVOKE_ORDER_TYPE, deriveRevokeOrder(plan, 'executor:prod', endsAtMs, 'leaseEnd', `sidecar:${log}`)!, keys.rogueTicket);
  const ticket: ActTicket = {
    kind: 'act', v: 1, log, changeId, revision: 1, stepId: step.stepId, issue: 1, audience: 'executor:prod', notBefore: formatTime(atMs), notAfter: formatTime(atMs + 300_000),
    planDigest: planDigest(plan), step,
  };
  const envelope = signDsse(TICKET_TYPE, ticket, keys.rogueTicket);
  const forged = rng.pick<readonly Approval[]>([[], [selfApproval()]]);
  const ledger = await openLog({
    origin: ROGUE_ORIGIN, disk: instantDisk(new Map()), directory: 'ledger', journal: 'journal', signer: keys.rogueLog, now: () => atMs, setTimer: () => () => undefined,
  });
  const body = {
    kind: 'act', revision: 1, stepId: step.stepId, issue: 1, ticket: envelope, planDigest: ticket.planDigest, requirement: { approvers: null, proofClass: 'session' },
    approvals: forged.map(({ approvalId }) => approvalId), lease: { leaseId: leaseIdOf(changeId), epoch: 1, endsAt: formatTime(endsAtMs), order },
  };
  const appending = ledger.append([{ v: 1, change: changeId, type: 'step.authorised', at: formatTime(atMs), actor: `sidecar:${log}`, body: body, objects: [] }], { checkpoint: true });
  await appending.durable;
  const receipt = await makeReceipt(ledger, appending.records[0]!.seq, [], ledger.checkpoint());
  const send = (): void => world.network.inject('executor:prod', { v: 1, ticket: envelope, plan, order, approvals: [...forged], receipt });
  for (const delayMs of [0, 3_000, 20_000]) scheduler.after(atMs + delayMs - scheduler.nowMs(), 'the rogue sidecar sends a step', send);

  function selfApproval(): Approval {
    const statement: ApprovalStatement = {
      v: 1, log, changeId, revision: 1, planDigest: planDigest(plan), verdict: 'approve', approver: 'person:mallory', expiresAt: formatTime(atMs + 600_000),
    };
    return { approvalId: `apr_${'0'.repeat(32)}`, proofClass: 'session', envelope: signDsse(APPROVAL_TYPE, statement, keys.rogueTicket) };
  }
}
