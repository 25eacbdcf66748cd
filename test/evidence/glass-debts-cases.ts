/** Ledgers in which a broken glass left something owed: a new credential, and a review by signature; and what must be found of each lie about it. */
import type { NewEvent } from '../../src/change/events.ts';
import type { Review } from '../../src/change/glass-debts.ts';
import { BREAK_GLASS_REVIEW_TYPE, type BreakGlassReviewStatement } from '../../src/protocol/break-glass-review.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { anasKey, BREAKABLE, FOUND, GLASS, GLASS_SALT, reviewBy, reviewOf, reviewStatement, SAM, samsKey } from '../support/break-glass.ts';
import { editing, withBody, type Of } from '../support/edit-story.ts';
import { testPasskey, type AssertionEdit } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';
import { acknowledge, CALLED, confirm, CONSUMER, ROTATE, toldUntilPlanned, toldUntilStep } from '../support/step-stories.ts';
import { logId, sidecar, START_MS, type Beat, type Telling, type TrustEdit } from '../support/story.ts';
import { DAY, given } from './break-glass-cases.ts';
import type { Case } from './verified.ts';

const CI = 'nhi:prod/ci-deployer';
const HOUR = 3_600_000;
export const LATER_MS = START_MS + 10 * DAY;
/** A rotation is approved as usual. */
export const ONE: TrustEdit = { ...BREAKABLE, quorum: 1 };
/** … and only a signature is a review. */
export const SIGNED: TrustEdit = { ...ONE, signers: `${ONE.signers!}\nperson:ana ${anasKey.publicLine}`, breakGlass: [{ ...GLASS, reviewProofClass: 'ssh' }] };

interface Told {
  /** When the rotation is asked for. */
  readonly afterMs?: number;
  readonly request?: ChangeRequest;
  /** So many of its steps are done, of three, or of one where it has no overlap. */
  readonly steps?: number;
  readonly overlap?: 'twin' | 'none';
  /** What is said of it in the change in which the glass was broken. */
  readonly say?: (glass: Telling, rotation: Telling) => void;
  readonly review?: Partial<Review>;
  /** Left out: it was, before the rotation. */
  readonly isReviewed?: boolean;
  /** Whether the new secret was fetched, so that the rotation is at rest. */
  readonly isFetched?: boolean;
}

const byDecision = (glass: Telling, rotation: Telling): unknown => glass.do({ type: 'recordRotated', by: sidecar, rotation: rotation.now });
const anyhow = (glass: Telling, { changeId }: Pick<Telling, 'changeId'>): unknown => glass.force({ type: 'breakglass.rotated', actor: sidecar, body: { change: changeId } });

/** The glass was broken for a grant that is over and reviewed, and the login was rotated afterwards. */
export function rotated({ afterMs = HOUR, request = { ...ROTATE, subject: CI }, steps = 1, overlap = 'none', say = byDecision, review = {}, isReviewed = true, isFetched = false }: Told = {}): readonly Beat[] {
  const ledger: Beat[] = [];
  const glass = given(ledger);
  glass.later(60_000);
  if (isReviewed) glass.do(reviewBy(review));
  const rotation = toldUntilPlanned(request, START_MS + afterMs, { overlap, ledger, ...(overlap === 'twin' ? { consumers: [CONSUMER] } : {}) });
  for (let n = 0; n < steps; n += 1) {
    toldUntilStep(rotation);
    if (overlap === 'twin' && n === 0) confirm(acknowledge(rotation));
  }
  glass.atMs = Math.max(glass.atMs, rotation.atMs) + 1;
  say(glass, rotation);
  if (isFetched) acknowledge(rotation);
  return ledger;
}

/** … and a reviewer says, then or later, that none is needed. */
export function waived(edit: Partial<Review> = {}): readonly Beat[] {
  return given().later(60_000).do(reviewBy()).later(60_000).do(reviewBy({ by: 'person:ben', rotation: 'notNeeded', ...edit })).beats;
}

const reviewed = (): readonly Beat[] => given().later(60_000).do(reviewBy()).beats;
/** A record more at the end, whatever `decide` thinks of it. */
const ending = (event: NewEvent, make: () => readonly Beat[] = reviewed) => (): readonly Beat[] => {
  const beats = make();
  const last = beats.at(-1)!;
  return [...beats, { changeId: last.changeId, atMs: last.atMs + 1_000, event }];
};
const waiver = (by: string, verdict: 'justified' | 'unjustified' = 'justified'): NewEvent => ({ type: 'breakglass.reviewed', actor: by, body: { verdict, comment: 'a service account', rotation: 'notNeeded' } });

