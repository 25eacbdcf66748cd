/**
 * One short-lived connection: opened for an operation, closed after it, cut at its deadline.
 *
 * Every statement goes by the extended protocol, which takes a single statement, so that nothing smuggled into a name could add another.
 */
import { Client } from 'pg';
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { TargetError } from '../../executor/connector.ts';
import { tlsOptions } from './address.ts';
import type { PostgresAddress } from './address.ts';
import { describeFailure, isCatalogRace } from './errors.ts';
import type { Phase } from './errors.ts';

export type Row = Record<string, unknown>;

export interface Session {
  /** As in `server_version_num`: 180004 is 18.4. */
  readonly version: number;
  /** The rows of one statement. @throws SqlError if the server refused it, TargetError if the connection is gone */
  query(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /**
   * Runs `body` in a transaction and commits it. Runs it again, from its beginning, where another transaction changed the same catalog row.
   * @throws TargetError `rejected` or `unreachable`: nothing was changed; `ambiguous`: COMMIT was sent and not answered
   */
  transaction<T>(body: () => Promise<T>): Promise<T>;
}

export interface Login {
  readonly address: PostgresAddress;
  /** `admin`: the connector's own. `credential`: one we made, which must be asked for by SCRAM. */
  readonly as: 'admin' | 'credential';
  /** Longest time one statement may take at the server, so that none outlives the deadline for long. */
  readonly statementTimeoutMs: number;
  /** What no error may repeat, besides the password. */
  readonly secrets?: readonly string[];
}

/** Older servers are past their end of life; their `pg_terminate_backend` and grants differ. */
const VERSION_MIN = 140_000;
/** GRANT on one object by several workers at once: each loses to the others at most once. */
const TRANSACTION_ATTEMPTS_MAX = 20;

/** What `use` gives, on a connection that is closed when this settles. @throws TargetError */
export async function withSession<T>(login: Login, signal: AbortSignal, use: (session: Session) => Promise<T>): Promise<T> {
  if (signal.aborted) throw new TargetError('unreachable', 'the deadline had passed before anything was sent');
  const { address } = login;
  const proof: { asked: 'scram' | 'clear' | 'md5' | null } = { asked: null };
  const encrypted = tlsOptions(address);
  const password = async (): Promise<string> => {
    if (proof.asked === 'clear' && (login.as === 'credential' || encrypted === false)) throw new Error('the server asked for the password in clear');
    if (proof.asked === 'md5' && login.as === 'credential') throw new Error('the server asked for the secret by MD5');
    return typeof address.password === 'string' ? address.password : address.password();
  };
  const client = new Client({
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    password,
    ssl: encrypted,
    application_name: 'countersign',
    statement_timeout: login.statementTimeoutMs,
    idle_in_transaction_session_timeout: login.statementTimeoutMs,
    // Functions and operators are looked up in pg_catalog alone: no object in a writable schema can stand in for one of them.
    options: '-c search_path=pg_catalog',
  });
  const wire = wireOf(client);
  wire.on('authenticationCleartextPassword', () => (proof.asked = 'clear'));
  wire.on('authenticationMD5Password', () => (proof.asked = 'md5'));
  wire.on('authenticationSASL', () => (proof.asked = 'scram'));
  // A connection that dies between statements says so here; the next statement fails and reports it.
  client.on('error', () => undefined);
  const cut = (): void => void wire.stream.destroy(new Error('the deadline has passed'));
  signal.addEventListener('abort', cut, { once: true });

  const state: { phase: Phase } = { phase: 'connecting' };
  const secrets = [...(login.secrets ?? []), ...(typeof address.password === 'string' ? [address.password] : [])];
  const run = async (text: string, values: readonly unknown[] = []): Promise<{ rows: Row[]; command: string }> => {
    try {
      const config = { text, values: [...values], queryMode: 'extended' };
      return await client.query<Row>(config);
    } catch (error) {
      throw describeFailure(error, state.phase, secrets);
    }
  };
  try {
    try {
      await client.connect();
    } catch (error) {
      throw describeFailure(error, 'connecting', secrets);
    }
    state.phase = 'open';
    if (login.as === 'credential' && proof.asked !== 'scram') {
      throw new TargetError('rejected', 'the server let the account in without asking for its secret');
    }
    const version = Number((await run('SHOW server_version_num')).rows[0]?.['server_version_num']);
    if (!(version >= VERSION_MIN)) throw new TargetError('rejected', `PostgreSQL 14 or later is needed; this is ${String(version)}`);
    const query = async (text: string, values?: readonly unknown[]): Promise<Row[]> => (await run(text, values)).rows;
    return await use({ version, query, transaction: (body) => transaction(run, state, body) });
  } finally {
    // A server that has gone silent does not answer the goodbye either: the deadline holds until then.
    await client.end().catch(() => undefined);
    signal.removeEventListener('abort', cut);
  }
}

async function transaction<T>(
  run: (text: string) => Promise<{ command: string }>,
  state: { phase: Phase },
  body: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    await run('BEGIN');
    let result: T;
    try {
      result = await body();
    } catch (error) {
      // If this fails too the connection is gone, and the server rolls back by itself.
      await run('ROLLBACK').catch(() => undefined);
      if (isCatalogRace(error) && attempt < TRANSACTION_ATTEMPTS_MAX) continue;
      throw error;
    }
    state.phase = 'committing';
    const { command } = await run('COMMIT');
    state.phase = 'open';
    // The server answers COMMIT of a failed transaction with ROLLBACK, and without an error.
    if (command !== 'COMMIT') throw new TargetError('rejected', 'the server rolled the transaction back');
    return result;
  }
}

/** pg's own connection object, which tells how the server asks for the password, and holds the socket. */
function wireOf(client: Client): EventEmitter & { stream: Socket } {
  return (client as unknown as { connection: EventEmitter & { stream: Socket } }).connection;
}
