/** Checks of a broken glass: that the person's own key signed it, that floor and policy let her, that nothing she owed was overdue, and who reviewed it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { breakableSecondsOf, isGlassBroken, placesOf, reviewersOf, type BrokenGlass } from '../change/break-glass.ts';
import { debtsOf, findingOf, overdueFor } from '../change/glass-debts.ts';
import type { ChangeEvent } from '../change/events.ts';
import { openBreakGlassReview } from '../protocol/break-glass-review.ts';
import { BREAK_GLASS_SECONDS_MAX, breakGlassDigest, breakGlassFor, breakGlassShortfall, isBreakable, namedByBoth, openBreakGlass, reviewersAt, reviewProofAt, soonerOf, type BreakGlassLimits, type BreakGlassStatement } from '../protocol/break-glass.ts';
import { meets } from '../protocol/decision.ts';
import { isCommitment } from '../protocol/disclosure.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { PlanStep } from '../protocol/plan.ts';
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
    const overdue = other.state.changeId === event.changeId ? null : overdueFor(other.state, usedBy, event.atMs);
    if (overdue !== null) return { fault: fault(findingOf(overdue), `${usedBy} broke the glass again while the ${overdue.what} of ${other.state.changeId} was overdue`) };
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
function limitsOf({ trust: { requirements } }: Believed, { state }: Audited): readonly (BreakGlassLimits | null)[] {
  return placesOf(state).map((place) => breakGlassFor(requirements, place));
}

function checkAllowed({ state, planErased }: Audited, event: Of<'breakglass.used'>, { usedBy, expiresAt }: BreakGlassStatement, limits: readonly (BreakGlassLimits | null)[], skewMs: number): Fault | null {
  const notAllowed = (message: string): Fault => fault('break-glass-not-allowed', message);
  const allowed = state.decision?.obligations.breakGlass;
  if (allowed === undefined) return notAllowed('the glass was broken where policy lets nobody');
  if (parseTime(expiresAt) <= event.atMs) return notAllowed(`what ${usedBy} signed to break the glass was good until ${expiresAt}`);
  if (parseTime(expiresAt) > event.atMs + BREAK_GLASS_SECONDS_MAX * 1000 + skewMs) return notAllowed(`what ${usedBy} signed to break the glass is good until ${expiresAt}, which is longer than ${BREAK_GLASS_SECONDS_MAX} s`);
  if (reviewersOf(state, usedBy).length === 0) return notAllowed('the glass was broken where nobody else could review it');
  const reviewers = limits.map((one) => one?.reviewers).reduce(namedByBoth, undefined);
  if (reviewers?.every((person) => person === usedBy || state.requester.includes(person)) === true) return notAllowed('the glass was broken where nobody else’s review counts by the floor');
  if (!planErased && (state.plan === null || !isBreakable(state.plan))) return notAllowed('the glass was broken for what no lease takes back');
  let withinSeconds = allowed.reviewWithinSeconds;
  let rotateSeconds = allowed.rotateWithinSeconds;
  let longest = allowed.maxLeaseSeconds;
  for (const one of limits) {
    if (one === null || !one.people.includes(usedBy)) return notAllowed(`${usedBy} broke the glass, whom the floor does not let`);
    withinSeconds = Math.min(withinSeconds, one.reviewWithinSeconds);
    rotateSeconds = soonerOf(rotateSeconds, one.rotateWithinSeconds);
    longest = Math.min(longest, one.maxLeaseSeconds);
  }
  const leaseSeconds = (planErased ? breakableSecondsOf(state.request) : state.plan?.lease?.leaseSeconds) ?? Infinity;
  if (leaseSeconds > longest) return notAllowed(`the glass was broken for a lease of ${leaseSeconds} s, where ${longest} s is the longest`);
  const latestMs = event.atMs + withinSeconds * 1000;
  if (parseTime(event.body.reviewBy) > latestMs) return notAllowed(`the review is due at ${event.body.reviewBy}, later than ${formatTime(latestMs)}`);
  if (state.request.kind !== 'grant' || rotateSeconds === undefined) return null;
  const { rotateWithinSeconds = Infinity } = event.body;
  return rotateWithinSeconds > rotateSeconds ? notAllowed(`the rotation is due ${rotateWithinSeconds === Infinity ? 'never' : `${rotateWithinSeconds} s after the lease`}, where ${rotateSeconds} s is the longest`) : null;
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

/** @param judgedAtMs as of when the reviewer's key is to be good */
export function checkReviewed(believed: Believed, { state }: Audited, event: Of<'breakglass.reviewed'>, record: LedgerRecord, judgedAtMs: number): Fault | null {
  const { breakGlass } = state;
  if (breakGlass === null) return null;
  const { usedBy } = breakGlass.statement;
  if (event.actor === usedBy || state.requester.includes(event.actor)) return fault('own-review', `${event.actor} reviewed a glass that they broke, or for what they had asked for`);
  const reviewers = reviewersAt(believed.trust.requirements, breakGlass.at);
  if (reviewers?.includes(event.actor) === false) return fault('not-an-approver', `${event.actor} reviewed a broken glass, and the floor counts a review by others`);
  // That nobody was left who was asked is the directory's word, and told as not proven.
  if (event.body.standsIn === undefined && !reviewersOf(state, usedBy).includes(event.actor)) return fault('not-an-approver', `${event.actor} reviewed a broken glass and was not asked`);
  if (breakGlass.review !== null && breakGlass.review.verdict !== event.body.verdict) return fault('review-mismatch', `a review that was ${breakGlass.review.verdict} is said to be ${event.body.verdict}`);
  return checkSigned(believed, breakGlass, event, record, judgedAtMs);
}

