/** Whom an exception or a scope under observe is for, as far as the facts know: nobody's word counts for what she has of it herself. */
import type { FactsValue } from './facts.ts';
import { withOwners } from './owners.ts';

/** Who answers for which identity, and which ids are one person's. */
export interface Estate {
  readonly owners: ReadonlyMap<string, readonly (string | undefined)[]>;
  readonly links: ReadonlyMap<string, ReadonlySet<string>>;
}

export function estateOf(value: Pick<FactsValue, 'inventory' | 'directory'>): Estate {
  const links = new Map<string, Set<string>>();
  const link = (from: string, to: string): unknown => links.set(from, (links.get(from) ?? new Set()).add(to));
  for (const { id, linked } of value.directory.people) {
    for (const other of linked) {
      link(id, other);
      link(other, id);
    }
  }
  return { owners: new Map(withOwners(value).map(({ id, owner, backupOwner }) => [id, [owner, backupOwner]])), links };
}

/** Its owner, who answers for its identity where it is about one, and whoever the directory says is one of them under another id. */
export function beneficiariesOf(entry: { readonly owner: string; readonly subject?: string }, estate: Estate): ReadonlySet<string> {
  const named = [entry.owner, ...(entry.subject === undefined ? [] : (estate.owners.get(entry.subject) ?? []))];
  return samePeople(named.filter((id) => id !== undefined), estate);
}

/** These ids, and every other of the same people. */
export function samePeople(ids: readonly string[], { links }: Estate): ReadonlySet<string> {
  const found = new Set<string>();
  const include = (id: string): void => {
    if (found.has(id)) return;
    found.add(id);
    links.get(id)?.forEach(include);
  };
  ids.forEach(include);
  return found;
}
