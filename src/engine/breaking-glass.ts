/** What a person's signature to break the glass becomes: checked as executors and verifiers check it, by the trust folder of this side. */
import { canonicalBytes } from '../../ledger/index.ts';
import { isBreakable, BREAK_GLASS_SECONDS_MAX, BREAK_GLASS_TYPE, breakGlassFor, breakGlassShortfall, openBreakGlass, stricterOf, type BreakGlassLimits, type BreakGlassStatement } from '../protocol/break-glass.ts';
import { isGlassBroken, placesOf, reviewersOf, type BrokenGlass, type Debt, type Use } from '../change/break-glass.ts';
import { debtsOf } from '../change/glass-debts.ts';
import { approvedBy, type ChangeState } from '../change/state.ts';
import { demandOf, enforcedUnder, isSatisfied, strictest, type Decision, type Requirement } from '../protocol/decision.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Dsse } from '../protocol/signed.ts';
import { sshEnvelope } from '../protocol/ssh-proof.ts';
import { readArmour } from '../protocol/ssh-signature.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { formatTime } from '../protocol/values.ts';
import type { SshProof } from './approving.ts';
import type { Answer, EngineContext } from './engine.ts';
import { glassReviewers, isOneOf, isThere } from './glass-reviewers.ts';

export type Breaking = Pick<EngineContext, 'log' | 'trust' | 'store' | 'facts'>;

/** How long a statement that is asked for is good. */
export const GOOD_MS = 900_000;

/** What is to be signed, but for the reason, which whoever signs commits to. */
export type UnsaidStatement = Omit<BreakGlassStatement, 'reason'>;

export function unsaidStatement({ log, store }: Breaking, state: ChangeState, planDigest: string, by: string): UnsaidStatement {
  return { v: 1, log: log.logId, changeId: state.changeId, revision: state.revision, planDigest, usedBy: by, expiresAt: formatTime(store.nextAtMs() + GOOD_MS) };
}

export interface Breach {
  readonly by: string;
  /** Of the plan that was seen. */
  readonly planDigest: string;
  readonly reason: string;
  readonly salt: string;
  readonly ssh: SshProof;
}

/** The command that breaks the glass, or why what was signed does not prove it. Nothing is recorded. */
export function useOf(context: Breaking, state: ChangeState, { by, planDigest, reason, salt, ssh }: Breach): Answer<Use> {
  const { store, trust, log } = context;
  // By the time of the record: a clock that is set back takes back none.
  const nowMs = store.nextAtMs();
  // Floors name ids and keys; that she is there, and who is the same person under another id, is for the directory to say.
  if (!isThere(context, by)) return { ok: false, code: 'break-glass-refused', message: `${by} is disabled in the directory, or not in it` };
  const reviewers = reviewersOf(state, by);
  if (reviewers.length > 0 && reviewers.every((person) => isOneOf(context, person, [by, ...state.requester]))) return { ok: false, code: 'break-glass-refused', message: 'there is nobody else to review it: all who were asked are the same person' };
  const { people, named } = glassReviewers(context, state, { usedBy: by, at: placesOf(state) });
  if (named !== undefined && people.length === 0) return { ok: false, code: 'break-glass-refused', message: `there is nobody else to review it: the floor counts a review by ${named.join(', ') || 'nobody'}, and none of them is asked or in security` };
  const latest = formatTime(nowMs + BREAK_GLASS_SECONDS_MAX * 1000);
  if (ssh.expiresAt > latest) return invalid(`good until ${ssh.expiresAt}, and ${latest} is the longest`);
  const statement: BreakGlassStatement = {
    v: 1, log: log.logId, changeId: state.changeId, revision: state.revision, planDigest, reason: commitmentTo({ name: 'reason', salt, value: reason }), usedBy: by, expiresAt: ssh.expiresAt,
  };
  const envelope = provenBy(statement, ssh.signature, { signers: trust.signers, atMs: nowMs });
  if (!envelope.ok) return envelope;
  return { ok: true, value: { type: 'breakGlass', statement: envelope.value, reason, salt, limits: limitsOf(context, state), owed: owedOf(context, state.changeId, by) } };
}

