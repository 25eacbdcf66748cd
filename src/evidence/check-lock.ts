/** Locks: what is set and not lifted where the verifier has got to, and so what may not be given. */
import type { SystemRecordBody } from './record.ts';
import { fault, type Fault } from './violation.ts';

export interface Locks {
  set(lock: SystemRecordBody<'lock.set'>, actor: string): Fault | null;
  lift(lifted: SystemRecordBody<'lock.lifted'>, actor: string): Fault | null;
  /** The id of a lock that covers the subject at the connector; null where none does. */
  covering(subject: string, connector: string): string | null;
}

export function openLocks(): Locks {
  const locks = new Map<string, SystemRecordBody<'lock.set'>>();
  // No identity locks, and none lifts the lock that is on it.
  const byPerson = (type: string, actor: string): Fault | null => (actor.startsWith('person:') ? null : fault('wrong-actor', `${type} by ${actor}, where a person is due`));
  return {
    set(lock, actor) {
      if (lock.nhi === null && lock.connector === null) return fault('malformed-record', 'a lock of nothing');
      if (locks.has(lock.lockId)) return fault('wrong-order', `lock ${lock.lockId} is set again`);
      locks.set(lock.lockId, lock);
      return byPerson('lock.set', actor);
    },
    lift({ lockId }, actor) {
      return locks.delete(lockId) ? byPerson('lock.lifted', actor) : fault('wrong-order', `lock ${lockId} is lifted, and was not set`);
    },
    covering(subject, connector) {
      for (const lock of locks.values()) {
        if ((lock.nhi === null || lock.nhi === subject) && (lock.connector === null || lock.connector === connector)) return lock.lockId;
      }
      return null;
    },
  };
}
