/** Step envelopes, each with one thing about it that matters, and what a worker must make of it. */
import { ALG_COSIGNATURE_V1, canonicalBytes, digestOf, formatNote, generateSignerKey, leafHash, logIdOf, MerkleTree, parseCosigner, parseNote, signCheckpoint, signNote, type RecordDraft } from '../../../ledger/index.ts';
import { readPayload } from '../../../src/protocol/dsse.ts';
import { anyTicketSchema } from '../../../src/protocol/discovery.ts';
import { takesAway } from '../../../src/protocol/plan.ts';
import type { StepEnvelope } from '../../../src/protocol/envelope.ts';
import type { Approval, Dsse, Refusal } from '../../../src/protocol/signed.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { APPROVER, forger, makeRead, makeStep, someLog, type Edits, type Made } from '../envelopes.ts';
import type { PaperLog } from '../paper-log.ts';
import { EXECUTOR, keys, logId, START_MS, trustFiles, type TrustEdit } from '../story.ts';
import { ANOTHER_CHANGE, base64, CHANGE, signerOf, type Message, type Vector } from './vector.ts';

export type TrustTexts = Readonly<Record<'trust.policy' | 'sidecars.json' | 'executors.json' | 'requirements.json', string>> & Readonly<Partial<Record<'allowed_signers' | 'passkeys.json', string>>>;

/** What the worker is and knows when the message comes. */
export interface Setting {
  readonly trust?: TrustEdit;
  readonly trustPolicy?: string;
  readonly connectors?: readonly string[];
  readonly nowMs?: number;
  readonly head?: { readonly size: number; readonly root: string } | null;
  readonly begunAt?: string | null;
  /** Signed statements that were believed before, in the order in which they came. */
  readonly locks?: readonly Dsse[];
}

/** How a refusal is answered: by a signed report, by saying which checkpoint was seen, or not at all. */
export type Answer = 'report' | 'inconsistent' | 'none';
export type Expected =
  | { readonly admitted: 'act' | 'read' | 'discover'; readonly head: { readonly size: number; readonly root: string } | null }
  | { readonly refused: Refusal; readonly answer: Answer; readonly head: { readonly size: number; readonly root: string } | null };

export interface StepVector extends Vector {
  readonly content: {
    readonly title: string; readonly executor: string; readonly connectors: readonly string[]; readonly now: string;
    readonly head: { readonly size: number; readonly root: string } | null; readonly begunAt: string | null; readonly locks?: readonly Dsse[]; readonly trust: TrustTexts; readonly message: Message; readonly expect: Expected;
  };
}

export const made = (edits: Edits = {}): Made => makeStep({ changeId: CHANGE, log: someLog(), ...edits });
const another = (edits: Edits = {}): Made => made({ changeId: ANOTHER_CHANGE, ...edits });

export function stepVector(path: string, title: string, message: Message, expect: Expected, setting: Setting = {}): StepVector {
  const { signers, passkeys } = setting.trust ?? {};
  const trust = {
    ...trustFiles(setting.trust), ...(setting.trustPolicy === undefined ? {} : { 'trust.policy': setting.trustPolicy }),
    ...(signers === undefined ? {} : { 'allowed_signers': signers }), ...(passkeys === undefined ? {} : { 'passkeys.json': passkeys }),
  };
  return {
    path: `steps/${path}`,
    content: {
      title, executor: EXECUTOR, connectors: setting.connectors ?? ['pg-main'], now: formatTime(setting.nowMs ?? START_MS + 1_000), head: setting.head ?? null, begunAt: setting.begunAt ?? null,
      ...(setting.locks === undefined ? {} : { locks: setting.locks }), trust, message, expect,
    },
  };
}

export const headOf = (log: PaperLog): { readonly size: number; readonly root: string } => ({ size: log.size, root: log.root() });
/** What is kept of the checkpoint of an envelope that is admitted. */
export const keptOf = ({ envelope, log }: Pick<Made, 'envelope' | 'log'>): ReturnType<typeof headOf> | null => {
  const ticket = readPayload(envelope.ticket, anyTicketSchema);
  return ticket.kind === 'act' && takesAway(ticket.step.action) ? null : headOf(log);
};

