/**
 * WORKFLOW: every effect in a ledger was authorised, sufficiently approved by others than the requester, and taken back in time.
 *
 * One pass, a change at a time folded with the same `evolve` that the sidecar runs on, and every signature, requirement, floor and order
 * checked again under the verifier's own trust folder. Memory is that of the changes that are open.
 */
import { JsonError, logIdOf, type LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { evolve } from '../change/state.ts';
import { endDueMs } from '../change/work.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { isClosed, remember, type Audited, type CheckedApproval } from './audited.ts';
import { checkActorOf } from './check-actor.ts';
import { checkApproval, checkAuthorisation, checkDecision, requirementAfter } from './check-decision.ts';
import { checkActivated, checkArmed, checkEnding, checkReport } from './check-effect.ts';
import { AFTER_END, outOfOrder } from './order.ts';
import { isChangeEventType, MalformedRecord, systemRecordBodies, toEvent, type ReadObject } from './record.ts';
import { openReport, type Believed } from './signatures.ts';
import { fault, type Fault, type Violation, type ViolationCode } from './violation.ts';

/** How long after a lease's end its access may still be there: what an executor needs to come back after a crash. */
export const GRACE_MS = 30_000;
/** Violations that are kept in full; the rest are counted. */
const KEPT_MAX = 100;

export interface WorkflowOptions {
  readonly trust: Trust;
  /** Of the checkpoint under verification. */
  readonly origin: string;
  readonly graceMs?: number;
  /** Judge lateness as of then (epoch ms); default: as of the last record. */
  readonly asOfMs?: number | null;
}

export interface WorkflowCounts {
  readonly changes: number;
  readonly closed: number;
  /** Effects that gave access, and those of them that were taken back. */
  readonly grants: number;
  readonly takenBack: number;
  /** Leases whose access is there and whose end has not come. */
  readonly running: number;
  /** Access without an end, still there. */
  readonly standing: number;
  readonly approvals: number;
  /** The latest that access ended after its lease did, in ms; null where no lease has come to its end. */
  readonly worstLatenessMs: number | null;
}

export interface WorkflowFindings {
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly counts: WorkflowCounts;
  /** Changes that had an effect and whose plan was erased. */
  readonly erasedPlans: number;
  /** Whether the trust folder knows whose tickets this log's are. */
  readonly sidecarKnown: boolean;
  readonly lastAtMs: number | null;
}

export interface Workflow {
  /** Takes the next record, in the ledger's order. Never throws for what a ledger may hold. */
  record(record: LedgerRecord, readObject: ReadObject): Promise<void>;
  finish(): WorkflowFindings;
}

export function openWorkflow({ trust, origin, graceMs = GRACE_MS, asOfMs = null }: WorkflowOptions): Workflow {
  const logId = logIdOf(origin);
  const believed: Believed = { trust, logId, sidecarKeys: trust.sidecars.get(logId) ?? [] };
  const open = new Map<string, Audited>();
  const violations: Violation[] = [];
  let violationCount = 0;
  let lastAtMs: number | null = null;
  let erasedPlans = 0;
  const counts = { changes: 0, closed: 0, grants: 0, takenBack: 0, approvals: 0, worstLatenessMs: null as number | null };

  const report = (found: Fault, seq: number, changeId: string | null): void => {
    violationCount += 1;
    if (violations.length < KEPT_MAX) violations.push({ ...found, seq, changeId });
  };

  const follow = (event: ChangeEvent, record: LedgerRecord): void => {
    const before = open.get(event.changeId) ?? null;
    if (before === null && event.type !== 'change.requested' && record.changeSeq !== 0) {
      const late = checkAfterEnd(believed, event);
      if (late !== null) report(late, event.seq, event.changeId);
      return;
    }
    if (before === null && event.type === 'change.requested' && record.changeSeq !== 0) {
      return report(fault('record-after-end', 'a change that was over is asked for again'), event.seq, event.changeId);
    }
    const misplaced = outOfOrder(before?.state ?? null, event) ?? checkActorOf(event, before, logId);
    if (before === null && event.type !== 'change.requested') return report(misplaced!, event.seq, event.changeId);
    const checked = before === null ? { fault: null, approval: null } : check(believed, before, event, record, graceMs, counts);
    if (misplaced !== null) report(misplaced, event.seq, event.changeId);
    if (checked.fault !== null && checked.fault.code !== misplaced?.code) report(checked.fault, event.seq, event.changeId);

    const state = evolve(before?.state ?? null, event);
    const requirement = requirementAfter(before?.requirement ?? state.requirement, event);
    const after = remember(before, event, state, requirement, misplaced === null ? checked.approval : null);
    count(before, after, event);
    if (isClosed(after)) {
      counts.closed += 1;
      open.delete(event.changeId);
    } else open.set(event.changeId, after);
  };

  const count = (before: Audited | null, after: Audited, event: ChangeEvent): void => {
    if (before === null) counts.changes += 1;
    if (event.type === 'approval.recorded') counts.approvals += 1;
    if (event.type === 'step.succeeded' && gives(after)) counts.grants += 1;
    if (event.type === 'lease.ended' && before?.state.ended === null && after.state.result !== null && gives(after)) counts.takenBack += 1;
    if (event.type === 'step.authorised' && event.body.kind === 'act' && event.body.issue === 1 && after.planErased) erasedPlans += 1;
  };

  return {
    async record(record, readObject) {
      lastAtMs = Math.max(lastAtMs ?? 0, parseTime(record.at));
      try {
        if (record.change === null) return checkSystemRecord(record, origin, report);
        if (!isChangeEventType(record.type)) return report(fault('malformed-record', `${record.type} is not a type of record`), record.seq, record.change);
        follow(await toEvent(record, readObject), record);
      } catch (error) {
        if (!isMalformed(error)) throw error;
        report(fault('malformed-record', error.message), record.seq, record.change);
      }
    },
    finish() {
      const judgedAtMs = asOfMs ?? lastAtMs ?? 0;
      let running = 0;
      let standing = 0;
      for (const audited of open.values()) {
        const overdue = overdueOf(audited, judgedAtMs, graceMs);
        if (overdue !== null) report(overdue, audited.state.act!.seq, audited.state.changeId);
        else if (audited.state.lease !== null && audited.state.result !== null && audited.state.ended === null) running += 1;
        else if (audited.state.lease === null && audited.state.result !== null && audited.state.ended === null && gives(audited)) standing += 1;
      }
      return {
        violations: [...violations].sort((a, b) => a.seq - b.seq), violationCount, erasedPlans, lastAtMs,
        counts: { ...counts, running, standing }, sidecarKnown: believed.sidecarKeys.length > 0,
      };
    },
  };
}

/** Whether the change's effect is access that can be taken back. */
function gives({ ticket }: Audited): boolean {
  return ticket !== null && ticket.step.action !== 'revoke';
}

interface Checked {
  readonly fault: Fault | null;
  readonly approval: CheckedApproval | null;
}

function check(believed: Believed, audited: Audited, event: ChangeEvent, record: LedgerRecord, graceMs: number, counts: { worstLatenessMs: number | null }): Checked {
  const only = (found: Fault | null): Checked => ({ fault: found, approval: null });
  switch (event.type) {
    case 'policy.decided':
      return only(checkDecision(audited, event, record));
    case 'approval.recorded':
    case 'approval.rejected': {
      const checked = checkApproval(believed, audited, event);
      return checked.fault === null ? checked : only(checked.fault);
    }
    case 'step.authorised':
      return only(checkAuthorisation(believed, audited, event));
    case 'state.read':
    case 'step.claimed':
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
    case 'step.ambiguous':
      return only(checkReport(believed, audited, event, record));
    case 'lease.armed':
      return only(checkArmed(audited, event));
    case 'lease.activated':
      return only(checkActivated(audited, event));
    case 'lease.ended': {
      const { fault: found, latenessMs } = checkEnding(believed, audited, event, record, graceMs);
      if (latenessMs !== null && latenessMs >= 0) counts.worstLatenessMs = Math.max(counts.worstLatenessMs ?? 0, latenessMs);
      return only(found);
    }
    case 'change.requested':
    case 'change.revised':
    case 'change.withdrawn':
    case 'change.expired':
    case 'entitlement.verified':
    case 'delivery.sealed':
    case 'delivery.acknowledged':
    case 'delivery.undeliverable':
    case 'finding.opened':
    case 'finding.closed':
      return only(null);
  }
}

/** A closed change is forgotten; what may still come about it gives nothing, and is signed where it is a report. */
function checkAfterEnd(believed: Believed, event: ChangeEvent): Fault | null {
  if (!AFTER_END.has(event.type)) return fault('record-after-end', `${event.type} of a change that was over, or that nobody requested`);
  switch (event.type) {
    case 'step.claimed':
    case 'step.ambiguous':
    case 'step.refused':
    case 'step.failed': {
      const opened = openReport(believed, event, event.body.report, null);
      return opened.ok ? null : opened.fault;
    }
    default:
      return null;
  }
}

/** Access that is or may be there though its lease has ended or it was ordered back: not said to have had no effect, and not taken back. */
function overdueOf({ state, withoutEffect }: Audited, judgedAtMs: number, graceMs: number): Fault | null {
  const dueMs = endDueMs(state);
  if (dueMs === null || withoutEffect || state.ended !== null || judgedAtMs <= dueMs + graceMs) return null;
  return fault('lease-overdue', `the access was to end at ${formatTime(dueMs)}, and nobody has reported by ${formatTime(judgedAtMs)} that the access is gone`);
}

function checkSystemRecord(record: LedgerRecord, origin: string, report: (found: Fault, seq: number, changeId: null) => void): void {
  if (!Object.hasOwn(systemRecordBodies, record.type)) return report(fault('malformed-record', `${record.type} is not a type of record`), record.seq, null);
  const parsed = systemRecordBodies[record.type as keyof typeof systemRecordBodies].safeParse(record.body);
  if (!parsed.success) return report(fault('malformed-record', `the body is not that of a ${record.type} record`), record.seq, null);
  if (record.type === 'ledger.opened' && record.body['origin'] !== origin) report(fault('wrong-log', 'the record is of another log'), record.seq, null);
}

function isMalformed(error: unknown): error is Error {
  // Each is thrown by a schema, a parser or an upcast for bytes that are not what their place says.
  return error instanceof MalformedRecord || error instanceof ProtocolError || error instanceof JsonError || error instanceof RangeError;
}

/** Counts of violations by code, in the order of first occurrence. */
export function countByCode(violations: readonly Violation[]): Map<ViolationCode, number> {
  const counted = new Map<ViolationCode, number>();
  for (const { code } of violations) counted.set(code, (counted.get(code) ?? 0) + 1);
  return counted;
}
