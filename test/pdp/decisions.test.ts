import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { canonicalText } from '../../ledger/index.ts';
import { expectedOf, misses, readCases } from '../../src/cli/policy-cases.ts';
import { factsOf } from '../../src/facts/load.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { createEvaluator } from '../../src/pdp/evaluator.ts';
import { openPdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { ChangeQuestion } from '../../src/pdp/build-input.ts';
import { changeInputSchema, type ChangeInput } from '../../src/pdp/policy-input.ts';
import { isSatisfied } from '../../src/protocol/decision.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { BUNDLE, exampleFacts, GRANT, on, PLAN, PROVISION, questionOf, ROOT, ROTATE } from './support.ts';

const facts = await exampleFacts();
const keeping = await exampleFacts({ calendar: true });
const bundle = await readBundle(BUNDLE);
const pdp = inlinePdp(bundle);
const decide = (request: ChangeRequest, requester: string[]): ReturnType<typeof pdp.decide> => {
  const input = questionOf(facts, request, requester);
  expect(changeInputSchema.parse(input)).toEqual(input);
  return pdp.decide(input);
};
const codes = (answer: { reasons: { code: string }[] }): string[] => answer.reasons.map((reason) => reason.code);

describe('with the example facts', () => {
  test('a new credential for billing-export is its owner’s to approve, and is proven by use', async () => {
    const decision = await decide(PROVISION, ['nhi:prod/billing-export']);
    expect(decision.effect).toBe('needsApproval');
    expect(codes(decision)).toEqual(['owner-approval']);
    expect(decision.obligations).toEqual({ approvers: { anyOf: ['person:ana', 'person:ben'] }, proofClass: 'session', maxLeaseSeconds: 3600, verification: 'byUse', escalation: { afterSeconds: 14_400, to: ['person:ben', 'person:sam'] } });
    expect(isSatisfied(decision.obligations.approvers!, new Set(['person:ana']))).toBe(true);
    expect(isSatisfied(decision.obligations.approvers!, new Set(['person:mallory', 'person:olga']))).toBe(false);
  });

  test('a deployment’s role is the workload owner’s to approve, alone', async () => {
    const decision = await decide(GRANT, ['nhi:prod/ci-deployer']);
    expect(decision.effect).toBe('needsApproval');
    expect(isSatisfied(decision.obligations.approvers!, new Set(['person:wei']))).toBe(true);
    expect(decision.obligations.verification).toBe('readBack');
  });

  test('too broad a request is denied, and what is offered instead goes through', async () => {
    const broad: ChangeRequest = { ...PROVISION, entitlements: [on('table:public.orders:SELECT'), on('table:public.customers:DELETE')], duration: 'P1D' };
    const denied = await decide(broad, ['nhi:prod/billing-export']);
    expect(denied.effect).toBe('deny');
    expect(codes(denied)).toEqual(['exceeds-purpose', 'lease-too-long']);
    expect(denied.obligations.approvers).toEqual({ anyOf: [] });
    expect(denied.entitlements.excess).toEqual([on('table:public.customers:DELETE')]);
    const offer = denied.entitlements.counterOffer!;
    expect(offer).toEqual({ entitlements: [on('table:public.orders:SELECT')], leaseSeconds: 3600 });
    const again = await decide({ ...broad, entitlements: offer.entitlements, duration: `PT${offer.leaseSeconds!}S` }, ['nhi:prod/billing-export']);
    expect(again.effect).toBe('needsApproval');
    expect(denied.controls).toContainEqual({ framework: 'OWASP NHI Top 10 2025', id: 'NHI5', rule: 'access.least_privilege.deny' });
  });

  test('a counter-offer is never denied for what it offers', async () => {
    const privileges = facts.catalogue.entitlements.filter((entry) => entry.connector === 'pg-main').map((entry) => entry.privilege);
    for (const [index, privilege] of privileges.entries()) {
      for (const duration of ['PT1S', 'PT1H', 'P30D']) {
        const asked: ChangeRequest = { ...PROVISION, entitlements: [on(privilege), on(privileges[(index + 3) % privileges.length]!)], duration };
        const { effect, entitlements } = await decide(asked, ['nhi:prod/billing-export']);
        if (effect !== 'deny') continue;
        expect(entitlements.counterOffer).not.toBeNull();
        const again = await decide({ ...asked, entitlements: entitlements.counterOffer!.entitlements, duration: `PT${entitlements.counterOffer!.leaseSeconds!}S` }, ['nhi:prod/billing-export']);
        expect(again.effect).toBe('needsApproval');
      }
    }
  });

  test('an owner who asks leaves the backup owner to approve, under whichever id she asks', async () => {
    for (const requester of [['person:ana'], ['person:ana-adm'], ['nhi:prod/billing-export', 'person:ana']]) {
      expect((await decide(PROVISION, requester)).obligations.approvers).toEqual({ anyOf: ['person:ben'] });
    }
  });

  test('a partner’s access needs an owner and security, as two people', async () => {
    const decision = await decide({ ...PROVISION, subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', entitlements: [on('table:public.orders:SELECT')] }, ['nhi:prod/warehouse-sync']);
    const satisfied = (...people: string[]): boolean => isSatisfied(decision.obligations.approvers!, new Set(people));
    expect(codes(decision)).toEqual(['owner-and-security-approval', 'third-party']);
    expect([satisfied('person:ben'), satisfied('person:olga'), satisfied('person:ana', 'person:ben'), satisfied('person:ben', 'person:olga')]).toEqual([false, false, false, true]);
  });

  test('an identity that people use gets nothing', async () => {
    const decision = await decide({ ...GRANT, subject: 'nhi:prod/legacy-admin' }, ['person:wei']);
    expect(codes(decision)).toContain('human-use');
  });

  test('low risk in dev is allowed without an approval', async () => {
    const decision = await decide({ ...GRANT, subject: 'nhi:dev/report-preview', purpose: 'preview-reports', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] }, ['nhi:dev/report-preview']);
    expect([decision.effect, decision.obligations.approvers]).toEqual(['allow', null]);
  });
});

describe('with the example calendar', () => {
  const before = { held: ['table:public.orders:INSERT', 'table:public.orders:SELECT', 'table:public.orders:UPDATE'], touched: { overlap: 'twin' } };
  const asked = (more: Partial<ChangeQuestion> = {}, request: ChangeRequest = ROTATE): ChangeInput => questionOf(keeping, request, ['person:wei'], { plan: null, before, ...more });
  const opening = async (input: ChangeInput): Promise<string | null> => {
    const { window } = await pdp.schedule(input);
    return window === null ? null : `${window.calendar} ${new Date(window.opensAtMs).toISOString()}`;
  };

  test('a rotation of an identity of high risk is made in the next window, or in the next of the calendar that it names', async () => {
    expect(await opening(asked())).toBe('pg-main-nightly 2026-11-24T00:30:00.000Z');
    expect(await opening(asked({}, { ...ROTATE, window: { calendar: 'pg-main-weekly' } }))).toBe('pg-main-weekly 2026-11-29T02:00:00.000Z');
  });

  test('a window in the freeze, or on a day that is an exception, is not chosen', async () => {
    const nowMs = Date.parse('2026-12-14T00:00:00.000Z');
    const aged = factsOf(keeping.value, nowMs);
    expect(await opening(asked({ nowMs, facts: aged }, { ...ROTATE, window: { calendar: 'pg-main-weekly' } }))).toBe('pg-main-weekly 2027-01-10T02:00:00.000Z');
  });

  test('an emergency, and what takes access away, waits for no window', async () => {
    expect(await opening(asked({}, { ...ROTATE, urgency: 'emergency' }))).toBeNull();
    expect(await opening(asked({}, { kind: 'disable', subject: 'nhi:prod/freight-sync', connector: 'pg-main', target: 'app', reason: 'over' }))).toBeNull();
  });

  test('the end of a freeze is written as the rest of the system writes times, whatever it is', async () => {
    const grant = questionOf(facts, GRANT, ['nhi:prod/ci-deployer'], { phase: 'dispatch', step: { action: 'grant', number: 1 } });
    const day = 86_400_000;
    // Around every turn of a month, and on some day in it: in years before, of and after leap days that are kept or left out, and in every seventh.
    const years = [...Array.from({ length: 62 }, (_, n) => 1970 + 7 * n), 1999, 2000, 2001, 2099, 2100, 2101, 2399, 2400, 9999];
    for (const year of years) {
      for (let month = 0; month < 12; month += 1) {
        const turn = Date.UTC(year, month, 1);
        for (const untilMs of [turn - 1, turn + 1 + ((year * 7_919_333 + month * 104_729) % (27 * day))]) {
          if (untilMs <= 0) continue;
          const calendar = { windows: [], freezes: [{ id: 'year-end', fromMs: untilMs - 1, untilMs }] };
          const { obligations } = await pdp.decide({ ...grant, nowMs: untilMs - 1, facts: { ...grant.facts, calendar } });
          expect(obligations.notBefore).toBe(new Date(untilMs).toISOString());
        }
      }
    }
  });

  test('an old login is shut out though window, facts and requester are gone, and nothing else is', async () => {
    const stale = factsOf(keeping.value, 0);
    const late = (action: 'stage' | 'cutover' | 'retire', number: number, by = 'person:kim'): ReturnType<typeof pdp.decide> =>
      pdp.decide(questionOf(stale, ROTATE, [by], { phase: 'dispatch', step: { action, number }, before, plan: { ...PLAN, window: { calendar: 'pg-main-nightly', opensAt: '2026-11-22T00:30:00.000Z', closesAt: '2026-11-22T01:00:00.000Z', onMissed: 'expire', consumers: [] } } }));
    expect((await late('retire', 3)).effect).toBe('allow');
    for (const [action, number] of [['stage', 1], ['cutover', 2]] as const) expect(codes(await late(action, number))).toEqual(['requester-inactive']);
    for (const [action, number] of [['stage', 1], ['cutover', 2]] as const) expect(codes(await late(action, number, 'person:olga'))).toEqual(['facts-stale', 'outside-window']);
  });

  test('with its window in the plan the rotation is for two people to approve; without, it is denied', async () => {
    const window = { calendar: 'pg-main-nightly', opensAt: '2026-11-24T00:30:00.000Z', closesAt: '2026-11-24T01:00:00.000Z', onMissed: 'expire' as const, consumers: [] };
    expect(codes(await pdp.decide(asked({ plan: { ...PLAN, window } })))).toContain('owner-and-security-approval');
    const without = await pdp.decide(asked({ plan: PLAN }));
    expect([without.effect, codes(without)]).toEqual(['deny', ['no-window']]);
  });
});

describe.each(readdirSync(join(ROOT, 'policy', 'testcases')))('policy/testcases/%s through the committed bundle', (file) => {
  const { entrypoint, cases } = readCases(readFileSync(join(ROOT, 'policy', 'testcases', file), 'utf8'));
  const evaluator = createEvaluator(bundle.image);
  test.each(cases.map((one) => [one.title, one] as const))('%s', (_title, one) => {
    expect(misses(evaluator.evaluate(entrypoint, JSON.stringify(one.input)), expectedOf(one))).toEqual([]);
  });
});

test('a thousand times the same question, in threads and in this one, gets the same bytes', async () => {
  const threads = await openPdp({ directory: BUNDLE });
  const input = questionOf(facts, { ...PROVISION, entitlements: [on('role:app_owner'), on('table:public.orders:SELECT')] }, ['nhi:prod/billing-export', 'person:ana']);
  const answers = new Set<string>();
  const inThreads = await Promise.all(Array.from({ length: 1000 }, () => threads.decide(input)));
  for (const answer of inThreads) answers.add(canonicalText(answer));
  for (let n = 0; n < 1000; n += 1) answers.add(canonicalText(await pdp.decide(input)));
  expect(answers.size).toBe(1);
  expect(threads.bundle).toBe(pdp.bundle);
  await threads.close();
});

test('an answer does not depend on the questions before it', async () => {
  const fresh = canonicalText(await inlinePdp(bundle).decide(questionOf(facts, GRANT, ['nhi:prod/ci-deployer'])));
  const used = inlinePdp(bundle);
  for (let n = 0; n < 50; n += 1) await used.decide(questionOf(facts, { ...PROVISION, entitlements: Array.from({ length: 16 }, (_, i) => on(`table:x.y${n * i}:SELECT`)) }, ['person:nobody']));
  expect(canonicalText(await used.decide(questionOf(facts, GRANT, ['nhi:prod/ci-deployer'])))).toBe(fresh);
});
