/** Threads that check bundles of records, and the signatures in them, ahead of the one pass that has the last word. For Node only: nothing that verifies imports this. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { BundleChecker, CheckerAnswer, RawBundle, Verifier } from '../../ledger/index.ts';
import type { Proven } from '../protocol/dsse.ts';
import type { Dsse } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { ProvenSignature, ThreadAnswer, ThreadData, ThreadQuestion } from './bundle-thread.ts';

/** Bundles that a thread has before it: one that it is at, and those that keep it from waiting for the pass. */
const AHEAD_PER_THREAD = 4;
/** Records from which on starting threads costs less than they save. */
const SIZE_MIN = 4_096;
/** A thread holds a few bundles of at most 16 MB and what is parsed of them. */
const THREAD_MEMORY_MB = 512;

/** A thread ended, or could not be started: nothing can be said about the ledger, neither good nor bad. */
export class ThreadError extends Error {
  readonly code = 'verifier-thread';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ThreadError';
  }
}

export interface BundleThreads {
  readonly checker: BundleChecker;
  readonly proven: Proven;
  /** Ends every thread. What was asked and is not answered is rejected. */
  close(): Promise<void>;
}

interface Asked {
  resolve(answer: ThreadAnswer): void;
  reject(error: Error): void;
}
interface Thread {
  readonly worker: Worker;
  readonly asked: Map<number, Asked>;
}

/**
 * So many threads, started when the first bundle is there to be checked. They know the keys of `trust`, whose signatures they check; what is
 * signed by anybody else is left to the pass. Null for none, and where no signature is to be checked: all else costs less than handing a bundle over.
 *
 * @param options.signal once it is aborted, what was asked is rejected with its reason
 */
export function openBundleThreads(count: number, trust: Trust | null, options: { readonly sizeMin?: number; readonly file?: URL; readonly signal?: AbortSignal } = {}): BundleThreads | null {
  if (count < 1 || trust === null) return null;
  const data: ThreadData = { keys: keysOf(trust) };
  const threads: Thread[] = [];
  let nextId = 1;
  let closed: Error | null = null;
  let proven = new Map<string, ProvenSignature>();

  const give = (up: Error): void => {
    closed ??= up;
    for (const one of threads) rejectAll(one, closed);
  };
  const stop = (): void => give(options.signal?.reason instanceof Error ? options.signal.reason : new ThreadError('the verifier was stopped'));
  options.signal?.addEventListener('abort', stop);

  const start = (): Thread => {
    const thread: Thread = { worker: new Worker(options.file ?? threadFile(), { workerData: data, name: 'countersign-verify', env: {}, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: THREAD_MEMORY_MB } }), asked: new Map() };
    const fail = (message: string, cause?: unknown): void => give(new ThreadError(`a thread of the verifier ${message}: nothing was verified`, { cause }));
    thread.worker.on('message', (answer: ThreadAnswer) => {
      const asked = thread.asked.get(answer.id);
      thread.asked.delete(answer.id);
      asked?.resolve(answer);
    });
    thread.worker.on('error', (cause) => fail(`failed (${cause instanceof Error ? cause.message : 'unknown'})`, cause));
    thread.worker.on('exit', (code) => fail(`ended with ${code}`));
    return thread;
  };

  const ask = (bundle: RawBundle): Promise<ThreadAnswer> => {
    if (closed !== null) return Promise.reject(closed);
    while (threads.length < count) threads.push(start());
    const thread = threads.reduce((least, one) => (one.asked.size < least.asked.size ? one : least));
    const question: ThreadQuestion = { id: nextId++, bundle };
    return new Promise((resolve, reject) => {
      thread.asked.set(question.id, { resolve, reject });
      thread.worker.postMessage(question);
    });
  };

  return {
    checker: {
      sizeMin: options.sizeMin ?? SIZE_MIN,
      ahead: AHEAD_PER_THREAD * count,
      async check(bundle): Promise<CheckerAnswer> {
        const answer = await ask(bundle);
        return {
          holds: answer.holds,
          // Only what is of the bundle that the pass is at is remembered.
          reached: () => void (proven = new Map(answer.proven.map((one) => [one[3], one]))),
        };
      },
    },
    proven: {
      has(key: Verifier, { payloadType, payload, signatures: [signature] }: Dsse) {
        const known = signature === undefined ? undefined : proven.get(signature.sig);
        return known !== undefined && known[0] === key.vkey && known[1] === payloadType && known[2] === payload;
      },
    },
    async close() {
      options.signal?.removeEventListener('abort', stop);
      give(new ThreadError('the verifier was closed'));
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}

function rejectAll({ asked }: Thread, error: Error): void {
  for (const { reject } of asked.values()) reject(error);
  asked.clear();
}

function keysOf({ sidecars, executors, requirements }: Trust): string[] {
  const all = [...[...sidecars.values()].flat().map(({ vkey }) => vkey), ...[...executors.values()].map(({ key }) => key.vkey), ...requirements.revokers.map(({ key }) => key)];
  return [...new Set(all)];
}

/** Compiled code has it beside itself; a Node that strips types runs the source, one that does not what was last compiled of it. */
function threadFile(own: string = import.meta.url): URL {
  if (!own.endsWith('.ts')) return new URL('./bundle-thread.js', own);
  const { typescript } = process.features as { readonly typescript?: unknown };
  if (typescript === 'strip' || typescript === 'transform') return new URL('./bundle-thread.ts', own);
  const compiled = new URL('../../dist/src/evidence/bundle-thread.js', own);
  if (!existsSync(compiled)) throw new ThreadError(`${fileURLToPath(compiled)} is missing: run \`npm run build\` first`);
  return compiled;
}
