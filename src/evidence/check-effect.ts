/** Checks of what executors reported, and of how access ended. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { payloadDigest } from '../protocol/dsse.ts';
import type { TargetState } from '../protocol/plan.ts';
import type { ActedReport, Report } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
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

export function checkReport(believed: Believed, audited: Audited, event: ReportEvent, record: LedgerRecord): Fault | null {
  const connector = audited.state.request.entitlements[0]?.connector ?? null;
  const opened = openReport(believed, event, event.body.report, connector);
  if (!opened.ok) return opened.fault;
  const report = opened.value;
  if (report.kind === 'revoked') return fault('report-mismatch', `a report of a revoke in a ${event.type} record`);
  if (!answersTicket(audited, report)) return fault('report-mismatch', 'the report answers no ticket that was issued to this executor');
  if (!says(event, report)) return fault('report-mismatch', `the report does not say what a ${event.type} record says`);
  if (report.kind === 'read') return event.type === 'state.read' ? checkStates(audited, record, [[report.state, event.attached?.before]]) : null;
  if (report.kind === 'claimed') return null;
  const early = audited.firstActAtMs !== null && parseTime(report.at) < audited.firstActAtMs - believed.trust.requirements.clockSkewMs;
  if (early) return fault('effect-before-evidence', `the executor acted at ${report.at}, before the step was authorised`);
  const attached = event.type === 'step.succeeded' || event.type === 'step.failed' ? event.attached : undefined;
  if (event.type === 'step.succeeded') {
    const sealed = checkSeal(audited, report);
    if (sealed !== null) return sealed;
    if (report.outcome === 'done' && report.after === null) return fault('state-missing', 'an effect that was not read back');
    return checkStates(audited, record, [[report.before, attached?.before], [report.after, attached?.after]]);
  }
  return null;
}

function answersTicket({ state, ticket, audiences }: Audited, report: Exclude<Report, { kind: 'revoked' }>): boolean {
  if (report.kind === 'read') return state.read?.stepId === report.stepId && report.issue <= state.read.issue && state.read.audience === report.executor;
  return ticket !== null && report.stepId === ticket.stepId && report.issue <= ticket.issue && audiences.has(report.executor);
}

function says(event: ReportEvent, report: Exclude<Report, { kind: 'revoked' }>): boolean {
  if (event.type === 'step.claimed') return report.kind === 'claimed';
  if (event.type === 'state.read') return report.kind === 'read' && report.outcome === 'done';
  return report.kind !== 'claimed' && OUTCOMES[event.type].includes(report.outcome);
}

/** Each state that the report names is an object of the record, and about the account that the step is about. */
function checkStates(audited: Audited, record: LedgerRecord, named: readonly (readonly [string | null, TargetState | undefined])[]): Fault | null {
  const account = audited.ticket?.step.account ?? null;
  for (const [digest, state] of named) {
    if (digest === null) continue;
    if (!record.objects.includes(digest)) return fault('state-missing', `the state ${digest} that the report names is not with the record`);
    if (state === undefined) continue; // erased
    const first = audited.state.request.entitlements[0];
    const about = state.connector === first?.connector && state.target === first.target && (account === null || state.account === account);
    if (!about) return fault('state-mismatch', 'the state that was read is of another account');
  }
  return null;
}

/** A secret that was made is the one whose seal was recorded before, sealed to the recipient that was approved. */
function checkSeal({ state }: Audited, report: ActedReport): Fault | null {
  const recipient = state.request.kind === 'provision' ? state.request.recipient : null;
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
  const { state, ticket, audiences } = audited;
  const opened = openReport(believed, event, event.body.report, ticket?.step.connector ?? null);
  if (!opened.ok) return ended(opened.fault);
  const report = opened.value;
  if (report.kind !== 'revoked' || (report.outcome !== 'done' && report.outcome !== 'already-absent')) return ended(fault('report-mismatch', 'the report does not say that the access is gone'));
  const order = openOrder(believed, event.body.order);
  if (!order.ok) return ended(order.fault);
  if (report.order !== payloadDigest(event.body.order) || report.leaseId !== order.value.leaseId || report.epoch !== order.value.epoch) {
    return ended(fault('report-mismatch', 'another order was carried out than the one in the record'));
  }
  if (!audiences.has(report.executor) || order.value.audience !== report.executor) return ended(fault('report-mismatch', 'an executor that gave nothing took it back'));
  const { changeId, log, action, connector, target, account, clientToken } = order.value;
  const took = { changeId, log, action, connector, target, account, clientToken, privileges: order.value.privileges };
  const gave = ticket === null ? null : {
    changeId: event.changeId, log: believed.logId, action: ticket.step.action, connector: ticket.step.connector, target: ticket.step.target, account: ticket.step.account,
    clientToken: ticket.step.clientToken, privileges: ticket.step.privileges,
  };
  if (gave === null || !same(took, gave)) return ended(fault('order-mismatch', 'something else was taken back than had been given'));
  const states = checkStates(audited, record, [[report.after, event.attached?.after]]);
  if (states !== null || state.lease === null) return { fault: states, latenessMs: null };
  const latenessMs = parseTime(report.at) - state.lease.endsAtMs;
  const late = latenessMs > graceMs ? fault('ended-late', `the access ended ${(latenessMs / 1000).toFixed(1)} s after its lease did`) : null;
  return { fault: late, latenessMs };
}

export function checkArmed({ state }: Audited, event: Of<'lease.armed'>): Fault | null {
  const { lease } = state;
  const fits = lease !== null && event.body.order === lease.orderDigest && event.body.leaseId === lease.leaseId && event.body.epoch === lease.epoch;
  return fits ? null : fault('lease-mismatch', 'another order was armed than the one that was authorised');
}

export function checkActivated({ state }: Audited, event: Of<'lease.activated'>): Fault | null {
  const { lease } = state;
  const fits = lease !== null && parseTime(event.body.endsAt) === lease.endsAtMs && event.body.leaseId === lease.leaseId && event.body.epoch === lease.epoch;
  return fits ? null : fault('lease-mismatch', 'the lease that became active is not the one that was authorised');
}
