/** What policy is asked, composed from a change and the facts. Pure, in a fixed order, and no larger than the question needs. */
import { leaseSecondsOf, systemOf } from '../change/derive.ts';
import type { RecentChanges } from '../change/recent.ts';
import { isRunning } from '../change/extension.ts';
import { approvedBy, stepOf, type ChangeState, type Extension } from '../change/state.ts';
import { freezes, HORIZON_MS, occurrences } from '../facts/calendar.ts';
import { entitlementKey } from '../facts/check.ts';
import { absencesAsked, delegationsAsked, type AbsenceAsked, type DelegationAsked } from '../facts/delegations.ts';
import { exceptionsOf } from '../facts/exceptions.ts';
import type { Facts } from '../facts/facts.ts';
import { observeAsked } from '../facts/observe.ts';
import type { Catalogue, Directory, InventoryFact } from '../facts/schemas.ts';
import { planDigest, type Plan, type TargetState } from '../protocol/plan.ts';
import { callerOf, entitlementsOf, isEmergency, purposeOf, windowOf, type RecordedRequest } from '../protocol/request.ts';
import { durationSeconds, parseTime, type Entitlement } from '../protocol/values.ts';
import type { AcceptInput, ChangeInput, ReconcileInput, VerificationInput } from './policy-input.ts';

/** The part of a change's state that policy is told. */
export interface ChangeAsked {
  readonly changeId: string;
  readonly revision: number;
  readonly request: RecordedRequest;
  /** The caller first, then whoever it acts for. */
  readonly requester: readonly string[];
  /** Of an `extend` that was authorised before. */
  readonly extension?: Extension | null;
}

export interface ChangeQuestion {
  readonly phase: ChangeInput['phase'];
  readonly nowMs: number;
  readonly state: ChangeAsked;
  /** null before it is derived, and where there is nothing to derive it from. */
  readonly plan: Plan | null;
  /** The step that is to be dispatched; null at the request. */
  readonly step: ChangeInput['change']['step'];
  /** What was read at the target; null where it could not be read. */
  readonly before: Pick<TargetState, 'held' | 'touched'> | null;
  /** The account at the connector; null where there is none yet. */
  readonly account: string | null;
  readonly facts: Facts;
  /** How old they are; left out: as long ago as they were loaded before `nowMs`. */
  readonly factsAgeMs?: number;
  readonly connectors: readonly string[];
  /** Those that cover the identity or the connector now. */
  readonly locks: readonly { readonly lockId: string; readonly reason: string }[];
  /** The offboarding that this change is part of, once that was decided and approved; null for any other change. */
  readonly parent: { readonly changeId: string; readonly requester: readonly string[] } | null;
  /** The change whose lease an `extend` is about; null where there is none, and for any other kind. */
  readonly extended: ChangeState | null;
  /** What was asked for before it; left out of questions that are older than the counts. */
  readonly recent?: RecentChanges;
  /** People beside those whom the change itself names. */
  readonly named?: readonly string[];
  /** Whether the lease that is asked about was given under observe. */
  readonly observed?: boolean;
}

const LOCKS_MAX = 64;

