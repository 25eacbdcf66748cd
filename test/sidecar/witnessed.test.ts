/** A sidecar from its files, its executor over the socket, and three witnesses over HTTP: the executor's own trust folder demands two of them. */
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { directorySource, nodeDisk, parseSigner, parseTrustPolicy, verifyLedger, type TrustPolicy } from '../../ledger/index.ts';
import { connect, type Client } from '../../src/client/index.ts';
import { systemClock } from '../../src/executor/system-clock.ts';
import { openWorker, type Worker } from '../../src/executor/worker.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { restoreLedger } from '../../src/sidecar/restore.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { listenLocal, type LocalListener } from '../../src/transport/local/executor-end.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { memoryTarget, type MemoryTarget } from '../support/memory-target.ts';
import { GRANT, PROVISION } from '../support/sidecar.ts';
import { startTestWitness, type TestWitness } from '../support/witnesses.ts';

const ORIGIN = 'installation.example/ledger';
const WAIT = { timeout: 15_000 };
const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

let installation: Installation;
let witnesses: TestWitness[];
let target: MemoryTarget;
let worker: Worker;
let listener: LocalListener;
let sidecar: Sidecar | null;
let policy: TrustPolicy;
const at = (...names: string[]): string => join(installation.directory, ...names);
const as = (principal: string): Client => connect({ socket: sidecar!.socket!, token: TOKENS[principal]! });

beforeEach(async () => {
  installation = await makeInstallation();
  const log = parseSigner((await readFile(at('log.key'), 'utf8')).trim());
  witnesses = [];
  for (const name of ['north', 'south', 'west']) witnesses.push(await startTestWitness(name, at(name), log.vkey));
  const text = `log ${log.vkey}\n${witnesses.map(({ line }) => line).join('\n')}\ngroup most 2 north south west\nquorum most\n`;
  policy = parseTrustPolicy(text);
  await installation.write('trust/trust.policy', text);
  target = memoryTarget(fakeClock(Date.now()));
  await mkdir(at('executor'));
  worker = await openWorker({
    executorId: EXECUTOR_ID, signer: installation.executorSigner, trust: await loadTrustFolder(at('trust')), connectors: new Map([['pg-main', target.connector({ alive: true })]]), disk: nodeDisk(at('executor')),
    clock: systemClock, random: systemRandom, seal: (secret, recipient) => Promise.resolve(Buffer.from(`${recipient} ${secret.length}`)), fingerprintKey: Buffer.alloc(32, 1), logger: QUIET,
    send: (message) => listener.send(message),
  });
  listener = await listenLocal({ socket: at('pg-1.sock'), worker, clock: systemClock, logger: QUIET });
  sidecar = null;
});
afterEach(async () => {
  await sidecar?.close();
  await worker.close();
  await listener.close();
  for (const witness of witnesses) await witness.stop();
  await installation.remove();
});
const start = async (): Promise<void> => void (sidecar = await startSidecar(await installation.config()));
const stop = async (): Promise<void> => {
  await sidecar!.close();
  sidecar = null;
};
async function approved(): Promise<string> {
  const { id } = await as('nhi:prod/ci-deployer').request(GRANT);
  const asked = await as('nhi:prod/ci-deployer').wait(id, { until: ({ state }) => state !== 'requested', timeoutMs: WAIT.timeout });
  expect(asked.state, JSON.stringify(asked.decision)).toBe('pending');
  await as('person:wei').approve(id, asked.planDigest!);
  return id;
}
const reaches = async (id: string, wanted: string): Promise<void> => {
  expect((await as('person:wei').wait(id, { until: ({ state }) => state === wanted, timeoutMs: WAIT.timeout })).state).toBe(wanted);
};

