/** The operator on call, who locks by hand: at each executor's own door, with her own key, whatever becomes of the sidecar. */
import { newLockId } from '../../src/engine/ids.ts';
import { LOCK_TYPE, type LockStatement } from '../../src/protocol/lock.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { EXECUTORS } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

type Locked = Extract<LockStatement, { op: 'set' }>;

/** Sets some until `untilMs`, each for a while. What was set is lifted in any case, and each is told again until it is held. */
export function startOperatorLocks(world: World, rng: Rng, oracle: Oracle, untilMs: number): void {
  const { scheduler } = world;
  /** Tells every executor, and those that were down or did not hear it again. */
  const tell = (statement: LockStatement, isOver: () => boolean, held: (audience: string) => void): void => {
    const envelope = signDsse(LOCK_TYPE, statement, world.keys.revoker);
    const missing = new Set(EXECUTORS.map(({ audience }) => audience));
    const round = (): void => {
      if (isOver()) return;
      for (const audience of missing) {
        world.network.sendLock(audience, envelope, () => {
          missing.delete(audience);
          held(audience);
        });
      }
      if (missing.size > 0) scheduler.after(rng.between(500, 3_000), 'the operator looks who holds it', round);
    };
    round();
  };
  const lock = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    const common = { v: 1 as const, log: null, lockId: newLockId(scheduler.nowMs(), (length) => rng.bytes(length)), by: 'person:sam' };
    const scope = rng.pick([{ nhi: null, connector: 'pg-main' }, { nhi: 'nhi:prod/ci-deployer', connector: null }, { nhi: 'nhi:prod/billing-export', connector: 'pg-main' }, { nhi: null, connector: 'pg-dev' }]);
    const set: Locked = { op: 'set', ...common, ...scope, at: formatTime(scheduler.nowMs()), reason: 'by hand' };
    let lifting = false;
    tell(set, () => lifting, (audience) => {
      if (!lifting) oracle.workflow.lockHeld(audience, set);
    });
    const old = signDsse(LOCK_TYPE, set, world.keys.revoker);
    scheduler.after(rng.between(2_000, 60_000), 'the operator lifts her lock', () => {
      lifting = true;
      oracle.workflow.lockLifted(set.lockId);
      tell({ op: 'lift', ...common, at: formatTime(scheduler.nowMs()), reason: null }, () => false, () => undefined);
      // Somebody who kept the old statement brings it again: it sets nothing.
      for (const { audience } of EXECUTORS) scheduler.after(rng.between(5_000, 30_000), 'an old lock comes again', () => world.network.sendLock(audience, old, () => undefined));
    });
  };
  if (rng.chance(0.3)) for (let left = rng.between(1, 3); left > 0; left -= 1) scheduler.after(rng.between(1_000, 120_000), 'the operator locks by hand', lock);
}
