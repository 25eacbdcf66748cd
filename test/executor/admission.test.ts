import { describe, expect, test } from 'vitest';
import { generateSignerKey, logIdOf, parseSigner } from '../../ledger/index.ts';
import { admit, type Admission, type AdmissionContext } from '../../src/executor/admission.ts';
import type { Head } from '../../src/executor/receipt.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval, type Refusal } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { APPROVER, forger, freshChangeId, makeRead, makeStep, someLog, type ActBody, type Edits } from '../support/envelopes.ts';
import { testSshKey } from '../support/ssh.ts';
import { EXECUTOR, keys, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

function context(edit: Partial<AdmissionContext> & { readonly trustEdit?: TrustEdit; readonly known?: Head } = {}): AdmissionContext {
  const { trustEdit, known = null, ...rest } = edit;
  return { trust: storyTrust(trustEdit), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => known, beganAtMs: () => null, ...rest };
}

function refusal(admission: Admission): Refusal | 'admitted' {
  return admission.ok ? 'admitted' : admission.code;
}

const resigned = (approval: Approval, by = forger): Approval => ({ ...approval, envelope: { ...approval.envelope, signatures: [{ keyid: by.keyName, sig: approval.envelope.signatures[0]!.sig }] } });
const [ssh, stolen] = [testSshKey(), testSshKey()];
const SIGNED: TrustEdit = { proofClass: 'ssh', signers: `${APPROVER} ${ssh.publicLine}` };
const stranger = parseSigner(generateSignerKey('elsewhere.example/log', new Uint8Array(32).fill(98)).skey);

describe('what is admitted', () => {
  test.each(['provision', 'grant', 'revoke'] as const)('an approved, recorded %s', (action) => {
    const { envelope, ticket, plan, log } = makeStep({ action });
    const admission = admit(envelope, context());
    expect(admission).toMatchObject({ ok: true, kind: 'act', ticket, plan, head: action === 'revoke' ? null : { size: log.size, root: log.root() } });
  });
  test('standing access, where the floor does not limit it', () => {
    expect(admit(makeStep({ leaseSeconds: null }).envelope, context())).toMatchObject({ ok: true, order: null });
  });
  test('a recorded read, with no approval', () => {
    expect(admit(makeRead().envelope, context())).toMatchObject({ ok: true, kind: 'read' });
  });
  test('a receipt that continues what was seen', () => {
    const log = someLog(9);
    const known = { size: log.size, root: log.root() };
    const { envelope } = makeStep({ log, fromSize: 9 });
    expect(admit(envelope, context({ known }))).toMatchObject({ ok: true, head: { size: 10 } });
  });
  test('a receipt under the very checkpoint that was seen last', () => {
    const { envelope, log } = makeStep();
    expect(admit(envelope, context({ known: { size: log.size, root: log.root() } }))).toMatchObject({ ok: true, head: null });
  });
  test('a reissue, whose lease still ends when the first issue said', () => {
    const endsAt = formatTime(START_MS + 900_000);
    const { envelope } = makeStep({
      nowMs: START_MS + 400_000, issue: 2, order: (order) => ({ ...order, notBefore: endsAt }),
    });
    expect(refusal(admit(envelope, context({ nowMs: START_MS + 401_000 })))).toBe('admitted');
  });
  test('an expired approval does not count, and does not spoil those that do', () => {
    const { envelope } = makeStep({
      statements: (statement) => [statement, { ...statement, approver: 'person:bert', expiresAt: formatTime(START_MS - 1) }],
    });
    expect(refusal(admit(envelope, context()))).toBe('admitted');
    expect(refusal(admit(envelope, context({ trustEdit: { quorum: 2 } })))).toBe('below-floor');
  });
  test('an approval that its approver signed herself, where the floor asks for that', () => {
    const approvals = ([approval]: readonly Approval[]): readonly Approval[] => [ssh.approval(readPayload(approval!.envelope, approvalStatementSchema))];
    const trustEdit = { proofClass: 'ssh', signers: `${APPROVER} ${ssh.publicLine}` } as const;
    expect(refusal(admit(makeStep({ approvals }).envelope, context({ trustEdit })))).toBe('admitted');
    const demanded = (body: ActBody): ActBody => ({ ...body, requirement: { approvers: APPROVER, proofClass: 'ssh' } });
    expect(refusal(admit(makeStep({ approvals, body: demanded }).envelope, context({ trustEdit: { signers: trustEdit.signers } })))).toBe('admitted');
    // What a person began under goes on under it, and so does the key that she signed with.
    const retired = { ...trustEdit, signers: `${APPROVER} valid-before="20261123190000Z" ${ssh.publicLine}` };
    expect(refusal(admit(makeStep({ approvals }).envelope, context({ trustEdit: retired })))).toBe('approval-invalid');
    expect(refusal(admit(makeStep({ approvals }).envelope, context({ trustEdit: retired, beganAtMs: () => START_MS - 1 })))).toBe('admitted');
  });
  test('approvals as of a record that may be as old as a ticket lives, and of none that is dated back further', () => {
    const aged = (ms: number): Edits => ({ draft: (draft) => ({ ...draft, at: formatTime(START_MS - ms) }), leaseSeconds: null });
    const over = (ms: number): Edits => ({ statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS - ms) }] });
    // An hour and the tolerated second before now, which is a second after the start.
    const furthest = 3_600_000;
    expect(refusal(admit(makeStep({ ...aged(furthest), ...over(furthest - 1) }).envelope, context()))).toBe('admitted');
    expect(refusal(admit(makeStep({ ...aged(furthest), ...over(furthest) }).envelope, context()))).toBe('approvals-insufficient');
    expect(refusal(admit(makeStep({ ...aged(furthest + 1), ...over(furthest) }).envelope, context()))).toBe('approvals-insufficient');
    const longTicket: Edits = { ticket: (ticket) => ({ ...ticket, notBefore: formatTime(START_MS - 190 * 86_400_000) }) };
    expect(refusal(admit(makeStep({ ...longTicket, ...aged(190 * 86_400_000), ...over(180 * 86_400_000) }).envelope, context()))).toBe('approvals-insufficient');
  });
  test('no approval with a key that was retired before the step could have been authorised', () => {
    const approvals = ([approval]: readonly Approval[]): readonly Approval[] => [ssh.approval(readPayload(approval!.envelope, approvalStatementSchema))];
    const trustEdit = { proofClass: 'ssh', signers: `${APPROVER} valid-before="20260601000000Z" ${ssh.publicLine}` } as const;
    const { envelope } = makeStep({ leaseSeconds: null, approvals, draft: (draft) => ({ ...draft, at: formatTime(Date.UTC(2026, 4, 1)) }) });
    expect(refusal(admit(envelope, context({ trustEdit })))).toBe('approval-invalid');
  });
  test('a clock that differs as much as the trust folder tolerates, and no more', () => {
    const { envelope } = makeStep();
    const at = (nowMs: number): string => refusal(admit(envelope, context({ nowMs })));
    expect(at(START_MS - 1_000)).toBe('admitted');
    expect(at(START_MS - 1_001)).toBe('outside-window');
    expect(at(START_MS + 300_999)).toBe('admitted');
    expect(at(START_MS + 301_000)).toBe('outside-window');
  });
});

