/**
 * A page that stays as things are: server-sent events with the regions of it that have changed. What cannot be reached is said by whoever renders
 * the regions; that nobody is signed in any more ends the stream, and says so.
 */
import { setTimeout } from 'node:timers/promises';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { readCookie } from './cookies.ts';
import type { ConsoleContext, ConsoleEnv } from './context.ts';
import type { Session } from './sessions.ts';

/** HTML by the id of the element that it stands for. */
export type Regions = Readonly<Record<string, string>>;

export interface Look {
  /** Is another one when the regions are. */
  readonly key: string;
  readonly regions: Regions;
}

const BEAT_MS = 5_000;
/** A page that is left open asks for itself, and not its reader: it does not keep a session from ending. */
const NOT_SHE = false;

/**
 * @param look what is to be seen now, as soon as that is other than `last`, or after a while; null: her token counts no more. Resolves without
 *   delay once the signal is aborted.
 */
export function keepCurrent(c: Context<ConsoleEnv>, context: ConsoleContext, look: (session: Session, last: Look | null, signal: AbortSignal) => Promise<Look | null>): Response {
  const find = (): Session | null => context.sessions.find(readCookie(c, 'session', context.publicUrl), NOT_SHE);
  if (find() === null) return c.body(null, 401);
  return streamSSE(c, async (stream) => {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, context.draining]);
    stream.onAbort(() => over.abort());
    // A session is over at a time, whatever is being waited for.
    const beat = setInterval(() => {
      if (find() === null) over.abort();
      else void stream.writeSSE({ event: 'beat', data: '' });
    }, BEAT_MS);
    const since = c.req.query('since');
    // What the page was served with is not sent again.
    let last: Look | null = since === undefined ? null : { key: since, regions: {} };
    try {
      while (!signal.aborted && !stream.aborted) {
        const session = find();
        const seen: Look | null = session === null ? null : await look(session, last, signal);
        if (seen === null) break;
        if (last === null || seen.key !== last.key) await stream.writeSSE({ event: 'regions', data: JSON.stringify(seen.regions) });
        last = seen;
      }
    } finally {
      clearInterval(beat);
    }
    if (!context.draining.aborted && !stream.aborted) await stream.writeSSE({ event: 'over', data: '' });
  }, async (error) => {
    context.logger.error({ cause: error.stack ?? error.message }, 'a page is not kept current any more');
  });
}

/** Resolves after so long, or once the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined);
}
