/** What is read of a bundle server's answer: as many bytes as there are, in whatever pieces they come. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { wholeOf } from '../../src/sidecar/fetch-bundle.ts';

async function* inParts(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let next = 0;
  for (const size of sizes) yield Uint8Array.from({ length: size }, () => next++ % 251);
}

test('what comes in any pieces is what was sent, and no more is taken than may come', async () => {
  for (const sizes of [[], [1], [3, 1, 4, 1, 5, 9], [1, 1, 1, 1, 1], [1_000, 1]]) {
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const whole = await wholeOf(inParts(...sizes), bytes);
    expect([...whole!]).toEqual(Array.from({ length: bytes }, (_, i) => i % 251));
    if (bytes > 0) expect(await wholeOf(inParts(...sizes), bytes - 1)).toBeNull();
  }
});

test('what is sent byte by byte keeps nothing of what each byte came in', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().arrayBuffers;
  let held = 0;
  async function* dripping(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 1_000; n += 1) yield new Uint8Array(65_536).subarray(0, 1);
    // Twice: what the first found is given back beside what goes on.
    collect();
    await new Promise(setImmediate);
    collect();
    held = process.memoryUsage().arrayBuffers - before;
  }
  expect((await wholeOf(dripping(), 2_000))!.byteLength).toBe(1_000);
  expect(held).toBeLessThan(32_000_000);
});
