/** Standing approvals for tests: what Ana signs, and a change that is approved by it. */
import { canonicalBytes } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { approvalIdOf } from '../../src/protocol/approval-proof.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import type { Approval, Dsse } from '../../src/protocol/signed.ts';
import { STANDING_NAMESPACE, STANDING_TYPE, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { sshEnvelope } from '../../src/protocol/ssh-proof.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { testPasskey, type AssertionEdit, type TestPasskey } from './passkey.ts';
import { testSshKey, type SshSignOptions, type TestSshKey } from './ssh.ts';
import { ANA, decision, GRANT, logId, salt, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, type Beat, type TrustEdit } from './story.ts';

export const ANAS = 'person:ana';
export const anasKey = testSshKey();
export const WHY = 'every release is granted the same';
export const WHY_SALT = salt(11);
const { commitment, object } = disclose('reason', WHY, WHY_SALT);

/** A floor that counts standing approvals, in a folder that knows Ana's key. */
export const COUNTING: TrustEdit = { signers: `${ANAS} ${anasKey.publicLine}`, standing: true };

export const anasPasskey = testPasskey();
/** The same, where only a passkey is enough; her SSH key is known all the same. */
export const COUNTING_PASSKEYS: TrustEdit = { ...COUNTING, passkeys: JSON.stringify([anasPasskey.entry(ANAS)]), proofClass: 'passkey' };

/** What covers the grant of the story, and little else. */
export const TEMPLATE: StandingStatement = {
  v: 1, log: logId, approver: ANAS, subject: 'nhi:prod/ci-deployer', kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'], recipients: [],
  maxLeaseSeconds: 1_800, uses: 3, notBefore: formatTime(START_MS), expiresAt: formatTime(START_MS + 30 * 86_400_000), reason: commitment,
};

export function standingOf(statement: StandingStatement, key: TestSshKey = anasKey, options: SshSignOptions = {}, type: string = STANDING_TYPE): Dsse {
  const bytes = canonicalBytes(statement);
  return sshEnvelope(bytes, key.sign(bytes, { namespace: STANDING_NAMESPACE, ...options }), type);
}

/** By her passkey. */
export const answeredFor = (statement: StandingStatement, edit: AssertionEdit = {}, passkey: TestPasskey = anasPasskey): Dsse => passkey.envelope(statement, STANDING_TYPE, edit);

/** What she has answered for something else stands beside the statement. */
export function replayedFor(statement: StandingStatement, other: object): Dsse {
  return { ...answeredFor(statement), signatures: anasPasskey.envelope(other, STANDING_TYPE).signatures };
}

/** By what the envelope is signed, as whoever records it would know. */
const classOf = ({ signatures: [one] }: Dsse): 'ssh' | 'passkey' => (one!.keyid.startsWith('sha256:') ? 'passkey' : 'ssh');

export const useOf = (envelope: Dsse, use = 1): Approval => ({ approvalId: approvalIdOf(envelope), proofClass: classOf(envelope), envelope, use });

/** The records that she gave it, and that somebody revoked it. */
export const givenBy = (envelope: Dsse, actor = ANAS, reason = commitment, atMs = START_MS): DraftWithObjects => systemDraft('standing.approved', { approvalId: approvalIdOf(envelope), statement: envelope, reason, ...(classOf(envelope) === 'ssh' ? {} : { proofClass: 'passkey' as const }) }, actor, atMs, [object]);
export const revokedBy = (envelope: Dsse, actor = ANAS, atMs = START_MS): DraftWithObjects => systemDraft('standing.revoked', { approvalId: approvalIdOf(envelope), reason: null }, actor, atMs);

/** Policy asks for approval, and lets standing approvals count. */
export function counting(standingApproval: Decision['obligations']['standingApproval'] | null = { maxLeaseSeconds: 3_600 }): Decision {
  const asks = decision('needsApproval', ANA);
  return { ...asks, obligations: { ...asks.obligations, ...(standingApproval === null ? {} : { standingApproval }) } };
}

/** Asked for and decided; then approved by the template, whatever `decide` would say of that. */
export function toldUntilUsed(approval: Approval, { atMs = START_MS, ledger = [] as Beat[], said = counting() } = {}): Telling {
  const telling = toldUntilDecided(GRANT, atMs, 'needsApproval', new Telling(atMs, ledger), said).later(10);
  return telling.force({ type: 'approval.recorded', actor: `sidecar:${logId}`, body: { approval, comment: null } });
}

/** Given, and taken back in time. */
export function toldWhole(telling: Telling, said = counting()): Telling {
  const armed = toldUntilArmed(telling, said);
  return toldUntilEnded(toldUntilActive(armed), armed.now.lease!.order);
}

/** So many changes under one template, one after the other. */
export function usedTimes(envelope: Dsse, uses: readonly number[], said = counting()): readonly Beat[] {
  const ledger: Beat[] = [];
  uses.forEach((use, i) => void toldWhole(toldUntilUsed(useOf(envelope, use), { atMs: START_MS + i * 4_000_000, ledger, said }), said));
  return ledger;
}
