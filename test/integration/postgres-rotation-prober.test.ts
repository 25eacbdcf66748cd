import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { TargetError } from '../../src/executor/connector.ts';
import { apply, connectorTo, deadline, prepareDatabase, rotateQuery, rotationSteps, SECRET, TARGET, twinAccount } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);
const INTERVAL_MS = 20;

interface Credential {
  readonly user: string;
  readonly secret: string;
}

interface Prober {
  /** Begins to use another credential with the next login, and confirms it once no login with the one before is on its way. */
  tell(credential: Credential): Promise<void>;
  readonly failures: readonly unknown[];
  readonly logins: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** A consumer of the account: every 20 ms it logs in with the credential that it was told last, reads, and leaves again. */
function startProber(server: TestPostgres, first: Credential): Prober {
  let credential = first;
  const failures: unknown[] = [];
  const logins = new Map<string, number>();
  const running = new Set<Promise<void>>();
  const probe = async ({ user, secret }: Credential): Promise<void> => {
    try {
      const client = await server.login(user, secret, TARGET);
      await client.query('SELECT id FROM sales.orders LIMIT 1');
      await client.end();
      logins.set(user, (logins.get(user) ?? 0) + 1);
    } catch (error) {
      failures.push(error);
    }
  };
  const timer = setInterval(() => {
    const one = probe(credential).finally(() => running.delete(one));
    running.add(one);
  }, INTERVAL_MS);
  return {
    async tell(next) {
      credential = next;
      await Promise.all(running);
    },
    failures,
    logins,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

describe.each(installations)('PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  /** As a worker does it: asked again until what the step waits for is so. */
  const applyWhenItCan = (step: Parameters<typeof apply>[1], secret: string): Promise<unknown> =>
    expect
      .poll(
        () =>
          apply(connector, step, { secret }).then(
            () => 'done',
            (error: unknown) => {
              if (error instanceof TargetError && error.kind === 'notYet') return error.message;
              throw error;
            },
          ),
        { timeout: 30_000, interval: INTERVAL_MS },
      )
      .toBe('done');

  test('a consumer that switches when it is told to never fails to log in through rotations back and forth', async () => {
    await twinAccount(server, 'shop');
    let current: Credential = { user: 'shop_a', secret: SECRET };
    const prober = startProber(server, current);
    const enough = (user: string, more: number): Promise<unknown> => {
      const from = prober.logins.get(user) ?? 0;
      return expect.poll(() => prober.logins.get(user) ?? 0, { timeout: 30_000 }).toBeGreaterThanOrEqual(from + more);
    };
    const retired: Credential[] = [];
    await enough('shop_a', 5);
    for (let round = 1; round <= 5; round++) {
      const { nextName } = (await connector.read(rotateQuery('shop'), deadline())).touched as { nextName: string };
      const next: Credential = { user: nextName, secret: `secret-of-round-${String(round)}` };
      const steps = rotationSteps('shop', current.user, next.user);
      await apply(connector, steps.stage, { secret: next.secret });
      expect(await connector.tryUse(steps.stage, next.secret, deadline())).toBe('works');
      await enough(current.user, 5);
      await prober.tell(next);
      await applyWhenItCan(steps.cutover, next.secret);
      await applyWhenItCan(steps.retire, next.secret);
      await enough(next.user, 5);
      retired.push(current);
      current = next;
    }
    await prober.stop();
    expect(prober.failures).toEqual([]);
    expect([...prober.logins.keys()].sort()).toEqual(['shop_a', 'shop_b']);
    for (const { user, secret } of retired) await expect(server.login(user, secret, TARGET), `${user} with ${secret}`).rejects.toMatchObject({ code: '28P01' });
    await (await server.login(current.user, current.secret, TARGET)).end();
  });

  test('a consumer that is not told keeps the old login from being retired, and goes on working', async () => {
    await twinAccount(server, 'deaf');
    const open = await server.login('deaf_a', SECRET, TARGET);
    const prober = startProber(server, { user: 'deaf_a', secret: SECRET });
    const steps = rotationSteps('deaf', 'deaf_a', 'deaf_b');
    await apply(connector, steps.stage);
    for (const step of [steps.cutover, steps.retire]) await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'notYet', message: expect.stringMatching(/sessions? of deaf_a/) as string });
    await prober.stop();
    expect(prober.failures).toEqual([]);
    expect((await open.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await open.end();
  });
});
