/** What breaking the glass does to a change: it stands for the approvals of one plan, and is owed a review from then on, whatever becomes of the change. */
import { approversNamed, type Decision } from '../protocol/decision.ts';
import { BREAK_GLASS_SECONDS_MAX, breakGlassDigest, isBreakable, readBreakGlass, type BreakGlassLimits, type BreakGlassStatement } from '../protocol/break-glass.ts';
import { callerOf, type RecordedRequest } from '../protocol/request.ts';
import type { Dsse } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { leaseSecondsOf } from './derive.ts';
import type { EventBody } from './events.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import type { ChangeState } from './state.ts';

/** The glass was broken, once in a change. */
export interface BrokenGlass {
  readonly envelope: Dsse;
  readonly digest: string;
  readonly statement: BreakGlassStatement;
  readonly seq: number;
  readonly reviewByMs: number;
  readonly review: { readonly by: string; readonly verdict: EventBody<'breakglass.reviewed'>['verdict'] } | null;
}

export function brokenBy(body: EventBody<'breakglass.used'>, seq: number): BrokenGlass {
  return { envelope: body.statement, digest: breakGlassDigest(body.statement), statement: readBreakGlass(body.statement), seq, reviewByMs: parseTime(body.reviewBy), review: null };
}

type Broken = Pick<ChangeState, 'breakGlass' | 'planDigest' | 'revision' | 'request'>;

/** Whether a broken glass stands for the approvals of this plan at `nowMs`: while what was signed is good, and under a decision that allows it. Judged by the request, which the plan follows from: that may have been erased since. */
export function isGlassBroken({ breakGlass, planDigest, revision, request }: Broken, decision: Decision | null, nowMs: number): boolean {
  const allowed = decision?.obligations.breakGlass;
  if (breakGlass === null || allowed === undefined) return false;
  const { statement } = breakGlass;
  const isAbout = statement.revision === revision && statement.planDigest === planDigest;
  return isAbout && parseTime(statement.expiresAt) > nowMs && isWithin(breakableSecondsOf(request), allowed.maxLeaseSeconds);
}

/** The lease that is asked for, where a plan that follows from the request {@link isBreakable}; null for any other. */
export function breakableSecondsOf(request: RecordedRequest): number | null {
  return (request.kind === 'grant' || request.kind === 'provision') && callerOf(request) === null ? leaseSecondsOf(request) : null;
}

const isWithin = (leaseSeconds: number | null, longest: number): boolean => leaseSeconds !== null && leaseSeconds <= longest;

/** Who may review it: those who were asked and not waited for, but neither who broke it nor who asked for the change. */
export function reviewersOf({ requirement, requester }: Pick<ChangeState, 'requirement' | 'requester'>, usedBy: string): string[] {
  return approversNamed(requirement.approvers).filter((person) => person !== usedBy && !requester.includes(person));
}

/** Whether somebody has yet to review that the glass was broken. */
export function owesReview({ breakGlass }: Pick<ChangeState, 'breakGlass'>): boolean {
  return breakGlass !== null && breakGlass.review === null;
}

/** Whether `person` has broken the glass and nobody has reviewed it in time: nobody else's doing, and the next time waits for it. */
export function isOverdueFor({ breakGlass }: Pick<ChangeState, 'breakGlass'>, person: string, atMs: number): boolean {
  return breakGlass !== null && breakGlass.review === null && breakGlass.statement.usedBy === person && atMs >= breakGlass.reviewByMs;
}

/** Until when a review is due that nobody has been told is overdue; null where there is none. */
export function reviewDueAtMs(state: Pick<ChangeState, 'breakGlass' | 'findings'>): number | null {
  return !owesReview(state) || state.findings.has('review-overdue') ? null : state.breakGlass!.reviewByMs;
}

export interface Use {
  readonly type: 'breakGlass';
  readonly statement: Dsse;
  readonly reason: string;
  /** With which the statement commits to the reason. */
  readonly salt: string;
  /** What the floor of our own trust folder allows; null: nobody. */
  readonly limits: BreakGlassLimits | null;
  /** Another change in which this person broke the glass and that nobody has reviewed: of several, the one whose review is due first. */
  readonly owed: { readonly changeId: string; readonly reviewByMs: number } | null;
}

