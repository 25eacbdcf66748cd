import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EVALUATION_CODES } from '../../src/engine/evaluate.ts';
import { absentPdp, EngineFault, openPdp, type Pdp } from '../../src/pdp/engine.ts';
import { ENGINE_FAULTS } from '../../src/pdp/fault.ts';
import { parseFacts, type Facts } from '../../src/facts/load.ts';
import { formatEntitlementId, formatTargetId, parseEntitlementId, parseTargetId } from '../../src/protocol/resource-id.ts';
import { metadataSchema } from '../../src/sidecar/authzen/schemas.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { ALLOWED, compiled, decisionIn, decisionsIn, DENIED, DEPLOYER, DEV, MANY, METADATA, NEEDS_APPROVAL, ONE, openEvaluating } from '../support/authzen.ts';
import { answerOf, GRANT, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { craftedBundle, ROOT } from '../pdp/support.ts';
import type { Crafted } from '../pdp/crafted-wasm.ts';

let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openEvaluating();
});
afterAll(() => sidecar.close());

const ask = async (evaluation: unknown, by = DEV) => decisionIn(await sidecar.send(by, 'POST', ONE, evaluation));
const { subject, action, resource, context } = ALLOWED;

/** Facts with a calendar. */
const calendarOf = (text: string): ((facts: Facts) => Facts) => (facts) => ({ ...facts, calendar: parseFacts({
  inventory: { name: 'i', text: 'v: 1\nnhis: []' }, catalogue: { name: 'c', text: 'v: 1\nentitlements: []\npurposes: []' }, directory: { name: 'd', text: 'v: 1\npeople: []\nteams: []' }, usage: null,
  calendar: { name: 'calendar', text },
}, Date.now()).calendar });

describe('a yes', () => {
  it('is what policy allows at once, and says what is owed', async () => {
    expect(await ask(ALLOWED)).toMatchObject({ decision: true, context: { reasons: [{ code: 'low-risk' }], obligations: { proof_class: 'session', max_lease_seconds: 28_800, verification: 'readBack' } } });
  });

  it('is the answer to the example of the documentation', async () => {
    const page = await readFile(join(ROOT, 'docs/authzen.md'), 'utf8');
    const [, example] = /^```http\nPOST \/access\/v1\/evaluation\n[^]*?\n\n([^]*?)\n```$/m.exec(page)!;
    expect(await ask(JSON.parse(example!))).toMatchObject({ decision: true });
  });

  it('is what the change gets, that is then asked for', async () => {
    const changed = await sidecar.change(DEV, { ...GRANT, subject: DEV, purpose: 'preview-reports', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] });
    expect(changed.decision!.effect).toBe('allow');
    expect((await ask(ALLOWED)).context!.reasons!.map(({ code }) => code)).toContain('low-risk');
  });

  it('records nothing and gives nothing', async () => {
    const { size } = sidecar.log;
    const steps = sidecar.executor.steps.length;
    for (const one of [ALLOWED, NEEDS_APPROVAL, DENIED]) await ask(one);
    await sidecar.send(DEV, 'POST', MANY, { evaluations: [ALLOWED, DENIED] });
    expect([sidecar.log.size, sidecar.executor.steps.length]).toEqual([size, steps]);
  });

  it('is given again to the same question', async () => {
    for (let n = 0; n < 5; n += 1) expect((await ask(ALLOWED)).decision).toBe(true);
  });

  it('is for who asks: another machine identity asks for nobody', async () => {
    expect(await ask(ALLOWED, DEPLOYER)).toMatchObject({ decision: false, context: { code: 'denied', reasons: [{ code: 'unknown-requester' }] } });
  });

  it('takes no word of the PEP about the identity for a fact', async () => {
    const properties = { riskTier: 'low', environment: 'dev', owner: 'person:mallory', role: 'admin', approved: true };
    const told = { ...NEEDS_APPROVAL, subject: { ...NEEDS_APPROVAL.subject, properties }, action: { name: 'grant', properties }, resource: { ...NEEDS_APPROVAL.resource, properties }, context: { ...NEEDS_APPROVAL.context, ...properties, facts: properties } };
    expect(await ask(told, DEPLOYER)).toEqual(await ask(NEEDS_APPROVAL, DEPLOYER));
  });
});

