/** A store of secrets in memory: what is staged, what is found at each path, and what was found there before. */
import { TargetError } from '../../src/executor/connector.ts';
import type { Sink } from '../../src/executor/sink.ts';

export interface MemorySink {
  /** A connection of one run of a program: once that has ended, its calls are never answered. */
  sink(run: { readonly alive: boolean }): Sink;
  /** By path, oldest first; the last is what is found there. */
  readonly found: Map<string, { readonly secret: string; readonly by: string }[]>;
  readonly staged: Map<string, string>;
  /** While set, every call fails so. */
  fails: TargetError['kind'] | null;
  /** While true, no call is ever answered. */
  hangs: boolean;
  /** Called at every call, before anything happens. */
  watch: (operation: SinkOperation) => void;
}

type SinkOperation = 'stage' | 'publish' | 'settle' | 'withdraw';

export function memorySink(): MemorySink {
  const found: MemorySink['found'] = new Map();
  const staged = new Map<string, string>();
  const memory: MemorySink = {
    found, staged, fails: null, hangs: false, watch: () => undefined,
    sink(run) {
      const call = <T>(operation: SinkOperation, effect: () => T): Promise<T> => {
        const isAlive = (): boolean => run.alive;
        if (!isAlive()) return new Promise(() => undefined);
        memory.watch(operation);
        // Killed in the middle, or never answered.
        if (!isAlive() || memory.hangs) return new Promise(() => undefined);
        if (memory.fails !== null) return Promise.reject(new TargetError(memory.fails, 'the sink does not keep it'));
        return Promise.resolve(effect());
      };
      return {
        stage: ({ clientToken }, secret) => call('stage', () => void staged.set(clientToken, secret)),
        publish: ({ path, clientToken }) => call('publish', () => {
          const versions = found.get(path) ?? [];
          const secret = staged.get(clientToken);
          if (versions.at(-1)?.by !== clientToken) {
            if (secret === undefined) throw new TargetError('unreachable', 'nothing is staged');
            found.set(path, [...versions, { secret, by: clientToken }]);
          }
          staged.delete(clientToken);
        }),
        settle: (clientToken) => call('settle', () => {
          for (const [path, versions] of found) found.set(path, versions.slice(Math.max(0, versions.findIndex(({ by }) => by === clientToken))));
        }),
        withdraw: (clientToken) => call('withdraw', () => {
          staged.delete(clientToken);
          for (const [path, versions] of found) found.set(path, versions.filter(({ by }) => by !== clientToken));
        }),
      };
    },
  };
  return memory;
}