export function decideUse(state: ChangeState, { statement: envelope, reason, salt, limits, owed }: Use, nowMs: number): Decided {
  const statement = readBreakGlass(envelope);
  const { usedBy } = statement;
  if (state.plan === null || state.planDigest === null || statement.revision !== state.revision || statement.planDigest !== state.planDigest || statement.changeId !== state.changeId) {
    return no('plan-changed', `the plan is now revision ${state.revision}, ${state.planDigest ?? 'not derived yet'}`);
  }
  const refused = (why: string): Decided => no('break-glass-refused', why);
  if (state.breakGlass !== null) return state.breakGlass.digest === breakGlassDigest(envelope) ? ALREADY : refused('the glass was broken for this change already: ask for another');
  if (state.name !== 'pending') return no('already-decided', `the change is ${state.name}`);
  if (state.approvalsByMs !== null && nowMs >= state.approvalsByMs) return no('approval-expired', 'the time to decide is over');
  if (reason.trim() === '') return refused('why is to be said');
  if (!isBreakable(state.plan)) return refused('the glass is broken for what a lease takes back, and for nothing else');
  const allowed = state.decision?.obligations.breakGlass;
  if (allowed === undefined) return refused('policy lets nobody break the glass for this');
  if (limits === null || !limits.people.includes(usedBy)) return refused(`the floor does not let ${usedBy} break the glass for this`);
  const longest = Math.min(allowed.maxLeaseSeconds, limits.maxLeaseSeconds);
  if (!isWithin(state.plan.lease!.leaseSeconds, longest)) return refused(`a lease of ${state.plan.lease!.leaseSeconds} s, where ${longest} s is the longest: revise the change`);
  if (parseTime(statement.expiresAt) <= nowMs) return no('approval-expired', 'what was signed is good no more');
  if (parseTime(statement.expiresAt) > nowMs + BREAK_GLASS_SECONDS_MAX * 1000) return refused(`what was signed is good for longer than ${BREAK_GLASS_SECONDS_MAX} s`);
  if (owed !== null && nowMs >= owed.reviewByMs) return refused(`the review of ${owed.changeId} is overdue: until somebody has reviewed it, ${usedBy} breaks no other glass`);
  if (reviewersOf(state, usedBy).length === 0) return refused('there is nobody else to review it');
  const reviewBy = formatTime(nowMs + Math.min(allowed.reviewWithinSeconds, limits.reviewWithinSeconds) * 1000);
  return yes({ type: 'breakglass.used', actor: usedBy, body: { revision: state.revision, statement: envelope, reason, reviewBy }, attached: { salt } });
}

export interface Review {
  readonly type: 'reviewBreakGlass';
  readonly by: string;
  readonly verdict: EventBody<'breakglass.reviewed'>['verdict'];
  readonly comment: string;
}

export function decideReview(state: ChangeState, { by, verdict, comment }: Review): Decided {
  const { breakGlass, keptBy } = state;
  if (breakGlass === null) return no('not-expected', 'nobody has broken the glass for this change');
  if (breakGlass.review !== null) return breakGlass.review.by === by && breakGlass.review.verdict === verdict ? ALREADY : no('already-decided', `${breakGlass.review.by} has reviewed it`);
  if (by === breakGlass.statement.usedBy || state.requester.includes(by)) return no('self-approval', 'who broke the glass, or asked for the change, does not review it');
  if (!reviewersOf(state, breakGlass.statement.usedBy).includes(by)) return no('not-an-approver', `${by} was not asked`);
  const closed = state.findings.has('review-overdue') ? [{ type: 'finding.closed' as const, actor: keptBy, body: { code: 'review-overdue' as const } }] : [];
  return yes({ type: 'breakglass.reviewed', actor: by, body: { verdict, comment } }, ...closed);
}
