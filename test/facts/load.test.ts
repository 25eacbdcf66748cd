import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { lintFacts } from '../../src/facts/check.ts';
import { FactsError, factsOf, loadFacts, parseFacts, type Facts } from '../../src/facts/load.ts';
import { exampleFacts, NOW_MS } from '../pdp/support.ts';

const INVENTORY = `v: 1
nhis:
  - id: nhi:prod/a
    owner: person:ana
    environment: prod
    purposes: [p]
    riskTier: low
    custody: vault
    humanUse: false
    consumers: []
    accounts: {}
`;
const CATALOGUE = `v: 1
entitlements:
  - {connector: pg, target: app, privilege: x, rank: 1, environment: prod}
purposes:
  - {id: p, needs: [{connector: pg, target: app, privilege: x}], maxLeaseSeconds: 60}
`;
const DIRECTORY = `v: 1
people:
  - {id: person:ana, name: Ana, active: true, linked: []}
teams: []
`;
const USAGE = 'v: 1\nobservedAtMs: 5\nusage: []\n';

function parse(texts: Partial<Record<'inventory' | 'catalogue' | 'directory' | 'usage', string>>): Facts {
  const named = { inventory: INVENTORY, catalogue: CATALOGUE, directory: DIRECTORY, usage: USAGE, ...texts };
  const file = (name: keyof typeof named): { name: string; text: string } => ({ name: `${name}.yaml`, text: named[name] });
  return parseFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage: file('usage') }, NOW_MS);
}
function errorOf(texts: Parameters<typeof parse>[0]): FactsError {
  try {
    parse(texts);
  } catch (error) {
    if (error instanceof FactsError) return error;
    throw error;
  }
  throw new Error('these facts were taken');
}

test('the example facts load, and nothing in them leads nowhere', async () => {
  const facts = await exampleFacts();
  expect([...facts.inventory.keys()]).toContain('nhi:prod/ci-deployer');
  expect(facts.loadedAtMs).toBe(NOW_MS);
  expect(lintFacts(facts.value)).toEqual([]);
});

test('the same facts have the same digest, whatever their spelling', () => {
  const facts = parse({});
  const respelt = parse({ directory: '# people\n{"teams": [], "people": [{"name": "Ana", "linked": [], "active": true, "id": "person:ana"}], "v": 1}' });
  expect(respelt.digests).toEqual(facts.digests);
  expect(facts.digests.directory).toBe(digestOf(canonicalBytes(facts.value.directory)));
  expect(parse({ directory: DIRECTORY.replace('Ana', 'Ann') }).digests.directory).not.toBe(facts.digests.directory);
});

test('facts without usage have none, and their value can be put on record', () => {
  const facts = factsOf({ ...parse({}).value, usage: null }, NOW_MS);
  expect([facts.usage, facts.digests.usage]).toEqual([null, null]);
  expect(canonicalBytes(facts.value).length).toBeGreaterThan(0);
});

