/** What is the same in every run: keys, trust, facts and policy. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, generateSignerKey, logIdOf, parseSigner, parseTrustPolicy, parseVerifier, type Signer, type Verifier } from '../../ledger/index.ts';
import { factsOf, parseFacts, type Facts } from '../../src/facts/load.ts';
import type { ObserveScope } from '../../src/facts/observe.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import type { CalendarFile } from '../../src/facts/schemas.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { BreakGlassFloor, RequirementsFile } from '../../src/protocol/trust.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';
import { policySigner } from './replaying.ts';

/** A minute before midnight, so that a day's end falls into the trouble. */
export const START_MS = Date.parse('2026-11-23T23:59:00.000Z');
export const ORIGIN = 'sim.example/ledger';
export const ROGUE_ORIGIN = 'rogue.example/ledger';
/** Which executor serves which connector. */
export const EXECUTORS = [
  { audience: 'executor:prod', connector: 'pg-main', target: 'app' },
  { audience: 'executor:dev', connector: 'pg-dev', target: 'app_dev' },
] as const;

export interface Keys {
  readonly log: Signer;
  readonly ticket: Signer;
  readonly rogueLog: Signer;
  readonly rogueTicket: Signer;
  readonly revoker: Signer;
  readonly executors: ReadonlyMap<string, Signer>;
}

/** Ed25519 is deterministic and half of a run's cost: what was checked once in this process is known. */
const checked = new Map<string, boolean>();
function remembering(verifier: Verifier): Verifier {
  return {
    name: verifier.name, keyName: verifier.keyName, vkey: verifier.vkey, type: verifier.type, publicKey: verifier.publicKey,
    verify(message, signature) {
      const key = `${verifier.keyName} ${digestOf(message)} ${Buffer.from(signature).toString('base64')}`;
      const known = checked.get(key);
      if (known !== undefined) return known;
      const holds = verifier.verify(message, signature);
      if (checked.size > 20_000) checked.clear();
      checked.set(key, holds);
      return holds;
    },
  };
}

const seedOf = (name: string): Buffer => Buffer.from(digestOf(Buffer.from(`simulation ${name}`)).slice(7), 'hex');

function signer(name: string): Signer {
  return parseSigner(generateSignerKey(name, seedOf(name)).skey);
}

/** Whose keys trust folders name. */
export const SIGNERS = ['ana', 'ben', 'wei', 'olga', 'sam'].map((name) => `person:${name}`);
const peopleKeys = new Map<string, TestSshKey>();

/** The key that she signs with after so many others. */
export function keyOfPerson(person: string, number: number): TestSshKey {
  const name = `key ${number} of ${person}`;
  const key = peopleKeys.get(name) ?? testSshKey('ssh-ed25519', seedOf(name));
  peopleKeys.set(name, key);
  return key;
}

export interface FactsPair {
  readonly facts: Facts;
  readonly strictFacts: Facts;
}
/** Whose checkpoints are believed; witnesses are added where there are some. */
export const logLines = ({ log, rogueLog }: Pick<Keys, 'log' | 'rogueLog'>): string => `log ${log.vkey}\nlog ${rogueLog.vkey}\n`;

export interface Fixtures extends FactsPair {
  readonly keys: Keys;
  readonly trust: Trust;
  readonly pdp: Pdp;
  /** The same facts, and a maintenance calendar. */
  readonly withCalendar: FactsPair;
}
let made: Fixtures | null = null;
const ROOT = join(import.meta.dirname, '../..');

/** Keys, trust, facts and policy are the same in every run. */
export async function fixtures(): Promise<Fixtures> {
  if (made !== null) return made;
  const keys: Keys = {
    log: signer(ORIGIN), ticket: signer('sim.example/tickets'), rogueLog: signer(ROGUE_ORIGIN), rogueTicket: signer('rogue.example/tickets'),
    revoker: signer('sam.example/revoker'), executors: new Map(EXECUTORS.map(({ audience }) => [audience, signer(audience.replace(':', '.'))])),
  };
  const verifier = (of: Signer): Verifier => remembering(parseVerifier(of.vkey));
  const requirements: RequirementsFile = {
    v: 1, clockSkewMs: 2_000, revokers: [{ principal: 'person:sam', key: keys.revoker.vkey }], policySigners: [policySigner.vkey],
    floors: [{ connector: 'pg-dev', target: '*', privilege: 'table:public.orders:SELECT', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: 28_800 }],
  };
  const policy = parseTrustPolicy(`${logLines(keys)}quorum none\n`);
  const trust: Trust = {
    policy: { ...policy, logs: policy.logs.map((log) => ({ ...log, verifier: remembering(log.verifier) })) },
    sidecars: new Map([[logIdOf(ORIGIN), [verifier(keys.ticket)]], [logIdOf(ROGUE_ORIGIN), [verifier(keys.rogueTicket)]]]),
    executors: new Map(EXECUTORS.map(({ audience, connector }) => [audience, { key: verifier(keys.executors.get(audience)!), connectors: [connector] }])),
    requirements, signers: new Map(), passkeys: new Map(),
  };
  const file = (name: string): { name: string; text: string } => ({ name, text: readFileSync(join(ROOT, `examples/facts/${name}.yaml`), 'utf8') });
  const facts = withUnserved(parseFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage: file('usage') }, START_MS));
  const dated = factsOf({ ...facts.value, calendar: CALENDAR }, START_MS);
  made = { keys, trust, facts, strictFacts: stricter(facts), withCalendar: { facts: dated, strictFacts: stricter(dated) }, pdp: inlinePdp(await readBundle(join(ROOT, 'policy/bundle'))) };
  return made;
}

