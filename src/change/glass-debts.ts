/**
 * What a broken glass leaves owed: a review by somebody else, and, where a login was lent more and keeps its credential, a rotation of that once the lease
 * has ended. Whoever broke it breaks no other while one of them is overdue.
 */
import { meets, type ProofClass } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { readBreakGlassReview } from '../protocol/break-glass-review.ts';
import type { OwnClass } from '../protocol/own-proof.ts';
import { callerOf } from '../protocol/request.ts';
import { ticketSchema, type Dsse } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import { reviewersOf, type Debt } from './break-glass.ts';
import type { EventBody, FindingCode, NewEvent } from './events.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import type { ChangeState } from './state.ts';

type Broken = Pick<ChangeState, 'breakGlass'>;

/** What is owed now. */
export function debtsOf({ breakGlass }: Broken): Debt[] {
  if (breakGlass === null) return [];
  const { review, reviewByMs, rotation } = breakGlass;
  return [
    ...(review === null ? [{ what: 'review' as const, byMs: reviewByMs }] : []), ...(rotation !== null && rotation.settled === null ? [{ what: 'rotation' as const, byMs: rotation.byMs }] : []),
  ];
}

export const owesAnything = (state: Broken): boolean => debtsOf(state).length > 0;
export const owesReview = (state: Broken): boolean => debtsOf(state).some(({ what }) => what === 'review');
export const owesRotation = (state: Broken): boolean => debtsOf(state).some(({ what }) => what === 'rotation');

/** What `person` owes for a broken glass and has not been done in time: nobody else's doing, and the next glass waits for it. */
export function overdueFor(state: Broken, person: string, atMs: number): Debt | null {
  return state.breakGlass?.statement.usedBy === person ? (debtsOf(state).find(({ byMs }) => atMs >= byMs) ?? null) : null;
}

const FINDINGS = { review: 'review-overdue', rotation: 'rotation-overdue' } as const satisfies Record<Debt['what'], FindingCode>;
export const findingOf = ({ what }: Debt): (typeof FINDINGS)[Debt['what']] => FINDINGS[what];

/** What is due first of that of which nobody has been told that it is overdue; null where there is nothing. */
export function nextDebt(state: Pick<ChangeState, 'breakGlass' | 'findings'>): Debt | null {
  return debtsOf(state).filter((debt) => !state.findings.has(findingOf(debt))).sort((a, b) => a.byMs - b.byMs)[0] ?? null;
}

/**
 * Whether `rotation` has made anew the credential that was lent more: of the same identity's login at the same target, by an executor, to its end, with the
 * old one gone. It began after the lease had ended: a secret that was made before may have been seen by the same eyes.
 */
export function isRotationOf({ breakGlass, request: { subject } }: Pick<ChangeState, 'breakGlass' | 'request'>, rotation: ChangeState): boolean {
  const { request, name, read, firstActAtMs } = rotation;
  if (breakGlass?.rotation == null || breakGlass.lent === null) return false;
  if (request.kind !== 'rotate' || callerOf(request) !== null || name !== 'done' || request.subject !== subject || read === null) return false;
  const ticket = readPayload(read.ticket, ticketSchema);
  if (ticket.kind !== 'read') return false;
  const { connector, target, account } = breakGlass.lent;
  const { query } = ticket;
  return query.connector === connector && query.target === target && query.account === account && firstActAtMs !== null && firstActAtMs > breakGlass.rotation.sinceMs;
}

export interface Review {
  readonly type: 'reviewBreakGlass';
  readonly by: string;
  readonly verdict: EventBody<'breakglass.reviewed'>['verdict'];
  readonly comment: string;
  /** The rotation that is owed is not needed. */
  readonly rotation?: EventBody<'breakglass.reviewed'>['rotation'];
  /** What the reviewer has signed, and the salt with which that commits to the comment; left out where her session is what proves it. */
  readonly signed?: { readonly statement: Dsse; readonly salt: string; readonly proofClass: OwnClass };
  /** The weakest proof that the floor of our own trust folder takes. */
  readonly demanded: ProofClass;
  /** Nobody who was asked can review it any more, and she is in security. */
  readonly standsIn?: 'security';
}

export function decideReview(state: ChangeState, { by, verdict, comment, rotation, signed, demanded, standsIn }: Review, nowMs: number): Decided {
  const { breakGlass } = state;
  if (breakGlass === null) return no('not-expected', 'nobody has broken the glass for this change');
  const { review } = breakGlass;
  const settled = breakGlass.rotation?.settled ?? null;
  const hasSaid = rotation === undefined ? review?.by === by : settled !== null && 'waivedBy' in settled && settled.waivedBy === by;
  if (hasSaid && review?.verdict === verdict) return ALREADY;
  if (review !== null && (rotation === undefined || review.verdict !== verdict)) return no('already-decided', `${review.by} has reviewed it: ${review.verdict}`);
  if (by === breakGlass.statement.usedBy || state.requester.includes(by)) return no('self-approval', 'who broke the glass, or asked for the change, does not review it');
  const wasAsked = reviewersOf(state, breakGlass.statement.usedBy).includes(by);
  if (!wasAsked && standsIn === undefined) return no('not-an-approver', `${by} was not asked`);
  if (rotation !== undefined && !owesRotation(state)) return no('not-expected', breakGlass.rotation === null ? 'no rotation is owed, or not before the lease has ended' : 'the rotation is not owed any more');
  if (!meets(signed?.proofClass ?? 'session', demanded)) return no('proof-too-weak', `the floor asks for a review by ${demanded === 'passkey' ? 'a passkey of the reviewer’s' : 'the reviewer’s own signature'}`);
  if (signed !== undefined && parseTime(readBreakGlassReview(signed.statement).expiresAt) <= nowMs) return no('approval-expired', 'what was signed is good no more');
  const body = {
    verdict, comment, ...(rotation === undefined ? {} : { rotation }), ...(signed === undefined ? {} : { statement: signed.statement }), ...(signed?.proofClass === 'passkey' ? { proofClass: 'passkey' as const } : {}),
    ...(wasAsked || standsIn === undefined ? {} : { standsIn }),
  };
  return yes(
    { type: 'breakglass.reviewed', actor: by, body, ...(signed === undefined ? {} : { attached: { salt: signed.salt } }) },
    ...closing(state, 'review-overdue'), ...(rotation === undefined ? [] : closing(state, 'rotation-overdue')),
  );
}

export interface Rotated {
  readonly type: 'recordRotated';
  readonly by: string;
  /** The change that has come to its end, as it is now. */
  readonly rotation: ChangeState;
}

export function decideRotated(state: ChangeState, { by, rotation }: Rotated): Decided {
  if (!owesRotation(state) || !isRotationOf(state, rotation)) return no('not-expected', `${rotation.changeId} is not a rotation that is owed`);
  return yes({ type: 'breakglass.rotated', actor: by, body: { change: rotation.changeId } }, ...closing(state, 'rotation-overdue'));
}

function closing({ findings, keptBy }: ChangeState, code: FindingCode): NewEvent[] {
  return findings.has(code) ? [{ type: 'finding.closed', actor: keptBy, body: { code } }] : [];
}
