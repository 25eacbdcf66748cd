/**
 * WORKFLOW: every effect in a ledger was authorised, sufficiently approved by others than the requester, and taken back in time.
 *
 * One pass, a change at a time folded with the same `evolve` that the sidecar runs on, and every signature, requirement, floor and order
 * checked again under the verifier's own trust folder. Memory is that of the changes that are open.
 */
import { JsonError, logIdOf, type LedgerRecord } from '../../ledger/index.ts';
import { logOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { owesAnything } from '../change/glass-debts.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { endDueMs } from '../change/work.ts';
import type { Proven } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { formatTime, parseTime, personIdSchema } from '../protocol/values.ts';
import { carriedBy } from './adoption.ts';
import { isClosed, remember, slimmed, type Audited } from './audited.ts';
import { openAcceptances, type Acceptances } from './check-acceptance.ts';
import { checkActorOf } from './check-actor.ts';
import { openActivations, type Activations } from './check-activation.ts';
import { checkDebts } from './check-break-glass.ts';
import { openBundles, type Bundles } from './check-bundle.ts';
import { openAdoption, type Adoption, type AdoptionFindings } from './check-adoption.ts';
import { requirementAfter } from './check-decision.ts';
import { checkAfterEnd, checkEvent, NOTHING_CHECKED, type Surroundings } from './check-event.ts';
import { openExtensions } from './check-extension.ts';
import { openGlassRotations } from './check-glass-rotated.ts';
import { openLocks, type Locks } from './check-lock.ts';
import { openReconciliations, type Reconciliations } from './check-reconcile.ts';
import { openCases } from './check-offboarding.ts';
import { checkUndone } from './check-rotation.ts';
import { openStandings, type Standings } from './check-standing.ts';
import { openTargets } from './check-target.ts';
import { openObserving, type Observing } from './check-observed.ts';
import { checkLeftOpen } from './check-window.ts';
import { checkedOnce } from './checked-once.ts';
import { openCounting, type WorkflowCounts } from './counts.ts';
import { erasedStatesOf, withStandIn } from './erased.ts';
import { openJudgedTimes } from './judged-times.ts';
import { outOfOrder } from './order.ts';
import { DISCLOSING, type Revealed } from './prose.ts';
import { isProposalRecordType } from './proposals.ts';
import { isReconcileRecordType, type Compared } from './reconciled.ts';
import { disclosedIn, isChangeEventType, MalformedRecord, systemRecordBodies, toEvent, type ReadObject } from './record.ts';
import type { Believed } from './signatures.ts';
import { upcast } from './upcast.ts';
import { fault, type Fault, type Violation, type ViolationCode } from './violation.ts';

/** How long after a lease's end its access may still be there: what an executor needs to come back after a crash. */
export const GRACE_MS = 30_000;
/** Violations that are kept in full; the rest are counted. */
export const KEPT_MAX = 100;

export interface WorkflowOptions {
  readonly trust: Trust;
  /** Of the checkpoint under verification. */
  readonly origin: string;
  readonly graceMs?: number;
  /** Judge lateness as of then (epoch ms); default: as of the last record. */
  readonly asOfMs?: number | null;
  /** Signatures that other threads have checked. */
  readonly proven?: Proven | null;
  /** Told of every event of a change, what the change is after it, and which record here tells of it. */
  readonly onChange?: (after: Audited, event: ChangeEvent, seq: number) => void;
  /** Told of every violation, also of those that are not kept. */
  readonly onViolation?: (found: Violation) => void;
  /** Only some of the ledger's changes are given, each whole. */
  readonly isPartial?: boolean;
  /** The auditor takes what was under observe as it is. */
  readonly acceptObserved?: boolean;
  /** Told of every event of this log, of its change before it, and where the first record of that is, while its record is taken. */
  readonly followed?: (event: ChangeEvent, before: ChangeState | null, firstSeq: number | null) => void;
}

export interface WorkflowFindings {
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly counts: WorkflowCounts;
  /** Changes that had an effect and whose plan was erased. */
  readonly erasedPlans: number;
  /** States that executors read and that were erased. */
  readonly erasedStates: number;
  /** Records that commit to what somebody wrote, and whose disclosure was erased or not carried over. */
  readonly erasedDisclosures: number;
  /** Changes that had an effect, and whose plan was made from one of them. */
  readonly uncheckedPlans: number;
  /** Decisions that were not enforced, and whose scope cannot be looked up. */
  readonly uncheckedScopes: number;
  /** Decisions that let an exception through of which the auditor asks who granted it, and that cannot be looked up. */
  readonly uncheckedGrants: number;
  /** Answers of policy's by a bundle that nothing which is shown says was in force. */
  readonly unshownBundles: number;
  /** Uses of standing approvals of which it is not shown whether there were too many, or after a revocation. */
  readonly unshownUses: number;
  /** Reviews of broken glasses by security, in the place of people of whom it is said that none was left. */
  readonly standInReviews: number;
  readonly observedAccepted: boolean;
  /** Whether the trust folder knows whose tickets this log's are. */
  readonly sidecarKnown: boolean;
  readonly lastAtMs: number | null;
  /** The last comparison of each connector that was looked at as a whole, or in part. */
  readonly compared: ReadonlyMap<string, Compared>;
  /** Of a log that goes on for another; null for any other. */
  readonly adoption: AdoptionFindings | null;
}

export interface Workflow {
  /** Takes the next record, in the ledger's order: at once, where no object of it has to be read. Never throws for what a ledger may hold. */
  record(record: LedgerRecord, readObject: ReadObject): Promise<void> | void;
  finish(): Promise<WorkflowFindings>;
}

export function openWorkflow({ trust, origin, graceMs = GRACE_MS, asOfMs = null, proven: elsewhere = null, isPartial = false, acceptObserved = false, onChange, onViolation, followed }: WorkflowOptions): Workflow {
  const logId = logIdOf(origin);
  const proven = checkedOnce(elsewhere);
  const open = new Map<string, Audited>();
  const acceptances = openAcceptances();
  const standings = openStandings(trust, logId, isPartial, (atMs) => times.of(logId, atMs));
  const surroundings: Surroundings = {
    believed: { trust, logId, sidecarKeys: trust.sidecars.get(logId) ?? [], proven }, locks: openLocks(trust), cases: openCases(open), extensions: openExtensions(open), rotations: openGlassRotations(open),
    targets: openTargets(), acceptances, standings, open, graceMs,
  };
  const { believed, cases, extensions, locks, rotations, targets } = surroundings;
  const adoption = openAdoption(trust, origin, isPartial);
  /** What is signed about a change names the log that it was begun under, also after that was adopted. */
  const believedOf = (changeId: string): Believed => {
    const log = logOf(changeId);
    return log !== logId && adoption.has(log) ? { trust, logId: log, sidecarKeys: trust.sidecars.get(log) ?? [], proven } : believed;
  };
  const reconciliations = openReconciliations(believed, believedOf);
  const counting = openCounting();
  const times = openJudgedTimes(trust);
  const { exceptionGrants } = trust.requirements;
  const observing = openObserving(isPartial, exceptionGrants === undefined ? null : { logId, floor: exceptionGrants, signers: trust.signers, passkeys: trust.passkeys, latestMs: () => lastAtMs ?? 0, judgedMs: (atMs) => times.of(logId, atMs) });
  const activations = openActivations(believed, () => lastAtMs ?? 0, (atMs) => times.of(logId, atMs));
  const bundles = openBundles(isPartial, trust.requirements.policyActivation !== undefined);
  const violations: Violation[] = [];
  let violationCount = 0;
  let lastAtMs: number | null = null;
  let [erasedPlans, erasedStates, erasedDisclosures, uncheckedPlans, standInReviews] = [0, 0, 0, 0, 0];

  const reportAt = (found: Fault, seq: number, changeId: string | null): void => {
    violationCount += 1;
    const violation = { ...found, seq, changeId };
    onViolation?.(violation);
    if (violations.length < KEPT_MAX) violations.push(violation);
  };

  /**
   * @param recordedBy the log whose record it is
   * @param seq of the record here that tells of it
   */
  const follow = (event: ChangeEvent, record: LedgerRecord, recordedBy = logId, seq = event.seq): void => {
    const before = open.get(event.changeId) ?? null;
    if (recordedBy === logId) followed?.(event, before?.state ?? null, before?.seqs.values().next().value ?? null);
    const report = (found: Fault): void => reportAt(recordedBy === logId ? found : { ...found, message: `record ${event.seq} of log ${recordedBy}: ${found.message}` }, seq, event.changeId);
    if (event.attached?.prose === 'another') report(NOT_DISCLOSED);
    if (event.attached?.prose === 'gone') erasedDisclosures += 1;
    if (event.type === 'breakglass.reviewed' && event.body.standsIn !== undefined) standInReviews += 1;
    // It was over before it was adopted, for the sake of another that its records speak of.
    if (before === null && event.type === 'change.adopted') return;
    if (before === null && event.type !== 'change.requested' && record.changeSeq !== 0) {
      const late = checkAfterEnd(believedOf(event.changeId), event, recordedBy);
      if (late !== null) report(late);
      return;
    }
    if (before === null && event.type === 'change.requested' && record.changeSeq !== 0) {
      return report(fault('record-after-end', 'a change that was over is asked for again'));
    }
    // Whoever signs for an adopted log could otherwise begin anything in its name.
    if (event.type === 'change.requested' && logOf(event.changeId) !== recordedBy) report(fault('wrong-log', `a change of log ${logOf(event.changeId)} was requested, which is another`));
    const misplaced = outOfOrder(before?.state ?? null, event) ?? checkActorOf(event, before, recordedBy) ?? (event.type === 'change.requested' && before === null ? cases.checkChild(event) : null);
    if (before === null && event.type !== 'change.requested') return report(misplaced!);
    const theirs = believedOf(event.changeId);
    const checked = before === null ? NOTHING_CHECKED : checkEvent(theirs === believed ? surroundings : { ...surroundings, believed: theirs, acceptances: NO_SAY, standings: standings.ofAdopted }, before, event, record, times.of(recordedBy, event.atMs));
    const unfounded = before !== null && observing.isDue(event) ? observing.check(before.state, event, recordedBy === logId) : null;
    if (unfounded !== null) report(unfounded);
    const answeredBy = recordedBy === logId ? bundles.check(event) : null;
    if (answeredBy !== null) report(answeredBy);
    if (misplaced !== null) report(misplaced);
    if (checked.fault !== null && checked.fault.code !== misplaced?.code) report(checked.fault);
    if (checked.latenessMs !== null) counting.ended(checked.latenessMs);

    const state = evolve(before?.state ?? null, event);
    const requirement = requirementAfter(before?.requirement ?? state.requirement, event);
    const remembered = remember(before, event, state, requirement, misplaced === null ? checked.approval : null, misplaced === null ? checked.glass : null);
    erasedStates += erasedStatesOf(event);
    if ((remembered.planErased || remembered.planUnchecked) && tookEffect(before, remembered)) {
      if (remembered.planErased) erasedPlans += 1;
      else uncheckedPlans += 1;
    }
    // Where the plan was erased, the change is followed by what else says which steps it has.
    const after = remembered.planErased ? { ...remembered, state: withStandIn(remembered.state, event) } : remembered;
    counting.take(before, after, event);
    onChange?.(after, event, seq);
    // What is owed for a broken glass is looked for, and what is found overdue, after everything else of it is over.
    if (isClosed(after) && !owesAnything(state)) {
      counting.closed();
      open.delete(event.changeId);
    } else open.set(event.changeId, slimmed(after));
    cases.follow(after);
    extensions.follow(after);
    rotations.follow(after);
    targets.follow(after);
  };

  /** Follows what was adopted, once all of it is known: of several changes in the order in which it happened, as they speak of each other. */
  const followAdopted = async (readObject: ReadObject): Promise<void> => {
    const { carried, adopting, fault: miscounted } = adoption.settle();
    if (miscounted !== null) reportAt(miscounted, 0, null);
    for (const one of carried) {
      lastAtMs = Math.max(lastAtMs ?? 0, parseTime(one.record.at));
      times.take(one.log, parseTime(one.record.at));
      if (one.record.at > one.adopting.at) reportAt(fault('adoption-mismatch', `record ${one.record.seq} of log ${one.log} is of ${one.record.at}, after it was adopted`), one.adopting.seq, one.record.change);
      await guarded(one.adopting, async () => follow(await toEvent(one.record, carriedBy(one.adopting, readObject)), one.record, one.log, one.adopting.seq));
    }
    for (const record of adopting) {
      counting.adopted();
      await guarded(record, async () => follow(await toEvent(record, readObject), record));
    }
  };
  /** What `take` does, at once where it waits for nothing. */
  const guarded = (record: LedgerRecord, take: () => Promise<void> | void): Promise<void> | void => {
    const malformed = (error: unknown): void => {
      if (!isMalformed(error)) throw error;
      reportAt(fault('malformed-record', error.message), record.seq, record.change);
    };
    try {
      return take()?.catch(malformed);
    } catch (error) {
      return malformed(error);
    }
  };
  const takeSystemRecord = (record: LedgerRecord, disclosed: Revealed | null): void => {
    if (disclosed?.prose === 'another') reportAt(NOT_DISCLOSED, record.seq, null);
    if (disclosed?.prose === 'gone') erasedDisclosures += 1;
    const found = checkSystemRecord(record, { origin, sidecar: `sidecar:${logId}` }, { acceptances, bundles, locks, reconciliations, adoption, observing, activations, standings });
    if (found !== null) reportAt(found, record.seq, null);
  };
  const take = (record: LedgerRecord, readObject: ReadObject): Promise<void> | void => guarded(record, () => {
    if (record.change === null) {
      const disclosed = DISCLOSING.has(record.type) ? disclosedIn(upcast(record), record.v, readObject) : null;
      return disclosed instanceof Promise ? disclosed.then((one) => takeSystemRecord(record, one)) : takeSystemRecord(record, disclosed);
    }
    if (!isChangeEventType(record.type)) return reportAt(fault('malformed-record', `${record.type} is not a type of record`), record.seq, record.change);
    if (record.type === 'change.adopted') return takeAdopting(record, readObject);
    const told = (event: ChangeEvent): Promise<void> | void => (observing.isDue(event) ? observing.read(event, readObject).then(() => follow(event, record)) : follow(event, record));
    const event = toEvent(record, readObject);
    return event instanceof Promise ? event.then(told) : told(event);
  });
  const takeAdopting = async (record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    const found = (await adoption.take(record, readObject)) ?? checkActorOf(await toEvent(record, readObject), null, logId);
    if (found !== null) reportAt(found, record.seq, record.change);
  };
  let isAdopting = true;
  let readLast: ReadObject = async () => null;

  return {
    record(record, readObject) {
      readLast = readObject;
      const atMs = parseTime(record.at);
      lastAtMs = Math.max(lastAtMs ?? 0, atMs);
      times.take(logId, atMs);
      if (!isAdopting || record.type === 'change.adopted' || record.type === 'ledger.adopted') return take(record, readObject);
      isAdopting = false;
      return followAdopted(readObject).then(() => take(record, readObject));
    },
    async finish() {
      await followAdopted(readLast);
      const judgedAtMs = asOfMs ?? lastAtMs ?? 0;
      const late = new Set<string>();
      for (const audited of open.values()) {
        const leftOpen = checkLeftOpen(audited, judgedAtMs, graceMs);
        if (leftOpen !== null) reportAt(leftOpen, audited.state.lastSeq, audited.state.changeId);
        for (const undone of checkDebts(audited, judgedAtMs)) reportAt(undone, audited.state.adoptedFrom === null ? audited.state.breakGlass!.seq : audited.state.lastSeq, audited.state.changeId);
        const found = overdueOf(audited, judgedAtMs, graceMs) ?? checkUndone(audited, judgedAtMs, graceMs);
        if (found === null) continue;
        late.add(audited.state.changeId);
        reportAt(found, placeOf(audited), audited.state.changeId);
      }
      return {
        violations: [...violations].sort((a, b) => a.seq - b.seq), violationCount, erasedPlans, erasedStates, erasedDisclosures, uncheckedPlans, lastAtMs, counts: counting.finish(open.values(), late),
        uncheckedScopes: observing.unchecked(), uncheckedGrants: observing.uncheckedGrants(), unshownBundles: bundles.unshown(), unshownUses: standings.unshown(), standInReviews, observedAccepted: acceptObserved, sidecarKnown: believed.sidecarKeys.length > 0, compared: reconciliations.reconciled.compared, adoption: adoption.findings,
      };
    },
  };
}

const NOT_DISCLOSED = fault('disclosure-mismatch', 'what is beside the record as its disclosure is not what the record commits to, or there is none');

/** Whether with its newest record the change began to have effects: its first ticket, or, of an offboarding, that its items are worked through. */
function tookEffect(before: Audited | null, after: Audited): boolean {
  return (before?.ticket === null && after.ticket !== null) || (after.state.request.kind === 'offboard' && before?.state.name === 'scheduled' && isDispatched(after.state));
}

const isDispatched = ({ firstActAtMs }: ChangeState): boolean => firstActAtMs !== null;

/** Access that is or may be there though its lease has ended or it was ordered back: not said to have had no effect, and not taken back. */
function overdueOf({ state, withoutEffect }: Audited, judgedAtMs: number, graceMs: number): Fault | null {
  const dueMs = endDueMs(state);
  if (dueMs === null || withoutEffect || state.ended !== null || judgedAtMs <= dueMs + graceMs) return null;
  return fault('lease-overdue', `the access was to end at ${formatTime(dueMs)}, and nobody has reported by ${formatTime(judgedAtMs)} that the access is gone`);
}

/** The record that is to blame for what is not there at the end; of an adopted change the last of this log, since what authorised it is in another. */
function placeOf({ state }: Audited): number {
  return state.adoptedFrom === null ? state.act!.seq : state.lastSeq;
}

/** Which bundle was in force in an earlier log is not carried over with its changes. */
const NO_SAY = { isDue: () => false };

interface Rest {
  readonly acceptances: Acceptances;
  readonly bundles: Bundles;
  readonly locks: Locks;
  readonly reconciliations: Reconciliations;
  readonly adoption: Adoption;
  readonly observing: Observing;
  readonly activations: Activations;
  readonly standings: Standings;
}

function checkSystemRecord(stored: LedgerRecord, { origin, sidecar }: { readonly origin: string; readonly sidecar: string }, { acceptances, bundles, locks, reconciliations, adoption, observing, activations, standings }: Rest): Fault | null {
  if (!Object.hasOwn(systemRecordBodies, stored.type)) return fault('malformed-record', `${stored.type} is not a type of record`);
  const record = upcast(stored);
  const malformed = fault('malformed-record', `the body is not that of a ${record.type} record`);
  const type = record.type as keyof typeof systemRecordBodies;
  const parsed = systemRecordBodies[type].safeParse(record.body);
  if (!parsed.success) return malformed;
  if (isReconcileRecordType(type)) return reconciliations.check(type, record);
  if (isProposalRecordType(type) && type !== 'bundle.proposed') return activations.check(type, record);
  const bySidecar = (): Fault | null => (record.actor === sidecar ? null : fault('wrong-actor', `${type} by ${record.actor}, where the sidecar of this log is due`));
  switch (type) {
    case 'lock.set':
      adoption.lock(record.seq, systemRecordBodies['lock.set'].parse(record.body));
      return locks.set(systemRecordBodies['lock.set'].parse(record.body), record.actor);
    case 'lock.lifted':
      return locks.lift(systemRecordBodies['lock.lifted'].parse(record.body), record.actor);
    case 'standing.approved':
      return standings.approved(systemRecordBodies[type].parse(record.body), record);
    case 'standing.revoked':
      return standings.revoked(systemRecordBodies[type].parse(record.body), record.actor);
    case 'ledger.opened':
      return record.body['origin'] === origin ? bySidecar() : fault('wrong-log', 'the record is of another log');
    case 'ledger.adopted':
      return adoption.begin(record) ?? bySidecar();
    case 'erasure':
      return personIdSchema.safeParse(record.actor).success ? null : fault('wrong-actor', `an erasure by ${record.actor}: a person answers for what is forgotten`);
    case 'bundle.proposed':
      return bySidecar() ?? activations.check(type, record);
    case 'bundle.activated': {
      const body = systemRecordBodies[type].parse(record.body);
      acceptances.activated(body.listing);
      bundles.activated(body.bundle);
      return bySidecar() ?? activations.activated(body, record);
    }
    case 'facts.loaded':
      observing.loaded(systemRecordBodies[type].parse(record.body).facts, record);
      return bySidecar();
    case 'ledger.recovered':
    case 'ledger.restored':
    case 'ledger.heads':
    case 'outbox.refilled':
    case 'messages.refused':
    case 'redecision.completed':
    case 'redecision.failed':
    case 'witness.anchored':
    case 'key.rotated':
      return bySidecar();
  }
}

export function isMalformed(error: unknown): error is Error {
  // Each is thrown by a schema, a parser or an upcast for bytes that are not what their place says.
  return error instanceof MalformedRecord || error instanceof ProtocolError || error instanceof JsonError || error instanceof RangeError;
}

/** Counts of violations by code, in the order of first occurrence. */
export function countByCode(violations: readonly Violation[]): Map<ViolationCode, number> {
  const counted = new Map<ViolationCode, number>();
  for (const { code } of violations) counted.set(code, (counted.get(code) ?? 0) + 1);
  return counted;
}
