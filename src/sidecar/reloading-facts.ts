/** Facts that follow their files: what is in force is what the files say, or, where they cannot be read, what they last said. */
import type { Clock, Logger } from '../engine/ports.ts';
import { lintFacts } from '../facts/check.ts';
import { FactsError, type Facts } from '../facts/load.ts';

export interface ReloadingFacts {
  current(): Facts;
  /** Looks at the files now, or after a look that is under way. Never rejects: facts that cannot be believed change nothing, and grow old. */
  reload(): Promise<void>;
  /** The files and lines that kept the last look from being taken; null while what the files say is in force. */
  trouble(): string | null;
  close(): void;
}

/** Facts that have not changed are taken as new after this long, so that they are not stale merely for being right. */
const RENEW_AFTER_MS = 6 * 3_600_000;
/** Lines of the log, each time that the facts change. */
const WARNINGS_MAX = 20;
const PLACES_MAX = 3;

/** @throws what `load` throws, when it fails the first time */
export async function openFacts(options: { load: (nowMs: number) => Promise<Facts>; clock: Clock; logger: Logger; everyMs: number }): Promise<ReloadingFacts> {
  const { load, clock, logger, everyMs } = options;
  let facts = await load(clock.nowMs());
  warnOf(facts, logger);
  let cancel: () => void = () => undefined;
  let closed = false;
  let trouble: string | null = null;
  const read = async (): Promise<void> => {
    try {
      const next = await load(clock.nowMs());
      trouble = null;
      const changed = JSON.stringify(next.digests) !== JSON.stringify(facts.digests);
      if (changed) {
        logger.info({ ...next.digests }, 'facts changed');
        warnOf(next, logger);
      }
      // Where the clock was ahead and was set back, those before are of a time that is not yet: nothing is decided on such.
      const isAhead = facts.loadedAtMs > next.loadedAtMs;
      if (changed || isAhead || next.loadedAtMs - facts.loadedAtMs >= RENEW_AFTER_MS) facts = next;
    } catch (error) {
      trouble = placesIn(error);
      logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the facts files cannot be believed; the facts before stay in force');
    }
  };
  let last: Promise<void> = Promise.resolve();
  /** One after another: what is under way may have read what was replaced since, and must not be taken after it. */
  const reload = (): Promise<void> => (last = last.then(read));
  const later = (): void => {
    cancel = clock.after(everyMs, () => {
      void reload().then(() => {
        if (!closed) later();
      });
    });
  };
  later();
  return {
    current: () => facts,
    reload,
    trouble: () => trouble,
    close() {
      closed = true;
      cancel();
    },
  };
}

/** Where, and not what: anybody may ask whether the sidecar is well, and what is written there is for the log. */
function placesIn(error: unknown): string {
  if (!(error instanceof FactsError)) return 'a facts file';
  const places = [...new Set(error.issues.map(({ file, line }) => (line === null ? file : `${file}:${line}`)))];
  const further = places.length - PLACES_MAX;
  return `${places.slice(0, PLACES_MAX).join(', ')}${further > 0 ? ` and ${further} more place${further === 1 ? '' : 's'}` : ''}`;
}

/** Says what will deny or strand a change later, before somebody asks for it. */
function warnOf(facts: Facts, logger: Logger): void {
  const warnings = lintFacts(facts.value);
  for (const { code, about, message } of warnings.slice(0, WARNINGS_MAX)) logger.warn({ code, about }, `facts: ${about}: ${message}`);
  if (warnings.length > WARNINGS_MAX) logger.warn({ count: warnings.length - WARNINGS_MAX }, 'facts: more of the same');
}
