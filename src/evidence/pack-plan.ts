/**
 * What goes into a pack: the records that were asked for, and those without which they could not be judged.
 *
 * One pass over the ledger finds them; another only where a record speaks of a change that came before it and was not known to matter.
 */
import { ChainHeads, erasedBy, formatBase64, headsFaultOf, HEADS_TYPE, KEY_ROTATED_TYPE, LedgerError, type Appended, type DirectoryReading, type LedgerRecord } from '../../ledger/index.ts';
import { parseTime } from '../protocol/values.ts';
import { ActivationBasis } from './pack-basis.ts';
import { PACK_FILES_MAX, type HeadFile, type Manifest, type PackAsked } from './pack-format.ts';
import { openRelations, type Relations } from './relations.ts';

/** A ledger under one checkpoint, from its directory or from the sidecar that writes it. */
export type PackSource = DirectoryReading;

export interface PackPlan {
  readonly asked: PackAsked;
  /** Of all records, in order. */
  readonly seqs: readonly number[];
  /** In the order of their files. */
  readonly heads: readonly HeadFile[];
  /** Digests of the objects that are there, in order. */
  readonly objects: readonly string[];
  readonly erased: Manifest['erased'];
  /** The changes that are shown whole, as far as the ledger has them. */
  readonly changes: readonly string[];
  /** Records of those that come after the newest statement of heads: that none is missing after these, the pack does not show. */
  readonly movedOn: number;
  /** The record that states the heads; null where there is none. */
  readonly headsSeq: number | null;
}

/** What was asked for is not there, or too much for one pack. Nothing was written. */
export class PackRefused extends Error {
  readonly code: 'nothing-there' | 'too-large';
  constructor(code: PackRefused['code'], message: string) {
    super(message);
    this.name = 'PackRefused';
    this.code = code;
  }
}

export interface PlanOptions {
  readonly progress?: (done: number, size: number) => void;
  readonly signal?: AbortSignal;
}

/** @throws PackRefused; LedgerError `corrupt` naming a record; MalformedRecord */
export async function planPack(source: PackSource, asked: PackAsked, { progress = () => undefined, signal }: PlanOptions = {}): Promise<PackPlan> {
  const wanted = new Set<string>('change' in asked ? [asked.change] : []);
  for (;;) {
    const known = wanted.size;
    const relations = openRelations();
    const search = new Search(source, asked, wanted, relations);
    for await (const entry of source.entries(0, source.head.size)) {
      signal?.throwIfAborted();
      await search.take(entry);
      if (entry.seq % 256 === 255) progress(entry.seq + 1, source.head.size);
    }
    progress(source.head.size, source.head.size);
    if (wanted.size === known || !search.mustLookAgain) return search.plan();
  }
}

/** Types of record that may come to be shown after they were passed. */
const NAMED_LATER: ReadonlySet<string> = new Set(['facts.loaded', 'bundle.activated', 'bundle.proposed', 'ledger.adopted', 'lock.set', 'erasure', HEADS_TYPE]);

/** Types of record that are judged by the policy and the facts in force. */
const SHOWS_IN_FORCE: ReadonlySet<string> = new Set(['policy.decided', 'approval.judged', 'approval.recorded', 'lease.redecided', 'change.adopted']);

/** One pass. `wanted` grows in place. */
class Search {
  mustLookAgain = false;
  readonly #source: PackSource;
  readonly #asked: PackAsked;
  readonly #wanted: Set<string>;
  readonly #relations: Relations;
  readonly #heads = new ChainHeads();
  readonly #shown = new Set<number>();
  readonly #objects = new Map<number, readonly string[]>();
  readonly #erasures = new Map<string, number>();
  readonly #lastOf = new Map<string, number>();
  readonly #standing = new Map<string, number>();
  readonly #inForce = new Map<string, number>();
  readonly #activation = new ActivationBasis();
  /** Records that change the log's key: whose signature is worth anything depends on them. */
  readonly #rotations: number[] = [];
  #headFiles: HeadFile[] = [];
  #headsSeq: number | null = null;
  #movedOn = 0;
  #before: Appended | null = null;
  /** Whether the time that was asked for has begun, and whether it is over. */
  #hasBegun = false;
  #isOver = false;

