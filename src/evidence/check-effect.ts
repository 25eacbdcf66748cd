/** Checks of what executors reported, and of how access ended. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { systemOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { payloadDigest } from '../protocol/dsse.ts';
import { makesSecret, takesAway, type TargetState } from '../protocol/plan.ts';
import { callerOf } from '../protocol/request.ts';
import type { ActedReport, ReadReport, Report } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { isUndoneAfterCutover, recipientOf } from './check-rotation.ts';
import { checkDoneInWindow } from './check-window.ts';
import { openOrder, openReport, same, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;
type ReportEvent = Of<'step.claimed' | 'step.succeeded' | 'step.failed' | 'step.refused' | 'step.ambiguous' | 'state.read'>;

const OUTCOMES: Readonly<Record<Exclude<ReportEvent['type'], 'step.claimed' | 'state.read'>, readonly string[]>> = {
  'step.succeeded': ['done', 'already-absent'],
  'step.failed': ['failed'],
  'step.refused': ['refused', 'drifted', 'immutable'],
  'step.ambiguous': ['ambiguous'],
};

export function checkReport(believed: Believed, audited: Audited, event: ReportEvent, record: LedgerRecord, graceMs: number): Fault | null {
  // A caller that said nothing by its deadline: the order of records tells whether that was so.
  if (!('report' in event.body)) return null;
  const connector = systemOf(audited.state.request)?.connector ?? null;
  const opened = openReport(believed, event, event.body.report, connector, callerOf(audited.state.request)?.key ?? null);
  if (!opened.ok) return opened.fault;
  const report = opened.value;
  if (report.kind === 'revoked') return fault('report-mismatch', `a report of a revoke in a ${event.type} record`);
  if (!answersTicket(audited, report)) return fault('report-mismatch', 'the report answers no ticket that was issued to whoever reports');
  if (!says(event, report)) return fault('report-mismatch', `the report does not say what a ${event.type} record says`);
  if (report.kind === 'read') return event.type === 'state.read' ? (checkRead(believed, audited, report) ?? checkStates(audited, record, [[report.state, event.attached?.before]])) : null;
  if (report.kind === 'claimed') return checkClaim(believed, audited, report);
  return checkTime(believed, audited, report) ?? (event.type === 'step.succeeded' ? checkDone(audited, report, record, event, graceMs) : null);
}

/** Nobody acts before it is on record that they may; a caller's code not even before its claim is. */
function checkTime(believed: Believed, { state, dueSinceMs }: Audited, report: ActedReport): Fault | null {
  const sinceMs = callerOf(state.request) === null ? dueSinceMs : (state.claimedAtMs ?? dueSinceMs);
  const isEarly = sinceMs !== null && parseTime(report.at) < sinceMs - believed.trust.requirements.clockSkewMs;
  return isEarly ? fault('effect-before-evidence', `${report.executor} acted at ${report.at}, before that was on record`) : null;
}

/** What was read before the ticket was on record says nothing of what was there when it was asked for. */
function checkRead(believed: Believed, { readSinceMs }: Audited, report: ReadReport): Fault | null {
  const isEarly = readSinceMs !== null && parseTime(report.at) < readSinceMs - believed.trust.requirements.clockSkewMs;
  return isEarly ? fault('effect-before-evidence', `${report.executor} read the target at ${report.at}, before it was on record that it was to be read`) : null;
}

/** A ticket is taken up while it is good. */
function checkClaim(believed: Believed, { ticket }: Audited, { at, executor }: Report): Fault | null {
  const isLate = ticket !== null && parseTime(at) > parseTime(ticket.notAfter) + believed.trust.requirements.clockSkewMs;
  return isLate ? fault('outside-window', `${executor} took the step up at ${at}, and its ticket was good until ${ticket.notAfter}`) : null;
}

function checkDone(audited: Audited, report: ActedReport, record: LedgerRecord, event: Of<'step.succeeded'>, graceMs: number): Fault | null {
  const found = checkSeal(audited, report) ?? checkDoneInWindow(audited, report, graceMs);
  if (found !== null) return found;
  const step = audited.ticket?.step;
  if (report.outcome === 'already-absent' && step !== undefined && !takesAway(step.action)) return fault('report-mismatch', 'something that was to be made is reported as gone already');
  // What a caller's code did is read by an executor, where there is one, after its report.
  if (report.outcome === 'done' && report.after === null && callerOf(audited.state.request) === null) return fault('state-missing', 'an effect that was not read back');
  return checkStates(audited, record, [[report.before, event.attached?.before], [report.after, event.attached?.after]]);
}

function answersTicket({ state, ticket, audiences }: Audited, report: Exclude<Report, { kind: 'revoked' }>): boolean {
  if (report.kind !== 'read') return ticket !== null && report.stepId === ticket.stepId && report.issue <= ticket.issue && audiences.has(report.executor);
  const out = state.readAfter ?? state.read;
  const isOfThisRead = state.readAfter === null || report.issue > (state.read?.issue ?? 0);
  return out !== null && out.stepId === report.stepId && report.issue <= out.issue && isOfThisRead && out.audience === report.executor;
}

