/** What breaking the glass does to a change: it stands for the approvals of one plan, and leaves what is owed from then on (`glass-debts.ts`), whatever becomes of the change. */
import { approversNamed, type Decision } from '../protocol/decision.ts';
import { BREAK_GLASS_SECONDS_MAX, breakGlassDigest, isBreakable, readBreakGlass, soonerOf, type BreakGlassLimits, type BreakGlassStatement } from '../protocol/break-glass.ts';
import type { PlanStep } from '../protocol/plan.ts';
import { callerOf, entitlementsOf, type RecordedRequest } from '../protocol/request.ts';
import type { Dsse } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { leaseSecondsOf, systemOf } from './derive.ts';
import type { EventBody } from './events.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import type { ChangeState } from './state.ts';

/** The glass was broken, once in a change. */
export interface BrokenGlass {
  readonly envelope: Dsse;
  readonly digest: string;
  readonly statement: BreakGlassStatement;
  /** Where floors are asked about it, whatever the change is revised to. */
  readonly at: readonly Pick<PlanStep, 'connector' | 'target' | 'privileges'>[];
  readonly seq: number;
  readonly reviewByMs: number;
  readonly review: { readonly by: string; readonly verdict: EventBody<'breakglass.reviewed'>['verdict'] } | null;
  /** Of a grant, from the lease's end on; null: none is owed. */
  readonly rotateWithinSeconds: number | null;
  /** The login that a step was authorised to lend more to, under this glass; null: none was. */
  readonly lent: Pick<PlanStep, 'connector' | 'target' | 'account'> | null;
  /** What is owed since the lease has ended; null: nothing, or not yet. */
  readonly rotation: OwedRotation | null;
}

/** Something that is owed for a broken glass, and by when. */
export interface Debt {
  readonly what: 'review' | 'rotation';
  readonly byMs: number;
}

/** The new credential of a login that was in an emergency's hands. */
export interface OwedRotation {
  /** When the lease had ended. */
  readonly sinceMs: number;
  readonly byMs: number;
  /** The change that made it, or who said that none is needed. */
  readonly settled: { readonly change: string } | { readonly waivedBy: string } | null;
}

export function brokenBy(state: Pick<ChangeState, 'plan' | 'request'>, body: EventBody<'breakglass.used'>, seq: number): BrokenGlass {
  return { at: placesOf(state), envelope: body.statement, digest: breakGlassDigest(body.statement), statement: readBreakGlass(body.statement), seq, reviewByMs: parseTime(body.reviewBy), review: null, rotateWithinSeconds: body.rotateWithinSeconds ?? null, lent: null, rotation: null };
}

/** The same once a step was authorised under it. An account that is provisioned goes with its lease, and its credential with it. */
export function lentUnder(glass: BrokenGlass, { action, connector, target, account }: PlanStep): BrokenGlass {
  return action === 'grant' ? { ...glass, lent: { connector, target, account } } : glass;
}

/** The same once its lease has ended: whatever was to be given may have been, and the login keeps the credential that it had. */
export function endedAt(glass: BrokenGlass, atMs: number): BrokenGlass {
  const { lent, rotateWithinSeconds } = glass;
  return lent === null || rotateWithinSeconds === null ? glass : { ...glass, rotation: glass.rotation ?? { sinceMs: atMs, byMs: atMs + rotateWithinSeconds * 1000, settled: null } };
}

/** The same once somebody has reviewed it. The first verdict stands; a later word is about the rotation alone. */
export function reviewedBy(glass: BrokenGlass, by: string, { verdict, rotation }: EventBody<'breakglass.reviewed'>): BrokenGlass {
  const reviewed = { ...glass, review: glass.review ?? { by, verdict } };
  return rotation === undefined ? reviewed : settledBy(reviewed, { waivedBy: by });
}

export function settledBy(glass: BrokenGlass, settled: NonNullable<OwedRotation['settled']>): BrokenGlass {
  return glass.rotation === null ? glass : { ...glass, rotation: { ...glass.rotation, settled: glass.rotation.settled ?? settled } };
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

/** Where the floor is asked about it: at the steps of the plan or, where there is none any more, at what was asked for. */
export function placesOf({ plan, request }: Pick<ChangeState, 'plan' | 'request'>): Pick<PlanStep, 'connector' | 'target' | 'privileges'>[] {
  // No more than that: what is erased with the plan is not kept here.
  if (plan !== null) return plan.steps.map(({ connector, target, privileges }) => ({ connector, target, privileges }));
  const system = systemOf(request);
  return system === null ? [] : [{ ...system, privileges: [...new Set(entitlementsOf(request).map(({ privilege }) => privilege))].sort() }];
}

/** Who may review it: all who were asked, at whatever stage, but neither who broke it nor who asked for the change. */
export function reviewersOf({ requirement, requester }: Pick<ChangeState, 'requirement' | 'requester'>, usedBy: string): string[] {
  return approversNamed(requirement.approvers).filter((person) => person !== usedBy && !requester.includes(person));
}

export interface Use {
  readonly type: 'breakGlass';
  readonly statement: Dsse;
  readonly reason: string;
  /** With which the statement commits to the reason. */
  readonly salt: string;
  /** What the floor of our own trust folder allows; null: nobody. */
  readonly limits: BreakGlassLimits | null;
  /** Another change in which this person broke the glass and for which something is owed: of several, that which is due first. */
  readonly owed: ({ readonly changeId: string } & Debt) | null;
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
  if (owed !== null && nowMs >= owed.byMs) return refused(`the ${owed.what} of ${owed.changeId} is overdue: until then ${usedBy} breaks no other glass`);
  if (reviewersOf(state, usedBy).length === 0) return refused('there is nobody else to review it');
  const reviewWithinSeconds = Math.min(allowed.reviewWithinSeconds, limits.reviewWithinSeconds);
  // Where neither says: by when it is reviewed, counted from the lease's end.
  const rotateWithinSeconds = soonerOf(allowed.rotateWithinSeconds, limits.rotateWithinSeconds) ?? reviewWithinSeconds;
  const body = { revision: state.revision, statement: envelope, reason, reviewBy: formatTime(nowMs + reviewWithinSeconds * 1000), ...(state.request.kind === 'grant' ? { rotateWithinSeconds } : {}) };
  return yes({ type: 'breakglass.used', actor: usedBy, body, attached: { salt } });
}
