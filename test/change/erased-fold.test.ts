/** A change that is over stays over when its objects are erased: whoever folds it then finds nothing to do. */
import { describe, expect, it } from 'vitest';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import { isOpen } from '../../src/change/work.ts';
import type { ChangeEvent } from '../../src/change/events.ts';
import { withStandIn } from '../../src/evidence/erased.ts';
import { toldUntilBroken } from '../support/break-glass.ts';
import { extendedLease } from '../support/extension-story.ts';
import { called, rotation, stagedRotation, toldUntilUndone } from '../support/step-stories.ts';
import { START_MS, type Beat } from '../support/story.ts';

function folded(beats: readonly Beat[], isErased: boolean): ChangeState {
  let state: ChangeState | null = null;
  for (const [index, { changeId, event, atMs }] of beats.entries()) {
    const { attached, ...bare } = event;
    const told = { ...(isErased || attached === undefined ? bare : event), changeId, seq: index, atMs } as ChangeEvent;
    state = evolve(state, told);
    if (isErased && state.planDigest !== null) state = withStandIn(state, told);
  }
  return state!;
}

it('a broken glass is what it was, with its plan or without', () => {
  const beats = toldUntilBroken(START_MS).beats;
  const [whole, bare] = [folded(beats, false), folded(beats, true)];
  expect(bare.plan).toBeNull();
  expect(bare.breakGlass).toEqual(whole.breakGlass);
});

const extension = extendedLease(START_MS);
describe('without plan and states, what is over is over', () => {
  it.each<[string, () => readonly Beat[]]>([
    ['a rotation', () => rotation().beats],
    ['a rotation that was undone', () => toldUntilUndone(stagedRotation()).beats],
    ['a change that its caller made', () => called().beats],
    ['an extension', () => extension.ledger.filter(({ changeId }) => changeId !== extension.lease.changeId)],
  ])('%s', (_what, tell) => {
    const beats = tell();
    const whole = folded(beats, false);
    const bare = folded(beats, true);
    expect([bare.name, isOpen(bare), bare.ended === null]).toEqual([whole.name, isOpen(whole), whole.ended === null]);
  });
});
