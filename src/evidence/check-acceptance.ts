/** Checks of what policy said of an approval, and that the approval rests on it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { BundleListing } from '../protocol/policy-bundle.ts';
import type { ApprovalStatement } from '../protocol/signed.ts';
import type { Audited } from './audited.ts';
import { fault, type Fault } from './violation.ts';

/** Whether the bundle that is in force has a say in approvals. What is not known of it is held against nobody. */
export interface Acceptances {
  activated(listing: BundleListing | null): void;
  isDue(): boolean;
}

export function openAcceptances(): Acceptances {
  let isDue = false;
  return {
    activated: (listing) => void (isDue = listing?.entrypoints.includes('workflow/accept') ?? false),
    isDue: () => isDue,
  };
}

export function checkJudged({ state }: Audited, { body }: Extract<ChangeEvent, { type: 'approval.judged' }>, record: LedgerRecord): Fault | null {
  if (body.planDigest !== state.planDigest) return fault('acceptance-mismatch', 'policy was asked about an approval of another plan');
  return record.objects.includes(body.provenance.input) ? null : fault('acceptance-mismatch', 'the record does not name what policy was asked among its objects');
}

/** The fault of an approval that policy has not accepted in the record just before, where it is said to, or had a say. */
export function checkAccepted({ judged }: Audited, acceptance: string | undefined, { approver, planDigest, revision }: ApprovalStatement, isDue: boolean): Fault | null {
  if (acceptance === undefined && judged === null) return isDue ? fault('acceptance-mismatch', `policy had a say in whether ${approver} may approve, and no answer of its is on record`) : null;
  const isAbout = judged?.approver === approver && judged.planDigest === planDigest && judged.revision === revision && judged.provenance.input === acceptance;
  if (!isAbout) return fault('acceptance-mismatch', `the approval by ${approver} does not rest on policy’s answer about it, right before it`);
  return judged.acceptance.effect === 'accept' ? null : fault('acceptance-mismatch', `policy refused the approval by ${approver}`);
}
