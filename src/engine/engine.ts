/**
 * decide → record → act.
 *
 * Commands from people and callers come in by {@link Engine}; everything else is driven by the state of each change: `nextWork` says what
 * is due, `perform` does it, its outcome is recorded, and that is the next state. There is no other memory than the ledger; what this
 * module keeps beside it (what was published a moment ago, timers) may be lost at any time.
 */
import { canonicalBytes, canonicalText, digestOf, type Log, type Signer } from '../../ledger/index.ts';
import type { RejectionCode } from '../change/outcome.ts';
import type { ChangeEvent, Channel, EventBody } from '../change/events.ts';
import { stillGives, type ChangeState } from '../change/state.ts';
import type { WorkLimits } from '../change/work.ts';
import type { BundleProposal } from '../evidence/proposals.ts';
import type { Reconciled } from '../evidence/reconciled.ts';
import type { Facts } from '../facts/load.ts';
import { mayConfirm, mayLock, mayRevoke } from '../identity/authority.ts';
import type { Pdp } from '../pdp/engine.ts';
import type { Decision, ProofClass } from '../protocol/decision.ts';
import type { DiscoveredPage } from '../protocol/discovery.ts';
import type { ReportMessage, StepEnvelope } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Reduction } from '../protocol/reduction.ts';
import { callerOf, requestDigest, type ChangeRequest } from '../protocol/request.ts';
import type { ApprovalStatement, Dsse } from '../protocol/signed.ts';
import type { ActivationFloor } from '../protocol/trust.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { Authentication } from '../protocol/authentication.ts';
import type { Refused } from '../protocol/worker-state.ts';
import { unsaidStatement, useOf, type Breach, type UnsaidStatement } from './breaking-glass.ts';
import { approvalOf, otherIdsOf, passkeysFor, proofDemanded, statementOf, type OwnProof } from './approving.ts';
import { receiveCallerReport, ticketForCaller } from './caller.ts';
import { acceptApproval } from './accepting.ts';
import { activate, holdForward, mayNotActivate, recordBundle } from './bundles.ts';
import { activationFloors, approversOf, decideProposal, holdUnapproved, permissionFor, proposalStatus, propose, statementOnProposal, waitingOf, type ProposalDecided, type ProposalStatus } from './proposals.ts';
import { sweepSpent } from './clearing.ts';
import { createDiscoveries, type Discoveries } from './discoveries.ts';
import { revokeNow } from './early.ts';
import { createEraser, erasedUnder, type Eraser } from './erasing.ts';
import { evaluateRequest, type Evaluation } from './evaluate.ts';
import { createExecutorHeads, type ExecutorHeads } from './executor-heads.ts';
import { reviewersNow } from './glass-reviewers.ts';
import { newChangeId, newLockId } from './ids.ts';
import { turnedAway } from './extending.ts';
import { enforceLocks, type Lock } from './locks.ts';
import { isOurs, liftOf, spreadLocks } from './lock-spread.ts';
import type { Clock, DeliveryStore, LedgerCopy, LockBoard, Logger, Outbox, RandomBytes, Transport, Witnesses } from './ports.ts';
import { createReconciler, pagesOf, type Reconciliation } from './reconcile.ts';
import { createRedecider, type HeldRevokes, type Redecider, type RedecisionOptions } from './redeciding.ts';
import { reviewAsked, reviewOf, type AskedReview, type Reviewing } from './reviewing-glass.ts';
import { keepFilled } from './refill.ts';
import { countRefused } from './refused.ts';
import { receiveReport } from './reports.ts';
import { startRunner, type Runner } from './runner.ts';
import type { SnapshotPlace } from './snapshot.ts';
import { giveStanding, mayUseStanding, revokeStanding, type Giving, type StandingApproval } from './standing-approvals.ts';
import { openStore, type Store } from './store.ts';
import { rememberTurnedAway, type TurnedAway } from './turned-away.ts';
import { waitingFor } from './waiting.ts';
import type { RecentTraces } from '../tracing/recent.ts';
import type { TraceContext } from '../tracing/trace.ts';

export interface EngineLimits extends WorkLimits {
  /** How long a ticket lives, in seconds: minutes. */
  readonly ticketSeconds: number;
  /** How long approvers have, in seconds. */
  readonly approvalSeconds: number;
  /** Publish again what was published and not reported after this long, in ms. */
  readonly republishMs: number;
  /** First and longest wait after work failed, in ms. */
  readonly retryMs: { readonly first: number; readonly longest: number };
  /** Open changes one principal may have at a time. */
  readonly openChangesPerRequester: number;
}

export const DEFAULT_LIMITS: EngineLimits = {
  ticketSeconds: 300, approvalSeconds: 86_400, republishMs: 10_000, retryMs: { first: 250, longest: 15_000 }, openChangesPerRequester: 1_000,
  overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000,
};

