import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { drawnAhead, systemRandom } from '../../src/sidecar/system.ts';

describe('the real randomness', () => {
  it('gives as many bytes as are asked for, never the same twice, and none that change afterwards', () => {
    const given = Array.from({ length: 2_000 }, (_, n) => systemRandom(16 + (n % 49)));
    expect(given.map(({ byteLength }) => byteLength)).toEqual(given.map((_, n) => 16 + (n % 49)));
    expect(new Set(given.map((bytes) => Buffer.from(bytes).toString('hex'))).size).toBe(given.length);
    const kept = given.map((bytes) => Buffer.from(bytes));
    for (let n = 0; n < 500; n += 1) systemRandom(16).fill(0);
    expect(given.every((bytes, n) => kept[n]!.equals(bytes))).toBe(true);
    expect(given.every((bytes) => bytes.some((byte) => byte !== 0))).toBe(true);
  });

  it('draws those of ids and salts ahead, and none of a secret', () => {
    const drawn: number[] = [];
    const random = drawnAhead((length) => (drawn.push(length), randomBytes(length)));
    for (let n = 0; n < 100; n += 1) random(16);
    expect(drawn).toEqual([4_096]);
    expect(random(32).byteLength).toBe(32);
    expect(drawn).toEqual([4_096, 32]);
  });

  it('gives bytes of their own: nobody reaches what another was given through them', () => {
    const bytes = systemRandom(16);
    expect(bytes.buffer.byteLength).toBe(16);
    expect(systemRandom(1_000).byteLength).toBe(1_000);
  });
});
