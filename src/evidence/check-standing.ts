/**
 * Standing approvals: what people gave and took back as far as the verifier has got, and each use of one. Whoever has the sidecar's keys writes all of a
 * ledger but what people signed: so the template is opened by the auditor's own trust folder, and each plan, time and number is held to it here again.
 */
import { openUse } from '../change/standing-approval.ts';
import { leaseSecondsOf, systemOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { standingCounts, type ChangeState } from '../change/state.ts';
import { approvalIdOf } from '../protocol/approval-proof.ts';
import { approversNamed, type ProofClass } from '../protocol/decision.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { callerOf, entitlementsOf } from '../protocol/request.ts';
import type { Approval, ApprovalStatement, Dsse } from '../protocol/signed.ts';
import { impliedBy, openStanding, type StandingStatement } from '../protocol/standing-approval.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';
import type { Audited, CheckedApproval } from './audited.ts';
import { outOfTurn } from './check-decision.ts';
import type { SystemRecordBody } from './record.ts';
import { same, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Recorded = Extract<ChangeEvent, { type: 'approval.recorded' | 'approval.rejected' }>;
type Checked = { readonly fault: Fault } | { readonly fault: null; readonly approval: CheckedApproval };

/** What is said of uses. */
export interface Uses {
  /** @param judgedAtMs as of when it is to be in time, and signed with a key that is good */
  checkUse(believed: Believed, audited: Audited, event: Recorded, judgedAtMs: number): Checked;
  isRevoked(approvalId: string): boolean;
}

export interface Standings extends Uses {
  approved(body: SystemRecordBody<'standing.approved'>, record: { readonly actor: string; readonly at: string }): Fault | null;
  revoked(body: SystemRecordBody<'standing.revoked'>, actor: string): Fault | null;
  /** Uses of which not all is shown that they are judged by. */
  unshown(): number;
  /** The same for changes of an earlier log: how often its templates were used, and whether they were revoked, is in that log. */
  readonly ofAdopted: Uses;
}

interface Given {
  revoked: boolean;
  used: number;
}

/** @param isPartial records may be missing between those that are shown @param judgedMs as of when a record of that time is judged */
export function openStandings(trust: Trust, logId: string, isPartial: boolean, judgedMs: (atMs: number) => number): Standings {
  const given = new Map<string, Given>();
  const seen = new Set<string>();
  let unshown = 0;
  const { requirements: { clockSkewMs: skewMs } } = trust;

  const countUse = (approvalId: string, use: number): Fault | null => {
    const known = given.get(approvalId);
    if (known?.revoked === true) return fault('standing-not-in-force', `standing approval ${approvalId} was used after it was revoked`);
    if (isPartial) {
      unshown += 1;
      const key = `${approvalId} ${use}`;
      if (seen.has(key)) return fault('standing-overused', `standing approval ${approvalId} is used twice as use ${use}`);
      seen.add(key);
      return null;
    }
    if (known === undefined) return fault('standing-not-in-force', `standing approval ${approvalId} was used, and nobody has given it`);
    known.used += 1;
    return use === known.used ? null : fault('standing-overused', `use ${use} of standing approval ${approvalId}, where ${known.used} is due`);
  };
  const usesOf = (isCounted: boolean): Uses => ({
    isRevoked: (approvalId) => isCounted && given.get(approvalId)?.revoked === true,
    checkUse(believed, audited, event, judgedAtMs) {
      const { state } = audited;
      const { approval } = event.body;
      const failed = (code: Fault['code'], message: string): Checked => ({ fault: fault(code, message) });
      const overused = event.type === 'approval.recorded' && isCounted ? countUse(approval.approvalId, approval.use ?? 0) : null;
      if (event.type === 'approval.rejected') return failed('standing-mismatch', 'a standing approval rejects nothing');
      const template = opened(approval.envelope, approval.proofClass, believed.trust, judgedAtMs);
      if (!('approver' in template)) return { fault: template };
      const { approver, uses, notBefore, expiresAt, log } = template;
      if (approval.approvalId !== approvalIdOf(approval.envelope) || log !== believed.logId) return failed('standing-mismatch', 'the approval is by another standing approval, or one for another log');
      if (event.actor !== `sidecar:${believed.logId}`) return failed('wrong-actor', `a record by ${event.actor} of a use of a standing approval, where the sidecar of this log is due`);
      if (state.requester.includes(approver)) return failed('self-approval', `the standing approval of ${approver} approves what they asked for`);
      if (!approversNamed(audited.requirement.approvers).includes(approver)) return failed('not-an-approver', `${approver}, whose standing approval was used, was not asked`);
      if (!standingCounts(state, state.decision)) return failed('standing-not-allowed', 'a standing approval was used where policy lets none count');
      if (overused !== null) return { fault: overused };
      if ((approval.use ?? 0) > uses) return failed('standing-overused', `use ${approval.use ?? 0} of a standing approval of ${uses}`);
      if (parseTime(expiresAt) <= judgedAtMs || parseTime(notBefore) > judgedAtMs + skewMs) return failed('standing-not-in-force', `a standing approval that is good from ${notBefore} to ${expiresAt}`);
      if (state.approvalsByMs !== null && judgedAtMs > state.approvalsByMs) return failed('approval-expired', 'a standing approval was used after the time to decide was over');
      const early = outOfTurn(audited, approver, judgedAtMs);
      if (early === null && state.rejecters.has(approver)) return failed('standing-not-allowed', `the standing approval of ${approver} was used for a change of which they had rejected an earlier revision`);
      return early === null ? withinTemplate(believed, audited, template, approval, judgedAtMs, skewMs) : { fault: early };
    },
  });
  return {
    ...usesOf(true),
    ofAdopted: usesOf(false),
    unshown: () => unshown,
    approved({ approvalId, statement, reason, proofClass }, { actor, at }) {
      const atMs = judgedMs(parseTime(at));
      const template = opened(statement, proofClass ?? 'ssh', trust, atMs);
      if (!('approver' in template)) return template;
      if (approvalId !== approvalIdOf(statement)) return fault('standing-mismatch', 'the id of the standing approval is not that of its statement');
      if (template.log !== logId) return fault('standing-mismatch', `the standing approval is for log ${template.log}`);
      if (actor !== template.approver) return fault('wrong-actor', `a record by ${actor} of a standing approval by ${template.approver}`);
      if (!same(reason, template.reason)) return fault('standing-mismatch', 'the standing approval was signed for another reason');
      if (given.has(approvalId)) return fault('wrong-order', `standing approval ${approvalId} is given again`);
      if (parseTime(template.expiresAt) <= atMs) return fault('standing-not-in-force', `the standing approval was over at ${template.expiresAt}`);
      // What is not believed approves nothing.
      given.set(approvalId, { revoked: false, used: 0 });
      return null;
    },
    revoked({ approvalId }, actor) {
      const known = given.get(approvalId);
      if (!actor.startsWith('person:')) return fault('wrong-actor', `standing.revoked by ${actor}, where a person is due`);
      if (known === undefined && isPartial) given.set(approvalId, { revoked: true, used: 0 });
      if (known === undefined) return isPartial ? null : fault('wrong-order', `standing approval ${approvalId} is revoked, and was not given`);
      if (known.revoked) return fault('wrong-order', `standing approval ${approvalId} is revoked again`);
      known.revoked = true;
      return null;
    },
  };
}

function opened(envelope: Dsse, proofClass: ProofClass, { signers, passkeys }: Trust, atMs: number): StandingStatement | Fault {
  if (proofClass === 'session') return fault('standing-signature', 'a standing approval is proven by whoever gave it, not by a session');
  try {
    return openStanding(envelope, proofClass, { signers, passkeys, atMs });
  } catch (error) {
    if (error instanceof ProtocolError) return fault('standing-signature', `the standing approval: ${error.message}`);
    throw error;
  }
}

/** The plan is within the template; where it was erased, what was asked for stands in its place, as far as it says. */
function withinTemplate({ trust: { signers, passkeys } }: Believed, { state, planErased }: Audited, template: StandingStatement, approval: Approval, atMs: number, skewMs: number): Checked {
  const { approvalId, proofClass } = approval;
  const { changeId, revision, plan, planDigest } = state;
  const holds = (statement: ApprovalStatement): Checked => ({ fault: null, approval: { approvalId, proofClass, standing: true, statement } });
  const widened = (message: string): Checked => ({ fault: fault('standing-widened', message) });
  if (planDigest === null) return widened('a standing approval of no plan');
  if (planErased || plan === null) return isAskedWithin(template, state) ? holds(impliedBy(template, { changeId, revision, planDigest })) : widened('what was asked for is beyond the standing approval');
  try {
    return holds(openUse(approval, plan, planDigest, { signers, passkeys, atMs, skewMs }));
  } catch (error) {
    if (error instanceof ProtocolError) return widened(error.message);
    throw error;
  }
}

function isAskedWithin({ subject, kinds, connector, target, privileges, recipients, maxLeaseSeconds }: StandingStatement, { request }: ChangeState): boolean {
  if (callerOf(request) !== null || ('recipient' in request && request.recipient !== undefined && !recipients.includes(request.recipient))) return false;
  const system = systemOf(request);
  const isThere = system !== null && system.connector === connector && system.target === target;
  const leaseSeconds = leaseSecondsOf(request) ?? (request.kind === 'rotate' ? 0 : Infinity);
  return isThere && request.subject === subject && (kinds as readonly string[]).includes(request.kind)
    && entitlementsOf(request).every(({ privilege, scope }) => scope === undefined && privileges.includes(privilege)) && leaseSeconds <= (maxLeaseSeconds ?? 0);
}
