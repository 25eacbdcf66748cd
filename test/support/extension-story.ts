/** Stories of leases that get a later end: two changes, each event as `decide` makes it. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { deriveActTicket, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs } from '../../src/change/derive.ts';
import { lentBy } from '../../src/change/extension.ts';
import type { ExtendRequest } from '../../src/protocol/request.ts';
import { formatTime } from '../../src/protocol/values.ts';
import {
  actOf, ANA, decision, EXECUTOR, GRANT, logId, provenance, report, salt, sidecar, sign, statementOf, targetState, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, type Beat,
} from './story.ts';

export interface ExtendedStory {
  /** What happened, in order. */
  readonly ledger: Beat[];
  /** The change whose lease it is. */
  readonly lease: Telling;
  readonly extension: Telling;
}

const { duration: _, ...LENT } = GRANT as Extract<typeof GRANT, { kind: 'grant' }>;

/** A lease of half an hour in use, and nothing else. */
export function runningLease(atMs: number, ledger: Beat[] = []): Telling {
  return toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, atMs, 'needsApproval', new Telling(atMs, ledger))));
}

export function extendRequest(change: string, edit: Partial<ExtendRequest> = {}): ExtendRequest {
  return { ...LENT, kind: 'extend', change, duration: 'PT1H', reason: 'it takes longer', ...edit };
}

/** Requested, read, planned and decided; the lease's clock goes with it. */
export function extensionUntilDecided(lease: Telling, ledger: Beat[], edit: Partial<ExtendRequest> = {}, nextEpoch = lease.now.lease!.epoch + 1): Telling {
  const telling = new Telling(lease.atMs, ledger);
  const request = extendRequest(lease.changeId, edit);
  telling.later(1_000).do({ type: 'request', by: request.subject, request, requester: [request.subject], idempotency: null });
  const query = deriveQuery(telling.changeId, request, 'ci_deployer', 'grant');
  telling.later(5).do({ type: 'authoriseRead', by: sidecar, ticket: sign.ticket(deriveReadTicket(telling.now, query, EXECUTOR, telling.atMs, 300)) });
  const before = targetState('ci_deployer', ['role:deploy'], true, 6);
  report(telling.later(20), {
    kind: 'read', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: telling.now.read!.stepId, issue: 1,
    outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(before)),
  }, [before]);
  const plan = derivePlan(telling.now, query, before, { salt: salt(7), window: null, consumers: [], parent: null, extended: { ...lentBy(lease.now)!, nextEpoch } });
  return telling.later(5).do({ type: 'recordDecision', by: sidecar, phase: 'request', plan, decision: decision('needsApproval', ANA), provenance, approvalSeconds: 3600 });
}

/** Approved, decided again, authorised, armed. */
export function extensionUntilArmed(telling: Telling, lease: Telling): Telling {
  telling.later(10_000).do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana')), comment: 'as agreed' });
  const plan = telling.now.plan!;
  telling.later(10).do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan, decision: decision('needsApproval', ANA), provenance, approvalSeconds: 3600 });
  telling.do({
    type: 'authoriseAct', by: sidecar, ticket: sign.ticket(deriveActTicket(telling.now, plan, plan.steps[0]!, EXECUTOR, telling.atMs, 300)),
    order: sign.order(deriveRevokeOrder(plan, EXECUTOR, leaseEndMs(plan, telling.atMs)!, 'leaseEnd', sidecar)!), extended: lease.now,
  });
  return telling.later(3).do({ type: 'recordArmed', by: sidecar, orderDigest: telling.now.extension!.orderDigest });
}

/** Taken up, applied and read back. */
export function extensionUntilDone(telling: Telling): Telling {
  const { step, issue } = actOf(telling);
  const common = { v: 1 as const, executor: EXECUTOR, log: logId, changeId: telling.changeId, stepId: step.stepId, issue };
  report(telling.later(4), { kind: 'claimed', ...common, at: formatTime(telling.atMs) }, []);
  const [before, after] = [targetState(step.account, step.privileges, true, 8), targetState(step.account, step.privileges, true, 9)];
  report(telling.later(30), {
    kind: 'acted', ...common, at: formatTime(telling.atMs - 2), attempt: 1, outcome: 'done', code: null, detail: null, before: digestOf(canonicalBytes(before)),
    after: digestOf(canonicalBytes(after)), byUse: 'notTried', seal: null,
  }, [before, after]);
  return telling;
}

export const VERIFIED = { effect: 'allow' as const, reasons: [{ code: 'as-planned', message: 'nothing more, nothing less', rule: 'access' }], controls: [] };

/** Verified, and the lease extended by it. */
export function extensionUntilVerified(telling: Telling, lease: Telling): Telling {
  telling.later(5).do({ type: 'recordVerification', by: sidecar, verification: VERIFIED, provenance });
  lease.atMs = telling.atMs;
  lease.do({ type: 'extendLease', by: sidecar, extension: telling.now });
  return telling;
}

/** A lease that is extended by an hour, a minute after it began; the older order is disarmed. */
export function extendedLease(atMs: number, edit: Partial<ExtendRequest> = {}): ExtendedStory {
  const ledger: Beat[] = [];
  const lease = runningLease(atMs, ledger);
  return { ledger, lease, extension: extendAgain({ ledger, lease }, edit) };
}

/** The same of a lease that runs. */
export function extendAgain({ ledger, lease }: Pick<ExtendedStory, 'ledger' | 'lease'>, edit: Partial<ExtendRequest> = {}): Telling {
  lease.later(60_000);
  const extension = extensionUntilVerified(extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger, edit), lease)), lease);
  lease.later(20).do({ type: 'recordDisarmed', by: sidecar, orderDigest: lease.now.superseded[0]!.orderDigest });
  return extension;
}
