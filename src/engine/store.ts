/**
 * Every change as the fold of the ledger, and the one way to add to it: decide, append, evolve. No other code writes a record.
 *
 * Sequencing is synchronous, so that two commands never see the same state; durability follows, and nothing may act on a state before
 * {@link Store.durable}. If the log is poisoned, what was sequenced and not durable is only in this memory: the process must be started
 * again, and until then only revokes go out.
 */
import { canonicalBytes, digestOf, type Log, type RecordDraft } from '../../ledger/index.ts';
import { decide, type Command } from '../change/decide.ts';
import type { RejectionCode } from '../change/outcome.ts';
import type { ChangeEvent, NewEvent } from '../change/events.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { isOpen } from '../change/work.ts';
import { withStandIn } from '../evidence/erased.ts';
import { afterReconcileRecord, isReconcileRecordType, NOTHING_RECONCILED, type Reconciled } from '../evidence/reconciled.ts';
import { holdLock } from '../protocol/lock.ts';
import type { Lift, Lock } from './locks.ts';
import { adoptedLogs, eventsOf } from '../evidence/adoption.ts';
import { takesBack } from './reserved.ts';
import { foldRefused, type RefusedOnRecord } from './refused.ts';
import { upcast } from '../evidence/upcast.ts';
import { isChangeEventType, namingExtra, systemDraft, systemRecordBodies, toDraft, type SystemRecordBody, type SystemRecordType } from '../evidence/record.ts';

export type Applied =
  | { readonly ok: true; readonly state: ChangeState; readonly events: readonly NewEvent[] }
  | { readonly ok: false; readonly code: RejectionCode; readonly message: string };

export interface Store {
  get(changeId: string): ChangeState | undefined;
  all(): IterableIterator<ChangeState>;
  /** Changes that something can still happen to. */
  open(): IterableIterator<ChangeState>;
  /** The change that a caller's Idempotency-Key already made. */
  byIdempotencyKey(key: string): ChangeState | undefined;
  /** Ids of the logs whose changes are carried on here: this one, and those that it has adopted. */
  logs(): ReadonlySet<string>;
  lastOf(type: SystemRecordType): Readonly<Record<string, unknown>> | undefined;
  /** The locks that are set and not lifted, oldest first. */
  locks(): readonly Lock[];
  /** What is on record of messages of this executor that were set aside. */
  refusedOf(executor: string): RefusedOnRecord | undefined;
  /** What looking at targets has come to. */
  reconciled(): Reconciled;
  /** Every lock that was ever set, oldest first, and what lifted it. */
  lockHistory(): readonly { readonly lock: Lock; readonly lift: Lift | null }[];
  /**
   * Decides and sequences. Nothing is durable yet.
   * @param extra objects that the body names beyond its attachments
   * @throws LedgerError `unwritable`, or `full` for what does not take back: nothing was added
   */
  apply(changeId: string, command: Command, extra?: readonly Uint8Array[]): Applied;
  /**
   * The same, and what follows from it for another change, in one append: both are on record, or neither. What the other change says no to
   * is left out.
   *
   * @param then what follows, given the first change as it is with `command`
   */
  applyWith(changeId: string, command: Command, extra: readonly Uint8Array[], other: string, then: (first: ChangeState) => Command): Applied;
  /** The same, and a record about the log itself, by the sidecar: both are on record, or neither. */
  applyBeside<T extends SystemRecordType>(changeId: string, command: Command, type: T, body: SystemRecordBody<T>, objects: readonly Uint8Array[]): Applied;
  /**
   * The index of the new record.
   * @param actor who did it; the sidecar itself where nobody is named
   */
  record<T extends SystemRecordType>(type: T, body: SystemRecordBody<T>, objects?: readonly Uint8Array[], actor?: string): number;
  /** Plans and states of these changes, which are over, are no longer in memory where they are among `digests`: as a fold of the ledger would have it. */
  forget(digests: readonly string[], changes: Iterable<string>): void;
  /** Resolves when all that is sequenced now is durable. @throws LedgerError `unwritable` */
  durable(): Promise<void>;
  isDurable(state: ChangeState): boolean;
}

const JUDGED_BY_RECORD: ReadonlySet<Command['type']> = new Set(['approve', 'openWindow']);

/** Events whose record must be under a signed checkpoint before anyone hears of them: receipts are made of these. */
const NEEDS_CHECKPOINT = new Set<string>(['step.authorised', 'discovery.authorised']);

