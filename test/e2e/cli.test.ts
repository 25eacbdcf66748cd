/** `countersign` as it is installed: one process a command, a real sidecar, a real executor and a real database behind it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { VERSION } from '../../src/version.ts';
import { countersign, openBench, refusal, type Bench, type Ran } from './support/bench.ts';

let bench: Bench;
let installation: Installation;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  installation = bench.install('cli');
  await installation.startExecutor();
  await installation.startSidecar();
});
afterAll(() => bench.close());

const DEPLOY = `INSERT INTO deployments (version) VALUES ('cli')`;
const run = (...args: string[]): Promise<Ran> => countersign([...args, '--config', installation.paths.config]);
const parsed = (ran: Ran): ChangeView => JSON.parse(ran.stdout) as ChangeView;

/** A grant that is in use, asked for and approved by command. */
async function granted(reason: string): Promise<ChangeView> {
  const file = join(bench.directory, 'grant.json');
  writeFileSync(file, JSON.stringify({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason, duration: 'PT10M', entitlements: onApp('role:deploy') }));
  const asked = ['request', '-f', file, '--as', 'nhi:prod/ci-deployer', '--idempotency-key', reason, '--json'];
  const { id, planDigest } = parsed(await run(...asked));
  const waiting = run(...asked, '--wait', 'PT30S');
  expect((await run('approve', id, '--plan-digest', planDigest!, '--as', 'person:wei')).exitCode).toBe(0);
  const active = await waiting;
  expect([active.exitCode, parsed(active).state]).toEqual([0, 'active']);
  expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('works');
  return parsed(active);
}

async function isRevoked(id: string): Promise<void> {
  await until(`${id} is revoked`, async () => {
    const shown = await run('changes', 'show', id, '--as', 'person:sam', '--json');
    return shown.exitCode === 0 && parsed(shown).state === 'revoked' ? true : undefined;
  }, { timeoutMs: 30_000, everyMs: 250 });
}

describe('with the sidecar up', () => {
  it('access is asked for, approved, used, taken back, and all of it verified', async () => {
    const change = await granted('with the sidecar up');
    const revoked = await run('revoke', '--change', change.id, '--now', '--as', 'person:sam');
    expect([revoked.exitCode, revoked.stdout]).toEqual([0, `${change.id} revoking\n`]);
    await isRevoked(change.id);
    expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('42501');
    const verified = await countersign(['verify', installation.paths.ledger, '--trust', installation.paths.trust]);
    expect(verified.stdout).toContain('✓ WORKFLOW');
    expect(verified.exitCode).toBe(0);
  });
});

