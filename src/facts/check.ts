/** What the schemas of the facts cannot say: that nothing is there twice (an error), and that what is named exists (a warning). */
import { thirdPartyId, type Entitlement } from '../protocol/values.ts';
import type { ExceptionsFile } from './exceptions.ts';
import type { FactsValue } from './facts.ts';
import { withOwners } from './owners.ts';
import type { CalendarFile, Catalogue, Directory, FallbackOwner, InventoryEntry } from './schemas.ts';

export interface Duplicate {
  readonly path: readonly (string | number)[];
  readonly name: string;
}

/** One spelling of what an entitlement is, for comparing. */
export function entitlementKey(entitlement: Entitlement): string {
  return JSON.stringify([entitlement.connector, entitlement.target, entitlement.privilege, entitlement.scope ?? '']);
}

/** Every second mention of an id. Two entries of one id would leave it to chance which one counts. */
export function duplicates(file: unknown): Duplicate[] {
  const { nhis, fallbackOwners, entitlements, purposes, people, teams, windows, freezes, exceptions, observe } = file as Partial<{ nhis: InventoryEntry[]; fallbackOwners: FallbackOwner[] } & Catalogue & Directory & CalendarFile & ExceptionsFile>;
  return [
    ...repeated('nhis', nhis?.map((nhi) => nhi.id)),
    ...repeated('fallbackOwners', fallbackOwners?.map((rule) => rule.prefix)),
    ...repeated('entitlements', entitlements?.map(entitlementKey)),
    ...repeated('purposes', purposes?.map((purpose) => purpose.id)),
    ...repeated('people', people?.map((person) => person.id)),
    ...repeated('teams', teams?.map((team) => team.id)),
    ...repeated('windows', windows?.map((window) => window.id)),
    ...repeated('freezes', freezes?.map((freeze) => freeze.id)),
    ...repeated('exceptions', exceptions?.map((exception) => exception.id)),
    ...repeated('observe', observe?.map((scope) => scope.id)),
  ];
}

function repeated(list: string, names: readonly string[] = []): Duplicate[] {
  const seen = new Set<string>();
  return names.flatMap((name, index) => {
    if (seen.has(name)) return [{ path: [list, index], name }];
    seen.add(name);
    return [];
  });
}

export interface FactsWarning {
  readonly code:
    | 'no-active-owner' | 'unknown-person' | 'unknown-team' | 'unknown-purpose' | 'unknown-entitlement' | 'same-owner-twice' | 'unknown-connector' | 'third-party-ambiguous'
    | 'account-shared' | 'unknown-nhi';
  /** The id that the warning is about. */
  readonly about: string;
  readonly message: string;
}

/** What will deny or strand a change later: names that lead nowhere, identities that nobody can answer for. In a fixed order. */
export function lintFacts(value: FactsValue): FactsWarning[] {
  const people = new Map(value.directory.people.map((person) => [person.id, person]));
  const purposes = new Set(value.catalogue.purposes.map((purpose) => purpose.id));
  const catalogued = new Set(value.catalogue.entitlements.map(entitlementKey));
  const warnings: FactsWarning[] = [];
  for (const { prefix, owner, backupOwner, team } of value.inventory.fallbackOwners ?? []) {
    for (const person of [owner, backupOwner]) {
      if (person !== undefined && !people.has(person)) warnings.push({ code: 'unknown-person', about: prefix, message: `${person} is not in the directory` });
    }
    if (team !== undefined && !value.directory.teams.some(({ id }) => id === team)) warnings.push({ code: 'unknown-team', about: prefix, message: `${team} is not in the directory` });
  }
  for (const [index, nhi] of withOwners(value).entries()) {
    const entry = value.inventory.nhis[index]!;
    for (const owner of [entry.owner, entry.backupOwner]) {
      if (owner !== undefined && !people.has(owner)) warnings.push({ code: 'unknown-person', about: nhi.id, message: `${owner} is not in the directory` });
    }
    if (![nhi.owner, nhi.backupOwner].some((owner) => owner !== undefined && people.get(owner)?.active === true)) warnings.push({ code: 'no-active-owner', about: nhi.id, message: 'no owner is active: nobody can approve' });
    if (nhi.owner !== undefined && nhi.owner === nhi.backupOwner) warnings.push({ code: 'same-owner-twice', about: nhi.id, message: 'the backup owner is the owner' });
    for (const purpose of nhi.purposes) {
      if (!purposes.has(purpose)) warnings.push({ code: 'unknown-purpose', about: nhi.id, message: `${purpose} is not in the catalogue` });
    }
  }
  for (const purpose of value.catalogue.purposes) {
    for (const need of purpose.needs) {
      if (!catalogued.has(entitlementKey(need))) warnings.push({ code: 'unknown-entitlement', about: purpose.id, message: `needs ${need.privilege} on ${need.connector}/${need.target}, which is not in the catalogue` });
    }
  }
  for (const team of value.directory.teams) {
    for (const person of team.members) {
      if (!people.has(person)) warnings.push({ code: 'unknown-person', about: team.id, message: `${person} is not in the directory` });
    }
  }
  for (const person of value.directory.people) {
    for (const other of person.linked) {
      if (!people.has(other)) warnings.push({ code: 'unknown-person', about: person.id, message: `${other} is not in the directory` });
    }
  }
  for (const one of value.directory.delegations ?? []) {
    for (const person of [one.from, one.to]) {
      if (people.get(person)?.active !== true) warnings.push({ code: 'unknown-person', about: one.from, message: `delegates to ${one.to}, and ${person} is no active person of the directory` });
    }
  }
  for (const { person } of value.directory.away ?? []) {
    if (!people.has(person)) warnings.push({ code: 'unknown-person', about: person, message: `is away, and not in the directory` });
  }
  return [...warnings, ...lintAccounts(value), ...lintCalendar(value), ...lintThirdParties(value), ...lintExceptions(value), ...lintObserve(value)];
}