describe('a sidecar whose executors demand witnesses', () => {
  it('gives with one of three away and nothing with all of them away, takes back all the same, and goes on when they are back', async () => {
    await start();
    await witnesses[2]!.stop();
    const given = await approved();
    await reaches(given, 'active');
    expect(target.effects).toHaveLength(1);

    for (const witness of witnesses) await witness.stop();
    const { id: waiting } = await as('nhi:prod/billing-export').request(PROVISION);
    const why = async (): Promise<string | null | undefined> => (await as('nhi:prod/billing-export').get(waiting)).waitingFor;
    await vi.waitFor(async () => expect(await why()).toContain('no quorum of witnesses has cosigned'), WAIT);
    // Up to a second later: until there is a checkpoint that they have not cosigned, all is well with what they have.
    const unwell = { check: 'witnesses', ok: false, required: false, message: expect.stringContaining('(quorum most: 2 of 3)') as string };
    await vi.waitFor(async () => expect((await as('person:wei').ready()).checks).toContainEqual(unwell), WAIT);

    expect((await as('person:wei').revoke(given, 'enough')).recorded).toBe(true);
    await reaches(given, 'revoked');
    expect(await why()).toContain('no quorum of witnesses has cosigned');
    // The grant and its end; nothing of the other.
    expect(target.effects).toHaveLength(2);

    for (const witness of witnesses) await witness.start();
    const planned = await as('nhi:prod/billing-export').wait(waiting, { until: ({ state }) => state === 'pending', timeoutMs: WAIT.timeout });
    await as('person:ana').approve(waiting, planned.planDigest!);
    expect((await as('nhi:prod/billing-export').wait(waiting, { until: ({ state }) => state === 'active', timeoutMs: WAIT.timeout })).state).toBe('active');
    await stop();
    const found = (await verifyLedger({ disk: nodeDisk(at('data')), directory: 'ledger', trust: policy })).verdicts;
    for (const name of ['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'TIME']) expect(found.find((verdict) => verdict.name === name)).toMatchObject({ status: 'holds' });
    expect(found.find(({ name }) => name === 'TIME')!.message).toMatch(/those from \d+ on came after times that witnesses had stated/);
  }, 60_000);

  it('anchors what they cosigned once, and stays at rest when nothing happens', async () => {
    await start();
    const typesIn = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { record } of sidecar!.log.entries(0)) found.push(record.type);
      return found;
    };
    await vi.waitFor(async () => expect(await typesIn()).toContain('witness.anchored'), WAIT);
    const size = sidecar!.log.size;
    await vi.waitFor(() => expect(sidecar!.log.checkpoint().size).toBe(size), WAIT);
    await vi.waitFor(() => expect(witnesses.every((witness) => witness.latest(ORIGIN)?.split('\n')[1] === `${size}`)).toBe(true), WAIT);
    expect((await typesIn()).filter((type) => type === 'witness.anchored')).toHaveLength(1);
  }, 60_000);

  it('whose ledger was rolled back gives nothing and says so until it is restored; what was given is taken back', async () => {
    await start();
    const given = await approved();
    await reaches(given, 'active');
    await stop();
    await cp(at('data'), at('old'), { recursive: true });
    await start();
    await stop();
    await cp(at('data/ledger'), at('backup'), { recursive: true });
    await rm(at('data'), { recursive: true });
    await cp(at('old'), at('data'), { recursive: true });
    // As a volume that is put back whole: nothing in it tells that it is a copy.
    await rm(at('data/journal/place'));

    await start();
    const ready = await as('person:wei').ready().catch((error: unknown) => error as { checks: { check: string; ok: boolean; message: string }[] });
    expect(JSON.stringify(ready)).toMatch(/it was rolled back, and nothing is given until it is restored \(countersign restore\)/);
    await expect(as('nhi:prod/ci-deployer').request(GRANT)).rejects.toMatchObject({ code: 'ledger-unwritable' });
    // It is written down beside what is said of it, and nothing waits for that.
    await vi.waitFor(async () => expect(await readdir(at('data/contradictions'))).not.toEqual([]), WAIT);
    expect((await as('person:wei').revoke(given, 'now')).recorded).toBe(false);
    await vi.waitFor(() => expect(target.effects).toHaveLength(2), WAIT);
    await stop();

    const signer = parseSigner((await readFile(at('log.key'), 'utf8')).trim());
    const source = await directorySource(nodeDisk(installation.directory), 'backup', 'the backup');
    expect(await restoreLedger({ origin: ORIGIN, data: at('data'), signer, sources: [source!], known: [], nowMs: () => Date.now() })).toMatchObject({ restored: true });
    await start();
    await reaches(given, 'revoked');
    expect((await as('person:wei').ready()).ready).toBe(true);
  }, 60_000);
});
