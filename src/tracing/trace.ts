/**
 * Which trace something belongs to, and the port by which what is done becomes spans. A trace context is about where to look afterwards: it is never
 * authority, never part of what is signed, and never on record.
 *
 * @see https://www.w3.org/TR/trace-context/
 */

/** A span that others are children of, wherever it is. */
export interface TraceContext {
  /** 32 and 16 hex digits, lower case, not all 0. */
  readonly traceId: string;
  readonly spanId: string;
  /** Whether it is written down by whoever began it. */
  readonly sampled: boolean;
}

/** Ids, kinds, codes, names from the configuration, outcomes, and numbers: nothing that anybody wrote, and no secret. */
export type Attributes = Readonly<Record<string, string | number>>;

export interface SpanOptions {
  readonly kind: 'server' | 'client' | 'producer' | 'consumer' | 'internal';
  /** null: a trace of its own. */
  readonly parent: TraceContext | null;
  /** What it follows from and is no child of. */
  readonly links?: readonly TraceContext[];
  readonly attributes: Attributes;
}

export interface Span {
  readonly context: TraceContext;
  /** Ends it. `error`: a code that says what went wrong, never a message. One that is not ended is never told of. */
  end(how?: { readonly error?: string; readonly attributes?: Attributes }): void;
}

/** Never throws, and waits for nobody: what cannot be told is left. */
export interface Tracer {
  begin(name: string, options: SpanOptions): Span;
}

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const TRACEPARENT_CHARS_MAX = 512;

/** What a `traceparent` says; null for what is none, which is as if nothing had come. Later versions are read as far as they are like this one. @see Trace Context §3.2 */
export function parseTraceparent(text: unknown): TraceContext | null {
  if (typeof text !== 'string' || text.length > TRACEPARENT_CHARS_MAX) return null;
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || (version === '00' && more !== undefined) || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
