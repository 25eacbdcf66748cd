/** The process is killed at every touch of the disk and of the target: before it, after it, and with what was written but not synced kept or lost. */
import { describe, expect, test } from 'vitest';
import { makeStep } from '../support/envelopes.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

interface Death {
  /** The n-th touch. */
  readonly at: number;
  readonly survives: 'synced' | 'written';
}

/** Runs one step to its report, over one death and a restart. Returns whether the touch was reached. */
async function live(bench: Bench, death: Death): Promise<boolean> {
  const { envelope } = makeStep({ leaseSeconds: 3_600 });
  let touches = 0;
  const touch = (): void => {
    touches += 1;
    if (touches === death.at) bench.kill(death.survives);
  };
  const hasDied = (): boolean => touches >= death.at;
  bench.disk.watch = touch;
  bench.target.watch = touch;
  const deliver = async (): Promise<void> => {
    const worker = await bench.start();
    await worker.step(envelope);
  };
  const isDone = (): boolean => bench.of('acted').some(({ outcome }) => outcome === 'done');
  // A promise of a dead process never settles: the sidecar sends again, as it does.
  deliver().catch(() => undefined);
  await bench.clock.until(() => hasDied() || isDone(), 250_000);
  if (hasDied()) deliver().catch(() => undefined);
  await bench.clock.until(isDone, 250_000);
  return hasDied();
}

function expectOneCredential(bench: Bench): void {
  expect(bench.target.accounts.size).toBe(1);
  const [account] = bench.target.accounts.values();
  const sealed = bench.messages.flatMap(({ ciphertext }) => (ciphertext === null ? [] : [unsealed(ciphertext).secret]));
  expect(new Set(sealed)).toEqual(new Set([account!.secret]));
  expect(bench.target.secrets).toEqual([account!.secret]);
}

describe.each(['synced', 'written'] as const)('with what was %s', (survives) => {
  test('a death at any touch leaves one credential, and its secret is the sealed one', async () => {
    let at = 1;
    for (; at < 100; at += 1) {
      const bench = createBench();
      if (!(await live(bench, { at, survives }))) break;
      expectOneCredential(bench);
    }
    // The book is opened, claimed, attempted, applied, resolved; the target read, applied, tried, read: each was a place to die.
    expect(at).toBeGreaterThan(12);
  });

  test.each(['lostAfter', 'lostBefore', 'late', 'hangsDone'] as const)('also when the answer of the target is lost (%s)', async (fate) => {
    for (let at = 1; at < 100; at += 1) {
      const bench = createBench();
      bench.target.will('apply', fate);
      if (!(await live(bench, { at, survives }))) break;
      expectOneCredential(bench);
    }
  });
});
