/** An approval by its approver's passkey: nobody else's counts, and hers counts for nothing else. */
import { describe, expect, it } from 'vitest';
import { canonicalBytes, generateSignerKey, parseSigner, parseVerifier } from '../../ledger/index.ts';
import { approvalIdOf, openApproval, type ProofContext } from '../../src/protocol/approval-proof.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { passkeyEnvelope } from '../../src/protocol/passkey-proof.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { APPROVAL_TYPE, REPORT_TYPE, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { PASSKEY_ORIGIN, RP_ID, testPasskey } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';

const AT_MS = Date.parse('2026-11-23T19:00:00.000Z');
const [ana, wei, stranger] = [testPasskey(), testPasskey('EdDSA'), testPasskey()];
const sidecar = parseSigner(generateSignerKey('example.org/tickets', new Uint8Array(32).fill(3)).skey);
const passkeys = (edit: object = {}): ProofContext['passkeys'] => passkeysOf(passkeysFileSchema.parse([ana.entry('person:ana', edit), wei.entry('person:wei')]));
const context = (edit: Partial<ProofContext> = {}): ProofContext => ({ sidecarKeys: [parseVerifier(sidecar.vkey)], signers: new Map(), passkeys: passkeys(), atMs: AT_MS, ...edit });
const statement: ApprovalStatement = {
  v: 1, log: '0123456789abcdef', changeId: 'chg_0123456789abcdef_01M8N3HS1G06ZGYKHN2F5KRQC0', revision: 1, planDigest: `sha256:${'a'.repeat(64)}`, verdict: 'approve', approver: 'person:ana',
  expiresAt: '2026-11-24T19:00:00.000Z',
};
const approval = ana.approval(statement);
const signature = (edit: Partial<Approval['envelope']['signatures'][number]>): Approval => ({ ...approval, envelope: { ...approval.envelope, signatures: [{ ...approval.envelope.signatures[0]!, ...edit }] } });

it('is the statement, whichever kind of key proves it', () => {
  expect(openApproval(approval, context())).toEqual(statement);
  expect(openApproval(wei.approval({ ...statement, approver: 'person:wei' }), context())).toMatchObject({ approver: 'person:wei' });
});

it('the sidecar’s key proves no passkey, and a passkey no session and no SSH signature', () => {
  expect(() => openApproval({ ...approval, envelope: signDsse(APPROVAL_TYPE, statement, sidecar) }, context())).toThrow(/not among the passkeys/);
  expect(() => openApproval({ ...approval, proofClass: 'session' }, context())).toThrow(/no trusted key/);
  expect(() => openApproval({ ...approval, proofClass: 'ssh' }, context())).toThrow(/the signature/);
  expect(() => openApproval({ ...testSshKey().approval(statement), proofClass: 'passkey' }, context())).toThrow(/not among the passkeys/);
});

it.each<[string, () => Approval, RegExp, Partial<ProofContext>?]>([
  ['a passkey that nobody listed', () => stranger.approval(statement), /not among the passkeys/],
  ['a folder that lists none', () => approval, /not among the passkeys/, { passkeys: new Map() }],
  ['another passkey under the id of hers', () => signature({ sig: stranger.approval(statement).envelope.signatures[0]!.sig }), /the signature does not hold/],
  ['her passkey under the name of somebody else', () => ana.approval({ ...statement, approver: 'person:wei' }), /a passkey of person:ana under the name of person:wei/],
  ['a passkey that was not good yet', () => approval, /was not good then/, { passkeys: passkeys({ validAfter: '2026-11-23T19:00:00.001Z' }) }],
  ['a passkey that was no longer good', () => approval, /was not good then/, { passkeys: passkeys({ validBefore: '2026-11-23T19:00:00.000Z' }) }],
  ['her rejection, turned', () => {
    const rejection = ana.approval({ ...statement, verdict: 'reject' });
    return { ...approval, envelope: { ...rejection.envelope, payload: Buffer.from(canonicalBytes(statement)).toString('base64') } };
  }, /its challenge is not of this statement/],
  ['what she answered on another page', () => ana.approval(statement, { client: { origin: 'https://evil.example' } }), /not an origin of this passkey/],
  ['what she answered somebody else', () => ana.approval(statement, { rpId: 'example.org' }), /another relying party/],
  ['a second spelling of the assertion', () => signature({ sig: `${approval.envelope.signatures[0]!.sig}\n` }), /not canonical base64/],
  ['no assertion', () => signature({ sig: Buffer.from('{}').toString('base64') }), /not an assertion/],
  ['another type of document', () => ({ ...approval, envelope: { ...approval.envelope, payloadType: REPORT_TYPE } }), /payload type/],
  ['the id of another approval', () => ({ ...approval, approvalId: `apr_${'0'.repeat(32)}` }), /not the id of its statement/],
  ['a statement that is not canonical', () => {
    const text = Buffer.from(JSON.stringify(statement, null, 1));
    const envelope = passkeyEnvelope(text, ana.credentialId, ana.assert(text));
    return { approvalId: approvalIdOf(envelope), proofClass: 'passkey', envelope };
  }, /not in canonical form/],
])('is nobody’s approval: %s', (_what, forged, message, edit) => {
  expect(() => openApproval(forged(), context(edit))).toThrow(message);
  expect(() => openApproval(forged(), context(edit))).toThrow(expect.objectContaining({ code: 'approval-invalid' }));
});

describe('passkeys.json', () => {
  const load = (...entries: object[]): unknown => passkeysOf(passkeysFileSchema.parse(entries));
  it('takes what browsers take: a page at or below the domain, and localhost without TLS', () => {
    load(ana.entry('person:ana', { origins: [PASSKEY_ORIGIN, `https://eu.${RP_ID}:8443`] }), wei.entry('person:wei', { rpId: 'localhost', origins: ['http://localhost:8080'] }));
  });
  it.each<[string, object[], RegExp]>([
    ['a credential of two people', [ana.entry('person:ana'), wei.entry('person:wei', { credentialId: ana.credentialId })], /\/1\/credentialId: a credential that is listed already/],
    ['a key of two people', [ana.entry('person:ana'), wei.entry('person:wei', { publicKey: ana.spki.toString('base64') })], /\/1\/publicKey: a key that is listed already/],
    ['a machine', [ana.entry('nhi:prod/ci')], /person/],
    ['a second spelling of an id', [ana.entry('person:ana', { credentialId: 'AB' })], /\/0\/credentialId: not base64url/],
    ['an id with padding', [ana.entry('person:ana', { credentialId: 'AA==' })], /credentialId/],
    ['no key', [ana.entry('person:ana', { publicKey: 'AAAA' })], /\/0\/publicKey: not an ES256 or Ed25519 key/],
    ['an origin elsewhere', [ana.entry('person:ana', { origins: [PASSKEY_ORIGIN, 'https://evil.example'] })], /\/0\/origins\/1: not an origin/],
    ['a domain that only ends alike', [ana.entry('person:ana', { origins: [`https://evil${RP_ID}`] })], /origins\/0/],
    ['an origin without TLS', [ana.entry('person:ana', { origins: [`http://${RP_ID}`] })], /origins\/0/],
    ['a path', [ana.entry('person:ana', { origins: [`${PASSKEY_ORIGIN}/approve`] })], /origins\/0/],
    ['no origin', [ana.entry('person:ana', { origins: [] })], /origins/],
    ['a domain in capitals', [ana.entry('person:ana', { rpId: 'Example.org' })], /rpId/],
    ['a time at which it is never good', [ana.entry('person:ana', { validAfter: '2026-11-23T19:00:00.000Z', validBefore: '2026-11-23T19:00:00.000Z' })], /\/0\/validBefore: valid at no time/],
    ['a member that nobody knows', [ana.entry('person:ana', { admin: true })], /admin/],
  ])('is refused whole for %s', (_what, entries, message) => {
    let said = '';
    try {
      load(...entries);
    } catch (error) {
      said = `${(error as { pointer?: string }).pointer ?? ''}: ${(error as Error).message}`;
    }
    expect(said).toMatch(message);
  });
});
