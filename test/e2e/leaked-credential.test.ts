/** The runbook of a leaked credential, command by command, against real processes that are killed first. */
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, rmSync, symlinkSync, writeFileSync, appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { CERTIFICATE, KEY } from '../support/door-certificate.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, countMarked, openBench, type Bench, type Ran } from './support/bench.ts';
import { published } from './support/grants.ts';
import { fetchSecretOf } from './support/people.ts';

const EXECUTOR = 'executor:main';
const NHI = 'nhi:prod/billing-export';
const REST_MS = 60_000;
/** By hand in less than a minute: what the commands themselves may take, on a machine that does other things as well. */
const BY_HAND_MS = 60_000;

const page = readFileSync(join(import.meta.dirname, '../../docs/runbooks/leaked-credential.md'), 'utf8');
/** The commands under a heading, block by block. */
function blocksOf(heading: string): string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(heading));
  if (section === undefined) throw new Error(`the runbook has no section ${heading}`);
  return [...section.matchAll(/^```sh\n([^]*?)\n```$/gm)].map((match) => match[1]!);
}

describe.skipIf(!hasNats())('the sidecar and the bus are dead', () => {
  let bench: Bench;
  let nats: TestNats;
  let installation: Installation;
  const at = (...names: string[]): string => join(installation.paths.directory, ...names);
  beforeAll(async () => {
    bench = await openBench({ fsync: 'off' });
  });
  afterAll(() => bench.close());
  afterEach(async () => {
    await installation.stop();
    await nats.close();
  });

  /** Over a bus, with a door. `reaches`: what the sidecar's configuration says of the executor beside that. */
  const start = async (name: string): Promise<void> => {
    nats = await testNats([EXECUTOR]);
    const bus = { servers: [...nats.urls] };
    installation = bench.install(name, { config: { data: 'data', nats: { ...bus, seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }] } });
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    writeFileSync(at('secrets/door.key'), KEY, { mode: 0o600 });
    writeFileSync(at('door.crt'), CERTIFICATE);
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { ...bus, seed: 'keys/nats-worker.seed' }, door: { port: 0, certFile: 'door.crt', keyFile: 'secrets/door.key' } }));
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
    await installation.startExecutor();
    await installation.startSidecar();
    mkdirSync(at('bin'));
    symlinkSync(installation.paths.cli, at('bin', 'countersign'));
    chmodSync(installation.paths.cli, 0o755);
  };
  /** Where the executor's door is, by what it says when it starts. */
  const door = (): string => [...readFileSync(join(installation.paths.logs, 'executor.log'), 'utf8').matchAll(/"door":"(https:[^"]+)"/g)].at(-1)![1]!;
  const configureExecutor = (entry: Record<string, unknown>): void => {
    const config = parse(readFileSync(installation.paths.config, 'utf8')) as { executors: unknown };
    writeFileSync(installation.paths.config, stringify({ ...config, executors: [{ id: EXECUTOR, connectors: ['pg-main'], ...entry }] }));
  };

  /** A block of the runbook, as somebody types it in the folder of the configuration. */
  const type = (block: string, env: Readonly<Record<string, string>> = {}): Promise<Ran> => new Promise((resolve) => {
    const surroundings = { PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`, HOME: at(), NHI, ...env };
    execFile('/bin/sh', ['-e', '-c', block], { cwd: at(), timeout: BY_HAND_MS, env: surroundings }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });

  const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
  interface Leaked {
    readonly change: ChangeView;
    readonly secret: string;
  }
  /** An account that was made, its secret delivered, and found where it should not be: in `leaked.txt`. */
  const leak = async (): Promise<Leaked> => {
    const job = installation.as(NHI);
    const { id } = await job.request({
      kind: 'provision', subject: NHI, purpose: 'nightly-billing', reason: 'the nightly export', duration: 'PT15M', entitlements: onApp('table:public.orders:SELECT'), recipient: bench.recipient,
    });
    const asked = await job.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.as('person:ana').approve(id, asked.planDigest!);
    const change = await job.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
    expect(change.state).toBe('active');
    const secret = await fetchSecretOf(job, bench.identity, id);
    await published(at('data/ledger'), await job.acknowledge(id, change.delivery!.digest));
    expect(await works(change, secret)).toBe(true);
    writeFileSync(at('leaked.txt'), `${secret}\n`, { mode: 0o600 });
    return { change, secret };
  };
  const works = async (change: ChangeView, secret: string): Promise<boolean> => (await bench.database.use({ user: change.plan!.steps[0]!.account, password: secret }, 'SELECT 1')).ok;
  const killAllButTheExecutor = async (): Promise<void> => {
    await installation.sidecar.kill9();
    await nats.nodes[0]!.kill9();
  };
  /** Everything is back, the ledger has it, and it verifies. */
  const isOnRecord = async (change: ChangeView): Promise<void> => {
    if (!nats.nodes[0]!.isUp()) await nats.nodes[0]!.start();
    if (!installation.executor.isAlive()) await installation.startExecutor();
    await installation.startSidecar();
    const revoked = await installation.as('person:ana').wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS });
    expect(revoked.state).toBe('revoked');
    const [verify] = blocksOf('5.');
    const ran = await type(verify!);
    expect(ran.exitCode, ran.stdout + ran.stderr).toBe(0);
    expect(ran.stdout).toContain('✓ WORKFLOW');
  };
  const isGone = async ({ change, secret }: Leaked): Promise<void> => {
    expect([await countMarked(bench.database, tokenOf(change)), await works(change, secret)]).toEqual([0, false]);
  };
  const isNowhere = (secret: string, ran: readonly Ran[]): void => {
    for (const { stdout, stderr } of ran) expect(stdout + stderr).not.toContain(secret);
    for (const log of ['executor.log', 'sidecar.log']) expect(readFileSync(join(installation.paths.logs, log), 'utf8')).not.toContain(secret);
  };

  test('whose it is, and what it opens is taken back at the socket', async () => {
    await start('leaked-socket');
    const leaked = await leak();
    configureExecutor({ socket: installation.paths.executorSocket });
    await killAllButTheExecutor();
    const startedMs = performance.now();
    const [identify, inTwo] = blocksOf('1.');
    const told = await type(identify!);
    expect(told.exitCode, told.stderr).toBe(0);
    expect(told.stdout).toContain(`${NHI}  may still work\n`);
    expect(told.stdout).toMatch(/^ {2}owner +person:ana$/m);
    expect(told.stdout).toMatch(new RegExp(`^ {2}account +pg-main / app / ${leaked.change.plan!.steps[0]!.account}$`, 'm'));
    expect(told.stdout).toMatch(new RegExp(`^ {2}made by +${leaked.change.id} \\(provision\\)`, 'm'));
    expect(told.stdout).toMatch(new RegExp(`^ {2}opens +${leaked.change.id} .*${leaked.change.id.replace('chg_', 'lse_')}$`, 'm'));
    const elsewhere = await type(inTwo!);
    expect([elsewhere.exitCode, elsewhere.stdout]).toEqual([0, told.stdout]);
    const [byCredential] = blocksOf('2.');
    const revoked = await type(byCredential!);
    expect([revoked.exitCode, revoked.stdout], revoked.stderr).toEqual([0, `${leaked.change.id} done by ${EXECUTOR}\n`]);
    await isGone(leaked);
    expect(performance.now() - startedMs).toBeLessThan(BY_HAND_MS);
    isNowhere(leaked.secret, [told, elsewhere, revoked]);
    await isOnRecord(leaked.change);
    // What it opened is gone, so there is nothing left to take back.
    const again = await type(byCredential!);
    expect([again.exitCode, again.stderr]).toEqual([1, expect.stringContaining('(nothing-to-revoke)')]);
  });

  test('at the door, by what the configuration says of it and by what is in hand', async () => {
    await start('leaked-door');
    const first = await leak();
    const second = await leak();
    configureExecutor({ socket: 'run/nobody.sock', url: door(), caFile: 'door.crt' });
    await killAllButTheExecutor();
    const [, byName, inHand] = blocksOf('2.');
    const [byChange] = byName!.split('\n');
    const found = await type(byChange!, { CHANGE: first.change.id });
    expect([found.exitCode, found.stdout], found.stderr).toEqual([0, `${first.change.id} done by ${EXECUTOR}\n`]);
    await isGone(first);
    rmSync(installation.paths.config);
    const named = await type(inHand!, { CHANGE: second.change.id, DOOR: door() });
    expect([named.exitCode, named.stdout], named.stderr).toEqual([0, expect.stringContaining(`${second.change.id} done by ${EXECUTOR}`)]);
    await isGone(second);
  });

  test('with the ledger gone as well, by what the executor’s own lease book knows', async () => {
    await start('leaked-no-ledger');
    const leaked = await leak();
    configureExecutor({ socket: installation.paths.executorSocket });
    await killAllButTheExecutor();
    rmSync(at('data'), { recursive: true });
    const [, , byBook] = blocksOf('1.');
    const ran = await type(byBook!);
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(new RegExp(`^${NHI}  may still work\n[^]*\n${leaked.change.id} done by ${EXECUTOR}\n$`));
    await isGone(leaked);
    isNowhere(leaked.secret, [ran]);
  });

  test('everything of an identity, by hand, to an executor that runs', async () => {
    await start('leaked-by-hand');
    const leaked = await leak();
    await killAllButTheExecutor();
    await byHand(leaked);
    await isOnRecord(leaked.change);
  });

  test('and by hand where the executor is dead as well: what it did is on record once it runs again', async () => {
    await start('leaked-all-dead');
    const leaked = await leak();
    await killAllButTheExecutor();
    await installation.executor.kill9();
    await byHand(leaked);
    await isOnRecord(leaked.change);
  });

  test('nothing is given where a lock was set meanwhile; every sidecar holds it when it is back, until it is lifted', async () => {
    await start('leaked-locked');
    configureExecutor({ socket: installation.paths.executorSocket });
    await killAllButTheExecutor();
    const [set, write, apply, lift] = blocksOf('4.');
    const locked = await type(set!);
    expect([locked.exitCode, locked.stdout], locked.stderr).toEqual([0, expect.stringMatching(/^lck_\S+ set at executor:main\n$/)]);
    await installation.executor.kill9();
    const written = await type(write!);
    const applied = await type(apply!);
    expect([written.exitCode, applied.exitCode, applied.stdout], applied.stderr).toEqual([0, 0, expect.stringMatching(/^lck_\S+ set at executor:main\n$/)]);

    configureExecutor({});
    await nats.nodes[0]!.start();
    await installation.startExecutor();
    await installation.startSidecar();
    // The sidecar hears of both from the executor, over the bus.
    const locks = [locked.stdout, applied.stdout].map((text) => text.split(' ')[0]!);
    const listed = async (): Promise<string[]> => (await type('countersign lock list --as person:olga')).stdout.split('\n').slice(0, -1).map((row) => row.split(' ')[0]!);
    await expect.poll(async () => (await listed()).sort(), { timeout: REST_MS }).toEqual([...locks].sort());
    const job = installation.as(NHI);
    const { id } = await job.request({
      kind: 'provision', subject: NHI, purpose: 'nightly-billing', reason: 'too soon', duration: 'PT15M', entitlements: onApp('table:public.orders:SELECT'), recipient: bench.recipient,
    });
    const asked = await job.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.as('person:ana').approve(id, asked.planDigest!);
    const waiting = await job.wait(id, { until: ({ state }) => state === 'scheduled', timeoutMs: REST_MS });
    expect([waiting.state, await countMarked(bench.database, tokenOf(waiting))]).toEqual(['scheduled', 0]);
    expect((await type(`countersign lock lift ${locks[0]!} --reason enough --as person:olga`)).stderr).toContain('a revoker lifts it');

    configureExecutor({ socket: installation.paths.executorSocket });
    for (const lock of locks) expect((await type(lift!, { LOCK: lock })).stdout).toBe(`${lock} lifted at executor:main\n`);
    expect((await job.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS })).state).toBe('active');
    const [verify] = blocksOf('5.');
    expect((await type(verify!)).exitCode).toBe(0);
  });

  /** Signed in one folder, applied in another that has the executor's files only. */
  const byHand = async (leaked: Leaked): Promise<void> => {
    const startedMs = performance.now();
    const [sign, apply] = blocksOf('3.');
    const signed = await type(sign!);
    expect([signed.exitCode, signed.stdout], signed.stderr).toEqual([0, `${leaked.change.id} ordered back from ${EXECUTOR}, in ${at('order.dsse')}\n`]);
    expect(await works(leaked.change, leaked.secret), 'nothing was sent').toBe(true);
    const away = at('away');
    mkdirSync(away);
    for (const file of ['countersign.yaml', 'data']) cpSync(at(file), join(away, file), { recursive: true });
    rmSync(at('countersign.yaml'));
    const applied = await type(apply!);
    expect([applied.exitCode, applied.stdout], applied.stderr).toEqual([0, `${leaked.change.id} done by ${EXECUTOR}\n`]);
    await isGone(leaked);
    expect(performance.now() - startedMs).toBeLessThan(BY_HAND_MS);
    // The same file again finds that it is done, and harms nothing.
    const again = await type(apply!);
    expect([again.exitCode, again.stdout], again.stderr).toEqual([0, expect.stringMatching(/ (?:done|already-absent) by /)]);
    cpSync(join(away, 'countersign.yaml'), at('countersign.yaml'));
  };
});
