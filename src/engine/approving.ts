/** What an approver's word becomes: the statement of what she decides on, and the approval that proves it. */
import { canonicalBytes } from '../../ledger/index.ts';
import { approvalIdOf, openApproval } from '../protocol/approval-proof.ts';
import { isSamePerson } from '../identity/canonical-person.ts';
import { approversNamed, meets, PROOF_CLASSES, type ProofClass } from '../protocol/decision.ts';
import { signDsse } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { AssertionError, assertionOf } from '../protocol/passkey-assertion.ts';
import type { PasskeyAnswer } from '../protocol/passkeys.ts';
import { passkeyEnvelope } from '../protocol/passkey-proof.ts';
import { APPROVAL_TYPE, type Approval, type ApprovalStatement, type Dsse } from '../protocol/signed.ts';
import { sshEnvelope } from '../protocol/ssh-proof.ts';
import { readArmour } from '../protocol/ssh-signature.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Decided } from '../change/outcome.ts';
import { inForceAt, type ChangeState } from '../change/state.ts';
import type { Answer, EngineContext } from './engine.ts';

/** An approver's own signature of the statement. */
export interface SshProof {
  /** As in the statement that was signed. RFC 3339, UTC, with ms. */
  readonly expiresAt: string;
  /** SSHSIG in its armour, by `ssh-keygen -Y sign -n approval@countersign`. */
  readonly signature: string;
}

/** A passkey's answer, whose challenge is the SHA-256 of the statement. */
export interface PasskeyProof extends PasskeyAnswer {
  /** As in the statement that was signed. RFC 3339, UTC, with ms. */
  readonly expiresAt: string;
}

/** What an approver gives beside her session: at most one of them. */
export interface OwnProof {
  readonly ssh?: SshProof;
  readonly passkey?: PasskeyProof;
}

/** What is said is good, and a key counts, by the time of the record that is made of it: a clock that is set back takes back none. */
type Deciding = Pick<EngineContext, 'log' | 'limits' | 'trust' | 'ticketSigner'> & { readonly store: Pick<EngineContext['store'], 'nextAtMs'> };

export interface Verdict {
  readonly by: string;
  readonly verdict: ApprovalStatement['verdict'];
  /** Of the plan that was seen. */
  readonly planDigest: string;
}

/** What `by` stands for in deciding on the plan that was seen, from now on. */
export function statementOf(context: Deciding, changeId: string, state: ChangeState | undefined, { by, verdict, planDigest }: Verdict): ApprovalStatement {
  const { log, limits, store } = context;
  const closesAtMs = state?.plan?.window === undefined ? 0 : parseTime(state.plan.window.closesAt);
  return {
    v: 1, log: log.logId, changeId, revision: state?.revision ?? 1, planDigest, verdict, approver: by,
    expiresAt: formatTime(Math.max(store.nextAtMs() + limits.approvalSeconds * 1000, closesAtMs)),
  };
}

/** The weakest proof that counts for this change: what policy demands, and what the floor of our own trust folder does. */
export function proofDemanded({ trust }: Pick<Deciding, 'trust'>, { requirement, plan }: ChangeState): ProofClass {
  const floors = (plan?.steps ?? []).map((step) => floorOf(trust.requirements, step)?.proofClass ?? 'session');
  return [requirement.proofClass, ...floors].reduce((a, b) => (meets(a, b) ? a : b), PROOF_CLASSES[0]);
}

/** By which else of her ids this person is asked, as the directory has it now: with all of them she says yes or no once. */
export function otherIdsOf({ facts }: Pick<EngineContext, 'facts'>, { requirement }: Pick<ChangeState, 'requirement'>, by: string): { readonly otherIds?: readonly string[] } {
  const others = approversNamed(requirement.approvers).filter((person) => person !== by && isSamePerson(facts().directory, person, by)).slice(0, 16);
  return others.length === 0 ? {} : { otherIds: others };
}

/**
 * Why it is no word of hers beside those that are there, since she is one person with somebody of the change, as the directory has it now: with one who asked, or
 * one who has approved this plan. Whatever policy says; null where she is nobody else.
 */