/** The reviewer's own proof, where this verifier's floor asks for one, or where there is one. */
function checkSigned(believed: Believed, glass: BrokenGlass, event: Of<'breakglass.reviewed'>, record: LedgerRecord, judgedAtMs: number): Fault | null {
  const { trust: { requirements, signers, passkeys }, logId } = believed;
  const { statement: envelope, proofClass = 'ssh', verdict, rotation } = event.body;
  const demanded = reviewProofAt(requirements, glass.at);
  if (!meets(envelope === undefined ? 'session' : proofClass, demanded)) return fault('review-signature', `${event.actor} reviewed a broken glass ${envelope === undefined ? 'without a signature' : `by ${proofClass}`}, where the floor asks for ${demanded}`);
  if (envelope === undefined) return null;
  try {
    const said = openBreakGlassReview(envelope, proofClass, { signers, passkeys, atMs: judgedAtMs });
    if (said.reviewer !== event.actor) return fault('wrong-actor', `a record by ${event.actor} of a review that ${said.reviewer} signed`);
    const isAbout = said.log === logId && said.changeId === event.changeId && said.revision === glass.statement.revision && said.breakGlass === glass.digest;
    if (!isAbout) return fault('review-mismatch', 'the review that was signed is of another broken glass');
    const isSame = said.verdict === verdict && said.rotation === rotation && commitmentIn(record)?.commitment === said.comment.commitment;
    if (!isSame) return fault('review-mismatch', 'the review on record is not the one that was signed');
    const untilMs = parseTime(said.expiresAt);
    const isGood = untilMs > event.atMs && untilMs <= event.atMs + BREAK_GLASS_SECONDS_MAX * 1000 + requirements.clockSkewMs;
    return isGood ? null : fault('review-signature', `the review that was signed is good until ${said.expiresAt}, and was recorded at ${formatTime(event.atMs)}`);
  } catch (error) {
    if (error instanceof ProtocolError) return fault('review-signature', `the review that was signed: ${error.message}`);
    throw error;
  }
}

/** What a broken glass left owed and nobody has done in time, at the end of what is verified. */
export function checkDebts({ state }: Audited, atMs: number): Fault[] {
  return debtsOf(state).filter(({ byMs }) => atMs > byMs).map((debt) => {
    const { usedBy } = state.breakGlass!.statement;
    const undone = debt.what === 'review' ? 'nobody has reviewed it' : `the login that was lent to has no new credential`;
    return fault(findingOf(debt), `${usedBy} broke the glass, and ${undone} by ${formatTime(debt.byMs)}`);
  });
}
