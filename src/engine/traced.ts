/** The engine's work as spans, where anybody looks at traces: each piece of it in the trace in which its change goes on. */
import type { ChangeState } from '../change/state.ts';
import type { Work } from '../change/work.ts';
import { during } from '../tracing/recent.ts';
import type { Attributes, SpanOptions } from '../tracing/trace.ts';
import type { EngineContext } from './engine.ts';
import { performWork, type Outcome } from './perform.ts';

/** As {@link performWork}. */
export function traced(context: EngineContext, state: ChangeState, work: Work): Promise<Outcome> {
  if (context.traces === undefined) return performWork(context, state, work);
  const span = context.traces.begin(state.changeId, work.do, toldOf(state, work));
  return during(span, () => performWork(context, state, work, span.context));
}

/** @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ */
function toldOf(state: ChangeState, work: Work): Pick<SpanOptions, 'kind' | 'attributes'> {
  const attributes: Attributes = { 'countersign.change': state.changeId, 'countersign.kind': state.request.kind, 'countersign.state': state.name };
  const audience = audienceOf(state, work);
  if (audience === null) return { kind: 'internal', attributes };
  return { kind: 'producer', attributes: { ...attributes, 'messaging.system': 'countersign', 'messaging.operation.type': 'send', 'messaging.operation.name': work.do, 'messaging.destination.name': audience } };
}

/** Whom the work sends something to; null where it sends nothing. */
function audienceOf(state: ChangeState, work: Work): string | null {
  switch (work.do) {
    case 'publishRead':
      return state.read?.audience ?? null;
    case 'publishReadAfter':
      return state.readAfter?.audience ?? null;
    case 'publishAct':
    case 'arm':
    case 'disarm':
      return state.act?.audience ?? null;
    case 'publishRevoke':
      return state.revokes.at(-1)?.content.audience ?? null;
    default:
      return null;
  }
}
