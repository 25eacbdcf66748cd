/** Ending sessions: those of an account whose access is taken back, and attempts of our own that are still in flight. */
import { createHash } from 'node:crypto';
import { TargetError } from '../../executor/connector.ts';
import type { Session } from './session.ts';

const POLL_SECONDS = 0.02;
/** Ten seconds of polling. A backend that does not end in that time needs a person. */
const POLLS_MAX = 500;

/** How many sessions the account has open, in any database of the cluster. */
export async function countSessions(session: Session, account: number): Promise<number> {
  const [row] = await session.query(
    "SELECT count(*)::int4 AS n FROM pg_stat_activity WHERE usesysid = $1::oid AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'parallel worker'",
    [account],
  );
  return row?.['n'] as number;
}

/** No session of the account is left, in any database of the cluster. It can no longer log in, or new ones would follow. */
export async function endSessions(session: Session, account: number): Promise<void> {
  await endAll(session, 'a.usesysid = $1::oid', [account]);
}

/** No session is left that the account has open now. It may go on opening others. */
export async function endPresentSessions(session: Session, account: number): Promise<void> {
  await endPresent(session, account, 'true');
}

/**
 * No transaction is left that the account has open now: a statement or cursor that began with the access would go on with it.
 * Idle sessions stay, since privileges are checked anew at each statement.
 */
export async function endPresentTransactions(session: Session, account: number): Promise<void> {
  // Without pg_read_all_stats the state of others' sessions reads as null; what cannot be told is ended.
  await endPresent(session, account, "(a.state IS NULL OR a.state = 'disabled' OR a.xact_start IS NOT NULL)");
}

async function endPresent(session: Session, account: number, which: string): Promise<void> {
  const rows = await session.query(`SELECT a.pid FROM pg_stat_activity a WHERE a.usesysid = $1::oid AND ${which}`, [account]);
  await endAll(session, 'a.usesysid = $1::oid AND a.pid = ANY ($2::int4[])', [account, rows.map((row) => row['pid'])]);
}

async function endAll(session: Session, which: string, values: readonly unknown[]): Promise<void> {
  const others = `FROM pg_stat_activity a WHERE ${which} AND a.pid <> pg_backend_pid()`;
  for (let poll = 0; poll < POLLS_MAX; poll++) {
    const ended = await session.query(`SELECT pg_terminate_backend(a.pid) ${others}`, values);
    if (ended.length === 0) return;
    await session.query('SELECT pg_sleep($1)', [POLL_SECONDS]);
  }
  throw new TargetError('ambiguous', 'a session of the account does not end');
}

/** Taken by the transaction that applies a change, until it has been decided: who finds it free knows that no attempt can still commit. */
export async function lockAttempt(session: Session, clientToken: string): Promise<void> {
  await session.query('SELECT pg_advisory_xact_lock($1::int8)', [String(attemptKey(clientToken))]);
}

/**
 * Attempts in flight. Only sessions of the connector's own user count: anyone who can log in may hold an advisory lock,
 * and must not be able to hold up a revocation with it.
 */
const ATTEMPTS = `
  SELECT a.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid = $1::oid AND l.objid = $2::oid
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND a.usesysid = (SELECT oid FROM pg_roles WHERE rolname = session_user) AND a.pid <> pg_backend_pid()`;

/** Every attempt for this client token has been decided. It is waited for, not disturbed. @throws TargetError if it takes too long */
export async function awaitAttempts(session: Session, clientToken: string): Promise<void> {
  for (let poll = 0; poll < POLLS_MAX; poll++) {
    if ((await session.query(ATTEMPTS, attemptKeyHalves(clientToken))).length === 0) return;
    await session.query('SELECT pg_sleep($1)', [POLL_SECONDS]);
  }
  throw new TargetError('unreachable', 'an earlier attempt is still in flight at the server');
}

/** Every attempt for this client token has been decided, because it was cut short. */
export async function endAttempts(session: Session, clientToken: string): Promise<void> {
  await endAll(session, `a.pid IN (${ATTEMPTS})`, attemptKeyHalves(clientToken));
}

/** 63 bits, so that it is positive: pg_locks shows it as two unsigned halves. */
function attemptKey(clientToken: string): bigint {
  return createHash('sha256').update(`countersign attempt ${clientToken}`).digest().readBigUInt64BE(0) >> 1n;
}

function attemptKeyHalves(clientToken: string): [number, number] {
  const key = attemptKey(clientToken);
  return [Number(key >> 32n), Number(key & 0xffff_ffffn)];
}
