/** One principal for each person, whichever of her accounts she comes with. */
import type { Directory } from '../facts/schemas.ts';

interface Index {
  /** By issuer and value, whose login it is. */
  readonly logins: ReadonlyMap<string, readonly string[]>;
  /** By id, the first id in the directory of the same person. */
  readonly canonical: ReadonlyMap<string, string>;
  readonly active: ReadonlySet<string>;
}

export type Person = { readonly id: string } | { readonly missing: string };

const loginKey = (issuer: string, value: string): string => JSON.stringify([issuer, value]);

/** Facts do not change: each directory is indexed once, and the index goes when it goes. */
const indices = new WeakMap<Directory, Index>();

/**
 * The person whose login at `issuer` this is, by the id that she has in every place: of those that the directory links, both ways and onwards, the one
 * that it lists first. `missing` says why it is nobody; it holds nothing of the value.
 */
export function personOfLogin(directory: Directory, issuer: string, value: string): Person {
  const { logins, canonical, active } = indexOf(directory);
  const owners = logins.get(loginKey(issuer, value)) ?? [];
  if (owners.length === 0) return { missing: 'nobody in the directory has it as a login' };
  const ids = [...new Set(owners.map((id) => canonical.get(id)!))];
  if (ids.length > 1) return { missing: 'the directory has it as the login of several people' };
  // Neither the account that she comes with, nor the one that she is known by.
  if (![...owners, ids[0]!].every((id) => active.has(id))) return { missing: 'the person is disabled in the directory' };
  return { id: ids[0]! };
}

/** Whether the directory links the two, both ways and onwards: then they are one person. Nobody is told apart from herself. */
export function isSamePerson(directory: Directory, one: string, other: string): boolean {
  const { canonical } = indexOf(directory);
  return one === other || (canonical.has(one) && canonical.get(one) === canonical.get(other));
}

function indexOf(directory: Directory): Index {
  const known = indices.get(directory);
  if (known !== undefined) return known;
  const logins = new Map<string, string[]>();
  const links = new Map<string, Set<string>>();
  const link = (from: string, to: string): void => void links.set(from, (links.get(from) ?? new Set()).add(to));
  for (const { id, linked, logins: own = [] } of directory.people) {
    for (const other of linked) {
      link(id, other);
      link(other, id);
    }
    for (const { issuer, value } of own) logins.set(loginKey(issuer, value), [...(logins.get(loginKey(issuer, value)) ?? []), id]);
  }
  const canonical = new Map<string, string>();
  for (const { id } of directory.people) {
    const due = canonical.has(id) ? [] : [id];
    for (let one = due.pop(); one !== undefined; one = due.pop()) {
      canonical.set(one, id);
      for (const other of links.get(one) ?? []) if (!canonical.has(other)) due.push(other);
    }
  }
  const index = { logins, canonical, active: new Set(directory.people.filter(({ active }) => active).map(({ id }) => id)) };
  indices.set(directory, index);
  return index;
}
