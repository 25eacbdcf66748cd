import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { lintFacts } from '../../src/facts/check.ts';
import { FactsError, factsOf, loadFacts, parseFacts, type Facts } from '../../src/facts/load.ts';
import { catalogueSchema } from '../../src/facts/schemas.ts';
import { exampleFacts, NOW_MS } from '../pdp/support.ts';
import { estate } from '../support/estate.ts';

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
const CALENDAR = `v: 1
windows:
  - {id: weekly, timeZone: Europe/Berlin, cron: 0 3 * * SUN, duration: PT2H, exceptions: ['2026-12-27']}
  - {id: once, timeZone: Europe/Berlin, dates: [{from: 2026-11-28T22:00, until: 2026-11-29T02:00}]}
freezes:
  - {id: year-end, timeZone: Europe/Berlin, from: 2026-12-18T18:00, until: 2027-01-04T06:00}
`;

const EXCEPTIONS = `v: 1
exceptions:
  - {id: a-excess, rule: exceeds-purpose, subject: nhi:prod/a, reason: until it is cut in two, owner: person:ana, from: 2026-11-23, until: 2027-02-21}
`;

const OBSERVE = `${EXCEPTIONS}observe:
  - {id: trial, environments: [prod], connectors: [pg], prefixes: ['nhi:prod/'], reason: the rules are tried out, owner: person:ana, from: 2026-11-23, until: 2027-02-21}
`;

function parse(texts: Partial<Record<'inventory' | 'catalogue' | 'directory' | 'usage' | 'calendar' | 'exceptions', string>>): Facts {
  const named = { inventory: INVENTORY, catalogue: CATALOGUE, directory: DIRECTORY, usage: USAGE, calendar: CALENDAR, exceptions: EXCEPTIONS, ...texts };
  const file = (name: keyof typeof named): { name: string; text: string } => ({ name: `${name}.yaml`, text: named[name] });
  return parseFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage: file('usage'), calendar: file('calendar'), exceptions: file('exceptions') }, NOW_MS);
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
  const facts = await exampleFacts({ calendar: true, exceptions: true });
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

test('exceptions have a digest of their own, and where none are kept there is nothing of them on record', () => {
  const facts = parse({});
  expect(facts.digests.exceptions).toBe(digestOf(canonicalBytes(facts.value.exceptions!)));
  const { exceptions: _left, ...value } = facts.value;
  const without = factsOf(value, NOW_MS);
  expect([without.exceptions, without.digests.exceptions, Object.hasOwn(without.value, 'exceptions')]).toEqual([null, null, false]);
});

test('an exception for nobody, or of nobody who is active, is warned of', () => {
  const warned = (text: string): string[] => lintFacts(parse({ exceptions: text }).value).map(({ code, about }) => `${code} ${about}`);
  expect(warned(EXCEPTIONS)).toEqual([]);
  expect(warned(EXCEPTIONS.replace('subject: nhi:prod/a', 'subject: nhi:prod/b'))).toEqual(['unknown-nhi a-excess']);
  expect(warned(EXCEPTIONS.replace('owner: person:ana', 'owner: person:bob'))).toEqual(['unknown-person a-excess']);
});

test('scopes under observe load, and one of nobody, or for a connector that there is not, is warned of', () => {
  const warned = (text: string): string[] => lintFacts(parse({ exceptions: text }).value).map(({ code, about }) => `${code} ${about}`);
  expect(parse({ exceptions: OBSERVE }).exceptions?.observe).toMatchObject([{ id: 'trial' }]);
  expect(warned(OBSERVE)).toEqual([]);
  expect(warned(OBSERVE.replace('tried out, owner: person:ana', 'tried out, owner: person:bob'))).toEqual(['unknown-person trial']);
  expect(warned(OBSERVE.replace('connectors: [pg]', 'connectors: [pg-old]'))).toEqual(['unknown-connector trial']);
});

test('facts without usage and calendar have none, and their value can be put on record', () => {
  const facts = factsOf({ ...parse({}).value, usage: null, calendar: null }, NOW_MS);
  expect([facts.usage, facts.digests.usage, facts.calendar, facts.digests.calendar]).toEqual([null, null, null, null]);
  expect(canonicalBytes(facts.value).length).toBeGreaterThan(0);
});

