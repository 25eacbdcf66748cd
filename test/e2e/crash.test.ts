/** `kill -9` of the sidecar, and of the executor, right after every record that a change has; real processes, a real database. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { killAtEach, run, VICTIMS, type Place } from './support/kill.ts';
import { grantScenario, provisionScenario, revokeScenario, type Scenario } from './support/scenarios.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

const places = (...types: string[]): Place[] => types.map((type) => ({ type, nth: 1 }));

describe.concurrent.each(VICTIMS)('kill -9 of the %s right after each record', (victim) => {
  const scenarios: readonly Scenario[] = [provisionScenario(), grantScenario(), revokeScenario(victim === 'sidecar' ? 'orders' : 'invoices')];
  test.each(scenarios)('of a $kind: it finishes, with one effect, and nothing is lost', async (scenario) => {
    const installation = bench.install(`${victim}-${scenario.kind}`);
    await installation.startExecutor();
    await installation.startSidecar();
    const recorded = await run(scenario, bench, installation, 'undisturbed', null);
    await killAtEach(scenario, bench, installation, victim, recorded);
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 240_000);
});

describe.concurrent('kill -9 of the executor right after each kind of entry in its lease book', () => {
  const entries = places('claim', 'attempt', 'applied', 'resolved', 'sent', 'order', 'ended');
  test.each([provisionScenario(), grantScenario()])('of a $kind: it finishes, with one effect, and nothing is lost', async (scenario) => {
    const installation = bench.install(`book-${scenario.kind}`);
    await installation.startExecutor();
    await installation.startSidecar();
    await killAtEach(scenario, bench, installation, 'executor', entries, { in: 'leaseBook' });
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 240_000);
});

describe.concurrent.each(VICTIMS)('a lease ends by itself', (victim) => {
  test(`though the ${victim} was killed while it lasted`, async () => {
    const installation = bench.install(`${victim}-lease`);
    await installation.startExecutor();
    await installation.startSidecar();
    await killAtEach(grantScenario('PT5S'), bench, installation, victim, places('lease.armed', 'step.succeeded', 'lease.activated', 'lease.ended'));
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 120_000);
});
