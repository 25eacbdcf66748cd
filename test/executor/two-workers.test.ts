/** Two workers of one executor at one target: whichever has a step or an order, one effect is had, and what was given is taken back. */
import { describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Worker } from '../../src/executor/worker.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { makeStep, NEW, type Made } from '../support/envelopes.ts';
import { memoryBoard, type MemoryBoard } from '../support/memory-board.ts';
import { carriedOut, rotation, withOldLogin } from '../support/rotation.ts';
import { EXECUTOR, sidecar, sign } from '../support/story.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

interface Pair {
  readonly first: Bench;
  readonly second: Bench;
  readonly board: MemoryBoard;
}

function pair(): Pair {
  const board = memoryBoard();
  const first = createBench({ board });
  return { first, second: createBench({ beside: first, board }), board };
}

function early(made: Made, nowMs: number): Dsse {
  return sign.order(deriveRevokeOrder(made.plan, EXECUTOR, nowMs, 'early', sidecar)!);
}

const done = ({ first, second }: Pair): readonly { readonly bench: Bench }[] =>
  [first, second].flatMap((bench) => bench.of('acted').filter(({ outcome }) => outcome === 'done').map(() => ({ bench })));

/** The credential that is there is the one that was delivered last, by whoever says that it is done. */
function expectOneCredential(both: Pair): void {
  const { accounts, secrets } = both.first.target;
  expect(accounts.size).toBe(1);
  const [account] = accounts.values();
  expect(secrets.at(-1)).toBe(account!.secret);
  const told = done(both);
  expect(told).toHaveLength(1);
  const delivered = told[0]!.bench.messages.flatMap(({ ciphertext }) => (ciphertext === null ? [] : [unsealed(ciphertext).secret]));
  expect(delivered.at(-1)).toBe(account!.secret);
}

describe('a step that both have', () => {
  test('has one effect, and one of them says so', async () => {
    const both = pair();
    const { first, second } = both;
    const { envelope } = makeStep({ leaseSeconds: 3_600 });
    const workers = [await first.start(), await second.start()];
    await Promise.all(workers.map((worker) => worker.step(envelope)));
    await first.clock.advance(120_000);
    expectOneCredential(both);
    expect(second.of('acted')).toEqual([]);
    expect(first.target.calls.filter((call) => call === 'apply')).toHaveLength(1);
  });

  test('is done by the other, and once, whatever point the first dies at; it returns and lets it be', async () => {
    let at = 1;
    for (; at < 100; at += 1) {
      const both = pair();
      const { first, second, board } = both;
      let touches = 0;
      const touch = (): void => {
        touches += 1;
        if (touches === at) first.kill('written');
      };
      first.disk.watch = touch;
      first.target.watch = touch;
      board.watch = touch;
      const made = makeStep({ leaseSeconds: 3_600 });
      const deliver = async (bench: Bench): Promise<void> => (await bench.start()).step(made.envelope).then(() => undefined);
      deliver(first).catch(() => undefined);
      await first.clock.until(() => touches >= at || done(both).length > 0, 250_000);
      if (touches < at) break;
      await deliver(second);
      // Another worker's attempt may arrive until it cannot any more; then the step is taken up.
      await first.clock.until(() => done(both).length > 0 || board.claims.size > 0 && [...board.claims.values()][0]!.state === 'given', 250_000);
      await deliver(first);
      await first.clock.advance(60_000);
      expectOneCredential(both);
      await first.clock.advance(3_600_000);
      expect(first.target.accounts.size).toBe(0);
    }
    expect(at).toBeGreaterThan(14);
  });
});