describe('what is refused, each check by its own code', () => {
  const cases: readonly (readonly [string, Refusal, Edits, (Parameters<typeof context>[0])?])[] = [
    ['an envelope with a field too many', 'malformed', { envelope: (envelope) => ({ ...envelope, also: 1 }) as never }],
    ['a plan with a number that no canonical form has', 'malformed', { envelope: (envelope) => ({ ...envelope, plan: { ...envelope.plan!, before: { size: 1.5 } } }) }],
    ['a ticket signed by nobody known', 'unknown-sidecar', { ticketSigner: stranger }],
    ['a ticket signed with the key of the log', 'unknown-sidecar', { ticketSigner: keys.log }],
    ['a ticket of a log that is not trusted', 'unknown-sidecar', { ticket: (ticket) => ({ ...ticket, log: logIdOf('other.example/log') }) }],
    ['a ticket by a forger under a known name', 'unknown-sidecar', { ticketSigner: forger }],
    ['a ticket altered after it was signed', 'bad-signature', { envelope: (envelope) => ({ ...envelope, ticket: { ...envelope.ticket, payload: makeStep().envelope.ticket.payload } }) }],
    ['a forged signature under a known key', 'bad-signature', { envelope: (envelope) => ({ ...envelope, ticket: { ...envelope.ticket, signatures: [{ keyid: keys.ticket.keyName, sig: Buffer.alloc(64, 7).toString('base64') }] } }) }],
    ['a ticket for another executor', 'wrong-audience', { ticket: (ticket) => ({ ...ticket, audience: 'executor:other' }) }],
    ['a ticket before its time', 'outside-window', {}, { nowMs: START_MS - 60_000 }],
    ['a ticket after its time', 'outside-window', {}, { nowMs: START_MS + 600_000 }],
    ['a step of another change', 'wrong-step', { ticket: (ticket) => ({ ...ticket, stepId: makeStep().ticket.stepId }) }],
    ['a second step', 'wrong-step', { ticket: (ticket) => ({ ...ticket, stepId: ticket.stepId.replace(/_1$/, '_2') }) }],
    ['a client token of another change', 'wrong-step', { plan: (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, clientToken: makeStep().plan.steps[0]!.clientToken }] }) }],
    ['no plan', 'plan-digest-mismatch', { envelope: (envelope) => ({ ...envelope, plan: null }) }],
    ['a plan edited after approval', 'plan-digest-mismatch', { envelope: (envelope) => ({ ...envelope, plan: { ...envelope.plan!, lease: { ...envelope.plan!.lease!, leaseSeconds: 90_000 } } }) }],
    ['the plan of another revision', 'plan-digest-mismatch', { plan: (plan) => ({ ...plan, revision: 2 }) }],
    ['a step that the plan does not have', 'wrong-step', { ticket: (ticket) => ({ ...ticket, step: { ...ticket.step, account: 'postgres' } }) }],
    ['a step with more than the entitlements say', 'wrong-step', { plan: (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, privileges: ['table:public.orders:DELETE', 'table:public.orders:SELECT'] }] }) }],
    ['a step at another target than the entitlements', 'wrong-step', { plan: (plan) => ({ ...plan, target: 'payroll', steps: [{ ...plan.steps[0]!, target: 'payroll' }] }) }],
    ['a scope, which no step keeps', 'wrong-step', { plan: (plan) => ({ ...plan, entitlements: [{ ...plan.entitlements[0]!, scope: 'one row' }] }) }],
    ['a step of another kind than the plan', 'wrong-step', { plan: (plan) => ({ ...plan, kind: 'grant' }) }],
    ['a new credential with no recipient', 'wrong-step', { plan: (plan) => ({ ...plan, recipient: null }) }],
    ['a lease of another change', 'wrong-step', { plan: (plan) => ({ ...plan, lease: { ...plan.lease!, leaseId: makeStep().plan.lease!.leaseId } }) }],
    ['a connector that is not here', 'unknown-connector', {}, { connectors: new Set(['aws']) }],
    ['a checkpoint that nobody trusted signed', 'untrusted-checkpoint', { envelope: (envelope, log, index) => ({ ...envelope, receipt: log.receipt(index, { signer: forger }) }) }],
    ['a receipt of another log', 'untrusted-checkpoint', { log: someLog(3, stranger) }],
    ['a checkpoint with one byte changed', 'untrusted-checkpoint', { envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, checkpoint: envelope.receipt.checkpoint.replace('\n6\n', '\n7\n') } }) }],
    ['a record that is not in the log', 'no-receipt', { envelope: (envelope, log, index) => ({ ...envelope, receipt: { ...log.receipt(index), record: log.fork(index).receipt(0).record } }) }],
    ['a record proven at another place', 'no-receipt', { envelope: (envelope, log, index) => ({ ...envelope, receipt: { ...log.receipt(index), index: index - 1 } }) }],
    ['a proof with a hash too many', 'no-receipt', { envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, inclusion: [...envelope.receipt.inclusion, Buffer.alloc(32).toString('base64')] } }) }],
    ['the receipt of another ticket', 'receipt-mismatch', { envelope: (envelope, log) => ({ ...envelope, receipt: makeStep({ log }).envelope.receipt }) }],
    ['the receipt of another issue of the same step', 'receipt-mismatch', { body: (body) => ({ ...body, issue: 2 }) }],
    ['the receipt of a record of another type', 'receipt-mismatch', { draft: (draft) => ({ ...draft, type: 'step.claimed' }) }],
    ['the receipt of a record of another change', 'receipt-mismatch', { draft: (draft) => ({ ...draft, change: freshChangeId() }) }],
    ['the receipt of a record from a later version', 'receipt-mismatch', { draft: (draft) => ({ ...draft, v: 2 }) }],
    ['the receipt of an authorisation of another plan', 'receipt-mismatch', { body: (body) => ({ ...body, planDigest: `sha256:${'0'.repeat(64)}` }) }],
    ['no approval', 'approvals-insufficient', { approvals: () => [] }],
    ['approval by somebody who was not asked', 'approvals-insufficient', { statements: (statement) => [{ ...statement, approver: 'person:bert' }] }],
    ['an approval that had expired when the step was authorised', 'approvals-insufficient', { statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS) }] }],
    ['one approver twice where two are asked', 'approvals-insufficient', {
      statements: (statement) => [statement, { ...statement, expiresAt: formatTime(START_MS + 9_000_000) }],
      body: (body) => ({ ...body, requirement: { approvers: { atLeast: 2, of: [APPROVER, 'person:bert'] }, proofClass: 'session' } }),
    }],
    ['an empty group of approvers', 'approvals-insufficient', { body: (body) => ({ ...body, requirement: { approvers: { anyOf: [] }, proofClass: 'session' } }) }],
    ['an approval by who asked', 'approval-invalid', { statements: (statement) => [{ ...statement, approver: 'person:rita' }] }],
    ['an approval of another plan', 'approval-invalid', { statements: (statement) => [{ ...statement, planDigest: `sha256:${'1'.repeat(64)}` }] }],
    ['an approval of another revision', 'approval-invalid', { statements: (statement) => [{ ...statement, revision: 2 }] }],
    ['an approval of another change', 'approval-invalid', { statements: (statement) => [{ ...statement, changeId: freshChangeId() }] }],
    ['a rejection', 'approval-invalid', { statements: (statement) => [{ ...statement, verdict: 'reject' }] }],
    ['an approval that somebody else signed', 'approval-invalid', { approvals: ([approval]) => [resigned(approval!)] }],
    ['an approval under the id of another', 'approval-invalid', { approvals: ([approval]) => [{ ...approval!, approvalId: `apr_${'0'.repeat(32)}` }] }],
    ['an approval that was not recorded', 'approval-invalid', { body: (body) => ({ ...body, approvals: [] }) }],
    ['a proof that cannot be checked', 'approval-invalid', { approvals: ([approval]) => [{ ...approval!, proofClass: 'ssh' }] }],
    ['a session, which the sidecar says of itself, where the floor asks for a signature of hers', 'below-floor', {}, { trustEdit: SIGNED }],
    ['a session where the decision asks for a signature', 'approvals-insufficient', { body: (body) => ({ ...body, requirement: { approvers: APPROVER, proofClass: 'ssh' } }) }],
    ['a signature by a key that nobody allowed', 'approval-invalid', { approvals: ([approval]) => [stolen.approval(readPayload(approval!.envelope, approvalStatementSchema))] }, { trustEdit: SIGNED }],
    ['her signature of another plan', 'approval-invalid', { approvals: ([approval]) => [ssh.approval({ ...readPayload(approval!.envelope, approvalStatementSchema), planDigest: `sha256:${'2'.repeat(64)}` })] }, { trustEdit: SIGNED }],
    ['her rejection', 'approval-invalid', { approvals: ([approval]) => [ssh.approval({ ...readPayload(approval!.envelope, approvalStatementSchema), verdict: 'reject' })] }, { trustEdit: SIGNED }],
    ['fewer approvers than the floor asks, whatever the decision said', 'below-floor', { body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) }, { trustEdit: { quorum: 2 } }],
    ['no approval, where the decision asked none and the floor asks one', 'below-floor', { approvals: () => [], body: (body) => ({ ...body, requirement: { approvers: null, proofClass: 'session' } }) }],
    ['approvers that the floor does not count', 'below-floor', {}, { trustEdit: { approvers: ['person:carl'] } }],
    ['a longer lease than the floor allows', 'below-floor', {}, { trustEdit: { maxLeaseSeconds: 899 } }],
    ['standing access where the floor limits leases', 'below-floor', { leaseSeconds: null }, { trustEdit: { maxLeaseSeconds: 86_400 } }],
    ['a lease with no order to end it', 'order-mismatch', { envelope: (envelope) => ({ ...envelope, order: null }) }],
    ['an order signed by nobody known', 'order-mismatch', { orderSigner: forger }],
    ['an order that only a revoker signed', 'order-mismatch', { orderSigner: keys.revoker }],
    ['an order that was not recorded', 'order-mismatch', { envelope: (envelope) => ({ ...envelope, order: makeStep().order }) }],
    ['an order to another executor', 'order-mismatch', { order: (order) => ({ ...order, audience: 'executor:other' }) }],
    ['an order about another account', 'order-mismatch', { order: (order) => ({ ...order, account: 'somebody' }) }],
    ['an order about fewer privileges', 'order-mismatch', { plan: (plan) => ({ ...plan, entitlements: [...plan.entitlements, { ...plan.entitlements[0]!, privilege: 'b' }], steps: [{ ...plan.steps[0]!, privileges: ['b', 'table:public.orders:SELECT'] }] }), order: (order) => ({ ...order, privileges: ['b'] }) }],
    ['an order that undoes another kind of step', 'order-mismatch', { order: (order) => ({ ...order, action: 'grant' }) }],
    ['an order of another lease', 'order-mismatch', { order: (order) => ({ ...order, changeId: freshChangeId() }) }],
    ['an order later than the lease lasts', 'order-mismatch', { order: (order) => ({ ...order, notBefore: formatTime(START_MS + 900_001) }) }],
    ['an order later than the plan allows at the latest', 'order-mismatch', { plan: (plan) => ({ ...plan, lease: { ...plan.lease!, endsBy: formatTime(START_MS + 100_000) } }) }],
    ['a lease stretched by a record from the future', 'order-mismatch', { draft: (draft) => ({ ...draft, at: formatTime(START_MS + 7_200_000) }), statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS + 9_000_000) }], order: (order) => ({ ...order, notBefore: formatTime(START_MS + 8_000_000) }) }],
    ['another end in the record than in the order', 'order-mismatch', { body: (body) => ({ ...body, lease: { ...body.lease!, endsAt: formatTime(START_MS + 1) } }) }],
    ['an order where the plan stands', 'order-mismatch', { leaseSeconds: null, envelope: (envelope) => ({ ...envelope, order: makeStep().order }) }],
    ['a lease that is over', 'lease-ended', { order: (order) => ({ ...order, notBefore: formatTime(START_MS + 500) }) }],
  ];
  test.each(cases.map(([name, code, edits, settings]) => ({ name, code, edits, settings })))('$name: $code', ({ code, edits, settings }) => {
    const { envelope } = makeStep(edits);
    const admission = admit(envelope, context(settings));
    expect(admission.ok ? 'admitted' : `${admission.code}: ${admission.message}`).toMatch(new RegExp(`^${code}: `));
  });
  test('nothing but whole envelopes: every value of another kind is malformed', () => {
    for (const value of [null, undefined, 1, 'step', [], {}, { v: 1 }]) expect(refusal(admit(value, context()))).toBe('malformed');
  });
});

