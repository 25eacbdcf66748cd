/** Long lists are shown a page at a time, by addresses alone. Each sidecar goes on from what was shown last of its own. */
import type { Asked } from '../ask.ts';
import type { Place } from '../context.ts';

/** Where each sidecar goes on, by its name; from its beginning where there is none. */
export type Cursors = ReadonlyMap<string, string>;

/** `after=eu:…`, one of each. What is none is no cursor. */
export function cursorsOf(asked: readonly string[] = []): Cursors {
  return new Map(asked.flatMap((text) => {
    const [, name, cursor] = /^([a-z0-9-]{1,32}):(.{1,512})$/su.exec(text) ?? [];
    return name === undefined || cursor === undefined ? [] : [[name, cursor] as const];
  }));
}

export interface Listed<T> {
  readonly place: Place;
  readonly one: T;
}
export interface Paged<T> {
  readonly shown: readonly Listed<T>[];
  /** `after` of the page that follows; null where this is the last. */
  readonly after: readonly string[] | null;
}

/** The first `size` of what sidecars have listed, each in its own order. @param isBefore whether one of a sidecar comes before one of another */
export function merged<T>(asked: readonly Asked<{ readonly all: readonly T[]; readonly next: string | null }>[], size: number, cursors: Cursors, isBefore: (a: Listed<T>, b: Listed<T>) => boolean, cursorOf: (one: T) => string): Paged<T> {
  const lists = asked.flatMap((one) => ('trouble' in one ? [] : [{ place: one.place, all: one.value.all.slice(0, size), next: one.value.next, at: 0 }]));
  const shown: Listed<T>[] = [];
  while (shown.length < size) {
    const heads = lists.filter(({ all, at }) => at < all.length).map((list) => ({ list, place: list.place, one: list.all[list.at]! }));
    const [first, ...others] = heads;
    if (first === undefined) break;
    const { list, place, one } = others.reduce((a, b) => (isBefore(b, a) ? b : a), first);
    list.at += 1;
    shown.push({ place, one });
  }
  const isMore = lists.some(({ all, next, at }) => next !== null || at < all.length);
  const after = new Map([...cursors, ...lists.flatMap(({ place, all, at }) => (at === 0 ? [] : [[place.name, cursorOf(all[at - 1]!)] as const]))]);
  return { shown, after: isMore ? [...after].map(([name, cursor]) => `${name}:${cursor}`) : null };
}

/** The address of a list, as it is narrowed, from there on. */
export function listAddress(path: string, query: Readonly<Record<string, string>>, after: readonly string[]): string {
  const parameters = new URLSearchParams([...Object.entries(query), ...after.map((cursor): [string, string] => ['after', cursor])]).toString();
  return parameters === '' ? path : `${path}?${parameters}`;
}

/** `query`: what the list is narrowed to; `isFirst`: this page is its beginning. */
export function Pager({ after, isFirst, path, query }: { after: readonly string[] | null; isFirst: boolean; path: string; query: Readonly<Record<string, string>> }) {
  if (isFirst && after === null) return null;
  return (
    <nav class="pager" aria-label="Pages of this list">
      {isFirst ? null : <a href={listAddress(path, query, [])}>From the beginning</a>}
      {after === null ? <span>That is all.</span> : <a href={listAddress(path, query, after)} rel="next">Next</a>}
    </nav>
  );
}
