/** What an evidence pack proves to whoever brings their own trust, and what it does not. Needs the pack, this code and that trust; nothing else. */
import type { Trust } from '../protocol/trust-folder.ts';
import type { EvidenceVerification } from './verify.ts';

/** The bytes of a pack, wherever they are. */
export interface PackBytes {
  readonly byteLength: number;
  /** Exactly `length` bytes from `start`. */
  read(start: number, length: number): Promise<Uint8Array>;
}

export interface VerifyPackOptions {
  /** The whole pack in memory, or a way to read it. */
  readonly pack: Uint8Array | PackBytes;
  /** null: nobody's signature is believed. Never taken from the pack. */
  readonly trust: Trust | null;
  /** Whether `trust` is a whole folder, and not a lone `trust.policy`. */
  readonly wholeFolder: boolean;
  /** An older checkpoint that the auditor kept: a signed note. */
  readonly pinned?: string | null;
  readonly minSize?: number;
  readonly graceMs?: number;
  readonly asOfMs?: number | null;
  readonly progress?: (done: number, size: number) => void;
  readonly signal?: AbortSignal;
}

/** What was asked for when the pack was made, as the pack itself says. */
export type PackAsked = { readonly change: string } | { readonly nhi: string } | { readonly from: string; readonly to: string };

export interface PackVerification extends EvidenceVerification {
  /** What the pack is of; null where it is no pack. */
  readonly pack: { readonly asked: PackAsked; readonly records: number; readonly changes: readonly string[] } | null;
}

/**
 * What holds of the pack. Faults of the pack are verdicts, never errors.
 *
 * @throws what reading throws; LedgerError for a `pinned` checkpoint that is itself no good; the reason of `signal` once it is aborted
 */
export async function verifyPack(_options: VerifyPackOptions): Promise<PackVerification> {
  const none = ['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY', 'NOT PROVEN'].map((name) => ({ name, status: 'notEstablished' as const, message: 'nothing was verified' }));
  return { verdicts: none, notProven: [], head: null, objects: { count: 0, erased: 0 }, firstAt: null, lastAt: null, workflow: null, pack: null };
}