test.each<[string, Parameters<typeof parse>[0], RegExp]>([
  ['a key twice', { directory: DIRECTORY.replace('active: true', 'active: true, active: false') }, /^directory\.yaml:3: Map keys must be unique$/],
  ['a key twice under an escape', { directory: '{"v": 1, "people": [], "teams": [], "\\u0074eams": []}' }, /^directory\.yaml:1: .*unique/i],
  ['a member that nobody knows', { inventory: INVENTORY.replace('    humanUse: false', '    humanUse: false\n    humanuse: true') }, /^inventory\.yaml:3: \/nhis\/0: .*humanuse/],
  ['a member that is missing', { inventory: INVENTORY.replace('    humanUse: false\n', '') }, /^inventory\.yaml:3: \/nhis\/0\/humanUse: is missing$/],
  ['two mistakes, in one line that a terminal shows as it is', { inventory: INVENTORY.replace('riskTier: low', 'riskTier: none').replace('    humanUse: false\n', '') }, /^inventory\.yaml:7: \/nhis\/0\/riskTier: [^\n]*; inventory\.yaml:3: \/nhis\/0\/humanUse: is missing$/],
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
  ['a duration that is none', { calendar: CALENDAR.replace('PT2H', 'forever') }, /^calendar\.yaml:3: \/windows\/0\/duration: an ISO 8601 duration/],
  ['a duration of nothing', { calendar: CALENDAR.replace('PT2H', 'PT0S') }, /^calendar\.yaml:3: \/windows\/0\/duration: /],
  ['a time with seconds', { calendar: CALENDAR.replace('2026-12-18T18:00', '2026-12-18T18:00:00') }, /^calendar\.yaml:6: \/freezes\/0\/from: a local time such as/],
  ['a window without a zone', { calendar: CALENDAR.replace(' timeZone: Europe/Berlin,', '') }, /^calendar\.yaml:3: \/windows\/0\/timeZone: /],
  ['a window twice', { calendar: CALENDAR.replace('id: once', 'id: weekly') }, /^calendar\.yaml:4: \/windows\/1: weekly is here twice/],
  ['a freeze twice', { calendar: CALENDAR + CALENDAR.slice(CALENDAR.indexOf('  - {id: year-end')) }, /^calendar\.yaml:7: \/freezes\/1: year-end is here twice/],
  ['a calendar of nothing', { calendar: 'v: 1\nwindows: []\nfreezes: []\n' }, /^calendar\.yaml:1: neither a window nor a freeze/],
  ['a zone that is none', { calendar: CALENDAR.replace('Europe/Berlin', 'Europe/Berlon') }, /^calendar\.yaml:3: \/windows\/0\/timeZone: "Europe\/Berlon" is not a time zone/],
  ['an offset for a zone', { calendar: CALENDAR.replace('id: year-end, timeZone: Europe/Berlin', 'id: year-end, timeZone: "+01:00"') }, /^calendar\.yaml:6: \/freezes\/0\/timeZone: /],
  ['cron and dates', { calendar: CALENDAR.replace('id: once,', 'id: once, cron: 0 0 * * *,') }, /^calendar\.yaml:4: \/windows\/1: a window has either cron and duration, or dates/],
  ['neither cron nor dates', { calendar: CALENDAR.replace(/cron: .*SUN, duration: PT2H, /, '') }, /^calendar\.yaml:3: \/windows\/0: a window has either/],
  ['a scope of everything', { exceptions: OBSERVE.replace("environments: [prod], connectors: [pg], prefixes: ['nhi:prod/'], ", '') }, /^exceptions\.yaml:5: \/observe\/0: names no environments, connectors or prefixes/],
  ['a scope of no environment', { exceptions: OBSERVE.replace('environments: [prod]', 'environments: []') }, /^exceptions\.yaml:5: \/observe\/0\/environments: /],
  ['a scope of a prefix that is none', { exceptions: OBSERVE.replace("['nhi:prod/']", "['prod/']") }, /^exceptions\.yaml:5: \/observe\/0\/prefixes\/0: /],
  ['a scope for longer than ninety days', { exceptions: OBSERVE.replace(/2027-02-21}\n$/, '2027-02-22}\n') }, /^exceptions\.yaml:5: \/observe\/0\/until: 2027-02-22 is more than 90 days after/],
  ['a scope without an owner', { exceptions: OBSERVE.replace('tried out, owner: person:ana', 'tried out') }, /^exceptions\.yaml:5: \/observe\/0\/owner: /],
  ['a scope twice', { exceptions: OBSERVE + OBSERVE.split('\n').at(-2)! + '\n' }, /^exceptions\.yaml:6: \/observe\/1: trial is here twice/],
  ['cron without a duration', { calendar: CALENDAR.replace('duration: PT2H, ', '') }, /^calendar\.yaml:3: \/windows\/0: cron needs a duration/],
  ['dates with a duration', { calendar: CALENDAR.replace('id: once,', 'id: once, duration: PT1H,') }, /^calendar\.yaml:4: \/windows\/1: duration belongs to cron/],
  ['dates with exceptions', { calendar: CALENDAR.replace('id: once,', "id: once, exceptions: ['2026-11-28'],") }, /^calendar\.yaml:4: \/windows\/1\/exceptions: /],
  ['no dates', { calendar: CALENDAR.replace(/dates: \[.*\]/, 'dates: []') }, /^calendar\.yaml:4: \/windows\/1\/dates: /],
  ['an exception that is no day', { calendar: CALENDAR.replace('2026-12-27', '2026-02-29') }, /^calendar\.yaml:3: \/windows\/0\/exceptions\/0: 2026-02-29 is not a day/],
  ['cron with seconds', { calendar: CALENDAR.replace('cron: 0 3', 'cron: 0 0 3') }, /^calendar\.yaml:3: \/windows\/0\/cron: five fields/],
  ['a nickname for cron', { calendar: CALENDAR.replace('cron: 0 3 * * SUN', 'cron: "@weekly"') }, /^calendar\.yaml:3: \/windows\/0\/cron: five fields/],
  ['cron that asks the clock', { calendar: CALENDAR.replace('cron: 0 3 * * SUN', 'cron: "? 3 * * SUN"') }, /^calendar\.yaml:3: \/windows\/0\/cron: "\?" is not a field/],
  ['cron of an hour that is none', { calendar: CALENDAR.replace('cron: 0 3', 'cron: 0 24') }, /^calendar\.yaml:3: \/windows\/0\/cron: .*hour/],
  ['cron of 30 February', { calendar: CALENDAR.replace('0 3 * * SUN', '0 3 30 2 *') }, /^calendar\.yaml:3: \/windows\/0\/cron: never comes/],
  ['cron of an hour that is always skipped', { calendar: CALENDAR.replace('0 3 * * SUN', '30 2 * 3 SUN#L') }, /^calendar\.yaml:3: \/windows\/0\/cron: never comes/],
  ['occurrences that overlap in a day', { calendar: CALENDAR.replace('0 3 * * SUN', '"0 3,4 * * SUN"') }, /^calendar\.yaml:3: \/windows\/0\/duration: PT2H is longer than the 60 minutes/],
  ['occurrences that overlap overnight', { calendar: CALENDAR.replace('0 3 * * SUN', '"0 0,12,23 * * *"') }, /^calendar\.yaml:3: \/windows\/0\/duration: PT2H is longer than the 60 minutes/],
  ['occurrences that overlap days later', { calendar: CALENDAR.replace('duration: PT2H', 'duration: P7DT1M') }, /^calendar\.yaml:3: \/windows\/0\/duration: P7DT1M is longer than the 10080 minutes/],
  ['dates that overlap', { calendar: CALENDAR.replace('dates: [', 'dates: [{from: 2026-11-29T01:59, until: 2026-11-29T02:00}, ') }, /^calendar\.yaml:4: \/windows\/1\/dates\/0\/from: begins before/],
  ['an occurrence that ends before it begins', { calendar: CALENDAR.replace('until: 2026-11-29T02:00', 'until: 2026-11-28T22:00') }, /^calendar\.yaml:4: \/windows\/1\/dates\/0\/until: .* is not after/],
  ['a time that clocks skip', { calendar: CALENDAR.replace('until: 2026-11-29T02:00', 'until: 2027-03-28T02:30') }, /^calendar\.yaml:4: \/windows\/1\/dates\/0\/until: 2027-03-28T02:30 does not exist in Europe\/Berlin/],
  ['a freeze that ends before it begins', { calendar: CALENDAR.replace('until: 2027-01-04', 'until: 2026-01-04') }, /^calendar\.yaml:6: \/freezes\/0\/until: .* is not after/],
  ['a freeze from a day that is none', { calendar: CALENDAR.replace('from: 2026-12-18T', 'from: 2026-12-32T') }, /^calendar\.yaml:6: \/freezes\/0\/from: 2026-12-32T18:00 is not a day/],
  ['a freeze until a time that clocks skip', { calendar: CALENDAR.replace('until: 2027-01-04T06:00', 'until: 2027-03-28T02:00') }, /^calendar\.yaml:6: \/freezes\/0\/until: .* does not exist/],
  ['an exception twice', { exceptions: EXCEPTIONS + EXCEPTIONS.slice(EXCEPTIONS.indexOf('  - ')) }, /^exceptions\.yaml:4: \/exceptions\/1: a-excess is here twice/],
  ['an exception of more than ninety days', { exceptions: EXCEPTIONS.replace('until: 2027-02-21', 'until: 2027-02-22') }, /^exceptions\.yaml:3: \/exceptions\/0\/until: 2027-02-22 is more than 90 days after 2026-11-23/],
  ['an exception without an end', { exceptions: EXCEPTIONS.replace(', until: 2027-02-21', '') }, /^exceptions\.yaml:3: \/exceptions\/0\/until: /],
  ['an exception that ends as it begins', { exceptions: EXCEPTIONS.replace('until: 2027-02-21', 'until: 2026-11-23') }, /^exceptions\.yaml:3: \/exceptions\/0\/until: 2026-11-23 is not after 2026-11-23/],
  ['an exception until a day that is none', { exceptions: EXCEPTIONS.replace('until: 2027-02-21', 'until: 2027-02-29') }, /^exceptions\.yaml:3: \/exceptions\/0\/until: 2027-02-29 is not a day/],
  ['an exception until a time', { exceptions: EXCEPTIONS.replace('until: 2027-02-21', 'until: 2027-02-21T00:00') }, /^exceptions\.yaml:3: \/exceptions\/0\/until: a date such as/],
  ['an exception for everybody', { exceptions: EXCEPTIONS.replace('subject: nhi:prod/a', 'subject: "*"') }, /^exceptions\.yaml:3: \/exceptions\/0\/subject: /],
  ['an exception from everything', { exceptions: EXCEPTIONS.replace('rule: exceeds-purpose', 'rule: "*"') }, /^exceptions\.yaml:3: \/exceptions\/0\/rule: /],
  ['an exception of a team', { exceptions: EXCEPTIONS.replace('owner: person:ana', 'owner: security') }, /^exceptions\.yaml:3: \/exceptions\/0\/owner: /],
  ['an exception without a reason', { exceptions: EXCEPTIONS.replace('reason: until it is cut in two, ', '') }, /^exceptions\.yaml:3: \/exceptions\/0\/reason: /],
  ['a control character', { directory: DIRECTORY.replace('name: Ana', 'name: "A\\u001b[2Jna"') }, /^directory\.yaml:3: \/people\/0\/name: /],
])('facts with %s are refused, with the place', (_what, texts, message) => {
  const error = errorOf(texts);
  expect(error.code).toBe('malformed');
  expect(error.message).toMatch(message);
  expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
});

