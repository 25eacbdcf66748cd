/** A worker on a bench: a disk in memory that can be read at any moment, a target, a clock, and a sidecar that writes down what it hears. */
import type { AppendFile, Disk } from '../../ledger/index.ts';
import { TransportError, type Logger } from '../../src/engine/ports.ts';
import type { WorkerLimits } from '../../src/executor/context.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type { Sink } from '../../src/executor/sink.ts';
import type { Said } from '../../src/executor/reports.ts';
import { openWorker, type Worker } from '../../src/executor/worker.ts';
import type { Tracer } from '../../src/tracing/trace.ts';
import { anyReportSchema, type AnyReport } from '../../src/protocol/discovery.ts';
import { openDsse } from '../../src/protocol/dsse.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import { REPORT_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import type { MemoryBoard } from './memory-board.ts';
import { fakeClock, type FakeClock } from './fake-clock.ts';
import { memoryTarget, type MemoryTarget } from './memory-target.ts';
import { EXECUTOR, keys, START_MS, storyTrust, type TrustEdit } from './story.ts';

export interface Bench {
  readonly clock: FakeClock;
  readonly target: MemoryTarget;
  readonly disk: BenchDisk;
  /** Reports that the sidecar acknowledged, opened under the executor's key, oldest first. */
  readonly reports: readonly AnyReport[];
  readonly messages: readonly ReportMessage[];
  /** While false, nobody is there to hear reports. */
  listening: boolean;
  /** While true, no secret can be sealed. */
  sealFails: boolean;
  /** Reports that the sidecar turns down. */
  turnsDown: (report: AnyReport) => boolean;
  start(): Promise<Worker>;
  /** The process is gone: nothing that it began is ever answered. The next start finds the disk as it is, or as `disk` says. */
  kill(survives?: 'synced' | 'written'): void;
  /** The reports of one kind. */
  of<K extends AnyReport['kind']>(kind: K): readonly Extract<AnyReport, { kind: K }>[];
}

export type DiskOperation = 'append' | 'sync';

export interface BenchDisk {
  /** What a file holds: all that was written, and how much of it is synced. */
  readonly files: Map<string, { bytes: Buffer; synced: number }>;
  /** Called before each operation; may throw in its place. */
  watch: (operation: DiskOperation) => void;
}

const QUIET: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** The sealed secret, in the stand-in for age that these tests use. */
export function unsealed(ciphertext: string): { readonly secret: string; readonly recipient: string } {
  return JSON.parse(Buffer.from(ciphertext, 'base64').toString('utf8')) as { secret: string; recipient: string };
}

