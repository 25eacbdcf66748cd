/**
 * The first seed in which a broken world is found out. Which seed that is moves whenever anything in the world does, so it is kept beside the tests
 * that ask, in a file of their own: a test begins at the seed that showed it last and looks a little further.
 *
 * `COUNTERSIGN_FIND=1 npx vitest run --project simulation test/simulation/broken` looks for all of them from seed 1 on and writes the files anew.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Violation } from './oracle.ts';

export type Found = Pick<Violation, 'invariant' | 'message'>;

/** How far a test looks from the seed that showed it last, and how far a search does. */
const SEEDS_MAX = { test: 60, search: 2_000 };
const isSearch = process.env['COUNTERSIGN_FIND'] === '1';
/** A test takes a few seconds where nothing else runs. */
export const FINDING_MS = isSearch ? 3_600_000 : 300_000;

/**
 * The world of `who` is found out, by `invariant`: no seed on the way there shows anything else.
 *
 * @param file where the seeds of these tests are kept, beside them
 */
export async function expectFound(file: string, who: string, invariant: number, violationsOf: (seed: number) => Promise<readonly Found[]>): Promise<void> {
  const path = join(import.meta.dirname, file);
  if (!isSearch) {
    const from = seedsIn(path)[who] ?? 1;
    const found = await firstOf(from, SEEDS_MAX.test, violationsOf, () => true);
    expect(found?.violation.invariant, found?.violation.message ?? `nothing was found in ${SEEDS_MAX.test} seeds from ${from} on: see finding.ts`).toBe(invariant);
    return;
  }
  const found = await firstOf(1, SEEDS_MAX.search, violationsOf, (violation) => violation.invariant === invariant);
  expect(found, `nothing was found in ${SEEDS_MAX.search} seeds`).not.toBeNull();
  process.stdout.write(`${who}: seed ${found!.seed}\n`);
  const seeds = { ...seedsIn(path), [who]: found!.seed };
  writeFileSync(path, `${JSON.stringify(Object.fromEntries(Object.entries(seeds).sort(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`);
}

async function firstOf(from: number, count: number, violationsOf: (seed: number) => Promise<readonly Found[]>, isIt: (violation: Found) => boolean): Promise<{ readonly seed: number; readonly violation: Found } | null> {
  for (let seed = from; seed < from + count; seed += 1) {
    const [violation] = await violationsOf(seed);
    if (violation !== undefined && isIt(violation)) return { seed, violation };
  }
  return null;
}

function seedsIn(path: string): Readonly<Record<string, number>> {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>) : {};
}
