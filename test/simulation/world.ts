/** The simulated world: one sidecar's host, two executors' hosts, their keys, trust, targets and policy; started, killed and started again. */
import { LedgerError, openLog, parseVerifier, type Disk, type Log, type RecordDraft, type SignedHead } from '../../ledger/index.ts';
import { DEFAULT_LIMITS, openEngine, type Engine, type EngineLimits } from '../../src/engine/engine.ts';
import type { Captured } from '../../src/engine/fold.ts';
import { TransportError, type Clock, type DeliveryStore, type Logger, type Transport } from '../../src/engine/ports.ts';
import type { SnapshotPlace } from '../../src/engine/snapshot.ts';
import { openStore } from '../../src/engine/store.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type { WorkerLimits } from '../../src/executor/context.ts';
import { openWorker, type Worker } from '../../src/executor/worker.ts';
import type { Facts } from '../../src/facts/load.ts';
import type { ObserveScope } from '../../src/facts/observe.ts';
import { keepAnchors } from '../../src/witnessing/anchors.ts';
import { startWitnessing, type Witnessing } from '../../src/witnessing/witnessing.ts';
import { anyTicketSchema } from '../../src/protocol/discovery.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import type { Replayer } from '../../src/evidence/replay.ts';
import { comparable } from './comparable.ts';
import { countingStanding, EXECUTORS, familiar, fixtures, GLASS_FLOOR, logLines, ORIGIN, NO_FLOORS, START_MS, underObserve, UNHELD_FLOORS, type Keys } from './fixtures.ts';
import { whatListsGetWrong } from './listed.ts';
import { keepAnswers } from './replaying.ts';
import type { Rng } from './rng.ts';
import { createSigning, type Signing } from './signing.ts';
import type { Process, Scheduler } from './scheduler.ts';
import { ofBefore, usesIn } from './old-executor.ts';
import { createSimDisk, type SimDisk } from './sim-disk.ts';
import { createSimPolicy } from './sim-policy.ts';
import { createSimTarget, type Access, type SimTarget } from './sim-target.ts';
import { createWitnesses } from './sim-witnesses.ts';
import { createNetwork, type SimNetwork } from './sim-transport.ts';

export const APPLY_TIMEOUT_MS = 3_000;
const WORKER_LIMITS: Partial<WorkerLimits> = {
  applyTimeoutMs: APPLY_TIMEOUT_MS, settleMs: 500, askTimeoutMs: 2_000, revokeTimeoutMs: 3_000, useTimeoutMs: 3_000, retryMs: { first: 100, longest: 2_000 }, notYetRetryMs: { first: 500, longest: 5_000 },
  revokeRetryMs: { first: 200, longest: 4_000 }, reportRetryMs: { first: 200, longest: 4_000 }, sendTimeoutMs: 4_000, closeTimeoutMs: 3_000,
};
/** Seldom-fetched secrets, slow approvers and short leases, so that a run of minutes sees them all. */
const LIMITS: EngineLimits = { ...DEFAULT_LIMITS, ticketSeconds: 60, approvalSeconds: 120, republishMs: 5_000, retryMs: { first: 100, longest: 4_000 }, overdueAfterMs: 20_000, deliveryMs: 60_000, stalledAfterMs: 60_000 };

/** Ports as a run hands them to the code; a broken world replaces some. */
export interface Wraps {
  readonly log?: (log: Log) => Log;
  readonly sidecarDisk?: (disk: Disk, sim: SimDisk) => Disk;
  readonly snapshots?: (place: SnapshotPlace) => SnapshotPlace;
  readonly executorDisk?: (disk: Disk, sim: SimDisk) => Disk;
  readonly executorClock?: (clock: Clock) => Clock;
  readonly transport?: (transport: Transport) => Transport;
  readonly connector?: (connector: Connector) => Connector;
  readonly pdp?: (pdp: Pdp) => Pdp;
  readonly executorTrust?: (trust: Trust) => Trust;
  readonly seal?: (secret: string, recipient: string) => Promise<Uint8Array>;
  /** Callers' code runs without waiting for the answer to its claim. */
  readonly hastyCallers?: boolean;
  /** Whether there are witnesses in the run, and two of three are demanded; `ignored`: by nobody but the oracle. Left out: in one run of five. */
  readonly witnesses?: 'demanded' | 'ignored';
  /** A bundle that follows gives its name to what answered before. */
  readonly bundlesInNameOnly?: boolean;
  /** Executors say that they hold a lock, and do not. */
  readonly deafToLocks?: boolean;
}

