/** What of a sidecar is read when somebody reads its metrics. */
import type { Watched } from '../metrics/metrics.ts';
import type { SidecarContext } from './context.ts';
import { readiness } from './public.ts';

/** @param bundle the digest of the policy bundle that answers; null where none does */
export function watchedOf(context: SidecarContext, bundle: () => string | null): Watched {
  const { engine, log, clock, facts } = context;
  return {
    nowMs: () => clock.nowMs(), open: () => engine.open(), ledger: () => ({ records: log.size, signed: log.checkpoint().size }),
    readiness: () => readiness(context), facts, bundle,
  };
}
