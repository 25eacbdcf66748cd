/**
 * Anchors: records of type `witness.anchored`, in which a ledger keeps checkpoints of its own that witnesses have cosigned.
 *
 *     {"checkpoint":"log.example/a\n40\nq83v…=\n\n— log.example/a …\n— witness.example/w …\n","size":40}
 *
 * A writer that goes on from another history than the one that was cosigned shows it here. And whatever follows an anchor was written after the times
 * that its cosignatures state, as whatever it covers was there before.
 */
import { formatBase64 } from './base64.ts';
import { openCheckpoint, type OpenedCheckpoint } from './checkpoint.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import { ALG_COSIGNATURE_V1, cosignatureTime } from './note.ts';
import type { LedgerRecord } from './record.ts';
import type { TrustPolicy } from './trust-policy.ts';
import { TimeBrackets } from './verify-time.ts';

export const ANCHOR_TYPE = 'witness.anchored';

/** What a record anchors, where the policy lets it be believed; null for any other record. */
export function openAnchor({ type, v, body }: LedgerRecord, origin: string, trust: TrustPolicy): OpenedCheckpoint | null {
  const { checkpoint, size } = body;
  if (type !== ANCHOR_TYPE || v !== 1 || typeof checkpoint !== 'string') return null;
  try {
    const opened = openCheckpoint(checkpoint, trust);
    return opened.origin === origin && opened.size === size ? opened : null;
  } catch (error) {
    if (error instanceof LedgerError) return null;
    throw error;
  }
}

/** When witnesses of the policy had seen a checkpoint, by their own clocks. */
export function witnessedTimes({ signatures }: OpenedCheckpoint): { readonly by: string; readonly ms: number }[] {
  return signatures.filter(({ verifier }) => verifier.type === ALG_COSIGNATURE_V1).map(({ verifier, signature }) => ({ by: verifier.name, ms: cosignatureTime(signature) * 1000 }));
}

/** What the anchors come to, once every record has been given. */
export interface AnchorResult {
  /** The first anchor of another history. */
  readonly splitView: { readonly seq: number; readonly message: string } | null;
  /** The largest head whose anchor meets the quorum, and the record that holds it. */
  readonly quorum: { readonly size: number; readonly seq: number } | null;
  /** Anchors with a cosignature that is believed. */
  readonly count: number;
  readonly brackets: TimeBrackets;
}

/** Holds the anchors to the records, in order and in memory that does not grow. */
export class AnchorWalk {
  readonly #origin: string;
  readonly #trust: TrustPolicy | null;
  readonly #brackets = new TimeBrackets();
  #pending: { readonly seq: number; readonly head: OpenedCheckpoint }[] = [];
  #splitView: AnchorResult['splitView'] = null;
  #quorum: AnchorResult['quorum'] = null;
  #count = 0;

  constructor(origin: string, trust: TrustPolicy | null) {
    this.#origin = origin;
    this.#trust = trust;
  }

  /** Takes the next record. @param atMs its `at` */
  record(record: LedgerRecord, atMs: number): void {
    const head = record.type === ANCHOR_TYPE && this.#trust !== null ? openAnchor(record, this.#origin, this.#trust) : null;
    if (head !== null) {
      this.#pending.push({ seq: record.seq, head });
      // The times were there to be written down, so this very record is later too.
      for (const time of witnessedTimes(head)) this.#brackets.seen(record.seq, time);
    }
    this.#brackets.record(record.seq, atMs, record.at);
  }

  /** Looks at the anchors that came since it was last called. @param rootOf the root of the first so many records, of those given so far */
  async check(rootOf: (size: number) => Promise<Uint8Array>): Promise<void> {
    for (const { seq, head } of this.#pending.splice(0)) {
      const times = witnessedTimes(head);
      const why = head.size > seq ? `which has ${seq} before it` : await otherRoot(head, rootOf);
      if (why !== null) {
        this.#splitView ??= { seq, message: `split view: record ${seq} holds a signed checkpoint of ${head.size} records with root ${formatBase64(head.root)}, ${witnessed(times)}, of another history than this ledger, ${why}` };
        continue;
      }
      for (const time of times) this.#brackets.covered(head.size, time, head.witness.met);
      this.#brackets.settle();
      if (times.length > 0) this.#count++;
      if (head.witness.met && head.size > (this.#quorum?.size ?? 0)) this.#quorum = { size: head.size, seq };
    }
  }

  result(): AnchorResult {
    return { splitView: this.#splitView, quorum: this.#quorum, count: this.#count, brackets: this.#brackets };
  }
}

async function otherRoot({ size, root }: OpenedCheckpoint, rootOf: (size: number) => Promise<Uint8Array>): Promise<string | null> {
  const here = await rootOf(size);
  return sameBytes(here, root) ? null : `whose first ${size} records have root ${formatBase64(here)}`;
}

function witnessed(times: readonly { readonly by: string }[]): string {
  return times.length === 0 ? 'cosigned by nobody who is known' : `cosigned by ${times.map(({ by }) => by).join(', ')}`;
}
