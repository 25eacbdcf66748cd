/** The ledger of a sidecar that works over a bus is lost, put back to an older state, or cannot be copied: real processes, a real bus, a real target. */
import { appendFileSync, chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { decodeRecord, directorySource, nodeDisk, type LedgerRecord } from '../../ledger/index.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, countMarked, openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { published } from './support/grants.ts';

const EXECUTOR = 'executor:main';
const REST_MS = 60_000;

describe.skipIf(!hasNats())('over a bus', () => {
  let bench: Bench;
  let nats: TestNats;
  let installation: Installation;
  beforeAll(async () => {
    bench = await openBench({ fsync: 'off' });
  });
  afterAll(() => bench.close());
  afterEach(async () => {
    await installation.stop();
    await nats.close();
  });

  const at = (file: string): string => join(installation.paths.directory, file);
  const cli = (...args: string[]): ReturnType<typeof countersign> => countersign([...args, '--config', installation.paths.config]);
  const lay = async (name: string): Promise<void> => {
    nats = await testNats([EXECUTOR]);
    installation = bench.install(name, { config: { nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }], limits: { republishSeconds: 1 } } });
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    expect((await cli('nats', 'setup')).exitCode).toBe(0);
  };
  const start = async (name: string): Promise<void> => {
    await lay(name);
    await installation.startExecutor();
    await installation.startSidecar();
  };
  const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
  const isGone = (change: ChangeView): Promise<true> =>
    until('the access is gone', async () => ((await countMarked(bench.database, tokenOf(change))) === 0 ? true : undefined), { timeoutMs: REST_MS });
  const isRevoked = async (change: ChangeView): Promise<void> => {
    const revoked = await installation.as('person:wei').wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS });
    expect(revoked.state).toBe('revoked');
    expect(await verificationTrouble(installation)).toBe('');
  };
  const pendingGrant = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: onApp('role:deploy') });
    return pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  };
  const activeGrant = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const asked = await pendingGrant(duration);
    await installation.as('person:wei').approve(asked.id, asked.planDigest!);
    const active = await installation.as('person:wei').wait(asked.id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
    expect(active.state).toBe('active');
    expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
    return active;
  };
  /** Records that the sidecar says are in the copy, once they are all there are, those of this change included: a checkpoint may be a second behind them. */
  const copied = async (change: ChangeView): Promise<number> => {
    await published(installation.paths.ledger, change);
    return until('the copy has all of the ledger', () => {
      const size = Number(readFileSync(join(installation.paths.ledger, 'checkpoint'), 'utf8').split('\n')[1]);
      return Number(readFileSync(at('outbox/copied'), 'utf8')) === size ? size : undefined;
    }, { timeoutMs: REST_MS });
  };
  const recordsIn = async (): Promise<LedgerRecord[]> => {
    const records: LedgerRecord[] = [];
    for await (const { entries } of (await directorySource(nodeDisk(installation.paths.directory), 'ledger', 'the ledger'))!.parts()) records.push(...entries.map((bytes) => decodeRecord(bytes)));
    return records;
  };
  const streams = async <T>(act: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>): Promise<T> => {
    const admin = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    try {
      return await act(await jetstreamManager(admin));
    } finally {
      await admin.close();
    }
  };
  /** Subjects of CS_STEPS that have a message. */
  const heldOn = (filter: string): Promise<string[]> => streams(async (manager) => Object.keys((await manager.streams.info('CS_STEPS', { subjects_filter: filter })).state.subjects ?? {}));
  const bundleOf = (ledger: string): Buffer => {
    const [name] = readdirSync(join(ledger, 'tile/entries/000.p'));
    return readFileSync(join(ledger, 'tile/entries/000.p', name!));
  };

  test('a ledger that is deleted in the middle of a lease: access ends on time, nothing is given meanwhile, and the ledger is restored to the byte', async () => {
    await start('restore-lease');
    const active = await activeGrant('PT25S');
    const size = await copied(active);
    cpSync(installation.paths.ledger, at('saved'), { recursive: true });
    for (const directory of [installation.paths.ledger, installation.paths.journal]) rmSync(directory, { recursive: true });
    await expect(pendingGrant('PT10M')).rejects.toMatchObject({ code: 'ledger-unwritable' });
    await installation.sidecar.kill9();
    // Begun anew on an empty disk it would be a second history of this log.
    await installation.startSidecar({ ready: false });
    const ready = await installation.as('person:sam').ready();
    expect(ready).toMatchObject({ ready: false });
    expect(JSON.stringify(ready)).toContain('countersign restore');
    await expect(pendingGrant('PT10M')).rejects.toMatchObject({ code: 'ledger-unwritable' });
    expect((await cli('restore')).exitCode).toBe(4);
    await isGone(active);
    expect(Date.now() - Date.parse(active.lease!.endsAt)).toBeLessThan(15_000);
    await installation.sidecar.stop();

    const restored = await cli('restore', '--json', '--lease-book', join(installation.paths.executorState, 'lease-book'));
    expect(restored, restored.stderr).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(restored.stdout)).toMatchObject({ restored: true, had: 0, size, source: 'CS_LEDGER' });
    const [before, after] = [bundleOf(at('saved')), bundleOf(installation.paths.ledger)];
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    const [objectsBefore, objectsAfter] = [readFileSync(at('saved/objects/0')), readFileSync(join(installation.paths.ledger, 'objects/0'))];
    expect(objectsAfter.equals(objectsBefore)).toBe(true);
    expect((await recordsIn()).map(({ type }) => type).slice(size)).toEqual(['ledger.restored']);
    await installation.startSidecar();
    await isRevoked(active);
  });

  test('an older state that was put back gives nothing, and takes back what it knows of', async () => {
    await start('restore-older');
    const early = await activeGrant('PT10M');
    await installation.sidecar.stop();
    for (const part of ['ledger', 'journal']) cpSync(at(part), at(`old-${part}`), { recursive: true });
    await installation.startSidecar();
    await copied(await pendingGrant('PT10M'));
    await installation.sidecar.stop();
    for (const part of ['ledger', 'journal']) {
      rmSync(at(part), { recursive: true });
      cpSync(at(`old-${part}`), at(part), { recursive: true });
    }
    // As a volume that is put back whole: nothing in it tells that it is a copy.
    rmSync(join(at('journal'), 'place'));
    await installation.startSidecar({ ready: false });
    await expect(pendingGrant('PT10M')).rejects.toMatchObject({ code: 'ledger-unwritable' });
    await installation.as('person:wei').revoke(early.id, 'while rolled back');
    await isGone(early);
    await installation.sidecar.stop();
    const restored = await cli('restore');
    expect(restored, restored.stderr).toMatchObject({ exitCode: 0 });
    expect(restored.stdout).toMatch(/^restored \d+ records from CS_LEDGER, \d+ of which were still there; root \S+\nkept \S+ledger\.before-restore-\d+\nkept \S+journal\.before-restore-\d+\n$/);
    await installation.startSidecar();
    await isRevoked(early);
  });

  test('with no ledger, and a bus that cannot be asked, it does not start', async () => {
    await lay('restore-no-bus');
    await nats.nodes[0]!.kill9();
    const served = await cli('serve');
    expect(served).toMatchObject({ exitCode: 4 });
    expect(served.stderr).toContain('error (no-ledger): there is no ledger here');
  });

  test('what gives access waits for the copy, and what takes it back does not', async () => {
    await start('restore-gate');
    const active = await activeGrant('PT10M');
    const asked = await pendingGrant('PT11M');
    await copied(asked);
    const steps = await heldOn('cs.step.*.act.>');
    await streams((manager) => manager.streams.delete('CS_LEDGER'));
    await installation.as('person:wei').approve(asked.id, asked.planDigest!);
    await installation.as('person:wei').wait(asked.id, { until: ({ state }) => state === 'authorised', timeoutMs: REST_MS });
    await installation.as('person:wei').revoke(active.id, 'early');
    await isGone(active);
    expect((await installation.as('person:wei').get(asked.id)).state).toBe('authorised');
    expect(await heldOn('cs.step.*.act.>')).toEqual(steps);
    const waiting = await installation.as('person:wei').get(asked.id);
    expect(waiting.waitingFor).toContain('the copy of the ledger on the bus does not come on');
    expect(await installation.as('person:sam').ready()).toMatchObject({ ready: true, checks: expect.arrayContaining([expect.objectContaining({ check: 'copy', ok: false, required: false })]) as unknown });
    expect(await countMarked(bench.database, tokenOf(asked))).toBe(0);
    expect((await cli('nats', 'setup')).stdout).toBe('create CS_LEDGER\n');
    const given = await installation.as('person:wei').wait(asked.id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
    expect(given.state).toBe('active');
    expect(await countMarked(bench.database, tokenOf(given))).toBe(1);
  });

  test('a bus whose disk was wiped is filled again, with the armed order and the copy, on record', async () => {
    await start('restore-wiped');
    const active = await activeGrant('PT10M');
    const size = await copied(active);
    const armed = await heldOn('cs.arm.>');
    expect(armed).toHaveLength(1);
    await nats.nodes[0]!.kill9();
    rmSync(nats.nodes[0]!.store, { recursive: true });
    await nats.nodes[0]!.start();
    expect((await cli('nats', 'setup')).stdout).toContain('create CS_LEDGER\n');
    const refills = await until('both are filled again', async () => {
      const found = (await recordsIn()).filter(({ type }) => type === 'outbox.refilled').map(({ body }) => body);
      return found.length === 2 ? found : undefined;
    }, { timeoutMs: REST_MS });
    expect(refills).toContainEqual({ stream: 'CS_STEPS', missing: 1, from: null, changes: [active.id] });
    expect(refills).toContainEqual({ stream: 'CS_LEDGER', missing: size, from: 0, changes: [] });
    expect(await heldOn('cs.arm.>')).toEqual(armed);
    await installation.as('person:wei').revoke(active.id, 'early');
    await isGone(active);
    await isRevoked(active);
  });

  test('the doctor sees that all is well, and what is not', async () => {
    await start('restore-doctor');
    const monitors = nats.nodes.flatMap(({ monitor }) => ['--monitor', monitor]);
    const well = await cli('doctor', '--worker', installation.paths.executorConfig, ...monitors);
    expect(well, `${well.stdout}${well.stderr}`).toMatchObject({ exitCode: 0 });
    expect(well.stdout.split('\n').filter((line) => line !== '').map((line) => line.split(/\s+/)[0])).toEqual(Array.from({ length: 18 }, () => 'ok'));
    expect((await cli('doctor')).exitCode).toBe(3);
    chmodSync(at('keys/log.key'), 0o644);
    await streams((manager) => manager.streams.delete('CS_CLAIMS'));
    const ill = await cli('doctor', '--json', ...monitors);
    expect(ill.exitCode).toBe(1);
    const { checks } = JSON.parse(ill.stdout) as { checks: { name: string; status: string; message: string; remedy: string | null }[] };
    expect(checks.filter(({ status }) => status === 'failed').map(({ name }) => name)).toEqual(['secrets', 'trust', 'ledger', 'streams', 'room']);
    expect(checks.every(({ status, remedy }) => (status === 'ok') === (remedy === null))).toBe(true);
    chmodSync(at('keys/log.key'), 0o600);
  });
});
