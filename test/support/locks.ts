/** Signed locks, as sidecars and revokers make them. */
import type { Signer } from '../../ledger/index.ts';
import { newLockId } from '../../src/engine/ids.ts';
import { LOCK_TYPE, lockStatementSchema, type LockStatement } from '../../src/protocol/lock.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { keys, logId, START_MS } from './story.ts';

let made = 0;
export function freshLockId(): string {
  made += 1;
  return newLockId(START_MS, (length) => Uint8Array.from({ length }, (_, i) => (made >> (5 * (i % 4))) & 0x1f));
}

/** Of the story's sidecar, or, by the revoker's key, of its revoker. */
export function signedLock(edit: Partial<Record<keyof Extract<LockStatement, { op: 'set' }>, unknown>> = {}, by: Signer = keys.ticket): Dsse {
  const isRevoker = by === keys.revoker;
  const common = { v: 1, log: isRevoker ? null : logId, lockId: freshLockId(), by: isRevoker ? 'person:sam' : 'person:olga', at: formatTime(START_MS) };
  const scope = edit.op === 'lift' ? {} : { nhi: null, connector: 'pg-main' };
  return signDsse(LOCK_TYPE, lockStatementSchema.parse({ op: 'set', ...common, ...scope, reason: 'something is wrong there', ...edit }), by);
}
