/** No copy of a ledger reaches what its executor has seen, so a new log goes on for it: real processes, a real target, and a bus or none. */
import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { logIdOf } from '../../ledger/index.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, countMarked, openBench, verificationTrouble, type Bench } from './support/bench.ts';

const EXECUTOR = 'executor:main';
const REST_MS = 60_000;

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
const isGone = (change: ChangeView): Promise<true> =>
  until('the access is gone', async () => ((await countMarked(bench.database, tokenOf(change))) === 0 ? true : undefined), { timeoutMs: REST_MS });
const editYaml = (file: string, edit: (value: Record<string, unknown>) => object): void =>
  writeFileSync(file, stringify(edit(parse(readFileSync(file, 'utf8')) as Record<string, unknown>)));

/** The two wait for the same minute, side by side: each has an installation, and a log, of its own. */
describe.concurrent.each([['a socket', true], ['a bus', hasNats()]] as const)('over %s', (way, possible) => {
  let nats: TestNats | null = null;
  let installation: Installation;
  afterEach(async () => {
    await installation.stop();
    await nats?.close();
    nats = null;
  });

  const at = (...names: string[]): string => join(installation.paths.directory, ...names);
  const cli = (...args: string[]): ReturnType<typeof countersign> => countersign([...args, '--config', installation.paths.config]);
  const reaches = async ({ id }: { readonly id: string }, wanted: ChangeView['state']): Promise<ChangeView> => {
    const change = await installation.as('person:wei').wait(id, { until: ({ state }) => state === wanted, timeoutMs: REST_MS });
    expect(change.state).toBe(wanted);
    return change;
  };
  const pendingGrant = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: onApp('role:deploy') });
    return pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  };
  const activeGrant = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const asked = await pendingGrant(duration);
    await installation.as('person:wei').approve(asked.id, asked.planDigest!);
    const active = await reaches(asked, 'active');
    expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
    return active;
  };

  async function overBus(name: string): Promise<void> {
    nats = await testNats([EXECUTOR]);
    installation = bench.install(name, { config: { nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }], limits: { republishSeconds: 1 } } });
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    expect((await cli('nats', 'setup')).exitCode).toBe(0);
  }

  /** The copy on the bus is lost as well. */
  async function loseCopy(): Promise<void> {
    if (nats === null) return;
    const admin = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    await (await jetstreamManager(admin)).streams.delete('CS_LEDGER');
    await admin.close();
    expect((await cli('nats', 'setup')).exitCode).toBe(0);
  }

  /** A key and an origin for the new log, configured, and listed in the trust folder beside the old. */
  async function newLog(origin: string): Promise<void> {
    const made = await countersign(['keygen', 'log', '--name', origin, '--out', at('keys/second.key')]);
    expect(made, made.stderr).toMatchObject({ exitCode: 0 });
    const vkey = /\S+\+[0-9a-f]{8}\+\S+/.exec(made.stdout)![0];
    const { origin: old } = parse(readFileSync(installation.paths.config, 'utf8')) as { origin: string };
    editYaml(installation.paths.config, (config) => ({ ...config, origin, keys: { log: 'keys/second.key', ticket: 'keys/ticket.key' } }));
    const policy = join(installation.paths.trust, 'trust.policy');
    writeFileSync(policy, `log ${vkey}\n${readFileSync(policy, 'utf8')}`);
    const sidecars = join(installation.paths.trust, 'sidecars.json');
    const listed = JSON.parse(readFileSync(sidecars, 'utf8')) as { origin: string; key: string }[];
    writeFileSync(sidecars, JSON.stringify([...listed, { origin, key: listed.find((one) => one.origin === old)!.key }]));
  }

  test.skipIf(!possible)('a ledger that is lost beyond its copies: leases are taken back, on time and early, under a new log that an auditor verifies', async () => {
    const name = `new-log-${way.replace(' ', '-')}`;
    if (way === 'a bus') await overBus(name);
    else installation = bench.install(name);
    await installation.startExecutor();
    await installation.startSidecar();
    const onTime = await activeGrant('PT60S');
    const early = await activeGrant('PT10M');
    const asked = await pendingGrant('PT11M');
    await installation.sidecar.stop();
    cpSync(installation.paths.ledger, at('backup'), { recursive: true });
    await installation.startSidecar();
    // The executor sees more than that: it is asked to read.
    await pendingGrant('PT12M');
    await installation.sidecar.kill9();
    for (const directory of [installation.paths.ledger, installation.paths.journal]) rmSync(directory, { recursive: true });
    await loseCopy();
    const book = ['--from', at('backup'), '--lease-book', join(installation.paths.executorState, 'lease-book')];
    const short = await cli('restore', ...book);
    expect(short, short.stderr).toMatchObject({ exitCode: 4 });
    expect(short.stderr).toContain('countersign restore --new-log OLD-VKEY');

    await newLog(`countersign.test/${name}-second`);
    const begun = await cli('restore', '--new-log', installation.paths.logVkey, '--json', ...book);
    expect(begun, begun.stderr).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(begun.stdout)).toMatchObject({ changes: 3, locks: 0 });
    await installation.startSidecar();

    // The executor does not know the new log yet, and takes back all the same.
    await installation.as('person:wei').revoke(early.id, 'no longer needed');
    await isGone(early);
    await reaches(early, 'revoked');
    expect(await reaches(asked, 'expired')).toMatchObject({ adoptedFrom: logIdOf(readFileSync(installation.paths.logVkey, 'utf8').split('+')[0]!) });
    const why = await installation.as('person:wei').evidence(asked.id);
    expect(why.records.map(({ type }) => type)).toEqual(['change.requested', 'step.authorised', 'state.read', 'policy.decided', 'change.adopted', 'change.expired']);
    await expect(installation.as('nhi:prod/ci-deployer').extend(onTime.id, { duration: 'PT1M', reason: 'longer' })).rejects.toMatchObject({ code: 'not-extendable' });
    await isGone(onTime);
    expect(Date.now() - Date.parse(onTime.lease!.endsAt)).toBeLessThan(15_000);
    await reaches(onTime, 'revoked');
    expect(await verificationTrouble(installation)).toBe('');

    await installation.executor.stop();
    await installation.startExecutor();
    const { records } = await installation.as('person:wei').evidence(onTime.id);
    expect(records.map(({ type }) => type).slice(-2)).toEqual(['change.adopted', 'lease.ended']);
    const fresh = await activeGrant('PT10M');
    expect(fresh.adoptedFrom).toBe(null);
    await installation.as('person:wei').revoke(fresh.id, 'seen');
    await isGone(fresh);
    await reaches(fresh, 'revoked');
    expect(await verificationTrouble(installation)).toBe('');
    const verified = await countersign(['verify', installation.paths.ledger, '--trust', installation.paths.trust]);
    expect(verified.stdout).toMatch(/WORKFLOW\s+holds\s+\d+ changes: .*3 of them adopted/);
    expect(verified.stdout).toMatch(/what countersign\.test\/\S+ recorded after them: \S+lease-book has seen \d+/);
  });
});
