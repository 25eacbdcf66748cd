import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector, StateWithoutSalt } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import {
  apply, connectorTo, deadline, existingAccount, newToken, orderOf, prepareDatabase, provisionStep, replaceStep, roleExists, rotateQuery, rotationSteps, SECRET, TARGET,
  twinAccount,
} from '../support/postgres-cases.ts';
import type { RotationSteps } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);
const NEW_SECRET = 'canary-Next/9+aB_c=D';

describe.each(installations)('PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const login = async (account: string, secret = SECRET): Promise<string> =>
    server.login(account, secret, TARGET).then(
      async (client) => {
        const rows = await client.query('SELECT id FROM sales.orders LIMIT 1').then(() => 'reads', () => 'may not read');
        await client.end();
        return rows;
      },
      (error: unknown) => (error as { code: string }).code,
    );
  const oidOf = async (name: string): Promise<unknown> => (await server.sql(`SELECT oid FROM pg_roles WHERE rolname = '${name}'`))[0]?.['oid'];
  const commentOf = async (name: string): Promise<unknown> =>
    (await server.sql(`SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = '${name}'`))[0]?.['comment'];
  const closed = (client: Client): Promise<unknown> => new Promise((settle) => client.once('end', settle));
  /** What an executor compares before it acts: every attribute that the step's own read answers, with what the plan was made from. */
  const expectNoDrift = (plan: StateWithoutSalt, now: StateWithoutSalt): void => {
    expect(Object.keys(now.touched)).not.toEqual([]);
    expect(plan.touched).toMatchObject(now.touched);
  };
  const read = (step: PlanStep): Promise<StateWithoutSalt> => connector.read(step, deadline());
  /** An account of that name, staged by these steps. */
  const staged = async (name: string): Promise<RotationSteps> => {
    await twinAccount(server, name);
    const steps = rotationSteps(name, `${name}_a`, `${name}_b`);
    await apply(connector, steps.stage, { secret: NEW_SECRET });
    return steps;
  };

  describe('how an account can be rotated', () => {
    test('is by twins, where it cannot log in and one member of it can', async () => {
      await twinAccount(server, 'orders');
      const state = await connector.read(rotateQuery('orders'), deadline());
      expect(state).toMatchObject({ account: 'orders', exists: true, held: ['schema:sales:USAGE', 'table:sales.orders:SELECT'] });
      expect(state.touched).toEqual({
        overlap: 'twin', role: await oidOf('orders'), currentName: 'orders_a', current: await oidOf('orders_a'), currentCanLogin: true,
        nextName: 'orders_b', next: null, privilege: 'role:orders',
      });
    });

    test('names the next login a where the one in use is called otherwise', async () => {
      await server.sql('CREATE ROLE reports NOLOGIN');
      await server.sql("CREATE ROLE reporting LOGIN PASSWORD 'x' IN ROLE reports");
      expect((await connector.read(rotateQuery('reports'), deadline())).touched).toMatchObject({ currentName: 'reporting', nextName: 'reports_a', next: null });
    });

    test('is in place, where it can log in itself', async () => {
      await (await existingAccount(server, 'single')).end();
      expect((await connector.read(rotateQuery('single'), deadline())).touched).toEqual({ overlap: 'none', account: await oidOf('single'), canLogin: true });
    });

    test('shows what the login in use has for itself and the next one will not have', async () => {
      await twinAccount(server, 'extras');
      await server.sql('GRANT INSERT ON sales.orders TO extras_a', TARGET);
      await server.sql('ALTER ROLE extras_a SET search_path = sales');
      expect((await connector.read(rotateQuery('extras'), deadline())).seen).toEqual({
        sessions: { extras_a: 0 }, notCarriedOver: ['table:sales.orders:INSERT', 'setting:search_path'],
      });
    });

    const impossible: readonly (readonly [string, readonly string[], string, RegExp])[] = [
      ['there is no such account', [], 'nobody-here', /no such account/],
      ['no login is a member of it', ['CREATE ROLE empty NOLOGIN'], 'empty', /no login is a member of "empty"/],
      ['its one login has been shut out', ['CREATE ROLE shut NOLOGIN', 'CREATE ROLE shut_a NOLOGIN IN ROLE shut'], 'shut', /no login/],
      ['several logins are in use', ['CREATE ROLE busy NOLOGIN', 'CREATE ROLE busy_a LOGIN IN ROLE busy', 'CREATE ROLE somebody LOGIN IN ROLE busy'], 'busy', /several logins of "busy" are in use.*"busy_a", "somebody"/],
      ['a login that is no member has the next name', ['CREATE ROLE blocked NOLOGIN', 'CREATE ROLE blocked_a LOGIN IN ROLE blocked', 'CREATE ROLE blocked_b LOGIN'], 'blocked', /"blocked_b" can log in/],
      ['a role that is not ours has the next name', ['CREATE ROLE foreign1 NOLOGIN', 'CREATE ROLE foreign1_a LOGIN IN ROLE foreign1', 'CREATE ROLE foreign1_b NOLOGIN'], 'foreign1', /neither made nor retired by Countersign/],
    ];
    test.each(impossible)('is refused where %s', async (_, statements, account, message) => {
      for (const statement of statements) await server.sql(statement);
      await expect(connector.read(rotateQuery(account), deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringMatching(message) as string });
    });

    test('is refused for the connector\'s own login, which is no twin of anything either', async () => {
      await expect(connector.read(rotateQuery(server.adminUser), deadline())).rejects.toMatchObject({ kind: 'rejected' });
      await server.sql('CREATE ROLE administered NOLOGIN');
      await server.sql(`GRANT administered TO "${server.adminUser}"`);
      await expect(connector.read(rotateQuery('administered'), deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('no login') as string });
    });
  });

  describe('stage', () => {
    test('makes the next login with the role and nothing else, and leaves the one in use as it was', async () => {
      await twinAccount(server, 'alpha');
      const plan = await connector.read(rotateQuery('alpha'), deadline());
      const { stage } = rotationSteps('alpha', 'alpha_a', 'alpha_b');
      const before = await read(stage);
      expectNoDrift(plan, before);
      expect(before).toMatchObject({ exists: false, held: [], touched: { next: null }, seen: { sessions: { alpha_a: 0 } } });
      expect(await connector.probe(stage, deadline())).toBe('absent');
      await apply(connector, stage, { secret: NEW_SECRET });
      expect(await connector.probe(stage, deadline())).toBe('applied');
      expect(await connector.tryUse(stage, NEW_SECRET, deadline())).toBe('works');
      expect(await connector.tryUse(stage, SECRET, deadline())).toBe('fails');
      expect(await connector.tryUse(stage, null, deadline())).toBe('notTried');
      expect(await read(stage)).toMatchObject({ exists: true, held: ['role:alpha'], touched: { next: await oidOf('alpha_b') } });
      expect([await login('alpha_b', NEW_SECRET), await login('alpha_a')]).toEqual(['reads', 'reads']);
      const [made] = await server.sql("SELECT * FROM pg_authid WHERE rolname = 'alpha_b'");
      expect(made).toMatchObject({ rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false, rolbypassrls: false });
      expect(made?.['rolpassword']).toMatch(/^SCRAM-SHA-256\$4096:/);
    });

    test('gives no way to switch to the role, from 16 on', async () => {
      await staged('switchless');
      const client = await server.login('switchless_b', NEW_SECRET, TARGET);
      expect(await client.query('SET ROLE switchless').then(() => true, () => false)).toBe(installation.major < 16);
      await client.end();
    });

    test('asked for again is refused, and the first secret still works', async () => {
      const { stage } = await staged('again');
      await expect(apply(connector, stage, { secret: `${NEW_SECRET}2` })).rejects.toMatchObject({ kind: 'rejected' });
      expect(await connector.tryUse(stage, NEW_SECRET, deadline())).toBe('works');
      expect(await login('again_a')).toBe('reads');
    });

    test('is not what the plan says any more where another login has been put in use', async () => {
      await twinAccount(server, 'swapped');
      const { stage } = rotationSteps('swapped', 'swapped_a', 'swapped_b');
      await server.sql('DROP ROLE swapped_a');
      await server.sql("CREATE ROLE swapped_x LOGIN PASSWORD 'x' IN ROLE swapped");
      await expect(apply(connector, stage)).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('not as the step says') as string });
      expect(await roleExists(server, 'swapped_b')).toBe(false);
    });

    test('sees by oid that the account, the login in use or the next one is another of the same name', async () => {
      await twinAccount(server, 'drifting');
      const plan = await connector.read(rotateQuery('drifting'), deadline());
      const { stage } = rotationSteps('drifting', 'drifting_a', 'drifting_b');
      await server.sql('DROP ROLE drifting_a');
      await server.sql("CREATE ROLE drifting_a LOGIN PASSWORD 'x' IN ROLE drifting");
      expect((await read(stage)).touched['current']).not.toBe(plan.touched['current']);
      await server.sql('CREATE ROLE drifting_b NOLOGIN');
      expect((await read(stage)).touched['next']).not.toBe(plan.touched['next']);
    });

    test('takes no role over that is not ours', async () => {
      await twinAccount(server, 'guarded');
      await server.sql('CREATE ROLE guarded_b NOLOGIN');
      await expect(apply(connector, rotationSteps('guarded', 'guarded_a', 'guarded_b').stage)).rejects.toMatchObject({ kind: 'rejected' });
      await server.sql("ALTER ROLE guarded_b LOGIN PASSWORD 'theirs'");
      await expect(apply(connector, rotationSteps('guarded', 'guarded_a', 'guarded_b').stage)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await login('guarded_b', 'theirs')).toBe('may not read');
    });

    test('does not give a retired login a new life that has been given something since', async () => {
      const steps = await staged('tainted');
      await apply(connector, steps.retire);
      const back = rotationSteps('tainted', 'tainted_b', 'tainted_a');
      for (const [give, take] of [
        ['GRANT deploy TO tainted_a', 'REVOKE deploy FROM tainted_a'],
        ['GRANT DELETE ON sales.orders TO tainted_a', 'REVOKE DELETE ON sales.orders FROM tainted_a'],
        ['GRANT UPDATE (note) ON sales.orders TO tainted_a', 'REVOKE UPDATE (note) ON sales.orders FROM tainted_a'],
        ['ALTER ROLE tainted_a CREATEROLE', 'ALTER ROLE tainted_a NOCREATEROLE'],
      ] as const) {
        await server.sql(give, TARGET);
        await expect(apply(connector, back.stage), give).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('holds something again') as string });
        await server.sql(take, TARGET);
      }
      await apply(connector, back.stage);
      expect(await login('tainted_a')).toBe('reads');
    });
  });

  describe('an order for a stage', () => {
    test('shuts the next login out again with its sessions, and leaves the one in use alone', async () => {
      const { stage } = await staged('undone');
      const open = await server.login('undone_b', NEW_SECRET, TARGET);
      const lost = closed(open);
      const current = await server.login('undone_a', SECRET, TARGET);
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('done');
      await lost;
      expect(await login('undone_b', NEW_SECRET)).toBe('28P01');
      expect((await current.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await current.end();
      expect(await connector.probe(stage, deadline())).toBe('absent');
      expect((await read(stage)).held).toEqual([]);
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('already-absent');
    });

    test('does not keep the next rotation from using that login', async () => {
      const { stage } = await staged('retried');
      await connector.revoke(orderOf(stage), deadline());
      const second = rotationSteps('retried', 'retried_a', 'retried_b');
      const oid = await oidOf('retried_b');
      await apply(connector, second.stage, { secret: `${NEW_SECRET}2` });
      expect(await connector.tryUse(second.stage, `${NEW_SECRET}2`, deadline())).toBe('works');
      expect(await login('retried_b', NEW_SECRET)).toBe('28P01');
      expect(await oidOf('retried_b')).toBe(oid);
      // What the first one gave is long gone, and what is there now is not its to take.
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('mismatch');
      expect(await connector.tryUse(second.stage, `${NEW_SECRET}2`, deadline())).toBe('works');
    });

    test('finds nothing to do where nothing was staged, with or without a login of earlier rotations', async () => {
      await twinAccount(server, 'unstaged');
      const { stage } = rotationSteps('unstaged', 'unstaged_a', 'unstaged_b');
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('already-absent');
      await server.sql('CREATE ROLE unstaged_b NOLOGIN');
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('already-absent');
      expect(await login('unstaged_a')).toBe('reads');
    });

    test('leaves a login of that name alone that somebody else made', async () => {
      const { stage } = await staged('usurped');
      await server.sql('DROP ROLE usurped_b');
      const other = await existingAccount(server, 'usurped_b');
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('mismatch');
      expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await other.end();
    });

    test('finds a login that was renamed, and that tried to wipe its mark off', async () => {
      const { stage } = await staged('escaping');
      const client = await server.login('escaping_b', NEW_SECRET, TARGET);
      await client.query('ALTER ROLE CURRENT_USER RESET ALL');
      await expect(client.query("COMMENT ON ROLE escaping_b IS 'nothing to see'")).rejects.toMatchObject({ code: '42501' });
      await client.end();
      await server.sql('ALTER ROLE escaping_b RENAME TO elsewhere_b');
      expect(await connector.revoke(orderOf(stage), deadline())).toBe('done');
      expect(await server.sql("SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'elsewhere_b'")).toEqual([{ rolcanlogin: false, rolpassword: null }]);
    });

    test('succeeds for several workers at once', async () => {
      const { stage } = await staged('crowded');
      const outcomes = await Promise.all([1, 2, 3].map(() => connectorTo(server).revoke(orderOf(stage), deadline())));
      expect(outcomes).toContain('done');
      expect(outcomes).not.toContain('mismatch');
      expect(await login('crowded_b', NEW_SECRET)).toBe('28P01');
    });
  });

  describe('cutover', () => {
    test('waits for the sessions of the old login, says how many there are, and changes nothing', async () => {
      const { cutover } = await staged('waiting');
      const state = async (): Promise<unknown> => server.sql("SELECT rolname, rolcanlogin, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname LIKE 'waiting%' ORDER BY 1");
      const before = await state();
      const [one, two] = [await server.login('waiting_a', SECRET, TARGET), await server.login('waiting_a', SECRET, 'postgres')];
      await expect(apply(connector, cutover)).rejects.toMatchObject({ kind: 'notYet', message: '2 sessions of waiting_a' });
      expect((await read(cutover)).seen).toEqual({ sessions: { waiting_a: 2, waiting_b: 0 } });
      await apply(connector, cutover, { endSessions: true });
      await two.end();
      await expect.poll(async () => (await read(cutover)).seen, { timeout: 10_000 }).toEqual({ sessions: { waiting_a: 1, waiting_b: 0 } });
      await expect(apply(connector, cutover)).rejects.toMatchObject({ kind: 'notYet', message: '1 session of waiting_a' });
      expect((await one.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await one.end();
      await expect.poll(() => apply(connector, cutover).then(() => 'done', () => 'not yet'), { timeout: 10_000 }).toBe('done');
      await apply(connector, cutover);
      expect(await state()).toEqual(before);
      expect(await connector.probe(cutover, deadline())).toBe('absent');
      expect(await connector.tryUse(cutover, null, deadline())).toBe('notTried');
    });

    test('reads what the plan was made from, and no more', async () => {
      await twinAccount(server, 'parted');
      const plan = await connector.read(rotateQuery('parted'), deadline());
      const { stage, cutover } = rotationSteps('parted', 'parted_a', 'parted_b');
      await apply(connector, stage);
      const now = await read(cutover);
      expectNoDrift(plan, now);
      expect(Object.keys(now.touched).sort()).toEqual(['current', 'role']);
    });

    test.each([
      ['cannot log in', 'ALTER ROLE $_b NOLOGIN', /cannot log in/],
      ['has run out', "ALTER ROLE $_b VALID UNTIL '2020-01-01'", /cannot log in/],
      ['may not connect', 'ALTER ROLE $_b CONNECTION LIMIT 0', /cannot log in/],
      ['has lost the role', 'REVOKE $ FROM $_b', /does not have role:/],
      ['is marked by another change', "COMMENT ON ROLE $_b IS 'countersign cs_00000000000000000000000000'", /not the login that this change has staged/],
      ['is gone', 'DROP ROLE $_b', /not the login that this change has staged/],
    ] as const)('and retire are refused where the new login %s', async (what, statement, message) => {
      const name = `broken ${what}`;
      const { cutover, retire } = await staged(name);
      await server.sql(statement.replaceAll(/\$(_b)?/g, (_, suffix: string | undefined) => `"${name}${suffix ?? ''}"`));
      for (const step of [cutover, retire]) {
        for (const endSessions of [false, true]) {
          await expect(apply(connector, step, { endSessions })).rejects.toMatchObject({ kind: 'rejected', message: expect.stringMatching(message) as string });
        }
      }
      expect(await login(`${name}_a`)).toBe('reads');
    });
  });

  describe('retire', () => {
    test('shuts the old login out, and leaves the new one as it is', async () => {
      await twinAccount(server, 'done');
      const plan = await connector.read(rotateQuery('done'), deadline());
      const { stage, retire } = rotationSteps('done', 'done_a', 'done_b');
      await apply(connector, stage, { secret: NEW_SECRET });
      const now = await read(retire);
      expectNoDrift(plan, now);
      expect(now.touched).toMatchObject({ currentCanLogin: true });
      expect(await connector.probe(retire, deadline())).toBe('absent');
      await apply(connector, retire);
      expect(await connector.probe(retire, deadline())).toBe('applied');
      expect(await connector.tryUse(retire, null, deadline())).toBe('notTried');
      expect([await login('done_a'), await login('done_b', NEW_SECRET)]).toEqual(['28P01', 'reads']);
      expect(await read(retire)).toMatchObject({ exists: true, held: [], touched: { currentCanLogin: false }, seen: { sessions: { done_a: 0, done_b: 0 } } });
      const [old] = await server.sql("SELECT rolcanlogin, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = 'done_a'");
      expect(old).toEqual({ rolcanlogin: false, rolpassword: null, rolvaliduntil: new Date(0) });
      await apply(connector, retire);
      expect(await connector.probe(retire, deadline())).toBe('applied');
    });

    test('waits for open sessions and changes nothing until then; or ends them', async () => {
      const { retire } = await staged('patient');
      const open = await server.login('patient_a', SECRET, TARGET);
      const lost = closed(open);
      await expect(apply(connector, retire)).rejects.toMatchObject({ kind: 'notYet', message: '1 session of patient_a' });
      expect(await login('patient_a')).toBe('reads');
      expect(await commentOf('patient_a')).toBe(null);
      expect(await connector.probe(retire, deadline())).toBe('absent');
      await expect.poll(async () => (await read(retire)).seen, { timeout: 10_000 }).toEqual({ sessions: { patient_a: 1, patient_b: 0 } });
      await apply(connector, retire, { endSessions: true });
      await lost;
      expect(await login('patient_a')).toBe('28P01');
      expect(await connector.probe(retire, deadline())).toBe('applied');
    });

    test('begun and cut short is no drift, and is finished, whether or not sessions may be ended', async () => {
      for (const endSessions of [false, true]) {
        const name = `cut-${String(endSessions)}`;
        await twinAccount(server, name);
        const plan = await connector.read(rotateQuery(name), deadline());
        const { stage, retire } = rotationSteps(name, `${name}_a`, `${name}_b`);
        await apply(connector, stage, { secret: NEW_SECRET });
        const open = await server.login(`${name}_a`, SECRET, TARGET);
        const lost = closed(open);
        // As after a crash just behind the COMMIT: shut out and marked, and a session left.
        await server.sql(`BEGIN; ALTER ROLE "${name}_a" NOLOGIN PASSWORD NULL; REVOKE "${name}" FROM "${name}_a"; COMMENT ON ROLE "${name}_a" IS 'countersign retire ${retire.clientToken}'; COMMIT`);
        expect(await connector.probe(retire, deadline())).toBe('absent');
        const now = await read(retire);
        expectNoDrift(plan, now);
        expect(now.seen).toEqual({ sessions: { [`${name}_a`]: 1, [`${name}_b`]: 0 }, currentCanLogin: false });
        if (endSessions) {
          // Nothing is known to be done because a session went away by itself.
          await open.end();
          await expect.poll(async () => (await read(retire)).seen, { timeout: 10_000 }).toMatchObject({ sessions: { [`${name}_a`]: 0 }, currentCanLogin: false });
          expect(await connector.probe(retire, deadline())).toBe('absent');
          expectNoDrift(plan, await read(retire));
        }
        await apply(connector, retire, { endSessions });
        await lost;
        expect(await connector.probe(retire, deadline())).toBe('applied');
        expect((await read(retire)).touched).toMatchObject({ currentCanLogin: false });
      }
    });

    test('is drift where somebody else shut the login out, or made another of its name', async () => {
      await twinAccount(server, 'meddled');
      const plan = await connector.read(rotateQuery('meddled'), deadline());
      const { stage, retire } = rotationSteps('meddled', 'meddled_a', 'meddled_b');
      await apply(connector, stage);
      await server.sql('ALTER ROLE meddled_a NOLOGIN');
      expect((await read(retire)).touched['currentCanLogin']).not.toBe(plan.touched['currentCanLogin']);
      await server.sql('DROP ROLE meddled_a');
      await server.sql("CREATE ROLE meddled_a LOGIN PASSWORD 'x' IN ROLE meddled");
      expect((await read(retire)).touched['current']).not.toBe(plan.touched['current']);
    });

    test('is not taken for done where the old login was renamed, and still lets in', async () => {
      const { retire } = await staged('renamed');
      await server.sql('ALTER ROLE renamed_a RENAME TO renamed_x');
      expect(await connector.probe(retire, deadline())).toBe('absent');
      await expect(apply(connector, retire)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await login('renamed_x')).toBe('reads');
    });

    test('takes a membership that another granted too', async () => {
      await twinAccount(server, 'twice');
      await server.sql('CREATE ROLE delegate_twice NOLOGIN');
      await server.sql('GRANT twice TO delegate_twice WITH ADMIN OPTION');
      await server.sql('BEGIN; SET LOCAL ROLE delegate_twice; GRANT twice TO twice_a; COMMIT');
      const { stage, retire } = rotationSteps('twice', 'twice_a', 'twice_b');
      await apply(connector, stage);
      await apply(connector, retire);
      expect((await read(retire)).held).toEqual([]);
    });

    test('keeps the words that an operator left on a login, there and back again', async () => {
      await twinAccount(server, 'worded');
      await server.sql("COMMENT ON ROLE worded_a IS 'the shop\nask team orders'");
      const there = rotationSteps('worded', 'worded_a', 'worded_b');
      await apply(connector, there.stage);
      await apply(connector, there.retire);
      expect(await commentOf('worded_a')).toBe(`the shop\nask team orders\ncountersign retired ${there.retire.clientToken}`);
      const back = rotationSteps('worded', 'worded_b', 'worded_a');
      await apply(connector, back.stage);
      expect(await commentOf('worded_a')).toBe(`the shop\nask team orders\ncountersign ${back.stage.clientToken}`);
      expect(await connector.probe(back.stage, deadline())).toBe('applied');
      expect(await connector.revoke(orderOf(back.stage), deadline())).toBe('done');
    });
  });

  test('rotations go back and forth between the same two logins', async () => {
    await twinAccount(server, 'pendulum');
    let secret = SECRET;
    const oids = new Set<unknown>();
    for (let round = 1; round <= 4; round++) {
      const plan = await connector.read(rotateQuery('pendulum'), deadline());
      const { currentName, nextName } = plan.touched as { currentName: string; nextName: string };
      expect(nextName).toBe(round % 2 === 1 ? 'pendulum_b' : 'pendulum_a');
      const { stage, cutover, retire } = rotationSteps('pendulum', currentName, nextName);
      const next = `round-${String(round)}-${SECRET}`;
      for (const step of [stage, cutover, retire]) {
        expectNoDrift(plan, await read(step));
        await apply(connector, step, { secret: next });
      }
      expect([await login(currentName, secret), await login(nextName, next)]).toEqual(['28P01', 'reads']);
      secret = next;
      for (const name of [currentName, nextName]) oids.add(await oidOf(name));
    }
    expect(oids.size).toBe(2);
  });

  describe('replace', () => {
    test('puts a new secret in place of the old one, and leaves all else as it was', async () => {
      const open = await existingAccount(server, 'solo');
      await server.sql("COMMENT ON ROLE solo IS 'cron on db3'");
      await server.sql("ALTER ROLE solo VALID UNTIL '2100-01-01'");
      const plan = await connector.read(rotateQuery('solo'), deadline());
      const step = replaceStep('solo');
      expectNoDrift(plan, await read(step));
      expect(await connector.probe(step, deadline())).toBe('absent');
      await apply(connector, step, { secret: NEW_SECRET });
      expect(await connector.probe(step, deadline())).toBe('applied');
      expect(await connector.tryUse(step, NEW_SECRET, deadline())).toBe('works');
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
      expect((await open.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await open.end();
      expectNoDrift(plan, await read(step));
      expect(await commentOf('solo')).toBe(`cron on db3\ncountersign replace ${step.clientToken}`);
      const [role] = await server.sql("SELECT rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = 'solo'");
      expect(role?.['rolpassword']).toMatch(/^SCRAM-SHA-256\$4096:/);
      expect(role?.['rolvaliduntil']).toEqual(new Date('2100-01-01T00:00:00Z'));
    });

    test('is found again by its token alone, and only the last one is', async () => {
      await (await existingAccount(server, 'often')).end();
      const [first, second] = [replaceStep('often'), replaceStep('often')];
      await apply(connector, first, { secret: `${NEW_SECRET}1` });
      await apply(connector, second, { secret: `${NEW_SECRET}2` });
      expect(await connector.probe(first, deadline())).toBe('absent');
      expect(await connector.probe({ ...second, account: 'misremembered' }, deadline())).toBe('applied');
      await apply(connector, second, { secret: `${NEW_SECRET}3` });
      expect(await connector.tryUse(second, `${NEW_SECRET}3`, deadline())).toBe('works');
      expect(String(await commentOf('often')).split('\n')).toHaveLength(1);
    });

    test('leaves a provisioned account to the lease that made it', async () => {
      const lease = provisionStep('leased-solo');
      await apply(connector, lease);
      await apply(connector, replaceStep('leased-solo'), { secret: NEW_SECRET });
      expect(await connector.probe(lease, deadline())).toBe('applied');
      expect(await connector.revoke(orderOf(lease), deadline())).toBe('done');
      expect(await roleExists(server, 'leased-solo')).toBe(false);
    });

    test('is refused where there is no such account, it cannot log in, or it is the connector\'s own', async () => {
      await server.sql('CREATE ROLE loginless NOLOGIN');
      for (const name of ['not-there', 'loginless', server.adminUser]) await expect(apply(connector, replaceStep(name)), name).rejects.toMatchObject({ kind: 'rejected' });
      expect((await server.sql('SELECT 1 AS one'))).toEqual([{ one: 1 }]);
    });
  });

  test('a step of a rotation that does not name what it is about is refused by every method', async () => {
    const { stage } = rotationSteps('orders', 'orders_a', 'orders_b');
    const { other: _, ...nameless } = stage;
    for (const wrong of [nameless, { ...stage, privileges: [] }, { ...stage, privileges: ['role:orders', 'role:deploy'] }, { ...stage, privileges: ['database:CONNECT'] }]) {
      for (const action of ['stage', 'cutover', 'retire'] as const) {
        await expect(apply(connector, { ...wrong, action })).rejects.toMatchObject({ kind: 'rejected' });
        await expect(read({ ...wrong, action })).rejects.toMatchObject({ kind: 'rejected' });
      }
    }
  });

  test('a call is its caller\'s to make: it can be read, and nothing else', async () => {
    await (await existingAccount(server, 'called')).end();
    const step: PlanStep = { ...replaceStep('called', newToken()), action: 'call' };
    expect((await read(step)).touched).toEqual({ account: await oidOf('called'), canLogin: true });
    await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await connector.tryUse(step, null, deadline())).toBe('notTried');
  });
});
