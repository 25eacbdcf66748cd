import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeRequest, Client } from '../../src/client/index.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, GRANT, RECIPIENT, tokenOf } from '../support/sidecar.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const CALLER = 'nhi:prod/ci-deployer';
const ROTATION: ChangeRequest = { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'quarterly', recipient: RECIPIENT, grace: 'PT1H' };
let sidecar: ServedSidecar;
let desk: Desk;
beforeEach(async () => {
  sidecar = await serveTestSidecar({ decide: () => answerOf('allow') });
  desk = openDesk();
});
afterEach(async () => {
  await sidecar.close();
  desk.remove();
});
const as = (principal: string, ...argv: string[]): Promise<Ran> => desk.with({ env: { COUNTERSIGN_TOKEN: tokenOf(principal), COUNTERSIGN_SOCKET: sidecar.socket } }).run(...argv);
const rotate = (...more: string[]): Promise<Ran> =>
  desk.with({ env: { COUNTERSIGN_TOKEN: tokenOf(CALLER), COUNTERSIGN_SOCKET: sidecar.socket }, readStdin: () => Promise.resolve(Buffer.from(JSON.stringify(ROTATION))) }).run('request', '-f', '-', ...more);
const fetched = async (client: Client, id: string): Promise<void> => {
  const { digest } = await client.delivery(id);
  await client.acknowledge(id, digest);
};
/** Asked for, and its new login there, however long that takes: the id. */
const staged = async (...more: string[]): Promise<string> => {
  const id = /^chg_\S+/.exec((await rotate(...more)).stdout)![0];
  await sidecar.client(CALLER).wait(id, { until: ({ state }) => state === 'staged', timeoutMs: 15_000 });
  return id;
};

describe('a rotation by command', () => {
  it('--wait exits 5 while its secret is not fetched or its consumers have not confirmed, and says so; 0 when it is through', async () => {
    const id = await staged('--idempotency-key', 'k');
    const first = await rotate('--idempotency-key', 'k', '--wait', 'PT1S');
    expect(first.exit).toBe(5);
    expect(first.stdout).toMatch(new RegExp(`^${id} {2}staged\n`));
    expect(first.stderr).toMatch(/waits: the new secret has not been fetched/);
    await fetched(sidecar.client(CALLER), id);
    const second = await rotate('--idempotency-key', 'k', '--wait', 'PT1S');
    expect(second.exit).toBe(5);
    expect(second.stderr).toMatch(/waits: until .* deploy-pipeline confirms/);
    expect((await as(CALLER, 'confirm', id, '--consumer', 'deploy-pipeline')).exit).toBe(0);
    expect((await rotate('--idempotency-key', 'k', '--wait', 'PT10S')).exit).toBe(0);
  });

  it('is shown with its steps, how far each is, its consumers, and what it waits for', async () => {
    const id = await staged();
    const { stdout } = await as('person:wei', 'changes', 'show', id);
    expect(stdout).toMatch(/system +pg-main \/ app/);
    expect(stdout).toMatch(/plan +stage ci_deployer_b at pg-main \/ app: role:ci_deployer {2}\(done\)\n +cutover ci_deployer_b .*\n +retire ci_deployer_a /);
    expect(stdout).toMatch(/rotation +old and new side by side; .*\n(?:.*\n)* +old login +valid/);
    expect(stdout).toMatch(/consumer +deploy-pipeline\n/);
    expect(stdout).toMatch(/waits +the new secret has not been fetched/);
    await fetched(sidecar.client(CALLER), id);
    const confirmed = await as('person:wei', 'confirm', id, '--consumer', 'deploy-pipeline');
    expect([confirmed.exit, confirmed.stdout]).toEqual([0, `${id} confirmed by deploy-pipeline\n`]);
    expect(confirmed.stderr).toContain('no consumer is waited for any more');
    expect((await as('person:wei', 'changes', 'list', '--kind', 'rotate')).stdout).toMatch(new RegExp(`^${id} {2}\\S+ +rotate {2}${CALLER} {2}pg-main/app$`, 'm'));
    await sidecar.client(CALLER).wait(id, { until: ({ state }) => state === 'done' });
    const why = await as('person:wei', 'changes', 'why', id);
    expect(why.exit).toBe(0);
    expect(why.stdout).toContain('deploy-pipeline');
  });

  it('is confirmed by those who may', async () => {
    const id = await staged();
    await fetched(sidecar.client(CALLER), id);
    const refused = await as('person:kim', 'confirm', id, '--consumer', 'deploy-pipeline', '--json');
    expect(refused.exit).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'not-a-consumer' } });
    expect((await as(CALLER, 'confirm', id)).exit).toBe(2);
    expect((await as(CALLER, 'confirm', id, '--consumer', 'nobody')).exit).toBe(1);
  });
});