describe('reads', () => {
  test('a query that is not the one of the digest is refused', () => {
    const { envelope } = makeRead({ ticket: (ticket) => ({ ...ticket, query: { ...ticket.query, account: 'postgres' } }) });
    expect(refusal(admit(envelope, context()))).toBe('plan-digest-mismatch');
  });
  test('a read ticket does not carry a plan, and is no receipt for one', () => {
    const read = makeRead();
    const act = makeStep({ log: read.log });
    expect(refusal(admit({ ...read.envelope, plan: act.plan }, context()))).toBe('malformed');
    expect(refusal(admit({ ...act.envelope, receipt: read.envelope.receipt }, context()))).toBe('receipt-mismatch');
  });
});

describe('the log that was seen before', () => {
  const seen = someLog(9);
  const known = { size: seen.size, root: seen.root() };
  const against = (edits: Edits): Admission => admit(makeStep(edits).envelope, context({ known }));
  test('a checkpoint of fewer records is refused: the log was rolled back, or the message is old', () => {
    expect(against({ log: seen.fork(5) })).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
  });
  test('a larger one with no proof, or one from elsewhere, is refused', () => {
    expect(against({ log: seen.fork(9) })).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
    expect(against({ log: seen.fork(9), fromSize: 4 })).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
  });
  test('a fork is refused at the same size and at a larger one', () => {
    const forked = someLog(5).fork(5);
    forked.append({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: 'sidecar:fork', body: {}, objects: [] });
    const same = forked.fork(6);
    for (let n = 0; n < 2; n += 1) same.append({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: 'sidecar:fork', body: { n }, objects: [] });
    expect(against({ log: same })).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
    for (let n = 0; n < 3; n += 1) forked.append({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: 'sidecar:fork', body: { n }, objects: [] });
    expect(against({ log: forked, fromSize: 9 })).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
  });
  test('a checkpoint that was believed is kept although the envelope was not', () => {
    const { envelope } = makeStep({ approvals: () => [] });
    expect(admit(envelope, context())).toMatchObject({ ok: false, code: 'approvals-insufficient', head: { size: 6 } });
  });
  test('a fork is not kept', () => {
    expect(against({ log: seen.fork(5) })).toMatchObject({ head: null });
  });
});

