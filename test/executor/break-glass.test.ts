/** A broken glass at the executor: by its own trust folder alone, whatever the sidecar says. */
import { describe, expect, it } from 'vitest';
import { admit, type AdmissionContext } from '../../src/executor/admission.ts';
import { breakGlassDigest, type BreakGlassStatement } from '../../src/protocol/break-glass.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import { ticketSchema, type Dsse, type Refusal } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { BREAKABLE, GLASS, glassOf, GLASS_SALT, REASON, SAM, samsKey } from '../support/break-glass.ts';
import { makeRead, makeStep, type Edits } from '../support/envelopes.ts';
import { testSshKey } from '../support/ssh.ts';
import { EXECUTOR, logId, sign, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

const stranger = testSshKey();

function answer(edits: Edits, trust: TrustEdit = BREAKABLE, context: Partial<AdmissionContext> = {}): Refusal | 'admitted' {
  const admission = admit(makeStep(edits).envelope, { trust: storyTrust(trust), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null, ...context });
  return admission.ok ? 'admitted' : admission.code;
}

/** A step that nobody approved, and for which the glass was broken. */
function broken(edit: Partial<BreakGlassStatement> = {}, make: (statement: BreakGlassStatement) => Dsse = glassOf): Edits {
  let glass: Dsse;
  return {
    approvals: () => [],
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
const limited = (edit: object): TrustEdit => ({ ...BREAKABLE, breakGlass: [{ ...GLASS, ...edit }] });

describe('a broken glass stands for the approvals', () => {
  it.each(['provision', 'grant'] as const)('of a %s', (action) => expect(answer({ action, ...broken() })).toBe('admitted'));
  it('also where the floor asks for a passkey, or names others', () => {
    expect(answer(broken(), { ...BREAKABLE, proofClass: 'passkey' })).toBe('admitted');
    expect(answer(broken(), { ...BREAKABLE, approvers: ['person:anna'] })).toBe('admitted');
  });
});

describe('a broken glass gives nothing', () => {
  const cases: readonly (readonly [string, Refusal, Edits, TrustEdit?])[] = [
    ['where the floor names nobody', 'below-floor', broken(), { quorum: 2, signers: BREAKABLE.signers! }],
    ['where the floor names others', 'below-floor', broken(), limited({ people: ['person:olga'] })],
    ['where the floor names her for another target', 'below-floor', broken(), limited({ target: 'another' })],
    ['where one of two floors does not name her', 'below-floor', broken(), { ...BREAKABLE, breakGlass: [GLASS, { ...GLASS, connector: 'pg-main', people: ['person:olga'] }] }],
    ['for a lease that is longer than the floor lets it be', 'below-floor', broken(), limited({ maxLeaseSeconds: 899 })],
    ['for a lease that is longer than any of the floor may be', 'below-floor', broken(), { ...BREAKABLE, maxLeaseSeconds: 899 }],
    ['that stands', 'below-floor', { leaseSeconds: null, ...broken() }],
    ['of a rotation', 'below-floor', { action: 'stage', ...broken() }],
    ['by a key of nobody', 'approval-invalid', broken({}, (statement) => glassOf(statement, stranger))],
    ['by the sidecar', 'approval-invalid', broken({}, (statement) => ({ ...glassOf(statement), signatures: sign.approval(statement as never).envelope.signatures }))],
    ['in another’s name', 'approval-invalid', broken({ usedBy: 'person:olga' })],
    ['by what was signed as an approval', 'approval-invalid', broken({}, (statement) => glassOf(statement, samsKey, { namespace: 'approval@countersign' }))],
    ['in an envelope of another type', 'approval-invalid', broken({}, (statement) => glassOf(statement, samsKey, {}, 'application/vnd.countersign.approval+json'))],
    ['with a key that was retired', 'approval-invalid', broken(), { ...BREAKABLE, signers: `${SAM} valid-before="20261101Z" ${samsKey.publicLine}` }],
    ['without a reason', 'malformed', broken({}, ({ reason: _, ...unsaid }) => glassOf(unsaid as BreakGlassStatement))],
    ['for another plan', 'approval-invalid', broken({ planDigest: `sha256:${'2'.repeat(64)}` })],
    ['for another revision', 'approval-invalid', broken({ revision: 2 })],
    ['for a change of another log', 'approval-invalid', broken({ log: '0123456789abcdef' })],
    ['once it has expired', 'approvals-insufficient', broken({ expiresAt: formatTime(START_MS) })],
    ['that is good for longer than it may be', 'below-floor', broken({ expiresAt: formatTime(START_MS + 3_601_001) })],
    ['that the record does not name', 'approval-invalid', { approvals: () => [], envelope: (envelope) => ({ ...envelope, breakGlass: ofPlan(envelope.plan!) }) }],
    ['that did not come', 'approvals-insufficient', { ...broken(), envelope: (envelope) => envelope }],
    ['that is another than the record names', 'approval-invalid', { ...broken(), envelope: (envelope) => ({ ...envelope, breakGlass: ofPlan(envelope.plan!) }) }],
    ['and no approval does: the decision asks for one', 'approvals-insufficient', { approvals: () => [] }],
  ];
  for (const [title, code, edits, trust] of cases) it(title, () => expect(answer(edits, trust)).toBe(code));

  it('beside a read', () => {
    const { envelope } = makeRead();
    const admission = admit({ ...envelope, breakGlass: ofPlan(makeStep().plan) }, { trust: storyTrust(BREAKABLE), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
    expect(admission).toMatchObject({ ok: false, code: 'malformed' });
  });
});

/** What Sam has signed as well, of the very same plan, and which is not on record. */
function ofPlan(plan: Plan): Dsse {
  return glassOf({ v: 1, log: logId, changeId: plan.changeId, revision: 1, planDigest: planDigest(plan), reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }), usedBy: SAM, expiresAt: formatTime(START_MS + 600_000) });
}
