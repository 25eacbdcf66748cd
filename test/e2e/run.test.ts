/** `countersign run` as a process, around commands of any kind: when it starts them, what it exits with, and what is on record of it. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { until } from '../../examples/demo/check.ts';
import type { Installation, Principal } from '../../examples/demo/installation.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { reportSchema, type Dsse } from '../../src/protocol/signed.ts';
import { openBench, refusal, verificationTrouble, type Bench } from './support/bench.ts';
import { approveUntil, changeOf, changesOf, DEPLOYER, rotationOf, startRun, startScriptedRun, type Run, type RunOptions } from './support/caller.ts';

const REST_MS = 60_000;

let bench: Bench;
let installation: Installation;
let pipeline: Principal;
let wei: Principal;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  installation = bench.install('run', { windowMinutes: 15 });
  await installation.startExecutor();
  await installation.startSidecar();
  [pipeline, wei] = [installation.as(DEPLOYER.subject), installation.as('person:wei')];
});
afterAll(() => bench.close());

let runs = 0;
const newPlace = (): string => join(installation.paths.directory, 'runs', String((runs += 1)));

interface Started {
  readonly run: Run;
  /** A directory of its own. */
  readonly place: string;
  readonly change: ChangeView;
}

/** Runs a shell command under the rotation of the deployer's login, until its owner is asked. Whatever the command leaves is in `place`, which is `$PLACE`. */
async function asked(command: readonly string[], options: Partial<RunOptions> = {}): Promise<Started> {
  const known = await changesOf(pipeline);
  const place = newPlace();
  const run = startRun(installation, { subject: DEPLOYER.subject, change: rotationOf(DEPLOYER), command, place, ...options, env: { PLACE: place, ...options.env } });
  const { id } = await changeOf(pipeline, known, performance.now() + REST_MS);
  const change = await pipeline.wait(id, { until: ({ state }) => state === 'pending', timeoutMs: REST_MS });
  expect(change.state, run.output()).toBe('pending');
  return { run, place, change };
}

async function approvedRun(command: readonly string[], options: Partial<RunOptions> = {}): Promise<Started> {
  const started = await asked(command, options);
  await wei.approve(started.change.id, started.change.planDigest!);
  return started;
}

const shell = (script: string): string[] => ['sh', '-c', script];
const BEGAN = 'echo began >> "$PLACE/began"';
const hasBegun = (place: string): boolean => existsSync(join(place, 'began'));

/** What the run said last of itself, from its signed report on record. */
async function lastReport(id: string): Promise<unknown> {
  const { records } = await pipeline.evidence(id);
  const bodies = records.filter(({ type }) => /^step\.(?:succeeded|failed|ambiguous)$/.test(type)).map(({ body }) => body as { report: Dsse });
  return readPayload(bodies[0]!.report, reportSchema);
}

async function typesOf(id: string): Promise<readonly string[]> {
  return (await pipeline.evidence(id)).records.map(({ type }) => type);
}

describe('authorised', () => {
  test('the command runs after its claim is on record, exits as it does, and an executor confirms what it did', async () => {
    const known = await changesOf(pipeline);
    const old = bench.database.login(DEPLOYER.account);
    const run = startScriptedRun(installation, bench, DEPLOYER, 'authorised');
    const deadlineMs = performance.now() + REST_MS;
    const { id } = await changeOf(pipeline, known, deadlineMs);
    const change = await approveUntil({ requester: pipeline, approvers: [wei] }, id, ({ state }) => state === 'done', deadlineMs);
    expect(await run.exit, run.output()).toBe(0);
    expect(run.began()).toEqual([`${id} claims=1`]);
    expect(change).toMatchObject({ mode: 'caller', result: { outcome: 'done', selfReported: false }, steps: [{ action: 'call', account: DEPLOYER.account, state: 'done' }] });
    expect((await typesOf(id)).filter((type) => type === 'state.read')).toHaveLength(2);
    expect(await refusal(bench.database, run.login()!, 'SELECT 1')).toBe('works');
    expect(await refusal(bench.database, old, 'SELECT 1')).toBe('28P01');
    bench.database.setLogin(DEPLOYER.account, run.login()!);
  });

  test('the command is told what it is about, and has neither the token nor anything of the run\'s key', async () => {
    const { run, place, change } = await approvedRun(shell('env > "$PLACE/environment"; cat /proc/$PPID/cmdline > "$PLACE/parent" 2>/dev/null; true'), { env: { COUNTERSIGN_TOKEN_FILE: '' } });
    expect(await run.exit, run.output()).toBe(0);
    const environment = readFileSync(join(place, 'environment'), 'utf8');
    expect(environment).toMatch(new RegExp(`^COUNTERSIGN_CHANGE_ID=${change.id}$`, 'm'));
    expect(environment).toMatch(new RegExp(`^COUNTERSIGN_ACCOUNT=${DEPLOYER.account}$`, 'm'));
    expect(environment).not.toContain(installation.tokenOf(DEPLOYER.subject));
    expect(environment).not.toContain('COUNTERSIGN_TOKEN');
    expect(readFileSync(join(place, 'parent'), 'utf8')).not.toContain(installation.tokenOf(DEPLOYER.subject));
  });
});

