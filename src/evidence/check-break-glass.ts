/** Checks of a broken glass: that the person's own key signed it, that floor and policy let her, that no review of hers was overdue, and who reviewed it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { breakableSecondsOf, isGlassBroken, isOverdueFor, owesReview, reviewersOf } from '../change/break-glass.ts';
import { systemOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { BREAK_GLASS_SECONDS_MAX, breakGlassDigest, breakGlassFor, breakGlassShortfall, isBreakable, openBreakGlass, type BreakGlassLimits, type BreakGlassStatement } from '../protocol/break-glass.ts';
import { isCommitment } from '../protocol/disclosure.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { PlanStep } from '../protocol/plan.ts';
import { entitlementsOf } from '../protocol/request.ts';
import type { FloorDemand } from '../protocol/sufficiency.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { commitmentIn } from './prose.ts';
import type { Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** A broken glass that has been verified: by its digest it is what steps may name. */
export interface CheckedGlass {
  readonly digest: string;
  readonly statement: BreakGlassStatement;
}

type Checked = { readonly fault: Fault } | { readonly fault: null; readonly glass: CheckedGlass };

/**
 * @param open the changes whose review may be due @param judgedAtMs as of when it is to be in time, and signed with a key that is good
 */
export function checkUsed(believed: Believed, audited: Audited, event: Of<'breakglass.used'>, record: LedgerRecord, judgedAtMs: number, open: Iterable<Audited>): Checked {
  const { state } = audited;
  const opened = openUsed(believed, event, judgedAtMs);
  if (opened instanceof ProtocolError) return { fault: fault('break-glass-signature', `what was signed to break the glass: ${opened.message}`) };
  const { usedBy } = opened;
  const about = opened.log === believed.logId && opened.changeId === event.changeId && opened.revision === state.revision && event.body.revision === state.revision && opened.planDigest === state.planDigest;
  if (!about) return { fault: fault('break-glass-mismatch', 'what was signed to break the glass is about another plan') };
  if (event.actor !== usedBy) return { fault: fault('wrong-actor', `a record by ${event.actor} of a glass that ${usedBy} broke`) };
  const unsaid = checkReason(event, record, opened);
  if (unsaid !== null) return { fault: unsaid };
  const limits = limitsOf(believed, audited);
  const refused = checkAllowed(audited, event, opened, limits, believed.trust.requirements.clockSkewMs);
  if (refused !== null) return { fault: refused };
  for (const other of open) {
    if (other.state.changeId !== event.changeId && isOverdueFor(other.state, usedBy, event.atMs)) {
      return { fault: fault('review-overdue', `${usedBy} broke the glass again while the review of ${other.state.changeId} was overdue`) };
    }
  }
  return { fault: null, glass: { digest: breakGlassDigest(event.body.statement), statement: opened } };
}