const refused = (path: string, title: string, code: Refusal, answer: Answer, edits: Edits, setting: Setting = {}, keepsHead = false): StepVector => {
  const { envelope, log } = made(edits);
  return stepVector(`refused-${code}-${path}`, title, { json: envelope }, { refused: code, answer, head: keepsHead ? headOf(log) : null }, setting);
};
const admitted = (path: string, title: string, { envelope, log }: Pick<Made, 'envelope' | 'log'>, kind: 'act' | 'read' = 'act', setting: Setting = {}): StepVector =>
  stepVector(`admitted-${path}`, title, { json: envelope }, { admitted: kind, head: setting.head?.size === log.size ? null : keptOf({ envelope, log }) }, setting);

const stranger = signerOf('elsewhere.example/log', 98);
const ZEROS = `sha256:${'0'.repeat(64)}`;
const withoutRecorded = (change: (envelope: StepEnvelope) => StepEnvelope): Edits => ({ envelope: change });
const resigned = (approval: Approval): Approval => ({ ...approval, envelope: { ...approval.envelope, signatures: [{ keyid: forger.keyName, sig: approval.envelope.signatures[0]!.sig }] } });

/** A log of `size` records with the step's record somewhere in the middle, so that proofs have several hashes on both sides. */
function grown(size: number, before: number): { readonly envelope: StepEnvelope; readonly log: PaperLog } {
  const log = someLog(before);
  const { envelope, index } = made({ log });
  for (let n = log.size; n < size; n += 1) log.append({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: `sidecar:${logId}`, body: { n }, objects: [] });
  return { envelope: { ...envelope, receipt: log.receipt(index) }, log };
}

function admissions(): StepVector[] {
  const actions = (['provision', 'grant', 'revoke', 'stage', 'replace', 'disable'] as const).map((action) => admitted(action, `an approved and recorded step that does: ${action}`, made({ action })));
  const seen = someLog(9);
  const twelve = grown(12, 5);
  const ofOld = (size: number): { readonly size: number; readonly root: string } => ({ size, root: twelve.log.root(size) });
  const from = (size: number): StepVector => admitted(
    `grown-from-${size}`, `a log of 12 records, of which ${size} were seen before`,
    { log: twelve.log, envelope: { ...twelve.envelope, receipt: twelve.log.receipt(5, { fromSize: size }) } }, 'act', { head: ofOld(size) },
  );
  const endsAt = formatTime(START_MS + 900_000);
  const others = [1, 2, 3].map((n) => ({ fromSize: n, proof: [base64(new Uint8Array(32).fill(n))] }));
  const eight = twelve.log.receipt(5, { fromSize: 8 });
  return [
    ...actions,
    admitted('read', 'a recorded read, which needs no approval', makeRead({ changeId: CHANGE }), 'read'),
    admitted('standing', 'standing access: no lease, and no order to end it', made({ leaseSeconds: null })),
    admitted('middle-of-log', 'a record in the middle of a log of 12', twelve),
    ...[1, 4, 7, 8, 11].map(from),
    admitted('grown-from-empty', 'a log of which nothing was seen but that it was empty', made({ fromSize: 0 }), 'act', { head: { size: 0, root: someLog(0).root() } }),
    admitted('same-head', 'a receipt under the very checkpoint that was seen last', made(), 'act', { head: headOf(made().log) }),
    admitted('one-proof-of-several', 'several consistency proofs, one of which begins where this worker stands', { log: twelve.log, envelope: { ...twelve.envelope, receipt: { ...eight, consistency: [...others, ...eight.consistency] } } }, 'act', { head: ofOld(8) }),
    admitted('growth-of-one', 'a log that has grown by this very record', made({ log: seen, fromSize: 9 }), 'act', { head: { size: 9, root: someLog(9).root() } }),
    admitted('reissue', 'a later issue of a step, whose lease still ends when the first one said', made({ nowMs: START_MS + 400_000, issue: 2, order: (order) => ({ ...order, notBefore: endsAt }) }), 'act', { nowMs: START_MS + 401_000 }),
    admitted('ends-by', 'a lease that ends before its duration is over, because it must end by then', made({
      plan: (plan) => ({ ...plan, lease: { ...plan.lease!, endsBy: formatTime(START_MS + 60_000) } }), order: (order) => ({ ...order, notBefore: formatTime(START_MS + 60_000) }),
    })),
    admitted('expired-approval-beside', 'an approval that has expired counts for nothing and spoils nothing', made({
      statements: (statement) => [statement, { ...statement, approver: 'person:bert', expiresAt: formatTime(START_MS - 1) }],
    })),
    admitted('record-as-old-as-a-ticket', 'an approval that was good when the step was authorised, as long ago as a ticket lives', made({
      leaseSeconds: null, statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS - 3_599_999) }], draft: (draft) => ({ ...draft, at: formatTime(START_MS - 3_600_000) }),
    })),
    admitted('quorum', 'two of three, where the decision asks for two', made({
      statements: (statement) => [statement, { ...statement, approver: 'person:bert' }],
      body: (body) => ({ ...body, requirement: { approvers: { atLeast: 2, of: [APPROVER, 'person:bert', 'person:carl'] }, proofClass: 'session' } }),
    })),
    admitted('all-of-any-of', 'nested groups of approvers, all of them met', made({
      statements: (statement) => [statement, { ...statement, approver: 'person:bert' }],
      body: (body) => ({ ...body, requirement: { approvers: { allOf: [APPROVER, { anyOf: ['person:carl', 'person:bert'] }] }, proofClass: 'session' } }),
    })),
    admitted('stages', 'stages of approvers, all of them met', made({
      statements: (statement) => [statement, { ...statement, approver: 'person:bert' }],
      body: (body) => ({ ...body, requirement: { approvers: { stages: [{ anyOf: [APPROVER, 'person:carl'] }, 'person:bert'] }, proofClass: 'session' } }),
    })),
    admitted('no-approval-asked', 'no approval, where neither the decision nor the floor asks for one', made({ approvals: () => [], body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) }), 'act', { trust: { quorum: 0 } }),
    admitted('taking-away-has-no-floor', 'a step that only takes away, with fewer approvals than the floor asks', made({ action: 'revoke' }), 'act', { trust: { quorum: 5 } }),
    admitted('taking-away-leaves-the-head', 'a step that only takes away, of a log that has grown: the head stays as it was', made({ action: 'revoke', log: someLog(9), fromSize: 9 }), 'act', { head: { size: 9, root: someLog(9).root() } }),
    admitted('clock-behind', 'a worker whose clock is behind by as much as is tolerated', made(), 'act', { nowMs: START_MS - 1_000 }),
    admitted('clock-ahead', 'a worker whose clock is ahead by as much as is tolerated', made(), 'act', { nowMs: START_MS + 300_999 }),
    admitted('begun-before', 'the second step of a change that this worker began while its approvals were good', made({
      action: 'cutover', statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS - 1_000) }],
    }), 'act', { begunAt: formatTime(START_MS - 2_000) }),
    admitted('extension-line', 'a checkpoint with an extension line, which has no meaning here', ((): { readonly envelope: StepEnvelope; readonly log: PaperLog } => {
      const { envelope, log } = made();
      return { log, envelope: { ...envelope, receipt: { ...envelope.receipt, checkpoint: signNote(`${log.origin}\n${log.size}\n${log.root()}\nextension of another\n`, [keys.log]) } } };
    })()),
    admitted('unknown-signature-beside', 'a checkpoint that somebody unknown has signed as well', ((): { readonly envelope: StepEnvelope; readonly log: PaperLog } => {
      const { envelope, log } = made();
      return { log, envelope: { ...envelope, receipt: { ...envelope.receipt, checkpoint: signNote(parseNote(envelope.receipt.checkpoint).text, [stranger, keys.log]) } } };
    })()),
  ];
}

