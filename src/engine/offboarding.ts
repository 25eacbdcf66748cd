/** Offboarding: everything that an identity, an owner or a third party holds, found in the facts and the ledger, and taken back item by item. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { FINAL_STATES, stillGives, type ChangeState, type ItemState } from '../change/state.ts';
import type { Facts } from '../facts/load.ts';
import type { InventoryFact } from '../facts/schemas.ts';
import type { OffboardItem } from '../protocol/plan.ts';
import { requestDigest, type ChangeRequest } from '../protocol/request.ts';
import { thirdPartyId } from '../protocol/values.ts';
import { revokeNow } from './early.ts';
import type { EngineContext } from './engine.ts';
import { newChangeId } from './ids.ts';
import type { Outcome } from './perform.ts';
import type { Store } from './store.ts';

/** How long after its start an item is open, with an owner, if it is not gone. */
const OPEN_AFTER_MS = 30_000;
/** How long a child that came to nothing rests before the item is tried again: twice as long each time, since each try is a change with records of its own. */
const RETRY_MS = { first: 300_000, longest: 21_600_000 };

/** As many as a plan holds. */
export const ITEMS_MAX = 512;

/** The offboarding at work that takes from this identity; null where none is. Nothing is gained while it is. */
export function offboardingOf(store: Pick<Store, 'open'>, subject: string): string | null {
  for (const state of store.open()) {
    if (state.plan?.kind === 'offboard' && state.name === 'executing' && state.plan.items?.some(({ nhi }) => nhi === subject) === true) return state.changeId;
  }
  return null;
}

/** What is to be taken back, in the order in which it is: leases first, then accounts, each before those whose consumer it is. */
export async function findItems(subject: string, facts: Facts, store: Pick<Store, 'giving'>): Promise<OffboardItem[]> {
  const nhis = consumersFirst([...facts.inventory.values()].filter((nhi) => isOf(nhi, subject)));
  const ids = new Set(nhis.map(({ id }) => id));
  const leases = notSuperseded(await store.giving(ids))
    .map((state): OffboardItem => ({ kind: 'lease', nhi: state.request.subject, change: state.changeId }))
    .sort((a, b) => (canonicalKey(a) < canonicalKey(b) ? -1 : 1));
  const accounts = nhis.flatMap((nhi) => Object.keys(nhi.accounts).sort().flatMap((connector) =>
    targetsOf(connector, facts).map((target): OffboardItem => ({ kind: 'account', nhi: nhi.id, connector, target, account: nhi.accounts[connector]! }))));
  return [...leases, ...accounts];
}

/** Of the rotations of one account the last is the one whose login is in use: those before it were retired by it. */
function notSuperseded(states: readonly ChangeState[]): ChangeState[] {
  const last = new Map<string, string>();
  const keyOf = ({ plan, name }: ChangeState): string | null => (plan?.kind === 'rotate' && name === 'done' ? `${plan.subject} ${plan.connector} ${plan.target}` : null);
  for (const state of states) {
    const key = keyOf(state);
    if (key !== null && state.changeId > (last.get(key) ?? '')) last.set(key, state.changeId);
  }
  return states.filter((state) => {
    const key = keyOf(state);
    return key === null || last.get(key) === state.changeId;
  });
}

/** A rotation from before the offboarding that was not listed, its login having been retired by a later one: to take that back would find another's login there, or none. */
function wasSuperseded({ plan, name, firstActAtMs }: ChangeState, offboarding: ChangeState): boolean {
  return plan?.kind === 'rotate' && name === 'done' && (firstActAtMs ?? Infinity) < offboarding.requestedAtMs;
}

const canonicalKey = (item: OffboardItem): string => (item.kind === 'lease' ? item.change : `${item.connector} ${item.target} ${item.account}`);

/** Whoever merely stands in for an owner takes nothing along: it was never theirs. */
function isOf(nhi: InventoryFact, subject: string): boolean {
  return nhi.id === subject || (nhi.owner === subject && nhi.ownerIsFallback !== true) || (nhi.thirdParty !== undefined && thirdPartyId(nhi.thirdParty) === subject);
}

