/** `/v1/locks`: what nobody is to gain anything at or by, for the time being. Who may set or lift one, the engine decides. */
import type { Lock } from '../engine/locks.ts';
import { formatTime } from '../protocol/values.ts';
import { requireForItself } from './authorise.ts';
import type { Handlers } from './call.ts';
import { unwrap, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import type { LockView } from './schemas.ts';
import { maySeeLock } from './visibility.ts';

type LockOperation = 'setLock' | 'listLocks' | 'liftLock';

export function lockHandlers(context: SidecarContext): Handlers<LockOperation> {
  const { engine } = context;
  return {
    async setLock({ by, body }) {
      const lock = unwrap(await engine.lock(by.principal, { nhi: body.nhi ?? null, connector: body.connector ?? null }, body.reason));
      return { status: 201, body: viewOf(lock) };
    },
    async listLocks({ by }) {
      const facts = context.facts();
      return { status: 200, body: { locks: engine.locks().filter((lock) => maySeeLock(by, lock, facts)).map(viewOf) } };
    },
    async liftLock({ by, params, body }) {
      requireForItself(by);
      const lock = engine.locks().find(({ lockId }) => lockId === params['id']);
      // The same words for a lock that is not there and for one that is none of the caller's business.
      if (lock === undefined || !maySeeLock(by, lock, context.facts())) throw new Problem('no-such-lock', 'no lock of this id is in force');
      return { status: 200, body: viewOf(unwrap(await engine.unlock(by.principal, lock.lockId, body.reason))) };
    },
  };
}

function viewOf({ lockId, nhi, connector, reason, by, atMs }: Lock): LockView {
  return { lockId, nhi, connector, reason, by, at: formatTime(atMs) };
}
