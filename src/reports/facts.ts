/** What reports are made of: what a verification was told of, each with the records that say so. */
import type { BREAK_GLASS_VERDICTS } from '../protocol/break-glass-review.ts';
import type { PopulationRow } from '../evidence/population.ts';
import type { ReconcileRecordBody } from '../evidence/reconciled.ts';
import type { Violation } from '../evidence/violation.ts';
import type { Decision, ProofClass } from '../protocol/decision.ts';

/** Something that happened: when, and which record says so. */
export interface At {
  readonly atMs: number;
  readonly seq: number;
}

export interface CountedApproval {
  readonly person: string;
  readonly proofClass: ProofClass;
  /** It was given beforehand, for whatever a template covers: the person has not seen this plan. */
  readonly isStanding: boolean;
  readonly seq: number;
}

/** Access that a step gave, or may have given. */
export interface Access {
  readonly change: string;
  readonly subject: string;
  readonly connector: string;
  readonly target: string;
  readonly account: string;
  readonly privileges: readonly string[];
  readonly stepId: string;
  /** When it was first authorised. */
  readonly authorised: At;
  /** Whose approvals counted then. */
  readonly approvals: readonly CountedApproval[];
  readonly glass: { readonly by: string; readonly seq: number } | null;
  readonly observed: { readonly scope: string; readonly seq: number } | null;
  /** When it was recorded as done; null while nobody has said so. */
  readonly given: At | null;
  /** When it was recorded that nothing came of it. */
  readonly nothing: At | null;
  /** When it was recorded as gone. */
  readonly gone: At | null;
  /** Its ends, as each was recorded, the newest last; empty: it stands. */
  readonly ends: readonly (At & { readonly endsAtMs: number })[];
}

/** Access that a step took, of whoever had given it. */
export interface Taking extends At {
  readonly change: string;
  readonly subject: string;
  readonly connector: string;
  readonly target: string;
  readonly account: string;
  /** null: all that the account had. */
  readonly privileges: readonly string[] | null;
}

/** What a decision recorded of what an account holds and uses. */
export interface Weighed extends At {
  readonly change: string;
  readonly entitlements: Decision['entitlements'];
  /** Whether policy named what is held and was not seen to be used: without that nothing is known of it. */
  readonly knowsUse: boolean;
}

export interface ReportChange extends PopulationRow {
  /** All its records here, in their order. */
  readonly records: readonly number[];
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** The newest decision about it. */
  readonly decision: { readonly effect: Decision['effect']; readonly codes: readonly string[]; readonly seq: number } | null;
  /** What decisions recorded of its account, the newest last: each said what was known then. */
  readonly weighed: readonly Weighed[];
  readonly approvals: readonly CountedApproval[];
  readonly authorised: At | null;
  readonly effect: At | null;
  readonly verified: (At & { readonly effect: 'allow' | 'deny' }) | null;
  /** The end of its access, and the record that states it. */
  readonly ends: (At & { readonly endsAtMs: number }) | null;
  /** When its access should be gone, by its end or an order before it; null while nothing says that it must. */
  readonly dueMs: number | null;
  /** `lateMs`: after it was due, by the executor's report; null where nothing was due. */
  readonly ended: (At & { readonly lateMs: number | null }) | null;
  /** Its executor has said that nothing came of it, for good. */
  readonly withoutEffect: boolean;
  readonly exceptions: readonly { readonly id: string; readonly rule: string; readonly owner: string; readonly until: string; readonly seq: number }[];
  /** It took effect under a decision that was not enforced. */
  readonly observed: { readonly scope: string; readonly owner: string; readonly until: string; readonly seq: number } | null;
  readonly glass: { readonly by: string; readonly seq: number; readonly reviewByMs: number; readonly review: (At & { readonly by: string; readonly verdict: (typeof BREAK_GLASS_VERDICTS)[number] }) | null } | null;
  /** Findings that are open, by code. */
  readonly findings: ReadonlyMap<string, At & { readonly message: string }>;
  /** Nobody but the caller has said what it did. */
  readonly selfReported: boolean;
  readonly violations: readonly Violation[];
  /** Bit n: some record of it is evidence for control n. */
  readonly controls: bigint;
}

/** Something at a target that was not as it is recorded. */
export interface Outside extends At {
  readonly found: ReconcileRecordBody<'reconcile.found'>;
  readonly cleared: At | null;
}

export interface Facts {
  /** In the order of their first records. */
  readonly changes: readonly ReportChange[];
  readonly accesses: readonly Access[];
  readonly takings: readonly Taking[];
  readonly outside: readonly Outside[];
  /** Of each connector, when it was looked at as a whole, oldest first. */
  readonly compared: ReadonlyMap<string, readonly (At & { readonly complete: boolean })[]>;
  /** A writer opened the log again: the last record before, and that one. */
  readonly reopened: readonly { readonly before: At; readonly opened: At }[];
  /** Nothing was recorded for longer than {@link SILENCE_MS}. */
  readonly silences: readonly { readonly before: At; readonly after: At }[];
  /** Other records of what was amiss with the ledger or around it, each told in a few words. */
  readonly amiss: readonly (At & { readonly type: string; readonly text: string })[];
  readonly erasures: readonly (At & { readonly objects: number })[];
  readonly controls: readonly ControlCount[];
  /** Records that named a control beyond those. */
  readonly controlsLeftOut: number;
  readonly violations: readonly Violation[];
  readonly records: { readonly count: number; readonly first: At | null; readonly last: At | null };
}

export interface ControlCount {
  readonly framework: string;
  readonly id: string;
  readonly title: string;
  /** How many types of record would be evidence for it, whatever is in them. */
  readonly couldBe: number;
  /** How many records of each type are evidence for it, and the first and last of them. */
  readonly types: ReadonlyMap<string, number>;
  readonly records: number;
  readonly first: At | null;
  readonly last: At | null;
  /** Which these are, where that was asked for. */
  readonly seqs: readonly number[] | null;
}

/** Longer than this without any record is said to be so: the heads of changes alone are stated hourly while there is something to state. */
export const SILENCE_MS = 86_400_000;
