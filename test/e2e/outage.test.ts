/** Something that is needed is not there: the target, the disk, the sidecar, the policy. Nothing is given that should not be; everything is taken back. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { isSettled, type ChangeRequest, type ChangeView } from '../../src/client/index.ts';
import { countersign, countMarked, openBench, refusal, verificationTrouble, type Bench } from './support/bench.ts';
import { requestOnce, seeThrough } from './support/people.ts';
import { grantScenario, provisionScenario } from './support/scenarios.ts';

const DEPLOY = `INSERT INTO deployments (version) VALUES ('outage')`;
const REST_MS = 60_000;

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

const grant: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration: 'PT10M', entitlements: onApp('role:deploy'),
};

async function start(name: string, options: Parameters<Bench['install']>[1] = {}): Promise<Installation> {
  const installation = bench.install(name, options);
  await installation.startExecutor();
  await installation.startSidecar();
  return installation;
}

/** A grant that is active: requested, approved by its owner, given. */
async function activeGrant(installation: Installation): Promise<ChangeView> {
  const pipeline = installation.as('nhi:prod/ci-deployer');
  const { id } = await pipeline.request(grant);
  const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  await installation.as('person:wei').approve(id, asked.planDigest!);
  const active = await pipeline.wait(id, { until: (change) => change.state === 'active', timeoutMs: REST_MS });
  expect(active.state).toBe('active');
  expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
  return active;
}

const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
const isGone = (change: ChangeView): Promise<true> =>
  until('the access is gone', async () => ((await countMarked(bench.database, tokenOf(change))) === 0 ? true : undefined), { timeoutMs: REST_MS });

/** No room is left. Somebody else may take the last of it meanwhile. */
function fill(directory: string, filler: string): void {
  try {
    writeFileSync(filler, Buffer.alloc(statfsSync(directory).bsize * statfsSync(directory).bfree));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

describe('the database is down', () => {
  test.each([provisionScenario(), grantScenario()])('when a $kind is asked for: it waits and is done once, when the database is back', async (scenario) => {
    const installation = await start(`down-${scenario.kind}`);
    const cast = await scenario.start(bench, installation, 'while down');
    await bench.stopPostgres();
    const driven = seeThrough(cast, performance.now() + REST_MS);
    const { id } = await requestOnce(cast, performance.now() + REST_MS);
    await cast.requester.wait(id, { until: (change) => change.length > 1, timeoutMs: 5_000 });
    await bench.restartPostgres();
    await scenario.over(bench, await driven, cast);
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  });

  test('when the lease ends: the revoke goes on until it is done', async () => {
    const installation = await start('down-revoke');
    const active = await activeGrant(installation);
    await bench.stopPostgres();
    const wei = installation.as('person:wei');
    await wei.revoke(active.id, 'now');
    const failing = await wei.wait(active.id, { until: (change) => change.findings.length > 0 || change.state === 'revoked', timeoutMs: REST_MS });
    expect(failing.findings.map(({ code }) => code)).toContain('revoke-failed');
    await bench.restartPostgres();
    const revoked = await wei.wait(active.id, { until: (change) => change.state === 'revoked', timeoutMs: REST_MS });
    expect(revoked.state).toBe('revoked');
    expect(revoked.findings).toEqual([]);
    expect(await countMarked(bench.database, tokenOf(active))).toBe(0);
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  });
});

describe('the sidecar is dead', () => {
  test('an operator revokes with the revoker key, and the evidence follows', async () => {
    const installation = await start('dead');
    const active = await activeGrant(installation);
    await installation.sidecar.kill9();
    const ran = await countersign(['revoke', '--now', '--change', active.id, '--config', installation.paths.config, '--wait', '20']);
    expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
    await isGone(active);
    await installation.startSidecar();
    const revoked = await installation.as('person:wei').wait(active.id, { until: (change) => change.state === 'revoked', timeoutMs: REST_MS });
    expect(revoked.state).toBe('revoked');
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  });
});

describe('no policy is loaded', () => {
  test('nothing is given, and what was given is taken back', async () => {
    const installation = await start('no-policy');
    const active = await activeGrant(installation);
    await installation.sidecar.stop();
    const empty = join(installation.paths.directory, 'no-bundle');
    mkdirSync(empty);
    await installation.startSidecar({ env: { COUNTERSIGN_POLICY: empty }, ready: false });
    const ready = await installation.as('person:sam').ready();
    expect(ready.ready).toBe(false);
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request(grant);
    const denied = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    expect(denied.state).toBe('denied');
    expect(denied.decision?.reasons.map(({ code }) => code)).toEqual(['no-policy']);
    const wei = installation.as('person:wei');
    expect(await wei.revoke(active.id)).toMatchObject({ recorded: true });
    await isGone(active);
    expect((await wei.wait(active.id, { until: (change) => change.state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  });
});

/** A file system of its own, small enough to fill; null where it cannot be mounted. */
function mountSmall(bytes: number): { readonly directory: string; readonly remove: () => void } | null {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    rmSync(directory, { recursive: true });
    return null;
  }
  return {
    directory,
    remove: () => {
      execFileSync('umount', [directory]);
      rmSync(directory, { recursive: true });
    },
  };
}

describe('the disk is full', () => {
  test('requests are answered 503 and nothing is given, a revoke goes out, and its evidence follows', async ({ skip }) => {
    const small = mountSmall(24 * 1024 * 1024);
    if (small === null) {
      const message = 'SKIPPED: no file system can be mounted here, so a full disk was not tried';
      if (process.env['CI'] === 'true') throw new Error(message);
      process.stderr.write(`\n*** ${message} ***\n\n`);
      return skip(message);
    }
    let installation: Installation | null = null;
    try {
      const data = join(small.directory, 'data');
      installation = await start('full', { config: { data } });
      const active = await activeGrant(installation);
      const pipeline = installation.as('nhi:prod/ci-deployer');
      const { id } = await pipeline.request(grant);
      const waiting = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });

      const filler = join(small.directory, 'filler');
      fill(small.directory, filler);
      const wei = installation.as('person:wei');
      await expect(untilUnwritable(pipeline)).resolves.toMatchObject({ status: 503, code: 'ledger-unwritable' });
      await expect(wei.approve(id, waiting.planDigest!)).rejects.toMatchObject({ status: 503 });
      expect((await installation.as('person:sam').ready()).ready).toBe(false);
      expect(await countMarked(bench.database, tokenOf(waiting)), 'access given').toBe(0);

      await wei.revoke(active.id, 'the disk is full');
      await isGone(active);

      rmSync(filler);
      await installation.sidecar.stop();
      await installation.startSidecar();
      expect((await wei.wait(active.id, { until: (change) => change.state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');
      expect(await countMarked(bench.database, tokenOf(waiting)), 'access given').toBe(0);
      expect(await verificationTrouble({ ...installation, paths: { ...installation.paths, ledger: join(data, 'ledger') } })).toBe('');
    } finally {
      await installation?.stop();
      small.remove();
    }
  });

  /** What a request is refused with, once the writer has met the full disk: what still fitted is answered as usual. */
  async function untilUnwritable(pipeline: ReturnType<Installation['as']>): Promise<unknown> {
    return until('a request is refused', async () => {
      try {
        await pipeline.request(grant);
        return undefined;
      } catch (error) {
        return error;
      }
    }, { timeoutMs: REST_MS, everyMs: 0 });
  }
});

test('the deployment account holds nothing when all is over', async () => {
  expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('42501');
});
