/** Worker threads that policy is evaluated in, so that an evaluation can be killed and holds up nobody else. */
import { Worker } from 'node:worker_threads';
import type { PolicyImage } from './evaluator.ts';
import { EngineFault, isEngineFaultCode } from './fault.ts';
import { workerFile } from './worker-file.ts';
import type { Answer, Question } from './worker.ts';

export interface PoolLimits {
  /** From a thread's taking up the question to its answer. */
  readonly deadlineMs: number;
  /** From the question to a thread's taking it up. */
  readonly waitMs: number;
  /** From the start of a thread to its policy being loaded. */
  readonly loadDeadlineMs: number;
  readonly workersMax: number;
  /** Questions that may wait for a thread. */
  readonly waitingMax: number;
  /**
   * Questions that a thread is given beyond the one that it is at, so that it need not be woken for each; left out: none. One that does not
   * end holds up those behind it until its deadline: for those who have many questions and wait for all of the answers.
   */
  readonly aheadMax?: number;
}

interface Job {
  readonly question: Question;
  /** First for its waiting, then for its evaluation. */
  timer: NodeJS.Timeout;
  resolve(value: unknown): void;
  reject(fault: EngineFault): void;
}
interface Thread {
  readonly worker: Worker;
  state: 'loading' | 'idle' | 'busy' | 'ended';
  /** The first is the one that it is at; it takes them in this order. */
  readonly jobs: Job[];
}

/**
 * One thread from the start, more while all are busy. A thread that misses a deadline is killed and replaced: only the question that it was at is
 * lost, those that wait go to other threads.
 */
export class Pool {
  readonly #image: PolicyImage;
  readonly #limits: PoolLimits;
  readonly #file = workerFile();
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  #nextId = 1;
  #closed = false;

  constructor(image: PolicyImage, limits: PoolLimits) {
    this.#image = image;
    this.#limits = limits;
  }

  /** Resolves when one thread has loaded the policy. @throws EngineFault why it could not; no thread is left. */
  async start(): Promise<void> {
    await this.#spawn();
  }

  /** The entrypoint's value. @throws EngineFault */
  evaluate(entrypoint: string, input: string): Promise<unknown> {
    if (this.#closed) return Promise.reject(new EngineFault('closed', 'the policy engine is closed'));
    if (this.#waiting.length >= this.#limits.waitingMax) return Promise.reject(new EngineFault('overloaded', `${this.#waiting.length} questions wait already`));
    return new Promise((resolve, reject) => {
      const question: Question = { id: this.#nextId++, entrypoint, input };
      const timer = setTimeout(() => this.#giveUp(job), this.#limits.waitMs);
      const job: Job = { question, timer, resolve, reject };
      this.#waiting.push(job);
      this.#assign();
    });
  }

  /** Every question is answered with a fault and no thread is left. */
  async close(): Promise<void> {
    this.#closed = true;
    const fault = new EngineFault('closed', 'the policy engine is closed');
    for (const job of this.#waiting.splice(0)) settle(job, fault);
    await Promise.all([...this.#threads].map((thread) => this.#end(thread, fault)));
  }

  #assign(): void {
    // Each thread its first before any its second: none is idle beside one that has several.
    for (let depth = 0; depth <= (this.#limits.aheadMax ?? 0); depth += 1) {
      for (const thread of this.#threads) {
        if (thread.state !== 'idle' && thread.state !== 'busy') continue;
        if (thread.jobs.length !== depth) continue;
        const job = this.#waiting.shift();
        if (job === undefined) break;
        this.#give(thread, job);
      }
    }
    const [loading, behind] = [...this.#threads].reduce(([count, sum], { jobs, state }) => [count + (state === 'loading' ? 1 : 0), sum + Math.max(0, jobs.length - 1)], [0, 0]);
    if (this.#waiting.length + behind > loading && this.#threads.size < this.#limits.workersMax) {
      this.#spawn().catch((cause: unknown) => this.#abandon(cause));
    }
  }

  #give(thread: Thread, job: Job): void {
    clearTimeout(job.timer);
    thread.jobs.push(job);
    if (thread.jobs.length === 1) this.#begin(thread, job);
    thread.worker.postMessage(job.question);
  }

  /** The thread is at this question now. */
  #begin(thread: Thread, job: Job): void {
    if (thread.state === 'idle') thread.worker.ref();
    thread.state = 'busy';
    // An answer that has arrived, but that a busy main thread has not looked at yet, is still an answer: look once more.
    job.timer = setTimeout(() => setImmediate(() => this.#expire(thread, job)), this.#limits.deadlineMs);
  }

  #spawn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.#file, {
        workerData: this.#image,
        name: 'countersign-pdp',
        env: {},
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: 64 },
      });
      const thread: Thread = { worker, state: 'loading', jobs: [] };
      this.#threads.add(thread);
      const timer = setTimeout(() => fail(new EngineFault('timed-out', 'the policy was not loaded in time')), this.#limits.loadDeadlineMs);
      const fail = (fault: EngineFault): void => {
        clearTimeout(timer);
        reject(fault);
        this.#end(thread, fault).catch(reject);
      };
      worker.on('message', (answer: Answer) => {
        if (answer.id === 0) {
          if (thread.state !== 'loading') return;
          if ('fault' in answer) return fail(asFault(answer));
          clearTimeout(timer);
          this.#rest(thread);
          resolve();
        } else this.#answered(thread, answer);
      });
      worker.on('error', (cause) => fail(new EngineFault('crashed', `the policy thread failed: ${cause instanceof Error ? cause.message : 'unknown'}`, { cause })));
      worker.on('exit', () => fail(new EngineFault('crashed', 'the policy thread ended')));
    });
  }

  #answered(thread: Thread, answer: Answer): void {
    const [job, next] = thread.jobs;
    if (job?.question.id !== answer.id) return;
    thread.jobs.shift();
    settle(job, 'fault' in answer ? asFault(answer) : { value: answer.value });
    if (next === undefined) return this.#rest(thread);
    this.#begin(thread, next);
    this.#assign();
  }

  /** The thread waits for work, and does not keep the process alive. */
  #rest(thread: Thread): void {
    thread.state = 'idle';
    thread.worker.unref();
    this.#assign();
  }

  #giveUp(job: Job): void {
    const position = this.#waiting.indexOf(job);
    if (position < 0) return;
    this.#waiting.splice(position, 1);
    settle(job, new EngineFault('overloaded', `no thread took the question up within ${this.#limits.waitMs} ms`));
  }

