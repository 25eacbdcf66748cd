/** Broken glasses: one that stands for the approvals, and each with one thing about it that is not as it must be. */
import { breakGlassDigest, type BreakGlassStatement } from '../../../src/protocol/break-glass.ts';
import { commitmentTo } from '../../../src/protocol/disclosure.ts';
import { readPayload } from '../../../src/protocol/dsse.ts';
import { ticketSchema, type Dsse } from '../../../src/protocol/signed.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { GLASS, GLASS_SALT, glassOf, REASON, SAM } from '../break-glass.ts';
import { makeRead, someLog, type Edits } from '../envelopes.ts';
import { makeExtension } from '../extension.ts';
import { testSshKey } from '../ssh.ts';
import { logId, START_MS, type TrustEdit } from '../story.ts';
import { answered } from './ssh.ts';
import { headOf, made, stepVector, type StepVector } from './steps.ts';
import { ANOTHER_CHANGE, CHANGE } from './vector.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const sams = testSshKey('ssh-ed25519', seed(90));
const berts = testSshKey('ssh-ed25519', seed(91));
/** Two must approve; Sam may break the glass. */
const TRUST: TrustEdit = { quorum: 2, signers: `${SAM} ${sams.publicLine}\nperson:bert ${berts.publicLine}`, breakGlass: [GLASS] };
const limited = (...floors: readonly object[]): TrustEdit => ({ breakGlass: floors.map((floor) => ({ ...GLASS, ...floor })) });

const unrecorded = glassOf({ v: 1, log: logId, changeId: CHANGE, revision: 1, planDigest: `sha256:${'0'.repeat(64)}`, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }), usedBy: SAM, expiresAt: formatTime(START_MS + 900_000) }, sams);

function broken(edit: Partial<BreakGlassStatement> = {}, make: (statement: BreakGlassStatement) => Dsse = (statement) => glassOf(statement, sams)): Edits {
  let glass: Dsse;
  return {
    action: 'grant', approvals: () => [],
    body: (body) => {
      const ticket = readPayload(body.ticket, ticketSchema);
      glass = make({
        v: 1, log: logId, changeId: ticket.changeId, revision: 1, planDigest: body.planDigest, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }), usedBy: SAM,
        expiresAt: formatTime(START_MS + 900_000), ...edit,
      });
      return { ...body, breakGlass: breakGlassDigest(glass) };
    },
    envelope: (envelope) => ({ ...envelope, breakGlass: glass }),
  };
}

export function glassVectors(): StepVector[] {
  const { admitted, refused } = answered('glass', TRUST);
  const below = (path: string, title: string, edits: Edits, trust: TrustEdit = {}): StepVector => refused(path, title, 'below-floor', 'report', edits, trust);
  const invalid = (path: string, title: string, edits: Edits, trust: TrustEdit = {}): StepVector => refused(path, title, 'approval-invalid', 'none', edits, trust);
  const { action: _, ...ofExtension } = broken();
  const extension = makeExtension(made({ action: 'grant' }), { log: someLog(), changeId: ANOTHER_CHANGE, leaseSeconds: 900, ...ofExtension });
  const read = makeRead({ changeId: CHANGE });
  return [
    admitted('alone', 'a glass that was broken by whom the floor lets, where two would have to approve', broken()),
    admitted('provision', 'the same, for a new credential', { ...broken(), action: 'provision' }),
    admitted('under-a-passkey-floor', 'the same, where the floor asks for passkeys of others', broken(), { proofClass: 'passkey', approvers: ['person:anna'] }),
    admitted('as-long-as-allowed', 'a lease as long as both floors allow, and a statement as long as any is good', broken({ expiresAt: formatTime(START_MS + 3_601_000) }), { maxLeaseSeconds: 900, ...limited({ maxLeaseSeconds: 900 }) }),
    below('nobody', 'a floor that lets nobody', broken(), { breakGlass: [] }),
    below('not-named', 'somebody whom the floor does not name', broken({ usedBy: 'person:bert' }, (statement) => glassOf(statement, berts))),
    below('not-by-both', 'somebody whom one of two floors does not name', broken(), limited({}, { connector: 'pg-main', people: ['person:bert'] })),
    below('elsewhere', 'a floor that lets her at another connector', broken(), limited({ connector: 'pg-other' })),
    below('another-privilege', 'a floor that lets her for another privilege', broken(), limited({ privilege: 'role:deploy' })),
    below('longer-than-glass', 'a lease that is longer than a broken glass gives', broken(), limited({ maxLeaseSeconds: 899 })),
    below('longer-than-floor', 'a lease that is longer than the floor allows anybody', broken(), { maxLeaseSeconds: 899 }),
    below('standing', 'standing access', { ...broken(), leaseSeconds: null }),
    below('rotation', 'a rotation, which no lease takes back', { ...broken(), action: 'replace' }),
    stepVector('refused-below-floor-glass-extension', 'an extension of what was given', { json: extension.envelope }, { refused: 'below-floor', answer: 'report', head: headOf(extension.log) }, { trust: TRUST }),
    below('good-for-too-long', 'a statement that is good for more than an hour', broken({ expiresAt: formatTime(START_MS + 3_601_001) })),
    refused('over', 'a statement that was over when the step was authorised', 'approvals-insufficient', 'report', broken({ expiresAt: formatTime(START_MS) })),
    refused('other-plan', 'a statement about another plan', 'approval-invalid', 'report', broken({ planDigest: `sha256:${'0'.repeat(64)}` })),
    refused('other-change', 'a statement about another change', 'approval-invalid', 'report', broken({ changeId: ANOTHER_CHANGE })),
    refused('rejected-beside', 'a broken glass beside a rejection', 'approval-invalid', 'report', { ...broken(), approvals: (approvals) => approvals, statements: (statement) => [{ ...statement, verdict: 'reject' }] }),
    refused('withheld', 'a glass that the record says was broken, and no statement', 'approvals-insufficient', 'none', { ...broken(), envelope: (envelope) => envelope }),
    invalid('not-recorded', 'a broken glass of which the record says nothing', { ...broken(), body: (body) => body, envelope: (envelope) => ({ ...envelope, breakGlass: unrecorded }) }),
    invalid('not-the-recorded', 'another statement than the record names', { ...broken(), body: (body) => ({ ...body, breakGlass: `sha256:${'0'.repeat(64)}` }), envelope: (envelope) => ({ ...envelope, breakGlass: unrecorded }) }),
    invalid('as-an-approval', 'a statement that was signed as an approval', broken({}, (statement) => glassOf(statement, sams, { namespace: 'approval@countersign' }))),
    invalid('other-type', 'a statement in an envelope of another type', broken({}, (statement) => glassOf(statement, sams, {}, 'application/vnd.countersign.approval+json'))),
    invalid('of-somebody-else', 'a key of somebody else, in her name', broken({}, (statement) => glassOf(statement, berts))),
    invalid('nobodys', 'a key that nobody is said to have', broken({}, (statement) => glassOf(statement, testSshKey('ssh-ed25519', seed(92))))),
    invalid('key-over', 'a key that was not good any more', broken(), { signers: `${SAM} valid-before="20261123190000Z" ${sams.publicLine}` }),
    stepVector('refused-malformed-glass-of-a-read', 'a read with a broken glass', { json: { ...read.envelope, breakGlass: unrecorded } }, { refused: 'malformed', answer: 'none', head: null }, { trust: TRUST }),
  ];
}
