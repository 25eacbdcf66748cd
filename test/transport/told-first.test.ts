/** A report of an end waits for the other workers to be told: servers that come back agree on who leads one stream before they agree on another. */
import { expect, it } from 'vitest';
import { TOLD_FIRST_MS, toldFirst } from '../../src/transport/nats/told-first.ts';
import { fakeClock } from '../support/fake-clock.ts';

function telling(worksAfter: number): { asked: () => number; warned: string[]; begin: (isClosed?: () => boolean) => { told: boolean }; clock: ReturnType<typeof fakeClock> } {
  const clock = fakeClock(0);
  const warned: string[] = [];
  let asked = 0;
  const tellEnds = (): Promise<void> => {
    asked += 1;
    return asked > worksAfter ? Promise.resolve() : Promise.reject(new Error('no leader'));
  };
  return {
    asked: () => asked, warned, clock,
    begin(isClosed = () => false) {
      const state = { told: false };
      const logger = { info: () => undefined, warn: (_fields: object, message: string) => void warned.push(message), error: () => undefined };
      void toldFirst(tellEnds, { clock: clock.port(), logger, isClosed }).then(() => {
        state.told = true;
      });
      return state;
    },
  };
}

it('waits until they can be told', async () => {
  const { asked, begin, clock, warned } = telling(4);
  const state = begin();
  await clock.advance(900);
  expect([state.told, asked()]).toEqual([false, 4]);
  await clock.advance(200);
  expect([state.told, asked()]).toEqual([true, 5]);
  expect(warned).toEqual([]);
});

it('does not hold up what is reported for ever, and says so', async () => {
  const { begin, clock, warned } = telling(Infinity);
  const state = begin();
  await clock.advance(TOLD_FIRST_MS - 1);
  expect([state.told, warned.length]).toEqual([false, 0]);
  await clock.advance(500);
  expect([state.told, warned.length]).toEqual([true, 1]);
});

it('ends with the worker', async () => {
  let isClosed = false;
  const { begin, clock } = telling(Infinity);
  const state = begin(() => isClosed);
  await clock.advance(300);
  isClosed = true;
  await clock.advance(300);
  expect(state.told).toBe(true);
});
