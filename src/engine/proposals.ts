/**
 * Policy bundles that people must let come into force: each waits as a record, is decided on by its digest, and comes into force naming who let it.
 *
 * Who must is what the configuration says and what the sidecar's own trust folder says, both of it. Taking access back is concerned by none of this.
 */
import { LedgerError } from '../../ledger/index.ts';
import { activationShortfall, isAskedAt, type ProposalStatement } from '../protocol/activation.ts';
import { meets, type ProofClass } from '../protocol/decision.ts';
import type { ActivationFloor } from '../protocol/trust.ts';
import { isSameBundle, type BundleProposal, type Governed, type InForce, type Named, type ProposalApproval } from '../evidence/proposals.ts';
import type { SystemRecordBody } from '../evidence/record.ts';
import { isSamePerson } from '../identity/canonical-person.ts';
import { filesOf } from '../pdp/bundle-files.ts';
import { absentPdp, type Pdp } from '../pdp/engine.ts';
import { isLive } from '../pdp/live.ts';
import { notForward } from '../pdp/revision.ts';
import { offeredBy, passkeysFor, type OwnProof } from './approving.ts';
import type { Answer, EngineContext } from './engine.ts';
import { newProposalId } from './ids.ts';
import { proposalApprovalOf, proposalProofDemanded, proposalStatementOf, type ProposalVerdict } from './proposal-approving.ts';

/** What is needed to know whether a bundle may come into force. */
export type Governing = Pick<EngineContext, 'store' | 'trust' | 'clock' | 'policyActivation'>;

/** `named`: who let it, for the record; null where nobody is asked, or it was let before. */
export type Permission = { readonly may: true; readonly named: Pick<SystemRecordBody<'bundle.activated'>, 'proposal' | 'approvals'> | null } | { readonly may: false };

type Offered = Pick<Pdp, 'bundle' | 'revision'>;

const namedOf = (bundle: string, revision: string | undefined): Named => ({ bundle, revision: revision ?? null });

/** Those that ask somebody now, by the time of the next record: a clock that is set back takes back none. */
export function activationFloors({ trust, policyActivation, store }: Omit<Governing, 'clock'>): ActivationFloor[] {
  return [trust.requirements.policyActivation, policyActivation].filter((floor) => floor !== undefined).filter((floor) => isAskedAt(floor, store.nextAtMs()));
}

/** Everyone whom any of them names. */
export function approversOf(floors: readonly Pick<ActivationFloor, 'approvers'>[]): string[] {
  return [...new Set(floors.flatMap(({ approvers }) => approvers))].sort();
}

/** Whether the bundle may come into force now. Pure but for the clock. */
export function permissionFor(context: Governing, { bundle, revision }: Offered): Permission {
  const floors = activationFloors(context);
  if (bundle === null || floors.length === 0) return { may: true, named: null };
  const { inForce, proposal } = context.store.governed();
  const next = namedOf(bundle, revision);
  if (inForce !== null && isSameBundle(inForce, next) && floors.every((floor) => wasLet(floor, inForce))) return { may: true, named: null };
  if (proposal === null || proposal.outcome !== 'waiting' || !isSameBundle(proposal, next)) return { may: false };
  const approvals = inTime(proposal, context.store.nextAtMs());
  if (floors.some((floor) => activationShortfall(floor, approvals) !== null)) return { may: false };
  return { may: true, named: { proposal: proposal.proposalId, approvals: approvals.map(({ approvalId }) => approvalId) } };
}

function wasLet(floor: ActivationFloor, { approvals, atMs }: InForce): boolean {
  return !isAskedAt(floor, atMs) || activationShortfall(floor, approvals) === null;
}

function inTime({ approvals }: BundleProposal, nowMs: number): ProposalApproval[] {
  return approvals.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
}

/** Of a bundle that may not come into force: it is on record that it waits, unless it does or was decided on. Why it is not in force, in a phrase; null where it may be. */
export function propose(context: Governing & Pick<EngineContext, 'random'>, next: Pick<Pdp, 'bundle' | 'revision' | 'evidence'>): string | null {
  const { store, clock, random } = context;
  if (next.bundle === null || permissionFor(context, next).may) return null;
  const { proposal } = store.governed();
  const offered = namedOf(next.bundle, next.revision);
  if (proposal !== null && proposal.outcome !== 'activated') {
    if (isSameBundle(proposal, offered)) return waitingOf(context, proposal);
    // What was proposed goes forward only as well: two servers that take turns are not to ask people for ever.
    const why = proposal.revision === null || next.revision === undefined ? null : notForward({ revision: proposal.revision, bundle: proposal.bundle }, { revision: next.revision, bundle: next.bundle });
    if (why !== null) return `${why}, which ${proposal.outcome === 'rejected' ? 'was rejected' : 'waits for approval'}`;
  }
  const { evidence, revision } = next;
  const body = { proposalId: newProposalId(clock.nowMs(), random), bundle: next.bundle, listing: evidence?.listing ?? null, signature: evidence?.signature ?? null, ...(revision === undefined ? {} : { revision }) };
  store.record('bundle.proposed', body, filesOf(evidence));
  return waitingOf(context, store.governed().proposal!);
}

/** A bundle that was there at the start and that nobody has let is not in force: it waits. */
export function holdUnapproved(context: Governing & Pick<EngineContext, 'random' | 'pdp'>): void {
  const { pdp } = context;
  if (permissionFor(context, pdp).may) return;
  if (!isLive(pdp)) throw new Error('who lets a bundle come into force is asked, and the policy of this engine stays what it is');
  const { bundle, revision, evidence } = pdp;
  pdp.replace(absentPdp('no policy bundle is in force: people must let it, and have not'));
  try {
    propose(context, { bundle, revision, evidence });
  } catch (error) {
    // A full disk keeps no start from taking back: it is proposed when it is offered again.
    if (!(error instanceof LedgerError) || error.code !== 'full') throw error;
  }
}