describe('other kinds by command', () => {
  it.each([
    ['disable', ['--kind', 'disable', '--subject', CALLER, '--connector', 'pg-main', '--target', 'app', '--reason', 'gone']],
    ['offboard', ['--kind', 'offboard', '--subject', 'thirdParty:northwind-analytics', '--reason', 'the contract is over']],
  ])('%s is asked for and waited for', async (kind, flags) => {
    const { exit, stdout, stderr } = await as('person:wei', 'request', ...flags, '--wait', 'PT10S', '--json');
    expect(exit, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind, state: 'done' });
  });

  it('an offboarding is shown item by item, and its story told', async () => {
    const { stdout } = await as('person:wei', 'request', '--kind', 'offboard', '--subject', 'thirdParty:northwind-analytics', '--reason', 'over', '--wait', 'PT10S', '--json');
    const { id, items } = JSON.parse(stdout) as { id: string; items: { change: string }[] };
    expect((await as('person:wei', 'changes', 'show', id)).stdout).toMatch(new RegExp(`items +nhi:prod/warehouse-sync, warehouse_sync at pg-main / app: gone by ${items[0]!.change}`));
    expect((await as('person:wei', 'changes', 'show', items[0]!.change)).stdout).toMatch(new RegExp(`part of +${id}`));
    expect((await as('person:wei', 'changes', 'why', id)).exit).toBe(0);
  });

  it.each([
    ['a rotation without a system', ['--kind', 'rotate', '--subject', CALLER, '--purpose', 'deploy-orders', '--reason', 'x']],
    ['access for a person', ['--kind', 'grant', '--subject', 'person:wei', '--purpose', 'deploy-orders', '--reason', 'x', '--duration', 'PT1M', '--entitlement', 'pg-main/app/role:deploy']],
    ['a kind that is none', ['--kind', 'extend', '--subject', CALLER, '--reason', 'x']],
  ])('%s is 2', async (_what, flags) => {
    expect((await as(CALLER, 'request', ...flags)).exit).toBe(2);
  });
});

describe('a lock by command', () => {
  it('is set, listed and lifted; what it holds up says so', async () => {
    const set = await as('person:wei', 'lock', 'set', '--nhi', CALLER, '--reason', 'its key was in a log');
    expect(set.exit, set.stderr).toBe(0);
    const id = /^lck_\S+/.exec(set.stdout)![0];
    expect(set.stdout).toBe(`${id} locks ${CALLER}\n`);
    expect((await as('person:wei', 'lock', 'list')).stdout).toMatch(new RegExp(`^${id} {2}\\S+ {2}person:wei {2}${CALLER} {2}its key was in a log\\n$`));
    const change = await sidecar.client(CALLER).request(GRANT);
    await sidecar.client(CALLER).wait(change.id, { until: ({ state }) => state === 'scheduled' });
    expect((await as('person:wei', 'changes', 'show', change.id)).stdout).toMatch(new RegExp(`waits +locked by person:wei \\(${id}\\): its key was in a log`));
    expect((await as('person:wei', 'lock', 'lift', id, '--reason', 'replaced')).stdout).toBe(`${id} is lifted from ${CALLER}\n`);
    await sidecar.client(CALLER).wait(change.id, { until: ({ state }) => state === 'active' });
    const listed = await as('person:wei', 'lock', 'list', '--json');
    expect(JSON.parse(listed.stdout)).toEqual({ locks: [] });
  });

  it.each([
    ['nhi:prod/ci-deployr', ['--nhi', 'nhi:prod/ci-deployr'], /WARNING: no identity nhi:prod\/ci-deployr is known .+ NOT locked/],
    ['pg-mian', ['--connector', 'pg-mian'], /WARNING: no identity .+ at a connector pg-mian\. .+ NOT locked/],
  ])('of %s, which nobody knows, is set with a warning', async (_name, scope, warning) => {
    const { exit, stdout, stderr } = await as('person:olga', 'lock', 'set', ...scope, '--reason', 'typed in a hurry');
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/^lck_/)]);
    expect(stderr).toMatch(warning);
  });

  it('of what is known is set without one', async () => {
    const { stderr } = await as('person:olga', 'lock', 'set', '--nhi', CALLER, '--connector', 'pg-main', '--reason', 'x');
    expect(stderr).not.toContain('WARNING');
  });

  it.each([[['set', '--reason', 'x']], [['set', '--nhi', CALLER]], [['lift', 'lck_01M8571XRWJ2028CSGVGJ3QSF9']], [['set', '--connector', 'PG', '--reason', 'x']]])('%j is 2', async (argv) => {
    expect((await as('person:olga', 'lock', ...argv)).exit).toBe(2);
  });

  it.each([['person:mallory', ['set', '--nhi', CALLER, '--reason', 'x']], ['person:olga', ['lift', 'lck_01M8571XRWJ2028CSGVGJ3QSF9', '--reason', 'x']]])('%s: %j is 1', async (by, argv) => {
    expect((await as(by, 'lock', ...argv)).exit).toBe(1);
  });

  it('says nothing that moves the terminal', async () => {
    // As a sidecar of before had it recorded.
    await sidecar.engine.lock('person:olga', { nhi: null, connector: 'pg-main' }, 'a\u200bb');
    const { stdout } = await as('person:olga', 'lock', 'list');
    expect(stdout).toContain('everybody at pg-main  a\\u{200b}b');
  });
});
