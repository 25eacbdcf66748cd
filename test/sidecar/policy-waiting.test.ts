/** A policy bundle that waits for people: who is told, and where it is seen. */
import { appendFileSync, cpSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { Checked } from '../../src/doctor/check.ts';
import { connect, type Client } from '../../src/client/index.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';
import { openDesk } from '../support/world.ts';

const [ANA, SAM] = ['person:ana', 'person:sam'] as const;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

interface Heard {
  readonly id: string;
  readonly message: unknown;
}
let installation: Installation;
let server: Server;
let heard: Heard[];
/** Resolves with what is heard next. */
let next: () => Promise<Heard>;
const running: Sidecar[] = [];

beforeEach(async () => {
  installation = await makeInstallation();
  cpSync(join(import.meta.dirname, '../../policy/bundle'), join(installation.directory, 'policy'), { recursive: true });
  await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, policyActivation: { quorum: 1, approvers: [SAM] } }));
  await installation.write('ops.whsec', SECRET);
  heard = [];
  let hear: (one: Heard) => void = () => undefined;
  next = () => new Promise((resolve) => (hear = resolve));
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => void parts.push(part));
    request.on('end', () => {
      const one = { id: request.headers['webhook-id'] as string, message: new Webhook(SECRET).verify(Buffer.concat(parts).toString(), request.headers as Record<string, string>) };
      heard.push(one);
      response.writeHead(204).end();
      hear(one);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  for (const sidecar of running.splice(0)) await sidecar.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await installation.remove();
});

async function begin(): Promise<Sidecar> {
  const config = await installation.config();
  const { port } = server.address() as AddressInfo;
  const sidecar = await startSidecar({
    ...config, policy: join(installation.directory, 'policy'), policyActivation: { quorum: 1, approvers: [ANA], proofClass: 'session' },
    webhooks: [{ name: 'ops', url: `http://127.0.0.1:${port}/`, secret: join(installation.directory, 'ops.whsec'), allowHttp: true, allowPrivate: true, coalesceSeconds: 0 }],
  }, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  running.push(sidecar);
  return sidecar;
}
const as = (sidecar: Sidecar, principal: string): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });
const check = async (sidecar: Sidecar): Promise<unknown> => (await as(sidecar, ANA).ready()).checks.find(({ check: name }) => name === 'policyActivation');

it('is told to receivers, with whom it waits for; by the same id after a start, while it waits', async () => {
  const first = next();
  const sidecar = await begin();
  const { proposed } = await as(sidecar, ANA).proposedPolicy();
  const { id, message } = await first;
  const { proposalId, bundle, proposedAt } = proposed!;
  expect(message).toEqual({ type: 'policy.proposed', timestamp: proposedAt, data: { proposalId, record: sidecar.engine.proposals().proposal!.seq, bundle, revision: null, approvers: [ANA, SAM] } });
  await sidecar.close();

  const again = next();
  const second = await begin();
  expect((await again).id).toBe(id);
  for (const by of [ANA, SAM]) await as(second, by).decideProposedPolicy({ proposalId, bundle, verdict: 'approve' });
  await second.close();

  // It has come into force: what another start tells is something else.
  const third = await begin();
  const other = next();
  await as(third, 'nhi:prod/ci-deployer').request(GRANT, { waitSeconds: 20 });
  expect((await other).message).toMatchObject({ type: 'approval.requested' });
  expect(heard.map(({ id: told }) => told).filter((told) => told === id)).toEqual([id, id]);
});

it('is seen in /readyz with everybody who is missing, and by doctor, which says what to do', async () => {
  const desk = openDesk();
  appendFileSync(installation.configPath, `policyActivation: {quorum: 1, approvers: ['${ANA}']}\n`);
  const doctor = async (): Promise<Checked | undefined> => {
    const { checks } = JSON.parse((await desk.run('doctor', '--json', '--config', installation.configPath)).stdout) as { checks: Checked[] };
    return checks.find(({ name }) => name === 'activation');
  };
  expect(await doctor()).toMatchObject({ status: 'unknown', remedy: expect.stringContaining('start it') as string });
  const sidecar = await begin();
  const waits = expect.stringMatching(/waits for approval as prp_\w{26}: approved by nobody where 1 of person:sam must; and approved by nobody where 1 of person:ana must$/) as string;
  expect(await check(sidecar)).toEqual({ check: 'policyActivation', required: false, ok: false, message: waits });
  expect(await doctor()).toMatchObject({ status: 'failed', message: waits, remedy: expect.stringContaining('countersign policy approve') as string });
  const { proposalId, bundle } = (await as(sidecar, ANA).proposedPolicy()).proposed!;
  for (const by of [ANA, SAM]) await as(sidecar, by).decideProposedPolicy({ proposalId, bundle, verdict: 'approve' });
  expect(await check(sidecar)).toEqual({ check: 'policyActivation', required: false, ok: true, message: 'no policy bundle waits for people' });
  expect(await doctor()).toMatchObject({ status: 'ok', remedy: null });
  desk.remove();
});
