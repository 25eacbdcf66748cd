/** Ledgers in which a standing approval was used, and what must be found of each lie about it. */
import type { NewEvent } from '../../src/change/events.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { approvalIdOf } from '../../src/protocol/approval-proof.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { readStanding, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { editing, following, withBody, type Of } from '../support/edit-story.ts';
import { testPasskey } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';
import { anasKey, answeredFor, COUNTING, COUNTING_PASSKEYS, counting, givenBy, replayedFor, revokedBy, standingOf, TEMPLATE, toldUntilUsed, useOf, usedTimes } from '../support/standing.ts';
import { GRANT, logId, keys, sign, statementOf, START_MS, toldUntilArmed, toldUntilDecided, type Beat } from '../support/story.ts';
import type { Case } from './verified.ts';

const stranger = testSshKey();
export const SIGNED = standingOf(TEMPLATE);
export const GIVEN = [givenBy(SIGNED)];
export const used = (): readonly Beat[] => usedTimes(SIGNED, [1]);

/** The use is of another template, which is on record. */
function under(edit: Partial<StandingStatement>, key = anasKey, options: Parameters<typeof standingOf>[2] = {}): Pick<Case, 'beats' | 'first'> {
  const other = standingOf({ ...TEMPLATE, ...edit }, key, options);
  return { beats: () => usedTimes(other, [1]), first: [givenBy(other, readStanding(other).approver)] };
}
const recorded = (edit: (event: Of<'approval.recorded'>) => NewEvent) => editing('approval.recorded', edit);

/** Each field that bounds what is approved, with what no longer covers the plan of the story. */
export const NARROWED: readonly (readonly [keyof StandingStatement, Partial<StandingStatement>])[] = [
  ['subject', { subject: 'nhi:prod/another' }], ['kinds', { kinds: ['provision', 'extend', 'rotate'] }], ['connector', { connector: 'pg-other' }], ['target', { target: 'other' }],
  ['accounts', { accounts: ['another'] }], ['privileges', { privileges: ['role:deployer'] }], ['maxLeaseSeconds', { maxLeaseSeconds: 1_799 }],
];

export const STANDING_CASES: readonly Case[] = [
  ...NARROWED.map(([field, edit]): Case => ({ title: `a plan beyond its ${field}`, code: 'standing-widened', ...under(edit) })),
  { title: 'a template of another log that is recorded here', code: 'standing-mismatch', ...under({ log: '0123456789abcdef' }) },
  { title: 'a use of one for another log', code: 'standing-mismatch', beats: () => usedTimes(standingOf({ ...TEMPLATE, log: '0123456789abcdef' }), [1]), first: [] },
  { title: 'one that nobody gave', code: 'standing-not-in-force', first: [] },
  { title: 'one that is given after it was used', code: 'standing-not-in-force', first: [], extra: [givenBy(SIGNED, undefined, undefined, START_MS + 9_000_000)] },
  { title: 'one that was revoked before', code: 'standing-not-in-force', first: [...GIVEN, revokedBy(SIGNED)] },
  { title: 'one that is over', code: 'standing-not-in-force', ...under({ notBefore: formatTime(START_MS - 1_000), expiresAt: formatTime(START_MS + 30) }) },
  { title: 'one that has not begun', code: 'standing-not-in-force', ...under({ notBefore: formatTime(START_MS + 2_000) }) },
  { title: 'one that was over when it was given', code: 'standing-not-in-force', ...under({ notBefore: formatTime(START_MS - 2_000), expiresAt: formatTime(START_MS - 1_000) }) },
  { title: 'one that is good for longer than 30 days', code: 'standing-signature', ...under({ expiresAt: formatTime(START_MS + 30 * 86_400_000 + 1) }) },
  { title: 'one that gives without an end', code: 'standing-signature', ...under({ maxLeaseSeconds: null }) },
  { title: 'a key of nobody', code: 'standing-signature', ...under({}, stranger) },
  { title: 'another’s name', code: 'standing-signature', ...under({ approver: 'person:ben' }) },
  { title: 'what was signed as an approval', code: 'standing-signature', ...under({}, anasKey, { namespace: 'approval@countersign' }) },
  { title: 'the sidecar’s own signature', code: 'standing-signature', beats: () => usedTimes({ ...SIGNED, signatures: sign.order({} as never, keys.ticket).signatures }, [1]) },
  { title: 'a key that was retired', code: 'standing-signature', trust: { ...COUNTING, signers: `person:ana valid-before="20261101Z" ${anasKey.publicLine}` } },
  { title: 'a use more than it allows', code: 'standing-overused', beats: () => usedTimes(SIGNED, [1, 2, 3, 4]) },
  { title: 'a use that is counted again', code: 'standing-overused', beats: () => usedTimes(SIGNED, [1, 1]) },
  { title: 'a use that is left out', code: 'standing-overused', beats: () => usedTimes(SIGNED, [1, 3]) },
  { title: 'a number beyond what it allows', code: 'standing-overused', beats: () => usedTimes(SIGNED, [4]) },
  { title: 'a use where policy lets none count', code: 'standing-not-allowed', beats: () => usedTimes(SIGNED, [1], counting(null)) },
  { title: 'a use for longer than policy lets it be', code: 'standing-not-allowed', beats: () => usedTimes(SIGNED, [1], counting({ maxLeaseSeconds: 1_799 })) },
  { title: 'a use that counts no more at dispatch', code: 'approvals-insufficient', change: editing('policy.decided', (event: Of<'policy.decided'>) => withBody(event, { decision: counting(null) }), 1), amongOthers: true },
  { title: 'a use recorded by her', code: 'wrong-actor', change: recorded((event) => ({ ...event, actor: 'person:ana' })) },
  { title: 'a use by somebody who asked', code: 'self-approval', change: (beats) => editing('change.requested', (event: Of<'change.requested'>) => withBody(event, { requester: ['nhi:prod/ci-deployer', 'person:ana'] }))(beats), amongOthers: true },
  { title: 'a use of one by who was not asked', code: 'not-an-approver', trust: { ...COUNTING, signers: `person:olga ${anasKey.publicLine}` }, ...under({ approver: 'person:olga' }) },
  { title: 'an id that is not its own', code: 'standing-mismatch', change: recorded((event) => withBody(event, { approval: { ...event.body.approval, approvalId: `apr_${'0'.repeat(32)}` } })), amongOthers: true },
  { title: 'a proof of another class', code: 'standing-signature', change: recorded((event) => withBody(event, { approval: { ...event.body.approval, proofClass: 'passkey' } })) },
  { title: 'a template in the place of a verdict', code: 'approval-signature', change: recorded((event) => withBody(event, { approval: { approvalId: approvalIdOf(SIGNED), proofClass: 'ssh', envelope: SIGNED } })), amongOthers: true },
  { title: 'a floor that counts none', code: 'below-floor', trust: { signers: COUNTING.signers! } },
  { title: 'a use of one whose giver has rejected the plan', code: 'rejection-mismatch', beats: () => overruled() },
  { title: 'a use of one whose giver has rejected an earlier revision', code: 'standing-not-allowed', beats: () => rejectedBefore() },
  { title: 'a use before those who are asked first have approved', code: 'approval-out-of-stage', beats: () => early() },
  { title: 'a rejection by it', code: 'standing-mismatch', change: following('approval.recorded', () => ({ type: 'approval.rejected', actor: 'person:ana', body: { approval: useOf(SIGNED, 2), comment: 'no' } })), amongOthers: true },
  { title: 'a template in another’s name', code: 'wrong-actor', first: [givenBy(SIGNED, 'person:ben')] },
  { title: 'a template recorded for another reason', code: 'standing-mismatch', first: [givenBy(SIGNED, undefined, { commitment: `sha256:${'1'.repeat(64)}` })], amongOthers: true },
  { title: 'a template that is given twice', code: 'wrong-order', first: [...GIVEN, givenBy(SIGNED)] },
  { title: 'a revocation by no person', code: 'wrong-actor', first: [...GIVEN, revokedBy(SIGNED, 'sidecar:0123456789abcdef')] },
  { title: 'a revocation of what was not given', code: 'wrong-order', first: [...GIVEN, revokedBy(standingOf({ ...TEMPLATE, uses: 4 }))] },
];

const useNow = (): NewEvent => ({ type: 'approval.recorded', actor: `sidecar:${logId}`, body: { approval: useOf(SIGNED), comment: null } });

/** She has said no, which two people must, and what she signed before says yes for her. */
function overruled(): readonly Beat[] {
  const asks = counting();
  const said = { ...asks, obligations: { ...asks.obligations, rejections: 2 } };
  const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', undefined, said).later(10);
  telling.do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana', 'reject')), comment: 'not this one' });
  return telling.later(10).force(useNow()).beats;
}

/** She has said no to the revision before, and what she signed before says yes for her to the next. */
function rejectedBefore(): readonly Beat[] {
  const asks = counting();
  const said = { ...asks, obligations: { ...asks.obligations, rejections: 2 } };
  const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', undefined, said).later(10);
  telling.do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana', 'reject')), comment: 'not this one' });
  const again = { ...GRANT, reason: 'release 43' };
  telling.later(10).do({ type: 'revise', by: GRANT.subject, request: again });
  return toldUntilArmed(toldUntilDecided(again, START_MS, 'needsApproval', telling, said).later(10).force(useNow()), said).beats;
}

/** Ben is asked first. */
function early(): readonly Beat[] {
  const asks = counting();
  const said = { ...asks, obligations: { ...asks.obligations, approvers: { stages: ['person:ben', 'person:ana'] } } };
  const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', undefined, said).later(10).force(useNow()).later(10);
  telling.do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ben')), comment: null });
  return toldUntilArmed(telling, said).beats;
}

export const ANSWERED = answeredFor(TEMPLATE);
const withEnvelope = (envelope: Dsse): Pick<Case, 'beats' | 'first'> => ({ beats: () => usedTimes(envelope, [1]), first: [givenBy(envelope)] });

/** Under {@link COUNTING_PASSKEYS}: the giving is found, and the use. */
export const PASSKEY_CASES: readonly Case[] = [
  { title: 'her SSH key, where the floor asks for a passkey', code: 'below-floor', ...withEnvelope(SIGNED) },
  { title: 'a passkey of nobody', code: 'standing-signature', ...withEnvelope(answeredFor(TEMPLATE, {}, testPasskey())) },
  { title: 'a passkey in another’s name', code: 'standing-signature', beats: () => usedTimes(answeredFor({ ...TEMPLATE, approver: 'person:ben' }), [1]), first: [givenBy(answeredFor({ ...TEMPLATE, approver: 'person:ben' }), 'person:ben')] },
  { title: 'her answer for a narrower template', code: 'standing-signature', ...withEnvelope(replayedFor(TEMPLATE, { ...TEMPLATE, uses: 1 })) },
  { title: 'her answer for an approval of one plan', code: 'standing-signature', ...withEnvelope(replayedFor(TEMPLATE, statementOf(toldUntilDecided(GRANT, START_MS, 'needsApproval'), 'person:ana'))) },
  { title: 'an answer for another relying party', code: 'standing-signature', ...withEnvelope(answeredFor(TEMPLATE, { rpId: 'elsewhere.example.org' })) },
  { title: 'an answer of somebody who was not verified', code: 'standing-signature', ...withEnvelope(answeredFor(TEMPLATE, { flags: 0x01 })) },
  { title: 'a passkey that was retired', code: 'standing-signature', trust: { ...COUNTING_PASSKEYS, passkeys: COUNTING_PASSKEYS.passkeys!.replace('{', '{"validBefore":"2026-11-01T00:00:00.000Z",') } },
  { title: 'a folder that knows no passkeys', code: 'standing-signature', trust: COUNTING },
  { title: 'an answer that is given as an SSH signature', code: 'standing-signature', first: [systemDraft('standing.approved', { approvalId: approvalIdOf(ANSWERED), statement: ANSWERED, reason: TEMPLATE.reason }, 'person:ana', START_MS)], amongOthers: true },
  { title: 'a use by session', code: 'standing-signature', change: recorded((event) => withBody(event, { approval: { ...event.body.approval, proofClass: 'session' } })) },
  { title: 'a plan beyond the privileges', code: 'standing-widened', ...withEnvelope(answeredFor({ ...TEMPLATE, privileges: ['role:deployer'] })) },
];

/** Approved by it, held up for longer than people had to decide, and then rejected by somebody who is asked. */
export function rejectedLate(): readonly Beat[] {
  const telling = toldUntilUsed(useOf(SIGNED)).later(7_200_000);
  telling.do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ben', 'reject')), comment: 'not today' });
  return telling.beats;
}

/** Approved by it, dispatched, and revoked while that was under way. */
export const begun = (): readonly Beat[] => toldUntilArmed(toldUntilUsed(useOf(SIGNED)), counting()).beats;