/** The input of `access/decide`, and before there is a plan that of `access/schedule`: equal arguments give equal bytes. */
export function buildChangeInput(question: ChangeQuestion): ChangeInput {
  const { before, facts, nowMs, parent, plan, state } = question;
  const { request } = state;
  const nhi = facts.inventory.get(request.subject) ?? null;
  const exceptions = facts.exceptions === null ? null : exceptionsOf(facts.exceptions, request.subject);
  const observe = facts.exceptions?.observe === undefined ? null : observeAsked(facts.exceptions.observe);
  const owners = [nhi?.owner, nhi?.backupOwner, ...[...(exceptions ?? []), ...(observe ?? [])].map(({ owner }) => owner)].filter((owner) => owner !== undefined);
  return {
    v: 1,
    phase: question.phase,
    nowMs,
    change: {
      changeId: state.changeId,
      revision: state.revision,
      kind: request.kind,
      mode: callerOf(request) === null ? 'executor' : 'caller',
      requester: [...state.requester],
      subject: request.subject,
      purpose: purposeOf(request),
      entitlements: entitlementsOf(request),
      leaseSeconds: leaseSecondsOf(request),
      planDigest: plan === null ? null : planDigest(plan),
      system: systemOf(request),
      emergency: isEmergency(request),
      calendar: windowOf(request)?.calendar ?? null,
      window: plannedWindow(plan),
      overlap: overlapOf(question),
      step: question.step === null ? null : { action: question.step.action, number: question.step.number },
      parent: parent === null ? null : { changeId: parent.changeId, requester: [...parent.requester] },
      items: plan?.items?.length ?? null,
      extends: extendsOf(question),
      ...(question.observed === true ? { observed: true } : {}),
    },
    held: before === null ? null : [...before.held].sort(),
    used: usedBy(question),
    ...(question.recent === undefined ? {} : { recent: question.recent }),
    facts: {
      nhi,
      catalogue: cataloguePart(facts, request, before?.held ?? []),
      directory: directoryPart(facts, nowMs, [...state.requester, ...owners, request.subject, ...(parent?.requester ?? []), ...(question.named ?? [])]),
      connectors: [...question.connectors].sort(),
      ageMs: question.factsAgeMs ?? nowMs - facts.loadedAtMs,
      calendar: calendarPart(question, nhi),
      locks: question.locks.map(({ lockId, reason }) => ({ lockId, reason })).sort((a, b) => (a.lockId < b.lockId ? -1 : 1)).slice(0, LOCKS_MAX),
      ...(exceptions === null ? {} : { exceptions }),
      ...(observe === null ? {} : { observe }),
    },
  };
}

/** The input of `access/redecide` about what a change gave, while its lease runs: the question of its request, on other facts. */
export function buildLeaseInput(state: ChangeState, now: Pick<ChangeQuestion, 'nowMs' | 'facts' | 'factsAgeMs' | 'connectors' | 'locks'>): ChangeInput {
  const { plan, before, decision } = state;
  return buildChangeInput({ ...now, phase: 'lease', observed: decision?.observed !== undefined, state, plan, step: null, before, account: plan?.steps[0]?.account ?? null, parent: null, extended: null });
}

/** The input of `workflow/accept` about an approval of the change's plan by `approver`. */
export function buildAcceptInput(state: ChangeState, approver: string, now: Pick<ChangeQuestion, 'nowMs' | 'facts' | 'factsAgeMs' | 'connectors' | 'locks' | 'extended'> & { readonly namedByFloor: boolean }): AcceptInput {
  const { plan, before } = state;
  const approved = [...approvedBy(state, now.nowMs)].sort();
  const asked = buildChangeInput({ ...now, phase: 'request', state, plan, step: null, before, account: plan?.steps[0]?.account ?? null, parent: null, named: [approver, ...approved] });
  return { ...asked, phase: 'approval', approval: { approver, approved, ...(now.namedByFloor ? { namedByFloor: true as const } : {}) } };
}

/** The first authorisation has fixed the end; before it, the end is as it would be now. */
function extendsOf({ extended, nowMs, plan, state }: ChangeQuestion): ChangeInput['change']['extends'] {
  if (extended === null || state.request.kind !== 'extend') return null;
  const { subject } = extended.request;
  const byDurationMs = nowMs + durationSeconds(state.request.duration) * 1000;
  const { endsBy } = state.request;
  return {
    changeId: extended.changeId, subject, purpose: purposeOf(extended.request), entitlements: entitlementsOf(extended.request), running: isRunning(extended, nowMs),
    endsAtMs: extended.lease?.endsAtMs ?? null,
    extendedToMs: state.extension?.endsAtMs ?? Math.min(byDurationMs, endsBy === undefined ? Infinity : parseTime(endsBy)),
    epoch: extended.lease?.epoch ?? 1, nextEpoch: plan?.extends?.epoch ?? null,
  };
}

