/** What policy is asked, composed from a change and the facts. Pure, in a fixed order, and no larger than the question needs. */
import { entitlementKey } from '../facts/check.ts';
import type { Facts } from '../facts/load.ts';
import type { Catalogue, Directory } from '../facts/schemas.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import { durationSeconds } from '../protocol/values.ts';
import type { ChangeInput, RevokerInput } from './policy-input.ts';

/** The part of a change's state that policy is told. */
export interface ChangeAsked {
  readonly changeId: string;
  readonly revision: number;
  readonly request: ChangeRequest;
  /** The caller first, then whoever it acts for. */
  readonly requester: readonly string[];
}

export interface ChangeQuestion {
  readonly phase: ChangeInput['phase'];
  readonly nowMs: number;
  readonly state: ChangeAsked;
  readonly planDigest: string | null;
  /** What the account holds at the target, as read; null where it could not be read. */
  readonly held: readonly string[] | null;
  /** The account at the connector; null where there is none yet. */
  readonly account: string | null;
  readonly facts: Facts;
  readonly connectors: readonly string[];
}

/** The input of `access/decide`: equal arguments give equal bytes. */
export function buildChangeInput(question: ChangeQuestion): ChangeInput {
  const { facts, nowMs, state } = question;
  const { request } = state;
  const nhi = facts.inventory.get(request.subject) ?? null;
  const named = [...state.requester, ...(nhi === null ? [] : [nhi.owner]), ...(nhi?.backupOwner === undefined ? [] : [nhi.backupOwner])];
  return {
    v: 1,
    phase: question.phase,
    nowMs,
    change: {
      changeId: state.changeId,
      revision: state.revision,
      kind: request.kind,
      requester: [...state.requester],
      subject: request.subject,
      purpose: request.purpose,
      entitlements: request.entitlements,
      leaseSeconds: request.kind === 'revoke' || request.duration === undefined ? null : durationSeconds(request.duration),
      planDigest: question.planDigest,
    },
    held: question.held === null ? null : [...question.held].sort(),
    used: usedBy(question),
    facts: {
      nhi,
      catalogue: cataloguePart(facts, request),
      directory: directoryPart(facts, named),
      connectors: [...question.connectors].sort(),
      ageMs: nowMs - facts.loadedAtMs,
    },
  };
}

/** The input of `access/revoker`. */
export function buildRevokerInput(principal: string, subject: string, facts: Facts): RevokerInput {
  const nhi = facts.inventory.get(subject) ?? null;
  return { v: 1, principal, nhi, directory: directoryPart(facts, [principal, ...(nhi === null ? [] : [nhi.owner]), ...(nhi?.backupOwner === undefined ? [] : [nhi.backupOwner])]) };
}

/** What the privileges of one target are catalogued to bring with them, sorted: the `conveyed` of `access/verify`. */
export function conveyedBy(privileges: readonly string[], system: { readonly connector: string; readonly target: string }, facts: Facts): string[] {
  const conveyed = facts.catalogue.entitlements
    .filter((entry) => entry.connector === system.connector && entry.target === system.target && privileges.includes(entry.privilege))
    .flatMap((entry) => entry.conveys ?? []);
  return [...new Set(conveyed)].sort();
}

function usedBy(question: ChangeQuestion): ChangeInput['used'] {
  const { usage } = question.facts;
  const connector = question.state.request.entitlements[0]?.connector;
  if (usage === null || connector === undefined || question.account === null) return null;
  const seen = indexOf(question.facts).usage.get(accountKey(connector, question.account));
  return seen === undefined ? null : { privileges: [...seen].sort(), ageMs: question.nowMs - usage.observedAtMs };
}

/** The purpose, and the entries for what is asked and for what the purpose needs. */
function cataloguePart(facts: Facts, request: ChangeRequest): Catalogue {
  const index = indexOf(facts);
  const purpose = index.purposes.get(request.purpose);
  const keys = new Set([...request.entitlements, ...(purpose?.needs ?? [])].map(entitlementKey));
  const entitlements = [...keys].sort().flatMap((key) => index.entitlements.get(key) ?? []);
  return { v: 1, entitlements, purposes: purpose === undefined ? [] : [purpose] };
}

/** The teams, and everyone who is in one, is named, or is the same person under another id. */
function directoryPart(facts: Facts, named: readonly string[]): Directory {
  const index = indexOf(facts);
  const teams = facts.directory.teams.map((team) => ({ id: team.id, members: [...team.members].sort() })).sort((a, b) => (a.id < b.id ? -1 : 1));
  const ids = new Set<string>();
  const include = (id: string): void => {
    if (ids.has(id)) return;
    ids.add(id);
    index.links.get(id)?.forEach(include);
  };
  [...named, ...teams.flatMap((team) => team.members)].forEach(include);
  const people = [...ids].sort().flatMap((id) => index.people.get(id) ?? []);
  return { v: 1, people: people.map((person) => ({ ...person, linked: [...person.linked].sort() })), teams };
}

interface Index {
  readonly entitlements: ReadonlyMap<string, Catalogue['entitlements'][number]>;
  readonly purposes: ReadonlyMap<string, Catalogue['purposes'][number]>;
  readonly people: ReadonlyMap<string, Directory['people'][number]>;
  /** Other ids of the same person, whichever of the two says so. */
  readonly links: ReadonlyMap<string, ReadonlySet<string>>;
  /** Privileges seen in use, by connector and account. */
  readonly usage: ReadonlyMap<string, ReadonlySet<string>>;
}

const accountKey = (connector: string, account: string): string => JSON.stringify([connector, account]);

/** Facts do not change, so each is indexed once and the index goes when they go. */
const indices = new WeakMap<Facts, Index>();

function indexOf(facts: Facts): Index {
  const known = indices.get(facts);
  if (known !== undefined) return known;
  const links = new Map<string, Set<string>>();
  const link = (from: string, to: string): void => {
    links.set(from, (links.get(from) ?? new Set()).add(to));
  };
  for (const person of facts.directory.people) {
    for (const other of person.linked) {
      link(person.id, other);
      link(other, person.id);
    }
  }
  const usage = new Map<string, Set<string>>();
  for (const entry of facts.usage?.usage ?? []) {
    const key = accountKey(entry.connector, entry.account);
    usage.set(key, new Set([...(usage.get(key) ?? []), ...entry.privileges]));
  }
  const index: Index = {
    entitlements: new Map(facts.catalogue.entitlements.map((entry) => [entitlementKey(entry), entry])),
    purposes: new Map(facts.catalogue.purposes.map((purpose) => [purpose.id, purpose])),
    people: new Map(facts.directory.people.map((person) => [person.id, person])),
    links,
    usage,
  };
  indices.set(facts, index);
  return index;
}
