/**
 * A later end for what a change gave. Only what is there, bears its mark and lets somebody in is given one, in the transaction that looked:
 * what was taken back meanwhile stays so, however late this arrives.
 */
import { TargetError } from '../../executor/connector.ts';
import type { LentAction } from '../../protocol/plan.ts';
import { findMarked } from './catalog.ts';
import type { Role } from './catalog.ts';
import type { Gift } from './give.ts';
import { isMember } from './memberships.ts';
import type { Session } from './session.ts';
import { lockAttempt } from './sessions.ts';
import * as ddl from './statements.ts';

/**
 * The account's own validity ends at `validUntil`; what was lent has none, and is seen to be there.
 * @throws TargetError `rejected` where it is there no more; as of `Session.transaction`
 */
export async function extendAccess(session: Session, gift: Gift, gave: LentAction, validUntil: string | null): Promise<void> {
  await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const role = await findLent(session, gift, gave);
    if (role === null) throw new TargetError('rejected', 'what was to end later is not there any more');
    if (gave === 'grant' || validUntil === null) return;
    await session.query(ddl.validUntil(role.name, validUntil));
    const now = await findLent(session, gift, gave);
    if (now?.oid !== role.oid || !(await endsNoEarlier(session, role, validUntil))) throw new TargetError('rejected', 'the account does not end when it was to');
  });
}

/** Whether the access is there and its account's own validity, where it has one, ends no earlier than `validUntil`. */
export async function isExtended(session: Session, gift: Gift, gave: LentAction, validUntil: string | null): Promise<boolean> {
  const role = await findLent(session, gift, gave);
  return role !== null && (gave === 'grant' || validUntil === null || (await endsNoEarlier(session, role, validUntil)));
}

/** The account that was made, or the holder of what was lent, while it gives somebody access. */
export async function findLent(session: Session, gift: Gift, gave: LentAction): Promise<Role | null> {
  const marked = await findMarked(session, gift.clientToken);
  if (gave === 'provision') return marked.find((role) => role.name === gift.account && role.canLogin) ?? null;
  for (const holder of marked) if (await isMember(session, gift.account, holder.oid)) return holder;
  return null;
}

async function endsNoEarlier(session: Session, role: Role, validUntil: string): Promise<boolean> {
  const [row] = await session.query('SELECT coalesce(rolvaliduntil >= $2::timestamptz, true) AS holds FROM pg_roles WHERE oid = $1::oid', [role.oid, validUntil]);
  return row?.['holds'] === true;
}

/** When the account's own validity ends, as the server says it; null where it has none. */
export async function validityOf(session: Session, role: Role): Promise<string | null> {
  const [row] = await session.query(
    `SELECT to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS until FROM pg_roles WHERE oid = $1::oid AND isfinite(rolvaliduntil)`, [role.oid],
  );
  return (row?.['until'] as string | undefined) ?? null;
}
