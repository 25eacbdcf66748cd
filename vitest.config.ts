import { defineConfig } from 'vitest/config';

const onCi = process.env['CI'] === 'true';
const results = process.env['COUNTERSIGN_RESULTS'] ?? 'main';

/** Two projects: `fast` needs nothing but Node (and opa, where it can be had); `real` starts real servers and processes. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/components.ts'],
    ...(onCi ? { reporters: ['default', 'json'], outputFile: { json: `.cache/results/${results}.json` } } : {}),
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