describe('not authorised', () => {
  test('a run that is rejected exits 1, and never starts its command', async () => {
    const { run, place, change } = await asked(shell(BEGAN));
    await wei.reject(change.id, change.planDigest!, 'not tonight');
    expect(await run.exit, run.output()).toBe(1);
    expect(run.output()).toContain('rejected');
    expect(hasBegun(place)).toBe(false);
    expect((await pipeline.get(change.id)).state).toBe('rejected');
  });

  test('a run that nobody decides on exits 5 when its wait is over, is withdrawn, and never starts its command', async () => {
    const { run, place, change } = await asked(shell(BEGAN), { flags: ['--wait', 'PT3S'] });
    expect(await run.exit, run.output()).toBe(5);
    expect(hasBegun(place)).toBe(false);
    expect((await pipeline.get(change.id)).state).toBe('withdrawn');
    await expect(wei.approve(change.id, change.planDigest!)).rejects.toMatchObject({ status: 409 });
  });

  test('SIGTERM while it waits ends it, withdraws the change, and the command is never started', async () => {
    const { run, place, change } = await asked(shell(BEGAN));
    run.kill('SIGTERM');
    expect(await run.exit, run.output()).not.toBe(0);
    expect(hasBegun(place)).toBe(false);
    expect((await pipeline.get(change.id)).state).toBe('withdrawn');
  });

  test('a ticket of a sidecar whose key the caller does not trust starts nothing', async () => {
    const trust = join(installation.paths.directory, 'other-trust');
    cpSync(installation.paths.trust, trust, { recursive: true });
    const file = join(trust, 'sidecars.json');
    const [sidecar] = JSON.parse(readFileSync(file, 'utf8')) as [{ origin: string; key: string }];
    const name = sidecar.key.slice(0, sidecar.key.indexOf('+'));
    writeFileSync(file, JSON.stringify([{ ...sidecar, key: generateSignerKey(name, new Uint8Array(32).fill(7)).vkey }]));
    const { run, place, change } = await approvedRun(shell(BEGAN), { trust });
    expect(await run.exit, run.output()).toBe(1);
    expect(run.output()).toContain('unknown-sidecar');
    expect(hasBegun(place)).toBe(false);
    expect(await typesOf(change.id)).not.toContain('step.claimed');
    expect((await pipeline.get(change.id)).state).toBe('withdrawn');
  });

  test('a ticket with a receipt of a log that the caller does not trust starts nothing', async () => {
    const trust = join(installation.paths.directory, 'other-log');
    cpSync(installation.paths.trust, trust, { recursive: true });
    const vkey = readFileSync(installation.paths.logVkey, 'utf8').trim();
    const name = vkey.slice(0, vkey.indexOf('+'));
    const other = generateSignerKey(name, new Uint8Array(32).fill(9)).vkey;
    const policy = readFileSync(join(trust, 'trust.policy'), 'utf8');
    expect(policy).toContain(vkey);
    writeFileSync(join(trust, 'trust.policy'), policy.replace(vkey, other));
    const { run, place, change } = await approvedRun(shell(BEGAN), { trust });
    expect(await run.exit, run.output()).toBe(1);
    expect(run.output()).toContain('untrusted-checkpoint');
    expect(hasBegun(place)).toBe(false);
    expect(await typesOf(change.id)).not.toContain('step.claimed');
  });
});

describe('a command that does not end well', () => {
  test('that fails: its exit code, and the change has failed on record', async () => {
    const { run, place, change } = await approvedRun(shell(`${BEGAN}; exit 42`));
    expect(await run.exit, run.output()).toBe(42);
    expect(hasBegun(place)).toBe(true);
    expect((await pipeline.get(change.id)).state).toBe('failed');
    expect(await lastReport(change.id)).toMatchObject({ kind: 'acted', outcome: 'failed', code: 'exit-42' });
  });

  test('that cannot be started: 127, and nothing was asked for', async () => {
    const known = await changesOf(pipeline);
    const run = startRun(installation, { subject: DEPLOYER.subject, change: rotationOf(DEPLOYER), command: ['/nonexistent/rotate-it'], place: newPlace() });
    expect(await run.exit, run.output()).toBe(127);
    expect(run.output()).toContain('No change was asked for');
    expect(await changesOf(pipeline)).toEqual(known);
  });

  test('SIGTERM is passed on to it, and it answers as it likes', async () => {
    const { run, place, change } = await approvedRun(shell(`trap 'echo told > "$PLACE/told"; exit 7' TERM; ${BEGAN}; while :; do sleep 0.05; done`));
    await until('the command runs', () => (hasBegun(place) ? true : undefined), { timeoutMs: REST_MS });
    run.kill('SIGTERM');
    expect(await run.exit, run.output()).toBe(7);
    expect(existsSync(join(place, 'told'))).toBe(true);
    expect(await lastReport(change.id)).toMatchObject({ outcome: 'failed', code: 'exit-7' });
  });

  test('SIGTERM ends a command that does not answer: 143, and nobody claims to know what it did', async () => {
    const { run, place, change } = await approvedRun(shell(`${BEGAN}; exec sleep 600`), { flags: ['--timeout', 'PT5S'] });
    await until('the command runs', () => (hasBegun(place) ? true : undefined), { timeoutMs: REST_MS });
    run.kill('SIGTERM');
    expect(await run.exit, run.output()).toBe(143);
    expect(await lastReport(change.id)).toMatchObject({ outcome: 'ambiguous', code: 'signal-SIGTERM' });
    const open = await pipeline.wait(change.id, { until: ({ findings }) => findings.length > 0, timeoutMs: REST_MS });
    expect(open).toMatchObject({ state: 'stuck', stuck: { owner: 'person:wei' } });
    expect((await pipeline.withdraw(change.id, 'looked at: nothing was changed')).state).toBe('withdrawn');
  });
});

test('the evidence of all of it holds', async () => {
  expect(await verificationTrouble(installation)).toBe('');
});
