/**
 * What the records of a ledger come to: each change, and what is said of the log itself. The same code folds at a start and while running, and from a
 * snapshot on as from the first record.
 *
 * A change at rest leaves memory when others have been used since: its records are read again when somebody asks for it.
 *
 * While stored records are folded, a plan that was erased is stood in for. Whoever asks afterwards finds none.
 */
import { canonicalBytes, digestOf, type LedgerRecord, type Log } from '../../ledger/index.ts';
import { isAtRest } from '../change/at-rest.ts';
import { Recent, wasInVain, type RecentDump } from '../change/recent.ts';
import type { ChangeEvent } from '../change/events.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { isOpen } from '../change/work.ts';
import { adoptedLogs, eventsOf } from '../evidence/adoption.ts';
import { afterGovernedRecord, NOTHING_GOVERNED, type Governed } from '../evidence/proposals.ts';
import { afterReconcileRecord, isReconcileRecordType, NOTHING_RECONCILED, type Reconciled } from '../evidence/reconciled.ts';
import { isChangeEventType, systemRecordBodies, type SystemRecordType } from '../evidence/record.ts';
import { withStandIn } from '../evidence/erased.ts';
import { upcast } from '../evidence/upcast.ts';
import type { Prose } from '../protocol/disclosure.ts';
import { readStanding } from '../protocol/standing-approval.ts';
import { parseTime } from '../protocol/values.ts';
import { holdLock } from '../protocol/lock.ts';
import { ChangeIndex, isPlanGone, type IndexDump } from './change-index.ts';
import { entriesAt } from './entries-at.ts';
import type { Lift, Lock } from './locks.ts';
import { foldRefused, type RefusedOnRecord } from './refused.ts';
import type { StandingApproval } from './standing-approvals.ts';

/** Changes at rest that stay in memory. */
const AT_REST_MAX = 512;

/** A change at rest that was asked for without {@link Fold.load} before: nothing was done, and the same again is right. */
export class NotInMemory extends Error {
  constructor(changeId: string) {
    super(`${changeId} is at rest and not in memory`);
    this.name = 'NotInMemory';
  }
}

export interface LockAndLift {
  readonly lock: Lock;
  readonly lift: Lift | null;
}

/** All of it, as a snapshot keeps it. */
export interface Captured {
  readonly lastAtMs: number;
  readonly logs: readonly string[];
  readonly system: ReadonlyMap<SystemRecordType, Readonly<Record<string, unknown>>>;
  readonly locks: ReadonlyMap<string, LockAndLift>;
  readonly standing: ReadonlyMap<string, StandingApproval>;
  readonly refused: ReadonlyMap<string, RefusedOnRecord>;
  readonly reconciled: Reconciled;
  readonly governed: Governed;
  readonly index: IndexDump;
  readonly recent: RecentDump;
  /** Seqs of erasure records. */
  readonly erasures: readonly number[];
  /** Every change that is not at rest, but for those whose plan is gone: they are read. */
  readonly live: readonly ChangeState[];
}

export interface FoldOptions {
  readonly atRestMax?: number;
  /** What the first `size` records come to, and their number. */
  readonly from?: { readonly captured: Captured; readonly size: number };
}

export class Fold {
  readonly index: ChangeIndex;
  readonly recent: Recent;
  readonly logs: Set<string>;
  readonly system: Map<SystemRecordType, Readonly<Record<string, unknown>>>;
  readonly locks: Map<string, LockAndLift>;
  readonly standing: Map<string, StandingApproval>;
  readonly refused: Map<string, RefusedOnRecord>;
  readonly erasures: number[];
  reconciled: Reconciled;
  governed: Governed;
  lastAtMs: number;
  /** Records that were folded: those from the first on, without a gap. */
  size: number;
  readonly #log: Pick<Log, 'entries' | 'object' | 'durableSize'>;
  readonly #atRestMax: number;
  /** All that are not at rest, and some that are. */
  readonly #changes = new Map<string, ChangeState>();
  readonly #open = new Set<string>();
  /** Those in memory that are at rest, the one that was used last at the end. */
  readonly #resting = new Set<string>();
  readonly #loading = new Map<string, Promise<ChangeState>>();
  /** Changes in memory with what stands in for their plan; empty once all that is stored is folded. */
  readonly #erasedPlans = new Set<string>();
  #isWhole = false;

