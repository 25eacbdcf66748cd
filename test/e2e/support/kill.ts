/** `kill -9` of a process right after a record of a change, or an entry of a lease book; then it is started again, and the change must come to its end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Installation } from '../../../examples/demo/installation.ts';
import type { Bench } from './bench.ts';
import { watchJournal, type JournalWatch } from './journal-watch.ts';
import { seeThrough } from './people.ts';
import type { Scenario } from './scenarios.ts';

/** Longest that one change may take from request to rest, kills and restarts included. */
const RUN_MS = 60_000;

export type Victim = 'sidecar' | 'executor';
export const VICTIMS: readonly Victim[] = ['sidecar', 'executor'];

/** The `nth` record of a type (from 1) that a change gets, or those that it brings about: an offboarding has children. */
export interface Place {
  readonly type: string;
  readonly nth: number;
}

export interface Kills {
  readonly victim: Victim;
  /** Records; or, `in` the executor's lease book, entries. It is killed after each, in this order. */
  readonly after: readonly Place[];
  readonly in?: 'leaseBook';
}

/** Of these there is one a change, however often anything is killed. */
const ONCE = ['change.requested', 'delivery.sealed', 'lease.armed', 'lease.activated', 'lease.ended', 'delivery.acknowledged', 'window.opened', 'window.closed'] as const;

const timesIn = (types: readonly string[], type: string): number => types.filter((one) => one === type).length;

/** One change from request to rest. Resolves with every record that was written on the way, as places. */
export async function run(scenario: Scenario, bench: Bench, installation: Installation, name: string, kills: Kills | null): Promise<readonly Place[]> {
  const watch = watchJournal(installation.paths.journal);
  try {
    const known = new Set(watch.changes());
    const cast = await scenario.start(bench, installation, name);
    const before = newRecords(watch, known);
    const bookBefore = bookEntries(installation).length;
    const written = (): readonly string[] => (kills?.in === 'leaseBook' ? bookEntries(installation).slice(bookBefore) : newRecords(watch, known));
    const driven = (scenario.drive ?? seeThrough)(cast, performance.now() + RUN_MS);
    const killed = kills === null ? null : killAfterEach(kills, installation, watch, (type) => timesIn(written(), type) - (kills.in === 'leaseBook' ? 0 : timesIn(before, type)));
    const [change] = await Promise.all([driven, killed]);
    await scenario.over(bench, change, cast);
    const { records } = await cast.requester.evidence(change.id);
    const types = records.map((record) => record['type']);
    for (const type of ONCE) expect(timesIn(types, type), `${type} in ${types.join(', ')}`).toBeLessThanOrEqual(1);
    expect(timesIn(types, 'step.succeeded'), types.join(', ')).toBe(scenario.steps);
    expect(timesIn(types, 'state.read'), types.join(', ')).toBe(scenario.reads);
    expect(timesIn(types, 'entitlement.verified'), types.join(', ')).toBeLessThanOrEqual(scenario.steps);
    const all = newRecords(watch, known);
    return [...new Set(all)].flatMap((type) => Array.from({ length: timesIn(all, type) - timesIn(before, type) }, (_, index) => ({ type, nth: index + 1 })));
  } finally {
    watch.close();
  }
}

async function killAfterEach({ victim, after }: Kills, installation: Installation, watch: JournalWatch, countOf: (type: string) => number): Promise<void> {
  for (const { type, nth } of after) {
    await watch.until(() => countOf(type) >= nth, RUN_MS);
    await installation[victim].kill9();
    await (victim === 'sidecar' ? installation.startSidecar() : installation.startExecutor());
  }
}

/** Types of the records of the changes that are not `known`. */
function newRecords(watch: JournalWatch, known: ReadonlySet<string>): string[] {
  return watch.changes().filter((id) => !known.has(id)).flatMap((id) => watch.typesOf(id));
}

/** Runs it once for each of `places`, the victim killed there. @throws Error that names the place */
export async function killAtEach(scenario: Scenario, bench: Bench, installation: Installation, victim: Victim, places: readonly Place[], where: Pick<Kills, 'in'> = {}): Promise<void> {
  for (const place of places) await runKilling(scenario, bench, installation, { victim, after: [place], ...where });
}

/** Runs it until the victim was killed at each of `places`, at several in one run. @throws Error that names those of the run */
export async function killAtAll(scenario: Scenario, bench: Bench, installation: Installation, victim: Victim, places: readonly Place[], where: Pick<Kills, 'in'> = {}): Promise<void> {
  for (const after of groupsOf(places)) await runKilling(scenario, bench, installation, { victim, after, ...where });
}

const SINGLES_A_RUN = 4;

/** Those of one type in a run; and what there is one of, a few to a run, with others in between: what a kill leads to is seen before the next. */
function groupsOf(places: readonly Place[]): Place[][] {
  const types = [...new Set(places.map(({ type }) => type))].map((type) => places.filter((place) => place.type === type));
  const singles = types.filter(({ length }) => length === 1).flat();
  const runs = Math.ceil(singles.length / SINGLES_A_RUN);
  return [...types.filter(({ length }) => length > 1), ...Array.from({ length: runs }, (_, run) => singles.filter((_place, index) => index % runs === run))];
}

/** Where a victim of a long change is killed: the sidecar at every record; the executor, which has no part in most of them, at the first of each type. */
export function placesFor(victim: Victim, recorded: readonly Place[]): readonly Place[] {
  return victim === 'sidecar' ? recorded : recorded.filter(({ nth }) => nth === 1);
}

async function runKilling(scenario: Scenario, bench: Bench, installation: Installation, kills: Kills): Promise<void> {
  const where = kills.after.map(({ type, nth }) => `${type} ${nth}`).join(', ');
  await run(scenario, bench, installation, `${kills.in ?? ''}${kills.victim}-${where.replaceAll(/[^a-z0-9]+/g, '-')}`, kills).catch((cause: unknown) => {
    throw new Error(`the ${kills.victim} was killed after ${where}`, { cause });
  });
}

/** What the executor has written in its lease book, by kind of entry, in order. */
function bookEntries({ paths }: Installation): string[] {
  const book = readFileSync(join(paths.executorState, 'lease-book'), 'latin1');
  return [...book.matchAll(/"t":"([a-z]+)"/g)].map((match) => match[1]!);
}
