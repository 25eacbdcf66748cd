/** The policy bundle that waits for people, as the command shows it, and the verdict on it. */
import { describeProposal, differingProposal, digestAsShown } from '../cli/shown-proposal.ts';
import { assertStatement } from './passkey.ts';
import type { Shown } from './shown.ts';
import type { SidecarDoor } from './sidecar.ts';

const UNCHECKED = 'The digest covers the names and digests of the files above. What is in the files, and whether they are what their author means, is not looked at here.';

/** @throws Refused where the sidecar does not show it */
export async function shownPolicy(door: SidecarDoor): Promise<Shown> {
  const view = await door.proposedPolicy();
  const { proposed } = view;
  const digest = proposed === null ? null : digestAsShown(proposed);
  return {
    what: 'policy', lines: describeProposal(view), digest, unchecked: proposed === null ? null : UNCHECKED,
    closed: proposed === null ? { how: 'open', why: 'No policy bundle is proposed: there is nothing to decide.' }
      : digest !== proposed.bundle ? { how: 'bad', why: 'The files that are shown are not those of the bundle. Decide nothing here.' }
        : proposed.outcome === 'waiting' ? null : { how: 'open', why: `This bundle is ${proposed.outcome}: there is nothing to decide.` },
    async decide(verdict, comment) {
      const { proposalId, bundle } = proposed!;
      const own = verdict === 'approve' ? { passkey: await proofFor() } : {};
      const decided = await door.decidePolicy({ proposalId, bundle, verdict, ...(comment === '' ? {} : { reason: comment }), ...own });
      const became = decided.outcome === 'activated' ? 'It has come into force.' : decided.outcome === 'rejected' ? 'It does not come into force.' : 'It waits for others.';
      return `${verdict === 'approve' ? 'Approved' : 'Rejected'} ${bundle}. ${became}`;
    },
  };

  /** Asked for only once what is to be signed is the bundle that is shown. */
  async function proofFor(): ReturnType<typeof assertStatement> {
    const answer = await door.policyStatement('approve');
    const differing = differingProposal(answer.statement, proposed!, 'approve', Date.now());
    if (differing !== null) throw new Error(`What is to be signed is not the bundle that is shown (${differing}). Nothing was signed.`);
    return assertStatement(answer);
  }
}
