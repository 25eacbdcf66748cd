import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { finder } from '../support/found.ts';
import { connectorTo, CONNECTOR, existingRole, login, prepareSecrets, READ_APP, READ_OPS, rotateQuery, rotationSteps, stepOf, TARGET } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, newToken, orderOf, SECRET } from '../support/postgres-cases.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('what the connector finds at OpenBao', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = connectorTo(bao);
  });
  afterAll(() => bao.remove());

  const { everything, accountOf, grantOf } = finder(() => connector, CONNECTOR, TARGET);

  test('a role that nobody told us of, with its policies, secret-ids and open tokens', async () => {
    const role = await existingRole(bao, 'legacy', ['read-app']);
    const found = await accountOf('legacy');
    expect(found).toMatchObject({ canLogin: true, isOwn: false, held: [READ_APP], marks: [], nativeId: role.roleId, sessions: 1, endsAt: null, lastUsedAt: null });
    expect(found?.credentials).toMatchObject([{ expiresAt: null, usesLeft: null, clientToken: null }]);
    expect(found?.credentials[0]?.createdAt).toMatch(/^20\d\d-/);
    await bao.call('POST', 'auth/token/revoke-self', {}, role.token);
    expect((await accountOf('legacy'))?.sessions).toBe(0);
  });

  test('a role without a secret-id, and one whose secret-ids have expired or are used up, lets nobody in', async () => {
    await bao.call('POST', 'auth/approle/role/empty', {});
    expect(await accountOf('empty')).toMatchObject({ canLogin: false, credentials: [] });
    await bao.call('POST', 'auth/approle/role/brief', {});
    await bao.call('POST', 'auth/approle/role/brief/custom-secret-id', { secret_id: randomUUID(), ttl: '1s' });
    await expect.poll(async () => (await accountOf('brief'))?.canLogin, { timeout: 10_000 }).toBe(false);
    await bao.call('POST', 'auth/approle/role/twice', {});
    await bao.call('POST', 'auth/approle/role/twice/custom-secret-id', { secret_id: randomUUID(), num_uses: 2 });
    expect(await accountOf('twice')).toMatchObject({ canLogin: true, credentials: [{ usesLeft: 2 }] });
    await bao.call('POST', 'auth/approle/role/open', { bind_secret_id: false, secret_id_bound_cidrs: ['127.0.0.1/32'] });
    expect(await accountOf('open')).toMatchObject({ canLogin: true, credentials: [] });
  });

  test('what Countersign made, lent, staged and shut out, each by its client token', async () => {
    const made = stepOf('provision', 'made-here');
    await apply(connector, made, { validUntil: new Date(Date.now() + 3_600_000).toISOString() });
    const account = await accountOf('made-here');
    expect(account).toMatchObject({ canLogin: true, held: [READ_APP], marks: [{ clientToken: made.clientToken, what: 'made' }], credentials: [{ clientToken: made.clientToken }] });
    expect(account?.endsAt).toMatch(/^20\d\d-/);

    await existingRole(bao, 'borrower');
    const lent = stepOf('grant', 'borrower', [READ_OPS]);
    await apply(connector, lent);
    expect(await grantOf(lent.clientToken)).toMatchObject({ accounts: ['borrower'], held: [READ_OPS] });
    expect(await accountOf('borrower')).toMatchObject({ held: [] });

    const token = newToken();
    const steps = rotationSteps((await connector.read(rotateQuery('borrower', token), deadline())).touched, token);
    await apply(connector, steps.stage);
    const staged = await accountOf('borrower');
    expect(staged?.credentials.map(({ clientToken }) => clientToken).filter((one) => one !== null)).toEqual([token]);

    const disabled = stepOf('disable', 'borrower', []);
    await apply(connector, disabled);
    expect(await accountOf('borrower')).toMatchObject({ canLogin: false, marks: [{ clientToken: disabled.clientToken, what: 'disabled' }] });
    await connector.revoke(orderOf(lent), deadline());
    expect(await grantOf(lent.clientToken)).toBeUndefined();
  });

  test('a group of others named like ours is no grant, and somebody put into ours beside is seen', async () => {
    const theirs = newToken();
    await bao.call('POST', `identity/group/name/${theirs}`, { policies: ['read-ops'] });
    expect(await grantOf(theirs)).toBeUndefined();
    await existingRole(bao, 'first');
    const stranger = await existingRole(bao, 'second');
    const lent = stepOf('grant', 'first');
    await apply(connector, lent);
    const group = (await bao.call('GET', `identity/group/name/${lent.clientToken}`)).data;
    await bao.call('POST', `identity/group/id/${String(group['id'])}`, { member_entity_ids: [...(group['member_entity_ids'] as string[]), stranger.entityId] });
    expect((await grantOf(lent.clientToken))?.accounts).toEqual([`entity ${stranger.entityId}`, 'first'].sort());
  });

  test('every role once over several pages, though some come and go meanwhile', async () => {
    for (let n = 0; n < 70; n += 1) await bao.call('POST', `auth/approle/role/many-${String(n)}`, {});
    const first = await connector.discover!({ connector: CONNECTOR, after: null }, deadline());
    expect(first.next).not.toBeNull();
    await bao.call('DELETE', 'auth/approle/role/many-5');
    await bao.call('POST', 'auth/approle/role/zz-new', {});
    const names = (await everything()).flatMap((entry) => (entry.kind === 'account' ? [entry.account] : []));
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.startsWith('many-'))).toHaveLength(69);
    expect(names).toContain('zz-new');
  });

  test('and never a secret', async () => {
    const role = await existingRole(bao, 'secretive');
    await login(bao, role.roleId, role.secret);
    const text = JSON.stringify(await everything());
    for (const secret of [SECRET, role.secret, role.token, bao.rootToken]) expect(text).not.toContain(secret);
  });
});
