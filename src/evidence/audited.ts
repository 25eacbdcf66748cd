/** What a verifier remembers of one change while it is open: the fold, and beside it only what the verifier has checked for itself. */
import { become } from '../change/become.ts';
import type { ChangeEvent, EventBody } from '../change/events.ts';
import { FINAL_STATES, type ChangeState } from '../change/state.ts';
import type { ProofClass, Requirement } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { isUndoable, type PlanStep } from '../protocol/plan.ts';
import { callerOf } from '../protocol/request.ts';
import { reportSchema, ticketSchema, type ActTicket, type ApprovalStatement, type Dsse } from '../protocol/signed.ts';
import type { CheckedGlass } from './check-break-glass.ts';

/** An approval whose signature, plan and person have been checked. */
export interface CheckedApproval {
  readonly approvalId: string;
  readonly statement: ApprovalStatement;
  readonly proofClass: ProofClass;
  /** It is a use of a standing approval. */
  readonly standing?: boolean;
}

export interface Audited {
  readonly state: ChangeState;
  /** The strictest of every decision's obligations so far, computed here; what records claim is only compared with it. */
  readonly requirement: Requirement;
  readonly approvals: readonly CheckedApproval[];
  /** What the record just before says that policy answered about an approval; null where it says nothing of that. */
  readonly judged: EventBody<'approval.judged'> | null;
  /** The newest ticket of the step that is under way, or was the last to be. */
  readonly ticket: ActTicket | null;
  /** Whom any issue of it was for. */
  readonly audiences: ReadonlySet<string>;
  /** When the first issue of it was authorised. */
  readonly dueSinceMs: number | null;
  /** The step that an order takes back, and who may have carried it out. */
  readonly given: { readonly step: PlanStep; readonly by: ReadonlySet<string> } | null;
  /** Its executor has said that the newest issue came to nothing. */
  readonly answered: boolean;
  /** An executor has said that the change had no effect, for good. */
  readonly withoutEffect: boolean;
  /** The plan was erased: what its digest stands for cannot be checked, and `state.plan` is a stand-in at most. */
  readonly planErased: boolean;
  /** The state that was read before the plan was erased. */
  readonly readErased: boolean;
  /** There is a plan, and nothing to compare it with: it was made from a state that was erased. */
  readonly planUnchecked: boolean;
  /** When the newest read, before or after, was first authorised. */
  readonly readSinceMs: number | null;
  /** Mode `caller`: an executor has read what the caller's code left behind. */
  readonly seen: boolean;
  /** The broken glass on record, where it holds. */
  readonly glass: CheckedGlass | null;
  /** A step of it was authorised under a decision that was not enforced. */
  readonly observed: boolean;
  /** The indices of the change's records; grows in place. */
  readonly seqs: Set<number>;
}

/** What `event`, of which `state` is the outcome, adds to what is remembered. `checked`: the approval in it, where it holds. */
export function remember(before: Audited | null, event: ChangeEvent, state: ChangeState, requirement: Requirement, checked: CheckedApproval | null, glass: CheckedGlass | null = null): Audited {
  const base: Audited = before ?? {
    state, requirement, approvals: [], judged: null, ticket: null, audiences: new Set(), dueSinceMs: null, given: null, answered: false, withoutEffect: false, planErased: false,
    readErased: false, planUnchecked: false, readSinceMs: null, seen: false, glass: null, observed: false, seqs: new Set(),
  };
  base.seqs.add(event.seq);
  const next = become({ ...base }, { state, requirement, judged: event.type === 'approval.judged' ? event.body : null });
  switch (event.type) {
    case 'change.revised':
      return become(next, { approvals: [] });
    case 'approval.recorded':
      return checked === null ? next : become(next, { approvals: [...next.approvals, checked] });
    case 'approval.rejected':
      return become(next, { approvals: next.approvals.filter(({ statement }) => statement.approver !== event.actor && event.body.otherIds?.includes(statement.approver) !== true) });
    case 'breakglass.used':
      return become(next, { glass });
    case 'policy.decided':
      if (event.body.phase === 'request') return become(next, comparable(state, event));
      // That the sidecar counts them no more only makes it wait for others.
      return event.body.uncounted === undefined ? next : become(next, { approvals: next.approvals.filter(({ approvalId }) => event.body.uncounted?.includes(approvalId) !== true) });
    case 'step.authorised':
      if (event.body.kind === 'read') return isReadAnew(before, event.body.stepId, state) ? become(next, { readSinceMs: event.atMs }) : next;
      return event.body.kind === 'act' ? afterTicket(become(next, { observed: next.observed || state.decision?.observed !== undefined }), event.body.ticket, event.atMs) : next;
    case 'state.read':
      return become(next, state.readAfter === null ? { readErased: event.attached?.before === undefined } : { seen: true });
    case 'step.failed':
    case 'step.refused': {
      const answered = isLastWord(next, event.body.report);
      return become(next, { answered, withoutEffect: answered && (state.name === 'failed' || state.name === 'withdrawn') });
    }
    default:
      return next;
  }
}

