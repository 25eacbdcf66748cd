/** Those who say that what policy would take back is taken back, where it would be much at once; and some who may not. All seeded. */
import { askOf } from './asking.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** Sets them to work until `untilMs`. */
export function startPolicyActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const round = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    const held = world.engine()?.heldRevokes() ?? null;
    if (held !== null && held.changes.length > 0) {
      if (rng.chance(0.3)) {
        void ask((engine) => engine.confirmHeld('person:mallory', held.digest, null)).then((answer) => {
          if (answer?.ok === true) oracle.broken(19, 'somebody who may revoke nothing has confirmed what waits');
        });
      }
      if (rng.chance(0.7)) void ask((engine) => engine.confirmHeld('person:sam', held.digest, 'yes'));
    }
    scheduler.after(rng.between(2_000, 6_000), 'somebody looks at what waits', round);
  };
  scheduler.after(rng.between(2_000, 6_000), 'somebody looks at what waits', round);
}
