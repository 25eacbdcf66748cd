/** Runs in which two of three witnesses are demanded, and requests, answers and witnesses get lost. */
import { expect, test } from 'vitest';
import { simulate } from './simulate.ts';

const SEEDS = 8;

test('seeds in which every checkpoint that gives is cosigned break no invariant, and see access given and taken back', async () => {
  let [given, taken] = [0, 0];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violations, seen } = await simulate(seed, { wraps: { witnesses: 'demanded' } });
    expect(violations, `seed ${seed}`).toEqual([]);
    given += seen['given'] ?? 0;
    taken += seen['revoked'] ?? 0;
  }
  expect(given).toBeGreaterThan(0);
  expect(taken).toBeGreaterThan(0);
}, 120_000);
