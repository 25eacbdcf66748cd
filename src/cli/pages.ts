/** Long lists are asked for a page at a time, and for no more than somebody wants: a sidecar that always has a next page keeps nobody asking. */
import { plain } from './output.ts';
import { CliError, EXIT } from './exit.ts';

/** Of one page, as the API has it. */
const PAGE_MAX = 200;

export interface Page<T> {
  readonly all: readonly T[];
  /** The cursor of the page after this one; null where this is the last. */
  readonly next: string | null;
}

/** What `--limit` says. @throws CliError for what is no number from 1 to 999999 */
export function limitOf(text: string): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new CliError(EXIT.usage, 'usage', { cause: `--limit takes a number from 1 to 999999, and ${plain(text)} is none` });
  return Number(text);
}

/**
 * The first `most` of a list, and whether there are more of it. Each page but the last brings at least one, so that it is asked for `most` times at most.
 *
 * @throws CliError for a page that brings nothing and names another
 */
export async function firstOf<T>(most: number, ask: (page: { readonly limit: number; readonly cursor?: string }) => Promise<Page<T>>): Promise<Page<T>> {
  const all: T[] = [];
  let next: string | null = null;
  do {
    const page = await ask({ limit: Math.min(PAGE_MAX, most - all.length), ...(next === null ? {} : { cursor: next }) });
    if (page.all.length === 0 && page.next !== null) throw new CliError(EXIT.io, 'unexpected-answer', { cause: 'the sidecar answered an empty page, and says that there is another', effect: 'Nothing of the list is shown.', next: 'look at the log of the sidecar' });
    all.push(...page.all.slice(0, most - all.length));
    ({ next } = page);
  } while (next !== null && all.length < most);
  return { all, next };
}