function refusals(): StepVector[] {
  return [
    refused('unknown-key', 'a ticket signed by nobody known', 'unknown-sidecar', 'none', { ticketSigner: stranger }),
    refused('log-key', 'a ticket signed with the key of the log', 'unknown-sidecar', 'none', { ticketSigner: keys.log }),
    refused('other-log', 'a ticket of a log that is not trusted', 'unknown-sidecar', 'none', { ticket: (ticket) => ({ ...ticket, log: logIdOf('other.example/log') }) }),
    refused('known-name', 'a ticket signed by another key of a known name', 'unknown-sidecar', 'none', { ticketSigner: forger }),
    refused('altered', 'a ticket altered after it was signed', 'bad-signature', 'none', { envelope: (envelope) => ({ ...envelope, ticket: { ...envelope.ticket, payload: another().envelope.ticket.payload } }) }),
    refused('forged', 'a forged signature under a known key', 'bad-signature', 'none', { envelope: (envelope) => ({ ...envelope, ticket: { ...envelope.ticket, signatures: [{ keyid: keys.ticket.keyName, sig: base64(Buffer.alloc(64, 7)) }] } }) }),
    refused('other-executor', 'a ticket for another executor', 'wrong-audience', 'none', { ticket: (ticket) => ({ ...ticket, audience: 'executor:other' }) }),
    refused('too-early', 'a ticket before its time', 'outside-window', 'report', {}, { nowMs: START_MS - 1_001 }),
    refused('too-late', 'a ticket after its time', 'outside-window', 'report', {}, { nowMs: START_MS + 301_000 }),
    refused('beyond-planned-window', 'a ticket that reaches beyond the planned window', 'outside-window', 'report', {
      plan: (plan) => ({ ...plan, window: { calendar: 'nightly', opensAt: formatTime(START_MS), closesAt: formatTime(START_MS + 299_999), onMissed: 'expire', consumers: [] } }),
    }),
    refused('other-log-of-change', 'a change of another log than the ticket', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, changeId: ticket.changeId.replace(logId, '0'.repeat(16)) }) }),
    refused('step-of-another-change', 'a step of another change', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, stepId: another().ticket.stepId }) }),
    refused('second-step', 'a second step, where the plan has one', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, stepId: ticket.stepId.replace(/_1$/, '_2') }) }),
    refused('other-account', 'a step at another account than the plan says', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, step: { ...ticket.step, account: 'postgres' } }) }),
    refused('other-client-token', 'a client token of another change', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, clientToken: another().plan.steps[0]!.clientToken }] }) }),
    refused('more-than-entitlements', 'a step with more than the entitlements say', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, privileges: ['table:public.orders:DELETE', 'table:public.orders:SELECT'] }] }) }),
    refused('privileges-not-sorted', 'privileges in another order than the derived one', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, entitlements: [...plan.entitlements, { ...plan.entitlements[0]!, privilege: 'b' }], steps: [{ ...plan.steps[0]!, privileges: ['table:public.orders:SELECT', 'b'] }] }) }),
    refused('other-target', 'a step at another target than the entitlements', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, target: 'payroll', steps: [{ ...plan.steps[0]!, target: 'payroll' }] }) }),
    refused('scope', 'an entitlement with a scope, which no step keeps', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, entitlements: [{ ...plan.entitlements[0]!, scope: 'one row' }] }) }),
    refused('other-kind', 'a step of another kind than the plan', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, kind: 'grant' }) }),
    refused('no-recipient', 'a new credential with no recipient', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, recipient: null }) }),
    refused('recipient-of-nothing', 'a recipient, where there is no new secret', 'wrong-step', 'report', { action: 'grant', plan: (plan) => ({ ...plan, recipient: made().plan.recipient }) }),
    refused('other-lease', 'a lease of another change', 'wrong-step', 'report', { plan: (plan) => ({ ...plan, lease: { ...plan.lease!, leaseId: another().plan.lease!.leaseId } }) }),
    refused('lease-that-is-not-lent', 'a lease, where nothing is lent', 'wrong-step', 'report', { action: 'revoke', plan: (plan) => ({ ...plan, lease: made().plan.lease }) }),
    refused('caller-makes-it', 'a change that its caller makes itself', 'wrong-step', 'report', { action: 'call', ticket: (ticket) => ({ ...ticket, audience: EXECUTOR }) }),
    refused('missing', 'no plan', 'plan-digest-mismatch', 'none', withoutRecorded((envelope) => ({ ...envelope, plan: null }))),
    refused('edited', 'a plan edited after it was approved', 'plan-digest-mismatch', 'none', withoutRecorded((envelope) => ({ ...envelope, plan: { ...envelope.plan!, lease: { ...envelope.plan!.lease!, leaseSeconds: 90_000 } } }))),
    refused('other-revision', 'the plan of another revision', 'plan-digest-mismatch', 'none', { plan: (plan) => ({ ...plan, revision: 2 }) }),
    refused('not-here', 'a connector that this executor does not have', 'unknown-connector', 'report', {}, { connectors: ['aws'] }),
    refused('other-signer', 'a checkpoint that nobody trusted has signed', 'untrusted-checkpoint', 'report', { envelope: (envelope, log, index) => ({ ...envelope, receipt: log.receipt(index, { signer: forger }) }) }),
    refused('ticket-key', 'a checkpoint that the sidecar has signed with its ticket key', 'untrusted-checkpoint', 'report', { envelope: (envelope, log, index) => ({ ...envelope, receipt: log.receipt(index, { signer: keys.ticket }) }) }),
    refused('other-origin', 'the receipt of another log', 'untrusted-checkpoint', 'report', { log: someLog(3, stranger) }),
    refused('one-byte-changed', 'a checkpoint with one byte changed', 'untrusted-checkpoint', 'report', { envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, checkpoint: envelope.receipt.checkpoint.replace('\n6\n', '\n7\n') } }) }),
    refused('of-another-trusted-log', 'a good checkpoint of another log that is trusted as well', 'untrusted-checkpoint', 'report', { log: someLog(3, stranger) }, { trustPolicy: `log ${keys.log.vkey}\nlog ${stranger.vkey}\nquorum none\n` }),
    refused('another-record', 'a record that is not the one of the proof', 'no-receipt', 'report', { envelope: (envelope, log, index) => ({ ...envelope, receipt: { ...log.receipt(index), record: log.fork(index).receipt(0).record } }) }, {}, true),
    refused('another-place', 'a record proven at another place', 'no-receipt', 'report', { envelope: (envelope, log, index) => ({ ...envelope, receipt: { ...log.receipt(index), index: index - 1 } }) }, {}, true),
    refused('beyond-the-log', 'an index that the log does not have', 'no-receipt', 'report', { envelope: (envelope, log, index) => ({ ...envelope, receipt: { ...log.receipt(index), index: index + 1 } }) }, {}, true),
    refused('hash-too-many', 'a proof with a hash too many', 'no-receipt', 'report', { envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, inclusion: [...envelope.receipt.inclusion, base64(Buffer.alloc(32))] } }) }, {}, true),
    refused('hash-too-few', 'a proof with a hash too few', 'no-receipt', 'report', { envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, inclusion: envelope.receipt.inclusion.slice(0, -1) } }) }, {}, true),
    refused('another-ticket', 'the receipt of another ticket', 'receipt-mismatch', 'none', { envelope: (envelope, log) => ({ ...envelope, receipt: another({ log }).envelope.receipt }) }, {}, true),
    refused('another-issue', 'the receipt of another issue of the step', 'receipt-mismatch', 'none', { body: (body) => ({ ...body, issue: 2 }) }, {}, true),
    refused('another-type', 'the receipt of a record of another type', 'receipt-mismatch', 'none', { draft: (draft) => ({ ...draft, type: 'step.claimed' }) }, {}, true),
    refused('another-change', 'the receipt of a record of another change', 'receipt-mismatch', 'none', { draft: (draft) => ({ ...draft, change: ANOTHER_CHANGE }) }, {}, true),
    refused('a-later-version', 'the receipt of a record of a version that is not known', 'receipt-mismatch', 'none', { draft: (draft) => ({ ...draft, v: 2 }) }, {}, true),
    refused('another-plan', 'the receipt of an authorisation of another plan', 'receipt-mismatch', 'none', { body: (body) => ({ ...body, planDigest: ZEROS }) }, {}, true),
    refused('of-a-read', 'the receipt of a read', 'receipt-mismatch', 'none', { envelope: (envelope, log) => ({ ...envelope, receipt: makeRead({ log, changeId: CHANGE }).envelope.receipt }) }, {}, true),
    refused('a-field-too-many', 'a record whose body has a field that no authorisation has', 'receipt-mismatch', 'none', { body: (body) => ({ ...body, also: 1 }) as never }, {}, true),
    refused('group-of-none', 'a record that asks for none at least of nobody', 'receipt-mismatch', 'none', { body: (body) => ({ ...body, requirement: { approvers: { atLeast: 0, of: [] }, proofClass: 'session' } }) }, {}, true),
    refused('none', 'no approval', 'approvals-insufficient', 'report', { approvals: () => [] }, {}, true),
    refused('withheld', 'an approval that is on record and did not come', 'approvals-insufficient', 'none', withoutRecorded((envelope) => ({ ...envelope, approvals: [] })), {}, true),
    refused('not-asked', 'an approval by somebody who was not asked', 'approvals-insufficient', 'report', { statements: (statement) => [{ ...statement, approver: 'person:bert' }] }, {}, true),
    refused('expired', 'an approval that had expired when the step was authorised', 'approvals-insufficient', 'report', { statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS) }] }, {}, true),
    refused('expired-and-dated-back', 'an approval that expired before any ticket of now can have been authorised, and a record that is dated back to before that', 'approvals-insufficient', 'report', {
      leaseSeconds: null, statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS - 3_600_000) }], draft: (draft) => ({ ...draft, at: formatTime(START_MS - 3_600_001) }),
    }, {}, true),
    refused('one-person-twice', 'one person twice, where two are asked', 'approvals-insufficient', 'report', {
      statements: (statement) => [statement, { ...statement, expiresAt: formatTime(START_MS + 9_000_000) }],
      body: (body) => ({ ...body, requirement: { approvers: { atLeast: 2, of: [APPROVER, 'person:bert'] }, proofClass: 'session' } }),
    }, {}, true),
    refused('any-of-nobody', 'any of an empty group', 'approvals-insufficient', 'report', { body: (body) => ({ ...body, requirement: { approvers: { anyOf: [] }, proofClass: 'session' } }) }, {}, true),
    refused('all-of-nobody', 'all of an empty group', 'approvals-insufficient', 'report', { body: (body) => ({ ...body, requirement: { approvers: { allOf: [] }, proofClass: 'session' } }) }, {}, true),
    refused('stages-of-nobody', 'no stages at all', 'approvals-insufficient', 'report', { body: (body) => ({ ...body, requirement: { approvers: { stages: [] }, proofClass: 'session' } }) }, {}, true),
    refused('a-stage-that-is-not-met', 'the first of two stages, and not the second', 'approvals-insufficient', 'report', { body: (body) => ({ ...body, requirement: { approvers: { stages: [APPROVER, 'person:bert'] }, proofClass: 'session' } }) }, {}, true),
    refused('weaker-proof', 'an approval by session, where the decision asks for a passkey', 'approvals-insufficient', 'report', { body: (body) => ({ ...body, requirement: { approvers: APPROVER, proofClass: 'passkey' } }) }, {}, true),
    refused('by-who-asked', 'an approval by who asked', 'approval-invalid', 'report', { statements: (statement) => [{ ...statement, approver: 'person:rita' }] }, {}, true),
    refused('of-another-plan', 'an approval of another plan', 'approval-invalid', 'report', { statements: (statement) => [{ ...statement, planDigest: `sha256:${'1'.repeat(64)}` }] }, {}, true),
    refused('of-another-revision', 'an approval of another revision', 'approval-invalid', 'report', { statements: (statement) => [{ ...statement, revision: 2 }] }, {}, true),
    refused('of-another-change', 'an approval of another change', 'approval-invalid', 'report', { statements: (statement) => [{ ...statement, changeId: ANOTHER_CHANGE }] }, {}, true),
    refused('a-rejection', 'a rejection', 'approval-invalid', 'report', { statements: (statement) => [{ ...statement, verdict: 'reject' }] }, {}, true),
    refused('somebody-elses-signature', 'an approval that somebody else has signed', 'approval-invalid', 'none', { approvals: ([approval]) => [resigned(approval!)] }, {}, true),
    refused('another-id', 'an approval under the id of another', 'approval-invalid', 'none', { approvals: ([approval]) => [{ ...approval!, approvalId: `apr_${'0'.repeat(32)}` }] }, {}, true),
    refused('not-recorded', 'an approval that is not on record', 'approval-invalid', 'none', { body: (body) => ({ ...body, approvals: [] }) }, {}, true),
    refused('unknown-proof', 'the sidecar’s own signature, said to be the person’s', 'approval-invalid', 'none', { approvals: ([approval]) => [{ ...approval!, proofClass: 'ssh' }] }, {}, true),
    refused('quorum', 'fewer approvers than the floor asks, whatever the decision said', 'below-floor', 'report', { body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) }, { trust: { quorum: 2 } }, true),
    refused('silence', 'no approval, where the decision asked for none and the floor asks for one', 'below-floor', 'report', { approvals: () => [], body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) }, {}, true),
    refused('other-approvers', 'an approver whom the floor does not count', 'below-floor', 'report', {}, { trust: { approvers: ['person:carl'] } }, true),
    refused('longer-lease', 'a longer lease than the floor allows', 'below-floor', 'report', {}, { trust: { maxLeaseSeconds: 899 } }, true),
    refused('standing', 'standing access, where the floor limits leases', 'below-floor', 'report', { leaseSeconds: null }, { trust: { maxLeaseSeconds: 86_400 } }, true),
    refused('missing', 'a lease with no order to end it', 'order-mismatch', 'none', withoutRecorded((envelope) => ({ ...envelope, order: null })), {}, true),
    refused('unknown-signer', 'an order signed by nobody known', 'order-mismatch', 'none', { orderSigner: forger }, {}, true),
    refused('only-a-revoker', 'an order that only a revoker has signed', 'order-mismatch', 'none', { orderSigner: keys.revoker }, {}, true),
    refused('not-recorded', 'an order that is not the recorded one', 'order-mismatch', 'none', withoutRecorded((envelope) => ({ ...envelope, order: another().order })), {}, true),
    refused('other-executor', 'an order to another executor', 'order-mismatch', 'report', { order: (order) => ({ ...order, audience: 'executor:other' }) }, {}, true),
    refused('other-account', 'an order about another account', 'order-mismatch', 'report', { order: (order) => ({ ...order, account: 'somebody' }) }, {}, true),
    refused('other-privileges', 'an order about other privileges', 'order-mismatch', 'report', { order: (order) => ({ ...order, privileges: ['b'] }) }, {}, true),
    refused('other-action', 'an order that undoes another kind of step', 'order-mismatch', 'report', { order: (order) => ({ ...order, action: 'grant' }) }, {}, true),
    refused('other-lease', 'an order of another lease', 'order-mismatch', 'report', { order: (order) => ({ ...order, changeId: ANOTHER_CHANGE }) }, {}, true),
    refused('later-than-lease', 'an order later than the lease lasts', 'order-mismatch', 'report', { order: (order) => ({ ...order, notBefore: formatTime(START_MS + 900_001) }) }, {}, true),
    refused('later-than-ends-by', 'an order later than the access may last', 'order-mismatch', 'report', { plan: (plan) => ({ ...plan, lease: { ...plan.lease!, endsBy: formatTime(START_MS + 100_000) } }) }, {}, true),
    refused('record-from-the-future', 'a lease that is stretched by a record from the future', 'order-mismatch', 'report', {
      draft: (draft) => ({ ...draft, at: formatTime(START_MS + 7_200_000) }), statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS + 9_000_000) }], order: (order) => ({ ...order, notBefore: formatTime(START_MS + 8_000_000) }),
    }, {}, true),
    refused('another-end', 'another end in the record than in the order', 'order-mismatch', 'report', { body: (body) => ({ ...body, lease: { ...body.lease!, endsAt: formatTime(START_MS + 1) } }) }, {}, true),
    refused('where-it-stands', 'an order, where the plan says that the access stands', 'order-mismatch', 'none', { leaseSeconds: null, envelope: (envelope) => ({ ...envelope, order: another().order }) }, {}, true),
    refused('over', 'a lease that is over', 'lease-ended', 'report', { order: (order) => ({ ...order, notBefore: formatTime(START_MS + 500) }) }, {}, true),
  ];
}

