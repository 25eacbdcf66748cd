import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { harmingProxy } from '../support/cut-proxy.ts';
import { openLiveWorker } from '../support/live-worker.ts';
import { CONNECTOR, connectorTo, existingRole, isAlive, login, mayRead, prepareSecrets, READ_APP, READ_OPS, roleExists, stepOf, TARGET } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao } from '../support/openbao.ts';
import type { TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, newToken, orderOf, SECRET } from '../support/postgres-cases.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('OpenBao', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = connectorTo(bao);
  });
  afterAll(() => bao.remove());

  describe('provision', () => {
    test('leaves no token behind by trying the secret', async () => {
      const step = stepOf('provision', 'tried');
      await apply(connector, step);
      const before = (await bao.call('LIST', 'auth/token/accessors')).data['keys'] as string[];
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      expect((await bao.call('LIST', 'auth/token/accessors')).data['keys']).toHaveLength(before.length);
      expect(await connector.tryUse(step, `${SECRET}x`, deadline())).toBe('fails');
    });

    test('does not say that it works while a policy is listed and not in force; the worker tries it until it is', async () => {
      const denied = JSON.stringify({ data: { 'secret/data/app': ['deny'] } });
      const answer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${String(denied.length)}\r\nconnection: close\r\n\r\n${denied}`;
      const proxy = await harmingProxy(bao.port);
      proxy.arm('POST /v1/sys/capabilities-self', { answer, passOn: true }, 3);
      const step = stepOf('provision', 'in-a-moment');
      await apply(connector, step);
      const through = connectorTo(bao, proxy.port);
      expect(await through.tryUse(step, SECRET, deadline())).toBe('fails');
      const live = await openLiveWorker(CONNECTOR, TARGET, through);
      const made = await live.plan('provision', 'in-a-moment-too', [READ_APP]);
      expect(await live.carryOut(made)).toMatchObject({ outcome: 'done', byUse: 'works' });
      expect(proxy.cuts()).toBe(3);
      await live.close();
      await proxy.close();
    });

    test('says that it fails where a policy is there no more', async () => {
      await bao.call('POST', 'sys/policies/acl/short', { policy: 'path "secret/data/app" { capabilities = ["read"] }' });
      const step = stepOf('provision', 'of-short', ['policy:short']);
      await apply(connector, step);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      await bao.call('DELETE', 'sys/policies/acl/short');
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
    });

    test('lets nobody in after validUntil, with nothing else running, and bounds the tokens', async () => {
      const step = stepOf('provision', 'short-lived');
      const validUntil = new Date(Date.now() + 3_000).toISOString();
      await apply(connector, step, { validUntil });
      const { auth } = await login(bao, step.clientToken, SECRET);
      const { data } = await bao.call('POST', 'auth/token/lookup-accessor', { accessor: auth!.accessor });
      expect(data['explicit_max_ttl']).toBeLessThanOrEqual(3);
      await expect.poll(() => connector.tryUse(step, SECRET, deadline()), { timeout: 15_000 }).toBe('fails');
      await expect.poll(() => isAlive(bao, auth!.client_token), { timeout: 15_000 }).toBe(false);
    });

    test('does not begin where no time is left', async () => {
      await expect(apply(connector, stepOf('provision', 'too-late'), { validUntil: new Date().toISOString() })).rejects.toMatchObject({ kind: 'rejected' });
      expect(await roleExists(bao, 'too-late')).toBe(false);
    });

    test('does nothing where one of the policies is not there', async () => {
      const step = stepOf('provision', 'nowhere', [READ_APP, 'policy:none']);
      expect((await connector.read(step, deadline())).touched).toMatchObject({ 'policy:none': null });
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await roleExists(bao, 'nowhere')).toBe(false);
    });

    test('shows as drifted when a policy was rewritten since it was read', async () => {
      await bao.call('POST', 'sys/policies/acl/rewritten', { policy: 'path "secret/data/app" { capabilities = ["read"] }' });
      const step = stepOf('provision', 'drifting', ['policy:rewritten']);
      const before = await connector.read(step, deadline());
      await bao.call('POST', 'sys/policies/acl/rewritten', { policy: 'path "*" { capabilities = ["sudo"] }' });
      expect((await connector.read(step, deadline())).touched).not.toEqual(before.touched);
    });
  });

  describe('revoke of a provisioned role', () => {
    test('removes it, ends its tokens and those that they made, and says so again when asked again', async () => {
      const step = stepOf('provision', 'leaver');
      await apply(connector, step);
      const { auth } = await login(bao, step.clientToken, SECRET);
      await bao.call('POST', 'sys/policies/acl/make-tokens', { policy: 'path "auth/token/create" { capabilities = ["update"] }' });
      await bao.call('POST', `identity/entity/id/${auth!.entity_id}`, { policies: ['make-tokens'] });
      const child = (await bao.call('POST', 'auth/token/create', {}, auth!.client_token)).auth!;
      expect(await isAlive(bao, child.client_token)).toBe(true);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      for (const { client_token: token, accessor } of [auth!, child]) {
        expect(await isAlive(bao, token)).toBe(false);
        expect((await bao.call('POST', 'auth/token/lookup-accessor', { accessor })).errors.join()).toContain('invalid accessor');
      }
      expect((await login(bao, step.clientToken, SECRET)).status).toBe(400);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [] });
      expect((await bao.call('GET', `identity/entity/name/${step.clientToken}`)).status).toBe(404);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    });

    test('leaves a role of the same name alone that was made anew by someone else, and ends what is left of ours', async () => {
      const step = stepOf('provision', 'reborn');
      await apply(connector, step);
      const ours = (await login(bao, step.clientToken, SECRET)).auth!;
      await bao.call('DELETE', 'auth/approle/role/reborn');
      const other = await existingRole(bao, 'reborn', ['read-ops']);
      for (const _ of [1, 2]) expect(await connector.revoke(orderOf(step), deadline())).toBe('mismatch');
      expect(await isAlive(bao, ours.client_token)).toBe(false);
      expect(await isAlive(bao, other.token)).toBe(true);
      expect((await login(bao, other.roleId, other.secret)).auth?.policies).toEqual(['default', 'read-ops']);
    });

    test('leaves an entity alone that bears the client token as its name and not our mark', async () => {
      const step = stepOf('provision', 'impostor');
      await bao.call('POST', 'identity/entity', { name: step.clientToken, metadata: { owner: 'somebody' } });
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('mismatch');
      expect((await bao.call('GET', `identity/entity/name/${step.clientToken}`)).data).toMatchObject({ disabled: false, metadata: { owner: 'somebody' } });
    });

    test('finds the role also where somebody has removed its entity', async () => {
      const step = stepOf('provision', 'without-entity');
      await apply(connector, step);
      const { auth } = await login(bao, step.clientToken, SECRET);
      await bao.call('DELETE', `identity/entity/name/${step.clientToken}`);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await isAlive(bao, auth!.client_token)).toBe(false);
      expect((await login(bao, step.clientToken, SECRET)).status).toBe(400);
    });
  });

  describe('grant', () => {
    test('gives a live token the policy at once, and takes it from it at once', async () => {
      const worker = await existingRole(bao, 'worker');
      const step = stepOf('grant', 'worker');
      const before = await connector.read(step, deadline());
      expect(before).toMatchObject({ exists: true, held: [], touched: { account: worker.roleId, canLogin: true } });
      expect(await mayRead(bao, worker.token, 'app')).toBe(false);
      await apply(connector, step);
      expect(await mayRead(bao, worker.token, 'app')).toBe(true);
      expect(await connector.tryUse(step, null, deadline())).toBe('notTried');
      expect(await connector.probe(step, deadline())).toBe('applied');
      expect(await connector.read(step, deadline())).toMatchObject({ held: [READ_APP], touched: before.touched });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await mayRead(bao, worker.token, 'app')).toBe(false);
      expect(await isAlive(bao, worker.token)).toBe(true);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect((await connector.read(step, deadline())).held).toEqual([]);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    });

    test('is there for a role that has never logged in, and comes with its first login', async () => {
      await bao.call('POST', 'auth/approle/role/newcomer', {});
      const roleId = String((await bao.call('GET', 'auth/approle/role/newcomer/role-id')).data['role_id']);
      await bao.call('POST', 'auth/approle/role/newcomer/custom-secret-id', { secret_id: 'newcomers-secret-id' });
      const step = stepOf('grant', 'newcomer');
      await apply(connector, step);
      const { auth } = await login(bao, roleId, 'newcomers-secret-id');
      expect(await mayRead(bao, auth!.client_token, 'app')).toBe(true);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await mayRead(bao, auth!.client_token, 'app')).toBe(false);
    });

    test('to a role that was made anew since does not come back', async () => {
      await existingRole(bao, 'regrown');
      const step = stepOf('grant', 'regrown');
      await apply(connector, step);
      await bao.call('DELETE', 'auth/approle/role/regrown');
      const anew = await existingRole(bao, 'regrown');
      expect(await mayRead(bao, anew.token, 'app')).toBe(false);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    });

    test('is mismatched, and untouched, where a group without our mark has its name', async () => {
      const worker = await existingRole(bao, 'mismatched');
      const step = stepOf('grant', 'mismatched');
      await bao.call('POST', `identity/group/name/${step.clientToken}`, { policies: ['read-ops'], member_entity_ids: [worker.entityId] });
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('mismatch');
      expect(await mayRead(bao, worker.token, 'ops')).toBe(true);
    });
  });

  describe('revoke as a change', () => {
    test('takes a policy from role, entity, running leases and live tokens, and nothing else', async () => {
      const worker = await existingRole(bao, 'overfed', ['read-app', 'read-ops']);
      await bao.call('POST', 'auth/approle/role/overfed', { token_ttl: '77s' });
      await bao.call('POST', `identity/entity/id/${worker.entityId}`, { policies: ['read-app', 'read-ops'] });
      const lent = stepOf('grant', 'overfed', [READ_APP, READ_OPS]);
      await apply(connector, lent);
      const step = stepOf('revoke', 'overfed');
      await apply(connector, step);
      expect(await isAlive(bao, worker.token)).toBe(false);
      expect(await connector.probe(step, deadline())).toBe('applied');
      expect((await connector.read(step, deadline())).held).toEqual([READ_OPS]);
      const { auth } = await login(bao, worker.roleId, worker.secret);
      expect(await mayRead(bao, auth!.client_token, 'app')).toBe(false);
      expect(await mayRead(bao, auth!.client_token, 'ops')).toBe(true);
      expect((await bao.call('GET', 'auth/approle/role/overfed')).data).toMatchObject({ token_ttl: 77, token_policies: ['read-ops'] });
      await apply(connector, step);
      expect(await connector.revoke(orderOf(lent), deadline())).toBe('done');
    });

    test('changes nothing where a group of others gives the policy', async () => {
      const worker = await existingRole(bao, 'in-a-team', ['read-app']);
      await bao.call('POST', 'identity/group', { name: 'team', policies: ['read-app'], member_entity_ids: [worker.entityId] });
      await expect(apply(connector, stepOf('revoke', 'in-a-team'))).rejects.toMatchObject({ kind: 'rejected' });
      expect(await mayRead(bao, worker.token, 'app')).toBe(true);
    });
  });

  describe('disable', () => {
    test('destroys the secret-ids, ends the tokens, takes the policies, and refuses logins from then on', async () => {
      const worker = await existingRole(bao, 'shut-out', ['read-app']);
      await bao.call('POST', `identity/entity/id/${worker.entityId}`, { metadata: { owner: 'team' } });
      const step = stepOf('disable', 'shut-out', []);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await connector.read(step, deadline())).toMatchObject({ touched: { canLogin: true }, seen: { tokens: 1 } });
      await apply(connector, step);
      expect(await connector.probe(step, deadline())).toBe('applied');
      expect(await isAlive(bao, worker.token)).toBe(false);
      expect((await login(bao, worker.roleId, worker.secret)).auth).toBeNull();
      expect(await connector.read(step, deadline())).toMatchObject({ exists: true, held: [], touched: { canLogin: false }, seen: { tokens: 0 } });
      expect((await bao.call('GET', `identity/entity/id/${worker.entityId}`)).data['metadata']).toMatchObject({ owner: 'team' });
      // Whoever may make a secret-id for it does not open it again by that.
      await bao.call('POST', 'auth/approle/role/shut-out/custom-secret-id', { secret_id: 'made-afterwards' });
      expect((await login(bao, worker.roleId, 'made-afterwards')).status).toBe(403);
      expect(await connector.probe(step, deadline())).toBe('absent');
      await apply(connector, step);
      expect(await connector.probe(step, deadline())).toBe('applied');
    });

    test('shuts out a role that has never logged in', async () => {
      await bao.call('POST', 'auth/approle/role/never-logged-in', { bind_secret_id: false, token_policies: ['read-app'], secret_id_bound_cidrs: ['127.0.0.0/8'] });
      const step = stepOf('disable', 'never-logged-in', []);
      await apply(connector, step);
      const roleId = (await bao.call('GET', 'auth/approle/role/never-logged-in/role-id')).data['role_id'];
      expect((await bao.call('POST', 'auth/approle/login', { role_id: roleId }, '')).auth).toBeNull();
      expect(await connector.probe(step, deadline())).toBe('applied');
    });

    test('ends batch tokens, which are in no list', async () => {
      await bao.call('POST', 'auth/approle/role/batch', { token_type: 'batch', token_policies: ['read-app'] });
      const roleId = String((await bao.call('GET', 'auth/approle/role/batch/role-id')).data['role_id']);
      await bao.call('POST', 'auth/approle/role/batch/custom-secret-id', { secret_id: 'of-batch-tokens' });
      const { auth } = await login(bao, roleId, 'of-batch-tokens');
      expect(await mayRead(bao, auth!.client_token, 'app')).toBe(true);
      await apply(connector, stepOf('disable', 'batch', []));
      expect(await mayRead(bao, auth!.client_token, 'app')).toBe(false);
    });

    test('has nothing to do where there is no such role, and refuses the role it is logged in with itself', async () => {
      await apply(connector, stepOf('disable', 'no-such-role', []));
      const own = await existingRole(bao, 'countersign', ['root-like']);
      await bao.call('POST', 'sys/policies/acl/root-like', { policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }' });
      await expect(apply(connectorTo(bao, bao.port, own.token), stepOf('disable', 'countersign', []))).rejects.toMatchObject({ kind: 'rejected' });
      expect(await isAlive(bao, own.token)).toBe(true);
    });
  });

  describe('names', () => {
    test.each(['', 'Upper', 'a b', 'a/b', '../sys', 'a,b', 'ä', 'a#b', '.a', 'a-', 'x'.repeat(81)])('%j is no role to give anything to', async (account) => {
      for (const action of ['provision', 'grant', 'disable'] as const) {
        await expect(apply(connector, stepOf(action, account, []))).rejects.toMatchObject({ kind: 'rejected' });
      }
      await expect(connector.read(stepOf('provision', account), deadline())).rejects.toMatchObject({ kind: 'rejected' });
    });

    test.each(['a', 'a.b-c_d', '0', '_x_', 'x'.repeat(80)])('%j is one', async (account) => {
      const step = stepOf('provision', account);
      await apply(connector, step);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    });
  });

  test('an action that it cannot do is refused, and changes nothing', async () => {
    const worker = await existingRole(bao, 'in-place');
    for (const action of ['replace', 'call'] as const) await expect(apply(connector, stepOf(action, 'in-place', [], newToken()))).rejects.toMatchObject({ kind: 'rejected' });
    expect(await isAlive(bao, worker.token)).toBe(true);
  });
});