  #expire(thread: Thread, job: Job): void {
    if (thread.jobs[0] !== job) return;
    this.#end(thread, new EngineFault('timed-out', `no answer within ${this.#limits.deadlineMs} ms`)).catch((cause: unknown) => this.#abandon(cause));
    // Who asks next should not have to wait for a thread to start: what ran away once is soon asked again, and takes up the one that is left.
    if (!this.#closed && this.#threads.size < this.#limits.workersMax) this.#spawn().catch((cause: unknown) => this.#abandon(cause));
  }

  /** The thread is killed, the question that it was at answered with `fault`, and those behind it and those that wait go elsewhere. */
  async #end(thread: Thread, fault: EngineFault): Promise<void> {
    if (thread.state === 'ended') return;
    thread.state = 'ended';
    this.#threads.delete(thread);
    const [job, ...behind] = thread.jobs.splice(0);
    if (job !== undefined) settle(job, fault);
    if (this.#closed) for (const one of behind) settle(one, fault);
    else this.#waiting.unshift(...behind.map((one) => this.#waitsAgain(one)));
    const ended = thread.worker.terminate();
    if (!this.#closed) this.#assign();
    await ended;
  }

  #waitsAgain(job: Job): Job {
    job.timer = setTimeout(() => this.#giveUp(job), this.#limits.waitMs);
    return job;
  }

  /** No thread can be started: what waits is told so, instead of waiting for its deadline. */
  #abandon(cause: unknown): void {
    if (this.#threads.size > 0) return;
    const fault = cause instanceof EngineFault ? cause : new EngineFault('crashed', 'no policy thread can be started', { cause });
    for (const job of this.#waiting.splice(0)) settle(job, fault);
  }
}

function settle(job: Job, outcome: EngineFault | { value: unknown }): void {
  clearTimeout(job.timer);
  if (outcome instanceof EngineFault) job.reject(outcome);
  else job.resolve(outcome.value);
}

function asFault(answer: { fault: string; message: string }): EngineFault {
  return new EngineFault(isEngineFaultCode(answer.fault) ? answer.fault : 'crashed', answer.message);
}
