/** Facts that follow their files: what is in force is what the files say, or, where they cannot be read, what they last said. */
import type { Clock, Logger } from '../engine/ports.ts';
import { lintFacts } from '../facts/check.ts';
import type { Facts } from '../facts/load.ts';

export interface ReloadingFacts {
  current(): Facts;
  /** Looks at the files now. Never rejects: facts that cannot be believed change nothing, and grow old. */
  reload(): Promise<void>;
  close(): void;
}

/** Facts that have not changed are taken as new after this long, so that they are not stale merely for being right. */
const RENEW_AFTER_MS = 6 * 3_600_000;
/** Lines of the log, each time that the facts change. */
const WARNINGS_MAX = 20;

/** @throws what `load` throws, when it fails the first time */
export async function openFacts(options: { load: (nowMs: number) => Promise<Facts>; clock: Clock; logger: Logger; everyMs: number }): Promise<ReloadingFacts> {
  const { load, clock, logger, everyMs } = options;
  let facts = await load(clock.nowMs());
  warnOf(facts, logger);
  let cancel: () => void = () => undefined;
  let closed = false;
  const reload = async (): Promise<void> => {
    try {
      const next = await load(clock.nowMs());
      const changed = JSON.stringify(next.digests) !== JSON.stringify(facts.digests);
      if (changed) {
        logger.info({ ...next.digests }, 'facts changed');
        warnOf(next, logger);
      }
      if (changed || next.loadedAtMs - facts.loadedAtMs >= RENEW_AFTER_MS) facts = next;
    } catch (error) {
      logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the facts files cannot be believed; the facts before stay in force');
    }
  };
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
    close() {
      closed = true;
      cancel();
    },
  };
}

/** Says what will deny or strand a change later, before somebody asks for it. */
function warnOf(facts: Facts, logger: Logger): void {
  const warnings = lintFacts(facts.value);
  for (const { code, about, message } of warnings.slice(0, WARNINGS_MAX)) logger.warn({ code, about }, `facts: ${about}: ${message}`);
  if (warnings.length > WARNINGS_MAX) logger.warn({ count: warnings.length - WARNINGS_MAX }, 'facts: more of the same');
}
