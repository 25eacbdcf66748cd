import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, ClientError, type Client } from '../../src/client/index.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor, type ScriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT, PROVISION } from '../support/sidecar.ts';

let installation: Installation;
let executor: ScriptedExecutor;
const running: Sidecar[] = [];
beforeEach(async () => {
  installation = await makeInstallation();
  executor = scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now());
});
afterEach(async () => {
  for (const sidecar of running.splice(0)) await sidecar.close();
  await installation.remove();
});

async function start(): Promise<Sidecar> {
  const sidecar = await startSidecar(await installation.config(), { transport: executor });
  running.push(sidecar);
  return sidecar;
}
const clientOf = (sidecar: Sidecar, principal: string): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });

describe('a sidecar, started from its files', () => {
  it('takes a change from request to revoke, over its socket and over loopback, with the policy of the package', async () => {
    const sidecar = await start();
    const caller = clientOf(sidecar, 'nhi:prod/ci-deployer');
    const approver = connect({ url: sidecar.url!, token: TOKENS['person:wei']! });
    const asked = await caller.request(GRANT, { idempotencyKey: 'run "1"', waitSeconds: 20 });
    expect(asked.state, JSON.stringify(asked.decision)).toBe('pending');
    expect((await caller.request(GRANT, { idempotencyKey: 'run "1"' })).id).toBe(asked.id);

    const seen: string[] = [];
    const waiting = caller.wait(asked.id, { until: (change) => change.state === 'active', seen: (change) => seen.push(change.state) });
    await approver.approve(asked.id, asked.planDigest!);
    expect(await waiting).toMatchObject({ state: 'active', approvals: [{ approver: 'person:wei' }] });
    expect(seen[0]).toBe('pending');
    expect((await approver.list({ state: 'active' })).changes.map((change) => change.id)).toEqual([asked.id]);
    expect((await approver.leases()).leases).toHaveLength(1);
    expect((await approver.nhi('nhi:prod/ci-deployer')).leases).toHaveLength(1);
    expect((await caller.evidence(asked.id)).records.length).toBeGreaterThan(5);
    expect(await caller.ready()).toMatchObject({ ready: true });

    expect((await approver.revoke(asked.id, 'enough')).recorded).toBe(true);
    expect((await caller.wait(asked.id, { until: (change) => change.state === 'revoked' })).ended).toMatchObject({ outcome: 'done' });
  });

  it('knows everything again after a restart, Idempotency-Keys included, and goes on where it was', async () => {
    const first = await start();
    const change = await clientOf(first, 'nhi:prod/ci-deployer').request(GRANT, { idempotencyKey: 'k', waitSeconds: 20 });
    await first.close();
    const second = await start();
    const caller = clientOf(second, 'nhi:prod/ci-deployer');
    expect((await caller.get(change.id)).planDigest).toBe(change.planDigest);
    expect((await caller.request(GRANT, { idempotencyKey: 'k' })).id).toBe(change.id);
    await clientOf(second, 'person:wei').approve(change.id, change.planDigest!);
    expect((await caller.wait(change.id, { until: ({ state }) => state === 'active' })).state).toBe('active');
  });

  it('keeps files that only its owner reads, and the ledger directory free of anything but the ledger', async () => {
    const sidecar = await start();
    const change = await clientOf(sidecar, 'nhi:prod/billing-export').request(PROVISION, { waitSeconds: 20 });
    await clientOf(sidecar, 'person:ana').approve(change.id, change.planDigest!);
    const active = await clientOf(sidecar, 'nhi:prod/billing-export').wait(change.id, { until: ({ state }) => state === 'active' });
    const [name] = await readdir(join(installation.directory, 'data/deliveries'));
    expect(`sha256:${name}`).toBe(active.delivery!.digest);
    expect((await stat(join(installation.directory, 'data/deliveries', name!))).mode & 0o077).toBe(0);
    expect((await stat(sidecar.socket!)).mode & 0o777).toBe(0o600);
    await sidecar.log.sync();
    expect((await readdir(join(installation.directory, 'data/ledger'))).sort()).toEqual(['checkpoint', 'objects', 'tile']);
  });

  it('answers those who wait before it is gone, and takes nobody new', async () => {
    const sidecar = await start();
    const caller = clientOf(sidecar, 'nhi:prod/ci-deployer');
    const change = await caller.request(GRANT, { waitSeconds: 20 });
    const waiting = caller.wait(change.id, { until: (latest) => latest.length !== change.length, timeoutMs: 1 });
    const closing = sidecar.close();
    expect((await waiting).state).toBe('pending');
    await closing;
    await expect(caller.get(change.id)).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('gives nothing without a policy, says so, and still takes back', async () => {
    const before = await start();
    const change = await clientOf(before, 'nhi:prod/ci-deployer').request(GRANT, { waitSeconds: 20 });
    await clientOf(before, 'person:wei').approve(change.id, change.planDigest!);
    await clientOf(before, 'person:wei').wait(change.id, { until: ({ state }) => state === 'active' });
    await before.close();

    await mkdir(join(installation.directory, 'empty'));
    const sidecar = await startSidecar({ ...(await installation.config()), policy: join(installation.directory, 'empty') }, { transport: executor });
    running.push(sidecar);
    const ready = await clientOf(sidecar, 'person:sam').ready();
    expect(ready).toMatchObject({ ready: false });
    expect(ready.checks).toContainEqual(expect.objectContaining({ check: 'policy', ok: false }));
    const steps = executor.steps.length;
    const asked = await clientOf(sidecar, 'nhi:prod/ci-deployer').request({ ...GRANT, reason: 'while there is no policy' }, { waitSeconds: 20 });
    expect(asked).toMatchObject({ state: 'denied', decision: { effect: 'deny', reasons: [{ code: 'no-policy' }] } });
    expect(executor.steps.slice(steps).every((step) => step.plan === null)).toBe(true);
    await clientOf(sidecar, 'person:wei').revoke(change.id);
    expect((await clientOf(sidecar, 'person:wei').wait(change.id, { until: ({ state }) => state === 'revoked' })).state).toBe('revoked');
  });
});

describe('a sidecar that cannot be started', () => {
  it.each(['log.key', 'ticket.key', 'tokens.json'])('does not listen while others can read %s', async (name) => {
    await chmod(join(installation.directory, name), 0o644);
    await expect(start()).rejects.toThrow(`${name}: others can read or write it`);
    await expect(stat(join(installation.directory, 's.sock'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('never says what a key file holds', async () => {
    const secret = 'PRIVATE+KEY+almost+a+key+AAAAsecret';
    await installation.write('log.key', secret);
    const error: unknown = await start().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'bad-key' });
    expect(`${String(error)} ${JSON.stringify(error)} ${(error as Error).stack ?? ''}`).not.toContain('AAAAsecret');
  });

  it('refuses the key of another log', async () => {
    await installation.write('log.key', await readFile(join(installation.directory, 'ticket.key'), 'utf8'));
    await expect(start()).rejects.toMatchObject({ code: 'bad-key' });
  });

  it('refuses an executor whose reports it would not believe', async () => {
    await installation.write('trust/executors.json', '[]');
    await expect(start()).rejects.toMatchObject({ code: 'untrusted-executor' });
  });

  it('refuses to take the word of a log whose ticket key it does not have', async () => {
    const config = await readFile(installation.configPath, 'utf8');
    await installation.write('countersign.yaml', `${config}nats: {servers: ['nats://127.0.0.1:1'], seed: nats.seed, relays: [elsewhere.example/log]}\n`);
    await expect(start()).rejects.toMatchObject({ code: 'untrusted-relay' });
  });

  it('leaves the one that runs alone, and can start once that is gone', async () => {
    const first = await start();
    await expect(start()).rejects.toMatchObject({ code: 'locked' });
    expect(await clientOf(first, 'person:sam').ready()).toMatchObject({ ready: true });
    await first.close();
    expect(await clientOf(await start(), 'person:sam').ready()).toMatchObject({ ready: true });
  });
});

describe('the client', () => {
  it('gives the server’s code, status and fields', async () => {
    const sidecar = await start();
    const caller = clientOf(sidecar, 'nhi:prod/ci-deployer');
    const error: unknown = await caller.request({ ...GRANT, duration: 'soon' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'invalid-request', status: 422, errors: [{ pointer: '/duration' }] });
    await expect(connect({ socket: sidecar.socket!, token: 'cst_wrong' }).list()).rejects.toMatchObject({ code: 'unauthenticated', status: 401 });
    await expect(caller.get('chg_unknown')).rejects.toMatchObject({ code: 'no-such-change', status: 404 });
  });

  it('says that nobody is there', async () => {
    await expect(connect({ socket: join(installation.directory, 'nobody.sock'), token: 't' }).ready()).rejects.toMatchObject({ code: 'unreachable', status: null });
  });

  it('gives up when it is told to', async () => {
    const sidecar = await start();
    const caller = clientOf(sidecar, 'nhi:prod/ci-deployer');
    const change = await caller.request(GRANT, { waitSeconds: 20 });
    await expect(caller.wait(change.id, { until: () => false, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('takes a socket or a URL, not both and not neither', () => {
    expect(() => connect({ token: 't' })).toThrow(TypeError);
    expect(() => connect({ token: 't', socket: 's', url: 'http://localhost' })).toThrow(TypeError);
  });
});
