import { expect, test } from 'vitest';
import { canonicalText } from '../../ledger/index.ts';
import { factsOf } from '../../src/facts/load.ts';
import { buildChangeInput, conveyedBy } from '../../src/pdp/build-input.ts';
import { changeInputSchema } from '../../src/pdp/policy-input.ts';
import { exampleFacts, GRANT, NOW_MS, on, PROVISION, questionOf } from './support.ts';

const facts = await exampleFacts();

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
    connectors: [], locks: [], parent: null,
  });
  expect([input.facts.ageMs, input.phase, input.change.revision]).toEqual([1234, 'dispatch', 2]);
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
