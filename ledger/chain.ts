/** The two chains through the records: `prev` over all, `changePrev` over those of one change. */
import { headKey, HeadMap } from './change-heads.ts';
import { CompactTable } from './compact-table.ts';
import { formatDigest, HASH_BYTES } from './hash.ts';
import type { LedgerRecord, RecordDraft } from './record.ts';

export interface ChainLinks {
  readonly seq: number;
  readonly prev: string | null;
  readonly changeSeq: number | null;
  readonly changePrev: string | null;
}

/** What breaks a chain. */
export type ChainFault = 'seq' | 'prev' | 'changeSeq' | 'changePrev';

/** Value of a head: changeSeq as u32, then the leaf hash. */
const HEAD_BYTES = 4 + HASH_BYTES;

/** The end of a change's chain, and the key that it stands under. */
interface Known {
  readonly key: Uint8Array;
  /** null for a change without a record. */
  head: { readonly changeSeq: number; readonly leaf: string } | null;
}
/** Changes whose ends are also kept as text: the records of one come close together. */
const RECENT_MAX = 256;

/** The ends of all chains after so many records. */
export class ChainHeads {
  #size: number;
  #last: string | null;
  readonly #heads: CompactTable;
  /** Kept from when it is first asked for. */
  #map: HeadMap | null = null;
  /** Of changes that were asked about lately, by id. */
  #recent = new Map<string, Known>();

  constructor(size = 0, last: string | null = null, heads: CompactTable = new CompactTable(HEAD_BYTES)) {
    this.#size = size;
    this.#last = last;
    this.#heads = heads;
  }

  static load(size: number, last: string | null, heads: Buffer): ChainHeads {
    return new ChainHeads(size, last, CompactTable.load(HEAD_BYTES, heads));
  }

  get size(): number {
    return this.#size;
  }

  get last(): string | null {
    return this.#last;
  }

  dump(): Buffer {
    return this.#heads.dump();
  }

  /** The change-head map of the records so far; grows with them. */
  get map(): HeadMap {
    if (this.#map === null) {
      this.#map = new HeadMap();
      for (const [key, value] of this.#heads.entries()) this.#map.set(key, { changeSeq: value.readUInt32LE(0), leaf: value.subarray(4) });
    }
    return this.#map;
  }

  #knownOf(change: string): Known {
    let known = this.#recent.get(change);
    if (known !== undefined) return known;
    const key = headKey(change);
    const value = this.#heads.get(key);
    known = { key, head: value === null ? null : { changeSeq: value.readUInt32LE(0), leaf: formatDigest(value.subarray(4)) } };
    if (this.#recent.size >= RECENT_MAX) this.#recent.clear();
    this.#recent.set(change, known);
    return known;
  }

  #headOf(change: string): Known['head'] {
    return this.#knownOf(change).head;
  }

  /** The links that the next record must have. */
  next(draft: RecordDraft): ChainLinks {
    const links = { seq: this.#size, prev: this.#last };
    if (draft.change === null) return { ...links, changeSeq: null, changePrev: null };
    const head = this.#headOf(draft.change);
    return { ...links, changeSeq: head === null ? 0 : head.changeSeq + 1, changePrev: head?.leaf ?? null };
  }

  /** What keeps `record` from being the next; null when nothing does. */
  faultOf(record: LedgerRecord): ChainFault | null {
    if (record.seq !== this.#size) return 'seq';
    if (record.prev !== this.#last) return 'prev';
    const head = record.change === null ? null : this.#headOf(record.change);
    const changeSeq = record.change === null ? null : head === null ? 0 : head.changeSeq + 1;
    if (record.changeSeq !== changeSeq) return 'changeSeq';
    return record.changePrev === (head?.leaf ?? null) ? null : 'changePrev';
  }

  /** Ends to try drafts on; nothing here changes before `commit`. */
  stage(): StagedHeads {
    return new StagedHeads(this);
  }

  /** Moves the ends past `record`, whose leaf hash is `leaf`. @param digest of it */
  advance(record: LedgerRecord, leaf: Uint8Array, digest = formatDigest(leaf)): void {
    this.#size = record.seq + 1;
    this.#last = digest;
    if (record.change === null) return;
    const known = this.#knownOf(record.change);
    const changeSeq = record.changeSeq ?? 0;
    const value = this.#heads.set(known.key);
    value.writeUInt32LE(changeSeq, 0);
    value.set(leaf, 4);
    known.head = { changeSeq, leaf: digest };
    this.#map?.set(known.key, { changeSeq, leaf });
  }
}

/** The ends of the chains after drafts that are not settled yet. */
export class StagedHeads {
  readonly #heads: ChainHeads;
  readonly #advanced: { readonly record: LedgerRecord; readonly leaf: Uint8Array }[] = [];

  constructor(heads: ChainHeads) {
    this.#heads = heads;
  }

  next(draft: RecordDraft): ChainLinks {
    const due = this.#heads.next(draft);
    const last = this.#advanced.at(-1);
    if (last === undefined) return due;
    const links = { ...due, seq: last.record.seq + 1, prev: formatDigest(last.leaf) };
    const sibling = draft.change === null ? undefined : this.#advanced.findLast(({ record }) => record.change === draft.change);
    if (sibling === undefined) return links;
    return { ...links, changeSeq: sibling.record.changeSeq! + 1, changePrev: formatDigest(sibling.leaf) };
  }

  advance(record: LedgerRecord, leaf: Uint8Array): void {
    this.#advanced.push({ record, leaf });
  }

  commit(): void {
    for (const { record, leaf } of this.#advanced) this.#heads.advance(record, leaf);
  }
}
