/** Policy bundles that people let come into force, as a sidecar records it, and as one that lies would. */
import { canonicalBytes, digestOf, type Signer } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects, type SystemRecordBody } from '../../src/evidence/record.ts';
import type { ProposalStatement } from '../../src/protocol/activation.ts';
import { PROPOSAL_NAMESPACE, proposalSignedBySsh, signProposalStatement } from '../../src/protocol/activation-proof.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { TestSshKey } from './ssh.ts';
import { keys, logId, sidecar, START_MS } from './story.ts';

export const proposalId = (n: number): string => `prp_${String(n).padStart(26, '0')}`;
export const bundleOf = (n: number): string => digestOf(Buffer.from(`bundle ${n}`));
const at = (afterMs: number): string => formatTime(START_MS + afterMs);

export interface Said extends Partial<Omit<ProposalStatement, 'v'>> {
  readonly key?: Signer;
  /** Her own key, instead of the sidecar's word. */
  readonly ssh?: TestSshKey;
  readonly namespace?: string;
}

/** What `approver` says of proposal `n`, which is of bundle `n` and revision `n`, unless it is said otherwise. */
export function verdictOn(n: number, approver: string, { key = keys.ticket, ssh, namespace = PROPOSAL_NAMESPACE, ...edit }: Said = {}): Approval {
  const statement: ProposalStatement = { v: 1, log: logId, proposalId: proposalId(n), bundle: bundleOf(n), revision: String(n), verdict: 'approve', approver, expiresAt: at(3_600_000), ...edit };
  return ssh === undefined ? signProposalStatement(statement, key) : proposalSignedBySsh(statement, ssh.sign(canonicalBytes(statement), { namespace }));
}

export function proposed(n: number, edit: Partial<SystemRecordBody<'bundle.proposed'>> = {}, afterMs = 0): DraftWithObjects {
  return systemDraft('bundle.proposed', { proposalId: proposalId(n), bundle: bundleOf(n), listing: null, signature: null, revision: String(n), ...edit }, sidecar, START_MS + afterMs);
}

export function approved(n: number, approval: Approval, actor: string, afterMs = 0): DraftWithObjects {
  return systemDraft('proposal.approved', { proposalId: proposalId(n), approval }, actor, START_MS + afterMs);
}

export function rejected(n: number, rejection: Approval, actor: string): DraftWithObjects {
  return systemDraft('proposal.rejected', { proposalId: proposalId(n), rejection, reason: 'too loose' }, actor, START_MS);
}

/** Bundle `n` comes into force; `by`: the approvals that it names. */
export function activated(n: number | null, by: readonly Approval[] | null, edit: Partial<SystemRecordBody<'bundle.activated'>> = {}, afterMs = 0): DraftWithObjects {
  const named = by === null || n === null ? {} : { proposal: proposalId(n), approvals: by.map(({ approvalId }) => approvalId) };
  return systemDraft('bundle.activated', { bundle: n === null ? null : bundleOf(n), listing: null, signature: null, ...(n === null ? {} : { revision: String(n) }), ...named, ...edit }, sidecar, START_MS + afterMs);
}

/** The code of the problem that a call comes back with; its value where it comes back with none. */
export async function problemOfCall(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return (error as { readonly code?: unknown }).code;
  }
}
