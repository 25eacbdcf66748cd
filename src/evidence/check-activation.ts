/**
 * Whether each policy bundle that came into force was let by the people whom the auditor's own trust folder names.
 *
 * What counts is what the verifier has opened itself: a statement about this proposal, bundle and revision, by a person named in the floor, recorded
 * before the bundle came into force and while the proposal waited. The bundle that was let in last may come back without them, where none was in
 * force in between; any other needs a proposal of its own.
 */
import { activationShortfall, isAskedAt, type ProposalStatement } from '../protocol/activation.ts';
import { openProposalApproval } from '../protocol/activation-proof.ts';
import { approvalIdOf } from '../protocol/approval-proof.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Approval } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { afterGovernedRecord, isPerson, isSameBundle, isWaiting, NOTHING_GOVERNED, proposalRecordBodies, type Governed, type ProposalRecordType } from './proposals.ts';
import type { SystemRecordBody } from './record.ts';
import type { Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

/** A record as it is checked here: its body is what its type says. */
interface Told {
  readonly seq: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly actor: string;
  readonly at: string;
}

export interface Activations {
  /** A person's verdict, or a proposal. */
  check(type: ProposalRecordType, record: Told): Fault | null;
  activated(body: SystemRecordBody<'bundle.activated'>, record: Told): Fault | null;
}

/**
 * @param believed of this log
 * @param latestMs the latest time of any record so far, the one at hand among them
 * @param judgedMs as of when a record of that time is judged: a key was good then, and a statement not over
 */
export function openActivations(believed: Believed, latestMs: () => number, judgedMs: (atMs: number) => number): Activations {
  const floor = believed.trust.requirements.policyActivation;
  let governed: Governed = NOTHING_GOVERNED;
  const take = (type: ProposalRecordType | 'bundle.activated', { seq, body, actor, at }: Told): void => {
    governed = afterGovernedRecord(governed, type, body, actor, { atMs: parseTime(at), seq });
  };
  const checkVerdict = (proposalId: string, approval: Approval, verdict: ProposalStatement['verdict'], { actor, at }: Told): Fault | null => {
    if (!isPerson(actor)) return fault('wrong-actor', `a verdict on a policy bundle by ${actor}: people let it come into force`);
    const { proposal } = governed;
    if (proposal === null || !isWaiting(proposal, proposalId)) return fault('wrong-order', `a verdict on ${proposalId}, which does not wait for one`);
    const atMs = judgedMs(parseTime(at));
    const opened = openStatement(believed, approval, atMs);
    if (!('statement' in opened)) return opened;
    const { statement } = opened;
    const said: Omit<ProposalStatement, 'v' | 'expiresAt'> = { log: believed.logId, proposalId, bundle: proposal.bundle, revision: proposal.revision, verdict, approver: actor };
    for (const [key, value] of Object.entries(said)) {
      if (statement[key as keyof typeof said] !== value) return fault('approval-mismatch', `the statement of ${actor} is about another ${key === 'approver' ? 'person' : key} than its record`);
    }
    if (parseTime(statement.expiresAt) <= atMs) return fault('approval-expired', `the statement of ${actor} was over at ${statement.expiresAt}`);
    return null;
  };
  const unapproved = (body: SystemRecordBody<'bundle.activated'>, at: string): string | null => {
    const { bundle, revision = null, proposal: named, approvals = [] } = body;
    if (bundle === null) return null;
    const { proposal, inForce } = governed;
    // Where it names people, it is held to them whoever asks.
    if (named !== undefined || approvals.length > 0) {
      if (named === undefined || proposal === null || !isWaiting(proposal, named)) return `it names ${named ?? 'no proposal'}, which did not wait for approvals then`;
      if (!isSameBundle(proposal, { bundle, revision })) return `it names ${named}, which is of another bundle or revision`;
      const strange = approvals.find((id) => !proposal.approvals.some(({ approvalId, expiresAtMs }) => approvalId === id && expiresAtMs > judgedMs(parseTime(at))));
      if (strange !== undefined) return `it names ${strange}, which is no approval of ${named} that was in force then`;
    }
    // Of what was not yet asked: no record up to here is of that time. One that is dated back comes after others that are.
    if (floor === undefined || !isAskedAt(floor, latestMs())) return null;
    if (named === undefined) return isSameBundle(inForce, { bundle, revision }) ? null : 'it names nobody who let it';
    return activationShortfall(floor, proposal!.approvals.filter(({ approvalId }) => approvals.includes(approvalId)));
  };
  return {
    check(type, record) {
      const found = type === 'proposal.approved' ? checkApproved(record) : type === 'proposal.rejected' ? checkRejected(record) : null;
      // What is not believed lets nothing in.
      if (found === null) take(type, record);
      return found;
    },
    activated(body, record) {
      const why = unapproved(body, record.at);
      if (why !== null) return fault('activation-unapproved', `bundle ${body.bundle ?? ''} came into force at ${formatTime(parseTime(record.at))}, and ${why}`);
      take('bundle.activated', record);
      return null;
    },
  };

  function checkApproved(record: Told): Fault | null {
    const { proposalId, approval } = proposalRecordBodies['proposal.approved'].parse(record.body);
    return checkVerdict(proposalId, approval, 'approve', record);
  }
  function checkRejected(record: Told): Fault | null {
    const { proposalId, rejection } = proposalRecordBodies['proposal.rejected'].parse(record.body);
    return checkVerdict(proposalId, rejection, 'reject', record);
  }
}

function openStatement({ sidecarKeys, trust: { signers, passkeys }, proven = null }: Believed, approval: Approval, atMs: number): { readonly statement: ProposalStatement } | Fault {
  if (approval.approvalId !== approvalIdOf(approval.envelope)) return fault('approval-mismatch', 'the id of the approval is not that of its statement');
  try {
    return { statement: openProposalApproval(approval, { sidecarKeys, signers, passkeys, atMs, proven }) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return fault('approval-signature', `the approval: ${error.message}`);
  }
}
