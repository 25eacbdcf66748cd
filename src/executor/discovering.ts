/** A discovery: a page of what is there at the target, asked under a ticket. Nothing is changed, so nothing needs to be remembered. */
import { discoveredPageSchema, PAGE_BYTES_MAX, type DiscoveredPage, type DiscoveredReport, type DiscoverTicket, type Found } from '../protocol/discovery.ts';
import { canonicalBytes, canonicalText, JsonError } from '../../ledger/index.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { isInWindow } from './admission.ts';
import { TargetError, type Connector } from './connector.ts';
import type { WorkerContext } from './context.ts';
import { backoffMs, within } from './deadline.ts';
import { namedState, plainDetail, type SaltedState } from './reports.ts';

/** One account after another is asked about: this many reads may take as long as this. */
const READS_IN_ONE = 6;

/** The signed answer; null only when the worker closes before there is one. A target that can't be reached is asked again while the ticket is good. */
export async function runDiscovery(context: WorkerContext, ticket: DiscoverTicket): Promise<ReportMessage | null> {
  const { clock, limits, trust } = context;
  const connector = context.connectors.get(ticket.query.connector);
  const refused = (code: string, detail: string | null): ReportMessage => discoveredReport(context, ticket, { outcome: 'refused', code, detail }, null);
  for (let failures = 0; !context.isClosing(); failures += 1) {
    if (connector === undefined) return refused('unknown-connector', null);
    if (!isInWindow(ticket, clock.nowMs(), trust.requirements.clockSkewMs)) return refused('outside-window', `the ticket was good until ${ticket.notAfter}`);
    try {
      const page = await within(clock, limits.askTimeoutMs * READS_IN_ONE, (signal) => readPage(context, connector, ticket, signal));
      return discoveredReport(context, ticket, { outcome: 'done', code: null, detail: null }, page);
    } catch (error) {
      const detail = plainDetail(error instanceof Error ? error.message : String(error));
      if (error instanceof TargetError && error.kind === 'rejected') return discoveredReport(context, ticket, { outcome: 'failed', code: 'target-rejected', detail }, null);
      context.logger.warn({ stepId: ticket.stepId, reason: detail }, 'the target cannot be looked at; trying again');
    }
    await context.pauses.pause(backoffMs(limits.retryMs, failures));
  }
  return null;
}

async function readPage(context: WorkerContext, connector: Connector, { query }: DiscoverTicket, signal: AbortSignal): Promise<SaltedState> {
  if (connector.discover === undefined) throw new TargetError('rejected', 'this connector cannot tell what is there');
  const { target, entries, next } = await connector.discover(query, signal);
  const kept = thatFit(entries);
  const page: DiscoveredPage = {
    v: 1, salt: Buffer.from(context.random(16)).toString('base64url'), connector: query.connector, target, after: query.after,
    next: kept.length < entries.length ? (kept.at(-1)?.key ?? null) : next, entries: [...kept],
  };
  try {
    const checked = discoveredPageSchema.safeParse(page);
    if (!checked.success) throw new TargetError('rejected', `the target told what cannot be reported: ${checked.error.issues[0]?.path.join('/') ?? ''}: ${checked.error.issues[0]?.message ?? ''}`);
    return namedState(canonicalText(checked.data));
  } catch (cause) {
    if (cause instanceof JsonError) throw new TargetError('rejected', `the target told what cannot be reported: ${cause.message}`, { cause });
    throw cause;
  }
}

/** As many as one page holds: at least one, for no entry alone is as large as that. */
function thatFit(entries: readonly Found[]): readonly Found[] {
  let bytes = 0;
  for (const [count, entry] of entries.entries()) {
    bytes += canonicalBytes(entry).length + 1;
    if (bytes > PAGE_BYTES_MAX && count > 0) return entries.slice(0, count);
  }
  return entries;
}

export function discoveredReport(context: WorkerContext, ticket: DiscoverTicket, said: Pick<DiscoveredReport, 'outcome' | 'code' | 'detail'>, page: SaltedState | null): ReportMessage {
  const { log, discoveryId, stepId, issue } = ticket;
  return context.report({ kind: 'discovered', log, discoveryId, stepId, issue, page: page?.digest ?? null, ...said }, { states: [page] });
}
