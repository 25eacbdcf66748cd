import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clientTokenOf } from '../../src/change/derive.ts';
import { TargetError } from '../../src/executor/connector.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { connectorTo, CONNECTOR, existingRole, mayRead, prepareSecrets, READ_APP, READ_OPS, stepOf, TARGET, type ExistingRole } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { apply, newToken } from '../support/postgres-cases.ts';
import { openReconcileBench, OWNER, SECURITY, type ReconcileBench } from '../support/reconcile-bench.ts';
import { RECIPIENT } from '../support/sidecar.ts';

const program = openbaoProgram();

/** Ways in that somebody with rights at the server could leave behind. Each was once taken for access that is explained, or not seen. */
describe.skipIf(program === null)('a back door at a real OpenBao', () => {
  let bao: TestOpenBao;
  let loader: ExistingRole;
  let bench: ReconcileBench;
  beforeEach(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    loader = await existingRole(bao, 'loader', ['read-ops']);
    bench = await openReconcileBench(connectorTo(bao), {
      connector: CONNECTOR, target: TARGET, privileges: [READ_APP], identities: { loader: { account: 'loader', standing: [READ_OPS] }, maker: { account: 'maker-shared' } },
    });
  });
  afterEach(async () => {
    await bench.close();
    await bao.remove();
  });

  const at = { connector: CONNECTOR, target: TARGET };
  const found = async (): Promise<unknown[]> => {
    const { found: now, complete } = await bench.engine.reconcile(CONNECTOR);
    expect(complete).toBe(true);
    return now.map(({ code, account, owner, privileges }) => [code, account, owner, privileges]);
  };
  const given = async (request: ChangeRequest): Promise<string> => {
    const changeId = await bench.request(request);
    await bench.until(changeId, 'active');
    return changeId;
  };
  /** A secret-id that opens the role. */
  const plant = async (role: string, clientToken?: string): Promise<void> => {
    const metadata = clientToken === undefined ? {} : { metadata: JSON.stringify({ countersign: clientToken }) };
    expect((await bao.call('POST', `auth/approle/role/${role}/custom-secret-id`, { secret_id: randomUUID(), ...metadata })).status).toBe(200);
  };

  test('a group that is marked like a grant and named by no client token, whose policies nobody takes as lent', async () => {
    await bao.call('POST', 'sys/policies/acl/all', { policy: 'path "secret/*" { capabilities = ["read"] }' });
    await bao.call('POST', 'identity/group/name/backdoor', { type: 'internal', policies: ['all'], member_entity_ids: [loader.entityId], metadata: { countersign: 'backdoor' } });
    expect(await mayRead(bao, loader.token, 'app')).toBe(true);
    expect(await found()).toEqual([['access-unexplained', 'loader', OWNER, ['policy:all']]]);
    await expect(apply(connectorTo(bao), stepOf('revoke', 'loader', ['policy:all']))).rejects.toThrow(new TargetError('rejected', 'the account has it through a group that this connector did not make'));
  });

  test('a group within the group of a running lease', async () => {
    const changeId = await given({ kind: 'grant', subject: 'nhi:prod/loader', purpose: 'run-loader', reason: 'a test', duration: 'PT1H', entitlements: [{ ...at, privilege: READ_APP }] });
    const stranger = await existingRole(bao, 'stranger');
    const { id } = (await bao.call('POST', 'identity/group/name/inner', { type: 'internal', member_entity_ids: [stranger.entityId] })).data;
    const lent = (await bao.call('GET', `identity/group/name/${clientTokenOf(changeId)}`)).data;
    await bao.call('POST', `identity/group/id/${String(lent['id'])}`, { member_group_ids: [id] });
    expect(await mayRead(bao, stranger.token, 'app')).toBe(true);
    expect(new Set(await found())).toEqual(new Set([['account-unknown', 'stranger', SECURITY, []], ['access-unexplained', `group ${String(id)}`, OWNER, [READ_APP]]]));
  });

  test('a secret-id that bears a client token which this ledger does not know', async () => {
    await plant('loader', newToken());
    expect(await found()).toEqual([['access-unexplained', 'loader', OWNER, []]]);
    // What its owner may have made is the account's own, but with no name for where it comes from.
    await plant('loader');
    expect(await found()).toEqual([]);
  });

  test('a secret-id beside the one that this ledger made, without a mark or with a copy of it', async () => {
    const changeId = await given({ kind: 'provision', subject: 'nhi:prod/maker', purpose: 'run-maker', reason: 'a test', duration: 'PT1H', recipient: RECIPIENT, entitlements: [{ ...at, privilege: READ_APP }] });
    const { account, clientToken } = bench.engine.get(changeId)!.plan!.steps[0]!;
    expect(await found()).toEqual([]);
    await plant(account);
    await plant(account, clientToken);
    expect(await found()).toEqual([['access-unexplained', account, OWNER, []], ['access-unexplained', account, OWNER, []]]);
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('a secret-id beside the one that this ledger rotated to', async () => {
    const changeId = await bench.request({ kind: 'rotate', subject: 'nhi:prod/loader', ...at, purpose: 'run-loader', reason: 'a test', recipient: RECIPIENT, grace: 'PT1S', retire: 'endSessions' });
    await bench.until(changeId, 'staged');
    expect(await found()).toEqual([]);
    await bench.engine.acknowledgeDelivery(OWNER, changeId, bench.engine.get(changeId)!.delivery!.seal.ciphertext);
    await bench.until(changeId, 'done');
    expect(await found()).toEqual([]);
    await plant('loader');
    expect(await found()).toEqual([['access-unexplained', 'loader', OWNER, []]]);
  });

  test('an AppRole whose name is longer than a report can hold', async () => {
    const [name, longest] = ['x'.repeat(129), 'y'.repeat(400)];
    for (const role of [name, longest]) {
      await bao.call('POST', `auth/approle/role/${role}`, { token_policies: ['read-app'] });
      await plant(role);
    }
    const now = await found();
    expect(now).toHaveLength(2);
    expect(now).toMatchObject([['account-unknown', expect.stringMatching(/^x{95}~[0-9a-f]{32}$/), SECURITY, [READ_APP]], ['account-unknown', expect.stringMatching(/^y{95}~[0-9a-f]{32}$/), SECURITY, [READ_APP]]]);
    for (let n = 0; n < 70; n += 1) await bao.call('POST', `auth/approle/role/${'z'.repeat(300)}${n}`, {});
    await plant(`${'z'.repeat(300)}69`);
    expect(await found()).toHaveLength(1);
  });
});