describe('a no', () => {
  it('is 200 with reasons, and a counter-offer', async () => {
    expect(await ask(DENIED, DEPLOYER)).toMatchObject({
      decision: false,
      context: {
        code: 'denied', reasons: [{ code: 'exceeds-purpose' }], excess: [{ privilege: 'role:app_owner' }], counter_offer: { entitlements: [{ privilege: 'role:deploy' }] },
        reason_user: { 403: expect.any(String) as string }, reason_admin: { 403: expect.stringContaining('exceeds-purpose (access.least_privilege') as string },
      },
    });
  });

  it('is what needs an approval, and says whose', async () => {
    expect(await ask(NEEDS_APPROVAL, DEPLOYER)).toMatchObject({
      decision: false,
      context: { code: 'needs-approval', reasons: [{ code: 'owner-approval' }], obligations: { approvers: { anyOf: ['person:ben', 'person:wei'] } }, approval: { state: 'required', href: '/v1/changes' } },
    });
  });

  it('names the change of the asker’s own that waits for just that, and the digest that people approve', async () => {
    const other = await sidecar.change(DEPLOYER, { ...GRANT, duration: 'PT10M' });
    expect((await ask(NEEDS_APPROVAL, DEPLOYER)).context!.approval).toEqual({ state: 'required', href: '/v1/changes' });
    const pending = await sidecar.change(DEPLOYER, GRANT);
    expect([other.state, pending.state]).toEqual(['pending', 'pending']);
    expect((await ask(NEEDS_APPROVAL, DEPLOYER)).context!.approval).toEqual({ state: 'pending', href: `/v1/changes/${pending.id}`, plan_digest: pending.planDigest! });
    // Of somebody else’s she is told nothing.
    expect((await ask(NEEDS_APPROVAL, 'person:mallory')).context!.approval).toEqual({ state: 'required', href: '/v1/changes' });
  });

  it('has no null in it', async () => {
    const { text } = await sidecar.send(DEPLOYER, 'POST', MANY, { evaluations: [ALLOWED, NEEDS_APPROVAL, DENIED, {}, { ...ALLOWED, action: { name: 'read' } }] });
    expect(text).not.toContain('null');
  });
});

