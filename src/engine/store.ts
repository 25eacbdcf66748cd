/**
 * Every change as the fold of the ledger, and the one way to add to it: decide, append, evolve. No other code writes a record.
 *
 * Sequencing is synchronous, so that two commands never see the same state; durability follows, and nothing may act on a state before
 * {@link Store.durable}. If the log is poisoned, what was sequenced and not durable is only in this memory: the process must be started
 * again, and until then only revokes go out.
 */
import type { Log, RecordDraft } from '../../ledger/index.ts';
import { isAtRest } from '../change/at-rest.ts';
import type { RecentChanges } from '../change/recent.ts';
import { decide, type Command } from '../change/decide.ts';
import type { Decided, RejectionCode } from '../change/outcome.ts';
import type { ChangeEvent, NewEvent } from '../change/events.ts';
import { evolve, stillGives, type ChangeState } from '../change/state.ts';
import type { Decision } from '../protocol/decision.ts';
import type { Governed } from '../evidence/proposals.ts';
import type { Reconciled } from '../evidence/reconciled.ts';
import { namingExtra, requireReadable, systemDraft, toDraft, type SystemRecordBody, type SystemRecordType } from '../evidence/record.ts';
import type { ChangeIndex } from './change-index.ts';
import { newSalt } from './ids.ts';
import { Fold, type Captured } from './fold.ts';
import type { Lift, Lock } from './locks.ts';
import type { Logger, RandomBytes } from './ports.ts';
import type { RefusedOnRecord } from './refused.ts';
import { keepSnapshots } from './keep-snapshots.ts';
import { takesBack } from './reserved.ts';
import type { StandingApproval } from './standing-approvals.ts';
import { readSnapshot, type FoundSnapshot, type SnapshotPlace } from './snapshot.ts';

export type Applied =
  | { readonly ok: true; readonly state: ChangeState; readonly events: readonly NewEvent[] }
  | { readonly ok: false; readonly code: RejectionCode; readonly message: string; readonly reasons?: Decision['reasons']; /** The change as it was decided on. */ readonly state?: ChangeState };

export interface Store {
  /** The change as it is; undefined for one that is not in the ledger. @throws NotInMemory for one at rest that nobody has loaded of late */
  get(changeId: string): ChangeState | undefined;
  /** The same, and undefined as well for one at rest that nobody has loaded of late. */
  inMemory(changeId: string): ChangeState | undefined;
  /** The change as it is, which {@link get} knows from now on until many others have been loaded; undefined for one that is not in the ledger. @throws LedgerError */
  load(changeId: string): Promise<ChangeState | undefined>;
  /** Those in memory: all that are not at rest, and some that are. */
  all(): IterableIterator<ChangeState>;
  /** Changes that something is due for or awaited of. */
  open(): IterableIterator<ChangeState>;
  /** Where every change is, in memory or not. */
  readonly index: Pick<ChangeIndex, 'has' | 'atRest' | 'newest' | 'knowsSubject' | 'recordsOf' | 'recordsSince' | 'recordsNeeded' | 'epochsOf'>;
  /** Every change of these subjects whose access may still be there. @throws LedgerError */
  giving(subjects: ReadonlySet<string>): Promise<ChangeState[]>;
  /** Every change that can say anything of what is at a target now, with these client tokens there; those not at rest whatever their target. @throws LedgerError */
  concerning(connector: string, target: string, clientTokens: ReadonlySet<string>, fromSeq: number): Promise<ChangeState[]>;
  /** The change that a caller's Idempotency-Key already made. */
  idempotent(key: string): string | undefined;
  /** Ids of the logs whose changes are carried on here: this one, and those that it has adopted. */
  logs(): ReadonlySet<string>;
  /** Seqs of all erasure records, in order. */
  erasures(): readonly number[];
  lastOf(type: SystemRecordType): Readonly<Record<string, unknown>> | undefined;
  /** The locks that are set and not lifted, oldest first. */
  locks(): readonly Lock[];
  /** The standing approval of this id, in force or not; undefined for one that is not on record, or was over when another was given. */
  standing(approvalId: string): StandingApproval | undefined;
  /** All of them, oldest first. */
  standings(): readonly StandingApproval[];
  /** The time that the next record will have (epoch ms), which a clock that is set back takes back none of: by it policy is asked, and what people say is in time or is not. */
  nextAtMs(): number;
  /** What was asked for before the change, up to `atMs`, when it was; before one that there is not yet: `changeId` null. */
  recent(asked: { readonly changeId: string | null; readonly atMs: number; readonly subject: string; readonly requester: readonly string[] }): RecentChanges;
  /** What is on record of messages of this executor that were set aside. */
  refusedOf(executor: string): RefusedOnRecord | undefined;
  /** What looking at targets has come to. */
  reconciled(): Reconciled;
  /** The newest policy bundle that was proposed, and the one that came into force last. */
  governed(): Governed;
  /** Every lock that was ever set, oldest first, and what lifted it. */
  lockHistory(): readonly { readonly lock: Lock; readonly lift: Lift | null }[];
  /**
   * Decides and sequences. Nothing is durable yet.
   * @param extra objects that the body names beyond its attachments
   * @throws LedgerError `unwritable`, or `full` for what does not take back: nothing was added
   */
  apply(changeId: string, command: Command, extra?: readonly Uint8Array[]): Applied;
  /**
   * The same, and what follows from it for other changes, in one append: all are on record, or none. What another change says no to
   * is left out.
   *
   * @param then what follows for each, given the first change as it is with `command`
   */
  applyWith(changeId: string, command: Command, extra: readonly Uint8Array[], others: readonly string[], then: (first: ChangeState) => Command): Applied;
  /** The same, and a record about the log itself, by the sidecar: both are on record, or neither. */
  applyBeside<T extends SystemRecordType>(changeId: string, command: Command, type: T, body: SystemRecordBody<T>, objects: readonly Uint8Array[]): Applied;
  /**
   * The index of the new record.
   * @param actor who did it; the sidecar itself where nobody is named
   */
  record<T extends SystemRecordType>(type: T, body: SystemRecordBody<T>, objects?: readonly Uint8Array[], actor?: string): number;
  /**
   * Plans, states and reasons of these changes whose bytes among `digests` are gone are no longer in memory, nor in any snapshot: as a fold of the
   * ledger would have it. @throws LedgerError, and what the disk says: the next start sees to the snapshots
   */
  forget(digests: ReadonlySet<string>, changes: Iterable<string>): Promise<void>;
  /** Resolves when all that is sequenced now is durable. @throws LedgerError `unwritable` */
  durable(): Promise<void>;
  isDurable(state: ChangeState): boolean;
  /** Keeps a snapshot where that is worth it. Nothing may be sequenced any more. */
  close(): Promise<void>;
  /** All that is known, as a snapshot keeps it: for comparing. */
  capture(): Captured;
}

