/** The ledger as anyone finds it on disk, read with nothing but its format: for looking, and for making envelopes as an attacker would. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bundlePath, decodeBundle, decodeRecord, leafHash, MerkleTree, readCheckpoint, TILE_WIDTH, type LedgerRecord,
} from '../../ledger/index.ts';
import type { ChangeView } from '../../src/client/index.ts';
import type { Receipt, StepEnvelope } from '../../src/protocol/envelope.ts';
import type { Approval, Dsse } from '../../src/protocol/signed.ts';

export interface LedgerOnDisk {
  /** The signed note, text. */
  readonly checkpoint: string;
  readonly entries: readonly Uint8Array[];
  readonly records: readonly LedgerRecord[];
  readonly tree: MerkleTree;
}

export function readLedger(directory: string): LedgerOnDisk {
  const checkpoint = readFileSync(join(directory, 'checkpoint'), 'utf8');
  const { size } = readCheckpoint(checkpoint);
  const entries: Uint8Array[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    entries.push(...decodeBundle(readFileSync(join(directory, bundlePath(index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH))))));
  }
  const tree = new MerkleTree();
  for (const entry of entries) tree.append(leafHash(entry));
  return { checkpoint, entries, records: entries.map((entry) => decodeRecord(entry)), tree };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** The receipt for record `seq` under the newest checkpoint, for an executor whose workers have seen so many entries. */
export function receiptFor(ledger: LedgerOnDisk, seq: number, fromSizes: readonly number[]): Receipt {
  return {
    record: base64(ledger.entries[seq]!), index: seq, inclusion: ledger.tree.inclusionProof(seq).map(base64), checkpoint: ledger.checkpoint,
    consistency: fromSizes.map((fromSize) => ({ fromSize, proof: ledger.tree.consistencyProof(fromSize).map(base64) })),
  };
}

/** The envelope that the sidecar sent for a change's step, made again from what is public about it. */
export function envelopeOf(ledger: LedgerOnDisk, change: ChangeView, fromSizes: readonly number[]): StepEnvelope {
  const authorised = ledger.records.findLast(({ change: id, type, body }) => id === change.id && type === 'step.authorised' && body['kind'] === 'act');
  if (authorised === undefined) throw new Error(`${change.id} has no authorised step`);
  const body = authorised.body as unknown as { ticket: Dsse; lease: { order: Dsse } | null; approvals: string[] };
  const approvals = ledger.records
    .filter(({ change: id, type }) => id === change.id && type === 'approval.recorded')
    .map((record) => (record.body as unknown as { approval: Approval }).approval)
    .filter(({ approvalId }) => body.approvals.includes(approvalId));
  return { v: 1, ticket: body.ticket, plan: change.plan, order: body.lease?.order ?? null, approvals, receipt: receiptFor(ledger, authorised.seq, fromSizes) };
}