test.each([
  ['a week that ends as the next begins', '0 3 * * SUN', 'P7D'],
  ['hours that follow each other', '0 * * * *', 'PT1H'],
  ['a minute each', '* * * * *', 'PT1M'],
  ['29 February', '0 0 29 2 *', 'P3D'],
  ['the last Sunday of a month', '0 3 * * SUNL', 'P28D'],
])('a window of %s is possible', (_what, cron, duration) => {
  const { calendar } = parse({ calendar: CALENDAR.replace('0 3 * * SUN', JSON.stringify(cron)).replace('PT2H', duration) });
  expect(calendar?.windows[0]).toMatchObject({ cron, duration });
});

test('a calendar whose dates are all over is still a calendar', () => {
  expect(parse({ calendar: CALENDAR.replaceAll('2026', '2016').replaceAll('2027', '2017') }).calendar?.windows).toHaveLength(2);
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
    calendar: CALENDAR.replace('id: once,', 'id: once, connectors: [pg, pq],').replace('id: year-end,', 'id: year-end, connectors: [pg-main],'),
    directory: 'v: 1\npeople: [{id: person:ana, name: Ana, active: true, linked: [person:ghost]}]\nteams: [{id: security, members: [person:ghost]}]\n',
  });
  expect(lintFacts(facts.value).map((warning) => `${warning.code} ${warning.about}`)).toEqual([
    'unknown-person nhi:prod/a', 'unknown-person nhi:prod/a', 'no-active-owner nhi:prod/a', 'same-owner-twice nhi:prod/a', 'unknown-purpose nhi:prod/a',
    'unknown-entitlement p', 'unknown-person security', 'unknown-person person:ana', 'unknown-connector once', 'unknown-connector year-end',
  ]);
});