/** What others hold to their own clocks: whether a caller takes its ticket up in time, and whether a lease still runs, which policy may take back as long as it does. All else is judged by the time of its record, by which it is folded. */
const JUDGED_BY_CLOCK: ReadonlySet<Command['type']> = new Set(['recordReport', 'recordRedecision']);

/** Events whose record must be under a signed checkpoint before anyone hears of them: receipts are made of these. */
const NEEDS_CHECKPOINT = new Set<string>(['step.authorised', 'discovery.authorised']);

export interface StoreOptions {
  readonly nowMs: () => number;
  readonly actor: string;
  readonly random: RandomBytes;
  readonly changed: (state: ChangeState, events: readonly ChangeEvent[]) => void;
  readonly snapshots?: SnapshotPlace | undefined;
  readonly atRestMax?: number | undefined;
  readonly logger?: Pick<Logger, 'info' | 'warn'> | undefined;
}

/** Folds the log, from a snapshot on where there is one that is worth anything, and returns the store. @throws MalformedRecord, LedgerError */
export async function openStore(log: Log, options: StoreOptions): Promise<Store> {
  const { snapshots, logger } = options;
  const found = snapshots === undefined ? null : await readSnapshot(snapshots, log, logger);
  const { fold: state, from, hasErased } = await foldStored(log, options.atRestMax, found);
  const keeper = snapshots === undefined ? null : keepSnapshots(snapshots, log, state, from, logger);
  if (hasErased) await keeper?.drop().catch((error: unknown) => logger?.warn({ error: error instanceof Error ? error.message : String(error) }, 'a snapshot that is older than an erasure could not be removed; none is taken before it is'));
  const { index } = state;
  let tail: Promise<void> = Promise.resolve();

  /** The wall clock may be set back; records are not. */
  const stamp = (): number => Math.max(options.nowMs(), state.lastAtMs);
  const judge = (changeId: string, command: Command): Decided => decide(state.get(changeId) ?? null, command, JUDGED_BY_CLOCK.has(command.type) ? options.nowMs() : stamp());
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
    for (const { events } of drafts) for (const { type, body } of events) requireReadable(type, body);
    if (beside !== null) requireReadable(beside.type, beside.body);
    const atMs = stamp();
    const planned = drafts.flatMap(({ changeId, events, extra }) => events.map((event, index) => ({ changeId, event, ...toDraft(changeId, event, atMs, () => newSalt(options.random), index === namingExtra(events) ? extra : []) })));
    if (planned.length === 0) return;
    const system = beside === null ? [] : [systemDraft(beside.type, beside.body, options.actor, atMs, beside.objects)];
    const all = [...planned, ...system];
    const appended = append(all.map(({ draft }) => draft), all.flatMap(({ objects }) => objects), all.some(({ draft }) => NEEDS_CHECKPOINT.has(draft.type)));
    const happened = planned.map(({ changeId, event }, index) => ({ ...event, changeId, seq: appended[index]!.seq, atMs }) satisfies ChangeEvent as ChangeEvent);
    for (const event of happened) state.event(event);
    if (beside !== null) state.systemRecord(appended.at(-1)!.seq, beside.type, beside.body, options.actor, atMs);
    keeper?.look();
    for (const { changeId } of drafts) {
      const own = happened.filter((event) => event.changeId === changeId);
      if (own.length > 0) options.changed(state.get(changeId)!, own);
    }
  };

  return {
    get: (changeId) => state.get(changeId),
    inMemory: (changeId) => state.inMemory(changeId),
    load: (changeId) => state.load(changeId),
    all: () => state.all(),
    open: () => state.open(),
    index,
    giving: (subjects) => state.together(() => [
      ...[...state.open()].filter(({ request }) => subjects.has(request.subject)).map(({ changeId }) => changeId), ...index.standing(subjects),
    ]).then((states) => states.filter(stillGives)),
    concerning: (connector, target, clientTokens, fromSeq) => state.together(() => [
      ...[...state.all()].filter((one) => !isAtRest(one)).map(({ changeId }) => changeId), ...index.concerning(connector, target, clientTokens, fromSeq),
    ]),
    idempotent: (key) => index.idempotent(key),
    logs: () => state.logs,
    erasures: () => state.erasures,
    lastOf: (type) => state.system.get(type),
    apply(changeId, command, extra = []) {
      const before = state.get(changeId);
      const decided = judge(changeId, command);
      if (!decided.ok) return before === undefined ? decided : { ...decided, state: before };
      sequence([{ changeId, events: decided.events, extra }]);
      return { ok: true, state: state.get(changeId)!, events: decided.events };
    },
    applyWith(changeId, command, extra, others, then) {
      const decided = judge(changeId, command);
      if (!decided.ok) return decided;
      // What the first change will be; its records have no places in the log yet.
      const first = decided.events.reduce<ChangeState | null>((before, event) => evolve(before, { ...event, changeId, seq: -1, atMs: stamp() }), state.get(changeId) ?? null);
      const follows = first === null ? [] : others.map((other): Draft => {
        const answer = judge(other, then(first));
        return { changeId: other, events: answer.ok ? answer.events : [], extra: [] };
      });
      sequence([{ changeId, events: decided.events, extra }, ...follows]);
      return { ok: true, state: state.get(changeId)!, events: decided.events };
    },
    applyBeside(changeId, command, type, body, objects) {
      const decided = judge(changeId, command);
      if (!decided.ok) return decided;
      sequence([{ changeId, events: decided.events, extra: [] }], { type, body, objects });
      return { ok: true, state: state.get(changeId)!, events: decided.events };
    },
    locks: () => [...state.locks.values()].filter(({ lift }) => lift === null).map(({ lock }) => lock),
    lockHistory: () => [...state.locks.values()],
    standing: (approvalId) => state.standing.get(approvalId),
    standings: () => [...state.standing.values()],
    nextAtMs: stamp,
    recent: ({ atMs, changeId, requester, subject }) => state.recent.before((changeId === null ? undefined : index.recordsOf(changeId)[0]) ?? Infinity, atMs, subject, requester),
    refusedOf: (executor) => state.refused.get(executor),
    reconciled: () => state.reconciled,
    governed: () => state.governed,
    record(type, body, objects = [], actor = options.actor) {
      requireReadable(type, body);
      const atMs = stamp();
      const { draft } = systemDraft(type, body, actor, atMs, objects);
      const [appended] = append([draft], objects, NEEDS_CHECKPOINT.has(type));
      state.systemRecord(appended!.seq, type, body, actor, atMs);
      keeper?.look();
      return appended!.seq;
    },
    async forget(digests, changeIds) {
      await state.forget(digests, changeIds);
      await keeper?.drop();
    },
    durable: () => tail,
    isDurable: ({ lastSeq }) => lastSeq < log.durableSize,
    close: async () => keeper?.close(),
    capture: () => state.capture(),
  };
}

/**
 * All that is stored, folded; from a snapshot on only if nothing was erased since, which it may hold.
 * @returns `hasErased`: an erasure was among what was folded, so that any snapshot there is may hold what is erased
 */
async function foldStored(log: Log, atRestMax: number | undefined, from: FoundSnapshot | null): Promise<{ readonly fold: Fold; readonly from: FoundSnapshot | null; readonly hasErased: boolean }> {
  const fold = new Fold(log, { ...(atRestMax === undefined ? {} : { atRestMax }), ...(from === null ? {} : { from }) });
  let hasErased = false;
  for await (const { record } of log.entries(fold.size)) {
    if (record.type === 'erasure') {
      if (from !== null) return foldStored(log, atRestMax, null);
      hasErased = true;
    }
    await fold.record(record);
  }
  await fold.whole();
  return { fold, from, hasErased };
}
