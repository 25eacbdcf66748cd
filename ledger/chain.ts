/** The two chains through the records: `prev` over all, `changePrev` over those of one change. */
import { headKey, HeadMap } from './change-heads.ts';
import { CompactTable } from './compact-table.ts';
import { formatDigest, HASH_BYTES, parseDigest } from './hash.ts';
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

/** The end of one change's chain, its hash as records spell it. Moved in place. */
interface ChangeEnd {
  readonly key: Uint8Array;
  changeSeq: number;
  digest: string;
}

/** Changes whose ends are kept as they are spelled: those that move now will move again soon. */
const LATELY_MAX = 1_024;

/** The ends of all chains after so many records. */
export class ChainHeads {
  #size: number;
  #last: string | null;
  readonly #heads: CompactTable;
  /** Ends that have moved since they were last put into the table, by change. */
  readonly #lately = new Map<string, ChangeEnd>();
  /** Kept from when it is first asked for. */
  #map: HeadMap | null = null;
  /** The change asked about last: it is about to be advanced. */
  #lastChange: string | null = null;
  #lastKey: Uint8Array = new Uint8Array(0);

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
    this.#settle();
    return this.#heads.dump();
  }

  /** The change-head map of the records so far; grows with them. */
  get map(): HeadMap {
    if (this.#map === null) {
      this.#settle();
      this.#map = new HeadMap();
      for (const [key, value] of this.#heads.entries()) this.#map.set(key, { changeSeq: value.readUInt32LE(0), leaf: value.subarray(4) });
    }
    return this.#map;
  }

  #settle(): void {
    for (const { key, changeSeq, digest } of this.#lately.values()) {
      const value = this.#heads.set(key);
      value.writeUInt32LE(changeSeq, 0);
      value.set(parseDigest(digest), 4);
    }
    this.#lately.clear();
  }

  #keyOf(change: string): Uint8Array {
    if (change !== this.#lastChange) {
      this.#lastKey = headKey(change);
      this.#lastChange = change;
    }
    return this.#lastKey;
  }

  #headOf(change: string): { readonly changeSeq: number; readonly digest: string } | null {
    const known = this.#lately.get(change);
    if (known !== undefined) return known;
    const value = this.#heads.get(this.#keyOf(change));
    return value === null ? null : { changeSeq: value.readUInt32LE(0), digest: formatDigest(value.subarray(4)) };
  }

  /** The links that the next record must have. */
  next(draft: RecordDraft): ChainLinks {
    if (draft.change === null) return { seq: this.#size, prev: this.#last, changeSeq: null, changePrev: null };
    const head = this.#headOf(draft.change);
    return { seq: this.#size, prev: this.#last, changeSeq: head === null ? 0 : head.changeSeq + 1, changePrev: head?.digest ?? null };
  }

  /** What keeps `record` from being the next; null when nothing does. */
  faultOf(record: LedgerRecord): ChainFault | null {
    if (record.seq !== this.#size) return 'seq';
    if (record.prev !== this.#last) return 'prev';
    const head = record.change === null ? null : this.#headOf(record.change);
    const changeSeq = record.change === null ? null : head === null ? 0 : head.changeSeq + 1;
    if (record.changeSeq !== changeSeq) return 'changeSeq';
    return record.changePrev === (head?.digest ?? null) ? null : 'changePrev';
  }

  /** Moves the ends past `record`, whose leaf hash is `leaf`. @param digest of it */
  advance(record: LedgerRecord, leaf: Uint8Array, digest = formatDigest(leaf)): void {
    this.#size = record.seq + 1;
    this.#last = digest;
    if (record.change === null) return;
    const changeSeq = record.changeSeq ?? 0;
    const end = this.#lately.get(record.change) ?? this.#lateEnd(record.change);
    end.changeSeq = changeSeq;
    end.digest = digest;
    this.#map?.set(end.key, { changeSeq, leaf });
  }

  /** A new place among those kept as they are spelled, yet to be filled. */
  #lateEnd(change: string): ChangeEnd {
    if (this.#lately.size >= LATELY_MAX) this.#settle();
    const end: ChangeEnd = { key: this.#keyOf(change), changeSeq: 0, digest: '' };
    this.#lately.set(change, end);
    return end;
  }

/** Ends to try drafts on; nothing here changes before `commit`. */
  stage(): StagedHeads {
    return new StagedHeads(this);
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
