/**
 * Trust policies: which logs, which witnesses, and how many of those.
 *
 *     log countersign.example/ledger+03d1…+AZ…
 *     witness north witness.example/n+5c21…+BF…
 *     witness south witness.example/s+91aa…+BC…
 *     group both all north south
 *     quorum both
 *
 * @see https://c2sp.org/tlog-policy
 */
import { LedgerError } from './errors.ts';
import { ALG_COSIGNATURE_V1, ALG_ED25519, parseVerifier, type Verifier } from './note.ts';

export interface TrustedLog {
  /** Its key name is the log's origin. */
  readonly verifier: Verifier;
  readonly url: string | null;
}

export interface TrustedWitness {
  readonly name: string;
  readonly verifier: Verifier;
  readonly url: string | null;
}

export interface WitnessGroup {
  readonly name: string;
  /** How many of the members must have witnessed. */
  readonly threshold: number;
  readonly members: readonly string[];
}

export interface TrustPolicy {
  readonly logs: readonly TrustedLog[];
  readonly witnesses: readonly TrustedWitness[];
  readonly groups: readonly WitnessGroup[];
  /** Name of a witness or group; `none` where no cosignature is demanded. */
  readonly quorum: string;
}

/** How the cosignatures of a checkpoint stand to a policy's quorum. */
export interface WitnessState {
  readonly met: boolean;
  /** Witnesses of the policy that have cosigned, and how many the policy lists. */
  readonly cosigned: number;
  readonly known: number;
  /** `none`, or the quorum's name and how many of how many. */
  readonly demand: string;
}

const LINES_MAX = 4096;

function malformed(line: number, message: string): never {
  throw new LedgerError('malformed', `trust policy, line ${line}: ${message}`);
}

/**
 * The policy that `text` states. Names are compared as they are written.
 *
 * @throws LedgerError `malformed` with the number of the line.
 */
export function parseTrustPolicy(text: string): TrustPolicy {
  const builder = new PolicyBuilder();
  // The last newline may be missing from a file someone edited; nothing else is lenient.
  const lines = text.split('\n');
  if (lines.length > LINES_MAX) malformed(LINES_MAX, 'more lines than any policy needs');
  lines.forEach((line, i) => builder.add(line, i + 1));
  return builder.build(lines.length);
}

class PolicyBuilder {
  readonly #logs: TrustedLog[] = [];
  readonly #witnesses: TrustedWitness[] = [];
  readonly #groups: WitnessGroup[] = [];
  readonly #names = new Set<string>(['none']);
  readonly #grouped = new Set<string>();
  readonly #logKeys = new Set<string>();
  readonly #witnessKeys = new Set<string>();
  #quorum: string | null = null;

  add(line: string, at: number): void {
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) malformed(at, 'a control character');
    const [keyword, ...words] = line.split(/[ \t]+/).filter((word) => word !== '');
    if (keyword === undefined || keyword.startsWith('#')) return;
    switch (keyword) {
      case 'log':
        return this.#addLog(words, at);
      case 'witness':
        return this.#addWitness(words, at);
      case 'group':
        return this.#addGroup(words, at);
      case 'quorum':
        return this.#setQuorum(words, at);
      default:
        malformed(at, `unknown keyword ${JSON.stringify(keyword)}`);
    }
  }

  build(lastLine: number): TrustPolicy {
    if (this.#quorum === null) malformed(lastLine, 'no quorum line; `quorum none` says that no cosignature is demanded');
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #addLog(words: readonly string[], at: number): void {
    const [vkey, url = null] = words;
    if (vkey === undefined || words.length > 2) malformed(at, 'a log line is `log <vkey> [<url>]`');
    const verifier = key(vkey, ALG_ED25519, at);
    claim(this.#logKeys, Buffer.from(verifier.publicKey).toString('hex'), at, 'a log key that is listed already');
    this.#logs.push({ verifier, url });
  }

  #addWitness(words: readonly string[], at: number): void {
    const [name, vkey, url = null] = words;
    if (name === undefined || vkey === undefined || words.length > 3) malformed(at, 'a witness line is `witness <name> <vkey> [<url>]`');
    claim(this.#names, name, at, `the name ${name} is taken`);
    const verifier = key(vkey, ALG_COSIGNATURE_V1, at);
    claim(this.#witnessKeys, Buffer.from(verifier.publicKey).toString('hex'), at, 'a witness key that is listed already');
    this.#witnesses.push({ name, verifier, url });
  }

  #addGroup(words: readonly string[], at: number): void {
    const [name, threshold, ...members] = words;
    if (name === undefined || threshold === undefined || members.length === 0) malformed(at, 'a group line is `group <name> <k|any|all> <member>...`');
    for (const member of members) {
      if (member === 'none' || !this.#names.has(member)) malformed(at, `${member} is not defined on a line before`);
      claim(this.#grouped, member, at, `${member} is a member of a group already`);
    }
    claim(this.#names, name, at, `the name ${name} is taken`);
    this.#groups.push({ name, threshold: thresholdOf(threshold, members.length, at), members });
  }

  #setQuorum(words: readonly string[], at: number): void {
    const [name] = words;
    if (name === undefined || words.length > 1) malformed(at, 'a quorum line is `quorum <name|none>`');
    if (this.#quorum !== null) malformed(at, 'a second quorum line');
    if (!this.#names.has(name)) malformed(at, `${name} is not defined on a line before`);
    this.#quorum = name;
  }
}

function claim(taken: Set<string>, value: string, at: number, message: string): void {
  if (taken.has(value)) malformed(at, message);
  taken.add(value);
}

function key(vkey: string, type: number, at: number): Verifier {
  let verifier: Verifier;
  try {
    verifier = parseVerifier(vkey);
  } catch (cause) {
    throw new LedgerError('malformed', `trust policy, line ${at}: ${cause instanceof Error ? cause.message : 'a bad key'}`, { cause });
  }
  if (verifier.type !== type) malformed(at, `a key of type ${verifier.type} where ${type} is due`);
  return verifier;
}

function thresholdOf(text: string, members: number, at: number): number {
  if (text === 'any') return 1;
  if (text === 'all') return members;
  if (!/^[1-9][0-9]{0,3}$/.test(text) || Number(text) > members) malformed(at, `the threshold is any, all, or a number from 1 to ${members}`);
  return Number(text);
}

/** How `cosigned`, names of witnesses of the policy, stand to its quorum. */
export function checkQuorum(policy: TrustPolicy, cosigned: readonly string[]): WitnessState {
  const witnessed = new Set(cosigned);
  // Groups name only what stands before them, so one pass in order settles every group.
  for (const group of policy.groups) {
    if (group.members.filter((member) => witnessed.has(member)).length >= group.threshold) witnessed.add(group.name);
  }
  const group = policy.groups.find(({ name }) => name === policy.quorum);
  return {
    met: policy.quorum === 'none' || witnessed.has(policy.quorum),
    cosigned: policy.witnesses.filter(({ name }) => cosigned.includes(name)).length,
    known: policy.witnesses.length,
    demand: group === undefined ? policy.quorum : `${group.name}: ${group.threshold} of ${group.members.length}`,
  };
}
