/** Ledgers in which approvals are proven by passkeys: whoever has the sidecar's keys can write all the rest, and makes none of these. */
import { expect, it } from 'vitest';
import type { NewEvent } from '../../src/change/events.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { editing, restated, type Of } from '../support/edit-story.ts';
import { testPasskey, type AssertionEdit } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';
import { GRANT, sign, START_MS, statementOf, toldUntilActive, toldUntilArmed, toldUntilDecided, type Beat, type TrustEdit } from '../support/story.ts';
import { expectCaught, verified, workflowOf, type Case } from './verified.ts';

const [ana, stranger, ssh] = [testPasskey(), testPasskey(), testSshKey()];
const listed = (edit: object = {}): string => JSON.stringify([ana.entry('person:ana', edit)]);
const PROVEN: TrustEdit = { proofClass: 'passkey', passkeys: listed(), signers: `person:ana ${ssh.publicLine}\n` };
const asOfMs = START_MS + 600_000;

/** A grant whose owner approved it, by whatever makes the approval. */
function approved(approval: (statement: ApprovalStatement) => Approval): readonly Beat[] {
  const telling = toldUntilDecided(GRANT, START_MS);
  telling.later(60_000).do({ type: 'approve', approval: approval(statementOf(telling, 'person:ana')), comment: null });
  return toldUntilActive(toldUntilArmed(telling)).beats;
}
const byPasskey = (): readonly Beat[] => approved((statement) => ana.approval(statement));
/** The approval made anew of its statement. */
const reproven = (prove: (statement: ApprovalStatement) => Approval, of: () => readonly Beat[] = byPasskey) => (): readonly Beat[] =>
  editing('approval.recorded', (event: Of<'approval.recorded'>): NewEvent => ({ ...event, body: { ...event.body, approval: prove(readPayload(event.body.approval.envelope, approvalStatementSchema)) } }))(of());
const asserted = (edit: AssertionEdit): (() => readonly Beat[]) => reproven((statement) => ana.approval(statement, edit));

it.each<[string, TrustEdit]>([['that asks for it', PROVEN], ['that asks for a signature', { ...PROVEN, proofClass: 'ssh' }], ['that asks for neither', { passkeys: PROVEN.passkeys! }]])('what its approver proved by passkey holds, under a floor %s', async (_what, trust) => {
  expect(workflowOf(await verified(byPasskey(), trust, { asOfMs })).status).toBe('holds');
});

it('… while the passkey was good', async () => {
  const until = (validBefore: string): TrustEdit => ({ ...PROVEN, passkeys: listed({ validBefore }) });
  expect(workflowOf(await verified(byPasskey(), until('2026-11-23T19:02:00.000Z'), { asOfMs })).status).toBe('holds');
  expect(workflowOf(await verified(byPasskey(), until('2026-11-23T19:01:00.000Z'), { asOfMs })).status).toBe('fails');
});

const CASES: readonly Case[] = [
  { title: 'a session, where the floor asks for a passkey', code: 'below-floor', beats: () => approved((statement) => sign.approval(statement)), trust: PROVEN, asOfMs },
  { title: 'an SSH signature, where the floor asks for a passkey', code: 'below-floor', beats: () => approved((statement) => ssh.approval(statement)), trust: PROVEN, asOfMs },
  { title: 'a passkey that the sidecar chose', code: 'approval-signature', beats: reproven((statement) => stranger.approval(statement)), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'a passkey that only the sidecar’s trust folder has', code: 'approval-signature', beats: byPasskey, asOfMs, amongOthers: true },
  { title: 'an envelope of the sidecar’s that is said to be of a passkey', code: 'approval-signature', beats: reproven((statement) => ({ ...sign.approval(statement), proofClass: 'passkey' })), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'an SSH signature that is said to be of a passkey', code: 'approval-signature', beats: reproven((statement) => ({ ...ssh.approval(statement), proofClass: 'passkey' })), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'a passkey that answered on another page', code: 'approval-signature', beats: asserted({ client: { origin: 'https://evil.example' } }), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'a passkey that answered another relying party', code: 'approval-signature', beats: asserted({ rpId: 'evil.example' }), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'a passkey whose holder was not verified', code: 'approval-signature', beats: asserted({ flags: 0x01 }), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'her approval of another plan, under the id of this one', code: 'approval-signature', beats: reproven((statement) => {
    const { approvalId, envelope } = ana.approval(statement);
    const { signatures } = ana.approval({ ...statement, planDigest: `sha256:${'3'.repeat(64)}` }).envelope;
    return { approvalId, proofClass: 'passkey', envelope: { ...envelope, signatures } };
  }), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'her rejection, turned', code: 'approval-signature', beats: reproven((statement) => {
    const { approvalId, envelope } = ana.approval(statement);
    return { approvalId, proofClass: 'passkey', envelope: { ...envelope, signatures: ana.approval({ ...statement, verdict: 'reject' }).envelope.signatures } };
  }), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'her approval of another plan', code: 'approval-mismatch', beats: reproven((statement) => ana.approval({ ...statement, planDigest: `sha256:${'3'.repeat(64)}` })), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'her rejection, recorded as an approval', code: 'approval-mismatch', beats: reproven((statement) => ana.approval({ ...statement, verdict: 'reject' })), trust: PROVEN, asOfMs, amongOthers: true },
  { title: 'somebody else’s approval, by her passkey', code: 'approval-signature', beats: reproven((statement) => ana.approval(statement), () => editing('approval.recorded', (event) => restated(event, { approver: 'person:ben' }))(byPasskey())), trust: PROVEN, asOfMs, amongOthers: true },
];

it.each(CASES)('is found: $title', (one) => expectCaught(one, byPasskey));
