/** What people sign with in a run: one key each, or one after the other, where keys end in it. Everybody has the next one in hand before the last is over. */
import { canonicalBytes } from '../../ledger/index.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { SshProof } from '../../src/engine/approving.ts';
import { parseAllowedSigners, type AllowedSigners } from '../../src/protocol/allowed-signers.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { parseSshKey } from '../../src/protocol/ssh-key.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { TestSshKey } from '../support/ssh.ts';
import { keyOfPerson, SIGNERS } from './fixtures.ts';
import type { Rng } from './rng.ts';

export interface Signing {
  /** As the trust folders of this run have them. */
  readonly signers: AllowedSigners;
  /** Whether keys end in this run: then people sign what they approve. */
  readonly keysEnd: boolean;
  /** The key that she has in hand at that time. Mallory has one as well, and no trust folder names it. */
  keyOf(person: string, nowMs: number): TestSshKey;
  /** When the key that has signed it ends (epoch ms), read by nobody's code but the table that was drawn. */
  endOf(envelope: Dsse): number;
  /** What proves by her own signature that she approves the plan; undefined where she decides by her session, or is not asked about this plan. */
  prove(engine: Engine, by: string, changeId: string, planDigest: string, nowMs: number): Promise<{ readonly ssh: SshProof } | undefined>;
}

interface Held {
  readonly key: TestSshKey;
  /** Not included; Infinity for one that stays. */
  readonly endsMs: number;
}

/** How much is signed in a run in which keys end; the rest is said by session. */
const SIGNED = 0.85;
/** Whoever is careless signs with a key that has ended. */
const CARELESS = 0.1;

/** @param untilMs keys that stay begin before this */
export function createSigning(rng: Rng, startMs: number, untilMs: number, keysEnd: boolean): Signing {
  const held = new Map<string, readonly Held[]>([['person:mallory', [{ key: keyOfPerson('person:mallory', 0), endsMs: Infinity }]]]);
  for (const person of SIGNERS) {
    const keys: Held[] = [];
    const lastsMs = (): number => 1_000 * rng.between(4, 40);
    for (let endsMs = startMs + lastsMs(); keysEnd && endsMs < untilMs; endsMs += lastsMs()) keys.push({ key: keyOfPerson(person, keys.length), endsMs });
    held.set(person, [...keys, { key: keyOfPerson(person, keys.length), endsMs: Infinity }]);
  }
  const endsMs = new Map([...held.values()].flat().map((one) => [parseSshKey(one.key.blob).fingerprint, one.endsMs]));
  const lines = SIGNERS.flatMap((person) => held.get(person)!.map((one) => `${person} ${one.endsMs === Infinity ? '' : `valid-before="${asWritten(one.endsMs)}" `}${one.key.publicLine}\n`));
  const keyOf = (person: string, nowMs: number): TestSshKey => held.get(person)!.find((one) => nowMs < one.endsMs)!.key;
  return {
    keysEnd, keyOf, signers: parseAllowedSigners(lines.join('')),
    endOf: ({ signatures: [signature] }) => endsMs.get(signature!.keyid) ?? -Infinity,
    async prove(engine, by, changeId, planDigest, nowMs) {
      if (!keysEnd || !held.has(by) || !rng.chance(SIGNED)) return undefined;
      const key = rng.chance(CARELESS) ? held.get(by)![0]!.key : keyOf(by, nowMs);
      const asked = await engine.statement(by, changeId, 'approve');
      if (!asked.ok || asked.value.statement.planDigest !== planDigest) return undefined;
      const { statement } = asked.value;
      return { ssh: { expiresAt: statement.expiresAt, signature: writeArmour(key.sign(canonicalBytes(statement))) } };
    },
  };
}

/** As `valid-before` has a time: whole seconds, in UTC. */
function asWritten(atMs: number): string {
  return `${new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+Z$/g, '')}Z`;
}