test('one login of two identities is warned of, the same name at two connectors is not', () => {
  const of = (id: string, accounts: string): string => INVENTORY.slice(INVENTORY.indexOf('  - ')).replace('nhi:prod/a', id).replace(/accounts: .*/, `accounts: ${accounts}`);
  const facts = parse({ inventory: `${INVENTORY.replace(/accounts: .*/, 'accounts: {pg-main: svc}')}${of('nhi:prod/b', '{pg-main: svc}')}${of('nhi:prod/c', '{pg-dev: svc}')}` });
  expect(lintFacts(facts.value)).toEqual([{ code: 'account-shared', about: 'nhi:prod/b', message: 'svc at pg-main is also the account of nhi:prod/a' }]);
});

test('two names that are one third party are warned of, and one name twice is not', () => {
  const of = (id: string, thirdParty: string): string => INVENTORY.slice(INVENTORY.indexOf('  - ')).replace('nhi:prod/a', id).replace('    consumers', `    thirdParty: ${thirdParty}\n    consumers`);
  const facts = parse({ inventory: `${INVENTORY}${of('nhi:prod/b', 'Acme & Co')}${of('nhi:prod/c', 'ACME, Co.')}${of('nhi:prod/d', 'Other')}${of('nhi:prod/e', 'Other')}` });
  expect(lintFacts(facts.value)).toEqual([{ code: 'third-party-ambiguous', about: 'thirdParty:acme-co', message: 'is all of "Acme & Co", "ACME, Co."' }]);
});