  constructor(log: Pick<Log, 'logId' | 'entries' | 'object' | 'durableSize'>, { atRestMax = AT_REST_MAX, from }: FoldOptions = {}) {
    const captured = from?.captured;
    this.#log = log;
    this.#atRestMax = atRestMax;
    this.index = new ChangeIndex(captured?.index);
    this.recent = new Recent(captured?.recent);
    this.logs = new Set(captured?.logs ?? [log.logId]);
    this.system = new Map(captured?.system);
    this.locks = new Map(captured?.locks);
    this.standing = new Map(captured?.standing);
    this.refused = new Map(captured?.refused);
    this.erasures = [...(captured?.erasures ?? [])];
    this.reconciled = captured?.reconciled ?? NOTHING_RECONCILED;
    this.governed = captured?.governed ?? NOTHING_GOVERNED;
    this.lastAtMs = captured?.lastAtMs ?? 0;
    this.size = from?.size ?? 0;
    for (const state of captured?.live ?? []) this.#keep(state);
  }

  /** What {@link FoldOptions.from} takes; what is folded later does not change it. */
  capture(): Captured {
    return {
      lastAtMs: this.lastAtMs, logs: [...this.logs], system: new Map(this.system), locks: new Map(this.locks), standing: new Map(this.standing), refused: new Map(this.refused), reconciled: this.reconciled, governed: this.governed,
      erasures: [...this.erasures], index: this.index.dump(), recent: this.recent.dump(this.lastAtMs), live: [...this.#changes.values()].filter((state) => !this.#resting.has(state.changeId) && !this.#erasedPlans.has(state.changeId) && !isPlanGone(state)),
    };
  }

  /** Folds one more record that is stored. @throws MalformedRecord, LedgerError, RangeError for a version that this build does not know */
  async record(record: LedgerRecord): Promise<void> {
    const { change, type } = record;
    if (change === null || !isChangeEventType(type)) return this.systemRecord(record.seq, type as SystemRecordType, upcast(record).body, record.actor, Date.parse(record.at));
    if (this.index.has(change)) await this.load(change);
    let state = this.#changes.get(change) ?? null;
    for await (const event of eventsOf(record, (digest) => this.#log.object(digest))) {
      state = this.#evolveStored(state, event);
      this.#countUse(event);
      this.lastAtMs = Math.max(this.lastAtMs, event.atMs);
    }
    this.#fold(record.seq, state!);
  }

  /** After an event whose plan may have been erased since. */
  #evolveStored(state: ChangeState | null, event: ChangeEvent): ChangeState {
    const evolved = evolve(state, event);
    if (event.type === 'policy.decided' && event.body.phase === 'request' && event.body.planDigest !== null) {
      if (event.attached?.plan === undefined) this.#erasedPlans.add(event.changeId);
      else this.#erasedPlans.delete(event.changeId);
    }
    return this.#erasedPlans.has(event.changeId) ? withStandIn(evolved, event) : evolved;
  }

  /** All that is stored is folded, and what follows is told by {@link event}: every change that is not at rest is in memory, and nothing stands in for a plan. @throws LedgerError */
  async whole(): Promise<void> {
    for (const changeId of this.index.notAtRest()) await this.load(changeId);
    for (const changeId of this.#erasedPlans) {
      const state = this.#changes.get(changeId);
      if (state !== undefined) this.#changes.set(changeId, { ...state, plan: null });
    }
    this.#erasedPlans.clear();
    this.#isWhole = true;
  }

  /** Folds one more event, whose record is its own. */
  event(event: ChangeEvent): ChangeState {
    const next = evolve(this.get(event.changeId) ?? null, event);
    this.#countUse(event);
    this.lastAtMs = Math.max(this.lastAtMs, event.atMs);
    this.#fold(event.seq, next);
    return next;
  }

  #countUse(event: ChangeEvent): void {
    const one = event.type === 'approval.recorded' && event.body.approval.use !== undefined ? this.standing.get(event.body.approval.approvalId) : undefined;
    if (one !== undefined) this.standing.set(one.approvalId, { ...one, used: one.used + 1 });
  }

