import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { connectorTo, CONNECTOR, existingRole, mayRead, prepareSecrets, READ_APP, READ_OPS, roleExists, TARGET, type ExistingRole } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { openReconcileBench, OWNER, SECURITY, type ReconcileBench } from '../support/reconcile-bench.ts';
import { RECIPIENT } from '../support/sidecar.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('reconciling a real OpenBao', () => {
  let bao: TestOpenBao;
  let loader: ExistingRole;
  let bench: ReconcileBench;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    loader = await existingRole(bao, 'loader', ['read-ops']);
  });
  afterAll(() => bao.remove());
  beforeEach(async () => {
    bench = await openReconcileBench(connectorTo(bao), {
      connector: CONNECTOR, target: TARGET, privileges: [READ_APP], identities: { loader: { account: 'loader', standing: [READ_OPS] }, maker: { account: 'maker-shared' } },
    });
  });
  afterEach(() => bench.close());

  const entitlements = [{ connector: CONNECTOR, target: TARGET, privilege: READ_APP }];
  const grant = (duration = 'PT1H'): ChangeRequest => ({ kind: 'grant', subject: 'nhi:prod/loader', purpose: 'run-loader', reason: 'a test', duration, entitlements });
  const given = async (request: ChangeRequest): Promise<string> => {
    const changeId = await bench.request(request);
    await bench.until(changeId, 'active');
    return changeId;
  };

  test('finds nothing where all is as it is recorded', async () => {
    const lent = await given(grant());
    const made = await given({ kind: 'provision', subject: 'nhi:prod/maker', purpose: 'run-maker', reason: 'a test', duration: 'PT1H', recipient: RECIPIENT, entitlements });
    const { found, complete, counts } = await bench.engine.reconcile(CONNECTOR);
    expect(found).toEqual([]);
    expect(complete).toBe(true);
    expect(counts).toEqual({ accounts: 2, unknownAccounts: 0, held: 3, explained: 3, unexplained: 0, pastEnd: 0, undecided: 0, standing: 1, recorded: 2, missing: 0 });
    for (const changeId of [lent, made]) {
      await bench.engine.revoke(OWNER, changeId, null);
      await bench.until(changeId, 'revoked');
    }
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('a role that nobody knows has a finding and an owner until it is gone, and is not touched', async () => {
    await existingRole(bao, 'planted', ['read-app']);
    const { found } = await bench.engine.reconcile(CONNECTOR);
    expect(found).toMatchObject([{ code: 'account-unknown', account: 'planted', owner: SECURITY, privileges: [READ_APP] }]);
    expect(await roleExists(bao, 'planted')).toBe(true);
    await bao.call('DELETE', 'auth/approle/role/planted');
    expect((await bench.engine.reconcile(CONNECTOR)).cleared).toHaveLength(1);
  });

  test('a group that was removed at the target is missed', async () => {
    const changeId = await given(grant());
    await bao.call('DELETE', `identity/group/name/${clientTokenOf(changeId)}`);
    expect((await bench.engine.reconcile(CONNECTOR)).found).toMatchObject([{ code: 'access-missing', change: changeId, account: 'loader', owner: OWNER }]);
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('a group that came back after it was taken back is taken back again at once', async () => {
    const changeId = await given(grant('PT2S'));
    const token = clientTokenOf(changeId);
    await bench.until(changeId, 'revoked');
    expect(await mayRead(bao, loader.token, 'app')).toBe(false);
    await bao.call('POST', `identity/group/name/${token}`, { type: 'internal', policies: ['read-app'], member_entity_ids: [loader.entityId], metadata: { countersign: token, account: 'loader' } });
    expect(await mayRead(bao, loader.token, 'app')).toBe(true);
    expect((await bench.engine.reconcile(CONNECTOR)).found).toMatchObject([{ code: 'access-past-end', account: 'loader', change: changeId }]);
    await expect.poll(() => mayRead(bao, loader.token, 'app'), { timeout: 20_000 }).toBe(false);
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
    const { verdicts } = await bench.verify();
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  });
});
