/** An approval by its approver's own signature: nobody else's counts, and hers counts for nothing else. */
import { describe, expect, it } from 'vitest';
import { canonicalBytes, generateSignerKey, parseSigner, parseVerifier } from '../../ledger/index.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { approvalIdOf, openApproval, type ProofContext } from '../../src/protocol/approval-proof.ts';
import { sshEnvelope } from '../../src/protocol/ssh-proof.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { APPROVAL_TYPE, REPORT_TYPE, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { testSshKey } from '../support/ssh.ts';

const AT_MS = Date.parse('2026-11-23T19:00:00.000Z');
const [ana, wei, stranger] = [testSshKey(), testSshKey('sk-ssh-ed25519@openssh.com'), testSshKey()];
const sidecar = parseSigner(generateSignerKey('example.org/tickets', new Uint8Array(32).fill(3)).skey);
const signers = (options = ''): ProofContext['signers'] => parseAllowedSigners(`person:ana ${options} ${ana.publicLine}\nperson:wei ${wei.publicLine}`);
const context = (edit: Partial<ProofContext> = {}): ProofContext => ({ sidecarKeys: [parseVerifier(sidecar.vkey)], signers: signers(), passkeys: new Map(), atMs: AT_MS, ...edit });
const statement: ApprovalStatement = {
  v: 1, log: '0123456789abcdef', changeId: 'chg_0123456789abcdef_01M8N3HS1G06ZGYKHN2F5KRQC0', revision: 1, planDigest: `sha256:${'a'.repeat(64)}`, verdict: 'approve', approver: 'person:ana',
  expiresAt: '2026-11-24T19:00:00.000Z',
};
const approval = ana.approval(statement);
const signature = (edit: Partial<Approval['envelope']['signatures'][number]>): Approval => ({ ...approval, envelope: { ...approval.envelope, signatures: [{ ...approval.envelope.signatures[0]!, ...edit }] } });

it('is the statement, whichever of her keys proves it', () => {
  expect(openApproval(approval, context())).toEqual(statement);
  expect(openApproval(wei.approval({ ...statement, approver: 'person:wei' }), context())).toMatchObject({ approver: 'person:wei' });
});

describe('the sidecar’s key', () => {
  const bySidecar = signDsse(APPROVAL_TYPE, statement, sidecar);
  it('proves a session, and no signature of hers', () => {
    expect(openApproval({ ...approval, proofClass: 'session', envelope: bySidecar }, context())).toEqual(statement);
    expect(() => openApproval({ ...approval, envelope: bySidecar }, context())).toThrow(/the signature: not an SSH signature/);
  });
  it('is not what her signature is taken for', () => {
    expect(() => openApproval({ ...approval, proofClass: 'session' }, context())).toThrow(/no trusted key/);
  });
});

it.each<[string, () => Approval, RegExp, Partial<ProofContext>?]>([
  ['a key that nobody allowed', () => stranger.approval(statement), /not among the allowed signers/],
  ['her key under the name of somebody else', () => ana.approval({ ...statement, approver: 'person:wei' }), /a key of person:ana under the name of person:wei/],
  ['what she signed for git', () => ana.approval(statement, { namespace: 'git' }), /not signed as an approval/],
  ['a key that is allowed for git alone', () => approval, /not signed as an approval/, { signers: signers('namespaces="git"') }],
  ['a key that was not good yet', () => approval, /was not good then/, { signers: signers('valid-after="20261124Z"') }],
  ['a key that was no longer good', () => approval, /was not good then/, { signers: signers('valid-before="202611231900Z"') }],
  ['her rejection, turned', () => {
    const turned = Buffer.from(canonicalBytes(statement)).toString('base64');
    const rejection = ana.approval({ ...statement, verdict: 'reject' });
    return { ...approval, envelope: { ...rejection.envelope, payload: turned } };
  }, /does not hold/],
  ['the fingerprint of another key', () => signature({ keyid: wei.approval({ ...statement, approver: 'person:wei' }).envelope.signatures[0]!.keyid }), /and said to be with/],
  ['no SSH signature', () => signature({ sig: Buffer.from('SSHSIG').toString('base64') }), /the signature: cut short/],
  ['a second spelling of the signature', () => signature({ sig: `${approval.envelope.signatures[0]!.sig}\n` }), /not canonical base64/],
  ['another type of document', () => ({ ...approval, envelope: { ...approval.envelope, payloadType: REPORT_TYPE } }), /payload type/],
  ['the id of another approval', () => ({ ...approval, approvalId: `apr_${'0'.repeat(32)}` }), /not the id of its statement/],
  ['her signature, said to be by a passkey', () => ({ ...approval, proofClass: 'passkey' }), /not among the passkeys/],
  ['a statement that is not canonical', () => {
    const text = Buffer.from(JSON.stringify(statement, null, 1));
    const envelope = sshEnvelope(text, ana.sign(text));
    return { approvalId: approvalIdOf(envelope), proofClass: 'ssh', envelope };
  }, /not in canonical form/],
])('is nobody’s approval: %s', (_what, forged, message, edit) => {
  expect(() => openApproval(forged(), context(edit))).toThrow(message);
  expect(() => openApproval(forged(), context(edit))).toThrow(expect.objectContaining({ code: 'approval-invalid' }));
});