function reads(): StepVector[] {
  const read = makeRead({ changeId: CHANGE });
  const edited = makeRead({ changeId: CHANGE, ticket: (ticket) => ({ ...ticket, query: { ...ticket.query, account: 'postgres' } }) });
  const late = makeRead({ changeId: CHANGE, ticket: (ticket) => ({ ...ticket, stepId: ticket.stepId.replace('_read', '_1') }) });
  return [
    stepVector('refused-plan-digest-mismatch-query', 'a query that is not the one of the digest', { json: edited.envelope }, { refused: 'plan-digest-mismatch', answer: 'none', head: null }),
    stepVector('refused-wrong-step-read', 'a read under the id of a step', { json: late.envelope }, { refused: 'wrong-step', answer: 'report', head: null }),
    stepVector('refused-malformed-read-with-plan', 'a read with a plan', { json: { ...read.envelope, plan: made().plan } }, { refused: 'malformed', answer: 'none', head: null }),
  ];
}

/** Forks and rollbacks of a log of 9 records that was seen. */
function growth(): StepVector[] {
  const seen = someLog(9);
  const head = headOf(seen);
  const bad = (path: string, title: string, edits: Edits): StepVector =>
    stepVector(`refused-inconsistent-checkpoint-${path}`, title, { json: made(edits).envelope }, { refused: 'inconsistent-checkpoint', answer: 'inconsistent', head: null }, { head });
  const filler = (n: number): RecordDraft => ({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: 'sidecar:fork', body: { n }, objects: [] });
  const forked = (extra: number): PaperLog => {
    const log = seen.fork(6);
    for (let n = 0; n < extra; n += 1) log.append(filler(n));
    return log;
  };
  const grownLog = made({ log: someLog(9), fromSize: 9 });
  return [
    bad('fewer', 'fewer records than were seen: the log was rolled back, or the message is old', { log: seen.fork(5) }),
    bad('same-size', 'as many records as were seen, and other ones', { log: forked(2) }),
    bad('fork', 'more records than were seen, and other ones', { log: forked(6), fromSize: 9 }),
    bad('no-proof', 'a log that has grown, with no proof of it', { log: someLog(9) }),
    bad('proof-from-elsewhere', 'a log that has grown, with a proof from another size', { log: someLog(9), fromSize: 4 }),
    stepVector('refused-inconsistent-checkpoint-proof-cut', 'a consistency proof with its last hash left out', {
      json: { ...grownLog.envelope, receipt: { ...grownLog.envelope.receipt, consistency: grownLog.envelope.receipt.consistency.map(({ fromSize, proof }) => ({ fromSize, proof: proof.slice(0, -1) })) } },
    }, { refused: 'inconsistent-checkpoint', answer: 'inconsistent', head: null }, { head }),
  ];
}

