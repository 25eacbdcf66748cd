/** What is spent: steps and orders that are answered on record, so that nobody is owed them any more. */
import type { ChangeState, IssuedTicket } from '../change/state.ts';
import { anyTicketSchema, type DiscoveredReport } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { revokeOrderSchema, type Dsse, type Report } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';
import type { Held, Outbox, Spent } from './ports.ts';

/** States in which the step that has a ticket may still be owed. */
const OUTSTANDING: ReadonlySet<ChangeState['name']> = new Set(['authorised', 'executing', 'withdrawing', 'revoking']);

/** What a report that is durable leaves behind. `state`: of its change, with the report; null for a discovery. */
export function spentBy(audience: string, report: Report | DiscoveredReport, message: ReportMessage, state: ChangeState | null): readonly Spent[] {
  switch (report.kind) {
    case 'claimed':
      return [];
    case 'read':
    case 'discovered':
      return [{ audience, stepId: report.stepId, issue: report.issue }];
    case 'acted':
      // What it came to is not known: it is asked for until it is.
      return report.outcome === 'ambiguous' ? [] : [{ audience, stepId: report.stepId, issue: report.issue }];
    case 'revoked': {
      if (state?.ended == null) return [];
      // What is there again and was not taken away is ordered until it is.
      const isGone = report.outcome === 'done' || report.outcome === 'already-absent';
      const carriedOut = message.order === null || !isGone ? [] : [message.order];
      return [...ordersOf(state), ...carriedOut].map((order) => ({ audience, order }));
    }
  }
}

/** Every order to end what the change gave. */
function ordersOf({ lease, superseded, revokes }: ChangeState): Dsse[] {
  return [...(lease === null ? [] : [lease.order]), ...superseded.map(({ order }) => order), ...revokes.map(({ order }) => order)];
}

/** Looks once, after a start, for what an earlier process left. */
export function sweepSpent({ store, clock }: Pick<EngineContext, 'store' | 'clock'>, outbox: Outbox): void {
  outbox.sweep((held) => isSpent(store, held, clock.nowMs()));
}

/** Whether what is on the bus is owed to nobody by what is durable. What this ledger knows nothing of is not its to judge. */
export async function isSpent(store: Pick<EngineContext['store'], 'load' | 'isDurable'>, held: Held, nowMs: number): Promise<boolean> {
  if ('order' in held) {
    const { changeId, cause } = readPayload(held.order, revokeOrderSchema);
    // Such an order comes after the end of its lease: that the lease has ended answers nothing.
    if (cause === 'reconcile') return false;
    const state = await store.load(changeId);
    return state !== undefined && state.ended !== null && store.isDurable(state);
  }
  const ticket = readPayload(held.ticket, anyTicketSchema);
  // Whoever looked at the target went with its process.
  if (ticket.kind === 'discover') return parseTime(ticket.notAfter) < nowMs;
  const state = await store.load(ticket.changeId);
  return state !== undefined && store.isDurable(state) && !owedBy(state).some(({ stepId, issue }) => stepId === ticket.stepId && issue <= ticket.issue);
}

/** The tickets that may not have been answered. */
function owedBy({ name, read, act, readAfter, before }: ChangeState): IssuedTicket[] {
  const owed = [name === 'requested' && before === null ? read : null, OUTSTANDING.has(name) ? act : null, readAfter];
  return owed.filter((ticket) => ticket !== null);
}
