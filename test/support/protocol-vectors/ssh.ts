/** Approvals by SSH key: those that count, and each with one thing about it that is not as it must be. */
import { canonicalBytes } from '../../../ledger/index.ts';
import { approvalIdOf } from '../../../src/protocol/approval-proof.ts';
import { readPayload } from '../../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval, type ApprovalStatement, type Refusal } from '../../../src/protocol/signed.ts';
import { APPROVER, type Edits } from '../envelopes.ts';
import { testSshKey, type SshSignOptions } from '../ssh.ts';
import type { TrustEdit } from '../story.ts';
import { headOf, made, stepVector, type Answer, type StepVector } from './steps.ts';
import { ANOTHER_CHANGE, base64, fromBase64 } from './vector.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
export const annas = testSshKey('ssh-ed25519', seed(70));
const berts = testSshKey('ssh-ed25519', seed(71));
const nobodys = testSshKey('ssh-ed25519', seed(72));

/** The approval that is asked for, proven otherwise than by session. */
export const proven = (prove: (statement: ApprovalStatement) => Approval): Edits => ({ approvals: ([approval]) => [prove(readPayload(approval!.envelope, approvalStatementSchema))] });
export const answered = (suite: string, trust: TrustEdit): { readonly admitted: (path: string, title: string, edits: Edits, also?: TrustEdit) => StepVector; readonly refused: (path: string, title: string, code: Refusal, answer: Answer, edits: Edits, also?: TrustEdit) => StepVector } => ({
  admitted(path, title, edits, also = {}) {
    const { envelope, log } = made(edits);
    return stepVector(`admitted-${suite}-${path}`, title, { json: envelope }, { admitted: 'act', head: headOf(log) }, { trust: { ...trust, ...also } });
  },
  refused(path, title, code, answer, edits, also = {}) {
    const { envelope, log } = made(edits);
    return stepVector(`refused-${code}-${suite}-${path}`, title, { json: envelope }, { refused: code, answer, head: headOf(log) }, { trust: { ...trust, ...also } });
  },
});

const line = (options: string, key = annas, person = APPROVER): string => `${person} ${options}${options === '' ? '' : ' '}${key.publicLine}`;
const signed = (options: SshSignOptions = {}, key = annas): Edits => proven((statement) => key.approval(statement, options));
/** The signature's bytes, made anew. */
const resigned = (edit: (bytes: Buffer) => Buffer): Edits => proven((statement) => {
  const { envelope, ...approval } = annas.approval(statement);
  const [{ keyid, sig }] = envelope.signatures as [{ keyid: string; sig: string }];
  return { ...approval, envelope: { ...envelope, signatures: [{ keyid, sig: base64(edit(fromBase64(sig))) }] } };
});

/** Signatures that no key of ours makes. */
const oddly = (options: SshSignOptions): Edits => proven((statement) => {
  const { envelope, ...approval } = annas.approval(statement);
  return { ...approval, envelope: { ...envelope, signatures: [{ keyid: envelope.signatures[0]!.keyid, sig: base64(annas.sign(canonicalBytes(statement), options)) }] } };
});

