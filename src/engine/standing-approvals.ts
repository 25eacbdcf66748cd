/** Standing approvals: what people gave and took back, and that each plan which is within one is approved by it, so often as it says. */
import { canonicalBytes } from '../../ledger/index.ts';
import { decide, type Command } from '../change/decide.ts';
import { hasRejected } from '../change/rejecting.ts';
import { beyondTemplate } from '../change/standing-approval.ts';
import { mayStillBeRejected, standingCounts, type ChangeState } from '../change/state.ts';
import { mayLock } from '../identity/authority.ts';
import { isSamePerson } from '../identity/canonical-person.ts';
import { approvalIdOf } from '../protocol/approval-proof.ts';
import { approversNamed, meets } from '../protocol/decision.ts';
import { disclose } from '../protocol/disclosure.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { OwnClass } from '../protocol/own-proof.ts';
import { AssertionError } from '../protocol/passkey-assertion.ts';
import type { Approval, Dsse } from '../protocol/signed.ts';
import { openStanding, STANDING_SECONDS_MAX, STANDING_TYPE, type StandingStatement } from '../protocol/standing-approval.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { knowsProof } from '../protocol/worker-knows.ts';
import { acceptApproval } from './accepting.ts';
import { approvalOf, otherIdsOf } from './approving.ts';
import type { Answer, EngineContext } from './engine.ts';
import { sealed, type GivenProof } from './own-proof.ts';

export interface StandingApproval {
  readonly approvalId: string;
  readonly envelope: Dsse;
  readonly proofClass: OwnClass;
  readonly statement: StandingStatement;
  readonly atMs: number;
  /** How often it has approved a plan. */
  readonly used: number;
  readonly revoked: { readonly by: string; readonly reason: string | null; readonly atMs: number } | null;
}

/** So many may be in force at a time: each change that waits is held to all of them. Of one person so many, that nobody takes all the room from the others. */
const IN_FORCE_MAX = 1_000;
const OF_ONE_PERSON_MAX = 100;

export interface Giving {
  readonly statement: StandingStatement;
  readonly reason: string;
  /** With which the statement commits to the reason. */
  readonly salt: string;
  /** By `ssh-keygen -Y sign -n standing-approval@countersign`, or a passkey. */
  readonly proof: GivenProof;
}

/** Whether it would approve a plan within it. */
export const isInForce = ({ statement, used, revoked }: StandingApproval, nowMs: number): boolean => revoked === null && used < statement.uses && nowMs < parseTime(statement.expiresAt);

/** The template is on record, checked as executors and verifiers check it, by the trust folder of this side; or why it is none. The same again changes nothing. @throws LedgerError nothing was recorded */
export function giveStanding(context: EngineContext, by: string, { statement, reason, salt, proof }: Giving): Answer<StandingApproval> {
  const { store, log } = context;
  const nowMs = store.nextAtMs();
  const refused = (message: string): Answer<never> => ({ ok: false, code: 'standing-refused', message });
  if (statement.approver !== by) return refused(`${by} gives no standing approval of ${statement.approver}`);
  if (statement.log !== log.logId) return refused(`it is for log ${statement.log}, and this is ${log.logId}`);
  if (!context.facts().directory.people.some(({ id, active }) => id === by && active)) return refused(`${by} is disabled in the directory, or not in it`);
  const latestMs = nowMs + STANDING_SECONDS_MAX * 1000;
  if (parseTime(statement.expiresAt) <= nowMs || parseTime(statement.expiresAt) > latestMs) return refused(`it is good until ${statement.expiresAt}, and that is to be between now and ${formatTime(latestMs)}`);
  const proven = provenBy(context, statement, proof, nowMs);
  if (!proven.ok) return proven;
  const { envelope, proofClass } = proven.value;
  const { commitment, object } = disclose('reason', reason, salt);
  if (reason.trim() === '' || commitment.commitment !== statement.reason.commitment) return refused('why is to be said, and to be what was signed');
  const approvalId = approvalIdOf(envelope);
  const known = store.standing(approvalId);
  if (known?.revoked != null) return refused(`it was revoked by ${known.revoked.by}: sign another`);
  if (known !== undefined) return { ok: true, value: known };
  const inForce = store.standings().filter((one) => isInForce(one, nowMs));
  const { directory } = context.facts();
  if (inForce.filter((one) => isSamePerson(directory, one.statement.approver, by)).length >= OF_ONE_PERSON_MAX) return refused(`${OF_ONE_PERSON_MAX} standing approvals of ${by} are in force: revoke some`);
  if (inForce.length >= IN_FORCE_MAX) return refused(`there are ${IN_FORCE_MAX} standing approvals in force: revoke some`);
  store.record('standing.approved', { approvalId, statement: envelope, reason: commitment, ...(proofClass === 'ssh' ? {} : { proofClass }) }, [object], by);
  return { ok: true, value: store.standing(approvalId)! };
}

