/** `kill -9` of the sidecar, and of the executor, right after every record that a change has; real processes, a real database. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Installation } from '../../examples/demo/installation.ts';
import { openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { watchJournal } from './support/journal-watch.ts';
import { seeThrough } from './support/people.ts';
import { grantScenario, provisionScenario, revokeScenario, type Scenario } from './support/scenarios.ts';

/** Longest that one change may take from request to rest, a kill and a restart included. */
const RUN_MS = 45_000;
type Victim = 'sidecar' | 'executor';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

/** Of these there is one a change, however often anything is killed. */
const ONCE = ['change.requested', 'state.read', 'step.succeeded', 'delivery.sealed', 'entitlement.verified', 'lease.armed', 'lease.activated', 'lease.ended', 'delivery.acknowledged'];

/** The `nth` record (from 1) of a type that a change has. */
interface Place {
  readonly type: string;
  readonly nth: number;
}

const timesIn = (types: readonly string[], type: string): number => types.filter((one) => one === type).length;

/** Every record of a change as a place: what else is recorded on the way, such as a decision that is asked for again, moves none. */
const placesOf = (types: readonly string[]): Place[] => types.map((type, index) => ({ type, nth: timesIn(types.slice(0, index + 1), type) }));

interface Kill {
  readonly victim: Victim;
  /** A record of the change; or, `in` the executor's lease book, an entry. */
  readonly after: Place;
  readonly in?: 'leaseBook';
}

/** One change from request to rest; the victim is killed, and started again, the moment what `after` names is written. */
async function run(scenario: Scenario, installation: Installation, name: string, kill: Kill | null): Promise<readonly string[]> {
  const watch = watchJournal(installation.paths.journal);
  try {
    const known = new Set(watch.changes());
    const bookBefore = bookEntries(installation).length;
    const cast = await scenario.start(bench, installation, name);
    const driven = seeThrough(cast, performance.now() + RUN_MS);
    if (kill !== null) {
      const { type, nth } = kill.after;
      const isThere = (changes: readonly string[]): boolean => kill.in === 'leaseBook'
        ? timesIn(bookEntries(installation).slice(bookBefore), type) >= nth
        : changes.some((id) => !known.has(id) && timesIn(watch.typesOf(id), type) >= nth);
      const killed = watch.until(isThere, RUN_MS)
        .then(() => installation[kill.victim].kill9())
        .then(() => (kill.victim === 'sidecar' ? installation.startSidecar() : installation.startExecutor()));
      await Promise.all([killed, driven]);
    }
    const change = await driven;
    await scenario.over(bench, change);
    const evidence = await cast.approver.evidence(change.id);
    const types = evidence.records.map((record) => record['type']);
    for (const type of ONCE) expect(timesIn(types, type), `${type} in ${types.join(', ')}`).toBeLessThanOrEqual(1);
    expect(timesIn(types, 'step.succeeded'), types.join(', ')).toBe(1);
    return types;
  } finally {
    watch.close();
  }
}

/** What the executor has written in its lease book, by kind of entry, in order. */
function bookEntries({ paths }: Installation): string[] {
  const book = readFileSync(join(paths.executorState, 'lease-book'), 'latin1');
  return [...book.matchAll(/"t":"([a-z]+)"/g)].map((match) => match[1]!);
}

const VICTIMS: readonly Victim[] = ['sidecar', 'executor'];

describe.concurrent.each(VICTIMS)('kill -9 of the %s right after each record', (victim) => {
  const scenarios: readonly Scenario[] = [provisionScenario(), grantScenario(), revokeScenario(victim === 'sidecar' ? 'orders' : 'invoices')];
  test.each(scenarios)('of a $kind: it finishes, with one effect, and nothing is lost', async (scenario) => {
    const installation = bench.install(`${victim}-${scenario.kind}`);
    await installation.startExecutor();
    await installation.startSidecar();
    const recorded = await run(scenario, installation, 'undisturbed', null);
    for (const after of placesOf(recorded)) {
      await run(scenario, installation, `after-${after.type}-${after.nth}`, { victim, after }).catch((cause: unknown) => {
        throw new Error(`the ${victim} was killed after ${after.type} ${after.nth}`, { cause });
      });
    }
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 240_000);
});

describe.concurrent('kill -9 of the executor right after each kind of entry in its lease book', () => {
  const entries = ['claim', 'attempt', 'applied', 'resolved', 'sent', 'order', 'ended'];
  test.each([provisionScenario(), grantScenario()])('of a $kind: it finishes, with one effect, and nothing is lost', async (scenario) => {
    const installation = bench.install(`book-${scenario.kind}`);
    await installation.startExecutor();
    await installation.startSidecar();
    for (const type of entries) {
      await run(scenario, installation, `after-${type}`, { victim: 'executor', after: { type, nth: 1 }, in: 'leaseBook' }).catch((cause: unknown) => {
        throw new Error(`the executor was killed after ${type}`, { cause });
      });
    }
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 240_000);
});

describe.concurrent.each(VICTIMS)('a lease ends by itself', (victim) => {
  test(`though the ${victim} was killed while it lasted`, async () => {
    const installation = bench.install(`${victim}-lease`);
    await installation.startExecutor();
    await installation.startSidecar();
    const scenario = grantScenario('PT5S');
    for (const type of ['lease.armed', 'step.succeeded', 'lease.activated', 'lease.ended']) {
      await run(scenario, installation, `after-${type}`, { victim, after: { type, nth: 1 } });
    }
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 120_000);
});
