/** What must be remembered of a change so that its later records can be told: what was asked for, and the step that is under way. */
import { readPayload } from '../../protocol/dsse.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { RecordedRequest } from '../../protocol/request.ts';
import { ticketSchema } from '../../protocol/signed.ts';
import type { Said } from '../body-of.ts';

export interface KnownChange {
  readonly request: RecordedRequest;
  /** The newest that was authorised. */
  readonly step: PlanStep | null;
}

/** The same with one more record of it. null: its request was not seen. @throws ProtocolError for a ticket that is none */
export function knownAfter(before: KnownChange | null, said: Said): KnownChange | null {
  if (said.type === 'change.requested') return { request: said.body.request, step: null };
  if (before === null) return null;
  if (said.type === 'change.revised') return { ...before, request: said.body.request };
  if (said.type !== 'step.authorised' || said.body.kind !== 'act') return before;
  const ticket = readPayload(said.body.ticket, ticketSchema);
  return ticket.kind === 'act' ? { ...before, step: ticket.step } : before;
}