/** What uses another identity's credential goes before it, so that nothing is cut off that is still in use by something that stays a moment longer. */
function consumersFirst(nhis: readonly InventoryFact[]): InventoryFact[] {
  const byId = new Map(nhis.map((nhi) => [nhi.id, nhi]));
  const ordered = new Map<string, InventoryFact>();
  const visiting = new Set<string>();
  const visit = (nhi: InventoryFact): void => {
    if (ordered.has(nhi.id) || visiting.has(nhi.id)) return;
    visiting.add(nhi.id);
    for (const consumer of [...nhi.consumers].sort()) {
      const found = byId.get(consumer);
      if (found !== undefined) visit(found);
    }
    ordered.set(nhi.id, nhi);
  };
  [...nhis].sort((a, b) => (a.id < b.id ? -1 : 1)).forEach(visit);
  return [...ordered.values()];
}

/** The targets that the catalogue knows at the connector; `-` where it knows none: the item is then open, and not forgotten. */
function targetsOf(connector: string, facts: Facts): string[] {
  const targets = new Set(facts.catalogue.entitlements.filter((entry) => entry.connector === connector).map(({ target }) => target));
  return targets.size === 0 ? ['-'] : [...targets].sort();
}

/** Does what is due for the items. @throws LedgerError: the same is due again */
export async function workThroughItems(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const items = state.plan?.items ?? [];
  let moved = await stopWhatIsComing(context, state, new Set(items.map(({ nhi }) => nhi)));
  for (const [number, item] of items.entries()) {
    const known = (await context.store.load(state.changeId))!.items.get(number);
    if (known?.outcome === 'gone') continue;
    if (item.kind === 'account' && (await isHeldUp(context, state, items, number))) break;
    const did = known === undefined ? await start(context, state, number, item, 0) : await look(context, state, number, item, known);
    moved ||= did;
  }
  return moved ? 'done' : 'waiting';
}

/** What these identities had asked for is not given any more, and what came to be given since the items were listed is taken back as well. */
async function stopWhatIsComing(context: EngineContext, offboarding: ChangeState, nhis: ReadonlySet<string>): Promise<boolean> {
  const { store } = context;
  let moved = false;
  const listed = new Set((offboarding.plan?.items ?? []).flatMap((item) => (item.kind === 'lease' ? [item.change] : [])));
  const giving = await store.giving(nhis);
  for (const state of new Map([...giving, ...store.open()].map((one) => [one.changeId, one])).values()) {
    if (!nhis.has(state.request.subject) || !['provision', 'grant', 'rotate'].includes(state.request.kind)) continue;
    const comment = `offboarding ${offboarding.changeId}`;
    if (state.act === null) {
      const applied = store.apply(state.changeId, { type: 'withdraw', by: offboarding.requester[0]!, comment, isResponder: true });
      moved ||= applied.ok && applied.events.length > 0;
    } else if (!listed.has(state.changeId) && stillGives(state) && !wasSuperseded(state, offboarding) && state.revokes.length === 0) {
      await revokeNow(context, state, offboarding.requester[0]!, comment);
      moved = true;
    }
  }
  await store.durable();
  return moved;
}

/** An account waits for what comes before it, but not for ever: what is open by then has an owner. */
async function isHeldUp(context: EngineContext, state: ChangeState, items: readonly OffboardItem[], number: number): Promise<boolean> {
  const latest = (await context.store.load(state.changeId))!;
  return items.slice(0, number).some((_, n) => (latest.items.get(n)?.outcome ?? null) === null);
}

