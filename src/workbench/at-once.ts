/** What `work` gives for each, in the order of `items`, with so many under way at a time. The first that fails ends it. */
export async function atOnce<T, R>(items: Iterable<T> | AsyncIterable<T>, count: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const running = new Set<Promise<void>>();
  let next = 0;
  for await (const item of items) {
    const place = next;
    next += 1;
    const one = work(item).then((result) => {
      results[place] = result;
    }).finally(() => running.delete(one));
    running.add(one);
    if (running.size >= count) await Promise.race(running);
  }
  await Promise.all(running);
  return results;
}
