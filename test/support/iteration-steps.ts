/** Counts work, and not time: the steps that are taken through maps and sets. */

type Iterable = { [Symbol.iterator](): IterableIterator<unknown> };
const METHODS = [Symbol.iterator, 'values', 'keys', 'entries'] as const;

/** How many elements of maps and sets `work` looks at one after another; looking one up is none. */
export function stepsOf(work: () => void): number {
  let steps = 0;
  const undo: (() => void)[] = [];
  for (const prototype of [Map.prototype, Set.prototype] as unknown as Record<string | symbol, (this: Iterable) => IterableIterator<unknown>>[]) {
    for (const method of METHODS) {
      const original = prototype[method]!;
      undo.push(() => void (prototype[method] = original));
      prototype[method] = function counted(this: Iterable) {
        const iterator = original.call(this);
        const next = iterator.next.bind(iterator);
        return Object.assign(Object.create(iterator) as IterableIterator<unknown>, {
          next: () => {
            steps += 1;
            return next();
          },
        });
      };
    }
  }
  try {
    work();
  } finally {
    for (const one of undo) one();
  }
  return steps;
}
