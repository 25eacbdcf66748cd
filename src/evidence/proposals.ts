/** Policy bundles that wait for people: the records, and what they come to. The engine and the verifier fold the same. */
import { z } from 'zod';
import { proposalStatementSchema } from '../protocol/activation.ts';
import type { ProofClass } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { bundleListingSchema, type BundleListing } from '../protocol/policy-bundle.ts';
import { approvalIdSchema, digestSchema, parseTime, personIdSchema, plainTextSchema, proposalIdSchema } from '../protocol/values.ts';
import { approvalSchema, dsseSchema, type Dsse } from '../protocol/signed.ts';

export const proposalRecordBodies = {
  /** A good bundle waits for people to let it come into force. */
  'bundle.proposed': z.strictObject({
    proposalId: proposalIdSchema,
    bundle: digestSchema,
    /** What the digest is over. The files that it names are objects. */
    listing: bundleListingSchema.nullable(),
    /** As it came with the bundle. */
    signature: dsseSchema.nullable(),
    /** What its source calls it, where there is one. */
    revision: plainTextSchema(128).optional(),
  }),
  'proposal.approved': z.strictObject({ proposalId: proposalIdSchema, approval: approvalSchema }),
  'proposal.rejected': z.strictObject({ proposalId: proposalIdSchema, rejection: approvalSchema, reason: plainTextSchema(500).nullable() }),
} as const;
export type ProposalRecordType = keyof typeof proposalRecordBodies;

/** What `bundle.activated` says of the people who let it: both are there, or neither. */
export const activationApprovals = {
  /** The proposal that it was. */
  proposal: proposalIdSchema.optional(),
  /** The approvals that let it come into force. */
  approvals: z.array(approvalIdSchema).min(1).max(64).optional(),
} as const;

export interface ProposalApproval {
  readonly approvalId: string;
  readonly approver: string;
  readonly proofClass: ProofClass;
  readonly expiresAtMs: number;
}

export interface Named {
  readonly bundle: string;
  readonly revision: string | null;
}

export interface BundleProposal extends Named {
  readonly proposalId: string;
  readonly listing: BundleListing | null;
  readonly signature: Dsse | null;
  readonly atMs: number;
  /** Of the record that proposed it. */
  readonly seq: number;
  readonly approvals: readonly ProposalApproval[];
  readonly outcome: 'waiting' | 'activated' | 'rejected';
  readonly rejected: { readonly by: string; readonly reason: string | null } | null;
}

/** The bundle that came into force last, and who had let it. */
export interface InForce extends Named {
  readonly listing: BundleListing | null;
  readonly atMs: number;
  readonly approvals: readonly ProposalApproval[];
}

/** `proposal`: the newest, whatever became of it; an earlier one is nothing any more. */
export interface Governed {
  readonly proposal: BundleProposal | null;
  readonly inForce: InForce | null;
}

export const NOTHING_GOVERNED: Governed = { proposal: null, inForce: null };

export function isProposalRecordType(type: string): type is ProposalRecordType {
  return Object.hasOwn(proposalRecordBodies, type);
}

export function isSameBundle(one: Named | null, other: Named): boolean {
  return one !== null && one.bundle === other.bundle && one.revision === other.revision;
}

/** After one more record; the same where it says nothing of this. */
export function afterGovernedRecord(before: Governed, type: string, body: unknown, actor: string, { atMs, seq }: { readonly atMs: number; readonly seq: number }): Governed {
  if (type === 'bundle.activated') return afterActivation(before, activatedSchema.parse(body), atMs);
  if (!isProposalRecordType(type)) return before;
  const { proposal } = before;
  if (type === 'bundle.proposed') {
    const { revision = null, ...rest } = proposalRecordBodies[type].parse(body);
    return { ...before, proposal: { ...rest, revision, atMs, seq, approvals: [], outcome: 'waiting', rejected: null } };
  }
  if (type === 'proposal.approved') {
    const { proposalId, approval } = proposalRecordBodies[type].parse(body);
    if (proposal === null || !isWaiting(proposal, proposalId)) return before;
    const { expiresAt } = readPayload(approval.envelope, proposalStatementSchema);
    const one: ProposalApproval = { approvalId: approval.approvalId, approver: actor, proofClass: approval.proofClass, expiresAtMs: parseTime(expiresAt) };
    return { ...before, proposal: { ...proposal, approvals: [...proposal.approvals.filter(({ approver }) => approver !== actor), one] } };
  }
  const { proposalId, reason } = proposalRecordBodies[type].parse(body);
  return proposal !== null && isWaiting(proposal, proposalId) ? { ...before, proposal: { ...proposal, outcome: 'rejected', rejected: { by: actor, reason } } } : before;
}

export function isWaiting(proposal: BundleProposal | null, proposalId: string): boolean {
  return proposal !== null && proposal.proposalId === proposalId && proposal.outcome === 'waiting';
}

const activatedSchema = z.object({ bundle: digestSchema.nullable(), revision: plainTextSchema(128).optional(), listing: bundleListingSchema.nullable(), ...activationApprovals });

function afterActivation(before: Governed, body: z.infer<typeof activatedSchema>, atMs: number): Governed {
  const { bundle, revision = null, listing, proposal: named, approvals = [] } = body;
  // That none is in force takes nothing from who had let the last one: it may come back.
  if (bundle === null) return before;
  const { proposal, inForce } = before;
  const next: Named = { bundle, revision };
  if (named === undefined) return isSameBundle(inForce, next) ? before : { ...before, inForce: { ...next, listing, atMs, approvals: [] } };
  const mine = proposal !== null && proposal.proposalId === named ? proposal : null;
  return {
    proposal: mine === null ? proposal : { ...mine, outcome: 'activated' },
    inForce: { ...next, listing, atMs, approvals: mine?.approvals.filter(({ approvalId }) => approvals.includes(approvalId)) ?? [] },
  };
}

/** Who may have said so: only people do. */
export const isPerson = (actor: string): boolean => personIdSchema.safeParse(actor).success;