describe('with the sidecar killed', () => {
  it('the operator takes access back at the executor, and it is on record afterwards', async () => {
    const change = await granted('killed, by change');
    await installation.sidecar.kill9();
    const { exitCode, stdout, stderr } = await run('revoke', '--change', change.id, '--now');
    expect([exitCode, stdout]).toEqual([0, `${change.id} done by executor:main\n`]);
    expect(stderr).toContain('going to the executor directly');
    expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('42501');

    await installation.startSidecar();
    await isRevoked(change.id);
    const why = await run('changes', 'why', change.id, '--as', 'person:wei');
    expect(why.stdout).toMatch(/executor:main took the access back at \S+, because person:sam ordered it\.\n$/);
    expect((await countersign(['verify', installation.paths.ledger, '--trust', installation.paths.trust])).exitCode).toBe(0);
  });

  it('everything that an identity holds goes at once, found in the ledger on disk', async () => {
    const change = await granted('killed, by identity');
    await installation.sidecar.kill9();
    const { exitCode, stdout } = await run('revoke', '--nhi', 'nhi:prod/ci-deployer', '--now', '--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ direct: true, revokes: [{ changeId: change.id, executor: 'executor:main', outcome: 'done', detail: null }] });
    await installation.startSidecar();
    await isRevoked(change.id);
  });

  it('an order in hand is enough: no ledger, no configuration, no policy', async () => {
    const change = await granted('killed, by order');
    const { records } = await installation.as('person:wei').evidence(change.id);
    const authorised = records.map(({ body }) => body as { lease?: { order?: unknown } }).find(({ lease }) => lease?.order !== undefined);
    const order = join(bench.directory, 'order.json');
    writeFileSync(order, JSON.stringify(authorised?.lease?.order));
    await installation.sidecar.kill9();
    const { exitCode, stdout } = await countersign(['revoke', '--now', '--order', order, '--key', installation.paths.revokerKey, '--executor', installation.paths.executorSocket]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${change.id} done by executor:main`));
    await installation.startSidecar();
    await isRevoked(change.id);
  });

  it('a key that the floor does not know takes nothing back', async () => {
    const change = await granted('killed, by a stranger');
    const key = join(bench.directory, 'stranger.key');
    expect((await countersign(['keygen', 'revoker', '--name', 'person:sam', '--out', key])).exitCode).toBe(0);
    await installation.sidecar.kill9();
    const { exitCode, stdout } = await run('revoke', '--change', change.id, '--now', '--key', key);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('rejected');
    expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('works');
    await installation.startSidecar();
    expect((await run('revoke', '--change', change.id, '--as', 'person:sam')).exitCode).toBe(0);
    await isRevoked(change.id);
  });

  it('and the executor gone as well, says that nobody took the order', async () => {
    const change = await granted('both gone');
    await installation.sidecar.kill9();
    await installation.executor.kill9();
    const { exitCode, stdout } = await run('revoke', '--change', change.id, '--now');
    expect(exitCode).toBe(4);
    expect(stdout).toContain('unreachable');
    await installation.startExecutor();
    await installation.startSidecar();
    expect((await run('revoke', '--change', change.id, '--as', 'person:sam')).exitCode).toBe(0);
    await isRevoked(change.id);
  });
});

describe('the processes', () => {
  it('a second sidecar on the same ledger does not start, and says who has it', async () => {
    const { exitCode, stderr } = await countersign(['serve', '--config', installation.paths.config]);
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/\(locked\)[\s\S]*The sidecar was not started\.[\s\S]*another sidecar has this ledger/);
  });

  it('a second executor on the same state does not start', async () => {
    const { exitCode, stderr } = await countersign(['worker', '--config', installation.paths.executorConfig]);
    expect(exitCode).toBe(4);
    expect(stderr).toContain('The executor was not started');
  });

  it('serve stops in order at SIGTERM, and leaves a ledger that verifies', async () => {
    await installation.sidecar.stop();
    expect((await countersign(['verify', installation.paths.ledger, '--trust', installation.paths.trust])).exitCode).toBe(0);
    await installation.startSidecar();
  });

  it('the configuration in force is printed with where it comes from', async () => {
    const { exitCode, stdout } = await countersign(['serve', '--config', installation.paths.config, '--print-config'], { COUNTERSIGN_LIMITS_TICKET_SECONDS: '60' });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/ticketSeconds: 60 # COUNTERSIGN_LIMITS_TICKET_SECONDS/);
  });

  it('a misspelt key in it is named', async () => {
    const path = join(bench.directory, 'misspelt.yaml');
    writeFileSync(path, `${readFileSync(installation.paths.config, 'utf8')}limts: {}\n`);
    const { exitCode, stderr } = await countersign(['serve', '--config', path]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('/limts: unknown key');
  });

  it('says its version', async () => {
    expect((await countersign(['--version'])).stdout).toBe(`${VERSION}\n`);
  });
});

/** SIGTERM, and it is gone. */
async function stopped(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  await until(`process ${pid} ends`, () => {
    try {
      process.kill(pid, 0);
      return undefined;
    } catch {
      return true;
    }
  }, { timeoutMs: 10_000 });
}

describe('countersign dev', () => {
  it('makes an installation, starts an executor that outlives it, and answers', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cs-dev-'));
    const home = join(directory, '.countersign', 'dev');
    const child = spawn(process.execPath, [installation.paths.cli, 'dev'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    let talk = '';
    child.stderr.on('data', (chunk: Buffer) => (talk += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => (talk += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let executor: number | null = null;
    try {
      await until('dev says what to ask', () => (talk.includes('curl --unix-socket') ? true : undefined), { timeoutMs: 30_000 });
      executor = Number(readFileSync(join(home, 'executor', 'pid'), 'utf8'));
      const denied = await countersign(['request', '--config', join(home, 'countersign.yaml'), '--as', 'nhi:prod/billing-export', '--kind', 'grant', '--subject', 'nhi:prod/billing-export',
        '--purpose', 'nightly-billing', '--reason', 'try it', '--duration', 'PT15M', '--entitlement', 'pg-main/app/role:nothing']);
      expect([denied.exitCode, denied.stdout]).toEqual([1, expect.stringContaining('denied')]);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(process.kill(executor, 0)).toBe(true);
    } finally {
      child.kill('SIGKILL');
      await ended;
      if (executor !== null) await stopped(executor);
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