/** What keeps the proposal from coming into force, in a phrase. */
export function waitingOf(context: Omit<Governing, 'clock'>, proposal: BundleProposal): string {
  const what = proposal.revision === null ? proposal.bundle : `revision ${proposal.revision}`;
  if (proposal.outcome === 'rejected') return `${what} was rejected by ${proposal.rejected?.by ?? ''}`;
  const missing = activationFloors(context).flatMap((floor) => activationShortfall(floor, inTime(proposal, context.store.nextAtMs())) ?? []);
  return `${what} waits for approval as ${proposal.proposalId}${missing.length === 0 ? '' : `: ${[...new Set(missing)].join('; and ')}`}`;
}

/** As it is now. */
export function proposalStatus(context: Governing): ProposalStatus {
  const [governed, floors] = [context.store.governed(), activationFloors(context)];
  const { proposal } = governed;
  return { ...governed, floors, waiting: proposal?.outcome === 'waiting' && floors.length > 0 ? waitingOf(context, proposal) : null };
}

/** What waits or was decided on last, and what is in force. */
export interface ProposalStatus extends Governed {
  /** Who must; empty where nobody is asked. */
  readonly floors: readonly ActivationFloor[];
  /** What waits and for whom, in a phrase; null where nothing does. */
  readonly waiting: string | null;
}

type Deciding = Governing & Pick<EngineContext, 'log' | 'facts' | 'ticketSigner' | 'limits'>;

/** What `by` would sign to decide on what was proposed last, and the weakest proof of it that counts. Nothing is recorded. */
export function statementOnProposal(context: Deciding, by: string, verdict: ProposalVerdict): Answer<{ readonly statement: ProposalStatement; readonly proofClass: ProofClass; readonly passkeys: ReturnType<typeof passkeysFor> }> {
  const { proposal } = context.store.governed();
  if (proposal === null) return { ok: false, code: 'no-such-proposal', message: 'no policy bundle was proposed' };
  const refused = refusedTo(context, by, proposal);
  if (refused !== null) return refused;
  return { ok: true, value: { statement: proposalStatementOf(context, proposal, by, verdict), proofClass: verdict === 'reject' ? 'session' : proposalProofDemanded(activationFloors(context), by), passkeys: passkeysFor(context, by) } };
}

export interface ProposalDecided {
  readonly proposalId: string;
  readonly bundle: string;
  readonly verdict: ProposalVerdict;
  readonly reason: string | null;
  /** Her own signature of the statement, or her passkey's answer to it; neither: that she is authenticated is what proves it. */
  readonly own: OwnProof;
}

/**
 * The verdict is on record. `bundle` is what the person saw: of any other nothing is recorded. The same verdict again, no better proven, changes nothing.
 *
 * @throws LedgerError: nothing was recorded
 */
export function decideProposal(context: Deciding, by: string, { bundle, proposalId, reason, own, verdict }: ProposalDecided): Answer<BundleProposal> {
  const { store } = context;
  const { proposal } = store.governed();
  if (proposal === null || proposal.proposalId !== proposalId) return { ok: false, code: 'no-such-proposal', message: 'no policy bundle waits by this id' };
  if (proposal.bundle !== bundle) return { ok: false, code: 'held-changed', message: `${proposalId} is of bundle ${proposal.bundle}` };
  const offered = offeredBy(own);
  const isSaid = verdict === 'reject' ? proposal.rejected?.by === by : inTime(proposal, store.nextAtMs()).some(({ approver, proofClass }) => approver === by && meets(proofClass, offered));
  if (isSaid && mayDecide(context, by)) return { ok: true, value: proposal };
  const refused = refusedTo(context, by, proposal);
  if (refused !== null) return refused;
  const { directory } = context.facts();
  const said = verdict === 'reject' ? undefined : inTime(proposal, store.nextAtMs()).find(({ approver }) => approver !== by && isSamePerson(directory, approver, by));
  if (said !== undefined) return { ok: false, code: 'already-decided', message: `${by} is the same person as ${said.approver}, who has approved ${proposalId}` };
  const proven = proposalApprovalOf(context, proposal, { by, verdict, demanded: proposalProofDemanded(activationFloors(context), by) }, own);
  if (!proven.ok) return proven;
  if (verdict === 'approve') store.record('proposal.approved', { proposalId, approval: proven.value }, [], by);
  else store.record('proposal.rejected', { proposalId, rejection: proven.value, reason }, [], by);
  return { ok: true, value: store.governed().proposal! };
}

/** Why it is not, or no longer, hers to decide; null where it is. */
function refusedTo(context: Deciding, by: string, { outcome, proposalId }: BundleProposal): Answer<never> | null {
  if (!mayDecide(context, by)) return { ok: false, code: 'not-an-approver', message: `${by} is not one of those who let a policy bundle come into force` };
  if (outcome !== 'waiting') return { ok: false, code: 'already-decided', message: `${proposalId} ${outcome === 'rejected' ? 'was rejected' : 'has come into force'}` };
  return null;
}

/** An active person whom a floor names. */
function mayDecide(context: Omit<Governing, 'clock'> & Pick<EngineContext, 'facts'>, by: string): boolean {
  const person = context.facts().directory.people.find(({ id }) => id === by);
  return person?.active === true && activationFloors(context).some(({ approvers }) => approvers.includes(by));
}
