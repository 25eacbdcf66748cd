/** `/v1/erasures`: what is forgotten, at the word of a person whose token may. */
import { KINDS_BY_DEFAULT } from '../evidence/erasable.ts';
import { personIdSchema } from '../protocol/values.ts';
import type { Handlers } from './call.ts';
import { unwrap, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';

export function erasureHandlers({ engine }: SidecarContext): Handlers<'erase'> {
  return {
    async erase({ by, body: { objects, change, kinds, basis } }) {
      if (!personIdSchema.safeParse(by.principal).success) throw new Problem('not-allowed', 'a person answers for what is forgotten');
      const what = objects === undefined ? { changeId: change!, kinds: kinds ?? KINDS_BY_DEFAULT } : { objects };
      return { status: 200, body: unwrap(await engine.erase(by.principal, what, basis)) };
    },
  };
}