/** All that the engine's parts share. */
export interface EngineContext {
  readonly log: Log;
  readonly store: Store;
  readonly pdp: Pdp;
  readonly facts: () => Facts;
  readonly factsDigest: () => string;
  readonly transport: Transport;
  readonly deliveries: DeliveryStore;
  readonly trust: Trust;
  /** Signs tickets, orders and session approvals: never the log's key. */
  readonly ticketSigner: Signer;
  /** Which executor serves a connector; undefined for a connector that this sidecar does not know. */
  readonly executorOf: (connector: string) => string | undefined;
  readonly connectors: readonly string[];
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly logger: Logger;
  readonly limits: EngineLimits;
  /** `sidecar:<log id>`: who acts where no person does. */
  readonly self: string;
  readonly executorHeads: ExecutorHeads;
  /** Which standing approvals executors have turned away. */
  readonly turnedAway: TurnedAway;
  readonly discoveries: Discoveries;
  /** Where there is one, what gives access waits for it. */
  readonly copy?: LedgerCopy | undefined;
  /** Where a quorum of witnesses is demanded, what gives access waits for it. */
  readonly witnesses?: Witnesses | undefined;
  /** What could lose armed orders, where the transport is such. */
  readonly outbox?: Outbox | undefined;
  /** Where sidecars see each other's locks, where there is such a place. */
  readonly lockBoard?: LockBoard | undefined;
  readonly othersLocks: OthersLocks;
  /** In which traces changes go on, where anybody looks at traces. */
  readonly traces?: RecentTraces | undefined;
  /** Who must let a policy bundle come into force, beside what the trust folder says; left out: nobody. */
  readonly policyActivation?: ActivationFloor | undefined;
}

/** Locks that were set elsewhere while nobody was here to hear of it: until they are heard, nothing is gained. What takes away waits for none. */
export interface OthersLocks {
  /** Whether they are held here now; or cannot be known, after a time. */
  isHeard(): boolean;
  /** Resolves when that is so. */
  readonly heard: Promise<void>;
}

export type EngineRejectionCode =
  | 'not-allowed' | 'idempotency-key-reused' | 'too-many-open' | 'erased' | 'lease-needs-executor' | 'no-such-lock' | 'not-a-consumer' | 'not-extendable' | 'not-copied' | 'not-cosigned' | 'no-such-object' | 'not-erasable' | 'held-changed' | 'approval-not-judged' | 'no-such-proposal' | 'standing-refused' | 'no-such-standing-approval';

export type Answer<T = ChangeState> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: RejectionCode | EngineRejectionCode; readonly message: string; /** Policy's. */ readonly reasons?: Decision['reasons']; /** The change whose state said no, durable. */ readonly state?: ChangeState };