function provenBy({ trust: { signers, passkeys } }: EngineContext, statement: StandingStatement, proof: Giving['proof'], atMs: number): Answer<ReturnType<typeof sealed>> {
  try {
    const one = sealed(canonicalBytes(statement), proof, STANDING_TYPE);
    openStanding(one.envelope, one.proofClass, { signers, passkeys, atMs });
    return { ok: true, value: one };
  } catch (error) {
    if (error instanceof SshFormatError || error instanceof AssertionError || error instanceof ProtocolError) return { ok: false, code: 'proof-invalid', message: error.message };
    throw error;
  }
}

/** It approves nothing from here on, and what it has approved and nobody has begun is given up. By who gave it, or who may lock its identity. @throws LedgerError nothing was recorded */
export function revokeStanding(context: EngineContext, by: string, approvalId: string, reason: string | null): Answer<StandingApproval> {
  const { store } = context;
  const known = store.standing(approvalId);
  if (known === undefined) return { ok: false, code: 'no-such-standing-approval', message: 'no standing approval of this id' };
  const { approver, subject } = known.statement;
  if (by !== approver && !mayLock(by, subject, context.facts())) return { ok: false, code: 'not-allowed', message: `${by} neither gave it nor is owner, on call or security for ${subject}` };
  if (known.revoked !== null) return { ok: true, value: known };
  store.record('standing.revoked', { approvalId, reason }, [], by);
  for (const state of [...store.open()]) giveUpRevoked(context, state);
  return { ok: true, value: store.standing(approvalId)! };
}

/** Whether a standing approval that is revoked has approved the change, or a part of it, and nothing of it had begun: it is over then, by whoever revoked that. Asked also before each dispatch. @throws LedgerError */
export function giveUpRevoked(context: EngineContext, state: ChangeState): boolean {
  const { store, logger } = context;
  const { changeId, name, planDigest, requirement } = state;
  const counts = name === 'scheduled' || (name === 'pending' && standingCounts(state, state.decision));
  if (!counts || !mayStillBeRejected(state) || planDigest === null) return false;
  const one = state.approvals.map(({ approval }) => store.standing(approval.approvalId)).find((used) => used?.revoked != null);
  if (one?.revoked == null) return false;
  const { by } = one.revoked;
  const comment = `standing approval ${one.approvalId} was revoked`;
  // Nobody says no twice; and while the change waits, only the no of who gave it takes back what it approved.
  const others = otherIdsOf(context, state, by);
  const says = approversNamed(requirement.approvers).includes(by) && !hasRejected(state, by, others.otherIds) && (name === 'scheduled' || by === one.statement.approver);
  const rejection = says ? approvalOf(context, changeId, state, { by, verdict: 'reject', planDigest }, {}) : null;
  // Her no may come after the time to decide; nothing keeps anybody from withdrawing.
  const isRejected = rejection?.ok === true && store.apply(changeId, { type: 'approve', approval: rejection.value, comment, ...others }).ok;
  const applied = isRejected ? null : store.apply(changeId, { type: 'withdraw', by, comment, isResponder: true });
  if (applied?.ok === false) logger.warn({ changeId, code: applied.code }, 'a change that a revoked standing approval approved cannot be given up');
  return true;
}

/** Whether a standing approval may have something to say to the change as it is. */
export function mayUseStanding(state: ChangeState): boolean {
  return state.name === 'pending' && state.plan !== null && state.planDigest !== null && standingCounts(state, state.decision);
}

