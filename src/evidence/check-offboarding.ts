/**
 * Checks of offboardings: each item is about something in this ledger, is taken back by a change that is part of the case, and is called
 * gone only once it is. Of changes that are closed only what an open offboarding may still name is remembered.
 */
import { systemOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { FINAL_STATES, mayHaveGiven, stillGives, type ChangeState } from '../change/state.ts';
import type { OffboardItem, Plan } from '../protocol/plan.ts';
import { isClosed, type Audited } from './audited.ts';
import { openCaseMemory } from './case-memory.ts';
import { checkApproved } from './check-decision.ts';
import { same } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

export interface Cases {
  /** A change that says it is part of an offboarding. */
  checkChild(event: Of<'change.requested'>): Fault | null;
  /** What the plan of an offboarding lists. */
  checkItems(changeId: string, plan: Plan): Fault | null;
  checkStarted(audited: Audited, event: Of<'item.started'>): Fault | null;
  checkSettled(audited: Audited, event: Of<'item.settled'>): Fault | null;
  /** An offboarding that is at work and lists something of this identity; null where none is. */
  takingFrom(subject: string): string | null;
  /** To be told of every change after each of its records. */
  follow(after: Audited): void;
}

/** Kinds of change that leave behind what an item can name. */
const GAINING: ReadonlySet<string> = new Set(['provision', 'grant', 'rotate']);

/** What is known of a change that an item may name. */
interface Known {
  readonly kind: string;
  readonly subject: string;
  readonly parent: string | null;
  readonly system: ReturnType<typeof systemOf>;
  /** What its step was about; null before it had a ticket. */
  readonly account: string | null;
  readonly isOver: boolean;
  readonly isGone: boolean;
}

/** @param open the changes that are not closed, as they are now */
export function openCases(open: ReadonlyMap<string, Audited>): Cases {
  const memory = openCaseMemory<Known>();
  /** Changes by whose access an offboarding is not over, by subject. */
  const standing = new Map<string, Set<string>>();
  const standsFor = new Map<string, string>();
  /** Offboardings at work, by whom they take from; and of each those that it is listed under. */
  const taking = new Map<string, Set<string>>();
  const takenFrom = new Map<string, { readonly items: Plan['items']; readonly nhis: ReadonlySet<string> }>();

  const lookUp = (changeId: string): Known | null => {
    const audited = open.get(changeId);
    return audited === undefined ? memory.find(changeId) : knownOf(audited);
  };
  const follow = (after: Audited): void => {
    const { changeId, request } = after.state;
    const isOver = isClosed(after);
    followStanding(changeId, !isOver && standsIn(open.get(changeId) ?? after) ? request.subject : null);
    if (request.kind !== 'offboard') {
      if (isOver) memory.closed(changeId, knownOf(after));
      return;
    }
    if (isOver) memory.ended(changeId);
    else memory.opened(changeId, listedIn(after));
    followTaking(changeId, isOver ? null : (open.get(changeId) ?? after).state);
  };
  const followStanding = (changeId: string, subject: string | null): void => {
    const before = standsFor.get(changeId) ?? null;
    if (before === subject) return;
    move(standing, changeId, before === null ? [] : [before], subject === null ? [] : [subject]);
    if (subject === null) standsFor.delete(changeId);
    else standsFor.set(changeId, subject);
  };
  const followTaking = (caseId: string, state: ChangeState | null): void => {
    const items = state?.name === 'executing' ? state.plan?.items : undefined;
    const before = takenFrom.get(caseId);
    if (before?.items === items) return;
    const nhis = new Set((items ?? []).map(({ nhi }) => nhi));
    move(taking, caseId, before?.nhis ?? [], nhis);
    if (items === undefined) takenFrom.delete(caseId);
    else takenFrom.set(caseId, { items, nhis });
  };

  /** With its last item the case is closed: whatever else those it is about were given and still hold has been ordered back by then. */
  const checkLeftOut = ({ state }: Audited, last: number): Fault | null => {
    const items = state.plan?.items ?? [];
    if (!items.every((_, n) => n === last || state.items.get(n)?.outcome === 'gone')) return null;
    for (const nhi of new Set(items.map((item) => item.nhi))) {
      for (const other of standing.get(nhi) ?? []) return fault('item-missing', `an offboarding is said to be over, and nobody has ordered back what ${other} gave ${nhi}`);
    }
    return null;
  };

  return {
    follow,
    checkChild({ body: { parent: caseId, request, requester } }) {
      if (caseId === undefined) return null;
      const parent = open.get(caseId);
      if (parent?.state.request.kind !== 'offboard' || parent.state.name !== 'executing') return fault('parent-mismatch', `a change that is part of ${caseId}, which is no offboarding that had been decided`);
      if (!same(requester, parent.state.requester)) return fault('parent-mismatch', 'a part of an offboarding that somebody else asked for');
      const system = systemOf(request);
      const listed = parent.planErased || (parent.state.plan?.items ?? []).some((item) => isAccountOf(item, request.subject, system));
      // Whoever offboards does not shut out by their own word: an executor does it, and is believed by its signature.
      return request.kind === 'disable' && request.caller === undefined && listed ? null : fault('parent-mismatch', 'a part of an offboarding that lists no such account');
    },
    checkItems(changeId, { items = [], subject }) {
      const firstAccount = items.findIndex(({ kind }) => kind === 'account');
      if (firstAccount !== -1 && items.slice(firstAccount).some(({ kind }) => kind === 'lease')) return fault('item-mismatch', 'an offboarding shuts accounts out before it takes leases back');
      for (const item of items) {
        if (subject.startsWith('nhi:') && item.nhi !== subject) return fault('item-mismatch', `an offboarding of ${subject} lists what ${item.nhi} holds`);
        if (item.kind !== 'lease') continue;
        const known = lookUp(item.change);
        if (item.change === changeId || known?.subject !== item.nhi || !GAINING.has(known.kind)) return fault('item-mismatch', `an offboarding lists ${item.change}, which is no change of ${item.nhi} in this ledger`);
      }
      return null;
    },
    checkStarted(audited, { body, atMs }) {
      const { state, planErased } = audited;
      const unapproved = state.items.size > 0 ? null : checkApproved(audited, state.firstActAtMs ?? atMs, null, null);
      if (unapproved !== null) return unapproved;
      const known = lookUp(body.change);
      if (known === null) return fault('item-mismatch', `an item is to be taken back by ${body.change}, which is not in this ledger`);
      const earlier = state.items.get(body.item);
      if (earlier !== undefined && lookUp(earlier.change)?.isOver === false) return fault('item-mismatch', `an item is begun again while ${earlier.change} is still taking it back`);
      if (planErased) return null;
      const { items = [] } = state.plan ?? {};
      const item = items[body.item];
      const isEarly = item?.kind === 'account' && items.slice(0, body.item).some((_, n) => (state.items.get(n)?.outcome ?? null) === null);
      if (isEarly) return fault('item-mismatch', 'an account was to be shut out before it was known what became of what comes before it');
      return item !== undefined && fits(item, body.change, known, state) ? null : fault('item-mismatch', `an item is to be taken back by ${body.change}, which is about something else`);
    },
    checkSettled(audited, { body }) {
      const { state, planErased } = audited;
      const item = state.plan?.items?.[body.item];
      if (item === undefined) return fault('item-mismatch', `the offboarding has no item ${body.item}`);
      if (body.outcome === 'open') return null;
      const changeId = state.items.get(body.item)?.change ?? (item.kind === 'lease' ? item.change : null);
      const known = changeId === null ? null : lookUp(changeId);
      // Without the plan, what a closed change was about cannot be told, only that it was one.
      if (planErased && known === null) return null;
      if (known?.isGone !== true) return fault('item-not-gone', `an item is said to be gone, and ${changeId ?? 'no change'} had not taken it back`);
      if (!planErased && item.kind === 'account' && known.account !== item.account) return fault('item-not-gone', `account ${item.account} is said to be gone, and ${changeId} shut out ${known.account ?? 'none'}`);
      return planErased ? null : checkLeftOut(audited, body.item);
    },
    takingFrom(subject) {
      for (const caseId of taking.get(subject) ?? []) return caseId;
      return null;
    },
  };
}

/** Puts `id` under other keys than it was under. */
function move(index: Map<string, Set<string>>, id: string, from: Iterable<string>, to: Iterable<string>): void {
  for (const key of from) {
    const those = index.get(key);
    those?.delete(id);
    if (those?.size === 0) index.delete(key);
  }
  for (const key of to) index.set(key, (index.get(key) ?? new Set()).add(id));
}

/** Whether it holds something that nobody has ordered back. */
function standsIn({ state, withoutEffect }: Audited): boolean {
  return state.lease !== null && stillGives(state) && !withoutEffect && state.revokes.length === 0;
}

/** The leases that its plan lists; none where the plan was erased; null while there is no plan. */
function listedIn({ state, planErased }: Audited): ReadonlySet<string> | null {
  if (planErased) return new Set();
  return state.plan === null ? null : new Set((state.plan.items ?? []).flatMap((item) => (item.kind === 'lease' ? [item.change] : [])));
}

function knownOf(audited: Audited): Known {
  const { state } = audited;
  const isOver = isClosed(audited) || FINAL_STATES.has(state.name);
  const isGone = state.request.kind === 'disable' ? state.name === 'done' : state.ended !== null || isClosed(audited) || (isOver && !mayHaveGiven(state));
  const { request, parent } = state;
  return { kind: request.kind, subject: request.subject, parent, system: systemOf(request), account: audited.ticket?.step.account ?? null, isOver, isGone };
}

function fits(item: OffboardItem, changeId: string, known: Known, { changeId: caseId }: ChangeState): boolean {
  if (item.kind === 'lease') return item.change === changeId && known.subject === item.nhi;
  return known.parent === caseId && known.kind === 'disable' && isAccountOf(item, known.subject, known.system);
}

function isAccountOf(item: OffboardItem, subject: string, system: ReturnType<typeof systemOf>): boolean {
  return item.kind === 'account' && item.nhi === subject && item.connector === system?.connector && item.target === system.target;
}
