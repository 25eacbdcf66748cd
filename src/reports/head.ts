/** What stands at the head of every report: what was verified and how that came out, of what the report is, and how it is made again. */
import type { Verdict } from '../../ledger/index.ts';
import type { EvidenceVerification } from '../evidence/verify.ts';
import type { PackVerification } from '../evidence/pack-verify.ts';
import { conclusionOf, exitOf } from '../evidence/verification-document.ts';

export interface Head {
  /** Whether all that is required holds, in words. */
  readonly conclusion: string;
  readonly exit: 0 | 1 | 3;
  readonly verdicts: readonly Verdict[];
  readonly notProven: readonly string[];
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  readonly key: string | null;
  readonly objects: { readonly count: number; readonly erased: number };
  readonly firstAt: string | null;
  readonly lastAt: string | null;
  /** Digest of the trust folder. */
  readonly trust: string;
  /** Of an evidence pack: how many of the records it shows, and of what. */
  readonly pack: { readonly records: number; readonly of: string } | null;
  readonly filter: string;
  readonly asOf: string;
  readonly generatedAt: string;
  readonly tool: string;
  /** Makes the same report again from the same evidence. */
  readonly command: string;
  /** Verifies the same evidence. */
  readonly verifyCommand: string;
}

export type HeadGiven = Pick<Head, 'trust' | 'filter' | 'asOf' | 'generatedAt' | 'tool' | 'command' | 'verifyCommand'> & { readonly required: readonly string[] };

/** @returns null where nothing was verified that a report could be of */
export function headOf(verification: EvidenceVerification | PackVerification, { required, ...given }: HeadGiven): Head | null {
  const { head, verdicts, notProven, objects, firstAt, lastAt } = verification;
  if (head === null) return null;
  const exit = exitOf(verification, required);
  return {
    conclusion: conclusionOf(verification, required, exit), exit, verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN'), notProven, origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('hex'),
    key: head.keyName, objects, firstAt, lastAt, pack: packOf(verification), ...given,
  };
}

function packOf(verification: EvidenceVerification | PackVerification): Head['pack'] {
  if (!('pack' in verification) || verification.pack === null) return null;
  const { asked, records } = verification.pack;
  return { records, of: 'change' in asked ? asked.change : 'nhi' in asked ? asked.nhi : `${asked.from} to ${asked.to}` };
}
