/** Somebody who has what people wrote forgotten, of changes that are over and of others, whatever else goes on. */
import { askOf } from './asking.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

export interface Erasing {
  /** To be called at the end: what was said to be erased is, and nobody tells of it. */
  check(): Promise<void>;
}

export function startEraser(world: World, rng: Rng, oracle: Oracle, untilMs: number): Erasing {
  const { scheduler } = world;
  const ask = askOf(world);
  const erased = new Set<string>();
  const again = (): void => void scheduler.after(rng.between(5_000, 40_000), 'somebody is to be forgotten', () => void erase());
  const erase = async (): Promise<void> => {
    if (scheduler.nowMs() > untilMs) return;
    again();
    const changes = [...(world.engine()?.all() ?? [])].map(({ changeId }) => changeId).sort();
    if (changes.length === 0) return;
    const changeId = rng.pick(changes);
    const answer = await ask((engine) => engine.erase('person:vera', { changeId, kinds: ['disclosure'] }, 'by request'));
    if (answer === undefined) return;
    if (!answer.ok) return oracle.broken(0, `what people wrote in ${changeId} could not be erased: ${answer.code}`);
    for (const { digest } of [...answer.value.erased, ...answer.value.already]) erased.add(digest);
    scheduler.trace(`erased of ${changeId}: ${answer.value.erased.length}`);
  };
  again();
  return {
    async check() {
      const [log, engine] = [world.log(), world.engine()];
      if (log === null || engine === null) return;
      for (const digest of erased) if ((await log.object(digest)) !== null) oracle.broken(0, `object ${digest} was said to be erased, and is there`);
      for (const { changeId, request } of engine.all()) {
        const seqs = engine.index.recordsOf(changeId);
        const last = oracle.view.records().findLast(({ seq, type }) => seqs.includes(seq) && (type === 'change.requested' || type === 'change.revised'));
        const isErased = last !== undefined && last.objects.some((digest) => erased.has(digest));
        if (isErased && typeof request.reason === 'string') oracle.broken(5, `${changeId} still tells a reason that was erased`);
      }
    },
  };
}
