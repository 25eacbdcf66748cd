/** A small database to change access in, and the documents that ask for it. */
import { randomInt } from 'node:crypto';
import type { Client } from 'pg';
import { postgresConnector } from '../../src/connectors/postgres/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import { isUndoable, makesSecret } from '../../src/protocol/plan.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query } from '../../src/protocol/signed.ts';
import type { TestPostgres } from './postgres.ts';

/** The database of {@link prepareDatabase}, and so the connector's target. */
export const TARGET = 'app';
export const CONNECTOR = 'pg-main';
export const SELECT_ORDERS = 'table:sales.orders:SELECT';
export const USE_SALES = 'schema:sales:USAGE';
/** What reading the orders takes. */
export const READ_ORDERS = [USE_SALES, SELECT_ORDERS];

export async function prepareDatabase(server: TestPostgres): Promise<void> {
  await server.sql(`CREATE DATABASE ${TARGET}`);
  await server.sql('CREATE SCHEMA sales', TARGET);
  await server.sql('CREATE TABLE sales.orders (id int, note text)', TARGET);
  await server.sql('CREATE SEQUENCE sales.order_ids', TARGET);
  await server.sql('INSERT INTO sales.orders SELECT n FROM generate_series(1, 50000) n', TARGET);
  await server.sql('CREATE ROLE deploy NOLOGIN');
  await server.sql('GRANT USAGE ON SCHEMA sales TO deploy', TARGET);
  await server.sql('GRANT INSERT ON sales.orders TO deploy', TARGET);
}

export function connectorTo(server: TestPostgres, port = server.port): Connector {
  const connection = { host: server.host, port, database: TARGET, user: server.adminUser, password: server.adminPassword };
  return postgresConnector({ id: CONNECTOR, connection });
}

export function deadline(ms = 30_000): AbortSignal {
  return AbortSignal.timeout(ms);
}

/** Unlike any other of this run, so that tests share a server. */
export function newToken(): string {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  const random = Array.from({ length: 25 }, () => alphabet[randomInt(32)]).join('');
  return `cs_0${random}`;
}

export const SECRET = 'canary-Zr8/Kq+3xW_v5=Nn7&t%1';

export function provisionStep(account: string, privileges: readonly string[] = READ_ORDERS, clientToken = newToken()): PlanStep {
  return stepOf('provision', account, privileges, clientToken);
}

export function grantStep(account: string, privileges: readonly string[] = READ_ORDERS, clientToken = newToken()): PlanStep {
  return stepOf('grant', account, privileges, clientToken);
}

export function revokeStep(account: string, privileges: readonly string[] = READ_ORDERS, clientToken = newToken()): PlanStep {
  return stepOf('revoke', account, privileges, clientToken);
}

export function replaceStep(account: string, clientToken = newToken()): PlanStep {
  return stepOf('replace', account, [], clientToken);
}

export function disableStep(account: string, clientToken = newToken()): PlanStep {
  return stepOf('disable', account, [], clientToken);
}

function stepOf(action: PlanStep['action'], account: string, privileges: readonly string[], clientToken: string): PlanStep {
  const stepId = `stp_0123456789abcdef_${clientToken.slice(3).toUpperCase()}_r1_1`;
  return { stepId, action, connector: CONNECTOR, target: TARGET, account, privileges: [...privileges], clientToken };
}

/** How the account can be rotated, asked as a change asks it. */
export function rotateQuery(account: string, clientToken = newToken()): Query {
  return { connector: CONNECTOR, target: TARGET, action: 'rotate', account, privileges: [], clientToken };
}

export interface RotationSteps {
  readonly stage: PlanStep;
  readonly cutover: PlanStep;
  readonly retire: PlanStep;
}

/** The steps that a plan derives from how a twin can be rotated: the login in use and the next one. */
export function rotationSteps(account: string, current: string, next: string, clientToken = newToken()): RotationSteps {
  const privileges = [`role:${account}`];
  return {
    stage: { ...stepOf('stage', next, privileges, clientToken), other: current },
    cutover: { ...stepOf('cutover', next, privileges, clientToken), other: current },
    retire: { ...stepOf('retire', current, privileges, clientToken), other: next },
  };
}

/** The account `name`, which reads the orders, and `<name>_a`, a login of it that an operator made. */
export async function twinAccount(server: TestPostgres, name: string, secret = SECRET): Promise<void> {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  await server.sql(`CREATE ROLE ${quoted(name)} NOLOGIN`);
  await server.sql(`GRANT USAGE ON SCHEMA sales TO ${quoted(name)}`, TARGET);
  await server.sql(`GRANT SELECT ON sales.orders TO ${quoted(name)}`, TARGET);
  await server.sql(`CREATE ROLE ${quoted(`${name}_a`)} LOGIN PASSWORD '${secret}' IN ROLE ${quoted(name)}`);
}

/** The order that takes back what the step gave. */
export function orderOf(step: PlanStep): Parameters<Connector['revoke']>[0] {
  if (!isUndoable(step.action)) throw new TypeError('only what was given is taken back');
  return { ...step, action: step.action };
}

export interface ApplyOptions {
  readonly validUntil?: string;
  readonly secret?: string;
  readonly endSessions?: boolean;
}

export async function apply(connector: Connector, step: PlanStep, { validUntil, secret = SECRET, endSessions = false }: ApplyOptions = {}): Promise<void> {
  await connector.apply({ step, validUntil: validUntil ?? null, secret: makesSecret(step.action) ? secret : null, endSessions, signal: deadline() });
}

/** An account that Countersign did not make, logged in. */
export async function existingAccount(server: TestPostgres, name: string, secret = SECRET): Promise<Client> {
  await server.sql(`CREATE ROLE "${name}" LOGIN PASSWORD '${secret}'`);
  return server.login(name, secret, TARGET);
}

export async function roleExists(server: TestPostgres, name: string): Promise<boolean> {
  return (await server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${name.replaceAll("'", "''")}'`)).length === 1;
}
