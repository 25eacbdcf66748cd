/** What is amiss with an estate: each kind is found where it is so, and not where it is not. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FactsValue } from '../../src/facts/facts.ts';
import { LINT_KINDS, lintInventory } from '../../src/facts/lint-inventory.ts';
import type { InventoryEntry } from '../../src/facts/schemas.ts';

const NOW_MS = Date.parse('2026-11-29T12:00:00.000Z');
const DAY_MS = 86_400_000;
const NHI: InventoryEntry = { id: 'nhi:prod/a', owner: 'person:ana', backupOwner: 'person:ben', environment: 'prod', purposes: ['p'], riskTier: 'low', custody: 'vault', humanUse: false, consumers: [], accounts: { pg: 'a' } };
const person = (id: string, active = true): FactsValue['directory']['people'][number] => ({ id, name: id, active, linked: [] });
const VALUE: FactsValue = {
  inventory: { v: 1, nhis: [NHI] },
  catalogue: { v: 1, entitlements: [{ connector: 'pg', target: 'app', privilege: 'x', rank: 1, environment: 'prod' }], purposes: [{ id: 'p', needs: [{ connector: 'pg', target: 'app', privilege: 'x' }], maxLeaseSeconds: null }] },
  directory: { v: 1, people: [person('person:ana'), person('person:ben')], teams: [] },
  usage: { v: 1, observedAtMs: NOW_MS - 30 * DAY_MS, usage: [{ connector: 'pg', account: 'a', privileges: ['x'] }] }, calendar: null,
};
const { owner: _owner, backupOwner: _backup, ...UNOWNED } = NHI;

function told(edit: Partial<FactsValue>): string[] {
  return lintInventory({ ...VALUE, ...edit }, NOW_MS).map(({ code, about, message }) => `${code} ${about}: ${message}`);
}
const nhis = (...list: InventoryEntry[]): Partial<FactsValue> => ({ inventory: { v: 1, nhis: list } });

it('an estate in order has nothing amiss', () => {
  expect(told({})).toEqual([]);
});

describe('amiss is', () => {
  it.each<[string, Partial<FactsValue>, string[]]>([
    ['an owner who has left', { directory: { ...VALUE.directory, people: [person('person:ana', false), person('person:ben', false)] } }, ['no-active-owner nhi:prod/a: no owner is active: nobody can approve']],
    ['an owner by rule', { inventory: { v: 1, nhis: [UNOWNED], fallbackOwners: [{ prefix: 'nhi:', owner: 'person:ana', backupOwner: 'person:ben' }] } }, ['fallback-owner nhi:prod/a: person:ana answers for it by a rule alone']],
    ['nobody, where the rule’s team has nobody', { inventory: { v: 1, nhis: [UNOWNED], fallbackOwners: [{ prefix: 'nhi:', team: 'platform' }] } },
      ['no-owner nhi:prod/a: it names no owner, and the team of its fallback rule has nobody active', 'unknown-team nhi:: platform is not in the directory']],
    ['nobody in the owner’s place', nhis({ ...UNOWNED, owner: 'person:ana' }), ['no-backup-owner nhi:prod/a: nobody stands in for person:ana']],
    ['the owner in the owner’s place', nhis({ ...NHI, backupOwner: 'person:ana' }), ['same-owner-twice nhi:prod/a: the backup owner is the owner']],
    ['what is under observe now', { exceptions: { v: 1, exceptions: [], observe: ['now', 'over', 'next'].map((id, n) => ({ id, environments: ['dev', 'test'], connectors: ['pg'], prefixes: ['nhi:dev/'], reason: 'tried out', owner: 'person:ana', ...[{ from: '2026-11-29', until: '2026-11-30' }, { from: '2026-11-01', until: '2026-11-29' }, { from: '2026-11-30', until: '2026-12-29' }][n]! })) } },
      ['under-observe now: until 2026-11-30, of person:ana: environments dev, test; connectors pg; identities nhi:dev/*']],
    ['no purpose', nhis({ ...NHI, purposes: [] }), ['no-purpose nhi:prod/a: it has no purpose']],
    ['a purpose that is not catalogued', nhis({ ...NHI, purposes: ['q'] }), ['unknown-purpose nhi:prod/a: q is not in the catalogue']],
    ['an owner who is not in the directory', nhis({ ...NHI, owner: 'person:gone' }), ['unknown-person nhi:prod/a: person:gone is not in the directory']],
    ['a purpose that needs what is not catalogued', { catalogue: { ...VALUE.catalogue, purposes: [{ id: 'p', needs: [{ connector: 'pg', target: 'app', privilege: 'y' }], maxLeaseSeconds: null }] } }, ['unknown-entitlement p: needs y on pg/app, which is not in the catalogue']],
    ['an account at no connector that is known', nhis({ ...NHI, accounts: { pg: 'a', gp: 'a' } }), ['unknown-connector nhi:prod/a: it has an account at gp, where nothing is in the catalogue']],
    ['an account that was seen to use nothing', { usage: { ...VALUE.usage!, usage: [{ connector: 'pg', account: 'a', privileges: [] }] } }, ['never-used nhi:prod/a: a at pg was seen to use nothing']],
    ['an account that was not seen where others were', { usage: { ...VALUE.usage!, usage: [{ connector: 'pg', account: 'b', privileges: ['x'] }] } }, ['never-used nhi:prod/a: a was not seen at pg, where others were']],
    ['usage of long ago', { usage: { ...VALUE.usage!, observedAtMs: NOW_MS - 31 * DAY_MS } }, ['usage-stale usage: use was last looked at 31 days ago']],
    ['an account of two', nhis(NHI, { ...NHI, id: 'nhi:prod/b' }), ['account-shared nhi:prod/b: a at pg is also the account of nhi:prod/a']],
    ['a third party without custody', nhis({ ...NHI, thirdParty: 'Acme' }), ['third-party-custody nhi:prod/a: it is used by Acme, and its custody is vault']],
    ['a third party’s custody without its name', nhis({ ...NHI, custody: 'thirdParty' }), ['third-party-custody nhi:prod/a: a third party has its credential, and which one is not said']],
    ['use by people', nhis({ ...NHI, humanUse: true }), ['human-use nhi:prod/a: people use it']],
    ['a person’s custody', nhis({ ...NHI, custody: 'human' }), ['human-use nhi:prod/a: a person keeps its credential']],
  ])('%s', (_what, edit, expected) => {
    expect(told(edit)).toEqual(expected);
  });
});

it('nothing is said of use where none is observed', () => {
  expect(told({ usage: null })).toEqual([]);
  expect(told({ usage: { ...VALUE.usage!, usage: [{ connector: 'other', account: 'a', privileges: ['x'] }] } })).toEqual([]);
});

it('findings come by kind, the worst first, and by id', () => {
  const found = lintInventory({ ...VALUE, ...nhis({ ...NHI, id: 'nhi:prod/z', purposes: [] }, { ...NHI, id: 'nhi:prod/b', accounts: {}, purposes: [], humanUse: true }) }, NOW_MS);
  expect(found.map(({ code, about }) => `${code} ${about}`)).toEqual(['human-use nhi:prod/b', 'no-purpose nhi:prod/b', 'no-purpose nhi:prod/z']);
  expect(found[0]).toMatchObject(LINT_KINDS['human-use']);
  const levels = Object.values(LINT_KINDS).map(({ level }) => ['high', 'medium', 'low'].indexOf(level));
  expect(levels).toEqual([...levels].sort());
});

it('the page says of each kind what is said here', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/inventory.md'), 'utf8');
  const rows = Object.entries(LINT_KINDS).map(([code, { level, risk, why, solution }]) => `| \`${code}\` | ${level} | ${risk} | ${why} | ${solution} |`);
  expect(page.match(/^\| `[a-z-]+` \| (?:high|medium|low) \| NHI.*\|$/gm)).toEqual(rows);
});
