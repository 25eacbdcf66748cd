import { defineConfig } from 'vitest/config';

const onCi = process.env['CI'] === 'true';
const results = process.env['COUNTERSIGN_RESULTS'] ?? 'main';

/**
 * `fast` needs nothing but Node (and opa, where it can be had), and its files share a process: a module that keeps what a test left behind is a
 * fault. `simulation` needs no more, and takes longer. `real` starts servers and processes, a file at a time, since what they promise is about time.
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
          testTimeout: 20_000,
          isolate: false,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          testTimeout: 20_000,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
          maxWorkers: 1,
        },
      },
    ],
  },
});
