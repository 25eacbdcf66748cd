/** Uses of standing approvals: those that count, and each with one thing about it that is not as it must be. */
import { canonicalBytes } from '../../../ledger/index.ts';
import { newAccountName } from '../../../src/change/derive.ts';
import { approvalIdOf } from '../../../src/protocol/approval-proof.ts';
import { commitmentTo } from '../../../src/protocol/disclosure.ts';
import type { Approval, Dsse } from '../../../src/protocol/signed.ts';
import { sshEnvelope } from '../../../src/protocol/ssh-proof.ts';
import { STANDING_NAMESPACE, STANDING_TYPE, type StandingStatement } from '../../../src/protocol/standing-approval.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { APPROVER, NEW, OLD, type Edits } from '../envelopes.ts';
import { testPasskey, type AssertionEdit } from '../passkey.ts';
import { testSshKey } from '../ssh.ts';
import { logId, RECIPIENT, salt, START_MS, type TrustEdit } from '../story.ts';
import { answered } from './ssh.ts';
import type { StepVector } from './steps.ts';
import { CHANGE } from './vector.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const annas = testSshKey('ssh-ed25519', seed(100));
const berts = testSshKey('ssh-ed25519', seed(101));
const annasPasskey = testPasskey('ES256', { seed: seed(102) });
const nobodysPasskey = testPasskey('ES256', { seed: seed(103) });
const TRUST: TrustEdit = { standing: true, proofClass: 'ssh', signers: `${APPROVER} ${annas.publicLine}\nperson:bert ${berts.publicLine}`, passkeys: JSON.stringify([annasPasskey.entry(APPROVER)]) };

/** What covers the plan of the vectors, and little else. */
const TEMPLATE: StandingStatement = {
  v: 1, log: logId, approver: APPROVER, subject: 'nhi:prod/deployer', kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['deploy'], privileges: ['table:public.orders:SELECT'], recipients: [],
  maxLeaseSeconds: 900, uses: 3, notBefore: formatTime(START_MS), expiresAt: formatTime(START_MS + 30 * 86_400_000), reason: commitmentTo({ name: 'reason', salt: salt(11), value: 'every night' }),
};
type Make = (statement: StandingStatement) => Dsse;
const signedBy = (key = annas, namespace = STANDING_NAMESPACE, type = STANDING_TYPE): Make => (statement) => sshEnvelope(canonicalBytes(statement), key.sign(canonicalBytes(statement), { namespace }), type);
const answeredBy = (edit: AssertionEdit = {}, passkey = annasPasskey): Make => (statement) => passkey.envelope(statement, STANDING_TYPE, edit);
const replayed = (other: object): Make => (statement) => ({ ...answeredBy()(statement), signatures: annasPasskey.envelope(other, STANDING_TYPE).signatures });

/** The plan's own account, and a use of the template where an approval would be. */
function under(template: Partial<StandingStatement> = {}, make: Make = signedBy(), use: Partial<Approval> = {}, edits: Edits = {}): Edits {
  const envelope = make({ ...TEMPLATE, ...template });
  const proofClass = envelope.signatures[0]!.keyid.startsWith('SHA256:') ? 'ssh' : 'passkey';
  return { action: 'grant', plan: atAccount('deploy'), approvals: () => [{ approvalId: approvalIdOf(envelope), proofClass, envelope, use: 1, ...use }], ...edits };
}
const atAccount = (account: string): NonNullable<Edits['plan']> => (plan) => ({ ...plan, steps: plan.steps.map((step) => ({ ...step, account })) });
const provision = (account: string, template: Partial<StandingStatement> = {}): Edits => under({ kinds: ['provision'], accounts: [], recipients: [RECIPIENT], ...template }, signedBy(), {}, { action: 'provision', plan: atAccount(account) });
const rotation = (template: Partial<StandingStatement> = {}): Edits => under({ kinds: ['rotate'], accounts: [NEW, OLD], privileges: ['role:orders'], recipients: [RECIPIENT], maxLeaseSeconds: null, ...template }, signedBy(), {}, { action: 'stage', plan: (plan) => plan });
const approvalOfAPlan = { v: 1, log: logId, changeId: CHANGE, revision: 1, planDigest: `sha256:${'1'.repeat(64)}`, verdict: 'approve', approver: APPROVER, expiresAt: TEMPLATE.expiresAt };