/**
 * Windows of minutes at the main database, from the first minute of trouble until long after it; the fourth minute's is too short for whoever
 * asks once it is open. Nothing of consequence changes anywhere in the first minute.
 */
const CALENDAR: CalendarFile = {
  v: 1,
  windows: [{
    id: 'minutes', timeZone: 'UTC', connectors: ['pg-main'], consumers: ['database-team'],
    dates: [
      { from: '2026-11-24T00:00', until: '2026-11-24T00:02' }, { from: '2026-11-24T00:03', until: '2026-11-24T00:04' },
      { from: '2026-11-24T00:05', until: '2026-11-24T00:08' }, { from: '2026-11-24T00:09', until: '2026-11-24T00:12' },
    ],
  }],
  freezes: [{ id: 'opening', timeZone: 'UTC', from: '2026-11-23T23:59', until: '2026-11-24T00:00' }],
};

/** The same, with such scopes under observe. */
export function underObserve({ value }: Facts, observe: readonly ObserveScope[]): Facts {
  return factsOf({ ...value, exceptions: { v: 1, exceptions: [], observe: [...observe] } }, START_MS);
}

export const NO_FLOORS: RequirementsFile['floors'] = [{ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null }];

/** What executors ask nobody's approval for in a run with scopes under observe, so that something of it gets through. */
export const UNHELD_FLOORS: RequirementsFile['floors'] = [['pg-dev', 'table:public.orders:UPDATE'], ['pg-main', 'table:public.customers:SELECT']].map(([connector, privilege]) => ({
  connector: connector!, target: '*', privilege: privilege!, quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: 28_800,
}));

/** What executors give for standing approvals in a run in which they count any. */
const STANDING_FLOORS: RequirementsFile['floors'] = [['pg-main', 'role:deploy'], ['pg-dev', 'table:public.orders:UPDATE']].map(([connector, privilege]) => ({
  connector: connector!, target: '*', privilege: privilege!, quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null,
}));

/** The same floors, and each of them counts standing approvals. */
export function countingStanding(floors: RequirementsFile['floors']): RequirementsFile['floors'] {
  const more = STANDING_FLOORS.filter(({ connector, privilege }) => !floors.some((floor) => floor.connector === connector && floor.privilege === privilege));
  return [...floors, ...more].map((floor) => ({ ...floor, standing: true }));
}

/** Who breaks the glass in a run in which anybody does: for a minute, and what is owed for it is overdue within the run. */
export const GLASS_FLOOR: BreakGlassFloor = { connector: '*', target: '*', privilege: '*', people: ['person:sam', 'person:wei'], maxLeaseSeconds: 60, reviewWithinSeconds: 30, rotateWithinSeconds: 60 };

/** The same, where those whom standing approvals are about were seen to use what they ask for. */
export function familiar({ value }: Facts): Facts {
  const used = [{ connector: 'pg-main', account: 'ci_deployer', privileges: ['role:deploy'] }, { connector: 'pg-dev', account: 'report_preview', privileges: ['table:public.orders:SELECT', 'table:public.orders:UPDATE'] }];
  const others = value.usage!.usage.filter(({ account }) => !used.some((one) => one.account === account));
  return factsOf({ ...value, usage: { ...value.usage!, usage: [...others, ...used] } }, START_MS);
}

/** An identity with an account where no executor reaches: only its own code can change that, and nobody else sees what it did. */
export const UNSERVED = { subject: 'nhi:prod/crm-export', connector: 'crm', target: 'contacts', account: 'crm_export', purpose: 'crm-export' } as const;

function withUnserved({ value }: Facts): Facts {
  const { subject: id, connector, target, account, purpose } = UNSERVED;
  const entitlement = { connector, target, privilege: 'scope:read' };
  const nhi = {
    id, owner: 'person:ana', backupOwner: 'person:ben', environment: 'prod', purposes: [purpose], riskTier: 'medium' as const, custody: 'vault' as const, humanUse: false, consumers: [],
    accounts: { [connector]: account },
  };
  const catalogue = {
    ...value.catalogue, entitlements: [...value.catalogue.entitlements, { ...entitlement, rank: 20, environment: 'prod' }],
    purposes: [...value.catalogue.purposes, { id: purpose, needs: [entitlement], maxLeaseSeconds: null }],
  };
  return factsOf({ ...value, catalogue, inventory: { ...value.inventory, nhis: [...value.inventory.nhis, nhi] } }, START_MS);
}

/** The same, a moment later: nobody's purpose stands any more, and there are other backup owners. People who take back access remain. */
function stricter({ value }: Facts): Facts {
  const nhis = value.inventory.nhis.map((nhi) => ({ ...nhi, purposes: [], backupOwner: 'person:olga' }));
  return factsOf({ ...value, inventory: { ...value.inventory, nhis } }, START_MS);
}