function comparable({ read, before }: ChangeState, { body: { planDigest }, attached }: Extract<ChangeEvent, { type: 'policy.decided' }>): Pick<Audited, 'planErased' | 'planUnchecked'> {
  const isThere = attached?.plan !== undefined;
  return { planErased: planDigest !== null && !isThere, planUnchecked: isThere && read !== null && before === null };
}

/** Whether a ticket asks for another read than the one before it, and not for the same again. */
function isReadAnew(before: Audited | null, stepId: string, state: ChangeState): boolean {
  return before?.state.read?.stepId !== stepId || (state.readAfter !== null && before.state.readAfter === null);
}

function afterTicket(next: Audited, envelope: Dsse, atMs: number): Audited {
  const ticket = readPayload(envelope, ticketSchema);
  if (ticket.kind !== 'act') return next;
  const again = next.ticket?.stepId === ticket.stepId;
  return become(next, {
    ticket, answered: false, dueSinceMs: again ? next.dueSinceMs : atMs, audiences: new Set(again ? next.audiences : []).add(ticket.audience),
    given: isUndoable(ticket.step.action) ? { step: ticket.step, by: new Set(next.given?.by).add(ticket.audience) } : next.given,
  });
}

/** Whether the report is about the newest issue of the ticket: what an older one came to says nothing about it. */
function isLastWord({ ticket }: Audited, envelope: Dsse): boolean {
  const report = readPayload(envelope, reportSchema);
  return ticket !== null && report.kind === 'acted' && report.stepId === ticket.stepId && report.issue === ticket.issue;
}

/** Whether nothing that gives, or says that something was given, may follow: such a change is forgotten. */
export function isClosed({ state, answered, withoutEffect }: Audited): boolean {
  // Nobody but the caller's run acts on its ticket, and it may no longer begin.
  const neverBegan = callerOf(state.request) !== null && !state.claimed;
  const outcomeKnown = state.act === null || state.result !== null || withoutEffect || neverBegan || (answered && state.ended !== null);
  const nothingHeld = state.lease === null || state.ended !== null;
  return state.window !== 'opened' && outcomeKnown && nothingHeld && (FINAL_STATES.has(state.name) || isDoneForGood(state));
}

/** Done, and nothing left that an order could take back or somebody has yet to fetch. */
export function isDoneForGood({ name, plan, delivery }: ChangeState): boolean {
  return name === 'done' && plan !== null && !plan.steps.some(({ action }) => isUndoable(action)) && delivery?.status !== 'sealed';
}

/** Whether a rotation has come to its end. It is remembered: what it put in place may still be taken back. */
export function isRotated({ state }: Audited): boolean {
  return state.name === 'done' && state.request.kind === 'rotate';
}

/** The same without what nothing that can still come about it is compared with. */
export function slimmed(audited: Audited): Audited {
  if (!isRotated(audited) || audited.state.window === 'opened') return audited;
  return { ...audited, approvals: [], state: { ...audited.state, before: null, after: null, decision: null, approvals: [], read: null } };
}
