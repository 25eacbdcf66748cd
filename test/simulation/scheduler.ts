/**
 * One queue of events for the whole simulated world. Whatever leaves a process (a write, a message, a call to the target, a timer) becomes
 * an event; between two events only microtasks run, so code between two port calls is atomic, and a crash falls exactly at an await.
 */
import type { Clock } from '../../src/engine/ports.ts';
import type { Rng } from './rng.ts';

/** One run of a program on a node. A dead one's timers do not fire and its promises never settle. */
export interface Process {
  readonly node: string;
  readonly incarnation: number;
  alive: boolean;
}

/** Asked at every port call: may name the moment at which its process dies. */
export type CrashPlan = (process: Process, label: string) => 'before' | 'after' | null;

export interface Scheduler {
  nowMs(): number;
  readonly events: number;
  /** Runs `action` after `delayMs`, unless `owner` is dead by then. The returned function cancels it. */
  after(delayMs: number, label: string, action: () => void, owner?: Process | null): () => void;
  /** A port call of `process`: its effect happens in one event, and the promise settles then. Once the process is dead neither happens. */
  call<T>(process: Process, label: string, delayMs: number, effect: () => T): Promise<T>;
  /** A node's clock, so far off the true time as `offset` says at the moment. Timers belong to the process, and do not jump. */
  clock(process: Process, offset: { readonly offsetMs: number }): Clock;
  setCrashPlan(plan: CrashPlan, crash: (process: Process) => void): void;
  /** Runs events until `untilMs` or until `stop` holds; `check` runs after every event, once all microtasks have. */
  run(untilMs: number, check: () => Promise<void> | void, stop?: () => boolean): Promise<void>;
  trace(line: string): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly label: string;
  readonly owner: Process | null;
  readonly action: () => void;
  cancelled: boolean;
}

/** @param trace called with a readable line for each thing that happens, or null for none */
export function createScheduler(rng: Rng, startMs: number, trace: ((line: string) => void) | null): Scheduler {
  const heap: Event[] = [];
  let nowMs = startMs;
  let events = 0;
  let crashPlan: CrashPlan = () => null;
  let crash: (process: Process) => void = () => undefined;

  const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const push = (event: Event): void => {
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  };
  const pop = (): Event | undefined => {
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
      if (least === at) return top;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  };

  const scheduler: Scheduler = {
    nowMs: () => nowMs,
    get events() {
      return events;
    },
    after(delayMs, label, action, owner = null) {
      // Events of the same moment come in seeded order, not in the order of the calls.
      const event: Event = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order: rng.fraction(), label, owner, action, cancelled: false };
      push(event);
      return () => {
        event.cancelled = true;
      };
    },
    call(process, label, delayMs, effect) {
      return new Promise((resolve, reject) => {
        if (!process.alive) return;
        scheduler.after(delayMs, label, () => {
          const moment = crashPlan(process, label);
          if (moment === 'before') return crash(process);
          let outcome: () => void;
          try {
            const value = effect();
            outcome = () => resolve(value);
          } catch (error) {
            // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever the port threw is what its caller gets
            outcome = () => reject(error);
          }
          if (moment === 'after') return crash(process);
          outcome();
        }, process);
      });
    },
    clock: (process, offset) => ({
      nowMs: () => nowMs + offset.offsetMs,
      after: (delayMs, callback) => scheduler.after(delayMs, `timer of ${process.node}`, callback, process),
    }),
    setCrashPlan(plan, onCrash) {
      crashPlan = plan;
      crash = onCrash;
    },
    async run(untilMs, check, stop = () => false) {
      while (!stop()) {
        const event = heap[0];
        if (event === undefined || event.atMs > untilMs) {
          nowMs = Math.max(nowMs, untilMs);
          return;
        }
        pop();
        if (event.cancelled || event.owner?.alive === false) continue;
        nowMs = event.atMs;
        events += 1;
        if (trace !== null) trace(`${String(nowMs - startMs).padStart(8)} ms  ${event.label}`);
        event.action();
        // A macrotask later, every microtask that the event set off has run.
        await new Promise((resolve) => setImmediate(resolve));
        await check();
      }
    },
    trace(line) {
      if (trace !== null) trace(`${String(nowMs - startMs).padStart(8)} ms      ${line}`);
    },
  };
  return scheduler;
}