function plannedWindow(plan: Plan | null): ChangeInput['change']['window'] {
  if (plan?.window === undefined) return null;
  const { calendar, opensAt, closesAt } = plan.window;
  return { calendar, opensAtMs: parseTime(opensAt), closesAtMs: parseTime(closesAt) };
}

function overlapOf({ before, state }: ChangeQuestion): ChangeInput['change']['overlap'] {
  const overlap = state.request.kind === 'rotate' ? before?.touched['overlap'] : null;
  return overlap === 'twin' || overlap === 'none' ? overlap : null;
}

/** Maintenance of the system that is touched, in the identity's environment. */
function calendarPart({ facts, nowMs, state }: ChangeQuestion, nhi: InventoryFact | null): ChangeInput['facts']['calendar'] {
  const system = systemOf(state.request);
  if (facts.calendar === null || system === null) return null;
  const scope = { ...system, environment: nhi?.environment ?? null };
  return { windows: occurrences(facts.calendar, scope, nowMs, HORIZON_MS), freezes: freezes(facts.calendar, scope, nowMs, HORIZON_MS) };
}

/** What the privileges of one target are catalogued to bring with them, sorted: the `conveyed` of `access/verify`. */
export function conveyedBy(privileges: readonly string[], system: { readonly connector: string; readonly target: string }, facts: Facts): string[] {
  const conveyed = facts.catalogue.entitlements
    .filter((entry) => entry.connector === system.connector && entry.target === system.target && privileges.includes(entry.privilege))
    .flatMap((entry) => entry.conveys ?? []);
  return [...new Set(conveyed)].sort();
}

/** The input of `access/verify` about the step that was just carried out; null where nothing was. */
export function buildVerificationInput(state: ChangeState, facts: Facts, nowMs: number): VerificationInput | null {
  const { plan, result, before, after, decision } = state;
  const step = stepOf(state);
  if (plan === null || step === null || result === null) return null;
  const seen = (target: ChangeState['before']): VerificationInput['before'] => ({ exists: target?.exists ?? false, held: target?.held ?? [], touched: target?.touched ?? {} });
  return {
    v: 1, nowMs, kind: plan.kind, action: step.action, seenBy: step.action === 'call' && after === null ? 'selfReported' : 'executor',
    account: step.account, privileges: step.privileges, conveyed: conveyedBy(step.privileges, step, facts),
    verification: decision?.obligations.verification ?? 'readBack', byUse: result.byUse, before: seen(before), after: seen(after),
  };
}

/** The input of `access/reconcile` about what was found. */
export function buildReconcileInput(finding: Omit<ReconcileInput['finding'], 'privileges'> & { readonly privileges: readonly string[] }, facts: Facts, nowMs: number): ReconcileInput {
  const { code, connector, target, account, privileges, nhi, change } = finding;
  return {
    v: 1, nowMs, finding: { code, connector, target, account, privileges: [...privileges], nhi, change },
    facts: { nhi: (nhi === null ? undefined : facts.inventory.get(nhi)) ?? null, catalogue: facts.catalogue },
  };
}

function usedBy(question: ChangeQuestion): ChangeInput['used'] {
  const { usage } = question.facts;
  const connector = (systemOf(question.state.request) ?? entitlementsOf(question.state.request)[0])?.connector;
  if (usage === null || connector === undefined || question.account === null) return null;
  const seen = indexOf(question.facts).usage.get(accountKey(connector, question.account));
  return seen === undefined ? null : { privileges: [...seen].sort(), ageMs: question.nowMs - usage.observedAtMs };
}

/**
 * The purpose, and the entries for what is asked and for what the purpose needs. A change that names no entitlements is about an account:
 * then the entries for what that account holds, under any scope, so that it can be ranked.
 */
