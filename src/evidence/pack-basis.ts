/** What a pack shows of the people who let the bundle in force come into force: their records, from its proposal on, and what waits beside it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { isProposalRecordType } from './proposals.ts';

/** Told of every record of the log itself that was passed. Whatever its body is: that is for others to judge. */
export class ActivationBasis {
  /** From the newest proposal on, until it comes into force. */
  #waiting: number[] = [];
  /** What the bundle that came into force last rests on. */
  #inForce: number[] = [];
  #bundle: unknown = null;

  take({ type, seq, body }: Pick<LedgerRecord, 'type' | 'seq' | 'body'>): void {
    if (isProposalRecordType(type)) this.#waiting = type === 'bundle.proposed' ? [seq] : [...this.#waiting, seq];
    if (type !== 'bundle.activated') return;
    if (body['proposal'] !== undefined) {
      this.#inForce = [...this.#waiting, seq];
      this.#waiting = [];
    } else if (body['bundle'] === null || body['bundle'] === this.#bundle) this.#inForce = [...this.#inForce, seq];
    else this.#inForce = [seq];
    if (body['bundle'] !== null) this.#bundle = body['bundle'];
  }

  /** Their places in the log, in order. */
  seqs(): number[] {
    return [...this.#inForce, ...this.#waiting].sort((a, b) => a - b);
  }
}
