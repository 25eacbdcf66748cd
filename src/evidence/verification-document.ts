/** What a verification is told as, by whatever tells it: the JSON document, and the words for a status and for the whole. */
import { REQUIRED_BY_DEFAULT, type VerdictStatus } from '../../ledger/index.ts';
import { VERSION } from '../version.ts';
import type { PackVerification } from './pack-verify.ts';
import type { EvidenceVerification } from './verify.ts';

/** A lone `trust.policy` says nothing of tickets and executors: WORKFLOW is not asked of it by default. */
const REQUIRED_ALONE = REQUIRED_BY_DEFAULT.filter((name) => name !== 'WORKFLOW');

export const STATUS_MARKS: Readonly<Record<VerdictStatus, string>> = { holds: '✓', fails: '✗', notEstablished: '–' };
export const STATUS_WORDS: Readonly<Record<VerdictStatus, string>> = { holds: 'holds', fails: 'FAILS', notEstablished: 'not established' };

/** What must hold where nobody has said what must. */
export function requiredUnder(isTrustGiven: boolean, wholeFolder: boolean): readonly string[] {
  return isTrustGiven && !wholeFolder ? REQUIRED_ALONE : REQUIRED_BY_DEFAULT;
}

export function documentOf(verification: EvidenceVerification | PackVerification, required: readonly string[], directory: string, exit: number): unknown {
  const { verdicts, notProven, head, objects, firstAt, lastAt, workflow } = verification;
  return {
    v: 1, exit, required, directory, verifier: `countersign ${VERSION}`,
    verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN'), notProven,
    head: head === null ? null : { origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('base64'), key: head.keyName },
    objects, firstAt, lastAt, ...('pack' in verification ? { pack: verification.pack } : {}),
    workflow: workflow === null ? null : { counts: workflow.counts, violationCount: workflow.violationCount, violations: workflow.violations, erasedPlans: workflow.erasedPlans },
  };
}

/** The last line: whether what was required holds, and if not, what of it does not. */
export function conclusionOf({ verdicts }: EvidenceVerification, required: readonly string[], exit: 0 | 1 | 3): string {
  if (exit === 0) return `verified: ${required.join(', ')}`;
  const status = exit === 1 ? 'fails' : 'notEstablished';
  const those = required.filter((name) => (verdicts.find((verdict) => verdict.name === name)?.status ?? 'notEstablished') === status);
  return `NOT VERIFIED: ${those.join(', ')} ${exit === 1 ? 'failed' : 'could not be established'}`;
}
