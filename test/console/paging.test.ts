/** Pages of a list that several sidecars have parts of: walked from first to last, each thing is on one of them, in order. */
import { expect, it } from 'vitest';
import type { Asked } from '../../src/console/ask.ts';
import type { Place } from '../../src/console/context.ts';
import { cursorsOf, merged, type Cursors } from '../../src/console/parts/pager.tsx';

const placeNamed = (name: string): Place => ({ name, open: () => { throw new Error('not asked'); } });
const HELD: Readonly<Record<string, readonly string[]>> = { eu: ['b', 'c', 'f', 'k', 'l', 'm'], us: ['a', 'd', 'e'], ap: [], none: ['z'] };

/** As sidecars answer, from where they go on. */
function answers(cursors: Cursors, size: number, away: ReadonlySet<string> = new Set()): Asked<{ all: readonly string[]; next: string | null }>[] {
  return Object.entries(HELD).map(([name, all]) => {
    if (away.has(name)) return { place: placeNamed(name), trouble: { isOver: false, text: 'away' } };
    const rest = all.filter((one) => one > (cursors.get(name) ?? ''));
    return { place: placeNamed(name), value: { all: rest.slice(0, size), next: rest.length > size ? rest[size - 1]! : null } };
  });
}
const turn = (after: readonly string[], size: number, away?: ReadonlySet<string>): ReturnType<typeof merged<string>> => merged(answers(cursorsOf(after), size, away), size, cursorsOf(after), (a, b) => a.one < b.one, (one) => one);

it.each([1, 2, 3, 4, 10, 11])('%i on each', (size) => {
  const seen: string[] = [];
  const pages: number[] = [];
  for (let after: readonly string[] | null = []; after !== null;) {
    const page = turn(after, size);
    seen.push(...page.shown.map(({ one }) => one));
    pages.push(page.shown.length);
    ({ after } = page);
  }
  expect(seen).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'k', 'l', 'm', 'z']);
  expect(pages.slice(0, -1).every((count) => count === size)).toBe(true);
});

it('a sidecar that is away meanwhile goes on where it was', () => {
  const first = turn([], 3);
  const without = turn(first.after!, 3, new Set(['us']));
  expect(without.shown.map(({ one }) => one)).toEqual(['f', 'k', 'l']);
  expect(turn(without.after!, 3).shown.map(({ one }) => one)).toEqual(['d', 'e', 'm']);
});

it('what is no cursor is none', () => {
  expect([...cursorsOf(['eu', ':x', 'EU:x', 'eu:', `eu:${'x'.repeat(513)}`, 'us:2026 lse_1'])]).toEqual([['us', '2026 lse_1']]);
});