function says(event: ReportEvent, report: Exclude<Report, { kind: 'revoked' }>): boolean {
  if (event.type === 'step.claimed') return report.kind === 'claimed';
  if (event.type === 'state.read') return report.kind === 'read' && report.outcome === 'done';
  return report.kind !== 'claimed' && OUTCOMES[event.type].includes(report.outcome);
}

/** Each state that the report names is an object of the record, and about the account that the step is about. */
function checkStates(audited: Audited, record: LedgerRecord, named: readonly (readonly [string | null, TargetState | undefined])[], account = audited.ticket?.step.account ?? null): Fault | null {
  const system = systemOf(audited.state.request);
  for (const [digest, state] of named) {
    if (digest === null) continue;
    if (!record.objects.includes(digest)) return fault('state-missing', `the state ${digest} that the report names is not with the record`);
    if (state === undefined) continue; // erased
    const about = state.connector === system?.connector && state.target === system.target && (account === null || state.account === account);
    if (!about) return fault('state-mismatch', 'the state that was read is of another account');
  }
  return null;
}

/** A secret that was made is the one whose seal was recorded before, sealed to the recipient that was approved. */
function checkSeal({ state, ticket }: Audited, report: ActedReport): Fault | null {
  const recipient = ticket !== null && makesSecret(ticket.step.action) ? recipientOf(state) : null;
  if (report.seal === null) return recipient === null || report.outcome !== 'done' ? null : fault('seal-mismatch', 'a credential was made and its secret sealed to nobody');
  if (report.seal.recipient !== recipient) return fault('seal-mismatch', 'the secret was sealed to somebody else than was approved');
  return state.delivery !== null && same(state.delivery.seal, report.seal) ? null : fault('seal-mismatch', 'the seal was not recorded before the effect');
}

export interface Ending {
  readonly fault: Fault | null;
  /** How long after the lease's end the access was gone, in ms; negative for an early revoke, null where it cannot be told. */
  readonly latenessMs: number | null;
}

export function checkEnding(believed: Believed, audited: Audited, event: Of<'lease.ended'>, record: LedgerRecord, graceMs: number): Ending {
  const ended = (found: Fault): Ending => ({ fault: found, latenessMs: null });
  const { state, given } = audited;
  const opened = openReport(believed, event, event.body.report, given?.step.connector ?? null, null);
  if (!opened.ok) return ended(opened.fault);
  const report = opened.value;
  if (report.kind !== 'revoked' || (report.outcome !== 'done' && report.outcome !== 'already-absent')) return ended(fault('report-mismatch', 'the report does not say that the access is gone'));
  const order = openOrder(believed, event.body.order);
  if (!order.ok) return ended(order.fault);
  if (report.order !== payloadDigest(event.body.order) || report.leaseId !== order.value.leaseId || report.epoch !== order.value.epoch) {
    return ended(fault('report-mismatch', 'another order was carried out than the one in the record'));
  }
  if (given?.by.has(report.executor) !== true || order.value.audience !== report.executor) return ended(fault('report-mismatch', 'an executor that gave nothing took it back'));
  const { changeId, log, action, connector, target, account, clientToken } = order.value;
  const took = { changeId, log, action, connector, target, account, clientToken, privileges: order.value.privileges };
  const gave = {
    changeId: event.changeId, log: believed.logId, action: given.step.action, connector: given.step.connector, target: given.step.target, account: given.step.account,
    clientToken: given.step.clientToken, privileges: given.step.privileges,
  };
  if (!same(took, gave)) return ended(fault('order-mismatch', 'something else was taken back than had been given'));
  if (isUndoneAfterCutover(state, order.value)) return ended(fault('undone-after-cutover', 'the new credential was taken back after it had taken over, and on nobody’s order'));
  const states = checkStates(audited, record, [[report.after, event.attached?.after]], given.step.account);
  if (states !== null || state.lease === null) return { fault: states, latenessMs: null };
  const latenessMs = parseTime(report.at) - state.lease.endsAtMs;
  const late = latenessMs > graceMs ? fault('ended-late', `the access ended ${(latenessMs / 1000).toFixed(1)} s after its lease did`) : null;
  return { fault: late, latenessMs };
}

export function checkArmed({ state }: Audited, event: Of<'lease.armed'>): Fault | null {
  const lease = state.lease ?? state.extension;
  const fits = lease !== null && event.body.order === lease.orderDigest && event.body.leaseId === lease.leaseId && event.body.epoch === lease.epoch;
  return fits ? null : fault('lease-mismatch', 'another order was armed than the one that was authorised');
}

export function checkActivated({ state }: Audited, event: Of<'lease.activated'>): Fault | null {
  const { lease } = state;
  const fits = lease !== null && parseTime(event.body.endsAt) === lease.endsAtMs && event.body.leaseId === lease.leaseId && event.body.epoch === lease.epoch;
  return fits ? null : fault('lease-mismatch', 'the lease that became active is not the one that was authorised');
}
