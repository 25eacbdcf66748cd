/**
 * What was set aside unbelieved, at executors and here: counted by reason, shown, and on record for each executor, at most once an hour.
 *
 * Executors say their counts unsigned: the record says what was said. A run counts from its beginning, and what the ledger has of it is not
 * recorded again.
 */
import type { SystemRecordBody } from '../evidence/record.ts';
import { REFUSALS, type Refusal } from '../protocol/signed.ts';
import { openTally, type Refused, type Tally } from '../protocol/worker-state.ts';
import type { EngineContext } from './engine.ts';

/** What the ledger says of one executor: when it was last told of, and how much of each run and reason. */
export interface RefusedOnRecord {
  readonly atMs: number;
  readonly counts: ReadonlyMap<string, number>;
}

export interface RefusedMessages {
  /** A run of the executor's workers, or the transport here (null), has set aside so much since it began. */
  heard(audience: string, run: string | null, refused: readonly Refused[]): void;
  /** Another message of this executor was turned down here. */
  count(audience: string, code: Refusal): void;
  /** All that was set aside since this sidecar began, as far as it was heard. */
  of(audience: string): readonly Refused[];
  close(): void;
}

/** What comes in a burst is one record. */
const GATHER_MS = 5_000;
const EVERY_MS = 3_600_000;
/** Runs of one executor that are remembered: whoever makes up more is counted no further back. */
const RUNS_MAX = 64;
/** In one record; what is more is in the next. */
const ENTRIES_MAX = 256;

const keyOf = (run: string | null, code: Refusal): string => `${run ?? ''} ${code}`;

export function foldRefused(known: RefusedOnRecord | undefined, { refused }: SystemRecordBody<'messages.refused'>, atMs: number): RefusedOnRecord {
  const counts = new Map(known?.counts);
  for (const { run, code, count } of refused) {
    // What the sidecar itself counts begins anew with each start of it.
    if (run === null) continue;
    const key = keyOf(run, code);
    const before = counts.get(key) ?? 0;
    counts.delete(key);
    counts.set(key, before + count);
  }
  for (const oldest of counts.keys()) {
    if (counts.size <= RUNS_MAX * REFUSALS.length) break;
    counts.delete(oldest);
  }
  return { atMs, counts };
}

interface Counting {
  /** By run, the newest last; null: at this end. */
  readonly runs: Map<string | null, readonly Refused[]>;
  readonly here: Tally;
  /** What is on record of what is counted now. */
  readonly told: Map<string, number>;
  cancel: (() => void) | null;
}

export function countRefused({ store, clock, log, logger }: Pick<EngineContext, 'store' | 'clock' | 'log' | 'logger'>): RefusedMessages {
  const all = new Map<string, Counting>();
  let closed = false;
  const countingOf = (audience: string): Counting => {
    const known = all.get(audience) ?? { runs: new Map(), here: openTally(), told: new Map(store.refusedOf(audience)?.counts), cancel: null };
    all.set(audience, known);
    return known;
  };
  const rises = ({ runs, here, told }: Counting): SystemRecordBody<'messages.refused'>['refused'] => {
    const own = sumOf([...(runs.get(null) ?? []), ...here.counted()]);
    return [[null, own] as const, ...[...runs].filter(([run]) => run !== null)].flatMap(([run, refused]) => refused.flatMap(({ code, count }) => {
      const more = count - (told.get(keyOf(run, code)) ?? 0);
      return more > 0 ? [{ run, code, count: more }] : [];
    })).slice(0, ENTRIES_MAX);
  };
  const record = (audience: string, counting: Counting): void => {
    counting.cancel = null;
    const refused = rises(counting);
    if (closed || refused.length === 0) return;
    try {
      if (log.failed !== null) return;
      store.record('messages.refused', { executor: audience, refused });
    } catch (error) {
      return logger.warn({ executor: audience, error: error instanceof Error ? error.message : String(error) }, 'what was set aside could not be recorded; it is with the next');
    }
    for (const { run, code, count } of refused) counting.told.set(keyOf(run, code), (counting.told.get(keyOf(run, code)) ?? 0) + count);
    plan(audience, counting);
  };
  const plan = (audience: string, counting: Counting): void => {
    if (closed || counting.cancel !== null || rises(counting).length === 0) return;
    const lastMs = store.refusedOf(audience)?.atMs ?? Number.NEGATIVE_INFINITY;
    const delayMs = Math.min(Math.max(GATHER_MS, lastMs + EVERY_MS - clock.nowMs()), EVERY_MS);
    counting.cancel = clock.after(delayMs, () => record(audience, counting));
  };
  return {
    heard(audience, run, refused) {
      const counting = countingOf(audience);
      counting.runs.delete(run);
      counting.runs.set(run, refused);
      const [oldest] = [...counting.runs.keys()].filter((one) => one !== null);
      if (counting.runs.size > RUNS_MAX && oldest !== undefined) {
        counting.runs.delete(oldest);
        for (const code of REFUSALS) counting.told.delete(keyOf(oldest, code));
      }
      plan(audience, counting);
    },
    count(audience, code) {
      const counting = countingOf(audience);
      counting.here.count(code);
      plan(audience, counting);
    },
    of(audience) {
      const counting = all.get(audience);
      return counting === undefined ? [] : sumOf([...[...counting.runs.values()].flat(), ...counting.here.counted()]);
    },
    close() {
      closed = true;
      for (const { cancel } of all.values()) cancel?.();
    },
  };
}

function sumOf(refused: readonly Refused[]): Refused[] {
  return REFUSALS.flatMap((code) => {
    const count = refused.reduce((sum, one) => (one.code === code ? sum + one.count : sum), 0);
    return count === 0 ? [] : [{ code, count }];
  });
}
