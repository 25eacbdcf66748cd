/** What a verifier remembers of one change while it is open: the fold, and beside it only what the verifier has checked for itself. */
import type { ChangeEvent } from '../change/events.ts';
import { FINAL_STATES, type ChangeState } from '../change/state.ts';
import type { Requirement } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { reportSchema, ticketSchema, type ActTicket, type ApprovalStatement, type Dsse } from '../protocol/signed.ts';
import type { ProofClass } from '../protocol/decision.ts';

/** An approval whose signature, plan and person have been checked. */
export interface CheckedApproval {
  readonly approvalId: string;
  readonly statement: ApprovalStatement;
  readonly proofClass: ProofClass;
}

export interface Audited {
  readonly state: ChangeState;
  /** The strictest of every decision's obligations so far, computed here; what records claim is only compared with it. */
  readonly requirement: Requirement;
  readonly approvals: readonly CheckedApproval[];
  /** The newest ticket for the step that has an effect. */
  readonly ticket: ActTicket | null;
  /** Executors that any issue of it was for. */
  readonly audiences: ReadonlySet<string>;
  readonly firstActAtMs: number | null;
  /** An executor has said that the step had no effect, for good. */
  readonly withoutEffect: boolean;
  /** The plan was erased: what its digest stands for cannot be checked. */
  readonly planErased: boolean;
}

/** What `event`, of which `state` is the outcome, adds to what is remembered. `checked`: the approval in it, where it holds. */
export function remember(before: Audited | null, event: ChangeEvent, state: ChangeState, requirement: Requirement, checked: CheckedApproval | null): Audited {
  const base: Audited = before ?? {
    state, requirement, approvals: [], ticket: null, audiences: new Set(), firstActAtMs: null, withoutEffect: false, planErased: false,
  };
  const next: Audited = { ...base, state, requirement };
  switch (event.type) {
    case 'change.revised':
      return { ...next, approvals: [] };
    case 'approval.recorded':
      return checked === null ? next : { ...next, approvals: [...next.approvals, checked] };
    case 'policy.decided':
      return { ...next, planErased: state.planDigest !== null && state.plan === null };
    case 'step.authorised': {
      if (event.body.kind !== 'act') return next;
      const ticket = readPayload(event.body.ticket, ticketSchema);
      if (ticket.kind !== 'act') return next;
      return { ...next, ticket, audiences: new Set(next.audiences).add(ticket.audience), firstActAtMs: next.firstActAtMs ?? event.atMs };
    }
    case 'step.failed':
    case 'step.refused':
      return { ...next, withoutEffect: isLastWord(next, event.body.report) && (state.name === 'failed' || state.name === 'withdrawn') };
    default:
      return next;
  }
}

/** Whether the report is about the newest issue of the ticket: what an older one came to says nothing about it. */
function isLastWord({ ticket }: Audited, envelope: Dsse): boolean {
  const report = readPayload(envelope, reportSchema);
  return ticket !== null && report.kind === 'acted' && report.issue === ticket.issue;
}

/** Whether nothing that gives, or says that something was given, may follow: such a change is forgotten. */
export function isClosed({ state, withoutEffect }: Audited): boolean {
  const outcomeKnown = state.act === null || state.result !== null || withoutEffect;
  const nothingHeld = state.lease === null || state.ended !== null;
  const over = FINAL_STATES.has(state.name) || (state.name === 'done' && state.plan?.kind === 'revoke');
  return over && outcomeKnown && nothingHeld;
}
