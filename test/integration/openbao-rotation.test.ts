import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { connectorTo, existingRole, isAlive, login, mayRead, prepareSecrets, rotateQuery, rotationSteps, stepOf } from '../support/openbao-cases.ts';
import type { ExistingRole, RotationSteps } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao } from '../support/openbao.ts';
import type { TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, newToken, orderOf, SECRET } from '../support/postgres-cases.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('rotating the secret-id of an AppRole', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = connectorTo(bao);
  });
  afterAll(() => bao.remove());

  interface Rotated extends RotationSteps {
    readonly worker: ExistingRole;
    readonly before: Record<string, unknown>;
  }
  const rotated = async (name: string, clientToken = newToken()): Promise<Rotated> => {
    const worker = await existingRole(bao, name, ['read-app']);
    const before = (await connector.read(rotateQuery(name, clientToken), deadline())).touched;
    return { worker, before, ...rotationSteps(before, clientToken) };
  };
  /** As the worker compares before each effect: what is read now was read so for the plan. */
  const expectNoDrift = async (step: RotationSteps['stage'], before: Record<string, unknown>): Promise<void> => {
    const { touched } = await connector.read(step, deadline());
    expect(Object.keys(touched).length).toBeGreaterThan(0);
    expect(before).toMatchObject(touched);
  };

  test('goes from the old one to the new one, and both work in between', async () => {
    const { worker, before, stage, cutover, retire } = await rotated('steady');
    expect(before).toMatchObject({ overlap: 'twin', role: worker.roleId, currentCanLogin: true, next: null, privilege: 'role:steady' });
    await expectNoDrift(stage, before);
    expect(await connector.read(stage, deadline())).toMatchObject({ exists: false, held: [] });
    expect(await connector.probe(stage, deadline())).toBe('absent');
    await apply(connector, stage);
    expect(await connector.probe(stage, deadline())).toBe('applied');
    expect(await connector.tryUse(stage, SECRET, deadline())).toBe('works');
    expect(await connector.tryUse(stage, `${SECRET}x`, deadline())).toBe('fails');
    expect(await connector.read(stage, deadline())).toMatchObject({ exists: true, held: ['role:steady'] });

    await expectNoDrift(cutover, before);
    await expect(apply(connector, cutover)).rejects.toMatchObject({ kind: 'notYet', message: `1 token of ${String(before['currentName'])}` });
    await expect(apply(connector, retire)).rejects.toMatchObject({ kind: 'notYet' });
    expect(await isAlive(bao, worker.token)).toBe(true);
    const next = (await login(bao, worker.roleId, SECRET)).auth!;
    await bao.call('POST', 'auth/token/revoke-self', {}, worker.token);
    await apply(connector, cutover);

    await expectNoDrift(retire, before);
    expect(await connector.probe(retire, deadline())).toBe('absent');
    await apply(connector, retire);
    expect(await connector.probe(retire, deadline())).toBe('applied');
    expect(await connector.read(retire, deadline())).toMatchObject({ exists: false, held: [], seen: { tokens: 0, currentCanLogin: false } });
    expect((await login(bao, worker.roleId, worker.secret)).status).toBe(400);
    expect(await mayRead(bao, next.client_token, 'app')).toBe(true);
    expect((await login(bao, worker.roleId, SECRET)).status).toBe(200);
  });

  test('ends the tokens of the old one where the plan says so, and no others', async () => {
    const { worker, stage, cutover, retire } = await rotated('impatient');
    await apply(connector, stage);
    const next = (await login(bao, worker.roleId, SECRET)).auth!;
    await apply(connector, cutover, { endSessions: true });
    await apply(connector, retire, { endSessions: true });
    expect(await isAlive(bao, worker.token)).toBe(false);
    expect(await isAlive(bao, next.client_token)).toBe(true);
    await apply(connector, retire, { endSessions: true });
  });

  test('is finished where it was cut short after the old secret-id was destroyed', async () => {
    const { worker, before, stage, retire } = await rotated('half-retired');
    await apply(connector, stage);
    const accessor = before['current'];
    await bao.call('POST', 'auth/approle/role/half-retired/secret-id-accessor/destroy', { secret_id_accessor: accessor });
    expect(await connector.probe(retire, deadline())).toBe('absent');
    await expectNoDrift(retire, before);
    await apply(connector, retire);
    expect(await isAlive(bao, worker.token)).toBe(false);
    expect(await connector.probe(retire, deadline())).toBe('applied');
  });

  test('can be followed by another', async () => {
    const first = await rotated('twice');
    await apply(connector, first.stage);
    await apply(connector, first.retire, { endSessions: true });
    const clientToken = newToken();
    const before = (await connector.read(rotateQuery('twice', clientToken), deadline())).touched;
    const second = rotationSteps(before, clientToken);
    await apply(connector, second.stage, { secret: 'second-secret-id' });
    await apply(connector, second.retire, { endSessions: true });
    expect((await login(bao, first.worker.roleId, SECRET)).status).toBe(400);
    expect((await login(bao, first.worker.roleId, 'second-secret-id')).status).toBe(200);
  });

  test('never retires the old one where the new one is not there', async () => {
    const { worker, retire, cutover } = await rotated('nothing-staged');
    for (const step of [cutover, retire]) await expect(apply(connector, step, { endSessions: true })).rejects.toMatchObject({ kind: 'rejected' });
    expect(await isAlive(bao, worker.token)).toBe(true);
    expect((await login(bao, worker.roleId, worker.secret)).status).toBe(200);
  });

  test('of a provisioned role gives no longer life than the role had', async () => {
    const step = stepOf('provision', 'lent');
    await apply(connector, step, { validUntil: new Date(Date.now() + 60_000).toISOString() });
    const clientToken = newToken();
    const { stage } = rotationSteps((await connector.read(rotateQuery('lent', clientToken), deadline())).touched, clientToken);
    await apply(connector, stage, { secret: 'the-next-one' });
    const accessors = (await bao.call('LIST', 'auth/approle/role/lent/secret-id')).data['keys'] as string[];
    expect(accessors).toHaveLength(2);
    for (const accessor of accessors) {
      const { data } = await bao.call('POST', 'auth/approle/role/lent/secret-id-accessor/lookup', { secret_id_accessor: accessor });
      expect(Date.parse(String(data['expiration_time']))).toBeLessThan(Date.now() + 60_000);
      expect(Date.parse(String(data['expiration_time']))).toBeGreaterThan(Date.now());
    }
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect((await login(bao, step.clientToken, 'the-next-one')).status).toBe(400);
  });

  test.each([
    ['is not there', null, {}],
    ['has no secret-id', [], {}],
    ['has several', ['one-secret-id', 'two-secret-id'], {}],
    ['logs in without one', [], { bind_secret_id: false, secret_id_bound_cidrs: ['127.0.0.0/8'] }],
    ['has secret-ids that are used up', ['used-secret-id'], { secret_id_num_uses: 3 }],
    ['gives batch tokens', ['batch-secret-id'], { token_type: 'batch' }],
  ] as const)('is refused where the role %s', async (what, secrets, settings) => {
    const name = `odd-${what.replaceAll(' ', '-')}`;
    if (secrets !== null) await bao.call('POST', `auth/approle/role/${name}`, settings);
    for (const secret of secrets ?? []) await bao.call('POST', `auth/approle/role/${name}/custom-secret-id`, { secret_id: secret });
    await expect(connector.read(rotateQuery(name), deadline())).rejects.toMatchObject({ kind: 'rejected' });
  });

  test('is refused where the steps name secret-ids of two roles, or another change', async () => {
    const { stage } = await rotated('crossed');
    const { stage: foreign } = await rotated('crossed-too');
    for (const step of [{ ...stage, other: foreign.other! }, { ...stage, privileges: ['role:crossed-too'] }, { ...stage, clientToken: newToken() }, { ...stage, account: 'crossed' }]) {
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
    }
  });
});