export interface Engine {
  /** The durable, answered request; or the change that this Idempotency-Key made before. @throws LedgerError: nothing was recorded */
  /** `authentication`: how the first of `requester` was authenticated, where that was an issuer’s token. `trace`: in which what is done about it goes on. */
  request(requester: readonly string[], request: ChangeRequest, idempotencyKey: string | null, authentication?: Authentication, trace?: TraceContext): Promise<Answer<{ state: ChangeState; replayed: boolean }>>;
  revise(by: string, changeId: string, request: ChangeRequest): Promise<Answer>;
  /** Who is asked to approve takes something off what is asked for: every approval is void, and policy decides again. Never adds anything. */
  reduce(by: string, changeId: string, planDigest: string, reduction: Reduction): Promise<Answer>;
  /** Who asked takes it back; so may a person who could revoke it once it was given. */
  withdraw(by: string, changeId: string, comment: string | null): Promise<Answer>;
  /**
   * `planDigest` is what the approver saw: any other plan is refused. `by` was authenticated by the caller, or by the sidecar of another log that
   * has signed `relayed`, which is kept on record; `salt` is that of the commitment to the comment in it.
   */
  decideApproval(by: string, changeId: string, verdict: 'approve' | 'reject', planDigest: string, comment: string | null, proof?: OwnProof & { readonly relayed?: { readonly envelope: Dsse; readonly salt: string | null }; readonly authentication?: Authentication; readonly channel?: Channel }): Promise<Answer>;
  /** What `by` would sign to decide on the change as it is planned now, and the weakest proof of it that counts. Nothing is recorded. */
  statement(by: string, changeId: string, verdict: 'approve' | 'reject'): Promise<Answer<{ readonly statement: ApprovalStatement; readonly proofClass: ProofClass; readonly passkeys: ReturnType<typeof passkeysFor> }>>;
  /** What `by` would sign to break the glass for the change as it is planned now, but for the reason. Nothing is recorded. */
  breakGlassStatement(by: string, changeId: string): Promise<Answer<UnsaidStatement>>;
  /** A person's own signature stands for the approvals of the plan that was seen, where floor and policy let it. */
  breakGlass(changeId: string, breach: Breach): Promise<Answer>;
  /** What `by` would sign to review that, but for what she says. Nothing is recorded. */
  breakGlassReviewStatement(by: string, changeId: string): Promise<Answer<AskedReview>>;
  /** Whose review that the glass was broken counts now, and so is asked for; nobody’s where none is. */
  glassReviewers(state: ChangeState): readonly string[];
  /** Somebody else has looked at it. */
  reviewBreakGlass(changeId: string, reviewing: Reviewing): Promise<Answer>;
  /** Takes back now. Works without policy and without a writable ledger: then `recorded` is false, and the evidence follows from the executor. */
  revoke(by: string, changeId: string, comment: string | null): Promise<Answer<{ state: ChangeState; recorded: boolean }>>;
  /** The same for everything that an identity holds by this ledger. */
  revokeAll(by: string, nhi: string, comment: string | null): Promise<Answer<readonly { changeId: string; recorded: boolean }[]>>;
  /** The sealed secret, until it is acknowledged. */
  delivery(by: string, changeId: string): Promise<Answer<{ ciphertext: Uint8Array; digest: string }>>;
  acknowledgeDelivery(by: string, changeId: string, digest: string): Promise<Answer>;
  /** A consumer uses the new credential: said by itself, by who asked, or by an owner. */
  confirmConsumer(by: string, changeId: string, consumer: string): Promise<Answer>;
  /** Mode `caller`: the ticket and its receipt, while they can be taken up. `fromSize`: of the newest checkpoint that the caller has seen. `not-copied`, `not-cosigned`: ask again. */
  callerTicket(by: string, changeId: string, fromSize: number | null): Promise<Answer<StepEnvelope>>;
  /** Mode `caller`: resolves once what the run says is durable. Only after a claim was answered so may its code run. */
  receiveCallerReport(changeId: string, message: ReportMessage): Promise<Answer>;
  /** From the answer on nothing is gained there until the lock is lifted; what is on its way is ordered back. Asked for twice, since an answer was lost, it is one lock. */
  lock(by: string, scope: { readonly nhi: string | null; readonly connector: string | null }, reason: string): Promise<Answer<Lock>>;
  unlock(by: string, lockId: string, reason: string | null): Promise<Answer<Lock>>;
  locks(): readonly Lock[];
  /** A person’s template is on record, and approves what is within it: what waits now, too. */
  giveStanding(by: string, giving: Giving): Promise<Answer<StandingApproval>>;
  /** It approves nothing more, and what it has approved and nobody has begun is over. */
  revokeStanding(by: string, approvalId: string, reason: string | null): Promise<Answer<StandingApproval>>;
  standings(): readonly StandingApproval[];
  /** The time of the next record (epoch ms): by it approvals count, and who is asked is told that she is. */
  nextAtMs(): number;
  /** Those of a person that the trust folder lists and that are good now. */
  passkeys(person: string): ReturnType<typeof passkeysFor>;
  /** The change, once the standing approvals that are in force have had their try at the plan that waits; undefined for one that is not in the ledger. @throws LedgerError */
  standingTried(changeId: string): Promise<ChangeState | undefined>;
  /** Objects are forgotten, on record: see {@link Eraser}. */
  erase: Eraser['erase'];
  /** Under which record each of these objects was erased; those that were not are left out. @throws LedgerError */
  erasedUnder(digests: ReadonlySet<string>): Promise<ReadonlyMap<string, number>>;
  /** What would become of the request if it were made now. Records nothing and gives nothing. `extended`: the change whose lease an `extend` is about. */
  evaluate(requester: readonly string[], request: ChangeRequest, extended: ChangeState | null): Promise<Evaluation>;
  /** One sentence that says why the change is not going on; null where it waits for nothing, or for what its state says. */
  waitingFor(changeId: string): string | null;
  /** What a receiver of webhooks took in, or never did. */
  recordNotification(changeId: string, outcome: { readonly delivered: EventBody<'notification.delivered'> } | { readonly failed: EventBody<'notification.failed'> }): Promise<void>;
  /** It is on record which record is the last of each change, unless nothing was recorded since it last was; what cannot be recorded is left. */
  recordHeads(): void;
  /** Records that the newest statement of heads is about; 0 where there is none. */
  headsSize(): number;
  /** The copy of the ledger had lost records and holds them again. */
  /** Puts a cosigned checkpoint of this log on record. @throws LedgerError */
  recordAnchor(checkpoint: string, size: number): void;
  /** The size that the last anchor on record is of; 0 where there is none. */
  lastAnchored(): number;
  recordCopyRefilled(from: number, missing: number): void;
  /** The change as it is; undefined for one that is not in the ledger. @throws LedgerError */
  find(changeId: string): Promise<ChangeState | undefined>;
  /** The same, of one that is in memory: every one that is not at rest is. @throws NotInMemory */
  get(changeId: string): ChangeState | undefined;
  /** Those in memory: all that are not at rest, and some that are. */
  all(): IterableIterator<ChangeState>;
  /** Changes that something is due for or awaited of. */
  open(): IterableIterator<ChangeState>;
  /** Where every change is, in memory or not. */
  readonly index: Store['index'];
  /** Resolves with the state when it differs from `length` records, or undefined after `timeoutMs`. */
  changed(changeId: string, length: number, timeoutMs: number): Promise<ChangeState | undefined>;
  /**
   * What is there at the connector's target is compared with what is recorded, and what differs is on record with an owner. While one runs, asking
   * again waits for the same. @throws DiscoveryError: the target could not be looked at; LedgerError
   */
  reconcile(connector: string): Promise<Reconciliation>;
  /** The last comparison of each connector, and what is open. */
  reconciled(): Reconciled;
  /** Why this bundle may not come into force, in a phrase: a revision only goes forward. Null where it may. */
  mayNotActivate(next: Pick<Pdp, 'bundle' | 'revision'>): string | null;
  /**
   * From here on `next` answers, and `bundle.activated` says so; durable when it resolves. Call it at the beginning of a turn of the event loop.
   *
   * @throws NotApproved, LedgerError `unwritable` or `full`: what was in force still is
   */
  activateBundle(next: Pdp): Promise<void>;
  /** A good bundle that people must let come into force waits, on record; why it does not come into force now, in a phrase, or null where it may. @throws LedgerError */
  proposeBundle(next: Pick<Pdp, 'bundle' | 'revision' | 'evidence'>): Promise<string | null>;
  /** The newest bundle that was proposed, what is in force, and who must. */
  proposals(): ProposalStatus;
  /** A person's verdict on exactly this bundle, durable. It comes into force by {@link activateBundle} alone. @throws LedgerError: nothing was recorded */
  decideProposal(by: string, decided: ProposalDecided): Promise<Answer<BundleProposal>>;
  /** What `by` would sign to decide on what was proposed last. Nothing is recorded. */
  proposalStatement(by: string, verdict: 'approve' | 'reject'): ReturnType<typeof statementOnProposal>;
  /** What was there at the last comparison; null where there was none, or what it saw was erased. */
  discovered(connector: string): Promise<readonly DiscoveredPage[] | null>;
  /** What policy would take back of the leases that run and waits for a person; null where leases are not decided on again. */
  heldRevokes(): HeldRevokes | null;
  /** Takes back exactly that: at the word of a person who could revoke each of it. */
  confirmHeld: Redecider['confirm'];
  /** What workers of the executor say is wrong with them, and what was set aside of and at them since this sidecar began. */
  executor(audience: string): { readonly trouble: 'lease-book' | null; readonly refused: readonly Refused[] };
  /** Names what keeps the engine from doing its work; empty when it is well. */
  troubles(): readonly { readonly check: string; readonly message: string }[];
  close(): Promise<void>;
}

