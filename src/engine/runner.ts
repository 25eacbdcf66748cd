/** Drives every open change by what its state asks for: in steady running and after a start alike. */
import { isAtRest } from '../change/at-rest.ts';
import { nextWork } from '../change/work.ts';
import type { ChangeState } from '../change/state.ts';
import type { EngineContext } from './engine.ts';
import { audienceOf, createPace } from './pace.ts';
import { traced } from './traced.ts';
import { mayUseStanding, nextStandingMs, useStanding } from './standing-approvals.ts';

export interface Runner {
  wake(changeId: string): void;
  /** Changes that wait for a target which another one keeps. */
  wakeWaiting(): void;
  connected(audience: string): void;
  /** Resolves once nothing is being done about the change: what was due has been, or had its try. */
  idle(changeId: string): Promise<void>;
  close(): void;
}

/** One loop a change, at most one piece of work of it at a time; a failure waits and is tried again, others go on. */
export function startRunner(context: EngineContext): Runner {
  const { store, clock, logger, limits } = context;
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const waiting = new Set<string>();
  const timers = new Map<string, () => void>();
  const failures = new Map<string, number>();
  const pace = createPace(clock, limits);
  let closed = false;

  const cancelTimer = (changeId: string): void => {
    timers.get(changeId)?.();
    timers.delete(changeId);
  };
  const wakeAt = (changeId: string, atMs: number): void => {
    cancelTimer(changeId);
    // Timers hold at most 2^31-1 ms: a farther time is looked at again on the way.
    timers.set(changeId, clock.after(Math.min(Math.max(atMs - clock.nowMs(), 0), 2 ** 31 - 1), () => wake(changeId)));
  };
  const wake = (changeId: string): void => {
    if (closed) return;
    cancelTimer(changeId);
    if (running.has(changeId)) {
      again.add(changeId);
      return;
    }
    running.set(changeId, loop(changeId).finally(() => {
      running.delete(changeId);
      if (again.delete(changeId)) wake(changeId);
    }));
  };

  /** The change, and whichever its work looks at: whose lease it extends, and whose part it is. */
  const load = async (changeId: string): Promise<ChangeState | undefined> => {
    const state = await store.load(changeId);
    if (state?.request.kind === 'extend') await store.load(state.request.change);
    if (state !== undefined && state.parent !== null) await store.load(state.parent);
    return store.load(changeId);
  };

  /** Does what is due until nothing is, then arranges to be woken. Never rejects. */
  const loop = async (changeId: string): Promise<void> => {
    while (!closed) {
      try {
        const state = await load(changeId);
        if (state === undefined) return;
        if (!store.isDurable(state)) {
          await store.durable();
          continue;
        }
        if (await step(state)) {
          failures.delete(changeId);
          continue;
        }
        return;
      } catch (error) {
        const latest = store.inMemory(changeId);
        const takesBack = latest !== undefined && latest.revokes.length > 0 && store.isDurable(latest);
        if (context.log.failed !== null && !takesBack) {
          logger.error({ changeId, error: String(error) }, 'the ledger is not writable: nothing more is given');
          return;
        }
        const count = (failures.get(changeId) ?? 0) + 1;
        failures.set(changeId, count);
        const waitMs = Math.min(limits.retryMs.first * 2 ** Math.min(count - 1, 16), limits.retryMs.longest);
        logger.warn({ changeId, attempt: count, waitMs, error: error instanceof Error ? error.message : String(error) }, 'work failed and will be tried again');
        wakeAt(changeId, clock.nowMs() + waitMs);
        return;
      }
    }
  };

  /** One piece of work. False when there is nothing to do now. */
  const step = async (state: ChangeState): Promise<boolean> => {
    const due = nextWork(state, clock.nowMs(), limits, store.nextAtMs());
    if (due.work === null && mayUseStanding(state) && (await useStanding(context, state.changeId))) return true;
    if (due.work === null) {
      if (isAtRest(state)) {
        pace.forget(state.changeId);
        failures.delete(state.changeId);
        waiting.delete(state.changeId);
      }
      const wakeAtMs = Math.min(due.wakeAtMs ?? Infinity, (mayUseStanding(state) ? nextStandingMs(context, state) : null) ?? Infinity);
      if (wakeAtMs < Infinity) wakeAt(state.changeId, wakeAtMs);
      return false;
    }
    const notBeforeMs = pace.notBefore(state, due.work);
    if (notBeforeMs !== null) {
      wakeAt(state.changeId, Math.min(notBeforeMs, due.wakeAtMs ?? Infinity));
      return false;
    }
    // Said before looking, so that what it would wait for cannot happen unheard in between.
    waiting.add(state.changeId);
    const outcome = await traced(context, state, due.work);
    if (outcome === 'waiting') {
      if (due.wakeAtMs !== null) wakeAt(state.changeId, due.wakeAtMs);
      return false;
    }
    waiting.delete(state.changeId);
    pace.done(state, due.work);
    // Work that left no record and is not paced would be due again at once, and again: nothing else would ever run.
    if ((await store.load(state.changeId))!.length === state.length && pace.notBefore(state, due.work) === null) {
      wakeAt(state.changeId, clock.nowMs() + limits.retryMs.longest);
      return false;
    }
    return true;
  };

  return {
    wake,
    wakeWaiting() {
      for (const changeId of [...waiting]) wake(changeId);
    },
    connected(audience) {
      pace.connected(audience);
      for (const state of store.open()) if (audienceOf(state) === audience || audienceOf(state) === null) wake(state.changeId);
    },
    async idle(changeId) {
      for (let doing = running.get(changeId); doing !== undefined; doing = running.get(changeId)) await doing;
    },
    close() {
      closed = true;
      for (const changeId of [...timers.keys()]) cancelTimer(changeId);
    },
  };
}