/** What happens in the world that the oracle judges. */
export interface Watchers {
  /** Records as they are sequenced, not durable yet. */
  readonly appended: (record: RecordDraft & { readonly seq: number }) => void;
  readonly given: (connector: string, access: Access) => void;
  /** Access was given a later end. */
  readonly extended: (connector: string, access: Access, step: PlanStep, sentAtMs: number) => void;
  /** A target that ends nothing itself has said that an extension is there, though nothing of it may have reached it. */
  readonly seenExtended: (access: Access, step: Pick<PlanStep, 'stepId'>) => void;
  /** The sidecar asks that an order act no more. */
  readonly disarmed: (order: Dsse) => void;
  /** A step was done that gives nothing. */
  readonly done: (connector: string, step: PlanStep, sentAtMs: number) => void;
  readonly bytes: (where: string, bytes: Uint8Array) => void;
  readonly sealed: (secret: string, ciphertext: Uint8Array) => void;
  /** An executor of before has turned away what a standing approval approves, and the sidecar has heard it of a ticket from since it was last there anew. */
  readonly turnedAway: (audience: string, approvalIds: readonly string[]) => void;
  /** The sidecar has begun, or hears that this executor is there anew: it need not know what it turned away. */
  readonly thereAnew: (audience: string) => void;
  /** A process that should have started did not, or something was thrown that nobody expected. */
  readonly broken: (invariant: number, message: string) => void;
}

export interface Node {
  readonly name: string;
  readonly disk: SimDisk;
  /** Milliseconds that its clock is off the true time. */
  offsetMs: number;
  process: Process | null;
  /** It is down until then; null while it runs or starts. */
  downUntilMs: number | null;
  /** Whether it is down through no fault of its program. */
  excused: boolean;
  /** When it last could not work, through no fault of its program. */
  impededMs: number;
  /** Of an executor: whether its program is of before standing approvals, from its next start on. */
  isOfBefore: boolean;
}

export interface World {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly sidecar: Node;
  readonly executors: ReadonlyMap<string, Node>;
  readonly targets: ReadonlyMap<string, SimTarget>;
  readonly trust: Trust;
  readonly facts: Facts;
  /** Those that are in force now. */
  factsNow(): Facts;
  readonly keys: Keys;
  readonly signing: Signing;
  readonly limits: EngineLimits;
  /** Null while the sidecar is down or starting. */
  engine(): Engine | null;
  log(): Log | null;
  worker(audience: string): Worker | null;
  /** Another policy bundle comes into force, where the sidecar runs and can record it. */
  replaceBundle(): void;
  start(node: Node): void;
  kill(node: Node, downMs: number, how: 'kill' | 'power'): void;
  policyFaulty: boolean;
  policyFaultySinceMs: number;
  /** Whether the directory and inventory have just become stricter: who asked has left, and purposes are withdrawn. */
  strictFacts: boolean;
  /** From now on these scopes are under observe, in a run that has any. */
  observe(scopes: readonly ObserveScope[]): void;
  /** Whether the sidecar's own trust folder asks for less than those of its executors and of the auditor. */
  readonly isLax: boolean;
  /** Each scope that was under observe at a time since then. */
  observedSince(sinceMs: number): ObserveScope[];
  /** Whether a quorum of witnesses is demanded in this run. */
  readonly witnessed: boolean;
  /** Whether leases that run are decided on again in this run. */
  readonly redecides: boolean;
  /** Whether a maintenance calendar is kept in this run. */
  readonly hasCalendar: boolean;
  readonly hastyCallers: boolean;
  /** Whether others deleted accounts in this run. */
  foreignHands: boolean;
  /** Whether the sidecar's clock was farther off in this run than executors tolerate. */
  wildClock: boolean;
  /** Whether the sidecar's clock was set back in this run: what executors make of its tickets and orders is another matter, and what is on record is not. */
  isSetBack: boolean;
  /** Whether the sidecar's policy is not what this run's policy says. */
  readonly liesAboutPolicy: boolean;
  /** Gives the answers of this run's policy again. */
  readonly replayer: Replayer;
  /** Client tokens of what somebody put back after it was taken back. */
  readonly resurrected: Set<string>;
  /** Client tokens of steps that a thief with another sidecar's keys sends. */
  readonly rogueTokens: Set<string>;
}

