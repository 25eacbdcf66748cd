/** The application's database: what the demo's machine identities get access to, and trying that access by using it. */
import { Client, DatabaseError, escapeLiteral } from 'pg';

export const DATABASE = 'app';

export interface Server {
  readonly host: string;
  readonly port: number;
  readonly adminUser: string;
  readonly adminPassword: string;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** What came of using an account: rows, or the server's refusal by SQLSTATE. */
export type Use = { readonly ok: true; readonly rows: readonly Record<string, unknown>[] } | { readonly ok: false; readonly code: string; readonly message: string };

/** Logins that are there before any change: what they hold is in {@link HELD}. */
const ACCOUNTS = ['ci_deployer', 'warehouse_sync', 'orders_a', 'freight_sync', 'freight_labels'] as const;
export type Account = (typeof ACCOUNTS)[number];

export interface Database {
  /** Logs in afresh and runs one statement. @throws Error when the server cannot be reached */
  use(login: Login, sql: string): Promise<Use>;
  admin(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** The standing login of an account that exists already. */
  login(account: Account): Login;
  /** Somebody has changed its password. */
  setLogin(account: Account, login: Login): void;
  /** How a script logs in that may set passwords. */
  readonly adminUrl: string;
}

const TABLES = `
  CREATE ROLE app_owner NOLOGIN;
  CREATE ROLE deploy NOLOGIN;
  CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, quantity int NOT NULL);
  CREATE TABLE invoices (id int PRIMARY KEY, order_id int NOT NULL, total numeric NOT NULL);
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE deployments (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version text NOT NULL, at timestamptz NOT NULL DEFAULT now());
  INSERT INTO orders VALUES (1, 'lamp', 2), (2, 'chair', 4);
  INSERT INTO invoices VALUES (1, 1, 58.00), (2, 2, 320.00);
  INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace');
  ALTER TABLE orders OWNER TO app_owner;
  ALTER TABLE invoices OWNER TO app_owner;
  ALTER TABLE customers OWNER TO app_owner;
  ALTER TABLE deployments OWNER TO app_owner;
  GRANT SELECT, INSERT ON deployments TO deploy;`;

/** `orders` cannot log in; the logins that take turns are members of it. The carrier's logins hold what they were once given. */
const HELD = `
  CREATE ROLE orders NOLOGIN;
  GRANT SELECT, INSERT, UPDATE ON orders TO orders;
  GRANT orders TO orders_a WITH INHERIT TRUE, SET FALSE;
  GRANT SELECT ON customers TO freight_labels;`;

/** Creates the application's database with made-up rows. `password` makes a new password at each call. */
export async function createDatabase(server: Server, password: () => string): Promise<Database> {
  const logins = new Map<Account, Login>(ACCOUNTS.map((user) => [user, { user, password: password() }]));
  const administrator: Login = { user: server.adminUser, password: server.adminPassword };
  await run(server, 'postgres', administrator, `CREATE DATABASE ${DATABASE}`);
  await run(server, DATABASE, administrator, TABLES);
  for (const login of logins.values()) {
    await run(server, DATABASE, administrator, `CREATE ROLE ${login.user} LOGIN PASSWORD ${escapeLiteral(login.password)}`);
  }
  await run(server, DATABASE, administrator, HELD);
  return {
    adminUrl: `postgresql://${encodeURIComponent(server.adminUser)}:${encodeURIComponent(server.adminPassword)}@${server.host}:${server.port}/${DATABASE}`,
    setLogin: (account, login) => void logins.set(account, login),
    async use(login, sql) {
      try {
        return { ok: true, rows: await run(server, DATABASE, login, sql) };
      } catch (error) {
        if (error instanceof DatabaseError) return { ok: false, code: error.code ?? 'unknown', message: error.message };
        throw error;
      }
    },
    admin: (sql) => run(server, DATABASE, administrator, sql),
    login: (account) => logins.get(account)!,
  };
}

async function run(server: Server, database: string, login: Login, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ host: server.host, port: server.port, database, user: login.user, password: login.password, connectionTimeoutMillis: 10_000, ssl: false });
  // A connection that is ended under us says so here as well as at the query.
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows;
      } catch (error) {
        // Two that change the same role or its privileges at a time: PostgreSQL refuses one of them, which has changed nothing.
        const isRace = error instanceof Error && error.message === 'tuple concurrently updated';
        if (!isRace || attempt === 5) throw error;
      }
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Why PostgreSQL said no, in words. @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function refusalOf(use: Use): string {
  if (use.ok) return 'it works';
  switch (use.code) {
    case '28P01':
      return 'login refused (28P01)';
    case '28000':
      return 'login refused (28000)';
    case '42501':
      return 'permission denied (42501)';
    default:
      return `refused (${use.code})`;
  }
}
