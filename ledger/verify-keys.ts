/** What the records say of the log's keys, and what that makes of the checkpoint's signature. */
import { LedgerError } from './errors.ts';
import { KeyChain } from './key-rotation.ts';
import { ALG_ED25519 } from './note.ts';
import type { LedgerRecord } from './record.ts';
import type { Verdict } from './verdict.ts';
import type { Signed } from './verify.ts';

export class RecordedKeys {
  readonly #keys: KeyChain;
  #fault: LedgerError | null = null;

  constructor(origin: string) {
    this.#keys = new KeyChain(origin);
  }

  note(record: LedgerRecord): void {
    // The first fault is what is told: later ones would only cost their signatures.
    if (this.#fault !== null) return;
    try {
      this.#keys.note(record);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#fault = error;
    }
  }

  judge({ opened, verdict }: Signed): Verdict {
    const { last } = this.#keys;
    if (this.#fault !== null) return { name: 'SIGNATURE', status: 'fails', message: this.#fault.message, ...(this.#fault.seq === undefined ? {} : { seq: this.#fault.seq }) };
    if (opened === null) return last === null || verdict.status !== 'fails' ? verdict : { ...verdict, message: `${verdict.message}; record ${last.seq} says that ${last.rotation.new.vkey} took over from ${last.rotation.old.keyName}: have that confirmed before you trust it` };
    // A key of the log that an earlier record ended may have signed beside the one in force.
    const signers = opened.signatures.map(({ verifier }) => verifier).filter(({ name, type }) => name === opened.origin && type === ALG_ED25519);
    const faults = signers.map(({ keyName }) => this.#keys.faultOf(keyName));
    const fault = faults.includes(null) ? null : (faults[0] ?? null);
    return fault === null ? verdict : { name: 'SIGNATURE', status: 'fails', message: fault.message, seq: fault.seq };
  }
}
