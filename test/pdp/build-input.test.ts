import { expect, test } from 'vitest';
import { canonicalText } from '../../ledger/index.ts';
import { factsOf, type Facts } from '../../src/facts/load.ts';
import { buildChangeInput, conveyedBy } from '../../src/pdp/build-input.ts';
import { changeInputSchema } from '../../src/pdp/policy-input.ts';
import { HORIZON_MS } from '../../src/facts/calendar.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { CHANGE_ID, exampleFacts, GRANT, NOW_MS, on, PLAN, PROVISION, questionOf, ROTATE } from './support.ts';

const facts = await exampleFacts();
const keeping = await exampleFacts({ calendar: true });
const DISABLE: ChangeRequest = { kind: 'disable', subject: 'nhi:prod/freight-sync', connector: 'pg-main', target: 'app', reason: 'the contract is over' };
const OFFBOARD: ChangeRequest = { kind: 'offboard', subject: 'thirdParty:kestrel-logistics', reason: 'the contract is over' };
const RUN = { key: `${'A'.repeat(43)}=`, timeout: 'PT5M' };

test('the question holds what it needs of the catalogue, and nothing else', () => {
  const { catalogue } = questionOf(facts, { ...PROVISION, entitlements: [on('role:app_owner')] }, ['nhi:prod/billing-export']).facts;
  expect(catalogue.purposes.map((purpose) => purpose.id)).toEqual(['nightly-billing']);
  expect(catalogue.entitlements.map((entry) => entry.privilege)).toEqual(['role:app_owner', 'table:public.invoices:SELECT', 'table:public.orders:SELECT']);
});

test('the question holds the people who could matter, under all their ids, and nobody else', () => {
  const ids = (requester: string[]): string[] => questionOf(facts, PROVISION, requester).facts.directory.people.map((person) => person.id);
  const always = ['person:ana', 'person:ana-adm', 'person:ben', 'person:olga', 'person:sam', 'person:wei'];
  expect(ids(['nhi:prod/billing-export'])).toEqual(always);
  expect(ids(['person:mallory'])).toEqual([...always, 'person:mallory'].sort());
  expect(ids(['person:nobody'])).toEqual(always);
});

test('a person’s other ids are found from either side of the link', () => {
  const { people } = questionOf(facts, GRANT, ['person:ana-adm']).facts.directory;
  expect(people.map((person) => person.id)).toContain('person:ana');
});

const EXCEPTION = { id: 'deploy-excess', rule: 'exceeds-purpose', subject: GRANT.subject, reason: 'until the deploy is cut in two', owner: 'person:mallory', from: '2026-11-23', until: '2026-12-23' };
const excepting = (...exceptions: (typeof EXCEPTION)[]): Facts => factsOf({ ...facts.value, exceptions: { v: 1, exceptions } }, NOW_MS);

test('the question holds the exceptions for its subject, over or to come as well, without their prose, and who owns them', () => {
  const over = { ...EXCEPTION, id: 'before', from: '2026-01-01', until: '2026-02-01' };
  const asked = questionOf(excepting(EXCEPTION, { ...EXCEPTION, id: 'other', subject: PROVISION.subject }, over), GRANT, ['nhi:prod/ci-deployer']);
  expect(asked.facts.exceptions).toEqual([
    { id: 'before', rule: 'exceeds-purpose', subject: GRANT.subject, owner: 'person:mallory', fromMs: Date.parse('2026-01-01T00:00:00.000Z'), untilMs: Date.parse('2026-02-01T00:00:00.000Z') },
    { id: 'deploy-excess', rule: 'exceeds-purpose', subject: GRANT.subject, owner: 'person:mallory', fromMs: Date.parse('2026-11-23T00:00:00.000Z'), untilMs: Date.parse('2026-12-23T00:00:00.000Z') },
  ]);
  expect(asked.facts.directory.people.map(({ id }) => id)).toContain('person:mallory');
  expect(Object.hasOwn(questionOf(facts, GRANT, ['nhi:prod/ci-deployer']).facts, 'exceptions')).toBe(false);
});