describe('an early revoke', () => {
  test('that the other has is final only when what the first sent can arrive no more', async () => {
    const both = pair();
    const { first, second } = both;
    const made = makeStep({ leaseSeconds: 3_600 });
    first.target.will('apply', 'late');
    const granting = await first.start();
    const revoking = await second.start();
    await granting.step(made.envelope);
    await first.clock.until(() => first.target.calls.includes('apply'));
    await revoking.revoke(early(made, first.clock.nowMs));
    await first.clock.settle();
    expect(second.of('revoked')).toEqual([]);
    await first.clock.until(() => second.of('revoked').length > 0, 120_000);
    expect(first.target.accounts.size).toBe(0);
    await first.clock.advance(600_000);
    expect(first.target.accounts.size).toBe(0);
    expect(first.of('acted').filter(({ outcome }) => outcome === 'done')).toEqual([]);
  });

  test('by the other, of what the first had begun when it died, keeps the first from nothing else at that target when it is back', async () => {
    const both = pair();
    const { first, second } = both;
    const made = makeStep({ leaseSeconds: 3_600 });
    first.target.watch = (operation) => {
      if (operation === 'apply') first.kill('written');
    };
    await (await first.start()).step(made.envelope);
    await first.clock.until(() => first.target.calls.includes('apply'));
    first.target.watch = () => undefined;
    await (await second.start()).revoke(early(made, first.clock.nowMs));
    await first.clock.until(() => second.of('revoked').length > 0, 120_000);
    const back = await first.start();
    const next = makeStep({ leaseSeconds: 3_600, nowMs: first.clock.nowMs, log: made.log, fromSize: made.log.size });
    expect(await back.step(next.envelope)).toEqual({ accepted: true });
    await first.clock.until(() => first.of('acted').length > 0, 120_000);
    expect(first.of('acted')).toMatchObject([{ changeId: next.plan.changeId, outcome: 'done' }]);
    // It tells of the other once its own order has come.
    await first.clock.advance(3_700_000);
    expect(first.of('acted').at(-1)).toMatchObject({ changeId: made.plan.changeId, outcome: 'failed', code: 'lease-ended' });
  });

  test('waits two seconds for a board that does not answer, and no longer; the other hears of it before it gives anything', async () => {
    const both = pair();
    const { first, second, board } = both;
    const made = makeStep({ leaseSeconds: 3_600 });
    const revoking = await second.start();
    board.isDown = true;
    const startMs = first.clock.nowMs;
    await revoking.revoke(early(made, startMs));
    await first.clock.until(() => second.of('revoked').length > 0);
    expect(first.clock.nowMs - startMs).toBeLessThanOrEqual(2_000);

    // It forgets nothing when it is restarted in between.
    await revoking.close();
    const again = await second.start();
    board.isDown = false;
    await again.tellEnds();
    const granting = await first.start();
    await granting.step(made.envelope);
    await first.clock.until(() => first.of('acted').length > 0, 10_000);
    expect(first.of('acted')).toMatchObject([{ outcome: 'refused', code: 'lease-ended' }]);
    expect(first.target.calls).not.toContain('apply');
  });
});

describe('a rotation that the first began', () => {
  const begun = async (): Promise<{ readonly both: Pair; readonly turn: ReturnType<typeof rotation>; readonly workers: readonly [Worker, Worker] }> => {
    const both = pair();
    withOldLogin(both.first);
    const workers = [await both.first.start(), await both.second.start()] as const;
    const turn = rotation();
    expect(await carriedOut(both.first, workers[0], turn.step('stage'))).toBe('done');
    return { both, turn, workers };
  };

  test('is left to it by the other, which refuses nothing', async () => {
    const { both, turn, workers } = await begun();
    await expect(workers[1].step(turn.step('cutover').envelope)).rejects.toMatchObject({ code: 'elsewhere' });
    await both.first.clock.advance(1_000);
    expect(both.second.reports).toEqual([]);
  });

  test('is not taken back by the other at its time once the old login may be shut out, and is when a person orders it', async () => {
    const { both, turn, workers } = await begun();
    expect(await carriedOut(both.first, workers[0], turn.step('cutover'))).toBe('done');
    expect(await carriedOut(both.first, workers[0], turn.step('retire'))).toBe('done');
    await workers[1].revoke(turn.order('leaseEnd', both.first.clock.nowMs));
    await both.first.clock.until(() => both.second.of('revoked').length > 0, 10_000);
    expect(both.second.of('revoked')).toMatchObject([{ outcome: 'failed', code: 'none-would-be-left' }]);
    expect(both.first.target.works(NEW)).toBe(true);
    await workers[1].revoke(turn.order('early', both.first.clock.nowMs));
    await both.first.clock.until(() => both.second.of('revoked').length > 1, 60_000);
    expect(both.first.target.works(NEW)).toBe(false);
  });
});

describe('without the board', () => {
  test('nothing is given until it is back', async () => {
    const { first, board } = pair();
    board.isDown = true;
    const worker = await first.start();
    await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
    await first.clock.advance(60_000);
    expect(first.target.calls).not.toContain('apply');
    board.isDown = false;
    await first.clock.until(() => first.of('acted').length > 0, 60_000);
    expect(first.of('acted')).toMatchObject([{ outcome: 'done' }]);
  });

  test('nothing is said of a step that another may have, and no ticket is good for longer than it says', async () => {
    const { first, board } = pair();
    board.isDown = true;
    const worker = await first.start();
    await worker.step(makeStep({ leaseSeconds: 3_600 }).envelope);
    await first.clock.advance(400_000);
    expect(first.of('acted')).toEqual([]);
    board.isDown = false;
    await first.clock.until(() => first.of('acted').length > 0, 60_000);
    expect(first.of('acted')).toMatchObject([{ outcome: 'refused', code: 'outside-window' }]);
    expect(first.target.calls).not.toContain('apply');
  });
});
