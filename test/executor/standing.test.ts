/** A standing approval at the executor: by its own trust folder and the plan that came, whatever the sidecar says. */
import { describe, expect, it } from 'vitest';
import { admit } from '../../src/executor/admission.ts';
import type { Plan } from '../../src/protocol/plan.ts';
import { newAccountName } from '../../src/change/derive.ts';
import { STANDING_SECONDS_MAX, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import type { Approval, Refusal } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { freshChangeId, makeStep, NEW, OLD, type Edits } from '../support/envelopes.ts';
import { testPasskey } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';
import { anasKey, anasPasskey, answeredFor, COUNTING, COUNTING_PASSKEYS, replayedFor, standingOf, TEMPLATE, useOf } from '../support/standing.ts';
import { EXECUTOR, RECIPIENT, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

const stranger = testSshKey();

function answer(edits: Edits, trust: TrustEdit = COUNTING): Refusal | 'admitted' {
  const admission = admit(makeStep(edits).envelope, { trust: storyTrust(trust), executorId: EXECUTOR, nowMs: START_MS + 1_000, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
  return admission.ok ? 'admitted' : admission.code;
}

/** What covers the plan that envelopes are made of, for Ana, who alone is asked. */
const covering = (edit: Partial<StandingStatement> = {}): StandingStatement => ({ ...TEMPLATE, subject: 'nhi:prod/deployer', kinds: ['grant'], accounts: ['deploy'], privileges: ['table:public.orders:SELECT'], maxLeaseSeconds: 900, ...edit });

function under(template: StandingStatement, { make = standingOf, use = {}, ...edits }: Edits & { readonly make?: (statement: StandingStatement) => ReturnType<typeof standingOf>; readonly use?: Partial<Approval> } = {}): Edits {
  return {
    action: 'grant', plan: (plan) => ({ ...plan, steps: plan.steps.map((step) => ({ ...step, account: 'deploy' })) }),
    approvals: () => [{ ...useOf(make(template)), ...use }],
    body: (body) => ({ ...body, requirement: { approvers: 'person:ana', proofClass: 'session' } }),
    ...edits,
  };
}

describe('a standing approval approves', () => {
  it('the plan that is within it', () => expect(answer(under(covering()))).toBe('admitted'));
  it('where ssh is asked for, by policy and by the floor', () => expect(answer(under(covering()), { ...COUNTING, proofClass: 'ssh' })).toBe('admitted'));
  it('a new account, whose name is that of this change, and a rotation of those it names', () => {
    const changeId = freshChangeId();
    const provision = (account: string): Edits => under(covering({ kinds: ['provision'], accounts: [], recipients: [RECIPIENT] }), { action: 'provision', changeId, plan: (plan) => ({ ...plan, steps: plan.steps.map((step) => ({ ...step, account })) }) });
    expect(answer(provision(newAccountName('nhi:prod/deployer', changeId)))).toBe('admitted');
    expect(answer(provision('postgres'))).toBe('approval-invalid');
    const rotation = (accounts: string[], privileges = ['role:orders']): Edits => under(covering({ kinds: ['rotate'], accounts, privileges, recipients: [RECIPIENT], maxLeaseSeconds: null }), { action: 'stage', plan: (plan) => plan });
    expect(answer(rotation([NEW, OLD]))).toBe('admitted');
    expect(answer(rotation([NEW]))).toBe('approval-invalid');
    expect(answer(rotation([NEW, OLD], []))).toBe('approval-invalid');
  });
  it('to where the floor asks for nobody', () => expect(answer(under(covering()), { signers: COUNTING.signers!, quorum: 0 })).toBe('admitted'));
});

describe('a standing approval by a passkey', () => {
  const byPasskey = (edits: Parameters<typeof under>[1] = {}, template = covering()): Edits => under(template, { make: answeredFor, ...edits });
  const whole: Parameters<typeof answeredFor>[0] = covering();

  it('counts where the floor asks for one, for a signature, or for neither', () => {
    for (const proofClass of ['passkey', 'ssh', 'session'] as const) expect(answer(byPasskey(), { ...COUNTING_PASSKEYS, proofClass })).toBe('admitted');
  });
  it.each([
    ['for another template', () => replayedFor(whole, covering({ uses: 2 }))],
    ['of the approval of a plan', () => replayedFor(whole, { v: 1, log: whole.log, changeId: freshChangeId(), revision: 1, planDigest: `sha256:${'1'.repeat(64)}`, verdict: 'approve', approver: 'person:ana', expiresAt: whole.expiresAt })],
    ['for another relying party', () => answeredFor(whole, { rpId: 'elsewhere.example.org' })],
    ['at another origin', () => answeredFor(whole, { client: { origin: 'https://elsewhere.example.org' } })],
    ['of somebody who was not verified', () => answeredFor(whole, { flags: 0x01 })],
    ['of somebody else', () => answeredFor(whole, {}, testPasskey())],
    ['in another’s name', () => answeredFor(covering({ approver: 'person:olga' }))],
    ['in an envelope of another type', () => anasPasskey.envelope(whole, 'application/vnd.countersign.approval+json')],
  ] as const)('gives nothing with an answer %s', (_title, make) => expect(answer(byPasskey({ make }), COUNTING_PASSKEYS)).toBe('approval-invalid'));
  it('gives nothing as an SSH signature, beyond its bounds, or where no passkeys are known', () => {
    expect(answer(byPasskey({ use: { proofClass: 'ssh' } }), COUNTING_PASSKEYS)).toBe('approval-invalid');
    expect(answer(byPasskey({}, covering({ privileges: ['table:public.orders:UPDATE'] })), COUNTING_PASSKEYS)).toBe('approval-invalid');
    expect(answer(byPasskey(), COUNTING)).toBe('approval-invalid');
  });
});

describe('a standing approval gives nothing', () => {
  const shaped = (edit: (plan: Plan) => Plan): Edits => ({ plan: (plan) => edit({ ...plan, steps: plan.steps.map((step) => ({ ...step, account: 'deploy' })) }) });
  const cases: readonly (readonly [string, Refusal, Edits, TrustEdit?])[] = [
    ['for another identity', 'approval-invalid', under(covering({ subject: 'nhi:prod/another' }))],
    ['of another kind', 'approval-invalid', under(covering({ kinds: ['provision', 'extend', 'rotate'] }))],
    ['at another connector', 'approval-invalid', under(covering({ connector: 'pg-other' }))],
    ['at another target', 'approval-invalid', under(covering({ target: 'other' }))],
    ['at another account', 'approval-invalid', under(covering({ accounts: ['deploy2'] }))],
    ['with a privilege that is not listed', 'approval-invalid', under(covering({ privileges: ['table:public.orders:UPDATE'] }))],
    ['for a second longer', 'approval-invalid', under(covering({ maxLeaseSeconds: 899 }))],
    ['that stands', 'approval-invalid', under(covering(), { leaseSeconds: null })],
    ['whose secret goes elsewhere', 'approval-invalid', under(covering({ kinds: ['rotate'], accounts: [NEW, OLD], privileges: ['role:orders'], maxLeaseSeconds: null }), { action: 'stage', plan: (plan) => plan })],
    ['by another log', 'approval-invalid', under(covering({ log: '0123456789abcdef' }))],
    ['once it is over', 'approvals-insufficient', under(covering({ notBefore: formatTime(START_MS - 10), expiresAt: formatTime(START_MS) }))],
    ['before it begins', 'approval-invalid', under(covering({ notBefore: formatTime(START_MS + 1_001) }))],
    ['where it is good for longer than 30 days', 'approval-invalid', under(covering({ expiresAt: formatTime(START_MS + STANDING_SECONDS_MAX * 1000 + 1) }))],
    ['where it ends before it begins', 'approval-invalid', under(covering({ notBefore: formatTime(START_MS + 900), expiresAt: formatTime(START_MS + 900) }))],
    ['beyond its uses', 'approval-invalid', under(covering(), { use: { use: 4 } })],
    ['as what it is not: an approval of this plan', 'approval-invalid', under(covering(), { use: { use: undefined } })],
    ['as a passkey', 'approval-invalid', under(covering(), { use: { proofClass: 'passkey' } })],
    ['as a session', 'approval-invalid', under(covering(), { use: { proofClass: 'session' } })],
    ['by a key of nobody', 'approval-invalid', under(covering(), { make: (statement) => standingOf(statement, stranger) })],
    ['in another’s name', 'approval-invalid', under(covering({ approver: 'person:olga' }))],
    ['by what was signed as an approval', 'approval-invalid', under(covering(), { make: (statement) => standingOf(statement, anasKey, { namespace: 'approval@countersign' }) })],
    ['in an envelope of another type', 'approval-invalid', under(covering(), { make: (statement) => standingOf(statement, anasKey, {}, 'application/vnd.countersign.approval+json') })],
    ['with a key that was retired', 'approval-invalid', under(covering()), { ...COUNTING, signers: `person:ana valid-before="20261101Z" ${anasKey.publicLine}` }],
    ['with an id that is not its own', 'approval-invalid', under(covering(), { use: { approvalId: `apr_${'0'.repeat(32)}` } })],
    ['where the floor counts none', 'below-floor', under(covering()), { signers: COUNTING.signers! }],
    ['where the floor says that it counts none', 'below-floor', under(covering()), { ...COUNTING, standing: false }],
    ['where the floor asks for a passkey', 'below-floor', under(covering()), { ...COUNTING, proofClass: 'passkey' }],
    ['where the floor names others', 'below-floor', under(covering()), { ...COUNTING, approvers: ['person:ben'] }],
    ['where the floor asks for two: nobody counts twice', 'below-floor', under(covering(), { approvals: () => [useOf(standingOf(covering())), useOf(standingOf(covering({ uses: 2 })))] }), { ...COUNTING, quorum: 2 }],
    ['to whoever gave it', 'approval-invalid', under(covering(), shaped((plan) => ({ ...plan, requester: [...plan.requester, 'person:ana'] })))],
    ['with a scope', 'wrong-step', under(covering(), shaped((plan) => ({ ...plan, entitlements: plan.entitlements.map((one) => ({ ...one, scope: 'tenant 7' })) })))],
  ];
  for (const [title, code, edits, trust] of cases) it(title, () => expect(answer(edits, trust)).toBe(code));
});
