/**
 * Locks as they travel: a signed statement that nothing is to be gained by an identity, or at a connector, and one that lifts it. Whoever
 * believes the key holds the lock, however the statement came: a socket, the bus, a door, a file, or another who holds it.
 *
 * A lock is known by its id and by whose authority it was set: that of one log, by a ticket key of its sidecar, or that of the floor's
 * revokers. A lift ends the lock of that id and authority for good, whenever either of the two arrives, so that statements that come late,
 * twice or in another order change nothing. A revoker lifts any lock; a sidecar only those of its own log, so that one whose key was stolen
 * cannot lift the lock that was set because of that.
 */
import { z } from 'zod';
import type { Verifier } from '../../ledger/index.ts';
import { openDsse, readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { dsseSchema, type Dsse } from './signed.ts';
import { revokerOf, type Trust } from './trust-folder.ts';
import { connectorIdSchema, lockIdSchema, logIdSchema, nhiIdSchema, personIdSchema, plainTextSchema, timeSchema } from './values.ts';

const common = {
  v: z.literal(1),
  /** Whose sidecar signs; null for a revoker of the floor. */
  log: logIdSchema.nullable(),
  lockId: lockIdSchema,
  by: personIdSchema,
  at: timeSchema,
};
export const lockStatementSchema = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('set'), ...common, /** null: everybody at the connector. */ nhi: nhiIdSchema.nullable(), /** null: everywhere. */ connector: connectorIdSchema.nullable(), reason: plainTextSchema(500),
  }),
  z.strictObject({ op: z.literal('lift'), ...common, reason: plainTextSchema(500).nullable() }),
]);
export type LockStatement = z.infer<typeof lockStatementSchema>;
export const LOCK_TYPE = 'application/vnd.countersign.lock+json';

/** A log id, or `revoker`. */
export type LockAuthority = string;
export const REVOKER = 'revoker';

/** A statement that was believed. */
export interface BelievedLock {
  readonly envelope: Dsse;
  readonly statement: LockStatement;
  readonly authority: LockAuthority;
}

/** Pure. @throws ProtocolError: it is not to be believed, and says why */
export function openLock(raw: unknown, trust: Pick<Trust, 'sidecars' | 'requirements'>): BelievedLock {
  const parsed = dsseSchema.safeParse(raw);
  if (!parsed.success) throw new ProtocolError('malformed', 'not an envelope');
  const envelope = parsed.data;
  const claimed = readPayload(envelope, lockStatementSchema);
  const revoker = claimed.log === null ? revokerOf(trust.requirements, envelope.signatures[0]?.keyid ?? '') : null;
  const keys: readonly Verifier[] = claimed.log === null ? (revoker === null ? [] : [revoker.key]) : (trust.sidecars.get(claimed.log) ?? []);
  if (keys.length === 0) throw new ProtocolError('unknown-sidecar', claimed.log === null ? 'signed by nobody who may' : `no sidecar of log ${claimed.log} is trusted`);
  const statement = openDsse(envelope, LOCK_TYPE, lockStatementSchema, keys);
  if (revoker !== null && statement.by !== revoker.principal) throw new ProtocolError('bad-signature', `a lock in the name of ${statement.by}, signed by ${revoker.principal}`);
  if (statement.op === 'set' && statement.nhi === null && statement.connector === null) throw new ProtocolError('malformed', 'a lock of nothing');
  return { envelope, statement, authority: statement.log ?? REVOKER };
}

/** One's own statement, or one that was believed before. */
export function holdLock(envelope: Dsse): BelievedLock {
  const statement = readPayload(envelope, lockStatementSchema);
  return { envelope, statement, authority: statement.log ?? REVOKER };
}

/** Every lock that was ever heard of, set or lifted. */
export interface LockTable {
  /** By authority and id. */
  readonly set: Map<string, BelievedLock>;
  readonly lifted: Map<string, BelievedLock>;
}

export function emptyLocks(): LockTable {
  return { set: new Map(), lifted: new Map() };
}

const keyOf = (authority: LockAuthority, lockId: string): string => `${authority} ${lockId}`;

/** Brings the table up to the statement, in place. Says whether that was news. In whatever order statements come, the table ends the same. */
export function foldLock({ set, lifted }: LockTable, lock: BelievedLock): boolean {
  const key = keyOf(lock.authority, lock.statement.lockId);
  const known = lock.statement.op === 'set' ? set : lifted;
  // The first of a name stands: a second of other scope would be a way to make the first smaller.
  if (known.has(key)) return false;
  known.set(key, lock);
  return true;
}

/** Whether {@link foldLock} would change nothing. */
export function isKnownLock({ set, lifted }: LockTable, { statement, authority }: BelievedLock): boolean {
  return (statement.op === 'set' ? set : lifted).has(keyOf(authority, statement.lockId));
}

/** The locks that stand, oldest heard first. */
export function locksInForce({ set, lifted }: LockTable): (BelievedLock & { readonly statement: Extract<LockStatement, { op: 'set' }> })[] {
  return [...set.values()].flatMap((lock) => {
    const { statement, authority } = lock;
    if (statement.op !== 'set' || lifted.has(keyOf(authority, statement.lockId)) || lifted.has(keyOf(REVOKER, statement.lockId))) return [];
    return [{ ...lock, statement }];
  });
}

/** A lock that stands and covers the identity at the connector; null where none does. */
export function lockOn(table: LockTable, nhi: string, connector: string): Extract<LockStatement, { op: 'set' }> | null {
  const covers = ({ statement }: { readonly statement: Extract<LockStatement, { op: 'set' }> }): boolean =>
    (statement.nhi === null || statement.nhi === nhi) && (statement.connector === null || statement.connector === connector);
  return locksInForce(table).find(covers)?.statement ?? null;
}

/** Everything that whoever knows nothing must be told: what stands, and what was lifted. */
export function statementsOf({ set, lifted }: LockTable): Dsse[] {
  return [...lifted.values(), ...set.values()].map(({ envelope }) => envelope);
}