export function sshVectors(): StepVector[] {
  const { admitted, refused } = answered('ssh', { proofClass: 'ssh', signers: `${line('')}\n${line('', berts, 'person:bert')}\n` });
  const others = (['ecdsa-sha2-nistp256', 'sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'] as const).map((type, n) => ({ type, key: testSshKey(type, seed(73 + n)) }));
  const invalid = (path: string, title: string, edits: Edits, signers?: string): StepVector => refused(path, title, 'approval-invalid', 'none', edits, signers === undefined ? {} : { signers });
  return [
    admitted('ed25519', 'an approval that the person signed with her own key', signed()),
    ...others.map(({ type, key }) => admitted(type.replace('@openssh.com', ''), `the same by a key of the type ${type}`, signed({}, key), { signers: line('', key) })),
    admitted('sha256', 'a signature over the SHA-256 of the statement', signed({ hash: 'sha256' })),
    admitted('good-then', 'a key that was good when the step was authorised, at the very first moment', signed(), { signers: line('valid-after="20261123190000Z",valid-before="202611231901Z"') }),
    admitted('pattern', 'a key for a pattern of namespaces, but for one', signed(), { signers: line('namespaces="*@countersign,!git"') }),
    admitted('comments', 'a file with comments, blanks and a comment after the key', signed(), { signers: `# who approves\n\n\t${line('')} anna's laptop\r\n` }),
    admitted('under-a-session-floor', 'a stronger proof than is asked for', signed(), { proofClass: 'session' }),
    invalid('other-namespace', 'a signature for another namespace', signed({ namespace: 'git' })),
    invalid('as-a-glass', 'a signature that breaks a glass', signed({ namespace: 'breakglass@countersign' })),
    invalid('not-for-approvals', 'a key that is not for approvals', signed(), line('namespaces="git"')),
    invalid('namespace-taken-out', 'a key for every namespace but this', signed(), line('namespaces="*,!approval@countersign"')),
    invalid('nobodys', 'a key that nobody is said to have', signed({}, nobodys)),
    invalid('of-somebody-else', 'a key of somebody else, in her name', signed({}, berts)),
    invalid('no-file', 'a key, where the folder has no file of keys', signed(), ''),
    invalid('not-yet', 'a key that was not good yet', signed(), line('valid-after="20261123190001Z"')),
    invalid('over', 'a key that was not good any more, from that very moment', signed(), line('valid-before="20261123190000Z"')),
    invalid('other-key-said', 'a signature that is said to be by another key', proven((statement) => {
      const approval = berts.approval(statement);
      return { ...approval, envelope: { ...approval.envelope, signatures: [{ keyid: annas.approval(statement).envelope.signatures[0]!.keyid, sig: approval.envelope.signatures[0]!.sig }] } };
    })),
    invalid('other-statement', 'her signature of her rejection', proven((statement) => {
      const { approvalId, envelope } = annas.approval(statement);
      return { approvalId, proofClass: 'ssh', envelope: { ...envelope, signatures: annas.approval({ ...statement, verdict: 'reject' }).envelope.signatures } };
    })),
    invalid('other-type', 'a statement of another type', proven((statement) => {
      const approval = annas.approval(statement);
      return { ...approval, envelope: { ...approval.envelope, payloadType: 'application/vnd.countersign.ticket+json' } };
    })),
    invalid('spaced', 'a statement that is not in canonical form', proven((statement) => {
      const bytes = Buffer.from(Buffer.from(canonicalBytes(statement)).toString().replace('{', '{ '));
      const envelope = { ...annas.approval(statement).envelope, payload: base64(bytes), signatures: [{ keyid: annas.approval(statement).envelope.signatures[0]!.keyid, sig: base64(annas.sign(bytes)) }] };
      return { approvalId: approvalIdOf(envelope), proofClass: 'ssh', envelope };
    })),
    invalid('altered', 'a signature with a bit turned', resigned((bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]))),
    invalid('cut', 'a signature that is cut short', resigned((bytes) => bytes.subarray(0, -1))),
    invalid('byte-too-many', 'a signature with something after it', resigned((bytes) => Buffer.concat([bytes, Buffer.of(0)]))),
    invalid('sha1', 'a signature over a SHA-1', oddly({ hash: 'sha1' })),
    invalid('reserved', 'a signature with something where nothing is reserved', oddly({ reserved: 'x' })),
    invalid('version', 'a signature of a version that is not known', oddly({ version: 2 })),
    invalid('untouched', 'a security key that nobody touched', signed({ flags: 0 }, others[1]!.key), line('', others[1]!.key)),
    invalid('another-use', 'a use of a standing approval, where a verdict on this plan is', proven((statement) => ({ ...annas.approval(statement), use: 1 }))),
    refused('reject', 'her rejection', 'approval-invalid', 'report', proven((statement) => annas.approval({ ...statement, verdict: 'reject' }))),
    refused('other-plan', 'her approval of another change', 'approval-invalid', 'report', proven((statement) => annas.approval({ ...statement, changeId: ANOTHER_CHANGE }))),
    refused('expired', 'her approval, which was over', 'approvals-insufficient', 'report', proven((statement) => annas.approval({ ...statement, expiresAt: '2026-11-23T19:00:00.000Z' }))),
    refused('asked-for-passkey', 'a signature, where the decision asks for a passkey', 'approvals-insufficient', 'report', { ...signed(), body: (body) => ({ ...body, requirement: { approvers: APPROVER, proofClass: 'passkey' } }) }),
    refused('weaker', 'a signature, where the floor asks for a passkey', 'below-floor', 'report', signed(), { proofClass: 'passkey' }),
    refused('session', 'a session, where the floor asks for a signature', 'below-floor', 'report', {}),
  ];
}