function cataloguePart(facts: Facts, request: RecordedRequest, held: readonly string[]): Catalogue {
  const index = indexOf(facts);
  const purpose = index.purposes.get(purposeOf(request));
  const system = 'entitlements' in request ? null : systemOf(request);
  const carried = system === null ? [] : held.flatMap((privilege) => index.atTarget.get(privilegeKey({ ...system, privilege })) ?? []);
  const keys = new Set([...entitlementsOf(request), ...(purpose?.needs ?? []), ...carried].map(entitlementKey));
  const entitlements = [...keys].sort().flatMap((key) => index.entitlements.get(key) ?? []);
  return { v: 1, entitlements, purposes: purpose === undefined ? [] : [purpose] };
}

/** The teams, and everyone who is in one, is named, or is the same person under another id; and who stands in for one of them, now or later. */
function directoryPart(facts: Facts, nowMs: number, named: readonly string[]): ChangeInput['facts']['directory'] {
  const index = indexOf(facts);
  const ids = new Set<string>();
  const include = (id: string): void => {
    if (ids.has(id)) return;
    ids.add(id);
    index.links.get(id)?.forEach(include);
  };
  [...named, ...index.teams.flatMap((team) => team.members)].forEach(include);
  const delegations = index.delegations?.filter(({ from, untilMs }) => nowMs < untilMs && ids.has(from));
  delegations?.forEach(({ to }) => include(to));
  const away = index.away?.filter(({ person, untilMs }) => nowMs < untilMs && ids.has(person));
  const people = [...ids].sort().flatMap((id) => index.people.get(id) ?? []);
  return { v: 1, people, teams: [...index.teams], ...(delegations === undefined ? {} : { delegations }), ...(away === undefined ? {} : { away }) };
}

interface Index {
  readonly entitlements: ReadonlyMap<string, Catalogue['entitlements'][number]>;
  /** Every entry for a privilege at a target, whatever its scope. */
  readonly atTarget: ReadonlyMap<string, readonly Catalogue['entitlements'][number][]>;
  readonly purposes: ReadonlyMap<string, Catalogue['purposes'][number]>;
  readonly people: ReadonlyMap<string, Directory['people'][number]>;
  readonly teams: Directory['teams'];
  /** undefined: none are kept. */
  readonly delegations: readonly DelegationAsked[] | undefined;
  readonly away: readonly AbsenceAsked[] | undefined;
  /** Other ids of the same person, whichever of the two says so. */
  readonly links: ReadonlyMap<string, ReadonlySet<string>>;
  /** Privileges seen in use, by connector and account. */
  readonly usage: ReadonlyMap<string, ReadonlySet<string>>;
}

const accountKey = (connector: string, account: string): string => JSON.stringify([connector, account]);
const privilegeKey = ({ connector, target, privilege }: Entitlement): string => JSON.stringify([connector, target, privilege]);

/** Facts do not change, so each is indexed once, in the order in which policy is told, and the index goes when they go. */
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
  const atTarget = new Map<string, Catalogue['entitlements'][number][]>();
  for (const entry of facts.catalogue.entitlements) atTarget.set(privilegeKey(entry), [...(atTarget.get(privilegeKey(entry)) ?? []), entry]);
  const index: Index = {
    atTarget,
    entitlements: new Map(facts.catalogue.entitlements.map((entry) => [entitlementKey(entry), entry])),
    purposes: new Map(facts.catalogue.purposes.map((purpose) => [purpose.id, purpose])),
    people: new Map(facts.directory.people.map((person) => [person.id, { id: person.id, name: person.name, active: person.active, linked: [...person.linked].sort() }])),
    teams: facts.directory.teams.map((team) => ({ id: team.id, members: [...team.members].sort() })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    delegations: facts.directory.delegations && delegationsAsked(facts.directory.delegations),
    away: facts.directory.away && absencesAsked(facts.directory.away),
    links,
    usage,
  };
  indices.set(facts, index);
  return index;
}
