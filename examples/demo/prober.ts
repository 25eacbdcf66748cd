/** Logs in all the time with the secret that it was told to use, as a service under load does, and remembers every login that failed. */
import { setTimeout as delay } from 'node:timers/promises';
import { check } from './check.ts';
import type { Database, Login } from './database.ts';

export interface Probed {
  readonly logins: number;
  readonly failures: readonly string[];
}

export interface Prober {
  /** Logins that begin from now on use this. */
  use(login: Login): void;
  /** Resolves once a login that began after this call has ended. */
  anew(): Promise<void>;
  /** Ends it. The same again gives the same. */
  close(): Promise<Probed>;
}

const EVERY_MS = 20;

export function openProber(database: Pick<Database, 'use'>, first: Login): Prober {
  let login = first;
  const ending = new AbortController();
  let begun = 0;
  let ended = 0;
  const failures: string[] = [];

  const probe = async (): Promise<void> => {
    const used = login;
    begun += 1;
    try {
      const use = await database.use(used, 'SELECT 1');
      if (!use.ok) failures.push(`${used.user}: ${use.code} ${use.message}`);
    } catch (error) {
      failures.push(`${used.user}: ${String(error)}`);
    }
    ended += 1;
  };
  const running = (async () => {
    while (!ending.signal.aborted) {
      const startedMs = performance.now();
      await probe();
      await delay(Math.max(0, EVERY_MS - (performance.now() - startedMs)));
    }
  })();

  return {
    use(next) {
      login = next;
    },
    async anew() {
      const mark = begun + 1;
      while (ended < mark && !ending.signal.aborted) await delay(EVERY_MS);
      check('the prober goes on', ended >= mark, { begun, ended });
    },
    async close() {
      ending.abort();
      await running;
      return { logins: ended, failures };
    },
  };
}