test('the question holds every scope under observe by id, null where it is not limited, without their prose, and who owns them', () => {
  const scope = { id: 'trial', environments: ['dev'], reason: 'tried out', owner: 'person:mallory', from: '2026-11-23', until: '2026-12-23' };
  const { environments: _, ...elsewhere } = { ...scope, id: 'all', prefixes: ['nhi:'], connectors: ['pg-main'] };
  const observing = factsOf({ ...facts.value, exceptions: { v: 1, exceptions: [], observe: [scope, elsewhere] } }, NOW_MS);
  const asked = questionOf(observing, GRANT, ['nhi:prod/ci-deployer']);
  const dated = { owner: 'person:mallory', fromMs: Date.parse('2026-11-23T00:00:00.000Z'), untilMs: Date.parse('2026-12-23T00:00:00.000Z') };
  expect(asked.facts.observe).toEqual([
    { id: 'all', ...dated, environments: null, connectors: ['pg-main'], prefixes: ['nhi:'] },
    { id: 'trial', ...dated, environments: ['dev'], connectors: null, prefixes: null },
  ]);
  expect(changeInputSchema.parse(asked)).toEqual(asked);
  expect(asked.facts.directory.people.map(({ id }) => id)).toContain('person:mallory');
  expect(Object.hasOwn(questionOf(excepting(EXCEPTION), GRANT, ['nhi:prod/ci-deployer']).facts, 'observe')).toBe(false);
});

test('the order of files and of what was read does not show in the question', () => {
  const { value } = facts;
  const turned = factsOf({
    inventory: { v: 1, nhis: [...value.inventory.nhis].reverse() },
    catalogue: { v: 1, entitlements: [...value.catalogue.entitlements].reverse(), purposes: [...value.catalogue.purposes].reverse() },
    directory: { v: 1, people: [...value.directory.people].reverse(), teams: [...value.directory.teams].reverse().map((team) => ({ ...team, members: [...team.members].reverse() })) },
    usage: value.usage, calendar: value.calendar,
  }, NOW_MS);
  const held = ['b', 'a', 'c'];
  const asked = questionOf(facts, GRANT, ['person:ana'], { before: { held, touched: {} }, connectors: ['pg-main', 'pg-dev'] });
  expect(canonicalText(questionOf(turned, GRANT, ['person:ana'], { before: { held: [...held].reverse(), touched: {} }, connectors: ['pg-dev', 'pg-main'] }))).toBe(canonicalText(asked));
  expect(asked.held).toEqual(['a', 'b', 'c']);
  expect(held).toEqual(['b', 'a', 'c']);
});

test('what nobody knows is null and not missing', () => {
  const input = questionOf(facts, { ...GRANT, subject: 'nhi:prod/ghost', purpose: 'mischief' }, ['nhi:prod/ghost'], { before: null, plan: null });
  expect(changeInputSchema.parse(input)).toEqual(input);
  expect([input.held, input.used, input.facts.nhi, input.change.planDigest, input.facts.catalogue.purposes]).toEqual([null, null, null, null, []]);
});

test('a lease is in seconds, and null where none was asked for', () => {
  expect(questionOf(facts, { ...GRANT, duration: 'PT1H30M' }, ['person:wei']).change.leaseSeconds).toBe(5400);
  const { duration: _duration, ...standing } = PROVISION;
  expect(questionOf(facts, standing, ['person:ana']).change.leaseSeconds).toBeNull();
  expect(questionOf(facts, { kind: 'revoke', subject: GRANT.subject, entitlements: GRANT.entitlements, purpose: GRANT.purpose, reason: 'over' }, ['person:wei']).change.leaseSeconds).toBeNull();
});

