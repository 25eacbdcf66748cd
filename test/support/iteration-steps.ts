/** Counts work, and not time: the steps that are taken through maps and sets. */

type Iterable = { [Symbol.iterator](): IterableIterator<unknown> };
const METHODS = [Symbol.iterator, 'values', 'keys', 'entries'] as const;

/** How many elements of maps and sets `work` looks at one after another; looking one up is none. */
export function stepsOf(work: () => void): number {
  const counting = count();
  try {
    work();
  } finally {
    counting.end();
  }
  return counting.steps;
}

/** The same of work that takes its time, and of all else that goes on meanwhile. */
export async function stepsOfAsync(work: () => Promise<unknown>): Promise<number> {
  const counting = count();
  try {
    await work();
  } finally {
    counting.end();
  }
  return counting.steps;
}

function count(): { readonly steps: number; end(): void } {
  const counted = { steps: 0, end: (): void => undo.forEach((one) => one()) };
  const undo: (() => void)[] = [];
  for (const prototype of [Map.prototype, Set.prototype] as unknown as Record<string | symbol, (this: Iterable) => IterableIterator<unknown>>[]) {
    for (const method of METHODS) {
      const original = prototype[method]!;
      undo.push(() => void (prototype[method] = original));
      prototype[method] = function counting(this: Iterable) {
        const iterator = original.call(this);
        const next = iterator.next.bind(iterator);
        return Object.assign(Object.create(iterator) as IterableIterator<unknown>, {
          next: () => {
            counted.steps += 1;
            return next();
          },
        });
      };
    }
  }
  return counted;
}
