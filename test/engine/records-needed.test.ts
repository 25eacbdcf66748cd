/** Which records may be asked for without anybody looking back: those are not moved to an archive. */
import { expect, it } from 'vitest';
import { isAtRest } from '../../src/change/at-rest.ts';
import { stillGives } from '../../src/change/state.ts';
import { ChangeIndex } from '../../src/engine/change-index.ts';
import { called, rotation } from '../support/step-stories.ts';
import { cleanStory, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided } from '../support/story.ts';

it('are all of a change that is not at rest, or whose access may be there, or that has one of late; and none of others', () => {
  const over = cleanStory().provision.now;
  const standing = rotation().now;
  const open = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS + 5_000_000))).now;
  const late = called().now;
  expect([over, standing, open].map((state) => [isAtRest(state), stillGives(state)])).toEqual([[true, false], [true, true], [false, true]]);
  const index = new ChangeIndex();
  for (const [seq, state] of [over, standing, open, over, standing, open].entries()) index.note(seq, state);
  index.skip(6);
  for (const seq of [7, 9]) index.note(seq, late);
  expect(index.recordsNeeded(10).filter((seq) => seq < 7)).toEqual([1, 4, 2, 5]);
  expect(index.recordsNeeded(9)).toEqual([1, 4, 2, 5, 7, 9]);
  expect(index.recordsNeeded(3)).toEqual([0, 3, 1, 4, 2, 5, 7, 9]);
});
