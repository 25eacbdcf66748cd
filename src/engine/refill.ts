/**
 * Keeps on the bus what the ledger says is there. A bus that was wiped holds no order that would act with the sidecar dead: what should be
 * there is compared with what is, and what is missing is put back; that it was missing is a record.
 */
import type { ChangeState } from '../change/state.ts';
import { payloadDigest } from '../protocol/dsse.ts';
import type { Dsse } from '../protocol/signed.ts';
import type { EngineContext } from './engine.ts';
import type { Outbox } from './ports.ts';

const CHANGES_MAX = 256;
/** Losses are told one by one, as each is met; a record is made of those of a while. */
const GATHER_MS = 2_000;
const UNDER_WAY: ReadonlySet<ChangeState['name']> = new Set(['authorised', 'executing', 'verifying']);

/** Until the transport closes. Never throws. */
export function keepFilled(context: EngineContext, outbox: Outbox): void {
  const { clock, logger } = context;
  const lost = new Set<string>();
  let looking: Promise<void> | null = null;
  outbox.onDoubt(() => {
    looking ??= armMissing(context, outbox)
      .catch((error: unknown) => logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'it could not be seen whether the bus holds what it should; looked at again'))
      .finally(() => (looking = null));
  });
  outbox.onLost((changeId) => {
    if (lost.size === 0) {
      clock.after(GATHER_MS, () => {
        recordRefill(context, [...lost]);
        lost.clear();
      });
    }
    lost.add(changeId);
  });
}

interface Armed {
  readonly changeId: string;
  readonly audience: string;
  readonly order: Dsse;
}

/** What is armed for the change as it is; null where nothing is. */
function armedBy({ changeId, act, lease, extension, ended, name }: ChangeState): Armed | null {
  // Of an extension on its way; once it has been applied its order is the lease's.
  const armed = extension !== null && UNDER_WAY.has(name) ? extension : lease;
  return act === null || armed?.armed !== true || ended !== null ? null : { changeId, audience: act.audience, order: armed.order };
}

async function armMissing(context: EngineContext, outbox: Outbox): Promise<void> {
  const due = [...context.store.open()].map(armedBy).filter((armed) => armed !== null);
  if (due.length === 0) return;
  const missing = await outbox.missing(due);
  const filled: string[] = [];
  for (const { changeId, audience, order } of missing) {
    // Looking took time: an order that was superseded or carried out meanwhile was taken off the bus, and is not lost.
    const state = await context.store.load(changeId);
    const now = state === undefined ? null : armedBy(state);
    if (now === null || payloadDigest(now.order) !== payloadDigest(order)) continue;
    await context.transport.arm(audience, order);
    filled.push(changeId);
  }
  recordRefill(context, filled);
}

function recordRefill({ store, logger }: EngineContext, changes: readonly string[]): void {
  if (changes.length === 0) return;
  logger.warn({ missing: changes.length }, 'the bus had lost steps or orders; they were published again');
  try {
    store.record('outbox.refilled', { stream: 'CS_STEPS', missing: changes.length, from: null, changes: changes.slice(0, CHANGES_MAX) });
  } catch (error) {
    // What was lost is there again, with or without a record: a ledger that fails, or is being closed, has said so itself.
    logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'that could not be recorded');
  }
}
