/**
 * `kill -9` of the sidecar, and of the executor, in the course of a rotation with an overlap: at its records, and at the entries of the lease
 * book. A prober logs in every 20 ms all the while.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Installation } from '../../examples/demo/installation.ts';
import { openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { killAtAll, placesFor, run, VICTIMS, type Place } from './support/kill.ts';
import { openRotation, type Rotation } from './support/rotation.ts';

let bench: Bench;
let installation: Installation;
let rotation: Rotation;
let recorded: readonly Place[];
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  installation = bench.install('rotation', { windowMinutes: 15 });
  await installation.startExecutor();
  await installation.startSidecar();
  rotation = openRotation(bench);
  recorded = await run(rotation.scenario, bench, installation, 'undisturbed', null);
});
afterAll(() => bench.close());

describe.each(VICTIMS)('kill -9 of the %s right after records of a rotation', (victim) => {
  test('it finishes, each of its steps done once', async () => {
    expect(recorded.map(({ type }) => type)).toEqual(expect.arrayContaining(['window.opened', 'delivery.sealed', 'delivery.acknowledged', 'consumer.confirmed', 'window.closed']));
    await killAtAll(rotation.scenario, bench, installation, victim, placesFor(victim, recorded));
  }, 300_000);
});

describe('kill -9 of the executor right after each kind of entry in its lease book', () => {
  test('it finishes, each of its steps done once', async () => {
    // The cutover is a check: nothing is attempted, and nothing applied. What was attempted is looked at again only once its deadline has passed: one is enough.
    const times = { claim: 3, attempt: 1, applied: 2, resolved: 3, sent: 3 };
    const entries = Object.entries(times).flatMap(([type, most]) => Array.from({ length: most }, (_, index): Place => ({ type, nth: index + 1 })));
    await killAtAll(rotation.scenario, bench, installation, 'executor', entries, { in: 'leaseBook' });
  }, 300_000);
});

test('no login failed with the credential that it was told to use, and the evidence of all of it holds', async () => {
  const seen = await rotation.prober.close();
  expect(seen.failures).toEqual([]);
  expect(seen.logins).toBeGreaterThan(100);
  expect(await verificationTrouble(installation)).toBe('');
});
