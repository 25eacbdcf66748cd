/** What an offboarding would be about, from the inventory alone: a sidecar adds what its ledger holds. */
import type { Facts } from '../facts/facts.ts';
import { thirdPartyId } from '../protocol/values.ts';

/** The accounts of an identity, of whatever a person owns, or of a third party's identities. */
export function accountsOf(facts: Facts, subject: string): { readonly nhi: string; readonly connector: string; readonly account: string }[] {
  return [...facts.inventory.values()]
    .filter(({ id, owner, thirdParty }) => id === subject || owner === subject || (thirdParty !== undefined && thirdPartyId(thirdParty) === subject))
    .flatMap(({ id, accounts }) => Object.entries(accounts).map(([connector, account]) => ({ nhi: id, connector, account })));
}
