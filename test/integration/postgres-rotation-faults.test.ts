import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, deadline, existingAccount, orderOf, prepareDatabase, replaceStep, roleExists, rotationSteps, rotateQuery, SECRET, TARGET, twinAccount,
} from '../support/postgres-cases.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const NEW_SECRET = 'canary-Next/9+aB_c=D';

describe.skipIf(postgresInstallations().length === 0)('a PostgreSQL that fails in a rotation', () => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres();
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  let made = 0;
  const newName = (): string => `faulty${String(++made)}`;
  const failureOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no failure', (error: unknown) => error);
  const letsIn = (account: string, secret: string): Promise<boolean> =>
    server.login(account, secret, TARGET).then(
      async (client) => {
        await client.end();
        return true;
      },
      () => false,
    );

  for (const [when, probed] of [['before', 'absent'], ['after', 'applied']] as const) {
    test(`a connection cut just ${when} the server has COMMIT is ambiguous, probed as ${probed}, and finished, for every step that changes something`, async () => {
      const [name, solo] = [newName(), newName()];
      await twinAccount(server, name);
      await (await existingAccount(server, solo)).end();
      const { stage, retire } = rotationSteps(name, `${name}_a`, `${name}_b`);
      const replace = replaceStep(solo);
      for (const step of [stage, retire, replace]) {
        const proxy = await cutProxy(server.port, 'COMMIT', when);
        expect(await failureOf(apply(connectorTo(server, proxy.port), step, { secret: NEW_SECRET })), step.action).toMatchObject({ kind: 'ambiguous' });
        expect(proxy.cuts()).toBe(1);
        await proxy.close();
        // A retire is done when the old login's sessions have been ended too, which comes after this COMMIT.
        const found = step.action === 'retire' ? 'absent' : probed;
        expect(await connector.probe(step, deadline()), step.action).toBe(found);
        if (found === 'absent') await apply(connector, step, { secret: NEW_SECRET });
        expect(await connector.probe(step, deadline()), step.action).toBe('applied');
      }
      expect([await letsIn(`${name}_a`, SECRET), await letsIn(`${name}_b`, NEW_SECRET)]).toEqual([false, true]);
      expect([await letsIn(solo, SECRET), await letsIn(solo, NEW_SECRET)]).toEqual([false, true]);
    });
  }

  test.each([
    ['stage', 'CREATE ROLE'], ['stage', 'COMMENT ON'], ['stage', 'GRANT'], ['retire', 'ALTER ROLE'], ['retire', 'REVOKE'], ['retire', 'COMMENT ON'], ['replace', 'ALTER ROLE'], ['replace', 'COMMENT ON'],
  ] as const)('a %s cut at %s has changed nothing, and both logins work as before', async (action, word) => {
    for (const when of ['before', 'after'] as const) {
      const name = newName();
      await twinAccount(server, name);
      await server.sql(`CREATE ROLE ${name}_solo LOGIN PASSWORD '${SECRET}'`);
      const steps = { ...rotationSteps(name, `${name}_a`, `${name}_b`), replace: replaceStep(`${name}_solo`) };
      if (action === 'retire') await apply(connector, steps.stage, { secret: NEW_SECRET });
      const proxy = await cutProxy(server.port, word, when);
      expect(await failureOf(apply(connectorTo(server, proxy.port), steps[action], { secret: NEW_SECRET }))).toMatchObject({ kind: 'unreachable' });
      expect(proxy.cuts()).toBe(1);
      await proxy.close();
      expect(await connector.probe(steps[action], deadline())).toBe('absent');
      expect(await letsIn(`${name}_a`, SECRET)).toBe(true);
      expect(await letsIn(`${name}_solo`, SECRET)).toBe(true);
      expect(await roleExists(server, `${name}_b`)).toBe(action === 'retire');
      if (action === 'retire') expect(await letsIn(`${name}_b`, NEW_SECRET)).toBe(true);
    }
  });

  test('a retire that is cut while it ends sessions is ambiguous, is no drift, and is finished by the next', async () => {
    for (const when of ['before', 'after'] as const) {
      const name = newName();
      await twinAccount(server, name);
      const plan = await connector.read(rotateQuery(name), deadline());
      const { stage, retire } = rotationSteps(name, `${name}_a`, `${name}_b`);
      await apply(connector, stage, { secret: NEW_SECRET });
      const open = await server.login(`${name}_a`, SECRET, TARGET);
      const lost = new Promise((settle) => open.once('end', settle));
      const proxy = await cutProxy(server.port, 'pg_terminate_backend', when);
      expect(await failureOf(apply(connectorTo(server, proxy.port), retire, { endSessions: true }))).toMatchObject({
        kind: 'ambiguous', message: expect.stringMatching(/^shut out, but not known/) as string,
      });
      expect(proxy.cuts()).toBe(1);
      await proxy.close();
      expect(await letsIn(`${name}_a`, SECRET)).toBe(false);
      expect(await connector.probe(retire, deadline())).toBe('absent');
      const half = await connector.read(retire, deadline());
      expect(half.touched).toEqual({ role: plan.touched['role'], current: plan.touched['current'] });
      expect(half.seen).toMatchObject({ currentCanLogin: false });
      await apply(connector, retire);
      await lost;
      expect(await connector.probe(retire, deadline())).toBe('applied');
    }
  });

  test.each(['ALTER ROLE', 'pg_terminate_backend', 'REVOKE', 'COMMIT'])('an order for a stage that is cut at %s is not claimed, and is finished by the next', async (word) => {
    for (const when of ['before', 'after'] as const) {
      const name = newName();
      await twinAccount(server, name);
      const { stage } = rotationSteps(name, `${name}_a`, `${name}_b`);
      await apply(connector, stage, { secret: NEW_SECRET });
      const proxy = await cutProxy(server.port, word, when);
      expect(await failureOf(connectorTo(server, proxy.port).revoke(orderOf(stage), deadline()))).toMatchObject({ name: 'TargetError' });
      expect(proxy.cuts()).toBe(1);
      await proxy.close();
      expect(await connector.revoke(orderOf(stage), deadline())).toMatch(/^(done|already-absent)$/);
      expect((await connector.read(stage, deadline())).held).toEqual([]);
      expect([await letsIn(`${name}_a`, SECRET), await letsIn(`${name}_b`, NEW_SECRET)]).toEqual([true, false]);
    }
  });

  test('two rotations of one account at once stage one login, and the other is refused', async () => {
    const name = newName();
    await twinAccount(server, name);
    const [first, second] = [1, 2].map(() => rotationSteps(name, `${name}_a`, `${name}_b`).stage);
    const outcomes = await Promise.all([first!, second!].map((step) => apply(connector, step, { secret: NEW_SECRET }).then(() => 'applied', (error: unknown) => (error as { kind: string }).kind)));
    expect(outcomes.sort()).toEqual(['applied', 'rejected']);
    expect([await connector.probe(first!, deadline()), await connector.probe(second!, deadline())].sort()).toEqual(['absent', 'applied']);
    expect(await letsIn(`${name}_a`, SECRET)).toBe(true);
  });
});