test('a window or freeze is warned of where its connector is in nobody’s account and not in the catalogue, and not where it is in either', () => {
  const facts = parse({
    inventory: INVENTORY.replace(/accounts: .*/, 'accounts: {pg-main: svc}'),
    calendar: CALENDAR.replace('id: once,', 'id: once, connectors: [pg-main, pq],').replace('id: year-end,', 'id: year-end, connectors: [pg, pg-mian],'),
  });
  expect(lintFacts(facts.value)).toEqual([
    { code: 'unknown-connector', about: 'once', message: 'opens for nothing at pq, where nothing is in the catalogue and no identity has an account' },
    { code: 'unknown-connector', about: 'year-end', message: 'holds nothing at pg-mian, where nothing is in the catalogue and no identity has an account' },
  ]);
});

test('files of JSON say what they say as YAML', () => {
  const { calendar: _none, ...files } = estate(200, NOW_MS);
  const texts = (spelled: (value: unknown) => string): Parameters<typeof parseFacts>[0] => {
    const [inventory, catalogue, directory, usage] = [files.inventory, files.catalogue, files.directory, files.usage].map((value, n) => ({ name: `${n}`, text: spelled(value) }));
    return { inventory: inventory!, catalogue: catalogue!, directory: directory!, usage: usage! };
  };
  const json = parseFacts(texts((value) => JSON.stringify(value)), NOW_MS);
  const written = parseFacts(texts((value) => stringify(value)), NOW_MS);
  expect(json.value).toEqual(written.value);
  expect(json.digests).toEqual(written.digests);
});