test('usage is that of the account at the connector, with its age', () => {
  const usage = { v: 1 as const, observedAtMs: NOW_MS - 5000, usage: [
    { connector: 'pg-main', account: 'ci_deployer', privileges: ['role:b', 'role:a'] },
    { connector: 'pg-main', account: 'ci_deployer', privileges: ['role:c', 'role:a'] },
    { connector: 'pg-dev', account: 'ci_deployer', privileges: ['role:elsewhere'] },
    { connector: 'pg-main', account: 'another', privileges: ['role:another'] },
  ] };
  const used = factsOf({ ...facts.value, usage }, NOW_MS);
  expect(questionOf(used, GRANT, ['person:wei'], { account: 'ci_deployer' }).used).toEqual({ privileges: ['role:a', 'role:b', 'role:c'], ageMs: 5000 });
  expect(questionOf(used, GRANT, ['person:wei'], { account: 'never_seen' }).used).toBeNull();
  expect(questionOf(used, GRANT, ['person:wei'], { account: null }).used).toBeNull();
  expect(questionOf(factsOf({ ...facts.value, usage: null }, NOW_MS), GRANT, ['person:wei'], { account: 'ci_deployer' }).used).toBeNull();
});

test('the age of facts is the time since they were loaded', () => {
  const input = buildChangeInput({
    phase: 'dispatch', nowMs: NOW_MS + 1234, state: { changeId: 'c', revision: 2, request: GRANT, requester: ['person:wei'] }, plan: null, step: null, before: null, account: null, facts,
    connectors: [], locks: [], parent: null, extended: null,
  });
  expect([input.facts.ageMs, input.phase, input.change.revision]).toEqual([1234, 'dispatch', 2]);
});

test('of delegations and absences policy is told those of whom it knows, with whoever stands in, and none that is over', () => {
  const day = (n: number): string => new Date(NOW_MS + n * 86_400_000).toISOString().slice(0, 10);
  const delegations = [
    { from: 'person:ana', to: 'person:mallory', since: day(-1), until: day(3), connectors: ['pg-main'], reason: 'on leave' },
    { from: 'person:ben', to: 'person:mallory', since: day(-9), until: day(-1), reason: 'was on leave' },
    { from: 'person:mallory', to: 'person:kim', since: day(-1), until: day(3), reason: 'handed on' },
  ];
  const away = [{ person: 'person:ben', since: day(-1), until: day(3) }, { person: 'person:kim', since: day(-1), until: day(3) }, { person: 'person:ana', since: day(-3), until: day(0) }];
  const startMs = (n: number): number => Date.parse(`${day(n)}T00:00:00.000Z`);
  const { directory } = questionOf(factsOf({ ...facts.value, directory: { ...facts.value.directory, delegations, away } }, NOW_MS), PROVISION, ['nhi:prod/billing-export']).facts;
  expect(directory.delegations).toEqual([{ from: 'person:ana', to: 'person:mallory', sinceMs: startMs(-1), untilMs: startMs(3), connectors: ['pg-main'], environments: null, maxRisk: null }]);
  expect(directory.away).toEqual([{ person: 'person:ben', sinceMs: startMs(-1), untilMs: startMs(3) }]);
  expect(directory.people.map(({ id }) => id)).toContain('person:mallory');
  expect(changeInputSchema.safeParse(questionOf(factsOf({ ...facts.value, directory: { ...facts.value.directory, delegations, away } }, NOW_MS), GRANT, ['nhi:prod/billing-export'])).error).toBeUndefined();
});

test('a question from a large directory stays small', () => {
  const crowd = factsOf({
    ...facts.value,
    directory: { ...facts.value.directory, people: [...facts.value.directory.people, ...Array.from({ length: 9_000 }, (_, n) => ({ id: `person:p${n}`, name: 'P', active: true, linked: [] }))] },
    catalogue: { ...facts.value.catalogue, entitlements: [...facts.value.catalogue.entitlements, ...Array.from({ length: 9_000 }, (_, n) => ({ ...on(`table:t.t${n}:SELECT`), rank: 1, environment: 'prod' }))] },
  }, NOW_MS);
  expect(canonicalText(questionOf(crowd, GRANT, ['person:wei']))).toBe(canonicalText(questionOf(facts, GRANT, ['person:wei'])));
});