  #fold(seq: number, state: ChangeState): void {
    this.size += 1;
    const wasAuthorised = (this.#changes.get(state.changeId)?.firstActAtMs ?? null) !== null;
    if (!this.index.has(state.changeId)) this.recent.asked(seq, state);
    this.index.note(seq, state);
    // Looked up where it is needed: of most records it is not, and all of them are folded at a start.
    const first = (): number => this.index.recordsOf(state.changeId)[0]!;
    if (state.firstActAtMs !== null && !wasAuthorised) this.recent.authorised(first(), state);
    if (wasInVain(state)) this.recent.remove(first(), state);
    this.#keep(state);
    this.#letGo();
  }

  #keep(state: ChangeState): void {
    const { changeId } = state;
    this.#changes.set(changeId, state);
    this.#resting.delete(changeId);
    this.#open.delete(changeId);
    if (isAtRest(state)) this.#resting.add(changeId);
    else if (isOpen(state)) this.#open.add(changeId);
  }

  /** Forgets those at rest that were used longest ago. What is not durable can't be read again. */
  #letGo(): void {
    for (const changeId of this.#resting) {
      if (this.#resting.size <= this.#atRestMax) return;
      if (this.#changes.get(changeId)!.lastSeq >= this.#log.durableSize) continue;
      this.#resting.delete(changeId);
      this.#changes.delete(changeId);
    }
  }

  systemRecord(seq: number, type: SystemRecordType, body: Readonly<Record<string, unknown>>, actor: string, atMs: number): void {
    this.size += 1;
    this.index.skip(seq);
    this.system.set(type, body);
    this.lastAtMs = Math.max(this.lastAtMs, atMs);
    if (type === 'ledger.adopted') for (const adopted of adoptedLogs(systemRecordBodies[type].parse(body))) this.logs.add(adopted);
    if (type === 'erasure') this.erasures.push(seq);
    if (type === 'lock.set') {
      const { statement: envelope = null, ...lock } = systemRecordBodies['lock.set'].parse(body);
      this.locks.set(lock.lockId, { lock: { ...lock, by: actor, atMs, envelope, statement: envelope === null ? null : holdLock(envelope).statement }, lift: null });
    }
    if (type === 'lock.lifted') {
      const { lockId, reason, statement: envelope = null } = systemRecordBodies['lock.lifted'].parse(body);
      const set = this.locks.get(lockId);
      if (set !== undefined) this.locks.set(lockId, { ...set, lift: { by: actor, reason, atMs, envelope } });
    }
    if (type === 'standing.approved') {
      const { approvalId, statement: envelope, proofClass = 'ssh' } = systemRecordBodies[type].parse(body);
      // What is over is given no more, and approves nothing.
      for (const [id, { statement }] of this.standing) if (parseTime(statement.expiresAt) <= atMs) this.standing.delete(id);
      this.standing.set(approvalId, { approvalId, envelope, proofClass, statement: readStanding(envelope), atMs, used: 0, revoked: null });
    }
    if (type === 'standing.revoked') {
      const { approvalId, reason } = systemRecordBodies[type].parse(body);
      const one = this.standing.get(approvalId);
      if (one !== undefined) this.standing.set(approvalId, { ...one, revoked: { by: actor, reason, atMs } });
    }
    if (type === 'messages.refused') {
      const more = systemRecordBodies['messages.refused'].parse(body);
      this.refused.set(more.executor, foldRefused(this.refused.get(more.executor), more, atMs));
    }
    if (isReconcileRecordType(type)) this.reconciled = afterReconcileRecord(this.reconciled, type, body, atMs);
    this.governed = afterGovernedRecord(this.governed, type, body, actor, { atMs, seq });
  }

  /** The change as it is; undefined for one that is not in the ledger. @throws NotInMemory */
  get(changeId: string): ChangeState | undefined {
    const state = this.#changes.get(changeId);
    if (state === undefined && this.index.has(changeId)) throw new NotInMemory(changeId);
    return state;
  }

  inMemory(changeId: string): ChangeState | undefined {
    return this.#changes.get(changeId);
  }

  all(): IterableIterator<ChangeState> {
    return this.#changes.values();
  }

  *open(): Generator<ChangeState> {
    for (const changeId of this.#open) yield this.#changes.get(changeId)!;
  }

  /** The change as it is, in memory from now on until others at rest have been used; undefined for one that is not in the ledger. @throws LedgerError */
  async load(changeId: string): Promise<ChangeState | undefined> {
    const known = this.#changes.get(changeId);
    if (known !== undefined) {
      if (this.#resting.delete(changeId)) this.#resting.add(changeId);
      return known;
    }
    if (!this.index.has(changeId)) return undefined;
    const loading = this.#loading.get(changeId) ?? this.#read(changeId).finally(() => this.#loading.delete(changeId));
    this.#loading.set(changeId, loading);
    return loading;
  }

  async #read(changeId: string): Promise<ChangeState> {
    let state: ChangeState | null = null;
    for await (const { record } of entriesAt(this.#log, this.index.recordsOf(changeId))) {
      for await (const event of eventsOf(record, (digest) => this.#log.object(digest))) state = this.#evolveStored(state, event);
    }
    this.#keep(state!);
    if (this.#isWhole && this.#erasedPlans.delete(changeId)) {
      state = { ...state!, plan: null };
      this.#changes.set(changeId, state);
    }
    this.#letGo();
    return state!;
  }

  /** Plans and states of these changes that are among `digests`, and reasons that are not disclosed any more, are no longer in memory: as a fold of the ledger, where they are erased by now, has it. @throws LedgerError */
  async forget(digests: ReadonlySet<string>, changeIds: Iterable<string>): Promise<void> {
    const isErased = (object: object | null): boolean => object !== null && digests.has(digestOf(canonicalBytes(object)));
    for (const changeId of changeIds) {
      // It may have been read before the bytes were gone.
      await this.#loading.get(changeId)?.catch(() => undefined);
      const told = await this.#reasonsOf(changeId);
      const state = await this.load(changeId);
      if (state === undefined) continue;
      const { plan, before, after, request, idempotency } = state;
      const left: ChangeState = {
        ...state, plan: isErased(plan) ? null : plan, before: isErased(before) ? null : before, after: isErased(after) ? null : after,
        request: told.latest === null || told.latest.revision !== state.revision ? request : { ...request, reason: told.latest.reason },
        idempotency: told.first === null || idempotency === null ? idempotency : { ...idempotency, reason: told.first },
      };
      if (this.#changes.get(changeId) === state) this.#changes.set(changeId, left);
      this.index.forget(left);
    }
  }

  /** As far as the change is durable: the reason of its first request and of its latest, as they are disclosed now. */
  async #reasonsOf(changeId: string): Promise<{ readonly first: Prose | null; readonly latest: { readonly revision: number; readonly reason: Prose } | null }> {
    let first: Prose | null = null;
    let latest: { readonly revision: number; readonly reason: Prose } | null = null;
    for await (const { record } of entriesAt(this.#log, this.index.recordsOf(changeId))) {
      for await (const event of eventsOf(record, (digest) => this.#log.object(digest))) {
        if (event.type === 'change.requested') [first, latest] = [event.body.request.reason, { revision: 1, reason: event.body.request.reason }];
        if (event.type === 'change.revised') latest = { revision: event.body.revision, reason: event.body.request.reason };
      }
    }
    return { first, latest };
  }

  /** Those of these changes that are in the ledger, all as they are at one moment. @throws LedgerError */
  async together(idsNow: () => readonly string[]): Promise<ChangeState[]> {
    const read = new Map<string, ChangeState>();
    for (;;) {
      const ids = idsNow().filter((changeId) => this.index.has(changeId));
      const isNews = (changeId: string): boolean => this.#changes.get(changeId) === undefined && read.get(changeId)?.lastSeq !== this.index.recordsOf(changeId).at(-1);
      const missing = ids.filter(isNews);
      if (missing.length === 0) return ids.map((changeId) => this.#changes.get(changeId) ?? read.get(changeId)!);
      for (const changeId of missing) {
        const state = await this.load(changeId);
        if (state !== undefined) read.set(changeId, state);
      }
    }
  }
}

/** Every change of a log, at rest or not, as the whole of it says. For looking at a log, not for running on it. @throws MalformedRecord, LedgerError */
export async function foldChanges(log: Pick<Log, 'logId' | 'entries' | 'object' | 'durableSize'>): Promise<ReadonlyMap<string, ChangeState>> {
  const fold = new Fold(log, { atRestMax: Infinity });
  for await (const { record } of log.entries(0)) await fold.record(record);
  await fold.whole();
  return new Map([...fold.all()].map((state) => [state.changeId, state]));
}