export interface EngineOptions extends Omit<EngineContext, 'store' | 'self' | 'executorHeads' | 'turnedAway' | 'factsDigest' | 'discoveries' | 'othersLocks'> {
  readonly version: string;
  /** Where what the ledger folds to is kept, so that a start need not fold all of it; left out: nowhere. */
  readonly snapshots?: SnapshotPlace;
  /** How many changes at rest stay in memory. */
  readonly atRestMax?: number;
  /** How often every connector is looked at by itself, in ms; left out: when somebody asks. */
  readonly reconcileEveryMs?: number;
  /** Left out: a lease is not decided on again while it runs. */
  readonly redecision?: RedecisionOptions;
  /** Called with every event once it is sequenced, and the state that it came to. It may not throw. */
  readonly onEvents?: (state: ChangeState, events: readonly ChangeEvent[]) => void;
  /** Told of each policy bundle that has just begun to wait for people, and for whom. What waited at the start is not told of. */
  readonly onProposed?: (proposal: BundleProposal, approvers: readonly string[]) => void;
}

/** States in which a sealed secret is there to be fetched: what it opens is verified, and not being taken back. */
const DELIVERING: ReadonlySet<ChangeState['name']> = new Set(['staged', 'authorised', 'executing', 'verifying', 'active', 'done']);

const LEASE_NEEDS_EXECUTOR = {
  ok: false, code: 'lease-needs-executor', message: 'access that ends needs an executor that holds the order to end it: leave out caller',
} as const;

function wantsLeaseOfCaller(request: ChangeRequest): boolean {
  return callerOf(request) !== null && (request.kind === 'grant' || request.kind === 'provision');
}

/** A reason that was erased is known no more: then it is the same request if all else is. */
function isRetryOf(made: ChangeState['idempotency'], request: ChangeRequest): boolean {
  return made !== null && made.request === requestDigest(request) && (typeof made.reason !== 'string' || made.reason === request.reason);
}