export interface WorldOptions {
  readonly hasCalendar?: boolean;
  /** What is under observe at first; null where nothing ever is. */
  readonly observed?: readonly ObserveScope[] | null;
  readonly isLax?: boolean;
  /** Whether the floors of executors count standing approvals, in a run in which people give some; null where nobody ever does. */
  readonly standing?: 'counted' | 'uncounted' | null;
  /** Whether floors let anybody break the glass. */
  readonly isBreakable?: boolean;
  /** Until when keys of people end, in a run in which any do; null where none does. */
  readonly keysEndUntilMs?: number | null;
}

/** A world at rest: nothing is started yet. */
export async function createWorld(scheduler: Scheduler, rng: Rng, wraps: Wraps, watchers: Watchers, { hasCalendar = false, observed: atFirst = null, isLax = false, standing = null, isBreakable = false, keysEndUntilMs = null }: WorldOptions = {}): Promise<World> {
  const { keys, trust: usual, pdp, ...made } = await fixtures();
  const floors = [...usual.requirements.floors, ...(atFirst === null ? [] : UNHELD_FLOORS)];
  const signing = createSigning(rng.fork('signing'), START_MS, keysEndUntilMs ?? START_MS, keysEndUntilMs !== null);
  const plain: Trust = { ...usual, signers: signing.signers, requirements: { ...usual.requirements, floors: standing === 'counted' ? countingStanding(floors) : floors, ...(isBreakable ? { breakGlass: [GLASS_FLOOR] } : {}) } };
  const chance = rng.fork('whether there are witnesses').chance(0.2);
  const witnesses = wraps.witnesses !== undefined || chance ? createWitnesses(scheduler, rng.fork('witnesses'), logLines(keys), parseVerifier(keys.log.vkey)) : null;
  const demanded = wraps.witnesses === 'ignored' ? null : witnesses;
  const trust: Trust = demanded === null ? plain : { ...plain, policy: demanded.policy };
  /** Steps that came to an executor under a checkpoint that a quorum had cosigned. */
  const cosignedSteps = new Set<string>();
  const kept = hasCalendar ? made.withCalendar : made;
  const { facts, strictFacts } = standing === null ? kept : { facts: familiar(kept.facts), strictFacts: familiar(kept.strictFacts) };
  const scopes: { readonly sinceMs: number; readonly held: readonly ObserveScope[]; readonly facts: Facts; readonly strictFacts: Facts }[] = [];
  const observe = (held: readonly ObserveScope[]): void => void scopes.push({ sinceMs: scheduler.nowMs(), held, facts: underObserve(facts, held), strictFacts: underObserve(strictFacts, held) });
  if (atFirst !== null) observe(atFirst);
  const node = (name: string): Node => ({
    name, disk: createSimDisk(scheduler, rng.fork(`disk ${name}`), (path, bytes) => watchers.bytes(`${name}:${path}`, bytes)),
    offsetMs: rng.between(-400, 400), process: null, downUntilMs: START_MS, excused: true, impededMs: START_MS, isOfBefore: false,
  });
  const sidecar = node('sidecar');
  const executors = new Map<string, Node>(EXECUTORS.map(({ audience }) => [audience, node(audience)]));
  const network = createNetwork(scheduler, rng.fork('network'), (text) => watchers.bytes('the wire', Buffer.from(text)));
  const nativeExpiry = rng.chance(0.5);
  const targets = new Map<string, SimTarget>(EXECUTORS.map(({ connector, target }) => [connector, createSimTarget(scheduler, rng.fork(`target ${connector}`), {
    connector, target, nativeExpiry, effectDeadlineMs: APPLY_TIMEOUT_MS, onGive: (access) => {
      if (witnesses !== null && !cosignedSteps.has(access.stepId)) watchers.broken(16, `${access.stepId} gave access under a checkpoint that no quorum of witnesses had cosigned`);
      watchers.given(connector, access);
    }, onExtend: (access, step, sentAtMs) => watchers.extended(connector, access, step, sentAtMs),
    onSeenExtended: (access, step) => watchers.seenExtended(access, step),
    onDone: (step, sentAtMs) => watchers.done(connector, step, sentAtMs),
  })]));
  targets.get('pg-main')!.addAccount('app', 'ci_deployer', []);
  targets.get('pg-main')!.addAccount('app', 'warehouse_sync', ['table:public.orders:SELECT']);
  addLogins(targets.get('pg-main')!);
  targets.get('pg-dev')!.addAccount('app_dev', 'report_preview', []);
  const answers = keepAnswers();
  const engines = new Map<Process, { readonly engine: Engine; readonly log: Log }>();
  const workers = new Map<Process, Worker>();
  const randoms = rng.fork('randomness of programs');
  const redeciding = rng.fork('redeciding');
  const redecision = redeciding.chance(0.6) ? { everyMs: 2_000, confirmAbove: { percent: 20, leases: redeciding.pick([5, 5, 0]) } } : null;
  const policies = createSimPolicy({
    pdp, scheduler, answers, rng: randoms, escalations: rng.fork('escalations'), isFaulty: () => world.policyFaulty, wrap: (one) => wraps.pdp?.(one) ?? one, namedOnly: wraps.bundlesInNameOnly === true,
  });
  const logger = (name: string): Logger => ({
    info: (fields, message) => scheduler.trace(`${name}: ${message}${message === 'overtaken' ? ` ${JSON.stringify(fields)}` : ''}`),
    warn: (fields, message) => scheduler.trace(`${name}: ${message} ${JSON.stringify(fields)}`),
    error: (fields, message) => scheduler.trace(`${name}: ${message} ${JSON.stringify(fields)}`),
  });

  const snapshotDisk = memoryDisk();

  const startSidecar = async (process: Process): Promise<void> => {
    const clock = scheduler.clock(process, sidecar);
    const port = sidecar.disk.port(process);
    const disk = wraps.sidecarDisk?.(port, sidecar.disk) ?? port;
    const opened = await openLog({
      origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer: keys.log, now: () => clock.nowMs(), setTimer: (callback, delayMs) => clock.after(delayMs, callback),
    });
    const log = observed(rememberingObjects(wraps.log?.(opened) ?? opened), watchers.appended);
    if (log.recovered !== null) {
      log.append([systemDraft('ledger.recovered', log.recovered, `sidecar:${log.logId}`, clock.nowMs()).draft]);
      scheduler.trace(`sidecar: cut a torn end of ${log.recovered.bytesCut} bytes`);
    }
    const line = network.transport(process);
    const transport = watched(line, log);
    const witnessing = demanded === null ? undefined : await startedWitnessing(process, log, clock);
    const usually: SnapshotPlace = { disk: snapshotDisk, directory: 'state', signer: keys.log, code: 'sim', every: { running: 25, closing: 1 } };
    const snapshots = wraps.snapshots?.(usually) ?? usually;
    const unlike = await whatSnapshotsGetWrong(log, snapshots);
    if (unlike !== null) watchers.broken(5, unlike);
    /** Each change as the engine has it, in memory or not. */
    const states = new Map<string, ChangeState>();
    const engine = await openEngine({
      snapshots, atRestMax: 3, onEvents: (state) => void states.set(state.changeId, state),
      log, pdp: policies.start(process), facts: () => world.factsNow(), transport: wraps.transport?.(transport) ?? transport, deliveries: deliveryStore(disk),
      trust: world.isLax ? { ...trust, requirements: { ...trust.requirements, floors: NO_FLOORS } } : trust, witnesses: witnessing, ticketSigner: keys.ticket, executorOf: (connector) => EXECUTORS.find((one) => one.connector === connector)?.audience,
      connectors: EXECUTORS.map(({ connector }) => connector), clock, random: (length) => randoms.bytes(length), logger: logger('sidecar'), limits: LIMITS, version: '0.0.0-sim', ...(redecision === null ? {} : { redecision }),
    });
    const anchors = keepAnchors({ log, clock, logger: logger('sidecar'), lastSize: engine.lastAnchored(), record: (checkpoint, size) => engine.recordAnchor(checkpoint, size) });
    witnessing?.tell((head) => anchors.cosigned(head));
    for (const changeId of engine.index.newest()) {
      const state = await engine.find(changeId);
      if (state !== undefined && !states.has(changeId)) states.set(changeId, state);
    }
    engines.set(process, { engine: { ...engine, all: () => states.values(), get: (changeId) => states.get(changeId) }, log });
  };
  const watched = (line: Transport, log: Log): Transport => {
    const thereSince = new Map<string, number>();
    for (const { audience } of EXECUTORS) watchers.thereAnew(audience);
    return {
      ...line,
      disarm(audience, order) {
        watchers.disarmed(order);
        return line.disarm(audience, order);
      },
      publishStep: (audience, envelope) => line.publishStep(audience, envelope).catch((error: unknown) => {
        const uses = usesIn(envelope);
        const isOfBefore = error instanceof TransportError && error.message.startsWith(`${audience}: malformed: `) && uses.length > 0;
        if (isOfBefore && envelope.receipt.index >= (thereSince.get(audience) ?? 0)) watchers.turnedAway(audience, uses);
        throw error;
      }),
      onConnected: (connected) => line.onConnected((audience) => {
        watchers.thereAnew(audience);
        thereSince.set(audience, log.size);
        connected(audience);
      }),
    };
  };
  const startedWitnessing = async (process: Process, log: Log, clock: Clock): Promise<Witnessing & { tell(callback: (head: SignedHead) => void): void }> => {
    let tell: (head: SignedHead) => void = () => undefined;
    const witnessing = startWitnessing({
      log, verifier: parseVerifier(keys.log.vkey), policy: witnesses!.policy, http: witnesses!.http(process), clock, logger: logger('sidecar'), retryMs: { first: 200, longest: 3_000 }, cosigned: (head) => tell(head),
      // A head is signed once its records are durable, so nothing that a crash takes away can have been cosigned.
      conflict: (error) => watchers.broken(5, `a witness contradicts an honest log: ${error.message}`),
    });
    await witnessing.asked(3_000);
    return { ...witnessing, tell: (callback) => void (tell = callback) };
  };
  const startExecutor = async (executor: Node, process: Process): Promise<void> => {
    const { audience, connector } = EXECUTORS.find((one) => one.audience === executor.name)!;
    const offClock = scheduler.clock(process, executor);
    const clock = wraps.executorClock?.(offClock) ?? offClock;
    const port = executor.disk.port(process);
    const target = targets.get(connector)!.connector(process);
    const worker = await openWorker({
      executorId: audience, signer: keys.executors.get(audience)!, trust: wraps.executorTrust?.(trust) ?? trust,
      connectors: new Map([[connector, wraps.connector?.(target) ?? target]]), disk: wraps.executorDisk?.(port, executor.disk) ?? port, clock,
      random: (length) => randoms.bytes(length), fingerprintKey: Buffer.alloc(32, 7), logger: logger(audience),
      seal: async (secret, recipient) => {
        const ciphertext = await scheduler.call(process, `${audience} seals`, 0, () => sealFor(secret, recipient, randoms.bytes(16)));
        watchers.sealed(secret, ciphertext);
        return wraps.seal?.(secret, recipient) ?? ciphertext;
      },
      heard: (lock) => network.showLock(audience, lock), send: (message) => network.report(process, audience, message), limits: WORKER_LIMITS,
    });
    workers.set(process, worker);
    const step = executor.isOfBefore ? ofBefore(worker) : worker.step;
    network.listen(audience, {
      process, arm: (order) => worker.arm(order), disarm: (order) => worker.disarm(order), step: (envelope) => {
        if (witnesses?.haveCosigned(envelope) === true) cosignedSteps.add(readPayload(envelope.ticket, anyTicketSchema).stepId);
        return step(envelope);
      }, revoke: (order) => worker.revoke(order),
      lock: (lock) => (wraps.deafToLocks === true ? Promise.resolve() : worker.lock(lock)), locks: () => worker.locks(), connected: () => worker.connected(),
    });
  };

  let incarnation = 0;
  const world: World = {
    replayer: answers.replayer, liesAboutPolicy: wraps.pdp !== undefined, scheduler, network, sidecar, executors, targets, trust, facts, 
    factsNow: () => (scopes.at(-1) ?? { facts, strictFacts })[world.strictFacts ? 'strictFacts' : 'facts'],
    isLax, observe, observedSince: (sinceMs) => scopes.filter((_, index) => (scopes[index + 1]?.sinceMs ?? Infinity) >= sinceMs).flatMap(({ held }) => held),
    keys, signing, limits: LIMITS, policyFaulty: false, policyFaultySinceMs: START_MS, strictFacts: false, witnessed: demanded !== null, redecides: redecision !== null, hasCalendar, hastyCallers: wraps.hastyCallers === true, foreignHands: false, wildClock: false, isSetBack: false, resurrected: new Set(), rogueTokens: new Set(),
    engine: () => (sidecar.process === null ? null : (engines.get(sidecar.process)?.engine ?? null)),
    log: () => (sidecar.process === null ? null : (engines.get(sidecar.process)?.log ?? null)),
    worker: (audience) => {
      const process = executors.get(audience)?.process ?? null;
      return process === null ? null : (workers.get(process) ?? null);
    },
    replaceBundle() {
      const { process } = sidecar;
      const engine = world.engine();
      if (process === null || engine === null) return;
      const { pdp: next, took } = policies.next(process);
      engine.activateBundle(next).then(took, (error: unknown) => {
        if (!(error instanceof LedgerError)) watchers.broken(0, `a bundle cannot come into force: ${String(error)}`);
      });
    },
    start(target) {
      const process: Process = { node: target.name, incarnation: (incarnation += 1), alive: true };
      target.process = process;
      target.downUntilMs = null;
      target.excused = false;
      scheduler.trace(`${target.name} starts`);
      const starting = target === sidecar ? startSidecar(process) : startExecutor(target, process);
      starting.then(
        () => scheduler.trace(`${target.name} runs`),
        (error: unknown) => {
          if (error instanceof LedgerError && ['corrupt', 'rolled-back'].includes(error.code)) watchers.broken(5, `${target.name} cannot open what it wrote: ${error.message}`);
          else if (!mayHappen(error)) watchers.broken(0, `${target.name} does not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
          scheduler.trace(`${target.name} does not start: ${String(error)}`);
          const { syncFailed } = target.disk;
          world.kill(target, 2_000, 'kill');
          // Only a lost disk is an excuse: a full one keeps nobody from taking access back.
          target.excused = syncFailed;
        },
      );
    },
    kill(target, downMs, how) {
      if (target.process !== null) {
        target.process.alive = false;
        target.disk.kill(target.process);
        engines.delete(target.process);
        workers.delete(target.process);
      }
      if (how === 'power' || target.disk.syncFailed) target.disk.powerCut();
      target.process = null;
      target.excused = true;
      target.downUntilMs = scheduler.nowMs() + downMs;
      scheduler.trace(`${target.name} is gone (${how}) for ${downMs} ms`);
    },
  };
  return world;
}

/** Accounts that are rotated and shut out: one with twin logins, and some that log in themselves. */
function addLogins(target: SimTarget): void {
  target.addAccount('app', 'orders', ['table:public.orders:SELECT', 'table:public.orders:INSERT', 'table:public.orders:UPDATE'], true);
  target.addAccount('app', 'freight_sync', ['table:public.orders:SELECT'], true);
  target.addAccount('app', 'freight_labels', ['table:public.customers:SELECT'], true);
  target.logins.add('orders_a', 'orders', 2);
  for (const name of ['ci_deployer', 'warehouse_sync', 'freight_sync', 'freight_labels']) target.logins.add(name, null);
}

/** Two files, and nothing that takes time: what is written there is thrown away whenever it is not whole, and whether it is there changes nothing. */
function memoryDisk(): Disk {
  const files = new Map<string, Buffer>();
  return {
    read: async (path: string) => files.get(path) ?? null, remove: async (path: string) => void files.delete(path),
    openAppend: async (path: string) => ({
      append: async (bytes: Uint8Array) => void files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), bytes])),
      truncate: async () => void files.delete(path), close: async () => undefined,
    }),
  } as unknown as Disk;
}

/** Reads each object once, or once more where it was erased: the ledger is folded again and again here, and changes at rest are read again all the time. */
function rememberingObjects(log: Log): Log {
  const known = new Map<string, Uint8Array | null>();
  return new Proxy(log, {
    get(target, name) {
      if (name === 'object') {
        return async (digest: string): Promise<Uint8Array | null> => {
          const read = known.get(digest) ?? (await target.object(digest));
          known.set(digest, read);
          return read;
        };
      }
      if (name === 'erase') {
        return async (digests: readonly string[]): Promise<void> => {
          await target.erase(digests);
          for (const digest of digests) known.delete(digest);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** What the ledger comes to by its snapshot and without it is the same in everything, and lists have what they are to have; else what is not, in a sentence. */
async function whatSnapshotsGetWrong(log: Log, snapshots: SnapshotPlace): Promise<string | null> {
  const options = { nowMs: () => 0, actor: 'nobody', random: (length: number) => new Uint8Array(length), changed: () => undefined };
  // What is not durable yet may become so in between.
  const size = log.durableSize;
  const until = new Proxy(log, {
    get(target, name) {
      if (name === 'entries') return (from: number, to = size) => target.entries(from, to);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const all = await openStore(until, { ...options, atRestMax: Infinity });
  const found = await openStore(until, { ...options, snapshots }).catch((error: unknown) => {
    if (error instanceof LedgerError || mayHappen(error)) throw error;
    return String(error);
  });
  if (typeof found === 'string') return `from its snapshot on the ledger cannot be folded: ${found}`;
  const [whole, quick] = [all.capture(), found.capture()];
  for (const name of ['lastAtMs', 'logs', 'system', 'locks', 'standing', 'refused', 'reconciled', 'erasures', 'index'] as const) {
    if (comparable(quick[name]) !== comparable(whole[name])) return `by its snapshot the ledger comes to other ${name} than folded whole`;
  }
  const live = ({ live: states }: Captured): string => comparable(states.toSorted((a, b) => (a.changeId < b.changeId ? -1 : 1)));
  if (live(quick) !== live(whole)) return 'by its snapshot the ledger comes to other changes than folded whole';
  return whatListsGetWrong(found.index, [...all.all()]);
}

/** A disk that fails while a program starts is no fault of the program. */
function mayHappen(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && ['ENOSPC', 'EIO'].includes(String(cause.code))) return true;
  }
  return false;
}

function observed(log: Log, appended: Watchers['appended']): Log {
  return new Proxy(log, {
    get(target, name) {
      if (name === 'append') {
        return ((drafts, options) => {
          const appending = target.append(drafts, options);
          for (const { record } of appending.records) appended(record);
          return appending;
        }) satisfies Log['append'];
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Ciphertexts as files: durable once put. */
function deliveryStore(disk: Disk): DeliveryStore {
  const path = (digest: string): string => `deliveries/${digest.slice('sha256:'.length)}`;
  return { put: (digest, ciphertext) => disk.writeDurable(path(digest), ciphertext), get: (digest) => disk.read(path(digest)), remove: (digest) => disk.remove(path(digest)) };
}

/** Stands in for age: the bytes say nothing to anyone but {@link unseal}, and are other bytes each time. */
export function sealFor(secret: string, recipient: string, nonce: Uint8Array): Uint8Array {
  const plain = Buffer.from(JSON.stringify({ secret }));
  return Buffer.concat([nonce, plain.map((byte, at) => byte ^ keystream(recipient, nonce, at))]);
}
export function unseal(ciphertext: Uint8Array, recipient: string): string | null {
  const nonce = ciphertext.subarray(0, 16);
  try {
    const plain = ciphertext.subarray(16).map((byte, at) => byte ^ keystream(recipient, nonce, at));
    return (JSON.parse(Buffer.from(plain).toString('utf8')) as { secret: string }).secret;
  } catch {
    return null;
  }
}
function keystream(recipient: string, nonce: Uint8Array, at: number): number {
  return (recipient.charCodeAt(5 + ((at * 7) % 50)) * 31 + nonce[at % 16]! * 17 + at * 13 + 0x5a) & 0xff;
}
