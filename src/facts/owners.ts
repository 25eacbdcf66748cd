/**
 * Who answers for an identity whose entry names no owner: whoever a rule of the inventory names. Worked out from the documents alone, so that a
 * replay of what was recorded comes to the same owner.
 */
import type { FactsValue } from './facts.ts';
import type { Directory, FallbackOwner, InventoryEntry, InventoryFact } from './schemas.ts';

/** The rule that covers this id: of several the one with the longest prefix; undefined where none does. */
export function fallbackFor(id: string, rules: readonly FallbackOwner[]): FallbackOwner | undefined {
  return rules.reduce<FallbackOwner | undefined>(
    (best, rule) => (id.startsWith(rule.prefix) && rule.prefix.length > (best?.prefix.length ?? -1) ? rule : best), undefined,
  );
}

/**
 * Every identity of the inventory with who answers for it. An entry that names its owner is returned as it is, the very object: only where a rule
 * gives the owner is there an `ownerIsFallback`. A team with no active member gives none, and then nobody can approve.
 */
export function withOwners({ inventory, directory }: Pick<FactsValue, 'inventory' | 'directory'>): InventoryFact[] {
  const rules = inventory.fallbackOwners ?? [];
  const answering = new Map(rules.map((rule) => [rule, ownersBy(rule, directory)]));
  return inventory.nhis.map((entry) => {
    if (entry.owner !== undefined) return entry;
    const rule = fallbackFor(entry.id, rules);
    return rule === undefined ? entry : owned(entry, answering.get(rule)!);
  });
}

function owned(entry: InventoryEntry, [owner, backupOwner]: readonly string[]): InventoryFact {
  if (owner === undefined) return entry;
  return { ...entry, owner, ...(entry.backupOwner !== undefined || backupOwner === undefined ? {} : { backupOwner }), ownerIsFallback: true };
}

/** Owner and backup owner. Of a team: the first two of its members, as it lists them, who are active. */
function ownersBy({ owner, backupOwner, team }: FallbackOwner, { people, teams }: Directory): readonly string[] {
  if (owner !== undefined) return [owner, ...(backupOwner === undefined ? [] : [backupOwner])];
  const active = new Set(people.filter((person) => person.active).map(({ id }) => id));
  return (teams.find(({ id }) => id === team)?.members ?? []).filter((id) => active.has(id)).slice(0, 2);
}
