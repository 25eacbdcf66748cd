/**
 * Everybody in a token's chain of actors, whole: who acts, who acted before, and whom all of it is for.
 *
 * @see RFC 8693 §4.1
 */
import type { Claims } from './map-claims.ts';

/** With whom the token is about, as many as a record of who asked has room for. */
export const ACTORS_MAX = 7;

/**
 * The actors, the one that acts now first; none where nobody acts for another. `subject` itself is not among them.
 *
 * @returns null where the chain is not one, or has more than {@link ACTORS_MAX}: part of a chain is no chain
 */
export function readActChain(claims: Claims): Claims[] | null {
  const actors: Claims[] = [];
  let at: Claims = claims;
  while (Object.hasOwn(at, 'act')) {
    const act = at['act'];
    if (typeof act !== 'object' || act === null || Array.isArray(act) || actors.length === ACTORS_MAX) return null;
    const actor = act as Claims;
    if (typeof actor['sub'] !== 'string' || actor['sub'] === '' || !(actor['iss'] === undefined || typeof actor['iss'] === 'string')) return null;
    actors.push(actor);
    at = actor;
  }
  return actors;
}