describe('what is asked about', () => {
  it.each([
    ['provision', { subject: { type: 'nhi', id: 'nhi:prod/billing-export' }, action: { name: 'provision' }, resource: { type: 'entitlement', id: 'pg-main/app/table:public.orders:SELECT' }, context: { purpose: 'nightly-billing', duration: 'PT30M' } }, 'nhi:prod/billing-export', 'needs-approval'],
    ['a lease without an end where none is allowed', { subject: { type: 'nhi', id: 'nhi:prod/billing-export' }, action: { name: 'provision' }, resource: { type: 'entitlement', id: 'pg-main/app/table:public.orders:SELECT' }, context: { purpose: 'nightly-billing' } }, 'nhi:prod/billing-export', 'denied'],
    ['rotate', { subject: { type: 'nhi', id: 'nhi:prod/orders-api' }, action: { name: 'rotate' }, resource: { type: 'target', id: 'pg-main/app' }, context: { purpose: 'serve-orders' } }, 'person:wei', 'denied'],
    ['an emergency', { ...ALLOWED, context: { ...context, urgency: 'emergency' } }, DEV, 'needs-approval'],
    ['an identity that nobody knows', { ...ALLOWED, subject: { type: 'nhi', id: 'nhi:prod/nobody' } }, 'person:wei', 'denied'],
    ['a connector that nobody knows', { ...ALLOWED, resource: { type: 'entitlement', id: 'mysql/app/x' } }, DEV, 'denied'],
    ['a purpose left out', { ...ALLOWED, context: { duration: 'PT15M' } }, DEV, 'not-a-change'],
    ['a grant without a duration', { ...ALLOWED, context: { purpose: 'preview-reports' } }, DEV, 'not-a-change'],
    ['a duration that is none', { ...ALLOWED, context: { ...context, duration: '15m' } }, DEV, 'not-a-change'],
    ['a duration that is a number', { ...ALLOWED, context: { ...context, duration: 900 } }, DEV, 'not-a-change'],
    ['an offboarding', { ...ALLOWED, action: { name: 'offboard' } }, DEV, 'not-a-change'],
    ['an action that is no change', { ...ALLOWED, action: { name: 'read' } }, DEV, 'not-a-change'],
    ['an action in capitals', { ...ALLOWED, action: { name: 'GRANT' } }, DEV, 'not-a-change'],
    ['a subject that is a user', { ...ALLOWED, subject: { type: 'user', id: 'alice' } }, DEV, 'not-a-change'],
    ['a person’s access', { ...ALLOWED, subject: { type: 'nhi', id: 'person:wei' } }, DEV, 'not-a-change'],
    ['a subject with a wildcard', { ...ALLOWED, subject: { type: 'nhi', id: 'nhi:dev/*' } }, DEV, 'not-a-change'],
    ['a record', { ...ALLOWED, resource: { type: 'record', id: 'record-1' } }, DEV, 'not-a-change'],
    ['an entitlement with two parts', { ...ALLOWED, resource: { type: 'entitlement', id: 'pg-dev/app_dev' } }, DEV, 'not-a-change'],
    ['an entitlement in another spelling', { ...ALLOWED, resource: { type: 'entitlement', id: 'pg-dev/app_dev/table%3Apublic.orders:SELECT' } }, DEV, 'not-a-change'],
    ['the rotation of an entitlement', { ...ALLOWED, action: { name: 'rotate' } }, DEV, 'not-a-change'],
    ['a target without what is asked for there', { ...ALLOWED, resource: { type: 'target', id: 'pg-dev/app_dev' } }, DEV, 'not-a-change'],
    ['a grant that the caller makes itself', { ...ALLOWED, context: { ...context, mode: 'caller' } }, DEV, 'not-a-change'],
    ['an extension of no change', { ...ALLOWED, action: { name: 'extend' } }, DEV, 'not-a-change'],
    ['an extension of a change that nobody has', { ...ALLOWED, action: { name: 'extend' }, context: { ...context, change: 'chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W' } }, DEV, 'denied'],
  ])('%s is no yes, and says why', async (_name, evaluation, by, code) => {
    const said = await ask(evaluation, by);
    expect(said).toMatchObject({ decision: false, context: { code } });
    if (code === 'not-a-change') expect(said.context!.error!.message).not.toBe('');
  });

  it('several entitlements of a target are one question', async () => {
    const both = { ...ALLOWED, resource: { type: 'target', id: 'pg-dev/app_dev' }, context: { ...context, entitlements: [{ privilege: 'table:public.orders:SELECT' }, { privilege: 'table:public.orders:UPDATE' }] } };
    expect(await ask({ ...both, context: { ...both.context, entitlements: [{ privilege: 'table:public.orders:SELECT' }] } })).toEqual(await ask(ALLOWED));
    // The second is of medium rank, so the whole is.
    expect(await ask(both)).toMatchObject({ decision: false, context: { code: 'needs-approval' } });
  });

  it('a later end of a lease that runs is asked about as it would be asked for', async () => {
    const given = await sidecar.change(DEV, { ...GRANT, subject: DEV, purpose: 'preview-reports', duration: 'PT5M', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] });
    expect(given.state).toBe('active');
    const extend = { ...ALLOWED, action: { name: 'extend' }, context: { ...context, change: given.id } };
    expect(await ask(extend)).toMatchObject({ decision: true });
    // Whoever may not see the change is told what one is told who made it up.
    expect(await ask(extend, 'person:mallory')).toMatchObject({ decision: false, context: { code: 'denied', reasons: [{ code: 'lease-not-running' }] } });
    await sidecar.send(DEV, 'POST', `/v1/changes/${given.id}/revoke`, {});
    expect((await ask(extend)).decision).toBe(false);
  });

  it('what takes access back is a yes for its owner', async () => {
    const shut = { subject: { type: 'nhi', id: DEPLOYER }, action: { name: 'disable' }, resource: { type: 'target', id: 'pg-main/app' } };
    expect(await ask(shut, 'person:wei')).toMatchObject({ decision: true });
    // What the account holds is not read, so its risk is not known: policy leaves such a thing to an executor.
    expect(await ask({ ...shut, context: { mode: 'caller' } }, 'person:wei')).toMatchObject({ decision: false, context: { code: 'denied', reasons: [{ code: 'executor-required' }] } });
    expect(await ask(shut, 'person:mallory')).toMatchObject({ decision: false, context: { code: 'needs-approval' } });
    // There is no such account, so there would be no plan.
    expect(await ask({ ...shut, resource: { type: 'target', id: 'pg-dev/app' } }, 'person:wei')).toMatchObject({ decision: false, context: { code: 'no-account' } });
  });

  it.each([
    ['pg-main/app/role:deploy', { connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
    ['kv/team%2Fa%25/read%2Fwrite/x%252F', { connector: 'kv', target: 'team/a%', privilege: 'read/write', scope: 'x%2F' }],
  ])('%s is one entitlement, in one spelling', (id, entitlement) => {
    expect([parseEntitlementId(id), formatEntitlementId(entitlement)]).toEqual([entitlement, id]);
    expect(parseTargetId(formatTargetId(entitlement))).toEqual({ connector: entitlement.connector, target: entitlement.target });
  });

  it.each(['', '/', 'a', 'a/b', 'a/b/', '/b/c', 'a//c', 'a/b/c/d/e', 'A/b/c', 'a/b/c%2f', 'a/b/%41', 'a/b/%', 'a/b/\u202ec'])('%j is no entitlement', (id) => {
    expect(parseEntitlementId(id)).toBeNull();
  });
});

describe('what policy would let through and something else holds up', () => {
  const always = "dates: [{from: 2020-01-01T00:00, until: 2099-01-01T00:00}]";
  const closed = "dates: [{from: 2098-01-01T00:00, until: 2098-01-01T04:00}]";
  const during = async (text: string, evaluation: object): Promise<ReturnType<typeof decisionIn>> => {
    const one = await openEvaluating({ facts: calendarOf(text) });
    try {
      return decisionIn(await one.send(DEV, 'POST', ONE, evaluation));
    } finally {
      await one.close();
    }
  };
  const named = { ...ALLOWED, context: { ...context, calendar: 'w' } };

  it('a freeze is a no until it ends', async () => {
    const nowMs = Date.now();
    const local = (ms: number): string => new Date(ms).toISOString().slice(0, 16);
    const text = `v: 1\nwindows: []\nfreezes: [{id: f, timeZone: UTC, from: '${local(nowMs - 3_600_000)}', until: '${local(nowMs + 3_600_000)}'}]`;
    expect(await during(text, ALLOWED)).toMatchObject({ decision: false, context: { code: 'must-wait', obligations: { not_before: expect.stringMatching(/Z$/) as string } } });
    expect(await during("v: 1\nwindows: []\nfreezes: [{id: f, timeZone: UTC, from: '2098-01-01T00:00', until: '2098-01-02T00:00'}]", ALLOWED)).toMatchObject({ decision: true });
  });

  it('a window that is not open is a no, an open one is none', async () => {
    expect(await during(`v: 1\nwindows: [{id: w, timeZone: UTC, ${always}}]\nfreezes: []`, named)).toMatchObject({ decision: true });
    expect(await during(`v: 1\nwindows: [{id: w, timeZone: UTC, ${closed}}]\nfreezes: []`, named)).toMatchObject({ decision: false });
    const soon = new Date(Date.now() + 3_600_000).toISOString().slice(0, 16);
    const later = new Date(Date.now() + 7_200_000).toISOString().slice(0, 16);
    expect(await during(`v: 1\nwindows: [{id: w, timeZone: UTC, dates: [{from: '${soon}', until: '${later}'}]}]\nfreezes: []`, named)).toMatchObject({ decision: false, context: { code: 'must-wait' } });
  });

  it('a lock is a no, and none to what takes back', async () => {
    const locked = await openEvaluating();
    await locked.send('person:sam', 'POST', '/v1/locks', { nhi: DEV, reason: 'look at it' });
    expect(decisionIn(await locked.send(DEV, 'POST', ONE, ALLOWED))).toMatchObject({ decision: false, context: { code: 'must-wait' } });
    const shut = { subject, action: { name: 'disable' }, resource: { type: 'target', id: 'pg-dev/app_dev' } };
    expect(decisionIn(await locked.send('person:ana', 'POST', ONE, shut))).toMatchObject({ decision: true });
    await locked.close();
  });
});

describe('what would be over at once', () => {
  const atMs = Date.parse('2026-11-20T12:00:00.000Z');
  const PROVISION_DEV = { ...ALLOWED, action: { name: 'provision' } };
  const codes = async (one: TestSidecar, evaluation: typeof ALLOWED, ...ends: number[]): Promise<(string | true)[]> => Promise.all(ends.map(async (endsAtMs) => {
    const { decision, context: told } = decisionIn(await one.send(DEV, 'POST', ONE, { ...evaluation, context: { ...evaluation.context, ends_by: new Date(endsAtMs).toISOString() } }));
    return decision || told!.code!;
  }));

  it('is a no: an end by then that is not later than now', async () => {
    const one = await openTestSidecar({ decide: () => answerOf('allow'), clock: { ...systemClock, nowMs: () => atMs } });
    for (const evaluation of [ALLOWED, PROVISION_DEV]) expect(await codes(one, evaluation, 0, atMs - 1, atMs, atMs + 1)).toEqual(['already-over', 'already-over', 'already-over', true]);
    await one.close();
  });

  it('is a no of an extension too, and so is an end that the lease has already', async () => {
    const one = await openTestSidecar({ decide: () => answerOf('allow') });
    const given = await one.change(DEPLOYER, GRANT);
    const endsAtMs = Date.parse(given.lease!.endsAt);
    const extend = (more: object): Promise<string | true> => one.send(DEPLOYER, 'POST', ONE, { ...NEEDS_APPROVAL, action: { name: 'extend' }, context: { ...NEEDS_APPROVAL.context, change: given.id, ...more } })
      .then((answered) => decisionIn(answered)).then(({ decision, context: told }) => decision || told!.code!);
    const by = (ms: number): object => ({ duration: 'PT1H', ends_by: new Date(ms).toISOString() });
    expect(await Promise.all([extend(by(0)), extend(by(endsAtMs)), extend({ duration: 'PT1M' }), extend(by(endsAtMs + 1))])).toEqual(['not-extendable', 'not-extendable', 'not-extendable', true]);
    await one.close();
  });
});

describe('what is not known, or ends an identity,', () => {
  const shut = { subject, action: { name: 'disable' }, resource: { type: 'target', id: 'pg-dev/app_dev' } };
  const said = async (one: TestSidecar, by: string, evaluation: object): Promise<string | true> => {
    const { decision, context: told } = decisionIn(await one.send(by, 'POST', ONE, evaluation));
    return decision || told!.code!;
  };

  it('locks of other sidecars that are not heard yet: a no to what gives, and none to what takes back', async () => {
    const unheard = await openEvaluating({ lockBoard: { keep: () => undefined, tell: () => undefined, heard: () => new Promise(() => undefined) } });
    expect([await said(unheard, DEV, ALLOWED), await said(unheard, 'person:ana', shut)]).toEqual(['must-wait', true]);
    await unheard.close();
  });

  it('a lease that does not run: a no to a later end of it, whatever policy says', async () => {
    const lax = await openTestSidecar({ decide: () => answerOf('allow') });
    const given = await lax.change(DEPLOYER, GRANT);
    const extend = (change: string): object => ({ ...NEEDS_APPROVAL, action: { name: 'extend' }, context: { ...NEEDS_APPROVAL.context, change } });
    expect([await said(lax, DEPLOYER, extend(given.id)), await said(lax, DEPLOYER, extend('chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W'))]).toEqual([true, 'not-extendable']);
    await lax.send(DEPLOYER, 'POST', `/v1/changes/${given.id}/revoke`, {});
    expect(await said(lax, DEPLOYER, extend(given.id))).toBe('not-extendable');
    await lax.close();
  });

  it('a target that another change has: a no to what gives, and none to what takes back', async () => {
    // What is read is answered, and what is dispatched is not.
    const busy: TestSidecar = await openTestSidecar({ decide(input) {
      if (input.phase === 'dispatch') busy.executor.acting = false;
      return answerOf('allow');
    } });
    const asked = await busy.send(DEV, 'POST', '/v1/changes', { ...GRANT, subject: DEV, purpose: 'preview-reports', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] });
    await expect.poll(() => busy.engine.get((asked.body as { id: string }).id)?.name, { timeout: 10_000, interval: 5 }).toBe('authorised');
    const elsewhere = { ...ALLOWED, resource: { type: 'entitlement', id: 'pg-dev/other/table:public.orders:SELECT' } };
    expect([await said(busy, DEV, ALLOWED), await said(busy, 'person:ana', shut), await said(busy, DEV, elsewhere)]).toEqual(['must-wait', true, true]);
    await busy.close();
  });

  it('an offboarding under way: the same', async () => {
    const usual = await compiled();
    const leaving = await openTestSidecar({ pdp: { ...usual, decide: async (input) => (input.change.kind === 'offboard' ? answerOf('allow') : usual.decide(input)) } });
    expect(await said(leaving, DEV, ALLOWED)).toBe(true);
    leaving.executor.acting = false;
    const { id } = (await leaving.send('person:olga', 'POST', '/v1/changes', { kind: 'offboard', subject: DEV, reason: 'not used any more' })).body as ChangeView;
    await expect.poll(() => leaving.engine.get(id)?.name, { timeout: 10_000, interval: 5 }).toBe('executing');
    expect([await said(leaving, DEV, ALLOWED), await said(leaving, 'person:ana', shut)]).toEqual(['must-wait', true]);
    await leaving.close();
  });
});