export function standingVectors(): StepVector[] {
  const { admitted, refused } = answered('use', TRUST);
  const invalid = (path: string, title: string, edits: Edits, trust: TrustEdit = {}): StepVector => refused(path, title, 'approval-invalid', 'none', edits, trust);
  const below = (path: string, title: string, trust: TrustEdit, edits: Edits = under()): StepVector => refused(path, title, 'below-floor', 'report', edits, trust);
  return [
    admitted('ssh', 'a plan within the template that she signed', under()),
    admitted('passkey', 'the same, by her passkey, where the floor asks for one', under({}, answeredBy()), { proofClass: 'passkey' }),
    admitted('passkey-under-an-ssh-floor', 'the same, where the floor asks for a signature', under({}, answeredBy())),
    admitted('last', 'the last use', under({}, signedBy(), { use: 3 })),
    admitted('begins-soon', 'a template that begins within the difference of clocks', under({ notBefore: formatTime(START_MS + 1_000) })),
    admitted('provision', 'a new account, whose name is that of this change', provision(newAccountName('nhi:prod/deployer', CHANGE))),
    admitted('rotation', 'a rotation between the accounts that it names', rotation()),
    admitted('to-nobody', 'a use that no floor counts, where the floor asks for nobody', under(), { standing: false, quorum: 0 }),
    invalid('subject', 'another identity', under({ subject: 'nhi:prod/another' })),
    invalid('kind', 'another kind', under({ kinds: ['provision', 'extend', 'rotate'] })),
    invalid('connector', 'another connector', under({ connector: 'pg-other' })),
    invalid('target', 'another target', under({ target: 'other' })),
    invalid('account', 'another account', under({ accounts: ['deploy2'] })),
    invalid('account-provisioned', 'an account that stands, where a new one is made', provision('postgres', { accounts: ['postgres'] })),
    invalid('account-other', 'a rotation of which only one account is named', rotation({ accounts: [NEW] })),
    invalid('privilege', 'a privilege that is not listed', under({ privileges: ['table:public.orders:UPDATE'] })),
    invalid('privilege-of-a-step', 'a privilege that only a step has', rotation({ privileges: [] })),
    invalid('recipient', 'a secret for somebody else', rotation({ recipients: [] })),
    invalid('lease', 'a lease that is a second longer', under({ maxLeaseSeconds: 899 })),
    invalid('stands', 'access that stands', under({}, signedBy(), {}, { leaseSeconds: null })),
    invalid('log', 'a template of another log', under({ log: '0123456789abcdef' })),
    invalid('begins', 'a template that has not begun', under({ notBefore: formatTime(START_MS + 1_001) })),
    invalid('too-long', 'a template that is good for more than 30 days', under({ expiresAt: formatTime(START_MS + 30 * 86_400_000 + 1) })),
    invalid('backwards', 'a template that ends before it begins', under({ expiresAt: TEMPLATE.notBefore })),
    invalid('listed-twice', 'a template in which something is listed twice', under({ accounts: ['deploy', 'deploy'] })),
    invalid('no-longest-lease', 'a template that gives, and says no longest lease', under({ maxLeaseSeconds: null })),
    invalid('too-many', 'a use more than it allows', under({}, signedBy(), { use: 4 })),
    invalid('no-use', 'a template where a verdict on this plan is due', under({}, signedBy(), { use: undefined })),
    invalid('of-a-verdict', 'a verdict on this plan that is said to be a use', { action: 'grant', approvals: ([approval]) => [{ ...approval!, use: 1 }] }),
    invalid('session', 'a template by session', under({}, signedBy(), { proofClass: 'session' })),
    invalid('ssh-as-a-passkey', 'a signature that is said to be a passkey’s', under({}, signedBy(), { proofClass: 'passkey' })),
    invalid('passkey-as-ssh', 'a passkey’s answer that is said to be a signature', under({}, answeredBy(), { proofClass: 'ssh' })),
    invalid('another-id', 'a use under another id', under({}, signedBy(), { approvalId: `apr_${'0'.repeat(32)}` })),
    invalid('as-an-approval', 'what was signed as an approval', under({}, signedBy(annas, 'approval@countersign'))),
    invalid('other-type', 'a template in an envelope of another type', under({}, signedBy(annas, STANDING_NAMESPACE, 'application/vnd.countersign.approval+json'))),
    invalid('of-somebody-else', 'a key of somebody else, in her name', under({}, signedBy(berts))),
    invalid('key-over', 'a key that was not good any more', under(), { signers: `${APPROVER} valid-before="20261123190000Z" ${annas.publicLine}` }),
    invalid('passkey-nobodys', 'a passkey of nobody', under({}, answeredBy({}, nobodysPasskey))),
    invalid('passkey-in-another-name', 'her passkey, in the name of another', under({ approver: 'person:bert' }, answeredBy())),
    invalid('passkey-other-template', 'her answer for a narrower template', under({}, replayed({ ...TEMPLATE, uses: 1 }))),
    invalid('passkey-of-an-approval', 'her answer for an approval of a plan', under({}, replayed(approvalOfAPlan))),
    invalid('passkey-rp-id', 'an answer for another relying party', under({}, answeredBy({ rpId: 'evil.example' }))),
    invalid('passkey-origin', 'an answer on another page', under({}, answeredBy({ client: { origin: 'https://evil.example' } }))),
    invalid('passkey-no-uv', 'an authenticator that did not make sure who she was', under({}, answeredBy({ flags: 0x19 }))),
    invalid('passkey-over', 'a passkey that was not good any more', under({}, answeredBy()), { passkeys: JSON.stringify([annasPasskey.entry(APPROVER, { validBefore: '2026-11-23T19:00:00.000Z' })]) }),
    refused('field-too-many', 'a template with a field that none has', 'malformed', 'none', under({ also: 1 } as never)),
    refused('over', 'a template that is over', 'approvals-insufficient', 'report', under({ notBefore: formatTime(START_MS - 10), expiresAt: formatTime(START_MS) })),
    refused('to-whoever-gave-it', 'a plan that she asked for', 'approval-invalid', 'report', under({}, signedBy(), {}, { plan: (plan) => atAccount('deploy')({ ...plan, requester: [...plan.requester, APPROVER] }) })),
    below('silence', 'a floor that says nothing of standing approvals', { standing: undefined as never }),
    below('not-counted', 'a floor that counts none', { standing: false }),
    below('weaker', 'a template that was signed, where the floor asks for a passkey', { proofClass: 'passkey' }),
    below('other-approvers', 'a floor that names others', { approvers: ['person:bert'] }),
    below('twice', 'two uses of one person’s, where two are asked for', { quorum: 2 }, under({}, signedBy(), {}, {
      approvals: () => [TEMPLATE, { ...TEMPLATE, uses: 2 }].map((statement) => signedBy()(statement)).map((envelope): Approval => ({ approvalId: approvalIdOf(envelope), proofClass: 'ssh', envelope, use: 1 })),
    })),
  ];
}