const limited = (edit: object): TrustEdit => ({ ...ONE, breakGlass: [{ ...GLASS, ...edit }] });
/** As it was told before there was such a thing. */
export const untold = editing('breakglass.used', (event: Of<'breakglass.used'>): NewEvent => {
  const { rotateWithinSeconds: _, ...body } = event.body;
  return { ...event, body };
});

/** Told of {@link rotated}, as of {@link LATER_MS}, under {@link ONE}, unless a case says otherwise. */
export const ROTATION_CASES: readonly Case[] = [
  { title: 'a rotation that nobody made', code: 'rotation-overdue', beats: reviewed },
  { title: 'one of another identity', code: 'rotation-mismatch', beats: () => rotated({ request: ROTATE, say: anyhow }), amongOthers: true },
  { title: 'one at another target', code: 'rotation-mismatch', beats: () => rotated({ request: { ...ROTATE, subject: CI, target: 'another' }, say: anyhow }), amongOthers: true },
  { title: 'one that began while the lease ran', code: 'rotation-mismatch', beats: () => rotated({ afterMs: 600_000, say: anyhow }), amongOthers: true },
  { title: 'one whose old credential is still there', code: 'rotation-mismatch', beats: () => rotated({ overlap: 'twin', steps: 2, say: anyhow }), amongOthers: true },
  { title: 'one by a caller’s own code', code: 'rotation-mismatch', beats: () => rotated({ request: { ...CALLED, subject: CI }, steps: 0, say: anyhow }), amongOthers: true },
  { title: 'one that is no rotation', code: 'rotation-mismatch', beats: () => rotated({ say: (glass) => anyhow(glass, glass) }), amongOthers: true },
  { title: 'one that there never was', code: 'rotation-mismatch', beats: () => rotated({ say: (glass) => anyhow(glass, { changeId: `chg_${logId}_01JD00000000000000000000AA` }) }), amongOthers: true },
  { title: 'one that began before the end, which is dated back', code: 'rotation-mismatch', beats: () => datedBack(), amongOthers: true },
  { title: 'a record of it by a person', code: 'wrong-actor', change: editing('breakglass.rotated', (event) => ({ ...event, actor: SAM })) },
  { title: 'one that is told of twice', code: 'record-after-end', beats: () => ending({ type: 'breakglass.rotated', actor: sidecar, body: { change: rotated().at(-1)!.changeId } }, rotated)() },
  { title: 'a rotation that was owed before the lease had ended', code: 'wrong-order', change: earlier, amongOthers: true },
  { title: 'that none is needed, by who broke it', code: 'own-review', beats: ending(waiver(SAM)) },
  { title: 'that none is needed, by who asked', code: 'wrong-actor', beats: ending(waiver(CI)) },
  { title: 'that none is needed, by who was not asked', code: 'not-an-approver', beats: ending(waiver('person:olga')) },
  { title: 'that none is needed, with another verdict', code: 'review-mismatch', beats: ending(waiver('person:ben', 'unjustified')) },
  { title: 'that none is needed, where none is owed any more', code: 'record-after-end', beats: ending(waiver('person:ben'), rotated) },
  { title: 'a time that is longer than the floor says', code: 'break-glass-not-allowed', trust: limited({ rotateWithinSeconds: 86_399 }) },
  { title: 'no time, where the floor says one', code: 'break-glass-not-allowed', change: untold, trust: limited({ rotateWithinSeconds: 86_400 }), amongOthers: true },
  {
    title: 'a time that is longer than policy says', code: 'break-glass-not-allowed',
    change: editing('policy.decided', (event: Of<'policy.decided'>) => {
      const { decision } = event.body;
      return withBody(event, { decision: { ...decision, obligations: { ...decision.obligations, breakGlass: { ...decision.obligations.breakGlass!, rotateWithinSeconds: 3_600 } } } });
    }),
  },
  { title: 'a second glass while a rotation is overdue', code: 'rotation-overdue', beats: () => twice(null), asOfMs: START_MS + 2 * DAY + HOUR },
];

/** The record of the rotation is moved to before the end of the lease. */
function earlier(beats: readonly Beat[]): Beat[] {
  const rotation = beats.find(({ event }) => event.type === 'breakglass.rotated')!;
  const ended = beats.findIndex(({ event }) => event.type === 'lease.ended');
  const rest = beats.filter((beat) => beat !== rotation);
  return [...rest.slice(0, ended), { ...rotation, atMs: beats[ended]!.atMs }, ...rest.slice(ended)];
}

