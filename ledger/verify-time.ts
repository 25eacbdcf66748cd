/** What the times in the records are worth: between times that witnesses have stated, or on the ledger's word alone. */
import type { Verdict } from './verdict.ts';

/** How far a record's `at` may lie before that of an earlier one, or outside what witnesses say: clocks are stepped. */
export const CLOCK_TOLERANCE_MS = 5_000;
/** Records whose upper bound is still to come and that are kept for it; more are thinned out. */
const KEPT_MAX = 65_536;

export interface TimeSpan {
  readonly first: string | null;
  readonly last: string | null;
  /** The latest `at` so far. */
  readonly latestMs: number;
  /** The largest step back from one record to a later one, in ms, and the record that takes it. */
  readonly worstStepBackMs: number;
  readonly worstSeq: number;
}

/** A time that a witness states, by its own clock. */
export interface WitnessTime {
  readonly by: string;
  readonly ms: number;
}

/** Records, in two lists of numbers: as many objects, each alive for as long, would be moved about by the collector. */
interface Kept {
  readonly seqs: number[];
  readonly ms: number[];
}

/**
 * Holds the records to the times that witnesses state: later than those that the ledger had seen before them, earlier than those over a head that
 * covers them. Every trusted witness is taken at its word, so one whose clock is wrong shows.
 */
export class TimeBrackets {
  #lower: (WitnessTime & { readonly seq: number }) | null = null;
  #lowerFrom: number | null = null;
  #upper: (WitnessTime & { readonly size: number }) | null = null;
  #fault: { readonly seq: number; readonly message: string } | null = null;
  /** The latest `at` up to each record that said a later one, of those that no stated time covers yet. */
  #kept: Kept = { seqs: [], ms: [] };
  #resolutionMs = 0;

  /** A time that record `seq` holds: this record and all after it are later. */
  seen(seq: number, time: WitnessTime): void {
    this.#lowerFrom ??= seq;
    if (time.ms > (this.#lower?.ms ?? -Infinity)) this.#lower = { ...time, seq };
  }

  /** The next record. */
  record(seq: number, ms: number, at: string): void {
    const lower = this.#lower;
    if (lower !== null && ms < lower.ms - CLOCK_TOLERANCE_MS) {
      this.#fault ??= { seq, message: `record ${seq} says ${at}, and it was written after ${textOf(lower.ms)}, which ${lower.by} had stated by record ${lower.seq}` };
    }
    const kept = this.#kept;
    const last = kept.ms.length === 0 ? -Infinity : kept.ms[kept.ms.length - 1]!;
    if (ms <= last + this.#resolutionMs) return;
    kept.seqs.push(seq);
    kept.ms.push(ms);
    if (kept.ms.length > KEPT_MAX) this.#thin();
  }

  /** Who leaves a step out that is smaller than this may miss a record dated wrongly by as much, and no more; memory stays bounded. */
  #thin(): void {
    this.#resolutionMs = Math.max(1_000, this.#resolutionMs * 2);
    let last = -Infinity;
    const rest: Kept = { seqs: [], ms: [] };
    for (const [i, ms] of this.#kept.ms.entries()) {
      if (ms <= last + this.#resolutionMs) continue;
      last = ms;
      rest.seqs.push(this.#kept.seqs[i]!);
      rest.ms.push(ms);
    }
    this.#kept = rest;
    if (rest.ms.length > KEPT_MAX / 2) this.#thin();
  }

  /**
   * The first `size` records were there at a time; all of them have been given.
   *
   * @param isEnough whether those who have cosigned that head are as many as the policy asks for: only then is it shown by them, while anyone's time may refute
   */
  covered(size: number, time: WitnessTime, isEnough: boolean): void {
    const { seqs } = this.#kept;
    for (const [i, ms] of this.#kept.ms.entries()) {
      const seq = seqs[i]!;
      if (seq >= size || this.#fault !== null) break;
      if (ms > time.ms + CLOCK_TOLERANCE_MS) this.#fault = { seq, message: `record ${seq} says ${textOf(ms)}, and ${time.by} had cosigned it by ${textOf(time.ms)}` };
    }
    if (isEnough && (this.#upper === null || size > this.#upper.size || (size === this.#upper.size && time.ms < this.#upper.ms))) this.#upper = { ...time, size };
  }

  /** No more times are stated for the largest head so far: its records need no other. */
  settle(): void {
    const size = this.#upper?.size ?? 0;
    const from = this.#kept.seqs.findIndex((seq) => seq >= size);
    const count = from < 0 ? this.#kept.seqs.length : from;
    this.#kept.seqs.splice(0, count);
    this.#kept.ms.splice(0, count);
  }

  /** @param size records there are */
  verdict(span: TimeSpan | null, size: number): Verdict {
    const name = 'TIME';
    if (span?.first == null || span.last === null) return { name, status: 'notEstablished', message: 'no records to tell a time' };
    if (span.worstStepBackMs > CLOCK_TOLERANCE_MS) {
      return { name, status: 'fails', message: `record ${span.worstSeq} says it is ${span.worstStepBackMs} ms earlier than a record before it`, seq: span.worstSeq };
    }
    if (this.#fault !== null) return { name, status: 'fails', ...this.#fault };
    const range = `records say ${span.first} to ${span.last}, none more than ${CLOCK_TOLERANCE_MS / 1000} s before an earlier one`;
    const upper = this.#upper;
    if (upper === null) return { name, status: 'notEstablished', message: `${range}; that these times are true is the ledger's word, no witness states one` };
    const later = this.#lower === null || this.#lowerFrom === null ? 'that none is older than it says is not shown'
      : `those from ${this.#lowerFrom} on came after times that witnesses had stated, the last ${textOf(this.#lower.ms)} in record ${this.#lower.seq}`;
    if (upper.size < size) {
      return { name, status: 'notEstablished', message: `${range}; the first ${upper.size} were there by ${textOf(upper.ms)}, when ${upper.by} cosigned them, and for the ${size - upper.size} after them no witness states a time; ${later}` };
    }
    return { name, status: 'holds', message: `${range}; all were there by ${textOf(upper.ms)}, when ${upper.by} cosigned them; ${later}` };
  }
}

function textOf(ms: number): string {
  return new Date(ms).toISOString();
}
