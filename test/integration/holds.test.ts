/** Each grant is a hold of its own on what it lends: the access stays while one of them lasts, whatever becomes of the others. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import * as baoCases from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import {
  apply, connectorTo, deadline, disableStep, existingAccount, grantStep, newToken, orderOf, prepareDatabase, READ_ORDERS, replaceStep, revokeStep, rotateQuery, rotationSteps, SECRET, SELECT_ORDERS,
  TARGET, twinAccount,
} from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

describe.each(installations)('two grants of the same privileges at PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const reads = async (login: string, secret = SECRET): Promise<string> => {
    const client = await server.login(login, secret, TARGET);
    try {
      return await client.query('SELECT 1 FROM sales.orders LIMIT 1').then(() => 'reads', (error: unknown) => (error as { code: string }).code);
    } finally {
      await client.end();
    }
  };
  const revoke = (step: Parameters<typeof orderOf>[0]): Promise<unknown> => connector.revoke(orderOf(step), deadline());

  test.each(['first', 'second'] as const)('ending the %s leaves the other, and ending both leaves nothing', async (which) => {
    const account = `two-${which}`;
    await (await existingAccount(server, account)).end();
    const grants = [grantStep(account), grantStep(account)];
    for (const step of grants) await apply(connector, step);
    const [ended, other] = which === 'first' ? [grants[0]!, grants[1]!] : [grants[1]!, grants[0]!];
    expect(await revoke(ended)).toBe('done');
    expect(await reads(account)).toBe('reads');
    expect(await revoke(ended)).toBe('already-absent');
    expect(await reads(account)).toBe('reads');
    expect(await revoke(other)).toBe('done');
    expect(await reads(account)).toBe('42501');
  });

  test('ending one leaves what the account held before in its own name', async () => {
    await (await existingAccount(server, 'own')).end();
    for (const privilege of ['GRANT USAGE ON SCHEMA sales TO own', 'GRANT SELECT ON sales.orders TO own']) await server.sql(privilege, TARGET);
    const step = grantStep('own');
    await apply(connector, step);
    await revoke(step);
    expect(await reads('own')).toBe('reads');
  });

  test('of which one lends less, ending it takes nothing that the other lends', async () => {
    await (await existingAccount(server, 'overlap')).end();
    const [more, less] = [grantStep('overlap', READ_ORDERS), grantStep('overlap', [SELECT_ORDERS])];
    await apply(connector, more);
    await apply(connector, less);
    await revoke(less);
    expect(await reads('overlap')).toBe('reads');
    await revoke(more);
    expect(await reads('overlap')).toBe('42501');
  });

  test('both outlive a rotation of the account, by twins and in place, and each still ends by itself', async () => {
    await server.sql('CREATE ROLE turns NOLOGIN');
    await server.sql(`CREATE ROLE turns_a LOGIN PASSWORD '${SECRET}' IN ROLE turns`);
    const twins = [grantStep('turns'), grantStep('turns')];
    await apply(connector, twins[0]!);
    const token = newToken();
    const { touched } = await connector.read(rotateQuery('turns', token), deadline());
    const steps = rotationSteps('turns', touched['currentName'] as string, touched['nextName'] as string, token);
    await apply(connector, steps.stage);
    await apply(connector, twins[1]!);
    await apply(connector, steps.retire, { endSessions: true });
    expect(await reads('turns_b')).toBe('reads');
    await revoke(twins[0]!);
    expect(await reads('turns_b')).toBe('reads');
    await revoke(twins[1]!);
    expect(await reads('turns_b')).toBe('42501');

    await (await existingAccount(server, 'in-place')).end();
    const alone = [grantStep('in-place'), grantStep('in-place')];
    for (const step of alone) await apply(connector, step);
    await apply(connector, replaceStep('in-place'), { secret: `${SECRET}2` });
    await revoke(alone[1]!);
    expect(await reads('in-place', `${SECRET}2`)).toBe('reads');
    await revoke(alone[0]!);
    expect(await reads('in-place', `${SECRET}2`)).toBe('42501');
  });

  test('undoing a rotation takes neither', async () => {
    await twinAccount(server, 'undone');
    const grants = [grantStep('undone'), grantStep('undone')];
    for (const step of grants) await apply(connector, step);
    const steps = rotationSteps('undone', 'undone_a', 'undone_b');
    await apply(connector, steps.stage);
    await revoke(steps.stage);
    for (const step of grants) expect(await connector.probe(step, deadline())).toBe('applied');
  });

  test('shutting the account out ends both, and their orders find nothing in their way', async () => {
    await (await existingAccount(server, 'shut')).end();
    const grants = [grantStep('shut'), grantStep('shut')];
    for (const step of grants) await apply(connector, step);
    await apply(connector, disableStep('shut'));
    for (const step of grants) {
      expect(await connector.probe(step, deadline())).toBe('absent');
      await revoke(step);
      expect(await revoke(step)).toBe('already-absent');
    }
  });

  test('taking the privilege from the account takes it from both, and each still ends', async () => {
    await (await existingAccount(server, 'taken')).end();
    const grants = [grantStep('taken'), grantStep('taken')];
    for (const step of grants) await apply(connector, step);
    await apply(connector, revokeStep('taken'));
    expect(await reads('taken')).toBe('42501');
    for (const step of grants) expect(await revoke(step)).toBe('done');
  });
});

const program = openbaoProgram();

describe.skipIf(program === null)('two grants of the same policy at OpenBao', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await baoCases.prepareSecrets(bao);
    connector = baoCases.connectorTo(bao);
  });
  afterAll(() => bao.remove());

  const revoke = (step: Parameters<typeof orderOf>[0]): Promise<unknown> => connector.revoke(orderOf(step), deadline());
  const grant = (account: string): ReturnType<typeof baoCases.stepOf> => baoCases.stepOf('grant', account);

  test.each(['first', 'second'] as const)('ending the %s leaves the other, to tokens that are out as to new ones', async (which) => {
    const role = await baoCases.existingRole(bao, `two-${which}`);
    const grants = [grant(`two-${which}`), grant(`two-${which}`)];
    for (const step of grants) await apply(connector, step);
    const [ended, other] = which === 'first' ? [grants[0]!, grants[1]!] : [grants[1]!, grants[0]!];
    expect(await revoke(ended)).toBe('done');
    expect(await revoke(ended)).toBe('already-absent');
    expect(await baoCases.mayRead(bao, role.token, 'app')).toBe(true);
    const { auth } = await baoCases.login(bao, role.roleId, role.secret);
    expect(await baoCases.mayRead(bao, auth!.client_token, 'app')).toBe(true);
    expect(await revoke(other)).toBe('done');
    expect(await baoCases.mayRead(bao, role.token, 'app')).toBe(false);
  });

  test('ending one leaves what the role has in its own name', async () => {
    const role = await baoCases.existingRole(bao, 'own', ['read-app']);
    const step = grant('own');
    await apply(connector, step);
    await revoke(step);
    expect(await baoCases.mayRead(bao, role.token, 'app')).toBe(true);
  });

  test('both outlive a rotation, and each still ends by itself', async () => {
    const role = await baoCases.existingRole(bao, 'turns');
    const grants = [grant('turns'), grant('turns')];
    await apply(connector, grants[0]!);
    const token = newToken();
    const steps = baoCases.rotationSteps((await connector.read(baoCases.rotateQuery('turns', token), deadline())).touched, token);
    await apply(connector, steps.stage);
    await apply(connector, grants[1]!);
    await apply(connector, steps.retire, { endSessions: true });
    const { auth } = await baoCases.login(bao, role.roleId, SECRET);
    await revoke(grants[0]!);
    expect(await baoCases.mayRead(bao, auth!.client_token, 'app')).toBe(true);
    await revoke(grants[1]!);
    expect(await baoCases.mayRead(bao, auth!.client_token, 'app')).toBe(false);
  });

  test('undoing a rotation takes neither', async () => {
    const role = await baoCases.existingRole(bao, 'undone');
    const grants = [grant('undone'), grant('undone')];
    for (const step of grants) await apply(connector, step);
    const token = newToken();
    const steps = baoCases.rotationSteps((await connector.read(baoCases.rotateQuery('undone', token), deadline())).touched, token);
    await apply(connector, steps.stage);
    await revoke(steps.stage);
    expect(await baoCases.mayRead(bao, role.token, 'app')).toBe(true);
    for (const step of grants) expect(await connector.probe(step, deadline())).toBe('applied');
  });

  test('shutting the account out ends both, and their orders find nothing in their way', async () => {
    const role = await baoCases.existingRole(bao, 'shut');
    const grants = [grant('shut'), grant('shut')];
    for (const step of grants) await apply(connector, step);
    await apply(connector, baoCases.stepOf('disable', 'shut', []));
    expect(await baoCases.isAlive(bao, role.token)).toBe(false);
    for (const step of grants) {
      expect(await revoke(step)).toBe('done');
      expect(await revoke(step)).toBe('already-absent');
    }
  });

  test('taking the policy from the account takes it from both, and each still ends', async () => {
    const role = await baoCases.existingRole(bao, 'taken');
    const grants = [grant('taken'), grant('taken')];
    for (const step of grants) await apply(connector, step);
    await apply(connector, baoCases.stepOf('revoke', 'taken'));
    expect(await baoCases.mayRead(bao, role.token, 'app')).toBe(false);
    for (const step of grants) expect(await revoke(step)).toBe('done');
  });
});