test('what a role brings along is what the catalogue says of it', () => {
  const roles = factsOf({ ...facts.value, catalogue: { ...facts.value.catalogue, entitlements: facts.value.catalogue.entitlements.map((entry) => (entry.privilege === 'role:deploy' ? { ...entry, conveys: ['b', 'a'] } : entry)) } }, NOW_MS);
  expect(conveyedBy(['role:deploy', 'role:app_owner'], { connector: 'pg-main', target: 'app' }, roles)).toEqual(['a', 'b']);
  expect(conveyedBy(['role:deploy'], { connector: 'pg-main', target: 'another' }, roles)).toEqual([]);
});

test.each<[string, ChangeRequest]>([['provision', PROVISION], ['grant', GRANT], ['rotate', ROTATE], ['disable', DISABLE], ['offboard', OFFBOARD]])('a question about %s has the form that policy is promised', (kind, request) => {
  const input = questionOf(keeping, request, ['person:wei'], { plan: null });
  expect(changeInputSchema.parse(input)).toEqual(input);
  expect([input.change.kind, input.change.mode, input.change.emergency, input.change.calendar, input.change.window, input.change.items]).toEqual([kind, 'executor', false, null, null, null]);
});

test('a rotation and a disabling say the system that they touch, and an offboarding has none', () => {
  const systemOf = (request: ChangeRequest): unknown => questionOf(facts, request, ['person:wei']).change.system;
  expect([systemOf(ROTATE), systemOf(DISABLE), systemOf(GRANT)]).toEqual(Array.from({ length: 3 }, () => ({ connector: 'pg-main', target: 'app' })));
  expect(systemOf(OFFBOARD)).toBeNull();
  expect(systemOf({ ...GRANT, entitlements: [on('role:deploy'), { ...on('role:deploy'), target: 'other' }] })).toBeNull();
});

test('what a request says of time and of who acts is passed on', () => {
  const { recipient: _recipient, ...rotate } = ROTATE;
  const { change } = questionOf(facts, { ...rotate, caller: RUN, urgency: 'emergency', window: { calendar: 'pg-main-weekly' } }, ['person:wei']);
  expect([change.mode, change.emergency, change.calendar]).toEqual(['caller', true, 'pg-main-weekly']);
  expect(questionOf(facts, { ...rotate, caller: RUN, window: { onMissed: 'replan' } }, ['person:wei']).change.calendar).toBeNull();
});

test('the plan gives its digest, window and items, and the dispatch its step', () => {
  const plan: Plan = {
    ...PLAN, window: { calendar: 'pg-main-weekly', opensAt: '2026-11-29T02:00:00.000Z', closesAt: '2026-11-29T04:00:00.000Z', onMissed: 'expire', consumers: [] },
    items: [{ kind: 'lease', nhi: 'nhi:prod/freight-sync', change: CHANGE_ID }],
  };
  const { change } = questionOf(facts, ROTATE, ['person:wei'], { phase: 'dispatch', plan, step: { action: 'cutover', number: 2 } });
  expect(change.window).toEqual({ calendar: 'pg-main-weekly', opensAtMs: Date.parse('2026-11-29T02:00:00Z'), closesAtMs: Date.parse('2026-11-29T04:00:00Z') });
  expect([change.planDigest, change.items, change.step]).toEqual([planDigest(plan), 1, { action: 'cutover', number: 2 }]);
});

test('the overlap of a rotation is what was read, and nothing else has one', () => {
  const overlap = (request: ChangeRequest, touched: Plan['before'] | null): unknown => questionOf(facts, request, ['person:wei'], { before: touched === null ? null : { held: [], touched } }).change.overlap;
  expect([overlap(ROTATE, { overlap: 'twin' }), overlap(ROTATE, { overlap: 'none' }), overlap(ROTATE, { overlap: 'both' }), overlap(ROTATE, {}), overlap(ROTATE, null)]).toEqual(['twin', 'none', null, null, null]);
  expect(overlap(GRANT, { overlap: 'twin' })).toBeNull();
});