test.each<[string, string, RegExp]>([
  ['a member twice', '{"v": 1, "people": [], "people": [], "teams": []}', /^directory\.yaml:1: /],
  ['a __proto__ member', '{"v": 1, "people": [], "teams": [],\n"__proto__": {}}', /^directory\.yaml:2: no member is named __proto__/],
  ['a member that nobody knows', '{"v": 1, "people": [],\n"teams": [], "more": 1}', /^directory\.yaml:1: /],
  ['a person twice', '{"v": 1, "teams": [], "people": [{"id": "person:ana", "name": "Ana", "active": true, "linked": []},\n{"id": "person:ana", "name": "Ana", "active": false, "linked": []}]}', /^directory\.yaml:2: \/people\/1: person:ana is here twice/],
])('JSON with %s is refused with its line', (_what, text, message) => {
  expect(() => parseFacts({ inventory: { name: 'inventory.yaml', text: INVENTORY }, catalogue: { name: 'catalogue.yaml', text: CATALOGUE }, directory: { name: 'directory.yaml', text }, usage: null }, NOW_MS)).toThrow(message);
});

test.each([
  ['who stands in for herself', '{from: person:ana, to: person:ana, since: 2026-11-20, until: 2026-11-22, reason: r}', /stands in for nobody else/],
  ['one that ends before it begins', '{from: person:ana, to: person:ben, since: 2026-11-22, until: 2026-11-20, reason: r}', /2026-11-20 is not after 2026-11-22/],
  ['one for longer than a year', '{from: person:ana, to: person:ben, since: 2026-11-22, until: 2028-11-20, reason: r}', /more than 366 days/],
  ['one from no day', '{from: person:ana, to: person:ben, since: 2026-02-30, until: 2026-11-20, reason: r}', /is not a day/],
  ['one for nothing', '{from: person:ana, to: person:ben, since: 2026-11-20, until: 2026-11-22, connectors: [], reason: r}', /./],
])('no directory has a delegation of %s', (_what, one, message) => {
  const directory = { name: 'directory.yaml', text: `${DIRECTORY}delegations:\n  - ${one}\n` };
  expect(() => parseFacts({ inventory: { name: 'i', text: INVENTORY }, catalogue: { name: 'c', text: CATALOGUE }, directory, usage: null }, NOW_MS)).toThrow(message);
});

test('a delegation to nobody, and the absence of nobody, are warned of', () => {
  const text = `${DIRECTORY}delegations:\n  - {from: person:ana, to: person:zed, since: 2026-11-20, until: 2026-11-22, reason: r}\naway:\n  - {person: person:zed, since: 2026-11-20, until: 2026-11-22}\n`;
  const { value } = parseFacts({ inventory: { name: 'i', text: INVENTORY }, catalogue: { name: 'c', text: CATALOGUE }, directory: { name: 'd', text }, usage: null }, NOW_MS);
  expect(lintFacts(value).filter(({ code }) => code === 'unknown-person').map(({ about, message }) => `${about}: ${message}`)).toEqual([
    'person:ana: delegates to person:zed, and person:zed is no active person of the directory', 'person:zed: is away, and not in the directory',
  ]);
});

test('what conveys something that governs approvals says so too', () => {
  const entry = (privilege: string, more: object) => ({ connector: 'pg', target: 'app', privilege, rank: 1, environment: 'prod', ...more });
  const parse = (...entitlements: object[]) => catalogueSchema.safeParse({ v: 1, entitlements, purposes: [] });
  const owners = entry('group:owners', { governs: 'approvers' });
  expect(parse(owners, entry('group:admins', { governs: 'policy', conveys: ['group:owners'] })).success).toBe(true);
  expect(parse(owners, entry('group:admins', { conveys: ['group:owners'] })).error?.issues).toMatchObject([{ path: ['entitlements', 1], message: expect.stringContaining('group:admins conveys group:owners') as string }]);
  // Of another system is another privilege.
  expect(parse(owners, entry('group:admins', { target: 'other', conveys: ['group:owners'] })).success).toBe(true);
  expect(parse(entry('group:owners', { governs: 'everything' })).success).toBe(false);
});
