/** Policy bundles whose approvers sign for themselves, over HTTP: what is asked for, what is taken, and that nothing weaker counts. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { canonicalBytes, logIdOf, nodeDisk } from '../../ledger/index.ts';
import { differingProposal } from '../../src/cli/shown-proposal.ts';
import { connect, type Client, type ProposalVerdictBody, type ProposalView } from '../../src/client/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { ProposalStatement } from '../../src/protocol/activation.ts';
import { PROPOSAL_NAMESPACE } from '../../src/protocol/activation-proof.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { problemOfCall } from '../support/proposals.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';

const [ANA, WEI, SAM] = ['person:ana', 'person:wei', 'person:sam'] as const;
const [ana, wei, sam, stranger] = [testSshKey(), testSshKey(), testSshKey(), testSshKey()];

let installation: Installation;
let sidecar: Sidecar;
beforeEach(async () => {
  installation = await makeInstallation();
  cpSync(join(import.meta.dirname, '../../policy/bundle'), join(installation.directory, 'policy'), { recursive: true });
  await installation.write('trust/allowed_signers', `${ANA} ${ana.publicLine}\n${WEI} ${wei.publicLine}\n${SAM} ${sam.publicLine}\n`);
  await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, policyActivation: { quorum: 2, approvers: [ANA, WEI], proofClass: 'ssh' } }));
  const config = { ...(await installation.config()), policy: join(installation.directory, 'policy'), policyActivation: { quorum: 1, approvers: [ANA, SAM] as string[], proofClass: 'session' as const } };
  sidecar = await startSidecar(config, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  await sidecar.reload();
});
afterEach(async () => {
  await sidecar.close();
  await installation.remove();
});

const as = (principal: string): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });
const proposed = async (): Promise<ProposalView> => (await as(SAM).proposedPolicy()).proposed!;
const said = ({ proposalId, bundle }: ProposalView, verdict: 'approve' | 'reject' = 'approve'): ProposalVerdictBody => ({ proposalId, bundle, verdict, ...(verdict === 'reject' ? { reason: 'too loose' } : {}) });
/** What she is asked to sign, signed; with `edit`, something else than that. */
async function signed(by: string, key: TestSshKey, edit: Partial<ProposalStatement> = {}, namespace: string = PROPOSAL_NAMESPACE): Promise<Pick<ProposalVerdictBody, 'ssh'>> {
  const { statement } = await as(by).proposedPolicyStatement(edit.verdict ?? 'approve');
  return { ssh: { expiresAt: statement.expiresAt, signature: writeArmour(key.sign(canonicalBytes({ ...statement, ...edit }), { namespace })) } };
}
const size = async (): Promise<number> => {
  await sidecar.log.durable();
  return sidecar.log.size;
};
async function workflow(): Promise<readonly string[]> {
  const trust = await loadTrustFolder(join(installation.directory, 'trust'));
  const verification = await verifyEvidence({ disk: nodeDisk(join(installation.directory, 'data')), directory: 'ledger', trust, wholeFolder: true });
  return verification.workflow!.violations.map(({ code }) => code);
}

it('a bundle comes into force by the signatures of those whom the floor has sign, beside the session of whom the configuration asks; and an auditor believes it', async () => {
  const one = await proposed();
  const { statement, proofClass } = await as(ANA).proposedPolicyStatement('approve');
  expect({ statement, proofClass }).toEqual({ proofClass: 'ssh', statement: { v: 1, log: logIdOf(sidecar.log.origin), proposalId: one.proposalId, bundle: one.bundle, revision: null, verdict: 'approve', approver: ANA, expiresAt: statement.expiresAt } });
  expect((await as(SAM).proposedPolicyStatement('approve')).proofClass).toBe('session');
  expect((await as(ANA).proposedPolicyStatement('reject')).proofClass).toBe('session');
  const before = await size();
  expect(await problemOfCall(as(ANA).decideProposedPolicy(said(one)))).toBe('proof-too-weak');
  expect(await size()).toBe(before);
  expect((await as(SAM).decideProposedPolicy(said(one))).outcome).toBe('waiting');
  const approved = await as(ANA).decideProposedPolicy({ ...said(one), ...(await signed(ANA, ana)) });
  expect(approved).toMatchObject({ outcome: 'waiting', approvals: [{ approver: SAM, proofClass: 'session' }, { approver: ANA, proofClass: 'ssh' }] });
  // The same again changes nothing, nor does what is weaker.
  const then = await size();
  await as(ANA).decideProposedPolicy({ ...said(one), ...(await signed(ANA, ana)) });
  await as(ANA).decideProposedPolicy(said(one));
  expect(await size()).toBe(then);
  expect((await as(WEI).decideProposedPolicy({ ...said(one), ...(await signed(WEI, wei)) })).outcome).toBe('activated');
  expect((await as(ANA).ready()).ready).toBe(true);
  expect(await problemOfCall(as(ANA).proposedPolicyStatement('approve'))).toBe('already-decided');
  await sidecar.log.sync();
  expect(await workflow()).toEqual([]);
  await installation.write('trust/allowed_signers', `${ANA} ${stranger.publicLine}\n${WEI} ${wei.publicLine}\n`);
  expect(await workflow()).toEqual(['approval-signature', 'activation-unapproved']);
});