test('a change that names no entitlements comes with the entries for what its account holds, under every scope', () => {
  const scoped = { ...on('role:orders'), scope: 'eu', rank: 80, environment: 'prod' };
  const catalogue = { ...facts.value.catalogue, entitlements: [...facts.value.catalogue.entitlements, scoped, { ...on('role:orders'), target: 'other', rank: 1, environment: 'prod' }] };
  const known = factsOf({ ...facts.value, catalogue }, NOW_MS);
  const before = { held: ['role:orders', 'table:public.customers:DELETE', 'nobody:knows'], touched: {} };
  const entries = (request: ChangeRequest): string[] => questionOf(known, request, ['person:wei'], { before }).facts.catalogue.entitlements.map((entry) => `${entry.target} ${entry.privilege} ${entry.scope ?? ''}`);
  expect(entries(ROTATE)).toEqual([
    'app role:orders ', 'app role:orders eu', 'app table:public.customers:DELETE ',
    'app table:public.orders:INSERT ', 'app table:public.orders:SELECT ', 'app table:public.orders:UPDATE ',
  ]);
  expect(entries(DISABLE)).toEqual(['app role:orders ', 'app role:orders eu', 'app table:public.customers:DELETE ']);
  expect(entries(GRANT)).toEqual(['app role:deploy ']);
  expect(questionOf(known, DISABLE, ['person:wei'], { before: null }).facts.catalogue.entitlements).toEqual([]);
});

test('a person who is offboarded, and who asked for the offboarding above, are among the people', () => {
  const people = (request: ChangeRequest, parent: { changeId: string; requester: string[] } | null): string[] => questionOf(facts, request, ['sidecar:0123456789abcdef'], { parent }).facts.directory.people.map((person) => person.id);
  expect(people({ ...OFFBOARD, subject: 'person:kim' }, null)).toContain('person:kim');
  expect(people(DISABLE, null)).not.toContain('person:mallory');
  expect(people(DISABLE, { changeId: CHANGE_ID, requester: ['person:mallory'] })).toContain('person:mallory');
  expect(questionOf(facts, DISABLE, ['sidecar:0123456789abcdef'], { parent: { changeId: CHANGE_ID, requester: ['person:mallory'] } }).change.parent).toEqual({ changeId: CHANGE_ID, requester: ['person:mallory'] });
});

test('the calendar is that of the system and environment, from now on for 35 days', () => {
  const { calendar } = questionOf(keeping, ROTATE, ['person:wei']).facts;
  expect(calendar?.windows.map((one) => one.calendar)).toEqual(expect.arrayContaining(['pg-main-nightly', 'pg-main-weekly']) as string[]);
  expect(calendar?.windows.every((one) => one.closesAtMs > NOW_MS && one.opensAtMs < NOW_MS + HORIZON_MS)).toBe(true);
  expect(calendar?.freezes.map((freeze) => freeze.id)).toEqual(['year-end']);
  const dev: ChangeRequest = { ...GRANT, subject: 'nhi:dev/report-preview', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] };
  expect(questionOf(keeping, dev, ['person:ana']).facts.calendar).toEqual({ windows: [], freezes: [] });
});

test('where no calendar is kept, or no system is touched, there is none', () => {
  expect(questionOf(facts, ROTATE, ['person:wei']).facts.calendar).toBeNull();
  expect(questionOf(keeping, OFFBOARD, ['person:wei']).facts.calendar).toBeNull();
});

test('locks come in a fixed order, with what policy needs of them', () => {
  const lock = (n: number): { lockId: string; reason: string; by: string } => ({ lockId: `lck_${n}`, reason: 'stolen', by: 'person:olga' });
  expect(questionOf(facts, GRANT, ['person:wei'], { locks: [lock(2), lock(1)] }).facts.locks).toEqual([{ lockId: 'lck_1', reason: 'stolen' }, { lockId: 'lck_2', reason: 'stolen' }]);
  const many = questionOf(facts, GRANT, ['person:wei'], { locks: Array.from({ length: 100 }, (_, n) => lock(n)) });
  expect(changeInputSchema.parse(many).facts.locks).toHaveLength(64);
});
