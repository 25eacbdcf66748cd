/**
 * WORKFLOW: every effect in a ledger was authorised, sufficiently approved by others than the requester, and taken back in time.
 *
 * One pass, a change at a time folded with the same `evolve` that the sidecar runs on, and every signature, requirement, floor and order
 * checked again under the verifier's own trust folder. Memory is that of the changes that are open.
 */
import { JsonError, logIdOf, type LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { endDueMs } from '../change/work.ts';
import { readPayload } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ticketSchema } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { isClosed, remember, slimmed, type Audited } from './audited.ts';
import { checkActorOf } from './check-actor.ts';
import { requirementAfter } from './check-decision.ts';
import { checkAfterEnd, checkEvent, NOTHING_CHECKED, type Surroundings } from './check-event.ts';
import { openExtensions } from './check-extension.ts';
import { openLocks, type Locks } from './check-lock.ts';
import { openReconciliations, type Reconciliations } from './check-reconcile.ts';
import { openCases } from './check-offboarding.ts';
import { checkUndone } from './check-rotation.ts';
import { openTargets } from './check-target.ts';
import { checkLeftOpen } from './check-window.ts';
import { openCounting, type WorkflowCounts } from './counts.ts';
import { standInFor, standInForItems } from './erased.ts';
import { outOfOrder } from './order.ts';
import { isReconcileRecordType, type Compared } from './reconciled.ts';
import { isChangeEventType, MalformedRecord, systemRecordBodies, toEvent, type ReadObject } from './record.ts';
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

export interface WorkflowFindings {
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly counts: WorkflowCounts;
  /** Changes that had an effect and whose plan was erased. */
  readonly erasedPlans: number;
  /** Whether the trust folder knows whose tickets this log's are. */
  readonly sidecarKnown: boolean;
  readonly lastAtMs: number | null;
  /** The last comparison of each connector that was looked at as a whole, or in part. */
  readonly compared: ReadonlyMap<string, Compared>;
}

export interface Workflow {
  /** Takes the next record, in the ledger's order. Never throws for what a ledger may hold. */
  record(record: LedgerRecord, readObject: ReadObject): Promise<void>;
  finish(): WorkflowFindings;
}

export function openWorkflow({ trust, origin, graceMs = GRACE_MS, asOfMs = null }: WorkflowOptions): Workflow {
  const logId = logIdOf(origin);
  const open = new Map<string, Audited>();
  const surroundings: Surroundings = {
    believed: { trust, logId, sidecarKeys: trust.sidecars.get(logId) ?? [] }, locks: openLocks(trust), cases: openCases(open), extensions: openExtensions(open),
    targets: openTargets(), graceMs,
  };
  const { believed, cases, extensions, locks, targets } = surroundings;
  const reconciliations = openReconciliations(believed);
  const counting = openCounting();
  const violations: Violation[] = [];
  let violationCount = 0;
  let lastAtMs: number | null = null;
  let erasedPlans = 0;

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
    const misplaced = outOfOrder(before?.state ?? null, event) ?? checkActorOf(event, before, logId) ?? (event.type === 'change.requested' && before === null ? cases.checkChild(event) : null);
    if (before === null && event.type !== 'change.requested') return report(misplaced!, event.seq, event.changeId);
    const checked = before === null ? NOTHING_CHECKED : checkEvent(surroundings, before, event, record);
    if (misplaced !== null) report(misplaced, event.seq, event.changeId);
    if (checked.fault !== null && checked.fault.code !== misplaced?.code) report(checked.fault, event.seq, event.changeId);
    if (checked.latenessMs !== null) counting.ended(checked.latenessMs);

    const state = evolve(before?.state ?? null, event);
    const requirement = requirementAfter(before?.requirement ?? state.requirement, event);
    const remembered = remember(before, event, state, requirement, misplaced === null ? checked.approval : null);
    if (remembered.planErased && tookEffect(before, remembered)) erasedPlans += 1;
    const after = withStandIn(remembered, event);
    counting.take(before, after, event);
    if (isClosed(after)) {
      counting.closed();
      open.delete(event.changeId);
    } else open.set(event.changeId, slimmed(after));
    cases.follow(after);
    extensions.follow(after);
    targets.follow(after);
  };

  return {
    async record(record, readObject) {
      lastAtMs = Math.max(lastAtMs ?? 0, parseTime(record.at));
      try {
        if (record.change === null) {
          const found = checkSystemRecord(record, { origin, sidecar: `sidecar:${logId}` }, locks, reconciliations);
          return found === null ? undefined : report(found, record.seq, null);
        }
        if (!isChangeEventType(record.type)) return report(fault('malformed-record', `${record.type} is not a type of record`), record.seq, record.change);
        follow(await toEvent(record, readObject), record);
      } catch (error) {
        if (!isMalformed(error)) throw error;
        report(fault('malformed-record', error.message), record.seq, record.change);
      }
    },
    finish() {
      const judgedAtMs = asOfMs ?? lastAtMs ?? 0;
      const late = new Set<string>();
      for (const audited of open.values()) {
        const leftOpen = checkLeftOpen(audited, judgedAtMs, graceMs);
        if (leftOpen !== null) report(leftOpen, audited.state.lastSeq, audited.state.changeId);
        const found = overdueOf(audited, judgedAtMs, graceMs) ?? checkUndone(audited, judgedAtMs, graceMs);
        if (found === null) continue;
        late.add(audited.state.changeId);
        report(found, audited.state.act!.seq, audited.state.changeId);
      }
      return {
        violations: [...violations].sort((a, b) => a.seq - b.seq), violationCount, erasedPlans, lastAtMs, counts: counting.finish(open.values(), late),
        sidecarKnown: believed.sidecarKeys.length > 0, compared: reconciliations.reconciled.compared,
      };
    },
  };
}