export function whyNoOtherPerson({ facts, store }: Pick<EngineContext, 'facts' | 'store'>, state: ChangeState, { approver, verdict }: Pick<ApprovalStatement, 'approver' | 'verdict'>): Extract<Decided, { readonly ok: false }> | null {
  const { directory } = facts();
  const isHer = (other: string): boolean => other !== approver && isSamePerson(directory, other, approver);
  const asked = state.requester.find(isHer);
  if (asked !== undefined) return { ok: false, code: 'self-approval', message: `${approver} is the same person as ${asked}, who asked` };
  // By whatever proof: one that policy takes no more may count at an executor's floor all the same.
  const approved = verdict === 'approve' ? inForceAt(state, store.nextAtMs(), state.decision).map((one) => one.statement.approver).find(isHer) : undefined;
  return approved === undefined ? null : { ok: false, code: 'already-decided', message: `${approver} is the same person as ${approved}, who has approved this plan` };
}

/** The passkeys that `by` could approve with now. */
export function passkeysFor({ trust, store }: Pick<Deciding, 'trust' | 'store'>, by: string): { readonly credentialId: string; readonly rpId: string }[] {
  const nowMs = store.nextAtMs();
  return [...trust.passkeys.values()]
    .filter(({ person, validFromMs, validUntilMs }) => person === by && nowMs >= validFromMs && nowMs < validUntilMs)
    .map(({ credentialId, rpId }) => ({ credentialId, rpId }));
}

/** The approval, proven by the session of whoever asks, or by her own signature. Nothing is recorded. */
export function approvalOf(context: Deciding, changeId: string, state: ChangeState | undefined, verdict: Verdict, own: OwnProof): Answer<Approval> {
  const { ssh, passkey } = own;
  const statement = statementOf(context, changeId, state, verdict);
  // Saying no needs no more than being who one is.
  const demanded = state === undefined || verdict.verdict === 'reject' ? 'session' : proofDemanded(context, state);
  const offered = offeredBy(own);
  if (!meets(offered, demanded)) return { ok: false, code: 'proof-too-weak', message: `this change is approved by ${demanded}, not by ${offered}` };
  const signed = passkey !== undefined ? signedByPasskey(context, statement, passkey) : ssh !== undefined ? signedBySsh(context, statement, ssh) : null;
  // Nor does a signature that proves nothing keep her no from counting.
  if (signed !== null && (signed.ok || verdict.verdict === 'approve')) return signed;
  const envelope = signDsse(APPROVAL_TYPE, statement, context.ticketSigner);
  return { ok: true, value: { approvalId: approvalIdOf(envelope), proofClass: 'session', envelope } };
}

function signedBySsh(context: Deciding, longest: ApprovalStatement, { expiresAt, signature }: SshProof): Answer<Approval> {
  return signedAs('ssh', context, longest, expiresAt, (statement) => sshEnvelope(statement, readArmour(signature)));
}

function signedByPasskey(context: Deciding, longest: ApprovalStatement, proof: PasskeyProof): Answer<Approval> {
  return signedAs('passkey', context, longest, proof.expiresAt, (statement) => passkeyEnvelope(statement, proof.credentialId, assertionOf(proof)));
}

/** The class of what is offered. */
export const offeredBy = ({ ssh, passkey }: OwnProof): ProofClass => (passkey !== undefined ? 'passkey' : ssh !== undefined ? 'ssh' : 'session');

/** Checked as executors and verifiers check it, by the trust folder of this side. */
function signedAs(proofClass: ProofClass, { trust, store }: Deciding, longest: ApprovalStatement, expiresAt: string, seal: (statement: Uint8Array) => Dsse): Answer<Approval> {
  if (expiresAt > longest.expiresAt) return invalid(`good until ${expiresAt}, and ${longest.expiresAt} is the longest`);
  try {
    const envelope = seal(canonicalBytes({ ...longest, expiresAt }));
    const approval: Approval = { approvalId: approvalIdOf(envelope), proofClass, envelope };
    openApproval(approval, { sidecarKeys: [], signers: trust.signers, passkeys: trust.passkeys, atMs: store.nextAtMs() });
    return { ok: true, value: approval };
  } catch (error) {
    if (error instanceof SshFormatError || error instanceof AssertionError || error instanceof ProtocolError) return invalid(error.message);
    throw error;
  }
}

function invalid(message: string): Answer<never> {
  return { ok: false, code: 'proof-invalid', message };
}
