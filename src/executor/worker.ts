/**
 * The worker: takes steps and orders, believes what it can check, acts once, takes back on time, and signs what it saw.
 *
 * Order of things: an envelope is admitted; the claim and the order that will end it are durable; only then is it answered and acted on.
 * What is due to be taken back comes first, at opening and always.
 */
import type { Disk, Signer } from '../../ledger/index.ts';
import { leaseIdOf } from '../change/derive.ts';
import { leaseChangeOf } from '../change/extension.ts';
import type { Acceptance, Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { isKnownLock, LOCK_TYPE, openLock, statementsOf, type BelievedLock } from '../protocol/lock.ts';
import { takesAway } from '../protocol/plan.ts';
import type { AnyTicket, DiscoverTicket } from '../protocol/discovery.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { ActTicket, Dsse, ReadTicket, Refusal } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { workerKnows, type WorkerKnows } from '../protocol/worker-knows.ts';
import { openTally, type Refused as Counted, type WorkerState } from '../protocol/worker-state.ts';
import type { Tracer } from '../tracing/trace.ts';
import { admit, type Admission } from './admission.ts';
import { runStep } from './acting.ts';
import type { BookEntry, StepState } from './book-entries.ts';
import { noClaims, openClaims, type ClaimBoard } from './claims.ts';
import type { Connector } from './connector.ts';
import { createInFlight, DEFAULT_WORKER_LIMITS, type WorkerContext, type WorkerLimits } from './context.ts';
import { createLanes, createPauses, within } from './deadline.ts';
import { discoveredReport, runDiscovery } from './discovering.ts';
import { openLeaseBook } from './lease-book.ts';
import { locked } from './locked.ts';
import { mendBook } from './mending.ts';
import { isVoid } from './order-fence.ts';
import { admitOrder, type HeldOrder } from './orders.ts';
import { createOutbox } from './outbox.ts';
import { readReport, runRead } from './reading.ts';
import { plainDetail, reportMaker, type MakeReport, type Said } from './reports.ts';
import { createRevoker, type Owed } from './revoking.ts';
import type { Sink } from './sink.ts';
import { workerTraces } from './traced.ts';
import { beganAtMs, outOfTurn } from './turn.ts';

export interface WorkerOptions {
  readonly executorId: string;
  readonly signer: Signer;
  readonly trust: Trust;
  /** By connector id. They are closed by whoever made them. */
  readonly connectors: ReadonlyMap<string, Connector>;
  /** Stores that secrets are kept in, by id. */
  readonly sinks?: ReadonlyMap<string, Sink>;
  /** Of the state directory, which is this worker's alone. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Seals a secret to an age recipient. */
  readonly seal: (secret: string, recipient: string) => Promise<Uint8Array>;
  /** Key of the HMAC that a leaked secret is recognised by. */
  readonly fingerprintKey: Uint8Array;
  readonly logger: Logger;
  /** Resolves when the sidecar has acknowledged the report: only then is it forgotten. */
  readonly send: (message: ReportMessage) => Promise<void>;
  /** Shown every report as it is made, whether or not anybody can be reached; nobody is waited for. */
  readonly observe?: (message: ReportMessage) => void;
  readonly limits?: Partial<WorkerLimits>;
  /** Shown every lock that is set or lifted and was not known: for whoever else is to hold it. */
  readonly heard?: (lock: Dsse) => void;
  /** Where this executor's workers see each other's claims; without one it has no other worker. */
  readonly board?: ClaimBoard;
  /** Where somebody looks at what was done, span by span; left out: nobody. */
  readonly tracer?: Tracer;
  /** Shown every report as it is made, once. */
  readonly reported?: (report: Said) => void;
  /** It takes back and gives nothing: steps that were taken up wait for whoever opens the book next. */
  readonly takesBackOnly?: boolean;
}

const READS_MAX = 1_024;
/** Orders for connectors that are not here, which are counted once. */
const FOREIGN_MAX = 1_024;
/** Pages of discoveries are large: so many of the answers may be pages. */
const PAGES_KEPT = 8;

type Refused = Extract<Admission, { ok: false }>;

/**
 * `closing`: it takes nothing any more. `book`: the lease book cannot be written, so nothing is given; see its cause. `elsewhere`: another
 * worker has begun this change. `connector`: the order is to be believed and is for a connector that is not here; another worker may have it.
 */
export class WorkerError extends Error {
  readonly code: 'closing' | 'book' | 'elsewhere' | 'connector';
  constructor(code: WorkerError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WorkerError';
    this.code = code;
  }
}

/** What somebody who looks on sees of a worker. */
export interface WorkerWatched extends Owed {
  /** Reports that no sidecar has acknowledged yet. */
  readonly reportsWaiting: number;
  /** Whether the lease book can be written, and how often it turned out since the start that it cannot. */
  readonly bookOk: boolean;
  readonly bookFailures: number;
  /** What was turned away unanswered, by reason. */
  readonly refused: readonly Counted[];
}

export interface Worker {
  /** Resolves when the order is durable and its timer runs. @throws ProtocolError: not believed; BookError: held in memory only */
  arm(order: unknown): Promise<void>;
  /** Resolves where the order is void by the lease book. Nothing is forgotten for it. @throws ProtocolError where it is not believed, or is in force */
  disarm(order: unknown): Promise<void>;
  /**
   * Resolves when the step is durably claimed, was so before, or was refused by a report that follows. `traceparent`: in which trace it came, as it came.
   *
   * @throws ProtocolError for what no trusted sidecar signed for this executor; WorkerError, BookError: it was not taken up
   */
  step(envelope: unknown, traceparent?: unknown): Promise<Acceptance>;
  /** Resolves when the order is durable, or is being carried out though it can't be. @throws ProtocolError: not believed; BookError: not due, held in memory only */
  revoke(order: unknown, traceparent?: unknown): Promise<void>;
  /** Whether an order or lock is signed by whoever may. Nothing is done about it. */
  believes(statement: Dsse): boolean;
  /** Resolves when nothing is being taken back under the order's lease. @throws ProtocolError: not believed */
  carriedOut(order: unknown): Promise<void>;
  /** Resolves when the lock is durably held, or lifted: from the call on nothing is given that it covers. @throws ProtocolError: not believed; BookError: held in memory only */
  lock(statement: unknown): Promise<void>;
  /** Every lock that was heard of, set and lifted: for whoever knows none of them. */
  locks(): readonly Dsse[];
  /** Resolves when this executor's other workers can know what was taken back here early. @throws TargetError `unreachable` */
  tellEnds(): Promise<void>;
  /** The sidecar of this log, or any, listens again: every report to it that nobody acknowledged is sent now. */
  connected(log?: string): void;
  /** By which run, how much was turned away unanswered and why, and whether nothing is given. */
  state(): WorkerState;
  /** What can be proven to it, and by which floors: for a sidecar that asks. */
  knows(): WorkerKnows;
  /** Whoever takes messages in has met one that is none. */
  setAside(code: Refusal): void;
  /** What is to be seen of it now. */
  watched(): WorkerWatched;
  /** Whether anything is still given. */
  readonly healthy: boolean;
  /** Takes nothing new, waits for what is in the middle of something until a deadline, and leaves the book closed. Timers stop: whoever opens it next goes on. */
  close(): Promise<void>;
}

/** Opens the worker's lease book and goes on where it stopped. @throws LedgerError `locked` while another worker has the state directory; BookError `foreign` */
export async function openWorker(options: WorkerOptions): Promise<Worker> {
  const { executorId, signer, trust, clock, random, logger } = options;
  const traces = options.tracer === undefined ? undefined : workerTraces(options.tracer, executorId, () => clock.nowMs());
  const connectors = traces?.over(options.connectors) ?? options.connectors;
  const limits = { ...DEFAULT_WORKER_LIMITS, ...options.limits };
  const newWorker = (): string => Buffer.from(random(8)).toString('hex');
  const book = await openLeaseBook(options.disk, executorId, logger, options.board === undefined ? undefined : newWorker);
  const claims = options.board === undefined ? noClaims : openClaims({
    board: options.board, worker: book.state.worker ?? newWorker(), clock,
    untold: [...book.state.ended.keys()].filter((leaseId) => !book.state.told.has(leaseId)), told: (leaseId) => book.later({ t: 'told', leaseId }),
  });
  const makeReport = reportMaker(executorId, signer, clock);
  const report: MakeReport = (said, attachments) => {
    try {
      options.reported?.(said);
    } catch (error) {
      logger.error({ error: String(error) }, 'whoever counts reports cannot; it is made all the same');
    }
    return makeReport(said, attachments);
  };
  const outbox = createOutbox({
    send: (message) => (traces === undefined ? options.send(message) : traces.reporting(message, () => options.send(message))), clock, retryMs: limits.reportRetryMs, sendTimeoutMs: limits.sendTimeoutMs, logger,
    observe: options.observe ?? (() => undefined), sent: (id) => {
      if (book.state.unsent.has(id)) book.later({ t: 'sent', report: id });
    },
  });
  let closing = false;
  let bookFailures = 0;
  const tally = openTally();
  /** Digests of orders for connectors that are not here. */
  const foreign = new Set<string>();
  let run: string | null = null;
  const context: WorkerContext = {
    executorId, trust, connectors, sinks: options.sinks ?? new Map<string, Sink>(), book, clock, random, signer, seal: options.seal, fingerprintKey: options.fingerprintKey, logger, limits, report, outbox,
    pauses: createPauses(clock), inFlight: createInFlight(clock, limits), claims, ending: new Set(), isClosing: () => closing,
  };
  const revoker = createRevoker(context, clock.nowMs() + limits.applyTimeoutMs + limits.settleMs);
  const inLane = createLanes();
  const running = new Set<Promise<void>>();
  const stepsRunning = new Set<string>();
  /** Answers to reads, by step and issue; null while the target is asked. The oldest are forgotten: a read may be done twice. */
  const reads = new Map<string, ReportMessage | null>();
  /** Keys of those that are pages, oldest first. */
  const pages: string[] = [];

  const background = (what: string, task: Promise<void>): void => {
    const ended = task.catch((error: unknown) => logger.error({ what, reason: plainDetail(String(error)) }, 'stopped; opening the lease book again goes on with it'));
    running.add(ended);
    void ended.then(() => running.delete(ended));
  };
  /** Steps at one target one after another: what one reads before it acts must not be what another is changing. */
  const start = (ticket: ActTicket): void => {
    const lane = JSON.stringify([ticket.step.connector, ticket.step.target]);
    stepsRunning.add(ticket.stepId);
    background(ticket.stepId, runStep(context, ticket.stepId, (task) => inLane(lane, task)).finally(() => stepsRunning.delete(ticket.stepId)));
  };
  const stranger = (code: Refusal, message: string): void => {
    tally.count(code);
    logger.warn({ code, reason: plainDetail(message) }, 'turned away what nobody trusted has signed for this executor');
  };
  const headEntry = (log: string, head: Admission['head']): BookEntry[] => (head === null ? [] : [{ t: 'head', log, ...head }]);
  const mustTake = (): void => {
    if (closing) throw new WorkerError('closing', 'this executor is closing');
    if (options.takesBackOnly === true) throw new WorkerError('closing', 'this executor only takes back');
    if (book.fault !== null) throw new WorkerError('book', 'the lease book cannot be written: nothing is given', { cause: book.fault });
  };

  /** What was taken up or answered before is not looked at again: it is said again. */
  const isKnown = ({ stepId, issue, kind }: AnyTicket): boolean => {
    if (kind !== 'act') {
      const answer = reads.get(`${stepId} ${issue}`);
      if (answer !== undefined && answer !== null) outbox.add(answer);
      return answer !== undefined;
    }
    const step = book.state.steps.get(stepId);
    if (step === undefined || !answers(step, issue)) return false;
    if (step.resolved !== null) outbox.add(step.resolved.report);
    return true;
  };
  const takeAct = async (admission: Extract<Admission, { kind: 'act' }>): Promise<void> => {
    const { ticket, plan, order, head } = admission;
    await book.append(
      ...headEntry(ticket.log, head), ...(order === null ? [] : [{ t: 'order' as const, order: order.envelope }]),
      { t: 'claim', ticket, plan, order: order?.digest ?? null },
    );
    revoker.tick();
    const { log, changeId, stepId, issue } = ticket;
    outbox.add(report({ kind: 'claimed', log, changeId, stepId, issue }));
    logger.info({ changeId, stepId, issue }, 'step claimed');
    if (!stepsRunning.has(stepId)) start(ticket);
  };
  const takeRead = async (ticket: ReadTicket | DiscoverTicket, head: Admission['head']): Promise<void> => {
    const key = `${ticket.stepId} ${ticket.issue}`;
    reads.set(key, null);
    if (ticket.kind === 'discover') pages.push(key);
    if (pages.length > PAGES_KEPT) reads.delete(pages.shift()!);
    await book.append(...headEntry(ticket.log, head)).catch((error: unknown) => {
      reads.delete(key);
      throw error;
    });
    background(ticket.stepId, (ticket.kind === 'read' ? runRead(context, ticket) : runDiscovery(context, ticket)).then((message) => sayRead(key, message)));
  };
  const sayRead = (key: string, message: ReportMessage | null): void => {
    if (message === null) return;
    reads.set(key, message);
    const [oldest] = reads.keys();
    if (reads.size > READS_MAX && oldest !== undefined) reads.delete(oldest);
    outbox.add(message);
  };
  const answerRefusal = async (refused: Refused): Promise<Acceptance> => {
    const { ticket, code, message } = refused;
    if (ticket === null) {
      stranger(code, message);
      throw new ProtocolError(code, message);
    }
    const head = book.state.heads.get(ticket.log);
    if (isKnown(ticket)) {
      await book.durable();
    } else if (code === 'inconsistent-checkpoint' && head !== undefined) {
      logger.warn({ log: ticket.log, size: head.size, reason: message }, 'a receipt that does not continue what was seen of this log');
      return { accepted: false, code, fromSize: head.size, root: head.root };
    } else if (isOpen(book.state.steps.get(ticket.stepId))) {
      // An earlier issue is under way and will be answered for; a no to this one would say that nothing was done.
      logger.warn({ stepId: ticket.stepId, issue: ticket.issue, code }, 'a later issue would have been refused while an earlier one runs');
    } else {
      await sayNo(ticket, refused);
    }
    return { accepted: true };
  };
  /** A signed no, final for this issue: it is kept before it is said. */
  const sayNo = async (ticket: AnyTicket, refused: Refused): Promise<void> => {
    const { log, stepId, issue } = ticket;
    const said = { outcome: 'refused', code: refused.code, detail: plainDetail(refused.message) } as const;
    const head = headEntry(log, refused.head);
    logger.warn({ stepId, issue, code: refused.code, reason: said.detail }, 'step refused');
    if (ticket.kind !== 'act') {
      await book.append(...head);
      return sayRead(`${stepId} ${issue}`, ticket.kind === 'read' ? readReport(context, ticket, said, null) : discoveredReport(context, ticket, said, null));
    }
    const { changeId } = ticket;
    const message = report({ kind: 'acted', log, changeId, stepId, issue, attempt: 0, ...said, before: null, after: null, byUse: 'notTried', seal: null });
    await book.append(...head, { t: 'resolved', stepId, issue, outcome: 'refused', report: message });
    outbox.add(message);
  };
  const take = async (admission: Extract<Admission, { ok: true }>): Promise<Acceptance> => {
    const { ticket, head } = admission;
    if (isKnown(ticket)) await book.durable();
    else if (admission.kind !== 'act') await takeRead(admission.ticket, head);
    else {
      const { plan, order } = admission;
      const refused = locked(context, plan, admission.ticket) ?? outOfTurn(context, admission.ticket, plan, order);
      if (refused !== null) {
        if (await claims.isElsewhere(leaseIdOf(leaseChangeOf(plan)))) throw new WorkerError('elsewhere', 'another worker has begun this change: it goes on with it');
        return answerRefusal({ ok: false, ...refused, ticket, head });
      }
      await takeAct(admission);
    }
    return { accepted: true };
  };
  const hold = async (raw: unknown, traceparent?: unknown): Promise<{ readonly held: HeldOrder; readonly stored: Promise<void> }> => {
    const admission = admitOrder(raw, { trust, executorId });
    if (!admission.ok) {
      stranger(admission.code, admission.message);
      throw new ProtocolError(admission.code, admission.message);
    }
    const { held } = admission;
    if (!connectors.has(held.order.connector)) {
      if (!foreign.has(held.digest)) tally.count('unknown-connector');
      foreign.add(held.digest);
      const [oldest] = foreign;
      if (foreign.size > FOREIGN_MAX && oldest !== undefined) foreign.delete(oldest);
      throw new WorkerError('connector', `no connector ${held.order.connector} here`);
    }
    const known = book.state.orders.has(held.digest);
    const stored = known ? book.durable() : book.append({ t: 'order', order: held.envelope });
    traces?.ordered(held.order, traceparent);
    // Acting does not wait for the disk.
    revoker.tick();
    const told = revoker.reportOf(held);
    if (told !== null) outbox.add(told);
    return { held, stored };
  };

  const worker: Worker = {
    async arm(raw) {
      const { held, stored } = await hold(raw);
      await stored;
      logger.info({ leaseId: held.order.leaseId, notBefore: held.order.notBefore }, 'revoke armed');
    },
    async step(raw, traceparent) {
      mustTake();
      const nowMs = clock.nowMs();
      const admission = admit(raw, {
        trust, executorId, nowMs, head: (log) => book.state.heads.get(log) ?? null, connectors: new Set(connectors.keys()), beganAtMs: (ticket) => beganAtMs(book.state, ticket),
      });
      const answer = (): Promise<Acceptance> => (admission.ok ? take(admission) : answerRefusal(admission));
      // What nobody trusted has signed is in nobody's trace.
      return traces === undefined || admission.ticket === null ? answer() : traces.taking(admission.ticket, traceparent, admission.ok ? null : admission.code, answer);
    },
    async revoke(raw, traceparent) {
      const { held, stored } = await hold(raw, traceparent);
      try {
        await stored;
      } catch (error) {
        if (held.dueMs > clock.nowMs()) throw error;
        logger.error({ leaseId: held.order.leaseId, reason: String(error) }, 'the lease book cannot be written: the revoke is carried out all the same');
      }
    },
    async disarm(raw) {
      const admission = admitOrder(raw, { trust, executorId });
      if (!admission.ok) throw new ProtocolError(admission.code, admission.message);
      await book.durable();
      if (!isVoid(book.kept, admission.held)) throw new ProtocolError('order-mismatch', 'no extension was applied here that supersedes the order: it will be carried out');
    },
    believes(statement) {
      if (statement.payloadType !== LOCK_TYPE) return admitOrder(statement, { trust, executorId }).ok;
      try {
        openLock(statement, trust);
        return true;
      } catch (error) {
        if (error instanceof ProtocolError) return false;
        throw error;
      }
    },
    async carriedOut(raw) {
      const admission = admitOrder(raw, { trust, executorId });
      if (!admission.ok) throw new ProtocolError(admission.code, admission.message);
      await revoker.idle(admission.held.order.leaseId);
    },
    async lock(raw) {
      let lock: BelievedLock;
      try {
        lock = openLock(raw, trust);
      } catch (error) {
        if (error instanceof ProtocolError) stranger(error.code, error.message);
        throw error;
      }
      const { op, lockId, by } = lock.statement;
      if (isKnownLock(book.state.locks, lock)) return book.durable();
      const stored = book.append({ t: 'lock', lock: lock.envelope });
      // What waits for its target is looked at again now.
      context.pauses.wake();
      options.heard?.(lock.envelope);
      logger.warn({ lockId, by, authority: lock.authority }, op === 'set' ? 'locked' : 'a lock is lifted');
      await stored;
    },
    locks: () => statementsOf(book.state.locks),
    tellEnds: () => claims.tell(),
    connected: (log) => outbox.flush(log),
    state() {
      run ??= newWorker();
      const refused = tally.counted();
      return { run, ...(refused.length === 0 ? {} : { refused }), ...(book.fault === null ? {} : { trouble: 'lease-book' as const }) };
    },
    knows: () => workerKnows((run ??= newWorker()), [...trust.requirements.floors]),
    setAside: (code) => tally.count(code),
    watched: () => ({ ...revoker.owed(), reportsWaiting: outbox.waiting(), bookOk: book.fault === null, bookFailures, refused: tally.counted() }),
    get healthy() {
      return !closing && book.fault === null;
    },
    async close() {
      if (closing) return;
      closing = true;
      context.pauses.wake();
      const done = Promise.all([revoker.close(), ...running]).then(() => undefined);
      await within(clock, limits.closeTimeoutMs, () => done).catch(() => logger.warn({}, 'closing with something still open; the lease book knows what'));
      outbox.close();
      await book.close();
    },
  };

  for (const message of book.state.unsent.values()) outbox.add(message);
  revoker.tick();
  const resume = (): void => {
    // What could not be stored was not said either.
    for (const message of book.state.unsent.values()) outbox.add(message);
    for (const [stepId, step] of book.state.steps) if (isOpen(step) && step.claim !== null && !stepsRunning.has(stepId)) start(step.claim.ticket);
  };
  // A book that cannot be written takes back and gives nothing.
  if (options.takesBackOnly === true) return worker;
  if (book.fault === null) resume();
  book.onFault(() => {
    bookFailures += 1;
    if (book.fault?.code === 'unwritable') background('lease book', mendBook(context, resume));
  });
  return worker;
}

function isOpen(step: StepState | undefined): boolean {
  return step !== undefined && step.claim !== null && step.resolved === null;
}

/** Whether `issue` of a step has been taken up or answered, or can have no effect any more because another has had its own. */
function answers({ claim, resolved }: StepState, issue: number): boolean {
  if (resolved === null) return claim !== null && claim.ticket.issue >= issue;
  // What was to take away and failed has changed nothing, and is asked for again until it is done.
  const mayBeTriedAgain = resolved.outcome === 'failed' && claim !== null && takesAway(claim.ticket.step.action);
  const final = resolved.outcome !== 'refused' && resolved.outcome !== 'drifted' && !mayBeTriedAgain;
  return final || resolved.issue >= issue;
}
