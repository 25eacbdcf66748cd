/** How people, jobs and runs ask the sidecar: some time they have waited long enough. */
import type { Engine } from '../../src/engine/engine.ts';
import type { World } from './world.ts';

const WAIT_MS = 6_000;

/** Asks the sidecar; undefined when it is down, falls over, or takes too long: then nobody knows what became of it. */
export type Ask = <T>(what: (engine: Engine) => Promise<T>, failed?: (error: unknown) => void) => Promise<T | undefined>;

export function askOf(world: World): Ask {
  return (what, failed) =>
    new Promise((resolve) => {
      const engine = world.engine();
      if (engine === null) {
        resolve(undefined);
        return;
      }
      world.scheduler.after(WAIT_MS, 'a caller has waited long enough', () => resolve(undefined));
      Promise.resolve().then(() => what(engine)).then(resolve, (error: unknown) => {
        failed?.(error);
        resolve(undefined);
      });
    });
}
