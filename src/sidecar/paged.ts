/** Long lists are told a page at a time, from what comes after the last that was told: what is gone meanwhile, or has come, moves none of the others. */

export interface PageAsked {
  readonly limit?: string | undefined;
  readonly cursor?: string | undefined;
}

/** @param all in the order of their keys, no two of which are the same @param isAfter what that order is, where it is another than that of texts */
export function pageOf<T>(all: readonly T[], keyOf: (one: T) => string, { limit, cursor }: PageAsked, isAfter = (key: string, other: string): boolean => key > other): { readonly page: readonly T[]; readonly next: string | null } {
  const from = cursor === undefined ? 0 : all.findIndex((one) => isAfter(keyOf(one), cursor));
  const rest = from === -1 ? [] : all.slice(from);
  const page = limit === undefined ? rest : rest.slice(0, Number(limit));
  return { page, next: page.length < rest.length ? keyOf(page.at(-1)!) : null };
}

/** Whether every word that is looked for is somewhere in these texts. */
export function isAbout(q: string | undefined, texts: readonly (string | null | undefined)[]): boolean {
  if (q === undefined) return true;
  const all = texts.join('\n').toLowerCase();
  return q.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}
