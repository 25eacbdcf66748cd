/** `evolve` sets what an event brings in a copy that is its own: whoever holds the state before goes on holding what it was. */
import { expect, it } from 'vitest';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import { extendedLease } from '../support/extension-story.ts';
import { PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, type Beat } from '../support/story.ts';
import { called, keptRotation, rotation, stagedRotation, toldUntilUndone } from '../support/step-stories.ts';

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) frozen(member);
  return ArrayBuffer.isView(value) ? value : Object.freeze(value);
}

function ordered(): readonly Beat[] {
  const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
  return toldUntilEnded(telling, toldUntilOrdered(telling.later(1_000), 'person:olga')).beats;
}

it.each([
  ['a lease that was ordered back', ordered], ['an extension', () => extendedLease(START_MS).ledger], ['a rotation', () => rotation().beats], ['a rotation whose secret is kept', () => keptRotation().beats],
  ['a rotation that is undone', () => toldUntilUndone(stagedRotation()).beats], ['a caller’s change', () => called().beats], ['a denial', () => toldUntilDecided(PROVISION, START_MS, 'deny').beats],
] as const)('%s: no event alters the state before it', (_name, told) => {
  const states = new Map<string, ChangeState>();
  for (const [seq, { changeId, event, atMs }] of told().entries()) {
    const before = states.get(changeId) ?? null;
    // Maps and sets cannot be frozen.
    const was = structuredClone(before);
    const after = evolve(before, frozen({ ...event, changeId, seq, atMs }));
    expect(after, event.type).not.toBe(before);
    expect(before, event.type).toEqual(was);
    states.set(changeId, frozen(after));
  }
  expect(states.size).toBeGreaterThan(0);
});