/** When the next standing approval for the identity begins (epoch ms): the change is looked at again then; null where none is to come. */
export function nextStandingMs({ store }: EngineContext, { request: { subject } }: ChangeState): number | null {
  const nowMs = store.nextAtMs();
  const begins = store.standings().filter(({ statement, revoked }) => revoked === null && statement.subject === subject).map(({ statement }) => parseTime(statement.notBefore)).filter((atMs) => atMs > nowMs);
  return begins.length === 0 ? null : Math.min(...begins);
}

/**
 * Each standing approval that the plan is within, of a person who is asked, approves it: policy is asked about that as about any approval. Uses are numbered
 * in the breath in which they are recorded, so that changes which come at once share no number.
 *
 * @returns whether anything was recorded @throws NotJudged nothing was, and policy has yet to say whether something may be; LedgerError
 */
export async function useStanding(context: EngineContext, changeId: string): Promise<boolean> {
  const { store, logger } = context;
  let isUsed = false;
  let isUnjudged = false;
  for (const { approvalId } of store.standings()) {
    for (;;) {
      const [one, state] = [store.standing(approvalId), await store.load(changeId)];
      if (one === undefined || state === undefined || !mayUseStanding(state) || !fits(context, one, state)) break;
      const approval: Approval = { approvalId, proofClass: one.proofClass, envelope: one.envelope, use: one.used + 1 };
      const approve = { type: 'approve' as const, approval, comment: null, ...otherIdsOf(context, state, one.statement.approver) };
      if (!isNews(state, approve, store.nextAtMs())) break;
      const isDue = (): boolean => store.standing(approvalId)?.used === one.used && store.standing(approvalId)?.revoked === null;
      const applied = await acceptApproval(context, changeId, approve, isDue);
      if (applied.ok) {
        isUsed = true;
        break;
      }
      if (isDue()) {
        isUnjudged ||= applied.code === 'approval-not-judged';
        logger.info({ changeId, approvalId, code: applied.code }, 'a standing approval is not taken');
        break;
      }
    }
  }
  if (!isUsed && isUnjudged) throw new NotJudged('policy has not said whether a standing approval is accepted');
  return isUsed;
}

/** It is asked again, later each time; meanwhile the change waits for people. */
export class NotJudged extends Error {}

/** Whether it would be recorded, were policy not asked. */
function isNews(state: ChangeState, approve: Command, nowMs: number): boolean {
  const decided = decide(state, approve, nowMs);
  return decided.ok && decided.events.length > 0;
}

/** In force, by somebody who is asked and active, for this plan, and counted by the floor of this side and of each worker that is there: an approval that no executor counts would only end the change. */
function fits({ store, facts, trust, executorOf, transport, turnedAway }: EngineContext, one: StandingApproval, { plan, requirement }: ChangeState): boolean {
  const { statement: { approver }, statement } = one;
  const nowMs = store.nextAtMs();
  if (plan === null || !isInForce(one, nowMs) || !approversNamed(requirement.approvers).includes(approver) || beyondTemplate(statement, plan) !== null) return false;
  const executor = executorOf(plan.connector) ?? '';
  if (!facts().directory.people.some(({ id, active }) => id === approver && active) || turnedAway.has(executor, one.approvalId)) return false;
  const workers = transport.knows(executor);
  if (workers.length === 0 || !workers.every((worker) => knowsProof(worker, 'standing'))) return false;
  const isCounted = plan.steps.flatMap((step) => [trust.requirements, ...workers].map((floors) => floorOf(floors, step))).every((floor) => floor === null || floor.quorum === 0 || (floor.standing === true && meets(one.proofClass, floor.proofClass) && (floor.approvers?.includes(approver) ?? true)));
  return isCounted && isStillProven(one, trust, nowMs);
}

/** Her key may have been taken from the trust folder since. */
function isStillProven({ envelope, proofClass }: StandingApproval, { signers, passkeys }: EngineContext['trust'], atMs: number): boolean {
  try {
    openStanding(envelope, proofClass, { signers, passkeys, atMs });
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
