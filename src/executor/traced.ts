/**
 * A worker's doings as spans, where anybody looks at traces: a ticket that is taken, each call to a target, and each report, in the trace in which the ticket came.
 * What is said of a call is which it was, of which connector, and how it ended by a closed list: no name, no answer, no message of a target.
 */
import { clientTokenOf } from '../change/derive.ts';
import { anyReportSchema, type AnyTicket } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import type { Refusal, RevokeOrder } from '../protocol/signed.ts';
import { during, recentTraces, type RecentTraces } from '../tracing/recent.ts';
import { parseTraceparent, type Span, type Tracer } from '../tracing/trace.ts';
import { TargetError, type Connector } from './connector.ts';

export interface WorkerTraces {
  /** What `run` makes of a ticket that is to be believed. What is done about its change from then on goes on in its trace. `refused`: what is wrong with it. */
  taking<T>(ticket: AnyTicket, traceparent: unknown, refused: Refusal | null, run: () => Promise<T>): Promise<T>;
  /** What is done about the order's change goes on in the trace in which the order came, where it came in one. */
  ordered(order: RevokeOrder, traceparent: unknown): void;
  /** One that was acknowledged is told of; tries that came to nothing are not, for there may be any number of them. */
  reporting(message: ReportMessage, send: () => Promise<void>): Promise<void>;
  /** The same connectors, whose every call to a target is a span. */
  over(connectors: ReadonlyMap<string, Connector>): ReadonlyMap<string, Connector>;
}

export function workerTraces(tracer: Tracer, executorId: string, nowMs: () => number): WorkerTraces {
  /** By client token: which change it is, and what connectors are told. */
  const traces = recentTraces(tracer, nowMs);
  return {
    taking(ticket, traceparent, refused, run) {
      // Nobody asks for a discovery.
      if (ticket.kind === 'discover') return run();
      const { action, connector, clientToken } = ticket.kind === 'act' ? ticket.step : ticket.query;
      const trace = parseTraceparent(traceparent);
      if (trace !== null) traces.set(clientToken, trace);
      const span = traces.begin(clientToken, `process ${ticket.kind}`, {
        kind: 'consumer',
        attributes: {
          'messaging.system': 'countersign', 'messaging.operation.type': 'process', 'messaging.operation.name': 'process', 'messaging.destination.name': executorId,
          'countersign.change': ticket.changeId, 'countersign.step': ticket.stepId, 'countersign.issue': ticket.issue, 'countersign.action': action, 'countersign.connector': connector,
        },
      });
      // Of an extension, the token is that of what it extends.
      for (const token of new Set([clientToken, clientTokenOf(ticket.changeId)])) traces.set(token, span.context);
      return during(span, run, refused ?? undefined);
    },
    ordered({ clientToken }, traceparent) {
      const trace = parseTraceparent(traceparent);
      if (trace !== null) traces.set(clientToken, trace);
    },
    reporting(message, send) {
      const report = readPayload(message.report, anyReportSchema);
      if (report.kind === 'discovered') return send();
      const { kind, changeId } = report;
      const span = traces.begin(clientTokenOf(changeId), `report ${kind}`, {
        kind: 'producer',
        attributes: {
          'messaging.system': 'countersign', 'messaging.operation.type': 'send', 'messaging.operation.name': 'report', 'messaging.destination.name': report.log,
          'countersign.change': changeId, 'countersign.report': kind, ...('outcome' in report ? { 'countersign.outcome': report.outcome } : {}),
        },
      });
      return send().then(() => span.end());
    },
    over: (connectors) => new Map([...connectors].map(([id, connector]) => [id, tracedConnector(id, connector, traces)])),
  };
}

/** What connectors answer in one word; anything else is left out, whatever a connector of somebody's own may say. */
const OUTCOMES: ReadonlySet<unknown> = new Set(['applied', 'absent', 'works', 'fails', 'notTried', 'done', 'already-absent', 'mismatch']);

function tracedConnector(id: string, connector: Connector, traces: RecentTraces): Connector {
  const call = async <T>(method: string, { clientToken, action }: { readonly clientToken: string; readonly action: string }, signal: AbortSignal, run: () => Promise<T>): Promise<T> => {
    const span = once(traces.begin(clientToken, `${method} ${id}`, { kind: 'client', attributes: { 'countersign.connector': id, 'countersign.action': action, 'countersign.call': method } }));
    // One that never comes back is told of at its deadline.
    const late = (): void => span.end({ error: 'deadline' });
    signal.addEventListener('abort', late, { once: true });
    try {
      const answer = await run();
      span.end(OUTCOMES.has(answer) ? { attributes: { 'countersign.outcome': answer as string } } : {});
      return answer;
    } catch (error) {
      span.end({ error: error instanceof TargetError ? error.kind : 'fault' });
      throw error;
    } finally {
      signal.removeEventListener('abort', late);
    }
  };
  return {
    describe: (action) => connector.describe(action),
    read: (query, signal) => call('read', query, signal, () => connector.read(query, signal)),
    ...(connector.discover === undefined ? {} : { discover: (query, signal) => connector.discover!(query, signal) }),
    apply: (input) => call('apply', input.step, input.signal, () => connector.apply(input)),
    ...(connector.issue === undefined ? {} : { issue: (input) => call('issue', input.step, input.signal, () => connector.issue!(input)) }),
    probe: (step, signal, validUntil) => call('probe', step, signal, () => connector.probe(step, signal, validUntil)),
    tryUse: (step, secret, signal) => call('use', step, signal, () => connector.tryUse(step, secret, signal)),
    revoke: (order, signal) => call('revoke', order, signal, () => connector.revoke(order, signal)),
    close: () => connector.close(),
  } satisfies Connector;
}

function once(span: Span): Span {
  let ended = false;
  return {
    context: span.context,
    end(how) {
      if (!ended) span.end(how);
      ended = true;
    },
  };
}
