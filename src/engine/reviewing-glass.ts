/** What a review of a broken glass becomes: by whom it may be, and, where the reviewer signs it, checked as verifiers check it, by the trust folder of this side. */
import { canonicalBytes } from '../../ledger/index.ts';
import { logOf } from '../change/derive.ts';
import type { Review } from '../change/glass-debts.ts';
import type { ChangeState } from '../change/state.ts';
import { BREAK_GLASS_REVIEW_TYPE, openBreakGlassReview, type BreakGlassReviewStatement } from '../protocol/break-glass-review.ts';
import { BREAK_GLASS_SECONDS_MAX, reviewProofAt } from '../protocol/break-glass.ts';
import type { ProofClass } from '../protocol/decision.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { AssertionError } from '../protocol/passkey-assertion.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import { formatTime } from '../protocol/values.ts';
import { passkeysFor } from './approving.ts';
import { GOOD_MS, invalid, type Breaking } from './breaking-glass.ts';
import type { Answer } from './engine.ts';
import { isOneOf, isThere, reviewersNow, type GlassReviewers } from './glass-reviewers.ts';
import { sealed, type GivenProof } from './own-proof.ts';

/** What is to be signed, but for what the reviewer says. */
type UnsaidReview = Omit<BreakGlassReviewStatement, 'verdict' | 'rotation' | 'comment'>;

/** That, how a review is to be proven at least, and by which passkeys it could be. */
export interface AskedReview {
  readonly statement: UnsaidReview;
  readonly proofClass: ProofClass;
  readonly passkeys: ReturnType<typeof passkeysFor>;
  /** Nobody who was asked can review it any more, and she is in security. */
  readonly standsIn?: 'security';
  /** Whose review alone the floor counts. Left out: that of whoever may review it. */
  readonly reviewers?: readonly string[];
}

/** null where nobody has broken the glass. */
export function reviewAsked(context: Breaking, state: ChangeState, by: string): AskedReview | null {
  const [statement, reviewers] = [unsaidReview(context, state, by), reviewersNow(context, state)];
  if (statement === null || reviewers === null) return null;
  const { named } = reviewers;
  return { statement, proofClass: proofDemanded(context, state), passkeys: passkeysFor(context, by), ...standingIn(reviewers, by), ...(named === undefined ? {} : { reviewers: named }) };
}

/** The weakest that the floor of our own trust folder takes. */
function proofDemanded({ trust: { requirements } }: Breaking, { breakGlass }: ChangeState): ProofClass {
  return breakGlass === null ? 'session' : reviewProofAt(requirements, breakGlass.at);
}

function unsaidReview({ store }: Pick<Breaking, 'store'>, { breakGlass, changeId }: ChangeState, by: string): UnsaidReview | null {
  if (breakGlass === null) return null;
  return { v: 1, log: logOf(changeId), changeId, revision: breakGlass.statement.revision, breakGlass: breakGlass.digest, reviewer: by, expiresAt: formatTime(store.nextAtMs() + GOOD_MS) };
}

export type Reviewing = Pick<Review, 'by' | 'verdict' | 'comment' | 'rotation'> & {
  /** Her own proof of the statement, until when it says that it is good, and the salt with which it commits to the comment. */
  readonly signed?: { readonly salt: string; readonly expiresAt: string; readonly proof: GivenProof };
};

/** The command that reviews it, or why what was signed does not prove it, or it is not for `by` to review by what the directory says now. Nothing is recorded. */
export function reviewOf(context: Breaking, state: ChangeState, { signed, ...said }: Reviewing): Answer<Review> {
  const { breakGlass, requester } = state;
  const { by } = said;
  const asked = { type: 'reviewBreakGlass', ...said, demanded: proofDemanded(context, state) } as const;
  const [unsaid, reviewers] = [unsaidReview(context, state, by), reviewersNow(context, state)];
  if (breakGlass === null || unsaid === null || reviewers === null) return { ok: true, value: asked };
  // Who broke the glass and who asked for the change do not, by whichever of their ids.
  if (isOneOf(context, by, [breakGlass.statement.usedBy, ...requester])) return { ok: false, code: 'self-approval', message: 'who broke the glass, or asked for the change, does not review it, by whichever of their ids' };
  if (!isThere(context, by)) return { ok: false, code: 'not-an-approver', message: `${by} is disabled in the directory, or not in it` };
  const { named } = reviewers;
  if (named?.includes(by) === false) return { ok: false, code: 'not-an-approver', message: `the floor does not count a review by ${by}: it names ${named.join(', ') || 'nobody'}` };
  // Of whoever is left one counts who was asked, which the state says, or who stands in.
  const review = { ...asked, ...standingIn(reviewers, by) };
  if (signed === undefined) return { ok: true, value: review };
  const { salt, expiresAt, proof } = signed;
  const nowMs = context.store.nextAtMs();
  const latest = formatTime(nowMs + BREAK_GLASS_SECONDS_MAX * 1000);
  if (expiresAt > latest) return invalid(`good until ${expiresAt}, and ${latest} is the longest`);
  const { verdict, rotation, comment } = said;
  const statement: BreakGlassReviewStatement = { ...unsaid, verdict, ...(rotation === undefined ? {} : { rotation }), comment: commitmentTo({ name: 'comment', salt, value: comment }), expiresAt };
  try {
    const { envelope, proofClass } = sealed(canonicalBytes(statement), proof, BREAK_GLASS_REVIEW_TYPE);
    const { signers, passkeys } = context.trust;
    openBreakGlassReview(envelope, proofClass, { signers, passkeys, atMs: nowMs });
    return { ok: true, value: { ...review, signed: { statement: envelope, salt, proofClass } } };
  } catch (error) {
    if (error instanceof SshFormatError || error instanceof AssertionError || error instanceof ProtocolError) return invalid(error.message);
    throw error;
  }
}

/** Of one who is in security, where nobody who was asked is left. */
function standingIn({ people, standIn }: GlassReviewers, by: string): Pick<Review, 'standsIn'> {
  return standIn && people.includes(by) ? { standsIn: 'security' } : {};
}
