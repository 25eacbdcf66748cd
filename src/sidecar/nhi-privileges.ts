/** What identities are declared to need and were seen to use, connector by connector: read off the facts in force. */
import type { Facts } from '../facts/load.ts';
import type { InventoryFact } from '../facts/schemas.ts';
import type { NhiPrivileges } from './schemas.ts';

const keyOf = (connector: string, account: string): string => JSON.stringify([connector, account]);

/** A look-up over one moment's facts, made once for all identities of an answer. */
export function privilegesBy(facts: Facts): (nhi: InventoryFact) => NhiPrivileges[] {
  const needs = new Map(facts.catalogue.purposes.map(({ id, needs: those }) => [id, those]));
  const used = new Map<string, Set<string>>();
  for (const { connector, account, privileges } of facts.usage?.usage ?? []) {
    const key = keyOf(connector, account);
    used.set(key, new Set([...(used.get(key) ?? []), ...privileges]));
  }
  return ({ purposes, accounts }) => {
    const declared = new Map<string, Set<string>>(Object.keys(accounts).map((connector) => [connector, new Set()]));
    for (const { connector, privilege } of purposes.flatMap((purpose) => needs.get(purpose) ?? [])) declared.set(connector, (declared.get(connector) ?? new Set()).add(privilege));
    return [...declared].sort(([a], [b]) => (a < b ? -1 : 1)).map(([connector, privileges]) => {
      const account = accounts[connector] ?? null;
      const seen = account === null ? undefined : used.get(keyOf(connector, account));
      return { connector, account, declared: [...privileges].sort(), used: seen === undefined ? null : [...seen].sort() };
    });
  };
}
