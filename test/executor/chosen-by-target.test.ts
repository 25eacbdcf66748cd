/** Secrets that the target chooses: sealed as soon as they are there, and made again where they were lost on their way. */
import { describe, expect, test } from 'vitest';
import { makeStep } from '../support/envelopes.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

function benchThatChooses(): Bench {
  const bench = createBench();
  bench.target.choosesSecrets = true;
  return bench;
}

const isDone = (bench: Bench) => (): boolean => bench.of('acted').some(({ outcome }) => outcome === 'done');

/** The one credential that is left is the one whose secret was told. */
function expectOneCredential(bench: Bench): void {
  expect(bench.target.accounts.size).toBe(1);
  const [account] = bench.target.accounts.values();
  expect(account!.secret).toMatch(/^chosen-by-the-target-/);
  const told = bench.messages.flatMap(({ ciphertext }) => (ciphertext === null ? [] : [unsealed(ciphertext).secret]));
  expect(new Set(told)).toEqual(new Set([account!.secret]));
}

test('is sealed to the recipient of the plan, tried, and told by its ciphertext', async () => {
  const bench = benchThatChooses();
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(isDone(bench), 60_000);
  expectOneCredential(bench);
  expect(bench.of('acted').at(-1)).toMatchObject({ outcome: 'done', byUse: 'works', attempt: 1, seal: { replaces: null } });
});

test('is never written down in clear', async () => {
  const bench = benchThatChooses();
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(isDone(bench), 60_000);
  for (const { bytes } of bench.disk.files.values()) expect(bytes.includes('chosen-by-the-target-')).toBe(false);
});

test('nothing is made where it could not be sealed', async () => {
  const bench = benchThatChooses();
  bench.sealFails = true;
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(() => bench.of('acted').length > 0, 60_000);
  expect(bench.of('acted').at(-1)).toMatchObject({ outcome: 'failed', code: 'cannot-seal' });
  expect(bench.target.calls).not.toContain('apply');
});

test('one that cannot be sealed once it is there is taken back', async () => {
  const bench = benchThatChooses();
  bench.target.watch = (operation) => {
    bench.sealFails = operation === 'apply';
  };
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(() => bench.target.effects.some((effect) => effect.startsWith('revoke')), 60_000);
  bench.target.watch = () => undefined;
  bench.sealFails = false;
  await bench.clock.until(isDone(bench), 60_000);
  expectOneCredential(bench);
  expect(bench.of('acted').at(-1)).toMatchObject({ attempt: 2 });
});

test.each(['lostAfter', 'hangsDone', 'late'] as const)('one whose answer was lost (%s) is taken back, and another is made', async (fate) => {
  const bench = benchThatChooses();
  bench.target.will('apply', fate);
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(isDone(bench), 250_000);
  expectOneCredential(bench);
  expect(bench.target.secrets).toHaveLength(2);
});

test('what is taken back for it must be ours: something else of that name is left alone, and the step waits', async () => {
  const bench = benchThatChooses();
  bench.target.will('apply', 'lostAfter');
  bench.target.watch = (operation) => {
    const [name, account] = [...bench.target.accounts][0] ?? [];
    if (operation === 'revoke' && name !== undefined) bench.target.accounts.set(name, { ...account!, token: 'somebody-else' });
  };
  const worker = await bench.start();
  await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
  await bench.clock.until(() => bench.target.calls.filter((call) => call === 'revoke').length > 1, 250_000);
  expect([...bench.target.accounts.values()]).toMatchObject([{ token: 'somebody-else' }]);
  expect(bench.of('acted').filter(({ outcome }) => outcome !== 'ambiguous')).toEqual([]);
});

describe.each(['synced', 'written'] as const)('a death at any touch of disk or target, with what was %s', (survives) => {
  test.each([null, 'lostAfter', 'lostBefore', 'late'] as const)('leaves one credential, and its secret is the sealed one (answer: %s)', async (fate) => {
    let at = 1;
    for (; at < 100; at += 1) {
      const bench = benchThatChooses();
      if (fate !== null) bench.target.will('apply', fate);
      let touches = 0;
      const touch = (): void => {
        touches += 1;
        if (touches === at) bench.kill(survives);
      };
      bench.disk.watch = touch;
      bench.target.watch = touch;
      const { envelope } = makeStep({ leaseSeconds: 3_600 });
      const deliver = async (): Promise<unknown> => (await bench.start()).step(envelope);
      deliver().catch(() => undefined);
      await bench.clock.until(() => touches >= at || isDone(bench)(), 250_000);
      const died = touches >= at;
      if (died) deliver().catch(() => undefined);
      await bench.clock.until(isDone(bench), 250_000);
      if (!died) break;
      expectOneCredential(bench);
    }
    expect(at).toBeGreaterThan(12);
  });
});