async function start(context: EngineContext, state: ChangeState, number: number, item: OffboardItem, attempt: number): Promise<boolean> {
  const { store } = context;
  const by = state.requester[0]!;
  if (item.kind === 'lease') {
    record(context, state, { type: 'startItem', by: context.self, item: number, change: item.change });
    await store.durable();
    const lease = await store.load(item.change);
    if (lease !== undefined && lease.ended === null) await revokeNow(context, lease, by, `offboarding ${state.changeId}`);
    return true;
  }
  const request: ChangeRequest = { kind: 'disable', subject: item.nhi, connector: item.connector, target: item.target, reason: `offboarding of ${state.request.subject}` };
  // The key ties the child to its item: after a crash in between, the same child is found again.
  const key = digestOf(canonicalBytes({ offboarding: state.changeId, item: number, attempt }));
  const child = store.idempotent(key) ?? newChangeId(context.log.logId, context.clock.nowMs(), context.random);
  if (!store.index.has(child)) {
    store.apply(child, { type: 'request', by, request, requester: state.requester, idempotency: { key, request: requestDigest(request) }, parent: state.changeId });
  }
  record(context, state, { type: 'startItem', by: context.self, item: number, change: child });
  await store.durable();
  return true;
}

async function look(context: EngineContext, state: ChangeState, number: number, item: OffboardItem, known: ItemState): Promise<boolean> {
  const { store, clock } = context;
  const child = await store.load(known.change);
  const owner = context.facts().inventory.get(item.nhi)?.owner ?? null;
  const settle = async (outcome: 'gone' | 'open', detail: string): Promise<boolean> => {
    const before = (await store.load(state.changeId))!.length;
    record(context, state, { type: 'settleItem', by: context.self, item: number, outcome, owner: outcome === 'gone' ? null : owner, detail });
    await store.durable();
    return (await store.load(state.changeId))!.length !== before;
  };
  if (child === undefined) return settle('open', 'the change that was to take it back is not in this ledger');
  if (isGone(item, child)) return settle('gone', item.kind === 'lease' ? 'the access is gone' : 'the account is shut out');
  if (item.kind === 'lease' && child.revokes.length === 0 && !FINAL_STATES.has(child.name)) {
    await revokeNow(context, child, state.requester[0]!, `offboarding ${state.changeId}`);
    return true;
  }
  const over = FINAL_STATES.has(child.name);
  if (over && item.kind === 'account' && clock.nowMs() >= child.lastAtMs + retryAfterMs(known.attempts)) return start(context, state, number, item, known.attempts);
  const sinceMs = item.kind === 'account' ? child.requestedAtMs : state.firstActAtMs ?? state.requestedAtMs;
  if (!over && clock.nowMs() < sinceMs + OPEN_AFTER_MS) return false;
  return settle('open', `${child.changeId} is ${child.name}${child.decision?.effect === 'deny' ? `: ${child.decision.reasons[0]?.message ?? ''}` : ''}`.slice(0, 500));
}

/** @param attempts how often the item was begun */
export function retryAfterMs(attempts: number): number {
  return Math.min(RETRY_MS.first * 2 ** Math.min(attempts - 1, 16), RETRY_MS.longest);
}

/** The account that a child is to shut out: as it was listed and approved, whatever the facts name by now. Its parent was loaded. @throws NotInMemory */
export function accountOfItem(store: Pick<Store, 'get'>, child: ChangeState): string | undefined {
  const { request } = child;
  const items = child.parent === null ? [] : (store.get(child.parent)?.plan?.items ?? []);
  const item = items.find((one) => one.kind === 'account' && request.kind === 'disable' && one.nhi === request.subject && one.connector === request.connector && one.target === request.target);
  return item?.kind === 'account' ? item.account : undefined;
}

function isGone(item: OffboardItem, child: ChangeState): boolean {
  if (item.kind === 'lease') return !stillGives(child);
  const { request, plan } = child;
  const isOfItem = request.kind === 'disable' && request.subject === item.nhi && request.connector === item.connector && request.target === item.target;
  return child.name === 'done' && isOfItem && plan?.steps[0]?.account === item.account;
}

function record(context: EngineContext, state: ChangeState, command: Parameters<Store['apply']>[1]): void {
  const applied = context.store.apply(state.changeId, command);
  if (!applied.ok) context.logger.info({ changeId: state.changeId, command: command.type, code: applied.code }, 'overtaken');
}