  constructor(source: PackSource, asked: PackAsked, wanted: Set<string>, relations: Relations) {
    this.#source = source;
    this.#asked = asked;
    this.#wanted = wanted;
    this.#relations = relations;
  }

  async take(entry: Appended): Promise<void> {
    const { record, leaf, seq } = entry;
    if (NAMED_LATER.has(record.type)) this.#objects.set(seq, record.objects);
    for (const digest of erasedBy(record)) if (!this.#erasures.has(digest)) this.#erasures.set(digest, seq);
    if (record.type === KEY_ROTATED_TYPE) this.#rotations.push(seq);
    this.#takeHeads(entry);
    this.#heads.advance(record, leaf);
    if ('from' in this.#asked) await this.#takeInTime(entry, this.#asked);
    else await this.#takeByChange(record);
    this.#before = entry;
  }

  #takeHeads({ record, seq }: Appended): void {
    if (record.type !== HEADS_TYPE) return;
    const fault = headsFaultOf(record, this.#heads);
    if (fault !== null) throw new LedgerError('corrupt', fault, { seq });
    this.#headsSeq = seq;
    this.#movedOn = 0;
    this.#headFiles = 'from' in this.#asked ? [] : [...this.#wanted].flatMap((change) => this.#headOf(change, seq));
  }

  #headOf(change: string, seq: number): HeadFile[] {
    const { entry, hashes } = this.#heads.map.prove(change);
    const last = this.#heads.next({ change } as LedgerRecord);
    if (entry === null || last.changeSeq === null || last.changePrev === null) return [];
    return [{ v: 1, change, seq, entry: { changeSeq: last.changeSeq - 1, leaf: last.changePrev }, hashes: hashes.map(formatBase64) }];
  }

  async #takeByChange(record: LedgerRecord): Promise<void> {
    if (record.change === null) return this.#takeSystem(record);
    if ('nhi' in this.#asked && (record.type === 'change.requested' || record.type === 'change.adopted' || record.type === 'change.revised')) {
      const looked = openRelations();
      await looked.take(record, (digest) => this.#source.object(digest));
      if (looked.subjectOf(record.change) === this.#asked.nhi) this.#want(record.change);
    }
    if (this.#wanted.has(record.change)) await this.#show(record);
  }

  /** Whole from the record before the time begins to the first after it, so that nothing in between can be missing; and before it what its changes had come to. */
  async #takeInTime(entry: Appended, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    const { record, seq } = entry;
    if (this.#isOver) return;
    const atMs = parseTime(record.at);
    if (!this.#hasBegun && atMs >= parseTime(from)) {
      this.#hasBegun = true;
      if (this.#before !== null) await this.#showInTime(this.#before.record);
      this.#showInForce();
    }
    if (this.#hasBegun) {
      this.#isOver = atMs >= parseTime(to);
      await this.#showInTime(record);
    } else if (record.change !== null && this.#wanted.has(record.change)) await this.#show(record);
    else if (seq === this.#source.head.size - 1) await this.#showInTime(record);
    if (record.change === null) this.#takeSystem(record);
  }

  async #showInTime(record: LedgerRecord): Promise<void> {
    if (record.change === null) this.#add(record);
    else {
      if (!this.#wanted.has(record.change) && record.changeSeq !== 0) this.mustLookAgain = true;
      this.#wanted.add(record.change);
      if (!this.#shown.has(record.seq)) await this.#show(record);
    }
  }

  /** What policy, facts, locks and earlier logs there are, for whatever of it concerns a record that is shown. */
  #takeSystem(record: LedgerRecord): void {
    const { type, seq, body } = record;
    if (type === 'bundle.activated' || type === 'facts.loaded' || type === 'ledger.adopted') this.#inForce.set(type, seq);
    this.#activation.take(record);
    if (type !== 'lock.set' && type !== 'lock.lifted') return;
    const { lockId } = body;
    if (typeof lockId !== 'string') return;
    if (type === 'lock.set') this.#standing.set(lockId, seq);
    const isShown = this.#shown.has(this.#standing.get(lockId) ?? -1);
    if (type === 'lock.lifted') this.#standing.delete(lockId);
    // A lock that comes while nothing is shown yet is one only if it still stands then.
    if (this.#lastOf.size > 0 && (type === 'lock.set' || isShown)) this.#shown.add(seq);
  }

  #showInForce(): void {
    for (const seq of [...this.#inForce.values(), ...this.#activation.seqs()]) this.#shown.add(seq);
    for (const seq of this.#standing.values()) this.#shown.add(seq);
  }

  #want(change: string): void {
    this.#wanted.add(change);
  }

  async #show(record: LedgerRecord): Promise<void> {
    const { change } = record;
    if (change === null) return;
    if (this.#lastOf.size === 0) for (const seq of this.#standing.values()) this.#shown.add(seq);
    if (SHOWS_IN_FORCE.has(record.type)) for (const seq of [...this.#inForce.values(), ...this.#activation.seqs()]) this.#shown.add(seq);
    this.#add(record);
    this.#lastOf.set(change, record.seq);
    if (this.#headsSeq !== null) this.#movedOn += 1;
    await this.#relations.take(record, (digest) => this.#source.object(digest));
    for (const other of this.#relations.of(change)) {
      if (this.#wanted.has(other)) continue;
      this.#want(other);
      this.mustLookAgain = true;
    }
  }

  #add({ seq, objects }: LedgerRecord): void {
    this.#shown.add(seq);
    this.#objects.set(seq, objects);
    if (this.#shown.size * 2 > PACK_FILES_MAX) throw new PackRefused('too-large', `there are more than ${PACK_FILES_MAX / 2} records in it, which is more than one pack holds: ask for less`);
  }

  plan(): PackPlan {
    if (this.#lastOf.size === 0 && !('from' in this.#asked)) {
      throw new PackRefused('nothing-there', 'change' in this.#asked ? `the ledger has no record of ${this.#asked.change}` : `the ledger has no change of ${'nhi' in this.#asked ? this.#asked.nhi : ''}`);
    }
    const changes = [...this.#lastOf.keys()].sort();
    const lastSeq = Math.max(...this.#lastOf.values(), 0);
    // A lock that was set after the last record of what is shown has held up none of it.
    const shown = new Set([...this.#shown].filter((seq) => 'from' in this.#asked || seq <= lastSeq));
    const heads = this.#headFiles.sort((a, b) => (a.change < b.change ? -1 : 1));
    for (const seq of [...heads.map((head) => head.seq), ...this.#rotations]) shown.add(seq);
    const named = new Set<string>();
    const erased = new Map<string, number>();
    for (const seq of shown) {
      for (const digest of this.#objects.get(seq) ?? []) {
        const by = this.#erasures.get(digest);
        named.add(digest);
        if (by === undefined) continue;
        erased.set(digest, by);
        // Iteration goes on to what is added: what an erasure names is named.
        shown.add(by);
      }
    }
    return {
      asked: this.#asked, seqs: [...shown].sort((a, b) => a - b), heads, changes,
      objects: [...named].filter((digest) => !erased.has(digest)).sort(),
      erased: [...erased].map(([digest, seq]) => ({ digest, seq })).sort((a, b) => (a.digest < b.digest ? -1 : 1)),
      movedOn: heads.length === 0 ? 0 : this.#movedOn, headsSeq: heads.length === 0 ? null : this.#headsSeq,
    };
  }
}

