/** A later end at a real OpenBao: of policies that were lent. The end of a secret-id cannot be moved, and that is said before anybody approves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import type { LentAction, PlanStep } from '../../src/protocol/plan.ts';
import { connectorTo, existingRole, mayRead, prepareSecrets, stepOf } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, orderOf } from '../support/postgres-cases.ts';

const program = openbaoProgram();
const extendStep = (given: PlanStep): PlanStep => ({ ...given, action: 'extend', gave: given.action as LentAction });
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

describe.skipIf(program === null)('OpenBao', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = connectorTo(bao);
  });
  afterAll(() => bao.remove());

  test('policies that were lent are there, and stay', async () => {
    const role = await existingRole(bao, 'borrower');
    const given = stepOf('grant', 'borrower');
    await apply(connector, given);
    const before = await connector.read(extendStep(given), deadline());
    await apply(connector, extendStep(given), { validUntil: inAnHour() });
    expect(await connector.probe(extendStep(given), deadline(), inAnHour())).toBe('applied');
    expect(await connector.tryUse(extendStep(given), null, deadline())).toBe('notTried');
    expect(await connector.read(extendStep(given), deadline())).toEqual(before);
    expect(await mayRead(bao, role.token, 'app')).toBe(true);
  });

  test('what was taken back stays so', async () => {
    const role = await existingRole(bao, 'late');
    const given = stepOf('grant', 'late');
    await apply(connector, given);
    await connector.revoke(orderOf(given), deadline());
    await expect(apply(connector, extendStep(given), { validUntil: inAnHour() })).rejects.toMatchObject({ kind: 'rejected' });
    await expect(connector.read(extendStep(given), deadline())).rejects.toMatchObject({ kind: 'rejected' });
    expect(await connector.probe(extendStep(given), deadline(), inAnHour())).toBe('absent');
    expect(await mayRead(bao, role.token, 'app')).toBe(false);
  });

  test('an account cannot be extended: its read says so', async () => {
    const given = stepOf('provision', 'short');
    await apply(connector, given, { validUntil: inAnHour() });
    await expect(connector.read(extendStep(given), deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('cannot be moved') as string });
    await expect(apply(connector, extendStep(given), { validUntil: inAnHour() })).rejects.toMatchObject({ kind: 'rejected' });
  });
});
