/**
 * Locks: what is set and not lifted where the verifier has got to, and so what may not be given. One that was set elsewhere comes with the
 * signed statement of who did, and is lifted by nobody else: a sidecar's word for a revoker's lock would let it out of the very lock that
 * somebody set because of it.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { openLock, REVOKER, type BelievedLock } from '../protocol/lock.ts';
import type { Dsse } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { SystemRecordBody } from './record.ts';
import { fault, type Fault } from './violation.ts';

export interface Locks {
  set(lock: SystemRecordBody<'lock.set'>, actor: string): Fault | null;
  lift(lifted: SystemRecordBody<'lock.lifted'>, actor: string): Fault | null;
  /** The id of the oldest lock that covers the subject at the connector; null where none does. */
  covering(subject: string, connector: string): string | null;
}

export function openLocks(trust: Pick<Trust, 'sidecars' | 'requirements'>): Locks {
  const locks = new Map<string, SystemRecordBody<'lock.set'>>();
  /** By what they are of, each with its number in the order in which they were set. */
  const byCover = new Map<string, Map<string, number>>();
  let count = 0;
  const coverOf = (nhi: string | null, connector: string | null): string => `${nhi ?? ''}\n${connector ?? ''}`;
  // No identity locks, and none lifts the lock that is on it.
  const byPerson = (type: string, actor: string): Fault | null => (actor.startsWith('person:') ? null : fault('wrong-actor', `${type} by ${actor}, where a person is due`));
  /** Null where it is not what `says`, or nobody who may has signed it. */
  const opened = (statement: Dsse, says: Partial<Record<string, unknown>>): BelievedLock | null => {
    try {
      const lock = openLock(statement, trust);
      const said: Partial<Record<string, unknown>> = lock.statement;
      return Object.entries(says).every(([key, value]) => said[key] === value) ? lock : null;
    } catch (error) {
      if (error instanceof ProtocolError) return null;
      throw error;
    }
  };
  const notSigned = (lockId: string, what: string): Fault => fault('lock-signature', `lock ${lockId} is ${what} elsewhere, and nobody who may has signed that`);
  return {
    set(lock, actor) {
      const { statement, lockId, nhi, connector, reason } = lock;
      if (nhi === null && connector === null) return fault('malformed-record', 'a lock of nothing');
      if (locks.has(lockId)) return fault('wrong-order', `lock ${lockId} is set again`);
      locks.set(lockId, lock);
      const cover = coverOf(nhi, connector);
      byCover.set(cover, (byCover.get(cover) ?? new Map<string, number>()).set(lockId, count++));
      if (statement !== undefined && opened(statement, { op: 'set', lockId, nhi, connector, reason, by: actor }) === null) return notSigned(lockId, 'set');
      return byPerson('lock.set', actor);
    },
    lift({ lockId, reason, statement }, actor) {
      const set = locks.get(lockId);
      if (set === undefined) return fault('wrong-order', `lock ${lockId} is lifted, and was not set`);
      locks.delete(lockId);
      const cover = coverOf(set.nhi, set.connector);
      const those = byCover.get(cover);
      those?.delete(lockId);
      if (those?.size === 0) byCover.delete(cover);
      if (statement === undefined) return set.statement === undefined ? byPerson('lock.lifted', actor) : notSigned(lockId, 'lifted');
      const lift = opened(statement, { op: 'lift', lockId, reason, by: actor });
      const owner = set.statement === undefined ? null : opened(set.statement, {});
      return lift !== null && (lift.authority === REVOKER || lift.authority === owner?.authority) ? byPerson('lock.lifted', actor) : notSigned(lockId, 'lifted');
    },
    covering(subject, connector) {
      // The oldest of each, and of those the oldest.
      const oldest = [coverOf(subject, connector), coverOf(subject, null), coverOf(null, connector)].flatMap((cover) => {
        const first = byCover.get(cover)?.entries().next().value;
        return first === undefined ? [] : [first];
      });
      return oldest.sort(([, a], [, b]) => a - b)[0]?.[0] ?? null;
    },
  };
}
