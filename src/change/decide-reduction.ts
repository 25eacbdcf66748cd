/** A request is reduced by somebody who is asked to approve it. Like a rejection it gives nothing, so no policy and no proof stands in its way; whoever did it approves afterwards like everybody else. */
import { approversNamed } from '../protocol/decision.ts';
import { reduceRequest, type Reduction } from '../protocol/reduction.ts';
import { windowClosed } from './decide-window.ts';
import { REVISIONS_MAX } from './events.ts';
import { no, yes, type Decided } from './outcome.ts';
import type { ChangeState } from './state.ts';

export interface Reducing extends Reduction {
  readonly by: string;
  /** Of the plan that she saw. */
  readonly planDigest: string;
}

export function decideReduction(state: ChangeState, { by, planDigest, ...reduction }: Reducing, nowMs: number): Decided {
  if (state.requester.includes(by)) return no('self-approval', 'who asked revises it instead');
  if (state.name === 'requested') return no('plan-changed', 'there is no plan to reduce yet');
  if (planDigest !== state.planDigest) return no('plan-changed', `the plan is now revision ${state.revision}, ${state.planDigest ?? 'not derived yet'}`);
  if (!approversNamed(state.requirement.approvers).includes(by)) return no('not-an-approver', `${by} is not asked`);
  if (state.name !== 'pending') return no('already-decided', `the change is ${state.name}`);
  if (state.approvalsByMs !== null && nowMs >= state.approvalsByMs) return no('approval-expired', 'the time to decide is over');
  if (state.revision >= REVISIONS_MAX) return no('too-late', `a change has ${REVISIONS_MAX} revisions at most; reject it`);
  const reduced = reduceRequest(state.request, reduction);
  if (!reduced.ok) return no('not-a-reduction', reduced.message);
  return yes(...windowClosed(state, by, 'finished'), {
    type: 'change.revised', actor: by, body: { revision: state.revision + 1, request: reduced.request, reduced: { revision: state.revision, planDigest } },
  });
}
