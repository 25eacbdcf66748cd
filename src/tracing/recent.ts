/**
 * In which trace something goes on. A change lives for days and a trace should not: what is done within {@link CHILD_MS} of the span that began it is a child of
 * that, and what is done later begins a trace of its own with a link back. Kept in memory alone, so a start forgets: then it begins anew.
 */
import type { Span, SpanOptions, TraceContext, Tracer } from './trace.ts';

export interface RecentTraces {
  /** What is done about it from now on is done in this trace. */
  set(about: string, trace: TraceContext): void;
  /** The next span about it has a link to this one, where it goes on in any trace that is known. The returned function takes that back. */
  follow(about: string, trace: TraceContext): () => void;
  /** A span that is about it, in the trace in which it goes on. */
  begin(about: string, name: string, options: Pick<SpanOptions, 'kind' | 'attributes'>): Span;
}

export const CHILD_MS = 15 * 60_000;
const ABOUT_MAX = 10_000;
const FOLLOWED_MAX = 4;

interface Recent {
  readonly trace: TraceContext;
  readonly sinceMs: number;
  readonly followed: Set<TraceContext>;
}

export function recentTraces(tracer: Tracer, nowMs: () => number): RecentTraces {
  const known = new Map<string, Recent>();
  const set = (about: string, trace: TraceContext): void => {
    known.delete(about);
    known.set(about, { trace, sinceMs: nowMs(), followed: new Set() });
    const [oldest] = known.keys();
    if (known.size > ABOUT_MAX && oldest !== undefined) known.delete(oldest);
  };
  return {
    set,
    follow(about, trace) {
      const followed = known.get(about)?.followed;
      if (followed === undefined || followed.size >= FOLLOWED_MAX) return () => undefined;
      followed.add(trace);
      return () => followed.delete(trace);
    },
    begin(about, name, options) {
      const recent = known.get(about);
      const isChild = recent !== undefined && Math.abs(nowMs() - recent.sinceMs) < CHILD_MS;
      const links = recent === undefined ? [] : [...(isChild ? [] : [recent.trace]), ...recent.followed];
      recent?.followed.clear();
      const span = tracer.begin(name, { ...options, parent: isChild ? recent.trace : null, links });
      if (!isChild) set(about, span.context);
      return span;
    },
  };
}

/** What `run` comes to, told as a span: it has ended when that has, and badly where that rejects, or where it is known before that it does (`error`). */
export async function during<T>(span: Span, run: () => Promise<T>, error?: string): Promise<T> {
  try {
    const result = await run();
    span.end(error === undefined ? {} : { error });
    return result;
  } catch (thrown) {
    span.end({ error: codeOf(thrown) });
    throw thrown;
  }
}

/** The code of an error of ours, which is from a closed list; of any other only that it is one, for its words may be anybody's. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[a-z][a-z-]{0,63}$/.test(code) ? code : 'fault';
}
