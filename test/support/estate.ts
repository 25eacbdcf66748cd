/** An estate as it is on the first day: thousands of identities, some well kept, many not. The same numbers give the same estate. */
import type { FactsValue } from '../../src/facts/facts.ts';
import type { Catalogue, Directory, InventoryFact, UsageFile } from '../../src/facts/schemas.ts';

const TEAMS = 40;
const TABLES = 200;

/** Of ten identities one has an owner who left, one is used by people, one uses more than it needs, one has a purpose that nobody knows; the tiers go round. */
export function estate(count: number, observedAtMs: number): FactsValue {
  const people = Array.from({ length: TEAMS * 2 }, (_, n): Directory['people'][number] => ({ id: `person:p${n}`, name: `Person ${n}`, active: n % 10 !== 9, linked: [] }));
  const table = (n: number): string => `table:public.t${n % TABLES}:SELECT`;
  const entitlements = Array.from({ length: TABLES }, (_, n): Catalogue['entitlements'] => (['prod', 'dev'] as const).map((environment) => ({
    connector: `pg-${environment}`, target: 'app', privilege: table(n), rank: n % 100, environment,
  }))).flat();
  const purposes = Array.from({ length: TABLES }, (_, n): Catalogue['purposes'] => (['prod', 'dev'] as const).map((environment) => ({
    id: `read-${environment}-${n}`, needs: [0, 1, 2].map((more) => ({ connector: `pg-${environment}`, target: 'app', privilege: table(n + more) })), maxLeaseSeconds: n % 5 === 0 ? null : 3_600,
  }))).flat();
  const nhis = Array.from({ length: count }, (_, n): InventoryFact => {
    const environment = n % 3 === 0 ? 'dev' : 'prod';
    return {
      id: `nhi:${environment}/service-${n}`, owner: `person:p${n % people.length}`, backupOwner: `person:p${(n + 1) % people.length}`, environment,
      purposes: n % 10 === 3 ? ['forgotten'] : [`read-${environment}-${n % TABLES}`], riskTier: (['low', 'medium', 'high', 'critical'] as const)[n % 4]!,
      custody: n % 17 === 0 ? 'thirdParty' : 'vault', humanUse: n % 10 === 5, ...(n % 17 === 0 ? { thirdParty: `Partner ${n % 5}` } : {}), consumers: [], accounts: { [`pg-${environment}`]: `service_${n}` },
    };
  });
  const usage: UsageFile['usage'] = nhis.map(({ accounts }, n) => {
    const [[connector, account]] = Object.entries(accounts) as [[string, string]];
    return { connector, account, privileges: n % 10 === 7 ? [table(n), table(n + 50)] : [table(n)] };
  });
  return {
    inventory: { v: 1, nhis }, catalogue: { v: 1, entitlements, purposes }, usage: { v: 1, observedAtMs, usage }, calendar: null,
    directory: { v: 1, people, teams: [{ id: 'security', members: ['person:p0', 'person:p1', 'person:p2'] }, { id: 'onCall', members: ['person:p3'] }, { id: 'platform', members: ['person:p4', 'person:p5', 'person:p6'] }] },
  };
}