/** Folds the whole log and returns the store. @throws MalformedRecord, LedgerError */
export async function openStore(log: Log, options: { nowMs: () => number; actor: string; changed: (state: ChangeState, events: readonly ChangeEvent[]) => void }): Promise<Store> {
  const changes = new Map<string, ChangeState>();
  const openChanges = new Set<string>();
  const byKey = new Map<string, string>();
  const locks = new Map<string, { readonly lock: Lock; readonly lift: Lift | null }>();
  const system = new Map<SystemRecordType, Readonly<Record<string, unknown>>>();
  const logs = new Set([log.logId]);
  const refused = new Map<string, RefusedOnRecord>();
  let reconciled = NOTHING_RECONCILED;
  let lastAtMs = 0;
  let tail: Promise<void> = Promise.resolve();

  /** Changes whose plan was erased: all are over. Until all is folded they go by what stands in for it. */
  const erasedPlans = new Set<string>();
  const fold = (event: ChangeEvent): ChangeState => {
    const evolved = evolve(changes.get(event.changeId) ?? null, event);
    if (event.type === 'policy.decided' && event.body.phase === 'request' && event.body.planDigest !== null) {
      if (event.attached?.plan === undefined) erasedPlans.add(event.changeId);
      else erasedPlans.delete(event.changeId);
    }
    const next = erasedPlans.has(event.changeId) ? withStandIn(evolved, event) : evolved;
    changes.set(event.changeId, next);
    if (isOpen(next)) openChanges.add(event.changeId);
    else openChanges.delete(event.changeId);
    if (event.type === 'change.requested' && event.body.idempotency !== null) byKey.set(event.body.idempotency.key, event.changeId);
    lastAtMs = Math.max(lastAtMs, event.atMs);
    return next;
  };

  const foldSystem = (type: SystemRecordType, body: Readonly<Record<string, unknown>>, actor: string, atMs: number): void => {
    system.set(type, body);
    lastAtMs = Math.max(lastAtMs, atMs);
    if (type === 'ledger.adopted') for (const adopted of adoptedLogs(systemRecordBodies[type].parse(body))) logs.add(adopted);
    if (type === 'lock.set') {
      const { statement: envelope = null, ...lock } = systemRecordBodies['lock.set'].parse(body);
      locks.set(lock.lockId, { lock: { ...lock, by: actor, atMs, envelope, statement: envelope === null ? null : holdLock(envelope).statement }, lift: null });
    }
    if (type === 'lock.lifted') {
      const { lockId, reason, statement: envelope = null } = systemRecordBodies['lock.lifted'].parse(body);
      const set = locks.get(lockId);
      if (set !== undefined) locks.set(lockId, { ...set, lift: { by: actor, reason, atMs, envelope } });
    }
    if (type === 'messages.refused') {
      const more = systemRecordBodies['messages.refused'].parse(body);
      refused.set(more.executor, foldRefused(refused.get(more.executor), more, atMs));
    }
    if (isReconcileRecordType(type)) reconciled = afterReconcileRecord(reconciled, type, body, atMs);
  };

  for await (const { record } of log.entries(0)) {
    if (isChangeEventType(record.type)) for await (const event of eventsOf(record, (digest) => log.object(digest))) fold(event);
    else foldSystem(record.type as SystemRecordType, upcast(record).body, record.actor, Date.parse(record.at));
  }

  for (const changeId of erasedPlans) changes.set(changeId, { ...changes.get(changeId)!, plan: null });
  erasedPlans.clear();

  /** The wall clock may be set back; records are not. */
  const stamp = (): number => Math.max(options.nowMs(), lastAtMs);
  const append = (drafts: readonly RecordDraft[], objects: readonly Uint8Array[], checkpoint: boolean): readonly { readonly seq: number }[] => {
    const appending = log.append(drafts, { objects, checkpoint, reserved: takesBack(drafts) });
    tail = appending.durable;
    // Whoever needs it awaits `durable()`; a rejection that nobody waits for is in `log.failed`.
    tail.catch(() => undefined);
    return appending.records.map((appended) => ({ seq: appended.seq }));
  };

  interface Draft {
    readonly changeId: string;
    readonly events: readonly NewEvent[];
    readonly extra: readonly Uint8Array[];
  }
  interface Beside {
    readonly type: SystemRecordType;
    readonly body: SystemRecordBody<SystemRecordType>;
    readonly objects: readonly Uint8Array[];
  }
  /** Sequences what was decided, and what is `beside` it, in one append, and folds it. */
  const sequence = (drafts: readonly Draft[], beside: Beside | null = null): void => {
    const atMs = stamp();
    const planned = drafts.flatMap(({ changeId, events, extra }) => events.map((event, index) => ({ changeId, event, ...toDraft(changeId, event, atMs, index === namingExtra(events) ? extra : []) })));
    if (planned.length === 0) return;
    const system = beside === null ? [] : [systemDraft(beside.type, beside.body, options.actor, atMs, beside.objects)];
    const all = [...planned, ...system];
    const appended = append(all.map(({ draft }) => draft), all.flatMap(({ objects }) => objects), all.some(({ draft }) => NEEDS_CHECKPOINT.has(draft.type)));
    const happened = planned.map(({ changeId, event }, index) => ({ ...event, changeId, seq: appended[index]!.seq, atMs }) satisfies ChangeEvent as ChangeEvent);
    for (const event of happened) fold(event);
    if (beside !== null) foldSystem(beside.type, beside.body, options.actor, atMs);
    for (const { changeId } of drafts) {
      const own = happened.filter((event) => event.changeId === changeId);
      if (own.length > 0) options.changed(changes.get(changeId)!, own);
    }
  };

  return {
    get: (changeId) => changes.get(changeId),
    all: () => changes.values(),
    *open() {
      for (const changeId of openChanges) yield changes.get(changeId)!;
    },
    byIdempotencyKey: (key) => {
      const changeId = byKey.get(key);
      return changeId === undefined ? undefined : changes.get(changeId);
    },
    logs: () => logs,
    lastOf: (type) => system.get(type),
    apply(changeId, command, extra = []) {
      // Whether something came in its time is judged by the record's time, which a clock that is set back does not take back.
      const decided = decide(changes.get(changeId) ?? null, command, JUDGED_BY_RECORD.has(command.type) ? stamp() : options.nowMs());
      if (!decided.ok) return decided;
      sequence([{ changeId, events: decided.events, extra }]);
      return { ok: true, state: changes.get(changeId)!, events: decided.events };
    },
    applyWith(changeId, command, extra, other, then) {
      const nowMs = options.nowMs();
      const decided = decide(changes.get(changeId) ?? null, command, nowMs);
      if (!decided.ok) return decided;
      // What the first change will be; its records have no places in the log yet.
      const first = decided.events.reduce<ChangeState | null>((state, event) => evolve(state, { ...event, changeId, seq: -1, atMs: stamp() }), changes.get(changeId) ?? null);
      const follows = first === null ? null : decide(changes.get(other) ?? null, then(first), nowMs);
      sequence([{ changeId, events: decided.events, extra }, { changeId: other, events: follows?.ok === true ? follows.events : [], extra: [] }]);
      return { ok: true, state: changes.get(changeId)!, events: decided.events };
    },
    applyBeside(changeId, command, type, body, objects) {
      const decided = decide(changes.get(changeId) ?? null, command, options.nowMs());
      if (!decided.ok) return decided;
      sequence([{ changeId, events: decided.events, extra: [] }], { type, body, objects });
      return { ok: true, state: changes.get(changeId)!, events: decided.events };
    },
    locks: () => [...locks.values()].filter(({ lift }) => lift === null).map(({ lock }) => lock),
    lockHistory: () => [...locks.values()],
    refusedOf: (executor) => refused.get(executor),
    reconciled: () => reconciled,
    record(type, body, objects = [], actor = options.actor) {
      const atMs = stamp();
      const { draft } = systemDraft(type, body, actor, atMs, objects);
      const [appended] = append([draft], objects, NEEDS_CHECKPOINT.has(type));
      foldSystem(type, body, actor, atMs);
      return appended!.seq;
    },
    forget(digests, changeIds) {
      const isErased = (object: object | null): boolean => object !== null && digests.includes(digestOf(canonicalBytes(object)));
      for (const changeId of changeIds) {
        const state = changes.get(changeId);
        if (state === undefined) continue;
        const { plan, before, after } = state;
        changes.set(changeId, { ...state, plan: isErased(plan) ? null : plan, before: isErased(before) ? null : before, after: isErased(after) ? null : after });
      }
    },
    durable: () => tail,
    isDurable: (state) => state.lastSeq < log.durableSize,
  };
}
