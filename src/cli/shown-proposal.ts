/** A proposed policy bundle as it is shown, and whether what is to be signed about it is what was shown: a sidecar may have anything signed, and write anything beside a digest. */
import type { ProposalView, ProposedView } from '../client/index.ts';
import type { ProposalStatement } from '../protocol/activation.ts';
import { bundleDigest, bundleListingSchema } from '../protocol/policy-bundle.ts';
import { plain, table } from './output.ts';
import { SIGNED_MS_MAX } from './shown-statement.ts';

/** The name of the first thing that is another than was shown, `files` where they are not those of the digest; null where all of it is as shown. */
export function differingProposal(statement: ProposalStatement, { bundle, entrypoints, files, proposalId, revision }: ProposalView, verdict: ProposalStatement['verdict'], nowMs: number): string | null {
  const shown: Partial<ProposalStatement> = { proposalId, bundle, revision, verdict };
  for (const [name, value] of Object.entries(shown)) if (statement[name as keyof ProposalStatement] !== value) return name;
  if (digestAsShown({ entrypoints, files }) !== bundle) return 'files';
  return Date.parse(statement.expiresAt) <= nowMs + SIGNED_MS_MAX ? null : 'expiresAt';
}

/** The digest of the bundle whose files and entrypoints are shown; null where no bundle could have them. */
export function digestAsShown({ entrypoints, files }: Pick<ProposalView, 'entrypoints' | 'files'>): string | null {
  const listing = bundleListingSchema.safeParse({ v: 1, entrypoints, files: files.map(({ path, digest }) => ({ path, digest })) });
  return listing.success ? bundleDigest(listing.data) : null;
}

/** What waits, what is other than before, and who must let it, a line each. */
export function describeProposal({ asked, before, proposed }: ProposedView): string[] {
  const inForce = before === null ? [] : [`came into force last: ${before.bundle}${revised(before.revision)}`];
  const who = asked.length === 0 ? ['nobody is asked whether a bundle comes into force'] : asked.map(({ approvers, proofClass, quorum }) => `asked: ${quorum} of ${approvers.map(plain).join(', ')} (${proofClass})`);
  if (proposed === null) return ['no bundle was proposed', ...inForce, ...who];
  const { approvals, bundle, entrypoints, files, outcome, proposalId, proposedAt, rejected, revision, signedBy } = proposed;
  return [
    `${proposalId} is ${outcome}`,
    `bundle ${bundle}${revised(revision)}, proposed ${proposedAt}, ${signedBy === null ? 'signed by nobody' : `signed by ${plain(signedBy)}`}`,
    `entrypoints ${entrypoints.map(plain).join(', ')}`,
    ...table(files.map((file) => [file.path, howFar(file), file.digest])),
    ...inForce, ...who,
    ...approvals.map(({ approver, expiresAt, proofClass }) => `approved by ${plain(approver)}, proven by ${proofClass}, until ${expiresAt}`),
    ...(rejected === null ? [] : [`rejected by ${plain(rejected.by)}${rejected.reason === null ? '' : `: ${plain(rejected.reason)}`}`]),
  ];
}

const revised = (revision: string | null): string => (revision === null ? '' : `, revision ${plain(revision)}`);

function howFar({ before, digest }: ProposalView['files'][number]): string {
  if (before === null) return 'new';
  return before === digest ? 'same' : 'changed';
}