function isStillProven(envelope: Dsse, proofs: Parameters<typeof openBreakGlass>[1]): boolean {
  try {
    openBreakGlass(envelope, proofs);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

function provenBy(statement: BreakGlassStatement, armour: string, proofs: Parameters<typeof openBreakGlass>[1]): Answer<Dsse> {
  try {
    const envelope = sshEnvelope(canonicalBytes(statement), readArmour(armour), BREAK_GLASS_TYPE);
    openBreakGlass(envelope, proofs);
    return { ok: true, value: envelope };
  } catch (error) {
    if (error instanceof SshFormatError || error instanceof ProtocolError) return invalid(error.message);
    throw error;
  }
}

/** The strictest of what our own floor allows at the steps of the plan; null where one of them may be nobody's to break. */
function limitsOf({ trust: { requirements } }: Breaking, state: ChangeState): BreakGlassLimits | null {
  if (state.plan === null || !isBreakable(state.plan)) return null;
  return placesOf(state).map((place) => breakGlassFor(requirements, place)).reduce((a, b) => (a === null || b === null ? null : stricterOf(a, b)));
}

/** What `person` owes in another change, and is due first. What owes anything is never at rest. */
function owedOf({ store, facts }: Pick<Breaking, 'store' | 'facts'>, changeId: string, person: string): Use['owed'] {
  let first: Use['owed'] = null;
  for (const other of store.open()) {
    const debts = other.changeId === changeId ? [] : debtsOf(other);
    if (debts.length === 0 || !isOneOf({ facts }, other.breakGlass!.statement.usedBy, [person])) continue;
    for (const debt of debts) if (first === null || debt.byMs < first.byMs) first = { changeId: other.changeId, ...debt };
  }
  return first;
}

/** Why a broken glass does not stand for the approvals any more, by what the directory and our own floor say now; null where it does, or nothing rests on it. */
export function whyGlassIsVoid(context: Pick<Breaking, 'facts' | 'store' | 'trust'>, state: ChangeState, decision: Decision, floor: Requirement | null): string | null {
  // By the time of the record, as executors and verifiers judge it: a clock that is set back takes back no key that was good.
  const nowMs = context.store.nextAtMs();
  const decided = strictest(state.requirement, demandOf(decision));
  const { approvers, proofClass } = enforcedUnder(decision, floor === null ? decided : strictest(decided, floor));
  if (approvers === null || isSatisfied(approvers, approvedBy(state, nowMs, proofClass)) || !isGlassBroken(state, decision, nowMs)) return null;
  const { statement } = state.breakGlass!;
  if (!isThere(context, statement.usedBy)) return `${statement.usedBy}, who broke the glass, is disabled in the directory, or not in it`;
  const { requirements, signers } = context.trust;
  if (!isStillProven(state.breakGlass!.envelope, { signers, atMs: nowMs })) return `the key of ${statement.usedBy}, who broke the glass, is not good any more`;
  const leaseSeconds = state.plan?.lease?.leaseSeconds ?? null;
  // As executors ask it.
  const shortfalls = (state.plan?.steps ?? []).map((step) => breakGlassShortfall(breakGlassFor(requirements, step), floorOf(requirements, step), statement, { action: step.action, asOfMs: nowMs, leaseSeconds, skewMs: requirements.clockSkewMs }));
  return shortfalls.find((shortfall) => shortfall !== null)?.message ?? null;
}

/** The sentence of the finding. */
export function sayOverdue({ statement: { usedBy }, lent }: BrokenGlass, { what, byMs }: Debt): string {
  const due = what === 'review' ? 'nobody has reviewed it' : `${lent?.account ?? 'the login'} at ${lent?.connector ?? 'its system'} has no new credential, nor has a reviewer said that it needs none,`;
  return `${usedBy} broke the glass, and ${due} by ${formatTime(byMs)}: until then ${usedBy} breaks no other`;
}

export function invalid(message: string): Answer<never> {
  return { ok: false, code: 'proof-invalid', message };
}
