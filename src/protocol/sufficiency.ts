/**
 * Whether approvals suffice: the requirement that policy stated, and the floor that a trust folder states whatever a sidecar claims.
 * Executors ask this before an effect and verifiers after it, so that both mean the same by "approved".
 */
import { isSatisfied, meets, type ProofClass, type Requirement } from './decision.ts';
import type { Floor } from './trust.ts';

/** An approval that has been verified and is in force: who, and how it was proven. */
export interface CountedApproval {
  readonly approver: string;
  readonly proofClass: ProofClass;
  /** It is the use of a standing approval: a floor counts it only where it says so. */
  readonly standing?: boolean;
}

/** The part of a floor that does not say what it is for. */
export type FloorDemand = Pick<Floor, 'quorum' | 'proofClass' | 'approvers' | 'maxLeaseSeconds' | 'standing'>;

export type Shortfall = { readonly code: 'approvals-insufficient' | 'below-floor'; readonly message: string };

/**
 * What is missing, or null where nothing is. People are counted once, and never those who asked.
 *
 * @param floor null for a step that only takes access away: a floor is about what is gained (invariant 9)
 * @param leaseSeconds null for standing access
 */
export function shortfallOf(
  requirement: Requirement, floor: FloorDemand | null, approvals: readonly CountedApproval[], requester: readonly string[], leaseSeconds: number | null,
): Shortfall | null {
  const others = approvals.filter(({ approver }) => !requester.includes(approver));
  const approved = new Set(others.filter(({ proofClass }) => meets(proofClass, requirement.proofClass)).map(({ approver }) => approver));
  if (requirement.approvers !== null && !isSatisfied(requirement.approvers, approved)) {
    return { code: 'approvals-insufficient', message: `approved by ${list(approved)}, which is not what the decision asks for` };
  }
  if (floor === null) return null;
  const counted = new Set(
    others
      .filter(({ approver, proofClass, standing = false }) => meets(proofClass, floor.proofClass) && (floor.approvers?.includes(approver) ?? true) && (!standing || floor.standing === true))
      .map(({ approver }) => approver),
  );
  if (counted.size < floor.quorum) {
    return { code: 'below-floor', message: `${counted.size === 0 ? 'no approval counts' : `approved by ${list(counted)}`} where the floor asks for ${floor.quorum} by ${floor.proofClass} or better` };
  }
  if (floor.maxLeaseSeconds !== null && (leaseSeconds === null || leaseSeconds > floor.maxLeaseSeconds)) {
    return { code: 'below-floor', message: `${leaseSeconds === null ? 'standing access' : `a lease of ${leaseSeconds} s`} where the floor allows ${floor.maxLeaseSeconds} s` };
  }
  return null;
}

function list(people: ReadonlySet<string>): string {
  return people.size === 0 ? 'nobody' : [...people].sort().join(', ');
}
