/** Checks of a request that was reduced: by somebody who was asked about exactly that plan, and to less of the same and nothing else. */
import type { ChangeEvent } from '../change/events.ts';
import { approversNamed } from '../protocol/decision.ts';
import { isReductionOf } from '../protocol/reduction.ts';
import type { Audited } from './audited.ts';
import { same } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Revised = Extract<ChangeEvent, { type: 'change.revised' }>;

/** Whether the actor was one who might approve the change as it was. */
export function mayReduce(audited: Audited | null, actor: string): boolean {
  return audited !== null && approversNamed(audited.requirement.approvers).includes(actor) && !audited.state.requester.includes(actor);
}

/** @param isDisclosed whether the record names a disclosure of its own: one that does not repeats the commitment before it */
export function checkReduced({ state }: Audited, { body: { request, reduced, cause }, atMs }: Revised, isDisclosed: boolean): Fault | null {
  if (reduced === undefined) return null;
  const wrong = (what: string): Fault => fault('reduction-mismatch', what);
  if (cause !== undefined) return wrong('a request was reduced, and planned anew for another cause, in one record');
  if (reduced.revision !== state.revision || reduced.planDigest !== state.planDigest) return wrong('a request was reduced as of another plan than was decided');
  if (state.approvalsByMs !== null && atMs >= state.approvalsByMs) return wrong('a request was reduced after the time to decide was over');
  if (!isReductionOf(request, state.request) || !(isDisclosed || same(request.reason, state.request.reason))) return wrong('what a request was reduced to is not less of the same, and nothing else');
  return null;
}
