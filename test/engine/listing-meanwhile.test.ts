/** A list is made while changes come: those who ask in the same millisecond, or by a clock that was put back, have ids below the youngest. */
import { expect, it } from 'vitest';
import { ChangeIndex } from '../../src/engine/change-index.ts';
import { cleanStory } from '../support/story.ts';

it('leaves nothing out, and repeats nothing, for what has come meanwhile', () => {
  const { now } = cleanStory().provision;
  const named = (n: number): typeof now => ({ ...now, changeId: `${now.changeId.slice(0, -3)}${String(n).padStart(3, '0')}` });
  const before = [100, 200, 300, 400, 500, 600].map((n) => named(n).changeId).reverse();
  for (const late of [50, 150, 250, 350, 450, 550, 650]) {
    for (const after of [0, 1, 2, 3, 4, 5]) {
      const index = new ChangeIndex();
      let seq = 0;
      for (const n of [100, 200, 300, 400, 500, 600]) index.note(seq++, named(n));
      const told: string[] = [];
      for (const changeId of index.newest()) {
        told.push(changeId);
        if (told.length === after + 1) for (const n of [late, late + 1, late + 2]) index.note(seq++, named(n));
      }
      expect([late, after, told.filter((id) => before.includes(id))]).toEqual([late, after, before]);
      expect(new Set(told).size).toBe(told.length);
    }
  }
});
