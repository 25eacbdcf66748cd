/** Whether what is to be signed about a proposed policy bundle is what was shown of it: a sidecar may have anything signed, and write anything beside a digest. */
import type { ProposalView } from '../client/index.ts';
import type { ProposalStatement } from '../protocol/activation.ts';
import { bundleDigest, bundleListingSchema } from '../protocol/policy-bundle.ts';
import { SIGNED_MS_MAX } from './shown-statement.ts';

/** The name of the first thing that is another than was shown, `files` where they are not those of the digest; null where all of it is as shown. */
export function differingProposal(statement: ProposalStatement, { bundle, entrypoints, files, proposalId, revision }: ProposalView, verdict: ProposalStatement['verdict'], nowMs: number): string | null {
  const shown: Partial<ProposalStatement> = { proposalId, bundle, revision, verdict };
  for (const [name, value] of Object.entries(shown)) if (statement[name as keyof ProposalStatement] !== value) return name;
  const listing = bundleListingSchema.safeParse({ v: 1, entrypoints, files: files.map(({ path, digest }) => ({ path, digest })) });
  if (!listing.success || bundleDigest(listing.data) !== bundle) return 'files';
  return Date.parse(statement.expiresAt) <= nowMs + SIGNED_MS_MAX ? null : 'expiresAt';
}