describe('who is answered', () => {
  test('only what a trusted sidecar signed for this executor has a ticket to answer for', () => {
    expect(admit(makeStep({ ticketSigner: forger }).envelope, context())).toMatchObject({ ok: false, ticket: null });
    expect(admit(makeStep({ ticket: (ticket) => ({ ...ticket, audience: 'executor:other' }) }).envelope, context())).toMatchObject({ ok: false, ticket: null });
    expect(admit(makeStep({ approvals: () => [] }).envelope, context())).toMatchObject({ ok: false, ticket: { kind: 'act' } });
  });
  test('what may have been changed on its way is answered only where another issue mends it', () => {
    const { envelope, log, index } = makeStep();
    expect(admit({ ...envelope, approvals: [] }, context())).toMatchObject({ ok: false, code: 'approvals-insufficient', ticket: null });
    expect(admit({ ...envelope, plan: null }, context())).toMatchObject({ ok: false, code: 'plan-digest-mismatch', ticket: null });
    expect(admit({ ...envelope, receipt: { ...log.receipt(index), inclusion: [] } }, context())).toMatchObject({ ok: false, code: 'no-receipt', ticket: { kind: 'act' } });
  });
});

test('a quorum of witnesses that the trust folder demands is demanded of a receipt', () => {
  const trust = storyTrust();
  const demanding = { ...trust, policy: { ...trust.policy, quorum: 'witness' } };
  expect(refusal(admit(makeStep().envelope, context({ trust: demanding })))).toBe('untrusted-checkpoint');
});

test('the same envelope gets the same answer', () => {
  const { envelope } = makeStep();
  expect(admit(envelope, context())).toEqual(admit(envelope, context()));
});
