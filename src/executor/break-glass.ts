/** Whether a broken glass stands for the approvals of a step, by this executor's own trust folder. */
import type { EventBody } from '../change/events.ts';
import { breakGlassDigest, breakGlassFor, breakGlassShortfall, isBreakable, openBreakGlass, type BreakGlassStatement } from '../protocol/break-glass.ts';
import type { StepEnvelope } from '../protocol/envelope.ts';
import type { Plan } from '../protocol/plan.ts';
import type { ActTicket } from '../protocol/signed.ts';
import { floorOf, type Trust } from '../protocol/trust-folder.ts';
import { refuse } from './plan-check.ts';

type ActBody = Extract<EventBody<'step.authorised'>, { kind: 'act' }>;

/** The very statement that the record names, proven by the person's own key; null where the record names none. @throws ProtocolError `approval-invalid`, `approvals-insufficient` */
export function openRecordedGlass({ breakGlass }: StepEnvelope, body: ActBody, trust: Trust, asOfMs: number): BreakGlassStatement | null {
  if (body.breakGlass === undefined) return breakGlass === undefined ? null : refuse('approval-invalid', 'a broken glass that is not in the record');
  if (breakGlass === undefined) return refuse('approvals-insufficient', 'the record says that the glass was broken, and what was signed did not come');
  if (breakGlassDigest(breakGlass) !== body.breakGlass) return refuse('approval-invalid', 'what was signed to break the glass is not what the record names');
  return openBreakGlass(breakGlass, { signers: trust.signers, atMs: asOfMs });
}

/** @throws ProtocolError `approval-invalid` for a statement about another plan; `below-floor`, `approvals-insufficient` */
export function checkGlass(ticket: ActTicket, plan: Plan, statement: BreakGlassStatement, asOfMs: number, { requirements }: Trust): void {
  const about = statement.log === ticket.log && statement.changeId === ticket.changeId && statement.revision === ticket.revision && statement.planDigest === ticket.planDigest;
  if (!about) refuse('approval-invalid', `${statement.usedBy} has broken the glass for another plan`);
  if (!isBreakable(plan)) refuse('below-floor', 'the glass is broken for what a lease takes back, and for nothing else');
  const shortfall = breakGlassShortfall(breakGlassFor(requirements, ticket.step), floorOf(requirements, ticket.step), statement, {
    action: ticket.step.action, asOfMs, leaseSeconds: plan.lease?.leaseSeconds ?? null, skewMs: requirements.clockSkewMs,
  });
  if (shortfall !== null) refuse(shortfall.code, shortfall.message);
}
