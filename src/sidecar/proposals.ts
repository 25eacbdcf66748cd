/** `/v1/policy/proposed`: the policy bundle that people are asked about, and what they say. Who may, the engine decides. */
import type { BundleProposal, InForce } from '../evidence/proposals.ts';
import { listedDigest } from '../protocol/policy-bundle.ts';
import { formatTime } from '../protocol/values.ts';
import type { Handlers } from './call.ts';
import { unwrap, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import type { ProposalView } from './schemas.ts';

export function proposalHandlers(context: SidecarContext): Handlers<'getProposedPolicy' | 'decideProposedPolicy' | 'getProposalStatement'> {
  const { engine, logger } = context;
  return {
    async getProposedPolicy() {
      const { proposal, inForce, floors } = engine.proposals();
      return {
        status: 200,
        body: {
          proposed: proposal === null ? null : viewOf(proposal, inForce, engine.nextAtMs()),
          before: inForce === null ? null : { bundle: inForce.bundle, revision: inForce.revision },
          asked: floors.map(({ quorum, approvers, proofClass }) => ({ quorum, approvers: [...approvers], proofClass })),
        },
      };
    },
    async getProposalStatement({ by, query }) {
      return { status: 200, body: unwrap(engine.proposalStatement(by.principal, query.verdict)) };
    },
    async decideProposedPolicy({ by, body }) {
      const { inForce } = engine.proposals();
      const { ssh, passkey, ...said } = body;
      const own = { ...(ssh === undefined ? {} : { ssh }), ...(passkey === undefined ? {} : { passkey }) };
      const { proposalId } = unwrap(await engine.decideProposal(by.principal, { ...said, reason: said.reason ?? null, own }));
      // The verdict is on record whatever comes of it; how the policy stands, /readyz says.
      await context.settlePolicy?.().catch((error: unknown) => logger.error({ error: error instanceof Error ? error.message : String(error) }, 'a policy bundle that people have let come into force could not be put there'));
      const { proposal } = engine.proposals();
      if (proposal === null || proposal.proposalId !== proposalId) throw new Problem('no-such-proposal', 'another bundle was proposed in the meantime: the verdict is on record, and void');
      return { status: 200, body: viewOf(proposal, inForce, engine.nextAtMs()) };
    },
  };
}

function viewOf({ proposalId, bundle, revision, atMs, outcome, approvals, rejected, listing, signature }: BundleProposal, before: InForce | null, nowMs: number): ProposalView {
  return {
    proposalId, bundle, revision, proposedAt: formatTime(atMs), outcome, rejected,
    approvals: approvals.filter(({ expiresAtMs }) => expiresAtMs > nowMs).map(({ approvalId, approver, proofClass, expiresAtMs }) => ({ approvalId, approver, proofClass, expiresAt: formatTime(expiresAtMs) })),
    signedBy: signature?.signatures[0]?.keyid ?? null,
    entrypoints: [...(listing?.entrypoints ?? [])],
    files: (listing?.files ?? []).map(({ path, digest }) => ({ path, digest, before: before?.listing == null ? null : listedDigest(before.listing, path) })),
  };
}