function openUsed({ trust: { signers } }: Believed, event: Of<'breakglass.used'>, atMs: number): BreakGlassStatement | ProtocolError {
  try {
    return openBreakGlass(event.body.statement, { signers, atMs });
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

/** The record commits to the reason that was signed, and that is said. */
function checkReason(event: Of<'breakglass.used'>, record: LedgerRecord, { reason }: BreakGlassStatement): Fault | null {
  if (commitmentIn(record)?.commitment !== reason.commitment) return fault('break-glass-mismatch', 'the reason on record is not the one that was signed');
  return !isCommitment(event.body.reason) && event.body.reason.trim() === '' ? fault('break-glass-mismatch', 'the glass was broken for no reason') : null;
}

/** What this verifier's floor lets people do at the steps of the plan, or, where that was erased, with what was asked for; null: nothing. */
function limitsOf({ trust: { requirements } }: Believed, { state: { plan, request } }: Audited): readonly (BreakGlassLimits | null)[] {
  const system = systemOf(request);
  const asked = system === null ? [] : [{ ...system, privileges: entitlementsOf(request).map(({ privilege }) => privilege) }];
  return (plan?.steps ?? asked).map((step) => breakGlassFor(requirements, step));
}

function checkAllowed({ state, planErased }: Audited, event: Of<'breakglass.used'>, { usedBy, expiresAt }: BreakGlassStatement, limits: readonly (BreakGlassLimits | null)[], skewMs: number): Fault | null {
  const notAllowed = (message: string): Fault => fault('break-glass-not-allowed', message);
  const allowed = state.decision?.obligations.breakGlass;
  if (allowed === undefined) return notAllowed('the glass was broken where policy lets nobody');
  if (parseTime(expiresAt) <= event.atMs) return notAllowed(`what ${usedBy} signed to break the glass was good until ${expiresAt}`);
  if (parseTime(expiresAt) > event.atMs + BREAK_GLASS_SECONDS_MAX * 1000 + skewMs) return notAllowed(`what ${usedBy} signed to break the glass is good until ${expiresAt}, which is longer than ${BREAK_GLASS_SECONDS_MAX} s`);
  if (reviewersOf(state, usedBy).length === 0) return notAllowed('the glass was broken where nobody else could review it');
  if (!planErased && (state.plan === null || !isBreakable(state.plan))) return notAllowed('the glass was broken for what no lease takes back');
  let withinSeconds = allowed.reviewWithinSeconds;
  let longest = allowed.maxLeaseSeconds;
  for (const one of limits) {
    if (one === null || !one.people.includes(usedBy)) return notAllowed(`${usedBy} broke the glass, whom the floor does not let`);
    withinSeconds = Math.min(withinSeconds, one.reviewWithinSeconds);
    longest = Math.min(longest, one.maxLeaseSeconds);
  }
  const leaseSeconds = (planErased ? breakableSecondsOf(state.request) : state.plan?.lease?.leaseSeconds) ?? Infinity;
  if (leaseSeconds > longest) return notAllowed(`the glass was broken for a lease of ${leaseSeconds} s, where ${longest} s is the longest`);
  const latestMs = event.atMs + withinSeconds * 1000;
  return parseTime(event.body.reviewBy) > latestMs ? notAllowed(`the review is due at ${event.body.reviewBy}, later than ${formatTime(latestMs)}`) : null;
}

/** A step that was authorised under a broken glass: one that was verified, stands now, and is enough for this verifier's floor. */
export function checkBroken(
  { trust: { requirements } }: Believed, { state, glass }: Audited, digest: string, step: PlanStep, floor: FloorDemand | null, { atMs, leaseSeconds }: { readonly atMs: number; readonly leaseSeconds: number | null },
): Fault | null {
  if (glass === null || glass.digest !== digest) return fault('approvals-insufficient', 'a step was authorised as if the glass had been broken, which nobody has done');
  const isAbout = glass.statement.planDigest === state.planDigest && glass.statement.revision === state.revision;
  if (!isAbout || !isGlassBroken(state, state.decision, atMs)) return fault('approvals-insufficient', 'a step was authorised under a broken glass that stood for nothing any more');
  const shortfall = breakGlassShortfall(breakGlassFor(requirements, step), floor, glass.statement, { action: step.action, asOfMs: atMs, leaseSeconds, skewMs: requirements.clockSkewMs });
  return shortfall === null ? null : fault(shortfall.code, shortfall.message);
}

export function checkReviewed({ state }: Audited, event: Of<'breakglass.reviewed'>): Fault | null {
  const { breakGlass } = state;
  if (breakGlass === null) return null;
  const { usedBy } = breakGlass.statement;
  if (event.actor === usedBy || state.requester.includes(event.actor)) return fault('own-review', `${event.actor} reviewed a glass that they broke, or for what they had asked for`);
  return reviewersOf(state, usedBy).includes(event.actor) ? null : fault('not-an-approver', `${event.actor} reviewed a broken glass and was not asked`);
}

/** A review that is due and that nobody has done, at the end of what is verified. */
export function checkUnreviewed({ state }: Audited, atMs: number): Fault | null {
  if (!owesReview(state) || atMs <= state.breakGlass!.reviewByMs) return null;
  return fault('review-overdue', `${state.breakGlass!.statement.usedBy} broke the glass, and nobody has reviewed it by ${formatTime(state.breakGlass!.reviewByMs)}`);
}