it.each<[string, string, () => Promise<Pick<ProposalVerdictBody, 'ssh'>>]>([
  ['a key that nobody allowed', 'proof-invalid', () => signed(ANA, stranger)],
  ['the key of somebody else', 'proof-invalid', () => signed(ANA, wei)],
  ['a signature of another bundle', 'proof-invalid', () => signed(ANA, ana, { bundle: `sha256:${'0'.repeat(64)}` })],
  ['a signature of a rejection', 'proof-invalid', () => signed(ANA, ana, { verdict: 'reject' })],
  ['a signature of an approval of a change', 'proof-invalid', () => signed(ANA, ana, {}, 'approval@countersign')],
  ['one that is good for longer than there is to decide', 'proof-invalid', async () => ({ ssh: { ...(await signed(ANA, ana, { expiresAt: '2999-01-01T00:00:00.000Z' })).ssh!, expiresAt: '2999-01-01T00:00:00.000Z' } })],
  ['one that was over', 'approval-expired', async () => ({ ssh: { ...(await signed(ANA, ana, { expiresAt: '2020-01-01T00:00:00.000Z' })).ssh!, expiresAt: '2020-01-01T00:00:00.000Z' } })],
  ['rubbish', 'proof-invalid', async () => ({ ssh: { ...(await signed(ANA, ana)).ssh!, signature: 'AAAA' } })],
])('%s is no proof, and nothing is recorded', async (_what, code, made) => {
  const one = await proposed();
  const ssh = await made();
  const before = await size();
  expect(await problemOfCall(as(ANA).decideProposedPolicy({ ...said(one), ...ssh }))).toBe(code);
  expect(await size()).toBe(before);
});

it('who has approved by session may sign as well, for the floors of others that ask for it', async () => {
  const one = await proposed();
  await as(SAM).decideProposedPolicy(said(one));
  expect((await as(SAM).decideProposedPolicy({ ...said(one), ...(await signed(SAM, sam)) })).approvals).toMatchObject([{ approver: SAM, proofClass: 'ssh' }]);
});

it('a no counts by session, and though what she signed proves nothing', async () => {
  const one = await proposed();
  expect((await as(ANA).decideProposedPolicy({ ...said(one, 'reject'), ...(await signed(ANA, stranger, { verdict: 'reject' })) })).outcome).toBe('rejected');
});

it('a statement is for those who are asked', async () => {
  expect(await problemOfCall(as('nhi:prod/ci-deployer').proposedPolicyStatement('approve'))).toBe('nhi-cannot-approve');
  expect(await problemOfCall(as(WEI).proposedPolicyStatement('maybe' as 'approve'))).toBe('malformed-query');
});

it('what is to be signed is compared with what was shown', async () => {
  const one = await proposed();
  const { statement } = await as(ANA).proposedPolicyStatement('approve');
  const nowMs = Date.now();
  const differing = (edit: Partial<ProposalStatement>, shown: ProposalView = one): string | null => differingProposal({ ...statement, ...edit }, shown, 'approve', nowMs);
  const other = `sha256:${'0'.repeat(64)}`;
  expect(differing({})).toBe(null);
  expect(differing({ bundle: other })).toBe('bundle');
  expect(differing({ proposalId: `prp_${'0'.repeat(26)}` })).toBe('proposalId');
  expect(differing({ revision: '9' })).toBe('revision');
  expect(differing({ verdict: 'reject' })).toBe('verdict');
  expect(differing({ expiresAt: '9999-01-01T00:00:00.000Z' })).toBe('expiresAt');
  expect(differing({ bundle: other }, { ...one, bundle: other })).toBe('files');
  expect(differing({}, { ...one, files: one.files.map((file) => ({ ...file, digest: other })) })).toBe('files');
  expect(differing({}, { ...one, entrypoints: one.entrypoints.slice(1) })).toBe('files');
});