/** The rotation is begun while the lease runs, whose end is then said to have been before it. */
function datedBack(): Beat[] {
  const beats = rotated({ afterMs: 600_000, say: anyhow });
  const [glass, rotation] = [true, false].map((isGlass) => beats.filter(({ changeId }) => (changeId === beats[0]!.changeId) === isGlass)) as [Beat[], Beat[]];
  const ended = glass.findIndex(({ event }) => event.type === 'lease.ended');
  const verified = rotation.findIndex(({ event }) => event.type === 'entitlement.verified');
  return [...glass.slice(0, ended), ...rotation.slice(0, verified), { ...glass[ended]!, atMs: START_MS + 600_000 }, ...rotation.slice(verified), ...glass.slice(ended + 1)];
}

/** A glass, reviewed at once; another two days later; and when the login of the first is rotated, if ever. Nobody reviews the second. */
export function twice(rotatedAfterMs: number | null): readonly Beat[] {
  const ledger: Beat[] = [];
  const glass = given(ledger).later(60_000).do(reviewBy());
  if (rotatedAfterMs !== null) {
    const rotation = toldUntilStep(toldUntilPlanned({ ...ROTATE, subject: CI }, START_MS + rotatedAfterMs, { overlap: 'none', ledger }));
    glass.atMs = rotation.atMs;
    byDecision(glass, rotation);
  }
  given(ledger, START_MS + 2 * DAY);
  return ledger;
}

type Signed = { readonly statement: Dsse; readonly salt: string; readonly proofClass?: 'passkey' };

/** A review that Ana has signed, or what is put in its place. */
export function signedReview(edit: Partial<BreakGlassReviewStatement> = {}, make: (statement: BreakGlassReviewStatement) => Signed = by()): readonly Beat[] {
  const glass = given().later(60_000);
  const { salt, ...signed } = make(reviewStatement(glass, { ...WAIVED, ...edit }));
  glass.force({ type: 'breakglass.reviewed', actor: 'person:ana', body: { verdict: 'justified', comment: FOUND, ...WAIVED, ...signed }, attached: { salt } });
  return glass.beats;
}
const WAIVED = { rotation: 'notNeeded' } as const;
/** Nothing is said of a rotation. */
const unsaid = ({ rotation: _, ...statement }: BreakGlassReviewStatement): Signed => ({ statement: reviewOf(statement), salt: GLASS_SALT });
function by(key = anasKey, options: Parameters<typeof reviewOf>[2] = {}) {
  return (statement: BreakGlassReviewStatement): Signed => ({ statement: reviewOf(statement, key, options), salt: GLASS_SALT });
}

const anasPasskey = testPasskey();
/** … and only a passkey is one. Ana's SSH key is known all the same. */
export const BY_PASSKEY: TrustEdit = { ...SIGNED, passkeys: JSON.stringify([anasPasskey.entry('person:ana')]), breakGlass: [{ ...GLASS, reviewProofClass: 'passkey' }] };
const answered = (passkey = anasPasskey, edit: AssertionEdit = {}, type = BREAK_GLASS_REVIEW_TYPE) => (statement: BreakGlassReviewStatement): Signed => ({ statement: passkey.envelope(statement, type, edit), salt: GLASS_SALT, proofClass: 'passkey' });
/** What she has answered for one review stands beside the statement of another. */
const replayed = (edit: object) => (statement: BreakGlassReviewStatement): Signed => {
  const { statement: other, ...rest } = answered()({ ...statement, ...edit });
  return { ...rest, statement: { ...answered()(statement).statement, signatures: other.signatures } };
};
export const reviewedByPasskey = (): readonly Beat[] => signedReview({}, answered());

