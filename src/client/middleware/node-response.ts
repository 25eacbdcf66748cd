/** Node's own response, which Express and Fastify answer with. */
export interface NodeResponse {
  /** Both come once: the last byte was handed over; nothing more can be. */
  once(event: 'close' | 'finish', listener: () => void): unknown;
  readonly destroyed: boolean;
}

/** Aborts when the response is over, whether all of it was sent or nobody waits for it any more. */
export function signalOver(response: NodeResponse): AbortSignal {
  const over = new AbortController();
  if (response.destroyed) over.abort();
  response.once('finish', () => over.abort());
  response.once('close', () => over.abort());
  return over.signal;
}
