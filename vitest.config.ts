import { defineConfig } from 'vitest/config';

const onCi = process.env['CI'] === 'true';
const results = process.env['COUNTERSIGN_RESULTS'] ?? 'main';

/** They end what hangs, and say nothing of how fast anything is: a machine that does other things as well may take ten times as long. */
const GENEROUS = { testTimeout: 60_000, hookTimeout: 60_000 };

/** They kill what they have at a given moment again and again, or say how late something may be: they have the machine to themselves. */
const ALONE = ['crash', 'crash-caller', 'crash-offboarding', 'crash-rotation', 'nats-kill', 'nats-loss', 'demo', 'cluster'].map((name) => `test/e2e/${name}.test.ts`).concat('test/integration/nats-arms.test.ts');

/**
 * `fast` needs nothing but Node (and opa, where it can be had), and its files share a process: a module that keeps what a test left behind is a
 * fault. `simulation` needs no more, and takes longer. `real` starts servers and processes, two files at a time on any machine: most of what they
 * do is to wait for leases to end and leaders to be found, and what they promise is about time. `alone` does so a file at a time.
 */
export default defineConfig({
  test: {
    globalSetup: ['test/support/components.ts'],
    ...(onCi ? { reporters: ['default', 'json'], outputFile: { json: `.cache/results/${results}.json` } } : {}),
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**', 'test/simulation/**'],
          setupFiles: ['test/support/drawn-inputs.ts'],
          ...GENEROUS,
          isolate: false,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          ...GENEROUS,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          exclude: ALONE,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'alone',
          include: ALONE,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 2 },
          maxWorkers: 1,
        },
      },
    ],
  },
});
