/**
 * The process is killed at every touch of the disk and of the target while it makes a rotation, and the sidecar goes on as if nothing had
 * happened, or has the new login taken back. However it ends, exactly one of the two logins is left.
 */
import { describe, expect, test } from 'vitest';
import type { Worker } from '../../src/executor/worker.ts';
import { NEW, OLD } from '../support/envelopes.ts';
import { deliver, rotation, withOldLogin, type Rotation } from '../support/rotation.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

interface Trouble {
  /** The n-th touch is where the process dies. */
  readonly at: number;
  readonly survives: 'synced' | 'written';
  /** Whether, after the death, the new login is ordered back by itself. */
  readonly ordered: boolean;
}

const LAST_WORDS = new Set(['done', 'failed', 'refused', 'drifted']);

/** Runs the rotation over one death and a restart, every step sent as long as there is no last word on it. Returns whether the touch was reached. */
async function live(bench: Bench, { at, survives, ordered }: Trouble): Promise<boolean> {
  const turn = rotation();
  let touches = 0;
  const touch = (): void => {
    touches += 1;
    if (touches === at) bench.kill(survives);
  };
  bench.disk.watch = touch;
  bench.target.watch = touch;
  const hasDied = (): boolean => touches >= at;
  // A promise of a dead process never settles.
  let worker = startWith(bench);
  let restarted = false;
  for (const action of ['stage', 'cutover', 'retire'] as const) {
    const made = turn.step(action, { nowMs: bench.clock.nowMs });
    const said = (): boolean => bench.of('acted').some(({ stepId, outcome }) => stepId === made.ticket.stepId && LAST_WORDS.has(outcome));
    worker.then((one) => deliver(one, made)).catch(() => undefined);
    await bench.clock.until(() => said() || (hasDied() && !restarted), 250_000);
    if (hasDied() && !restarted) {
      restarted = true;
      worker = startWith(bench);
      await takenBack(bench, worker, turn, ordered);
      if (!said()) worker.then((one) => deliver(one, made)).catch(() => undefined);
    }
    await bench.clock.until(said, 250_000);
  }
  if (ordered) await bench.clock.advance(70_000);
  return hasDied();
}

function startWith(bench: Bench): Promise<Worker> {
  const started = bench.start();
  started.catch(() => undefined);
  return started;
}

async function takenBack(bench: Bench, worker: Promise<Worker>, turn: Rotation, ordered: boolean): Promise<void> {
  if (!ordered) return;
  await (await worker).revoke(turn.order('compensation', bench.clock.nowMs));
  await bench.clock.settle();
}

const lastWord = (bench: Bench, n: number): string | undefined => bench.of('acted').filter(({ stepId, outcome }) => stepId.endsWith(`_${n}`) && LAST_WORDS.has(outcome)).at(-1)?.outcome;
const working = ({ target }: Bench): string[] => [OLD, NEW].filter((account) => target.works(account));

/** Every touch at which the process can die, until one is not reached. */
async function everywhere(trouble: Omit<Trouble, 'at'>, prepare: (bench: Bench) => void, expected: (bench: Bench, at: number) => void): Promise<number> {
  for (let at = 1; at < 200; at += 1) {
    const bench = withOldLogin(createBench());
    prepare(bench);
    if (!(await live(bench, { ...trouble, at }))) return at;
    expected(bench, at);
  }
  throw new Error('it never ends');
}

function expectRotated(bench: Bench): void {
  expect(working(bench)).toEqual([NEW]);
  const sealed = bench.messages.flatMap(({ ciphertext }) => (ciphertext === null ? [] : [unsealed(ciphertext).secret]));
  expect(sealed.at(-1)).toBe(bench.target.accounts.get(NEW)!.secret);
  expect([1, 2, 3].map((n) => lastWord(bench, n))).toEqual(['done', 'done', 'done']);
}

/** What is written but not synced matters to the book, and what the target loses to the probing: they are not crossed in full. */
const CASES = [
  { survives: 'synced', fate: null }, { survives: 'written', fate: 'lostAfter' }, { survives: 'synced', fate: 'late' },
] as const;

describe.each(CASES)('with what was $survives, and answers that are $fate', ({ survives, fate }) => {
  test('a death at any touch is made good: the new login works, the old one is shut out', async () => {
    const touches = await everywhere({ survives, ordered: false }, (bench) => {
      if (fate !== null) for (let n = 0; n < 3; n += 1) bench.target.will('apply', fate);
    }, expectRotated);
    // Opened; then for each of three steps claimed, looked at, done, read back, resolved: each was a place to die.
    expect(touches).toBeGreaterThan(30);
  });

  test('a death at any touch, with the new login ordered back after it, leaves exactly one', async () => {
    const ends = new Set<string>();
    await everywhere({ survives, ordered: true }, (bench) => {
      if (fate !== null) for (let n = 0; n < 3; n += 1) bench.target.will('apply', fate);
    }, (bench) => {
      expect(working(bench)).toHaveLength(1);
      // What is left is what was said: the old login is gone only where its end was reported as done.
      expect(working(bench)).toEqual(lastWord(bench, 3) === 'done' ? [NEW] : [OLD]);
      ends.add(working(bench)[0]!);
    });
    expect(ends).toEqual(new Set([OLD, NEW]));
  });
});