/** Folds the log, records the start, and resumes every open change. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { log, clock, logger, limits, transport } = options;
  const self = `sidecar:${log.logId}`;
  const watchers = new Map<string, Set<() => void>>();
  let closed = false;
  let runner: Runner | null = null;

  const changed = (state: ChangeState, events: readonly ChangeEvent[]): void => {
    for (const event of events) logger.info({ changeId: state.changeId, record: event.seq, state: state.name }, event.type);
    for (const notify of watchers.get(state.changeId) ?? []) notify();
    options.onEvents?.(state, events);
    runner?.wake(state.changeId);
    if (!['authorised', 'executing', 'verifying', 'staged'].includes(state.name)) runner?.wakeWaiting();
  };
  const store = await openStore(log, { nowMs: () => clock.nowMs(), actor: self, random: options.random, changed, snapshots: options.snapshots, atRestMax: options.atRestMax, logger });
  const recorded = recordStart(options, store);
  let isHeard = false;
  let nowHeard = (): void => undefined;
  const heard = new Promise<void>((resolve) => {
    nowHeard = resolve;
  });
  const othersLocks: OthersLocks = { isHeard: () => isHeard, heard };
  const context: EngineContext = { ...options, store, self, othersLocks, executorHeads: createExecutorHeads(), turnedAway: rememberTurnedAway(() => log.size), discoveries: createDiscoveries(), factsDigest: recorded.factsDigest };
  const reconciler = createReconciler(context);
  runner = startRunner(context);
  const executors = new Set(options.connectors.flatMap((connector) => options.executorOf(connector) ?? []));
  const lockSpread = spreadLocks(context, [...executors], () => runner.wakeWaiting());
  lockSpread.whenCaughtUp(() => {
    isHeard = true;
    nowHeard();
    runner.wakeWaiting();
  });

  const refused = countRefused(context);
  transport.onReport((audience, message) => receiveReport(context, audience, message).catch((error: unknown) => {
    if (error instanceof ProtocolError) refused.count(audience, error.code);
    throw error;
  }));
  transport.onRefused((audience, run, counted) => refused.heard(audience, run, counted));
  transport.onLock((lock) => void lockSpread.hear(lock));
  transport.onConnected((audience) => {
    lockSpread.connected(audience);
    runner.connected(audience);
  });
  transport.onKnows((audience, run) => {
    context.turnedAway.heardOf(audience, run);
    for (const state of store.open()) if (mayUseStanding(state) && options.executorOf(state.plan!.connector) === audience) runner.wake(state.changeId);
  });
  options.copy?.onProgress(() => runner.wakeWaiting());
  options.witnesses?.onProgress(() => runner.wakeWaiting());
  if (options.outbox !== undefined) {
    keepFilled(context, options.outbox);
    sweepSpent(context, options.outbox);
  }
  if (log.failed === null) enforceLocks(context);
  for (const state of store.open()) runner.wake(state.changeId);
  if (options.reconcileEveryMs !== undefined) reconciler.every(options.reconcileEveryMs);
  const redecider = options.redecision === undefined ? null : createRedecider(context, options.redecision);

  const after = async (applied: ReturnType<Store['apply']>): Promise<Answer> => {
    // A clock that went ahead for a moment has rung for nobody: who is told that the time is over sees that it is.
    if (!applied.ok && applied.code === 'approval-expired' && applied.state !== undefined) runner.wake(applied.state.changeId);
    await store.durable();
    return applied.ok ? { ok: true, value: applied.state } : applied;
  };
  const headsSize = (): number => Number(store.lastOf('ledger.heads')?.['size'] ?? 0);
  /** With whom it acts for, where it acts for somebody: what it asked for one, it has not asked for another. */
  const idempotencyDigest = ([by, ...actsFor]: readonly string[], key: string): string => digestOf(canonicalBytes({ by: by!, key, ...(actsFor.length === 0 ? {} : { actsFor }) }));

  return {
    async request(requester, request, idempotencyKey, authentication, trace) {
      const by = requester[0]!;
      if (wantsLeaseOfCaller(request)) return LEASE_NEEDS_EXECUTOR;
      const key = idempotencyKey === null ? null : idempotencyDigest(requester, idempotencyKey);
      const made = key === null ? undefined : store.idempotent(key);
      const earlier = made === undefined ? undefined : await store.load(made);
      if (earlier !== undefined) {
        if (!isRetryOf(earlier.idempotency, request)) return { ok: false, code: 'idempotency-key-reused', message: 'this Idempotency-Key came with another request' };
        await store.durable();
        return { ok: true, value: { state: (await store.load(earlier.changeId))!, replayed: true } };
      }
      if (request.kind === 'extend') await store.load(request.change);
      const refused = turnedAway(context, request, clock.nowMs());
      if (refused !== null) return refused;
      let open = 0;
      for (const state of store.open()) if (state.requester[0] === by && ['requested', 'pending', 'scheduled'].includes(state.name)) open += 1;
      if (open >= limits.openChangesPerRequester) return { ok: false, code: 'too-many-open', message: `${by} has ${open} changes waiting` };
      const changeId = newChangeId(log.logId, clock.nowMs(), options.random);
      // Before anything can be done about it.
      if (trace !== undefined) options.traces?.set(changeId, trace);
      const applied = store.apply(changeId, { type: 'request', by, request, requester, idempotency: key === null ? null : { key, request: requestDigest(request) }, ...(authentication === undefined ? {} : { authentication }) });
      await store.durable();
      return applied.ok ? { ok: true, value: { state: applied.state, replayed: false } } : applied;
    },
    async revise(by, changeId, request) {
      if (request.kind === 'extend') await store.load(request.change);
      await store.load(changeId);
      const refused = wantsLeaseOfCaller(request) ? LEASE_NEEDS_EXECUTOR : turnedAway(context, request, clock.nowMs());
      return refused ?? after(store.apply(changeId, { type: 'revise', by, request }));
    },
    async reduce(by, changeId, planDigest, reduction) {
      await store.load(changeId);
      return after(store.apply(changeId, { type: 'reduce', by, planDigest, ...reduction }));
    },
    async withdraw(by, changeId, comment) {
      const state = await store.load(changeId);
      const isResponder = state !== undefined && by.startsWith('person:') && mayRevoke(by, state, options.facts());
      return after(store.apply(changeId, { type: 'withdraw', by, comment, isResponder }));
    },
    async statement(by, changeId, verdict) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      const { planDigest } = state;
      if (planDigest === null) return { ok: false, code: 'plan-changed', message: 'there is no plan to decide on yet' };
      await store.durable();
      return { ok: true, value: { statement: statementOf(context, changeId, state, { by, verdict, planDigest }), proofClass: proofDemanded(context, state), passkeys: passkeysFor(context, by) } };
    },
    async decideApproval(by, changeId, verdict, planDigest, comment, { relayed, authentication, channel, ...own } = {}) {
      const state = await store.load(changeId);
      const approval = approvalOf(context, changeId, state, { by, verdict, planDigest }, own);
      if (!approval.ok) return approval;
      const applied = await acceptApproval(context, changeId, { type: 'approve', approval: approval.value, comment, ...(state === undefined ? {} : otherIdsOf(context, state, by)), ...(relayed === undefined ? {} : { relayed: relayed.envelope }), ...(relayed?.salt == null ? {} : { salt: relayed.salt }), ...(authentication === undefined ? {} : { authentication }), ...(channel === undefined ? {} : { channel }) });
      return applied.ok || applied.code !== 'approval-not-judged' ? after(applied) : applied;
    },
    async breakGlassStatement(by, changeId) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      if (state.planDigest === null) return { ok: false, code: 'plan-changed', message: 'there is no plan to decide on yet' };
      await store.durable();
      return { ok: true, value: unsaidStatement(context, state, state.planDigest, by) };
    },
    async breakGlass(changeId, breach) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      const use = useOf(context, state, breach);
      return use.ok ? after(store.apply(changeId, use.value)) : use;
    },
    async breakGlassReviewStatement(by, changeId) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      const asked = reviewAsked(context, state, by);
      if (asked === null) return { ok: false, code: 'not-expected', message: 'nobody has broken the glass for this change' };
      await store.durable();
      return { ok: true, value: asked };
    },
    glassReviewers: (state) => reviewersNow(context, state)?.people ?? [],
    async reviewBreakGlass(changeId, reviewing) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      const review = reviewOf(context, state, reviewing);
      return review.ok ? after(store.apply(changeId, review.value)) : review;
    },
    async revoke(by, changeId, comment) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      if (!mayRevoke(by, state, options.facts())) return { ok: false, code: 'not-allowed', message: `${by} is neither owner, on call nor security for ${state.request.subject}` };
      return revokeNow(context, state, by, comment);
    },
    async revokeAll(by, nhi, comment) {
      const unread: unknown[] = [];
      const held = await store.giving(new Set([nhi])).catch((error: unknown) => {
        // What cannot be read holds up nothing that can be taken back without.
        unread.push(error);
        return [...store.open()].filter((state) => state.request.subject === nhi && stillGives(state));
      });
      if (held.some((state) => !mayRevoke(by, state, options.facts()))) return { ok: false, code: 'not-allowed', message: `${by} may not revoke what ${nhi} holds` };
      const done: { changeId: string; recorded: boolean }[] = [];
      // One that cannot be reached holds up no other; it is told of only when all have been tried.
      const answers = await Promise.allSettled(held.map((state) => revokeNow(context, state, by, comment)));
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'rejected') throw answer.reason;
        if (answer.value.ok) done.push({ changeId: held[index]!.changeId, recorded: answer.value.value.recorded });
      }
      if (unread.length > 0) throw unread[0];
      return { ok: true, value: done };
    },
    async delivery(by, changeId) {
      const state = await store.load(changeId);
      if (state === undefined || !state.requester.includes(by)) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      if (state.delivery === null || state.finished.length === 0 || !DELIVERING.has(state.name)) return { ok: false, code: 'no-delivery', message: `nothing to deliver while ${state.name}` };
      const ciphertext = await context.deliveries.get(state.delivery.seal.ciphertext);
      if (ciphertext === null) return { ok: false, code: 'no-delivery', message: `the sealed secret is gone: ${state.delivery.status}` };
      return { ok: true, value: { ciphertext, digest: state.delivery.seal.ciphertext } };
    },
    async acknowledgeDelivery(by, changeId, digest) {
      const state = await store.load(changeId);
      if (state === undefined || !state.requester.includes(by)) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      const answer = await after(store.apply(changeId, { type: 'acknowledgeDelivery', by, ciphertext: digest }));
      if (answer.ok) await context.deliveries.remove(digest);
      return answer;
    },
    async confirmConsumer(by, changeId, consumer) {
      const state = await store.load(changeId);
      if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      if (!mayConfirm(by, consumer, state, options.facts())) return { ok: false, code: 'not-a-consumer', message: `${by} does not answer for ${consumer}` };
      return after(store.apply(changeId, { type: 'confirmConsumer', by, consumer }));
    },
    async callerTicket(by, changeId, fromSize) {
      if ((await store.load(changeId))?.requester.includes(by) !== true) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
      return ticketForCaller(context, changeId, fromSize);
    },
    receiveCallerReport: (changeId, message) => receiveCallerReport(context, changeId, message),
    async lock(by, { nhi, connector }, reason) {
      if (nhi === null && connector === null) return { ok: false, code: 'not-expected', message: 'a lock names an identity, a connector, or both' };
      if (!mayLock(by, nhi, options.facts())) return { ok: false, code: 'not-allowed', message: `${by} is neither owner, on call nor security there` };
      const known = store.locks().find((one) => one.by === by && one.nhi === nhi && one.connector === connector && one.reason === reason);
      if (known !== undefined) {
        await store.durable();
        return { ok: true, value: known };
      }
      const lockId = newLockId(clock.nowMs(), options.random);
      store.record('lock.set', { lockId, nhi, connector, reason }, [], by);
      enforceLocks(context);
      await store.durable();
      lockSpread.tell();
      return { ok: true, value: store.locks().find((one) => one.lockId === lockId)! };
    },
    async unlock(by, lockId, reason) {
      const lock = store.locks().find((one) => one.lockId === lockId);
      if (lock === undefined) return { ok: false, code: 'no-such-lock', message: 'no lock of this id is set' };
      if (!mayLock(by, lock.nhi, options.facts())) return { ok: false, code: 'not-allowed', message: `${by} is neither owner, on call nor security there` };
      if (!isOurs(context, lock)) return { ok: false, code: 'not-allowed', message: `the lock was set ${lock.statement?.log == null ? 'by a revoker, past every sidecar: a revoker lifts it' : `by the sidecar of log ${lock.statement.log}, which lifts it`}` };
      const statement = liftOf(context, lock, by, reason);
      store.record('lock.lifted', { lockId, reason, ...(statement === null ? {} : { statement }) }, [], by);
      await store.durable();
      lockSpread.tell();
      runner.wakeWaiting();
      return { ok: true, value: lock };
    },
    locks: () => store.locks(),
    async giveStanding(by, giving) {
      const given = giveStanding(context, by, giving);
      await store.durable();
      for (const state of store.open()) if (mayUseStanding(state)) runner.wake(state.changeId);
      return given;
    },
    async revokeStanding(by, approvalId, reason) {
      const revoked = revokeStanding(context, by, approvalId, reason);
      await store.durable();
      return revoked;
    },
    standings: () => store.standings(),
    nextAtMs: () => store.nextAtMs(),
    passkeys: (person) => passkeysFor(context, person),
    async standingTried(changeId) {
      const state = await store.load(changeId);
      if (state === undefined || !mayUseStanding(state)) return state;
      await runner.idle(changeId);
      return store.load(changeId);
    },
    erase: createEraser(context).erase,
    erasedUnder: (digests) => erasedUnder(context, digests),
    evaluate: (requester, request, extended) => evaluateRequest(context, requester, request, extended),
    waitingFor: (changeId) => waitingFor(context, changeId),
    async recordNotification(changeId, outcome) {
      await store.load(changeId);
      store.apply(changeId, 'delivered' in outcome
        ? { type: 'recordNotification', by: self, delivered: outcome.delivered }
        : { type: 'recordNotificationFailed', by: self, failed: outcome.failed });
      await store.durable();
    },
    recordHeads() {
      if (log.failed !== null || log.size <= headsSize() + 1) return;
      // In one go: nothing may be recorded between the heads and the record that states them.
      store.record('ledger.heads', log.changeHeads());
    },
    headsSize,
    recordCopyRefilled(from, missing) {
      if (log.failed === null) store.record('outbox.refilled', { stream: 'CS_LEDGER', missing, from, changes: [] });
    },
    recordAnchor(checkpoint, size) {
      if (log.failed === null) store.record('witness.anchored', { checkpoint, size });
    },
    lastAnchored: () => (store.lastOf('witness.anchored')?.['size'] as number | undefined) ?? 0,
    get: (changeId) => store.get(changeId),
    find: (changeId) => store.load(changeId),
    all: () => store.all(),
    open: () => store.open(),
    index: store.index,
    async changed(changeId, length, timeoutMs) {
      const state = await store.load(changeId);
      if (state === undefined || state.length !== length) return state;
      return new Promise((resolve) => {
        const set = watchers.get(changeId) ?? new Set();
        watchers.set(changeId, set);
        const finish = (value: ChangeState | undefined): void => {
          set.delete(notify);
          if (set.size === 0) watchers.delete(changeId);
          cancel();
          resolve(value);
        };
        const notify = (): void => finish(store.inMemory(changeId));
        const cancel = clock.after(timeoutMs, () => finish(undefined));
        set.add(notify);
      });
    },
    reconcile: (connector) => reconciler.reconcile(connector),
    reconciled: () => store.reconciled(),
    discovered: (connector) => pagesOf(context, connector),
    mayNotActivate: (next) => mayNotActivate(store, next),
    async activateBundle(next) {
      activate(context, next);
      await store.durable();
    },
    async proposeBundle(next) {
      const before = store.governed().proposal?.proposalId;
      const why = propose(context, next);
      const { proposal } = store.governed();
      if (proposal !== null && proposal.proposalId !== before) options.onProposed?.(proposal, approversOf(activationFloors(context)));
      await store.durable();
      return why;
    },
    proposals: () => proposalStatus(context),
    proposalStatement: (by, verdict) => statementOnProposal(context, by, verdict),
    async decideProposal(by, decided) {
      const answer = decideProposal(context, by, decided);
      await store.durable();
      return answer;
    },
    heldRevokes: () => redecider?.held() ?? null,
    confirmHeld: async (by, digest, comment) => redecider?.confirm(by, digest, comment) ?? { ok: false, code: 'held-changed', message: 'nothing waits for that' },
    executor: (audience) => ({ trouble: transport.states(audience).find(({ trouble }) => trouble !== undefined)?.trouble ?? null, refused: refused.of(audience) }),
    troubles() {
      const found: { check: string; message: string }[] = [];
      if (log.failed !== null) found.push({ check: 'ledger', message: log.failed.message });
      else if (log.full !== null) found.push({ check: 'ledger', message: `${log.full.message}: nothing is given until there is room` });
      if (log.keyTrouble !== null) found.push({ check: 'ledger', message: `the newest records are durable and not signed yet, so nothing is given under them: ${log.keyTrouble.message}` });
      if (context.pdp.bundle === null) found.push({ check: 'policy', message: `no policy bundle is loaded: everything is denied${proposedToo(context)}` });
      if (closed) found.push({ check: 'engine', message: 'closing' });
      return found;
    },
    async close() {
      closed = true;
      lockSpread.close();
      refused.close();
      runner.close();
      reconciler.close();
      redecider?.close();
      await transport.close();
      await store.durable().catch(() => undefined);
      await store.close();
    },
  };
}

