/** Locks: while one covers an identity or a connector, nothing is gained there. They outlive every process, being records. */
import { mayHaveGiven, mayRollBack, type ChangeState } from '../change/state.ts';
import type { LockStatement } from '../protocol/lock.ts';
import type { Dsse } from '../protocol/signed.ts';
import { orderEarly } from './early.ts';
import { holdToEarlierEnd } from './extending.ts';
import type { EngineContext } from './engine.ts';

export interface Lock {
  readonly lockId: string;
  /** The identity; null for every one at the connector. */
  readonly nhi: string | null;
  /** The connector; null for all of the identity's. */
  readonly connector: string | null;
  readonly reason: string;
  readonly by: string;
  readonly atMs: number;
  /** As it was heard from another sidecar, or a revoker; null for one that was set here. */
  readonly envelope: Dsse | null;
  /** What that says; null with it. */
  readonly statement: LockStatement | null;
}

/** The end of a lock. */
export interface Lift {
  readonly by: string;
  readonly reason: string | null;
  readonly atMs: number;
  readonly envelope: Dsse | null;
}

/** The locks that cover a change of this subject at this connector. */
export function locksOn(locks: Iterable<Lock>, subject: string, connector: string | null): Lock[] {
  return [...locks].filter((lock) => (lock.nhi === null || lock.nhi === subject) && (lock.connector === null || lock.connector === connector));
}

/**
 * Orders back what is on its way to being given under a lock: authorised and not yet active. What is active stays until it ends or is
 * revoked: a lock says nothing more, not nothing at all. Does nothing twice, so it is called at every start.
 */
export function enforceLocks(context: EngineContext): void {
  const { store, logger } = context;
  for (const state of store.open()) {
    const [lock] = locksOn(store.locks(), state.request.subject, state.plan?.connector ?? null);
    if (lock === undefined) continue;
    // A later end is something gained: the lease ends when it would have without.
    if (state.extension !== null && UNDER_WAY.has(state.name)) holdToEarlierEnd(context, state);
    if (!isOnItsWay(state)) continue;
    const order = orderEarly(context, state, lock.by);
    if (order === null) continue;
    const applied = store.apply(state.changeId, { type: 'orderRevoke', by: lock.by, order: order.envelope, comment: `locked: ${lock.reason}` });
    if (!applied.ok) logger.info({ changeId: state.changeId, code: applied.code }, 'overtaken');
  }
}

const UNDER_WAY: ReadonlySet<ChangeState['name']> = new Set(['authorised', 'executing', 'verifying', 'staged']);

function isOnItsWay(state: ChangeState): boolean {
  return state.revokes.length === 0 && mayHaveGiven(state) && mayRollBack(state) && UNDER_WAY.has(state.name);
}
