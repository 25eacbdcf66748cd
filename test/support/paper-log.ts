/** A log kept in memory, with real records, hashes and signatures: what receipts are made of, and forged from. */
import {
  encodeRecord, formatDigest, leafHash, MerkleTree, signCheckpoint, type RecordDraft, type Signer,
} from '../../ledger/index.ts';
import type { Receipt } from '../../src/protocol/envelope.ts';

export interface PaperLog {
  readonly size: number;
  readonly origin: string;
  /** The index of the new record. */
  append(draft: RecordDraft): number;
  /** The root at `size`, base64. */
  root(size?: number): string;
  checkpoint(size?: number, signer?: Signer): string;
  receipt(index: number, options?: { readonly size?: number; readonly fromSize?: number | null; readonly signer?: Signer }): Receipt;
  /** Another log with the same first `size` records: what forking is. */
  fork(size: number): PaperLog;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

export function paperLog(signer: Signer, drafts: readonly RecordDraft[] = []): PaperLog {
  const entries: Uint8Array[] = [];
  const kept: RecordDraft[] = [];
  const tree = new MerkleTree();
  const changes = new Map<string, { readonly seq: number; readonly leaf: string }>();
  let prev: string | null = null;

  const log: PaperLog = {
    get size() {
      return entries.length;
    },
    origin: signer.name,
    append(draft) {
      const last = draft.change === null ? undefined : changes.get(draft.change);
      const bytes = encodeRecord({
        ...draft, seq: entries.length, prev, changeSeq: draft.change === null ? null : last === undefined ? 0 : last.seq + 1, changePrev: last?.leaf ?? null,
      });
      const leaf = leafHash(bytes);
      prev = formatDigest(leaf);
      if (draft.change !== null) changes.set(draft.change, { seq: last === undefined ? 0 : last.seq + 1, leaf: prev });
      entries.push(bytes);
      kept.push(draft);
      tree.append(leaf);
      return entries.length - 1;
    },
    root: (size = entries.length) => base64(tree.root(size)),
    checkpoint: (size = entries.length, by = signer) => signCheckpoint({ origin: signer.name, size, root: tree.root(size) }, by),
    receipt(index, { size = entries.length, fromSize = null, signer: by = signer } = {}) {
      return {
        record: base64(entries[index]!), index, inclusion: tree.inclusionProof(index, size).map(base64), checkpoint: log.checkpoint(size, by),
        consistency: fromSize === null ? [] : [{ fromSize, proof: tree.consistencyProof(fromSize, size).map(base64) }],
      };
    },
    fork: (size) => paperLog(signer, kept.slice(0, size)),
  };
  for (const draft of drafts) log.append(draft);
  return log;
}
