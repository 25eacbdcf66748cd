/** What an executor makes of approvals by passkey: it believes its own trust folder, and nothing that the sidecar says of them. */
import { expect, test } from 'vitest';
import { admit } from '../../src/executor/admission.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { APPROVER, makeStep, type Edits } from '../support/envelopes.ts';
import { testPasskey } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';
import { EXECUTOR, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

const [passkey, stolen, ssh] = [testPasskey(), testPasskey(), testSshKey()];
const PROVEN: TrustEdit = { proofClass: 'passkey', passkeys: JSON.stringify([passkey.entry(APPROVER)]), signers: `${APPROVER} ${ssh.publicLine}` };
const proven = (prove: (statement: ApprovalStatement) => Approval): Edits => ({ approvals: ([approval]) => [prove(readPayload(approval!.envelope, approvalStatementSchema))] });

function answer(edits: Edits, trustEdit: TrustEdit = PROVEN): string {
  const admission = admit(makeStep(edits).envelope, { trust: storyTrust(trustEdit), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
  return admission.ok ? 'admitted' : admission.code;
}

test('a step that was approved by passkey is admitted, under a floor that asks for it and under one that does not', () => {
  const edits = proven((statement) => passkey.approval(statement));
  expect(answer(edits)).toBe('admitted');
  expect(answer(edits, { ...PROVEN, proofClass: 'ssh' })).toBe('admitted');
  expect(answer(edits, { passkeys: PROVEN.passkeys! })).toBe('admitted');
});

test.each<[string, string, Edits, TrustEdit?]>([
  ['a session, which the sidecar says of itself', 'below-floor', {}],
  ['an SSH signature', 'below-floor', proven((statement) => ssh.approval(statement))],
  ['a session where the decision asks for a passkey', 'approvals-insufficient', { body: (body) => ({ ...body, requirement: { approvers: APPROVER, proofClass: 'passkey' } }) }, {}],
  ['a passkey that nobody listed', 'approval-invalid', proven((statement) => stolen.approval(statement))],
  ['a passkey, where its own folder lists none', 'approval-invalid', proven((statement) => passkey.approval(statement)), {}],
  ['a passkey of somebody else', 'approval-invalid', proven((statement) => passkey.approval(statement)), { ...PROVEN, passkeys: JSON.stringify([passkey.entry('person:bert')]) }],
  ['a passkey that is over', 'approval-invalid', proven((statement) => passkey.approval(statement)), { ...PROVEN, passkeys: JSON.stringify([passkey.entry(APPROVER, { validBefore: formatTime(START_MS) })]) }],
  ['her approval of another plan', 'approval-invalid', proven((statement) => passkey.approval({ ...statement, planDigest: `sha256:${'2'.repeat(64)}` }))],
  ['her rejection', 'approval-invalid', proven((statement) => passkey.approval({ ...statement, verdict: 'reject' }))],
  ['her rejection, turned', 'approval-invalid', proven((statement) => {
    const { approvalId, envelope } = passkey.approval(statement);
    return { approvalId, proofClass: 'passkey', envelope: { ...envelope, signatures: passkey.approval({ ...statement, verdict: 'reject' }).envelope.signatures } };
  })],
  ['what she answered on another page', 'approval-invalid', proven((statement) => passkey.approval(statement, { client: { origin: 'https://evil.example' } }))],
  ['what her authenticator gave without knowing her', 'approval-invalid', proven((statement) => passkey.approval(statement, { flags: 0x01 }))],
])('%s: %s', (_what, code, edits, trustEdit) => {
  expect(answer(edits, trustEdit)).toBe(code);
});
