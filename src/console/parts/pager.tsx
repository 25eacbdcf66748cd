/** Long lists are shown a page at a time, by addresses alone. */

export interface Paged<T> {
  readonly shown: readonly T[];
  /** From 1. */
  readonly number: number;
  readonly count: number;
  readonly all: number;
}

/** The page of that number; the first for what is none, the last for what is beyond. */
export function pageOf<T>(all: readonly T[], size: number, asked: string | undefined): Paged<T> {
  const count = Math.max(1, Math.ceil(all.length / size));
  const number = /^[1-9][0-9]{0,5}$/.test(asked ?? '') ? Math.min(count, Number(asked)) : 1;
  return { shown: all.slice((number - 1) * size, number * size), number, count, all: all.length };
}

/** `query`: what the list is narrowed to. */
export function Pager({ of: { number, count }, path, query }: { of: Paged<unknown>; path: string; query: Readonly<Record<string, string>> }) {
  if (count === 1) return null;
  const address = (to: number): string => `${path}?${new URLSearchParams({ ...query, page: String(to) }).toString()}`;
  return (
    <nav class="pager" aria-label="Pages of this list">
      {number > 1 ? <a href={address(number - 1)} rel="prev">Before</a> : null}
      <span>Page {number} of {count}</span>
      {number < count ? <a href={address(number + 1)} rel="next">Next</a> : null}
    </nav>
  );
}