function readAbout(action: 'grant' | 'revoke'): ReturnType<typeof makeRead> {
  return makeRead({ changeId: CHANGE, ticket: (ticket) => {
    const query = { ...ticket.query, action };
    return { ...ticket, query, queryDigest: digestOf(canonicalBytes(query)) };
  } });
}

/** A quorum of two witnesses, met and not. */
function witnessed(): StepVector[] {
  const witnesses = ['north', 'south'].map((name, n) => {
    const key = generateSignerKey(`witness.example/${name}`, new Uint8Array(32).fill(60 + n), ALG_COSIGNATURE_V1);
    return { name, vkey: key.vkey, cosigner: parseCosigner(key.skey) };
  });
  const trustPolicy = [`log ${keys.log.vkey}`, ...witnesses.map(({ name, vkey }) => `witness ${name} ${vkey}`), 'group both all north south', 'quorum both', ''].join('\n');
  const cosigned = (by: typeof witnesses, spoil = false): StepEnvelope => {
    const { envelope } = made();
    const note = parseNote(envelope.receipt.checkpoint);
    const cosignatures = by.map(({ cosigner }) => {
      const signature = Buffer.from(cosigner.cosign(note.text, START_MS / 1000));
      if (spoil) signature[7] = signature[7]! ^ 1;
      return { name: cosigner.name, keyName: cosigner.keyName, signature };
    });
    return { ...envelope, receipt: { ...envelope.receipt, checkpoint: formatNote({ text: note.text, signatures: [...note.signatures, ...cosignatures] }) } };
  };
  const refusedAs = { refused: 'untrusted-checkpoint', answer: 'report', head: null } as const;
  return [
    stepVector('admitted-witnessed', 'a checkpoint that the demanded witnesses have cosigned', { json: cosigned(witnesses) }, { admitted: 'act', head: headOf(made().log) }, { trustPolicy }),
    stepVector('refused-untrusted-checkpoint-no-quorum', 'one witness, where two are demanded', { json: cosigned(witnesses.slice(0, 1)) }, refusedAs, { trustPolicy }),
    stepVector('refused-untrusted-checkpoint-bad-cosignature', 'a cosignature whose time was changed', { json: cosigned(witnesses, true) }, refusedAs, { trustPolicy }),
    stepVector('admitted-taking-away-needs-no-witness', 'a step that only takes away, under a checkpoint that no witness has cosigned: no witness holds it up', { json: made({ action: 'revoke' }).envelope }, { admitted: 'act', head: null }, { trustPolicy }),
    stepVector('admitted-looking-at-what-is-taken-needs-no-witness', 'a read about what is to be taken away, under a checkpoint that no witness has cosigned: the head stays as it was', { json: readAbout('revoke').envelope }, { admitted: 'read', head: null }, { trustPolicy }),
    stepVector('refused-untrusted-checkpoint-read', 'a read about what is to be given, under a checkpoint that no witness has cosigned', { json: readAbout('grant').envelope }, refusedAs, { trustPolicy }),
  ];
}

/** A record in the log that is not spelled as records are. */
function spelledOtherwise(): StepVector[] {
  const { envelope, log, index } = made();
  const entries = Array.from({ length: index }, (_, n) => Buffer.from(log.receipt(n).record, 'base64'));
  const spaced = Buffer.from(Buffer.from(envelope.receipt.record, 'base64').toString('utf8').replace('{"actor":', '{ "actor":'));
  const tree = new MerkleTree();
  for (const entry of [...entries, spaced]) tree.append(leafHash(entry));
  const size = index + 1;
  const root = tree.root(size);
  const receipt = { record: base64(spaced), index, inclusion: tree.inclusionProof(index, size).map(base64), checkpoint: signCheckpoint({ origin: log.origin, size, root }, keys.log), consistency: [] };
  return [stepVector('refused-receipt-mismatch-second-spelling', 'a record in the log that is not in canonical form', { json: { ...envelope, receipt } }, { refused: 'receipt-mismatch', answer: 'none', head: { size, root: base64(root) } })];
}

export function stepVectors(): StepVector[] {
  return [...admissions(), ...refusals(), ...reads(), ...growth(), ...witnessed(), ...spelledOtherwise()];
}
