/** Sends each record to the check that is about it. What belongs to the order of records alone is not looked at here. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { Audited, CheckedApproval } from './audited.ts';
import { checkAccepted, checkJudged, type Acceptances } from './check-acceptance.ts';
import { checkActorOf } from './check-actor.ts';
import { checkAuthorisation } from './check-authorised.ts';
import { checkReviewed, checkUsed, type CheckedGlass } from './check-break-glass.ts';
import { checkApproval, checkDecision, checkEscalated } from './check-decision.ts';
import { checkActivated, checkArmed, checkEnding, checkReport } from './check-effect.ts';
import { checkDisarmed, type Extensions } from './check-extension.ts';
import type { GlassRotations } from './check-glass-rotated.ts';
import type { Locks } from './check-lock.ts';
import type { Cases } from './check-offboarding.ts';
import { checkReduced } from './check-reduced.ts';
import { checkRedecided } from './check-redecision.ts';
import { checkConfirmed, checkSealed } from './check-rotation.ts';
import type { Uses } from './check-standing.ts';
import type { Targets } from './check-target.ts';
import { checkClosed, checkExpired, checkOpened, checkRevised } from './check-window.ts';
import { AFTER_END } from './order.ts';
import { openReport, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

/** What a check may need beside the change itself. */
export interface Surroundings {
  readonly believed: Believed;
  readonly locks: Locks;
  readonly cases: Cases;
  readonly extensions: Extensions;
  readonly rotations: GlassRotations;
  readonly targets: Targets;
  readonly acceptances: Pick<Acceptances, 'isDue'>;
  readonly standings: Uses;
  /** Changes that are not closed, or in which something is owed for a broken glass. */
  readonly open: ReadonlyMap<string, Audited>;
  readonly graceMs: number;
}

export interface Checked {
  readonly fault: Fault | null;
  /** The approval in the record, where it holds. */
  readonly approval: CheckedApproval | null;
  /** The broken glass in the record, where it holds. */
  readonly glass: CheckedGlass | null;
  /** How long after its lease's end the access was gone; null for any other record, and where it cannot be told. */
  readonly latenessMs: number | null;
}

export const NOTHING_CHECKED: Checked = { fault: null, approval: null, glass: null, latenessMs: null };

/** @param audited the change before `event` @param judgedAtMs as of when approvals are judged */
export function checkEvent({ acceptances, standings, open, believed, locks, cases, extensions, rotations, targets, graceMs }: Surroundings, audited: Audited, event: ChangeEvent, record: LedgerRecord, judgedAtMs: number): Checked {
  const only = (found: Fault | null): Checked => ({ ...NOTHING_CHECKED, fault: found });
  switch (event.type) {
    case 'policy.decided': {
      const plan = event.body.phase === 'request' && audited.state.request.kind === 'offboard' ? event.attached?.plan : undefined;
      return only(checkDecision(audited, event, record, extensions) ?? (plan === undefined ? null : cases.checkItems(event.changeId, plan)));
    }
    case 'approval.judged':
      return only(checkJudged(audited, event, record));
    case 'approval.recorded':
    case 'approval.rejected': {
      const checked = event.body.approval.use === undefined ? checkApproval(believed, audited, event, judgedAtMs) : standings.checkUse(believed, audited, event, judgedAtMs);
      const unaccepted = checked.fault !== null || event.type === 'approval.rejected' ? null : checkAccepted(audited, event.body.acceptance, checked.approval.statement, acceptances.isDue());
      return unaccepted === null ? { ...NOTHING_CHECKED, ...checked } : only(unaccepted);
    }
    case 'breakglass.used':
      return { ...NOTHING_CHECKED, ...checkUsed(believed, audited, event, record, judgedAtMs, open.values()) };
    case 'breakglass.reviewed':
      return only(checkReviewed(believed, audited, event, record, judgedAtMs));
    case 'breakglass.rotated':
      return only(rotations.check(event));
    case 'approval.escalated':
      return only(checkEscalated(audited, event));
    case 'step.authorised':
      return only(checkAuthorisation({ believed, locks, cases, extensions, targets, standings }, audited, event, judgedAtMs));
    case 'state.read':
    case 'step.claimed':
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
    case 'step.ambiguous':
      return only(checkReport(believed, audited, event, record, graceMs));
    case 'lease.armed':
      return only(checkArmed(audited, event));
    case 'lease.activated':
      return only(checkActivated(audited, event));
    case 'lease.extended':
      return only(extensions.checkExtended(audited, event, graceMs));
    case 'lease.disarmed':
      return only(checkDisarmed(audited, event));
    case 'lease.redecided':
      return only(checkRedecided(audited, event, record));
    case 'lease.ended': {
      const { fault: found, latenessMs } = checkEnding(believed, audited, event, record, graceMs);
      return { ...NOTHING_CHECKED, fault: found, latenessMs };
    }
    case 'delivery.sealed':
      return only(checkSealed(audited, event));
    case 'change.revised':
      return only(checkReduced(audited, event, record.objects.length > 0) ?? checkRevised(audited, event, record.objects.length > 0));
    case 'change.expired':
      return only(checkExpired(audited, event));
    case 'window.opened':
      return only(checkOpened(audited, event));
    case 'window.closed':
      return only(checkClosed(audited, event));
    case 'consumer.confirmed':
      return only(checkConfirmed(audited, event));
    case 'item.started':
      return only(cases.checkStarted(audited, event));
    case 'item.settled':
      return only(cases.checkSettled(audited, event));
    case 'notification.delivered':
    case 'notification.failed':
      return only(audited.seqs.has(event.body.about) ? null : fault('notice-mismatch', `somebody was told about record ${event.body.about}, which is not one of this change before it`));
    case 'change.requested':
    case 'change.withdrawn':
    case 'change.adopted':
    case 'entitlement.verified':
    case 'delivery.acknowledged':
    case 'delivery.undeliverable':
    case 'finding.opened':
    case 'finding.closed':
      return NOTHING_CHECKED;
  }
}

/**
 * A closed change is forgotten; what may still come about it gives nothing, and is signed where it is a report.
 *
 * @param recordedBy the log whose record it is
 */
export function checkAfterEnd(believed: Believed, event: ChangeEvent, recordedBy: string): Fault | null {
  if (!AFTER_END.has(event.type)) return fault('record-after-end', `${event.type} of a change that was over, or that nobody requested`);
  switch (event.type) {
    case 'step.claimed':
    case 'step.ambiguous':
    case 'step.refused':
    case 'step.failed': {
      if (!('report' in event.body) || event.actor.startsWith('caller:')) return fault('record-after-end', `${event.type} of a caller whose change was over`);
      const opened = openReport(believed, event, event.body.report, null, null);
      return opened.ok ? null : opened.fault;
    }
    case 'notification.delivered':
    case 'notification.failed':
      if (event.body.about >= event.seq) return fault('notice-mismatch', `somebody was told about record ${event.body.about}, which had not been written`);
      return checkActorOf(event, null, recordedBy);
    default:
      return null;
  }
}
