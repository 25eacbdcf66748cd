import { describe, expect, it } from 'vitest';
import { sharePublishing } from '../../src/sidecar/published.ts';
import { fakeClock, type FakeClock } from '../support/fake-clock.ts';

const TAKES_MS = 20;

interface SetUp {
  readonly clock: FakeClock;
  /** When each checkpoint was begun. */
  readonly begunMs: readonly number[];
  /** Resolves with when it was answered. */
  ask(): Promise<number>;
  fail(error: Error | null): void;
}

function setUp(): SetUp {
  const clock = fakeClock(1_000);
  const port = clock.port();
  const begunMs: number[] = [];
  let failing: Error | null = null;
  const sync = async (): Promise<void> => {
    begunMs.push(clock.nowMs);
    await new Promise<void>((resolve) => void port.after(TAKES_MS, resolve));
    if (failing !== null) throw failing;
  };
  const published = sharePublishing({ sync }, port);
  return {
    clock, begunMs,
    ask: async () => {
      await published();
      return clock.nowMs;
    },
    fail: (error) => (failing = error),
  };
}

describe('waiting for the ledger’s files', () => {
  it('is over at once after the checkpoint, for whoever asks alone again and again', async () => {
    const { clock, begunMs, ask } = setUp();
    for (let n = 0; n < 3; n += 1) {
      const asked = ask();
      await clock.advance(TAKES_MS);
      await asked;
    }
    expect(begunMs).toEqual([1_000, 1_020, 1_040]);
  });

  it('is for a checkpoint that begins after the question, which all share who ask meanwhile', async () => {
    const { clock, begunMs, ask } = setUp();
    const first = ask();
    await clock.advance(TAKES_MS / 2);
    const meanwhile = [ask(), ask(), ask()];
    await clock.advance(TAKES_MS * 4);
    expect(await first).toBe(1_020);
    expect(await Promise.all(meanwhile)).toEqual([1_040, 1_040, 1_040]);
    expect(begunMs).toEqual([1_000, 1_020]);
  });

  it('leaves as long between two checkpoints as the first took, once several have shared it', async () => {
    const { clock, begunMs, ask } = setUp();
    const shared = [ask(), ask()];
    await clock.advance(TAKES_MS);
    await Promise.all(shared);
    const late = [ask()];
    await clock.advance(5);
    late.push(ask());
    await clock.advance(TAKES_MS * 4);
    expect(await Promise.all(late)).toEqual([1_060, 1_060]);
    expect(begunMs).toEqual([1_000, 1_040]);
  });

  it('leaves no more time than that where the clock is set back, and none where it was spent already', async () => {
    const { clock, begunMs, ask } = setUp();
    const shared = [ask(), ask()];
    await clock.advance(TAKES_MS);
    await Promise.all(shared);
    clock.jump(-500);
    const afterwards = [ask(), ask()];
    await clock.advance(TAKES_MS * 2);
    expect(await Promise.all(afterwards)).toEqual([560, 560]);
    await clock.advance(TAKES_MS);
    const rested = ask();
    await clock.advance(TAKES_MS);
    await rested;
    expect(begunMs).toEqual([1_000, 540, 580]);
  });

  it('is not over later by what a clock was set ahead or back while a checkpoint was made', async () => {
    for (const jumpMs of [86_400_000, -86_400_000]) {
      const { clock, begunMs, ask } = setUp();
      const shared = [ask(), ask()];
      await clock.advance(TAKES_MS / 2);
      clock.jump(jumpMs);
      await clock.advance(TAKES_MS / 2);
      await Promise.all(shared);
      const afterwards = [ask(), ask()];
      await clock.advance(1_000 + TAKES_MS);
      await Promise.all(afterwards);
      expect(begunMs).toHaveLength(2);
    }
  });

  it('fails for those alone whose checkpoint failed', async () => {
    const { clock, ask, fail } = setUp();
    fail(new Error('no disk'));
    const asked = [ask(), ask()].map((one) => one.catch((error: unknown) => error));
    await clock.advance(TAKES_MS / 2);
    const next = ask();
    await clock.advance(TAKES_MS / 2);
    fail(null);
    await clock.advance(TAKES_MS * 4);
    expect(await Promise.all(asked)).toEqual([new Error('no disk'), new Error('no disk')]);
    expect(await next).toBeGreaterThan(1_020);
  });
});