/** One login of two identities: what is done about one is done to the other, and nobody can tell which of them did what. */
function lintAccounts({ inventory }: FactsValue): FactsWarning[] {
  const holders = new Map<string, string>();
  return inventory.nhis.flatMap(({ id, accounts }) => Object.entries(accounts).flatMap(([connector, account]) => {
    const key = JSON.stringify([connector, account]);
    const other = holders.get(key);
    if (other === undefined) holders.set(key, id);
    return other === undefined ? [] : [{ code: 'account-shared' as const, about: id, message: `${account} at ${connector} is also the account of ${other}` }];
  }));
}

/** A window or freeze for a connector that nobody can ask anything of is for nothing: probably a misspelt name. */
function lintCalendar({ calendar, catalogue, inventory }: FactsValue): FactsWarning[] {
  const connectors = new Set([...catalogue.entitlements.map((entry) => entry.connector), ...inventory.nhis.flatMap(({ accounts }) => Object.keys(accounts))]);
  const warned = (entries: readonly { readonly id: string; readonly connectors?: readonly string[] | undefined }[], what: string): FactsWarning[] =>
    entries.flatMap(({ id, connectors: named = [] }) => named.filter((connector) => !connectors.has(connector)).map((connector) =>
      ({ code: 'unknown-connector', about: id, message: `${what} ${connector}, where nothing is in the catalogue and no identity has an account` })));
  return [...warned(calendar?.windows ?? [], 'opens for nothing at'), ...warned(calendar?.freezes ?? [], 'holds nothing at')];
}

/** Names that are one id: offboarding either organisation would take back what the other holds. */
function lintThirdParties({ inventory }: FactsValue): FactsWarning[] {
  const names = new Map<string, Set<string>>();
  for (const { thirdParty } of inventory.nhis) {
    if (thirdParty === undefined) continue;
    const id = thirdPartyId(thirdParty);
    names.set(id, (names.get(id) ?? new Set()).add(thirdParty));
  }
  return [...names].filter(([, spelt]) => spelt.size > 1).map(([id, spelt]) =>
    ({ code: 'third-party-ambiguous', about: id, message: `is all of ${[...spelt].map((name) => JSON.stringify(name)).join(', ')}` }));
}

/** An exception for nobody, or of nobody, takes nothing away: probably a misspelt id. */
function lintExceptions({ exceptions, inventory, directory }: FactsValue): FactsWarning[] {
  return (exceptions?.exceptions ?? []).flatMap(({ id, subject, owner }): FactsWarning[] => [
    ...(inventory.nhis.some((nhi) => nhi.id === subject) ? [] : [{ code: 'unknown-nhi' as const, about: id, message: `${subject} is not in the inventory, so that it is an exception for nothing` }]),
    ...(directory.people.some((person) => person.id === owner && person.active) ? [] : [{ code: 'unknown-person' as const, about: id, message: `${owner}, who is to approve what it lets through, is no active person of the directory` }]),
  ]);
}

/** A scope of nobody, or for connectors that there are not, holds for nothing: probably a misspelt name. */
function lintObserve({ exceptions, catalogue, directory }: FactsValue): FactsWarning[] {
  const known = new Set(catalogue.entitlements.map(({ connector }) => connector));
  return (exceptions?.observe ?? []).flatMap(({ id, owner, connectors = [] }): FactsWarning[] => [
    ...(directory.people.some((person) => person.id === owner && person.active) ? [] : [{ code: 'unknown-person' as const, about: id, message: `${owner}, who answers for what is under observe, is no active person of the directory` }]),
    ...connectors.filter((connector) => !known.has(connector)).map((connector) => ({ code: 'unknown-connector' as const, about: id, message: `observes nothing at ${connector}, where nothing is in the catalogue` })),
  ]);
}
