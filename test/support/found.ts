/** What a connector finds at its target, all pages together. */
import { expect } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { foundSchema, type Found, type FoundAccount, type FoundGrant } from '../../src/protocol/discovery.ts';
import { deadline } from './postgres-cases.ts';

export interface Finder {
  everything(): Promise<Found[]>;
  accountOf(name: string): Promise<FoundAccount | undefined>;
  grantOf(clientToken: string): Promise<FoundGrant | undefined>;
}

/** @param connector as it is by the time that something is looked for */
export function finder(connector: () => Connector, id: string, target: string): Finder {
  const everything = async (): Promise<Found[]> => {
    const found: Found[] = [];
    let after: string | null = null;
    do {
      const page = await connector().discover!({ connector: id, after }, deadline());
      expect(page.target).toBe(target);
      for (const entry of page.entries) expect(foundSchema.safeParse(entry).error).toBeUndefined();
      found.push(...page.entries);
      after = page.next;
    } while (after !== null);
    return found;
  };
  return {
    everything,
    accountOf: async (name) => (await everything()).find((entry): entry is FoundAccount => entry.kind === 'account' && entry.account === name),
    grantOf: async (clientToken) => (await everything()).find((entry): entry is FoundGrant => entry.kind === 'grant' && entry.clientToken === clientToken),
  };
}
