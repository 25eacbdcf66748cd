/** Orders armed on a cluster of three: every one comes, once, none before it is due. `npm run bench:arms` does it with 10,000. */
import { describe, expect, test } from 'vitest';
import { fireArms, quantile } from '../support/arms.ts';
import { hasNats, testNats } from '../support/nats.ts';
import { EXECUTOR } from '../support/story.ts';

const COUNT = 500;

describe.skipIf(!hasNats())('five hundred armed orders, due within five seconds', () => {
  test('all fire, once, on time, and nothing of them is left', async () => {
    const nats = await testNats([EXECUTOR], 3);
    try {
      const { times, lateMs, left } = await fireArms({ nats, count: COUNT, windowMs: 5_000, armingMs: 15_000 });
      expect(times).toEqual(new Array(COUNT).fill(1));
      expect(left).toBe(0);
      expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0);
      // A second on a machine that does nothing else: that is the bench's to say.
      expect(quantile(lateMs, 0.99)).toBeLessThan(10_000);
    } finally {
      await nats.close();
    }
  });
});