/** Whether with its newest record the change began to have effects: its first ticket, or, of an offboarding, that its items are worked through. */
function tookEffect(before: Audited | null, after: Audited): boolean {
  return (before?.ticket === null && after.ticket !== null) || (after.state.request.kind === 'offboard' && before?.state.name === 'scheduled' && isDispatched(after.state));
}

const isDispatched = ({ firstActAtMs }: ChangeState): boolean => firstActAtMs !== null;

/** Where the plan was erased, the change is followed by what else says which steps it has. */
function withStandIn(after: Audited, event: ChangeEvent): Audited {
  const { state } = after;
  if (!after.planErased || state.plan !== null) return after;
  if (state.request.kind === 'offboard') return { ...after, state: { ...state, plan: standInForItems(state) } };
  if (event.type !== 'step.authorised' || event.body.kind !== 'act') return after;
  const ticket = readPayload(event.body.ticket, ticketSchema);
  return ticket.kind === 'act' ? { ...after, state: { ...state, plan: standInFor(state, ticket) } } : after;
}

/** Access that is or may be there though its lease has ended or it was ordered back: not said to have had no effect, and not taken back. */
function overdueOf({ state, withoutEffect }: Audited, judgedAtMs: number, graceMs: number): Fault | null {
  const dueMs = endDueMs(state);
  if (dueMs === null || withoutEffect || state.ended !== null || judgedAtMs <= dueMs + graceMs) return null;
  return fault('lease-overdue', `the access was to end at ${formatTime(dueMs)}, and nobody has reported by ${formatTime(judgedAtMs)} that the access is gone`);
}

function checkSystemRecord(record: LedgerRecord, { origin, sidecar }: { readonly origin: string; readonly sidecar: string }, locks: Locks, reconciliations: Reconciliations): Fault | null {
  if (!Object.hasOwn(systemRecordBodies, record.type)) return fault('malformed-record', `${record.type} is not a type of record`);
  const malformed = fault('malformed-record', `the body is not that of a ${record.type} record`);
  const type = record.type as keyof typeof systemRecordBodies;
  const parsed = systemRecordBodies[type].safeParse(record.body);
  if (!parsed.success) return malformed;
  if (isReconcileRecordType(type)) return reconciliations.check(type, record);
  const bySidecar = (): Fault | null => (record.actor === sidecar ? null : fault('wrong-actor', `${type} by ${record.actor}, where the sidecar of this log is due`));
  switch (type) {
    case 'lock.set':
      return locks.set(systemRecordBodies['lock.set'].parse(record.body), record.actor);
    case 'lock.lifted':
      return locks.lift(systemRecordBodies['lock.lifted'].parse(record.body), record.actor);
    case 'ledger.opened':
      return record.body['origin'] === origin ? bySidecar() : fault('wrong-log', 'the record is of another log');
    case 'ledger.recovered':
    case 'ledger.restored':
    case 'outbox.refilled':
    case 'messages.refused':
    case 'facts.loaded':
    case 'bundle.activated':
      return bySidecar();
  }
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