function proposedToo(context: EngineContext): string {
  const { proposal } = context.store.governed();
  return proposal === null || proposal.outcome === 'activated' || activationFloors(context).length === 0 ? '' : `; ${waitingOf(context, proposal)}`;
}

/** Records that a writer opened the log, and which facts and bundle are in force, where they are not what the ledger says already. */
function recordStart(options: EngineOptions, store: Store): { factsDigest: () => string } {
  // A log that must not go on takes no record of its opening; what it granted is taken back all the same.
  if (options.log.failed === null) recordOpening(options, store);
  let recorded: { readonly facts: string; readonly digest: string } | null = null;
  return {
    factsDigest: () => {
      const facts = options.facts();
      const same = canonicalText(facts.digests);
      if (recorded?.facts === same) return recorded.digest;
      const bytes = canonicalBytes({ v: 1, salt: Buffer.from(options.random(16)).toString('base64url'), kind: 'facts', value: facts.value });
      store.record('facts.loaded', { facts: digestOf(bytes) }, [bytes]);
      recorded = { facts: same, digest: digestOf(bytes) };
      return recorded.digest;
    },
  };
}

function recordOpening(options: EngineOptions, store: Store): void {
  const epoch = (store.lastOf('ledger.opened')?.['epoch'] as number | undefined) ?? 0;
  if (options.log.recovered !== null) store.record('ledger.recovered', options.log.recovered);
  store.record('ledger.opened', { origin: options.log.origin, epoch: epoch + 1, version: options.version });
  holdForward(options.pdp, store);
  holdUnapproved({ ...options, store });
  const permission = permissionFor({ ...options, store }, options.pdp);
  recordBundle(options.pdp, store, permission.may ? permission.named : null);
}