/** Under {@link BY_PASSKEY}, as of {@link LATER_MS}. */
export const PASSKEY_CASES: readonly Case[] = [
  { title: 'a review by session', code: 'review-signature', beats: () => given().later(60_000).do(reviewBy({ rotation: 'notNeeded' })).beats },
  { title: 'a review by an SSH key', code: 'review-signature', beats: () => signedReview() },
  { title: 'an SSH signature that is said to be a passkey’s', code: 'review-signature', beats: () => signedReview({}, (statement) => ({ ...by()(statement), proofClass: 'passkey' })) },
  { title: 'a passkey’s answer that is said to be of an SSH key', code: 'review-signature', beats: () => signedReview({}, (statement) => { const { proofClass: _, ...rest } = answered()(statement); return rest; }) },
  { title: 'a passkey of nobody', code: 'review-signature', beats: () => signedReview({}, answered(testPasskey())) },
  { title: 'her passkey in the name of another', code: 'review-signature', beats: () => signedReview({ reviewer: 'person:ben' }, answered()) },
  { title: 'her answer for the other verdict', code: 'review-signature', beats: () => signedReview({}, replayed({ verdict: 'unjustified' })) },
  { title: 'her answer for another glass', code: 'review-signature', beats: () => signedReview({}, replayed({ breakGlass: `sha256:${'5'.repeat(64)}` })) },
  { title: 'an answer for another relying party', code: 'review-signature', beats: () => signedReview({}, answered(anasPasskey, { rpId: 'elsewhere.example.org' })) },
  { title: 'an answer at another origin', code: 'review-signature', beats: () => signedReview({}, answered(anasPasskey, { client: { origin: 'https://elsewhere.example.org' } })) },
  { title: 'an answer of somebody who was not verified', code: 'review-signature', beats: () => signedReview({}, answered(anasPasskey, { flags: 0x01 })) },
  { title: 'an answer in an envelope of another type', code: 'review-signature', beats: () => signedReview({}, answered(anasPasskey, {}, 'application/vnd.countersign.approval+json')) },
  { title: 'another verdict than was answered for', code: 'review-mismatch', beats: () => signedReview({ verdict: 'unjustified' }, answered()) },
  { title: 'what had expired', code: 'review-signature', beats: () => signedReview({ expiresAt: formatTime(START_MS) }, answered()) },
];

/** Under {@link SIGNED}, as of {@link LATER_MS}. */
export const SIGNED_CASES: readonly Case[] = [
  { title: 'a review by session', code: 'review-signature', beats: () => given().later(60_000).do(reviewBy({ rotation: 'notNeeded' })).beats },
  { title: 'that no rotation is needed, by session', code: 'review-signature', beats: () => ending(waiver('person:ben'), () => editing('breakglass.reviewed', ({ body: { rotation: _, ...body }, ...event }): NewEvent => ({ ...event, body }))(signedReview({}, unsaid)))() },
  { title: 'a key of nobody', code: 'review-signature', beats: () => signedReview({}, by(testSshKey())) },
  { title: 'the key of who broke it', code: 'review-signature', beats: () => signedReview({}, by(samsKey)) },
  { title: 'the sidecar’s key', code: 'review-signature', beats: () => signedReview({}, (statement) => ({ statement: { ...reviewOf(statement), signatures: [{ keyid: 'sidecar', sig: 'AAAA' }] }, salt: GLASS_SALT })) },
  { title: 'what was signed as breaking the glass', code: 'review-signature', beats: () => signedReview({}, by(anasKey, { namespace: 'breakglass@countersign' })) },
  { title: 'a key that was retired before', code: 'review-signature', beats: signedReview, trust: { ...SIGNED, signers: `${ONE.signers!}\nperson:ana valid-before="20261101Z" ${anasKey.publicLine}` } },
  { title: 'a key that may sign approvals only', code: 'review-signature', beats: signedReview, trust: { ...SIGNED, signers: `${ONE.signers!}\nperson:ana namespaces="approval@countersign" ${anasKey.publicLine}` } },
  { title: 'a signature that does not hold, where none is asked for', code: 'review-signature', beats: () => signedReview({}, by(testSshKey())), trust: ONE },
  { title: 'another verdict than was signed', code: 'review-mismatch', beats: () => signedReview({ verdict: 'unjustified' }) },
  { title: 'another comment than was signed', code: 'review-mismatch', beats: () => signedReview({ comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'looked at it' }) }) },
  { title: 'that no rotation is needed, which was not signed', code: 'review-mismatch', beats: () => signedReview({}, unsaid) },
  { title: 'a review of another change', code: 'review-mismatch', beats: () => signedReview({ changeId: `chg_${logId}_01JD00000000000000000000AA` }) },
  { title: 'a review of another glass', code: 'review-mismatch', beats: () => signedReview({ breakGlass: `sha256:${'5'.repeat(64)}` }) },
  { title: 'what had expired', code: 'review-signature', beats: () => signedReview({ expiresAt: formatTime(START_MS) }) },
  { title: 'what is good for longer than it may be', code: 'review-signature', beats: () => signedReview({ expiresAt: formatTime(START_MS + DAY) }) },
  { title: 'a signed review in the name of another', code: 'wrong-actor', beats: () => editing('breakglass.reviewed', (event) => ({ ...event, actor: 'person:ben' }))(signedReview()) },
];
