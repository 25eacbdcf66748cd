/**
 * The oracle's part about changes that wait for approvals:
 *
 * 15. further people are told of one as soon, and as many, as any of its decisions said; once a revision, while it waits and neither before
 *     nor after; and a sidecar that runs does not forget to.
 *
 * That none of them approves for it is judged with every effect (1), by approvals that the decisions ask for. All is read off the records, by
 * none of the program's folds.
 */
import type { LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../../src/change/events.ts';
import { isSatisfied, strictest, type Requirement } from '../../src/protocol/decision.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema } from '../../src/protocol/signed.ts';
import type { LedgerView } from './ledger-view.ts';
import { approvedIn } from './standing-oracle.ts';
import type { World } from './world.ts';

export interface EscalationOracle {
  /** After every event. */
  check(): void;
}

/** How long after its time a sidecar that runs may take: its clock off, a disk that is slow, retries that had backed off. */
const TOLD_WITHIN_MS = 20_000;

interface Judged {
  readonly faults: readonly string[];
  /** When somebody is to be told, by the sidecar's clock; null while nobody is. */
  readonly dueMs: number | null;
  readonly approvalsByMs: number;
}

export function createEscalationOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): EscalationOracle {
  const judged = new Map<string, { readonly length: number; readonly outcome: Judged }>();
  let incarnation = -1;
  let upSinceMs = Infinity;

  const outcomeOf = (changeId: string, requester: readonly string[]): Judged => {
    const records = view.recordsOf(changeId);
    const known = judged.get(changeId);
    if (known?.length === records.length) return known.outcome;
    const outcome = judge(records, requester);
    for (const fault of outcome.faults.slice(known?.outcome.faults.length ?? 0)) broken(15, `${changeId}: ${fault}`);
    judged.set(changeId, { length: records.length, outcome });
    return outcome;
  };

  return {
    check() {
      const engine = world.engine();
      const nowMs = world.scheduler.nowMs();
      const runs = engine === null || engine.troubles().length > 0 ? -1 : world.sidecar.process!.incarnation;
      if (runs !== incarnation) upSinceMs = nowMs;
      incarnation = runs;
      for (const { changeId, requester, name } of engine?.all() ?? []) {
        const { dueMs, approvalsByMs } = outcomeOf(changeId, requester);
        if (runs === -1 || dueMs === null || name !== 'pending' || world.wildClock || world.isSetBack) continue;
        const since = Math.max(dueMs, upSinceMs);
        if (nowMs > since + TOLD_WITHIN_MS && nowMs < approvalsByMs) broken(15, `${changeId} has waited for approvals ${nowMs - since} ms longer than further people were to be told after, and they were not`);
      }
    },
  };
}

function judge(records: readonly LedgerRecord[], requester: readonly string[]): Judged {
  const faults: string[] = [];
  const to = new Set<string>();
  let afterMs = Infinity;
  let requirement: Requirement = { approvers: null, proofClass: 'session' };
  /** Until when each approval holds, and whose it is. */
  let approvals = new Map<string, { readonly who: string; readonly untilMs: number }>();
  let sinceMs: number | null = null;
  let approvalsByMs = Infinity;
  let isTold = false;
  let hasStarted = false;
  let isGlassBroken = false;
  const isMet = (atMs: number): boolean => requirement.approvers === null
    || isSatisfied(requirement.approvers, new Set([...approvals.values()].filter(({ who, untilMs }) => untilMs > atMs && !requester.includes(who)).map(({ who }) => who)));

  for (const { seq, type, at, body } of records) {
    const atMs = Date.parse(at);
    switch (type) {
      case 'change.revised':
        approvals = new Map();
        sinceMs = null;
        isTold = false;
        isGlassBroken = false;
        break;
      case 'policy.decided': {
        const { decision, approvalsBy, uncounted } = changeEventBodies['policy.decided'].parse(body);
        const { approvers, proofClass, escalation } = decision.obligations;
        requirement = strictest(requirement, { approvers, proofClass });
        for (const approvalId of uncounted ?? []) approvals.delete(approvalId);
        afterMs = Math.min(afterMs, (escalation?.afterSeconds ?? Infinity) * 1000);
        for (const one of escalation?.to ?? []) to.add(one);
        sinceMs = decision.effect === 'deny' || hasStarted || isGlassBroken || isMet(atMs) ? null : atMs;
        if (approvalsBy !== null) approvalsByMs = Date.parse(approvalsBy);
        break;
      }
      case 'approval.recorded': {
        const { approval } = changeEventBodies['approval.recorded'].parse(body);
        const { approver, expiresAt } = approvedIn(approval);
        approvals.set(approval.approvalId, { who: approver, untilMs: Date.parse(expiresAt) });
        if (isMet(atMs)) sinceMs = null;
        break;
      }
      case 'breakglass.used':
        isGlassBroken = true;
        sinceMs = null;
        break;
      case 'step.authorised':
        hasStarted ||= body['kind'] === 'act';
        break;
      case 'approval.rejected': {
        const { approval, outcome } = changeEventBodies['approval.rejected'].parse(body);
        const { approver } = readPayload(approval.envelope, approvalStatementSchema);
        for (const [approvalId, { who }] of approvals) if (who === approver) approvals.delete(approvalId);
        if (outcome !== 'open') sinceMs = null;
        break;
      }
      case 'change.withdrawn':
      case 'change.expired':
        sinceMs = null;
        break;
      case 'approval.escalated': {
        const told = changeEventBodies['approval.escalated'].parse(body);
        if (sinceMs === null) faults.push(`record ${seq} tells further people of a change that waits for nobody`);
        else if (atMs < sinceMs + afterMs) faults.push(`record ${seq} tells further people ${sinceMs + afterMs - atMs} ms before it is time`);
        if (isTold) faults.push(`record ${seq} tells further people again`);
        if (told.to.length !== to.size || !told.to.every((one) => to.has(one))) faults.push(`record ${seq} tells ${told.to.join(', ')}, where ${[...to].join(', ')} were to be told`);
        isTold = true;
        break;
      }
    }
  }
  return { faults, dueMs: sinceMs === null || isTold || afterMs === Infinity ? null : sinceMs + afterMs, approvalsByMs };
}