describe('a policy engine that says nothing of use', () => {
  const yes = JSON.stringify(answerOf('allow'));
  const set = (...results: string[]): string => `[${results.map((result) => `{"result":${result}}`).join(',')}]`;
  const FAULTS: [string, Crafted, string][] = [
    ['undefined', { result: '[]' }, 'undefined-result'],
    ['two yeses', { result: set(yes, yes) }, 'ambiguous-result'],
    ['null', { result: set('null') }, 'null-result'],
    ['{}', { result: set('{}') }, 'malformed-result'],
    ['true', { result: set('true') }, 'not-an-object'],
    ['"true"', { result: set('"true"') }, 'not-an-object'],
    ['{"decision": true}', { result: set('{"decision":true}') }, 'malformed-result'],
    ['an effect that nobody knows', { result: set(yes.replace('"allow"', '"permit"')) }, 'malformed-result'],
    ['a yes with approvers', { result: set(yes.replace('"approvers":null', '"approvers":"person:ana"')) }, 'malformed-result'],
    ['NaN', { result: set('NaN') }, 'unparsable-result'],
    ['a thrown string', { trick: 'abort' }, 'policy-threw'],
    ['a trap', { trick: 'trap' }, 'policy-threw'],
    ['a missing built-in', { trick: 'call-builtin' }, 'unknown-builtin'],
    ['nothing, for ever', { trick: 'loop' }, 'timed-out'],
  ];

  it.each(FAULTS)('%s is a no with its code, and 200', async (_name, crafted, code) => {
    // Brief for the one that has no end: what another has to say may take its time.
    const pdp = await openPdp({ directory: await craftedBundle(crafted), deadlineMs: code === 'timed-out' ? 200 : 15_000 });
    const faulty = await openTestSidecar({ pdp });
    try {
      const answered = await faulty.send(DEV, 'POST', ONE, ALLOWED);
      expect(decisionIn(answered)).toMatchObject({ decision: false, context: { code, reason_user: { 403: expect.any(String) as string } } });
      expect(answered.text).not.toContain('true');
      expect(decisionsIn(await faulty.send(DEV, 'POST', MANY, { evaluations: [ALLOWED] }))).toMatchObject([{ decision: false, context: { code } }]);
    } finally {
      await faulty.close();
      await pdp.close();
    }
  });

  const withPdp = async (pdp: Pdp): Promise<{ answer: ReturnType<typeof decisionIn>; logged: TestSidecar['logged'] }> => {
    const one = await openTestSidecar({ pdp });
    try {
      return { answer: decisionIn(await one.send(DEV, 'POST', ONE, ALLOWED)), logged: one.logged };
    } finally {
      await one.close();
    }
  };

  it('no policy at all is a no', async () => {
    expect((await withPdp(absentPdp())).answer).toMatchObject({ decision: false, context: { code: 'no-policy' } });
  });

  it('a closed engine is a no', async () => {
    const pdp = await openPdp({ directory: await craftedBundle({ result: set(yes) }) });
    await pdp.close();
    expect((await withPdp(pdp)).answer).toMatchObject({ decision: false, context: { code: 'closed' } });
  });

  it('an error that nobody foresaw is a no that says nothing of it, and a line in the log', async () => {
    const { answer, logged } = await withPdp({ ...(await compiled()), decide: () => Promise.reject(new TypeError('the secret is 42')) });
    expect(answer).toEqual({ decision: false, context: { code: 'internal', error: { status: 500, message: expect.not.stringContaining('42') as string } } });
    expect(logged.filter(({ level }) => level === 'error').map(({ fields }) => String(fields['cause']))).toEqual([expect.stringContaining('the secret is 42')]);
  });

  it('one that chooses no window where a calendar is kept is a no', async () => {
    const usual = await compiled();
    const fault = { ...usual, schedule: () => Promise.reject(new EngineFault('undefined-result', 'of the test')) };
    const one = await openTestSidecar({ pdp: fault, facts: calendarOf("v: 1\nwindows: []\nfreezes: [{id: f, timeZone: UTC, from: '2098-01-01T00:00', until: '2098-01-02T00:00'}]") });
    expect(decisionIn(await one.send(DEV, 'POST', ONE, ALLOWED))).toMatchObject({ decision: false, context: { code: 'undefined-result' } });
    await one.close();
  });

  it('a yes at the request and none at dispatch is no yes', async () => {
    const usual = await compiled();
    for (const answer of [answerOf('deny'), answerOf('needsApproval', 'person:ana')]) {
      expect((await withPdp({ ...usual, decide: async (input) => (input.phase === 'request' ? usual.decide(input) : answer) })).answer.decision).toBe(false);
    }
  });

  it('has a code for each of its faults', () => {
    expect(ENGINE_FAULTS.filter((code) => !EVALUATION_CODES.includes(code))).toEqual([]);
  });
});

describe('the metadata', () => {
  it('is not there until the configuration says where the sidecar is reached', async () => {
    const answered = await sidecar.send(null, 'GET', METADATA);
    expect([answered.status, answered.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8']);
  });

  it('names the two endpoints and no search, needs no token, and answers to that name', async () => {
    const reached = await openTestSidecar({ publicUrl: 'https://pdp.example.com' });
    const answered = await reached.send(null, 'GET', METADATA, undefined, { host: 'pdp.example.com', 'x-request-id': 'm-1' });
    expect(answered.headers.get('content-type')).toBe('application/json');
    expect(answered.headers.get('x-request-id')).toBe('m-1');
    expect(metadataSchema.parse(answered.body)).toEqual({
      policy_decision_point: 'https://pdp.example.com', access_evaluation_endpoint: 'https://pdp.example.com/access/v1/evaluation', access_evaluations_endpoint: 'https://pdp.example.com/access/v1/evaluations',
    });
    await reached.close();
  });

  it.each(['subject', 'resource', 'action'])('and a search for %s is not found', async (what) => {
    const answered = await sidecar.send(DEV, 'POST', `/access/v1/search/${what}`, { subject, action, resource });
    expect([answered.status, answered.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8']);
  });
});

