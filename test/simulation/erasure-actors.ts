/**
 * Somebody asks to be forgotten, in the middle of all the trouble: what was answered to be erased is nowhere on the sidecar's disk any more, whatever
 * happens afterwards (17), and the evidence still verifies.
 */
import { KINDS_BY_DEFAULT, type ErasableKind } from '../../src/evidence/erasable.ts';
import { askOf } from './asking.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

const KINDS: readonly (readonly ErasableKind[])[] = [['disclosure'], ['disclosure', 'policyInput'], KINDS_BY_DEFAULT];

export interface Erasures {
  readonly seen: Readonly<Record<string, number>>;
  /** At the end of the run. */
  finish(): void;
}

export function startErasureActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): Erasures {
  const { scheduler } = world;
  const ask = askOf(world);
  const seen: Record<string, number> = {};
  const erased = new Set<string>();
  const count = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  const forget = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    const changes = [...(world.engine()?.all() ?? [])];
    if (changes.length > 0) {
      const { changeId } = rng.pick(changes);
      const kinds = rng.pick(KINDS);
      oracle.erasing(changeId);
      const failed = (error: unknown): void => {
        scheduler.trace(`not erased: ${String(error)}`);
        // A disk that fails or is full keeps it from its end, and the next start goes on; a program that falls over is another matter.
        if (error instanceof TypeError) oracle.broken(0, `erasing fell over: ${error.stack ?? error.message}`);
      };
      void ask((engine) => engine.erase('person:sam', { changeId, kinds }, 'asked to be forgotten'), failed).then((answer) => {
        if (answer === undefined) return count('erasure unanswered');
        if (!answer.ok) return count(`erasure ${answer.code}`);
        scheduler.trace(`${answer.value.erased.length} objects of ${changeId} are erased`);
        for (const { digest, kind } of [...answer.value.erased, ...answer.value.already]) {
          erased.add(digest);
          count(`erased ${kind}`);
        }
      });
    }
    scheduler.after(rng.between(10_000, 60_000), 'somebody asks to be forgotten', forget);
  };
  scheduler.after(rng.between(5_000, 60_000), 'somebody asks to be forgotten', forget);
  return {
    seen,
    finish() {
      const files = [...world.sidecar.disk.image('seen')];
      for (const digest of erased) {
        const payload = oracle.view.object(digest);
        const found = payload === undefined ? undefined : files.find(([, bytes]) => bytes.includes(payload));
        if (found !== undefined) oracle.broken(17, `${digest} was said to be erased, and is in ${found[0]}`);
      }
    },
  };
}
