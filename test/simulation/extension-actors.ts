/** Those who ask for more time, again and again: for leases that run, and for some that do not. All seeded. */
import { extendRequestFor } from '../../src/engine/extending.ts';
import { askOf } from './asking.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** Sets them to work until `untilMs`. */
export function startExtensionActors(world: World, rng: Rng, untilMs: number): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const round = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    for (const state of [...(world.engine()?.all() ?? [])]) {
      if (!rng.chance(state.name === 'active' ? 0.5 : 0.02)) continue;
      const request = extendRequestFor(state, { duration: `PT${rng.between(10, 90)}S`, reason: 'not finished yet' });
      if (request !== null) void ask((engine) => engine.request(state.requester, request, null));
    }
    scheduler.after(rng.between(3_000, 12_000), 'those who need more time look', round);
  };
  scheduler.after(rng.between(5_000, 20_000), 'those who need more time look', round);
}
