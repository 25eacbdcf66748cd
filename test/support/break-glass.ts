/** Broken glass for tests: who may break it, what she signs, and a change that was given so. */
import { canonicalBytes } from '../../ledger/index.ts';
import type { Use } from '../../src/change/break-glass.ts';
import type { Review } from '../../src/change/glass-debts.ts';
import { BREAK_GLASS_REVIEW_NAMESPACE, BREAK_GLASS_REVIEW_TYPE, type BreakGlassReviewStatement } from '../../src/protocol/break-glass-review.ts';
import { BREAK_GLASS_NAMESPACE, BREAK_GLASS_TYPE, type BreakGlassStatement } from '../../src/protocol/break-glass.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import type { BreakGlassFloor } from '../../src/protocol/trust.ts';
import { sshEnvelope } from '../../src/protocol/ssh-proof.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { testSshKey, type SshSignOptions, type TestSshKey } from './ssh.ts';
import { ANA, decision, GRANT, logId, salt, START_MS, Telling, toldUntilArmed, toldUntilDecided, type Beat, type TrustEdit } from './story.ts';

export const SAM = 'person:sam';
export const samsKey = testSshKey();
export const REASON = 'the exports stand still, and nobody answers';
export const GLASS_SALT = salt(9);

/** Sam may break the glass, for an hour at most, and has a day. */
export const GLASS: BreakGlassFloor = { connector: '*', target: '*', privilege: '*', people: [SAM], maxLeaseSeconds: 3_600, reviewWithinSeconds: 86_400 };
/** A floor that asks for two people, and lets Sam break the glass. */
export const BREAKABLE: TrustEdit = { quorum: 2, signers: `${SAM} ${samsKey.publicLine}`, breakGlass: [GLASS] };

export function glassOf(statement: BreakGlassStatement, key: TestSshKey = samsKey, options: SshSignOptions = {}, type: string = BREAK_GLASS_TYPE): Dsse {
  const bytes = canonicalBytes(statement);
  return sshEnvelope(bytes, key.sign(bytes, { namespace: BREAK_GLASS_NAMESPACE, ...options }), type);
}

/** Of the change as it is planned now, good for a quarter of an hour. */
export function glassStatement(telling: Telling, edit: Partial<BreakGlassStatement> = {}): BreakGlassStatement {
  const { revision, planDigest } = telling.now;
  return { v: 1, log: logId, changeId: telling.changeId, revision, planDigest: planDigest!, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }), usedBy: SAM, expiresAt: formatTime(telling.atMs + 900_000), ...edit };
}

/** Policy asks for approval, and lets the glass be broken. */
export function letting(breakGlass: NonNullable<Decision['obligations']['breakGlass']> = { maxLeaseSeconds: 3_600, reviewWithinSeconds: 86_400 }): Decision {
  const asks = decision('needsApproval', ANA);
  return { ...asks, obligations: { ...asks.obligations, breakGlass } };
}

/** Asked for, decided, and the glass broken a minute later. */
export function toldUntilBroken(atMs = START_MS, ledger: Beat[] = [], said = letting(), owed: Use['owed'] = null): Telling {
  const telling = toldUntilDecided(GRANT, atMs, 'needsApproval', new Telling(atMs, ledger), said).later(60_000);
  return telling.do({ type: 'breakGlass', statement: glassOf(glassStatement(telling)), reason: REASON, salt: GLASS_SALT, limits: GLASS, owed });
}

export const toldUntilGiven = (telling: Telling, said = letting()): Telling => toldUntilArmed(telling, said);

export const anasKey = testSshKey();
export const FOUND = 'the exports ran again';

/** What Ana signs of the broken glass, good for a quarter of an hour. */
export function reviewStatement(telling: Telling, edit: Partial<BreakGlassReviewStatement> = {}): BreakGlassReviewStatement {
  const { digest, statement } = telling.now.breakGlass!;
  return {
    v: 1, log: logId, changeId: telling.changeId, revision: statement.revision, breakGlass: digest, verdict: 'justified', comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: FOUND }), reviewer: 'person:ana',
    expiresAt: formatTime(telling.atMs + 900_000), ...edit,
  };
}

export function reviewOf(statement: BreakGlassReviewStatement, key: TestSshKey = anasKey, options: SshSignOptions = {}): Dsse {
  const bytes = canonicalBytes(statement);
  return sshEnvelope(bytes, key.sign(bytes, { namespace: BREAK_GLASS_REVIEW_NAMESPACE, ...options }), BREAK_GLASS_REVIEW_TYPE);
}

/** Ana's review, by her session, or signed. */
export function reviewBy(edit: Partial<Review> = {}): Review {
  return { type: 'reviewBreakGlass', by: 'person:ana', verdict: 'justified', comment: FOUND, demanded: 'session', ...edit };
}
