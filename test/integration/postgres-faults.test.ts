import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, deadline, existingAccount, grantStep, orderOf, prepareDatabase, provisionStep, READ_ORDERS, roleExists, SECRET, TARGET,
} from '../support/postgres-cases.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

describe.skipIf(postgresInstallations().length === 0)('a PostgreSQL that fails', () => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres();
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const failureOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no failure', (error: unknown) => error);

  for (const [when, probed] of [['before', 'absent'], ['after', 'applied']] as const) {
    test(`a connection cut just ${when} the server has COMMIT is ambiguous, and probed as ${probed}`, async () => {
      await (await existingAccount(server, `cut-${when}`)).end();
      for (const step of [provisionStep(`new-cut-${when}`), grantStep(`cut-${when}`)]) {
        const proxy = await cutProxy(server.port, 'COMMIT', when);
        const failure = await failureOf(apply(connectorTo(server, proxy.port), step));
        expect(failure).toMatchObject({ kind: 'ambiguous' });
        expect(proxy.cuts()).toBe(1);
        expect(await connector.probe(step, deadline())).toBe(probed);
        expect(await connector.revoke(orderOf(step), deadline())).toBe(probed === 'applied' ? 'done' : 'already-absent');
        await proxy.close();
      }
    });
  }

  test.each(['CREATE ROLE', 'COMMENT ON', 'GRANT USAGE', 'GRANT SELECT'])('a connection cut at %s has changed nothing', async (word) => {
    for (const when of ['before', 'after'] as const) {
      const proxy = await cutProxy(server.port, word, when);
      const step = provisionStep('half-made');
      expect(await failureOf(apply(connectorTo(server, proxy.port), step))).toMatchObject({ kind: 'unreachable' });
      expect(proxy.cuts()).toBe(1);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await roleExists(server, 'half-made')).toBe(false);
      await proxy.close();
    }
  });

  test('a revoke that gets no further than its first commit has already shut the account out', async () => {
    const step = provisionStep('shut-out-first');
    await apply(connector, step);
    const proxy = await cutProxy(server.port, 'DROP OWNED', 'before');
    await failureOf(connectorTo(server, proxy.port).revoke(orderOf(step), deadline()));
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
    expect(await roleExists(server, 'shut-out-first')).toBe(true);
    await proxy.close();
  });

  test('a backend killed before COMMIT has changed nothing', async () => {
    const step = provisionStep('killed');
    // The table's ACL is locked, so that the attempt waits inside its transaction.
    const blocker = await server.login(server.adminUser, server.adminPassword, TARGET);
    await blocker.query('BEGIN');
    await blocker.query('GRANT SELECT ON sales.orders TO deploy');
    const attempt = failureOf(apply(connector, step));
    const waiting = async (): Promise<unknown> =>
      (await server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'countersign' AND wait_event_type = 'Lock'"))[0]?.['pid'];
    await expect.poll(waiting, { timeout: 10_000 }).toBeTypeOf('number');
    await server.sql(`SELECT pg_terminate_backend(${String(await waiting())})`);
    expect(await attempt).toMatchObject({ kind: 'unreachable' });
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(await connector.probe(step, deadline())).toBe('absent');
  });

  test('a probe does not answer while an attempt is in flight, and a revoke ends that attempt first', async () => {
    const blocker = await server.login(server.adminUser, server.adminPassword, TARGET);
    await blocker.query('BEGIN');
    await blocker.query('GRANT SELECT ON sales.orders TO deploy');
    const step = provisionStep('in-flight');
    const attempt = failureOf(apply(connector, step));
    const locked = async (): Promise<number> => (await server.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'countersign' AND wait_event_type = 'Lock'")).length;
    await expect.poll(locked, { timeout: 10_000 }).toBe(1);
    expect(await failureOf(connector.probe(step, deadline(500)))).toMatchObject({ name: 'TargetError' });
    expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    expect(await attempt).toMatchObject({ kind: 'unreachable' });
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(await connector.probe(step, deadline())).toBe('absent');
  });

  test('a COMMIT that hangs past the deadline is ambiguous, and its probe waits for how it ends', async () => {
    // COMMIT waits for a standby that is not there: decided on disk, not yet visible.
    await server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    await server.sql('SELECT pg_reload_conf()');
    const step = provisionStep('hanging');
    expect(await failureOf(connector.apply({ step, validUntil: null, secret: SECRET, endSessions: false, signal: deadline(2_000) }))).toMatchObject({ kind: 'ambiguous' });
    const probe = connector.probe(step, deadline());
    await server.sql('ALTER SYSTEM RESET synchronous_standby_names');
    await server.sql('SELECT pg_reload_conf()');
    expect(await probe).toBe('applied');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
  });

  test('an advisory lock that anyone may take holds up neither probe nor revoke', async () => {
    const step = provisionStep('locked-by-stranger');
    await apply(connector, step);
    const stranger = await existingAccount(server, 'stranger');
    // Every lock of the connector's transactions is seen in pg_locks, and can be taken by anyone who may log in.
    const watcher = await server.login(server.adminUser, server.adminPassword, TARGET);
    await watcher.query('BEGIN');
    await watcher.query('GRANT SELECT ON sales.orders TO deploy');
    const second = provisionStep('locked-by-stranger-2', READ_ORDERS, step.clientToken);
    const attempt = failureOf(apply(connector, second));
    const keys = async (): Promise<Record<string, unknown>[]> => server.sql("SELECT classid::int8 AS high, objid::int8 AS low FROM pg_locks WHERE locktype = 'advisory'");
    await expect.poll(keys, { timeout: 10_000 }).toHaveLength(1);
    const [key] = await keys();
    await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'");
    await attempt;
    await watcher.query('ROLLBACK');
    await watcher.end();
    await stranger.query('SELECT pg_advisory_lock(($1::int8 << 32) | $2::int8)', [key?.['high'], key?.['low']]);
    expect(await keys()).toHaveLength(1);
    expect(await connector.probe(step, deadline())).toBe('applied');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    await stranger.end();
  });

  test('grants made at once on one table all succeed', async () => {
    const steps = await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        await (await existingAccount(server, `crowd-${String(index)}`)).end();
        return grantStep(`crowd-${String(index)}`);
      }),
    );
    await Promise.all(steps.map((step) => apply(connector, step)));
    for (const step of steps) expect((await connector.read(step, deadline())).held).toEqual([...READ_ORDERS].sort());
    const outcomes = await Promise.all(steps.map((step) => connector.revoke(orderOf(step), deadline())));
    expect(outcomes).toEqual(steps.map(() => 'done'));
  });

  test('nobody listening is unreachable, for every method', async () => {
    const listener = createServer();
    await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
    const { port } = listener.address() as AddressInfo;
    await new Promise((closed) => listener.close(closed));
    const nowhere = connectorTo(server, port);
    const step = provisionStep('nobody');
    const calls = [
      () => nowhere.read(step, deadline()), () => apply(nowhere, step), () => nowhere.probe(step, deadline()), () => nowhere.tryUse(step, SECRET, deadline()),
      () => nowhere.revoke(orderOf(step), deadline()),
    ];
    for (const call of calls) expect(await failureOf(call())).toMatchObject({ kind: 'unreachable' });
  });

  test('a server that accepts and says nothing is given up at the deadline', async () => {
    const listener = createServer((socket) => void socket.on('error', () => undefined).resume());
    await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
    const silent = connectorTo(server, (listener.address() as AddressInfo).port);
    expect(await failureOf(silent.read(provisionStep('silent'), deadline(200)))).toMatchObject({ kind: 'unreachable' });
    await new Promise((closed) => listener.close(closed));
  });

  test('a connection that goes silent in the middle is given up at the deadline', async () => {
    const proxy = await cutProxy(server.port, 'pg_shdescription', 'silent');
    const started = Date.now();
    expect(await failureOf(connectorTo(server, proxy.port).revoke(orderOf(provisionStep('hushed')), deadline(500)))).toMatchObject({ kind: 'unreachable' });
    expect(Date.now() - started).toBeLessThan(5_000);
    await proxy.close();
  });
});
