/** `kill -9` of the sidecar, and of the executor, in the course of an offboarding: at records of the case, of the lease that it ends, and of its children. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Installation } from '../../examples/demo/installation.ts';
import { openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { killAtAll, placesFor, run, VICTIMS, type Place } from './support/kill.ts';
import { offboardingScenario } from './support/offboarding.ts';

const scenario = offboardingScenario();

let bench: Bench;
let installation: Installation;
let recorded: readonly Place[];
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  installation = bench.install('offboarding');
  await installation.startExecutor();
  await installation.startSidecar();
  recorded = await run(scenario, bench, installation, 'undisturbed', null);
});
afterAll(() => bench.close());

describe.each(VICTIMS)('kill -9 of the %s right after records of an offboarding', (victim) => {
  test('it finishes, and nothing is left with who has gone', async () => {
    expect(recorded).toEqual(expect.arrayContaining([{ type: 'item.started', nth: 3 }, { type: 'item.settled', nth: 3 }, { type: 'lease.ended', nth: 1 }, { type: 'step.succeeded', nth: 2 }]));
    await killAtAll(scenario, bench, installation, victim, placesFor(victim, recorded));
  }, 300_000);
});

test('the evidence of all of it holds', async () => {
  expect(await verificationTrouble(installation)).toBe('');
});
