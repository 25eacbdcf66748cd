/** No page says a thing twice: what two branches have both added to is there once. */
import { expect, it } from 'vitest';
import { pages, textOf } from '../support/fences.ts';

const BEGINNING_CHARS = 60;
/** Made from sources, and tables of many members of one sort. */
const MADE: ReadonlySet<string> = new Set(['docs/controls.md', 'docs/policy-contract.md', 'docs/connectors/README.md', 'docs/benchmarks.md']);

it('no two long lines of a page begin alike', () => {
  const twice = pages().filter((page) => !MADE.has(page)).flatMap((page) => {
    const begun = new Set<string>();
    const beginnings = textOf(page).replaceAll(/^( *)```[^]*?^\1```$/gm, '').split('\n').filter((line) => line.length > BEGINNING_CHARS).map((line) => line.slice(0, BEGINNING_CHARS));
    return beginnings.filter((one) => begun.size === begun.add(one).size).map((one) => `${page}: ${one}`);
  });
  expect(twice).toEqual([]);
});
