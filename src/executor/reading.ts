/** A read: what one account is like, asked of the target under a read ticket. Nothing is changed, so nothing needs to be remembered. */
import type { ReportMessage } from '../protocol/envelope.ts';
import type { ReadReport, ReadTicket } from '../protocol/signed.ts';
import { isInWindow } from './admission.ts';
import { TargetError } from './connector.ts';
import type { WorkerContext } from './context.ts';
import { backoffMs, within } from './deadline.ts';
import { plainDetail, saltState, type SaltedState } from './reports.ts';

/** The signed answer; null only when the worker closes before there is one. A target that can't be reached is asked again while the ticket is good. */
export async function runRead(context: WorkerContext, ticket: ReadTicket): Promise<ReportMessage | null> {
  const { clock, limits, trust } = context;
  const connector = context.connectors.get(ticket.query.connector);
  for (let failures = 0; !context.isClosing(); failures += 1) {
    if (connector === undefined) return readReport(context, ticket, { outcome: 'refused', code: 'unknown-connector', detail: null }, null);
    if (!isInWindow(ticket, clock.nowMs(), trust.requirements.clockSkewMs)) {
      return readReport(context, ticket, { outcome: 'refused', code: 'outside-window', detail: `the ticket was good until ${ticket.notAfter}` }, null);
    }
    try {
      const state = await within(clock, limits.askTimeoutMs, (signal) => connector.read(ticket.query, signal));
      return readReport(context, ticket, { outcome: 'done', code: null, detail: null }, saltState(state, context.random));
    } catch (error) {
      const detail = plainDetail(error instanceof Error ? error.message : String(error));
      if (error instanceof TargetError && error.kind === 'rejected') return readReport(context, ticket, { outcome: 'failed', code: 'target-rejected', detail }, null);
      context.logger.warn({ stepId: ticket.stepId, reason: detail }, 'the target cannot be read; trying again');
    }
    await context.pauses.pause(backoffMs(limits.retryMs, failures));
  }
  return null;
}

export function readReport(context: WorkerContext, ticket: ReadTicket, said: Pick<ReadReport, 'outcome' | 'code' | 'detail'>, state: SaltedState | null): ReportMessage {
  const { log, changeId, stepId, issue } = ticket;
  return context.report({ kind: 'read', log, changeId, stepId, issue, state: state?.digest ?? null, ...said }, { states: [state] });
}