export function createBench(settings: { readonly trust?: TrustEdit; readonly limits?: Partial<WorkerLimits>; readonly logger?: Logger; readonly tracer?: Tracer; readonly reported?: (report: Said) => void; readonly wrap?: (connector: Connector) => Connector; /** Another worker of the same executor: at its target, by its clock. */ readonly beside?: Bench; readonly board?: MemoryBoard; readonly sinks?: (run: { readonly alive: boolean }) => ReadonlyMap<string, Sink>; /** Shown every report as it is made. */ readonly observe?: (message: ReportMessage) => void; /** Shown every lock that is news. */ readonly heard?: (lock: Dsse) => void } = {}): Bench {
  const clock = settings.beside?.clock ?? fakeClock(START_MS);
  const target = settings.beside?.target ?? memoryTarget(clock);
  const disk: BenchDisk = { files: new Map(), watch: () => undefined };
  const messages: ReportMessage[] = [];
  const reports: AnyReport[] = [];
  const locks = new Set<string>();
  let run: { alive: boolean; end: () => void } | null = null;
  let drawn = settings.beside === undefined ? 0 : 100;

  const bench: Bench = {
    clock, target, disk, reports, messages, listening: true, sealFails: false, turnsDown: () => false,
    of: <K extends AnyReport['kind']>(kind: K) => reports.filter((report): report is Extract<AnyReport, { kind: K }> => report.kind === kind),
    start() {
      const port = clock.port();
      const mine = { alive: true, end: () => port.end() };
      run = mine;
      return openWorker({
        executorId: EXECUTOR, signer: keys.executor, trust: storyTrust(settings.trust), connectors: new Map([['pg-main', (settings.wrap ?? ((connector) => connector))(target.connector(mine))]]),
        ...(settings.sinks === undefined ? {} : { sinks: settings.sinks(mine) }),
        disk: diskOf(disk, mine, locks), clock: port, random: (length) => {
          drawn += 1;
          return new Uint8Array(length).fill(drawn % 256);
        },
        seal: (secret, recipient) => (bench.sealFails ? Promise.reject(new Error('no such recipient')) : Promise.resolve(Buffer.from(JSON.stringify({ secret, recipient, n: drawn })))),
        fingerprintKey: Buffer.alloc(32, 1),
        logger: settings.logger ?? QUIET, limits: settings.limits ?? {}, ...(settings.board === undefined ? {} : { board: settings.board.of(mine) }),
        ...(settings.tracer === undefined ? {} : { tracer: settings.tracer }), ...(settings.reported === undefined ? {} : { reported: settings.reported }),
        ...(settings.observe === undefined ? {} : { observe: settings.observe }),
        ...(settings.heard === undefined ? {} : { heard: settings.heard }),
        send: async (message) => {
          if (!mine.alive || !bench.listening) throw new TransportError('unreachable', 'nobody is there');
          const report = openDsse(message.report, REPORT_TYPE, anyReportSchema, [storyTrust().executors.get(EXECUTOR)!.key]);
          if (bench.turnsDown(report)) throw new TransportError('rejected', 'not recorded');
          messages.push(message);
          reports.push(report);
        },
      });
    },
    kill(survives = 'synced') {
      if (run === null) throw new Error('nothing runs');
      run.alive = false;
      run.end();
      run = null;
      locks.clear();
      for (const file of disk.files.values()) {
        if (survives === 'synced') file.bytes = file.bytes.subarray(0, file.synced);
        file.synced = file.bytes.byteLength;
      }
    },
  };
  return bench;
}

function diskOf(disk: BenchDisk, run: { readonly alive: boolean }, locks: Set<string>): Disk {
  const { files } = disk;
  const unused = (): never => {
    throw new Error('the lease book does not use this');
  };
  const stillAlive = (): boolean => run.alive;
  const answered = async <T>(act: () => T): Promise<T> => {
    if (!run.alive) return new Promise<T>(() => undefined);
    const value = act();
    await Promise.resolve();
    // Killed in the middle: done, and nobody hears of it.
    return stillAlive() ? value : new Promise<T>(() => undefined);
  };
  return {
    read: (path) => answered(() => files.get(path)?.bytes ?? null),
    size: (path) => answered(() => files.get(path)?.bytes.byteLength ?? null),
    openAppend: (path) => answered((): AppendFile => {
      const file = files.get(path) ?? { bytes: Buffer.alloc(0), synced: 0 };
      files.set(path, file);
      return {
        get size() {
          return file.bytes.byteLength;
        },
        append: (bytes) => answered(() => {
          disk.watch('append');
          file.bytes = Buffer.concat([file.bytes, bytes]);
        }),
        sync: () => answered(() => {
          disk.watch('sync');
          file.synced = file.bytes.byteLength;
        }),
        truncate: (size) => answered(() => {
          file.bytes = file.bytes.subarray(0, size);
          file.synced = size;
        }),
        check: () => answered(() => undefined),
        close: () => answered(() => undefined),
      };
    }),
    lock: (path) => answered(() => {
      if (locks.has(path)) throw Object.assign(new Error('held'), { code: 'locked' });
      locks.add(path);
      return Object.assign(async () => void locks.delete(path), { check: () => Promise.resolve() });
    }),
    writeDurable: (path, bytes) => answered(() => {
      disk.watch('append');
      disk.watch('sync');
      files.set(path, { bytes: Buffer.from(bytes), synced: bytes.byteLength });
    }),
    readRange: unused, writeDerived: unused, overwrite: unused, list: unused, remove: unused, settle: unused, free: unused, placeOf: unused,
  };
}
