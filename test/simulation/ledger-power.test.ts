/**
 * The fault sweep over the disk port: for every step that a short life of a ledger takes, the power goes before it, or it fails, and the ledger is
 * opened again. `COUNTERSIGN_FAULTS=all` tries more ways in which what was not synced may be left.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FaultKind } from '../fault/faulty-disk.ts';
import { fill } from '../fault/ledger-fixture.ts';
import { judge, live, nothingPromised, type Promised } from '../fault/ledger-life.ts';
import { PowerDisk, randomOf, type Loss } from '../fault/power-disk.ts';

const LIFE_RECORDS = 14;
const isThorough = process.env['COUNTERSIGN_FAULTS'] === 'all';
const ANY = Array.from({ length: isThorough ? 8 : 3 }, (): Loss => 'any');

let points = 0;

/** What the power left of `disk`, having gone before a step; recovery is cut off as well, every second time. */
async function lostPower(disk: PowerDisk, loss: Loss, seed: number, to: number, promised: Promised): Promise<PowerDisk> {
  const random = randomOf(seed);
  const left = disk.afterPowerLoss(loss, random);
  if (loss !== 'any' || seed % 2 === 1) return left;
  left.dieAt = 1 + Math.floor(random() * 60);
  await live(left, to, promised).catch(() => undefined);
  points++;
  return left.afterPowerLoss('any', random);
}

const copyOf = ({ acknowledged, erased, signed }: Promised): Promised => ({ acknowledged: new Set(acknowledged), erased: new Set(erased), signed: [...signed] });

interface Life {
  /** Records that are there before it. */
  readonly begins: number;
  readonly named: string;
  /** One step in so many is the last. */
  readonly every: number;
  readonly losses: readonly Loss[];
  readonly kinds: readonly FaultKind[];
}

const KINDS: readonly FaultKind[] = ['refused', 'half', 'done'];
const LIVES: readonly Life[] = [
  { begins: 0, named: 'that is new', every: 1, losses: ['all', 'none', 'names', ...ANY], kinds: KINDS },
  // The first bundle and its tile fill up in this life.
  { begins: 248, named: 'that has a past', every: isThorough ? 1 : 2, losses: ['bundles', ...(isThorough ? ANY : [])], kinds: isThorough ? KINDS : [] },
];

describe.each(LIVES)('a ledger $named', ({ begins, every, losses, kinds }) => {
  const to = begins + LIFE_RECORDS;
  let begun: PowerDisk;
  let whole: PowerDisk;

  beforeAll(async () => {
    const disk = new PowerDisk();
    if (begins > 0) await fill(disk, begins, 50);
    begun = disk.afterPowerLoss('none', randomOf(0));
    whole = begun.restarted();
    const promised = nothingPromised();
    await live(whole, to, promised);
    await judge(whole.restarted(), promised, 'nothing went wrong');
  });

  test('takes every kind of step', () => {
    for (const step of [
      /^open journal/, /^append journal/, /^sync journal/, /^truncate journal\/base/, /^rename ledger\/checkpoint/, /^rename ledger\/tile/, /^append ledger\/objects/,
      /^overwrite ledger\/objects/, /^overwrite journal/, /^remove ledger/,
    ]) expect(whole.trace.some((taken) => step.test(taken)), String(step)).toBe(true);
    expect(whole.paths.filter((path) => path.endsWith('.journal')).length).toBeGreaterThan(1);
    expect(whole.paths.filter((path) => path.startsWith('journal/base'))).toHaveLength(2);
  });

  test('survives the loss of power before any step, whatever is left of what was not synced', { timeout: 900_000 }, async () => {
    for (let dieAt = 1; dieAt <= whole.steps; dieAt += every) {
      const disk = begun.restarted();
      disk.dieAt = dieAt;
      const promised = nothingPromised();
      await live(disk, to, promised).catch(() => undefined);
      const what = `before step ${dieAt} (${disk.trace[dieAt - 1] ?? 'the end'})`;
      for (const [way, loss] of losses.entries()) {
        const seen = copyOf(promised);
        await judge(await lostPower(disk, loss, dieAt * 100 + way, to, seen), seen, `power lost ${what}: ${loss}, way ${way}`);
        points++;
      }
      await judge(disk.restarted(), promised, `killed ${what}`);
      points++;
    }
  });

  test.each(kinds)('survives the failure (%s) of any step, and then the end of the process or the loss of power', { timeout: 900_000 }, async (kind) => {
    for (let at = 1; at <= whole.steps; at++) {
      const disk = begun.restarted();
      disk.fault = { at, kind, code: ['EIO', 'ENOSPC', 'EROFS'][at % 3]! };
      const promised = nothingPromised();
      await live(disk, to, promised).catch(() => undefined);
      const what = `${kind} at step ${at} (${disk.trace[at - 1] ?? 'the end'})`;
      await judge(disk.restarted(), promised, `${what}, restarted`);
      await judge(disk.afterPowerLoss('any', randomOf(at)), promised, `${what}, then power lost`);
      points += 2;
    }
  });
});

afterAll(() => {
  process.stdout.write(`ledger over the disk port: ${points} crash points\n`);
  expect(points).toBeGreaterThanOrEqual(2_000);
});
