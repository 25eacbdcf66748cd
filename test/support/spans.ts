/** A tracer that writes down what it is told. */
import type { Attributes, SpanOptions, TraceContext, Tracer } from '../../src/tracing/trace.ts';

export interface RecordedSpan {
  readonly name: string;
  readonly context: TraceContext;
  readonly options: SpanOptions;
  /** Set once it has ended. */
  ended: { readonly error?: string; readonly attributes: Attributes } | null;
}

export interface RecordingTracer extends Tracer {
  readonly spans: readonly RecordedSpan[];
  /** By name, those that have ended. */
  named(name: string): readonly RecordedSpan[];
}

export function recordingTracer(): RecordingTracer {
  const spans: RecordedSpan[] = [];
  return {
    spans,
    named: (name) => spans.filter((span) => span.name === name && span.ended !== null),
    begin(name, options) {
      const context = { traceId: options.parent?.traceId ?? (spans.length + 1).toString(16).padStart(32, 'a'), spanId: (spans.length + 1).toString(16).padStart(16, '0'), sampled: true };
      const span: RecordedSpan = { name, context, options, ended: null };
      spans.push(span);
      return {
        context,
        end({ error, attributes = {} } = {}) {
          if (span.ended !== null) throw new Error(`${name} ended twice`);
          span.ended = { ...(error === undefined ? {} : { error }), attributes };
        },
      };
    },
  };
}

/** A trace of somebody else's, as it comes in a header. */
export const CALLER_TRACE = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true } as const;
export const CALLER_TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