test.each<[string, Parameters<typeof parse>[0], RegExp]>([
  ['a key twice', { directory: DIRECTORY.replace('active: true', 'active: true, active: false') }, /^directory\.yaml:3: .*unique/i],
  ['a key twice under an escape', { directory: '{"v": 1, "people": [], "teams": [], "\\u0074eams": []}' }, /^directory\.yaml:1: .*unique/i],
  ['a member that nobody knows', { inventory: INVENTORY.replace('    humanUse: false', '    humanUse: false\n    humanuse: true') }, /^inventory\.yaml:3: \/nhis\/0: .*humanuse/],
  ['a member that is missing', { inventory: INVENTORY.replace('    humanUse: false\n', '') }, /^inventory\.yaml:3: \/nhis\/0\/humanUse: /],
  ['text for a number', { catalogue: CATALOGUE.replace('rank: 1', 'rank: high') }, /^catalogue\.yaml:3: \/entitlements\/0\/rank: /],
  ['a number out of range', { catalogue: CATALOGUE.replace('rank: 1', 'rank: 101') }, /^catalogue\.yaml:3: \/entitlements\/0\/rank: /],
  ['a fraction', { catalogue: CATALOGUE.replace('maxLeaseSeconds: 60', 'maxLeaseSeconds: 0.5') }, /^catalogue\.yaml:5: \/purposes\/0\/maxLeaseSeconds: /],
  ['a tier that nobody knows', { inventory: INVENTORY.replace('riskTier: low', 'riskTier: none') }, /^inventory\.yaml:7: \/nhis\/0\/riskTier: /],
  ['a boolean that YAML 1.1 had', { directory: DIRECTORY.replace('active: true', 'active: yes') }, /^directory\.yaml:3: \/people\/0\/active: /],
  ['an anchor', { directory: DIRECTORY.replace('linked: []', 'linked: &none []') }, /^directory\.yaml:3: anchors/],
  ['an alias', { directory: DIRECTORY.replace('teams: []', 'teams: &t []\nmore: *t') }, /^directory\.yaml:4: anchors/],
  ['a merge key', { inventory: INVENTORY.replace('    humanUse: false', '    humanUse: false\n    <<: {humanUse: true}') }, /^inventory\.yaml:3: \/nhis\/0: .*<</],
  ['a tag', { directory: DIRECTORY.replace('name: Ana', 'name: !!js/function Ana') }, /^directory\.yaml:3: /],
  ['a __proto__ member', { inventory: INVENTORY.replace('accounts: {}', 'accounts: {__proto__: x}') }, /^inventory\.yaml:11: no member is named __proto__/],
  ['two documents', { directory: `${DIRECTORY}---\n${DIRECTORY}` }, /^directory\.yaml:\d+: /],
  ['no YAML at all', { directory: '{"v": 1' }, /^directory\.yaml:\d+: /],
  ['nothing', { directory: '' }, /^directory\.yaml/],
  ['a person twice', { directory: DIRECTORY.replace('teams:', '  - {id: person:ana, name: Other, active: false, linked: []}\nteams:') }, /^directory\.yaml:4: \/people\/1: person:ana is here twice/],
  ['an identity twice', { inventory: INVENTORY + INVENTORY.slice(INVENTORY.indexOf('  - ')) }, /^inventory\.yaml:12: \/nhis\/1: nhi:prod\/a is here twice/],
  ['an entitlement twice with other ranks', { catalogue: CATALOGUE.replace('purposes:', '  - {connector: pg, target: app, privilege: x, rank: 0, environment: prod}\npurposes:') }, /^catalogue\.yaml:4: \/entitlements\/1: .*twice/],
  ['a control character', { directory: DIRECTORY.replace('name: Ana', 'name: "A\\u001b[2Jna"') }, /^directory\.yaml:3: \/people\/0\/name: /],
])('facts with %s are refused, with the place', (_what, texts, message) => {
  const error = errorOf(texts);
  expect(error.code).toBe('malformed');
  expect(error.message).toMatch(message);
  expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
});

test('a scope makes another entitlement', () => {
  const scoped = CATALOGUE.replace('purposes:', '  - {connector: pg, target: app, privilege: x, scope: eu, rank: 0, environment: prod}\npurposes:');
  expect(parse({ catalogue: scoped }).catalogue.entitlements).toHaveLength(2);
});

test('a file that is not there is named, and nothing is loaded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-facts-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = (name: string): string => join(directory, name);
  await writeFile(file('i.yaml'), INVENTORY);
  await writeFile(file('c.yaml'), CATALOGUE);
  const error: unknown = await loadFacts({ inventory: file('i.yaml'), catalogue: file('c.yaml'), directory: file('d.yaml') }, NOW_MS).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(FactsError);
  expect(error).toMatchObject({ code: 'unreadable', issues: [{ file: file('d.yaml') }] });
  await writeFile(file('d.yaml'), DIRECTORY);
  expect((await loadFacts({ inventory: file('i.yaml'), catalogue: file('c.yaml'), directory: file('d.yaml') }, NOW_MS)).usage).toBeNull();
});

test('what will strand a change later is warned of', () => {
  const facts = parse({
    inventory: INVENTORY.replace('owner: person:ana', 'owner: person:gone\n    backupOwner: person:gone').replace('[p]', '[p, q]'),
    catalogue: CATALOGUE.replace('privilege: x}]', 'privilege: z}]'),
    directory: 'v: 1\npeople: [{id: person:ana, name: Ana, active: true, linked: [person:ghost]}]\nteams: [{id: security, members: [person:ghost]}]\n',
  });
  expect(lintFacts(facts.value).map((warning) => `${warning.code} ${warning.about}`)).toEqual([
    'unknown-person nhi:prod/a', 'unknown-person nhi:prod/a', 'no-active-owner nhi:prod/a', 'same-owner-twice nhi:prod/a', 'unknown-purpose nhi:prod/a',
    'unknown-entitlement p', 'unknown-person security', 'unknown-person person:ana',
  ]);
});
