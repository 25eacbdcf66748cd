/** A seeded source of numbers (sfc32): the same seed gives the same run, on every machine. */

export interface Rng {
  /** In [0, 1). */
  fraction(): number;
  /** An integer in [from, to], both included. */
  between(from: number, to: number): number;
  /** True with probability `p`. */
  chance(p: number): boolean;
  pick<T>(items: readonly T[]): T;
  bytes(length: number): Uint8Array;
  /** A source of its own, so that one part's draws do not shift another's. */
  fork(label: string): Rng;
}

/** @param seed any integer @param label parts of one run draw from sources of different labels */
export function seededRng(seed: number, label = ''): Rng {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 ^ Math.floor(seed / 2 ** 32);
  let c = 0xb7e15162;
  let counter = 1;
  for (let index = 0; index < label.length; index += 1) c = Math.imul(c ^ label.charCodeAt(index), 0x01000193);

  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let index = 0; index < 15; index += 1) next();

  const rng: Rng = {
    fraction: () => next() / 2 ** 32,
    between: (from, to) => from + Math.floor((next() / 2 ** 32) * (to - from + 1)),
    chance: (p) => next() / 2 ** 32 < p,
    pick: (items) => items[Math.floor((next() / 2 ** 32) * items.length)]!,
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    fork: (part) => seededRng(seed, `${label}/${part}`),
  };
  return rng;
}
