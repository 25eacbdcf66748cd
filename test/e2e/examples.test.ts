/** The folders of `examples/` that people copy from, run as their files say: against one PostgreSQL, one sidecar and one executor. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { until } from '../../examples/demo/check.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { startNode, type Running } from '../../examples/demo/processes.ts';
import { layOutNats, type NatsServers } from '../../examples/support/nats-servers.ts';
import { findProgram } from '../../examples/support/programs.ts';
import { connect, isSettled, type ChangeView } from '../../src/client/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { reportSchema, type Dsse } from '../../src/protocol/signed.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';
import { hasNats } from '../support/nats.ts';
import { blocksOf, type Block } from '../support/run-page.ts';
import { issue, issuerKey, writeKeys, type IssuerKey } from '../support/token-issuer.ts';
import { countersign, openBench, refusal, verificationTrouble, type Bench } from './support/bench.ts';
import { serveTokenEndpoint, stepsOf, type TokenEndpoint, type Workflow } from './support/github-job.ts';
import { KUBECTL } from './support/kubectl.ts';
import { layOutPod, readManifests, type Pod } from './support/pods.ts';

const REST_MS = 60_000;
const EXAMPLES = join(import.meta.dirname, '../../examples');
const DEPLOYER = 'nhi:prod/ci-deployer';
const DEPLOY = `INSERT INTO deployments (version) VALUES ('another')`;

let bench: Bench;
let installation: Installation;
let github: { readonly key: IssuerKey; readonly identity: GithubIdentity };
/** Has `countersign` in it, for what finds it on the PATH. */
let path: string;

interface GithubIdentity {
  readonly issuers: [{ readonly issuer: string; readonly audience: string; jwks: object; readonly mapping: { readonly rules: [Readonly<Record<string, string>>] } }];
}

beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  // GitHub's keys are not to be had in a test: in their place, one that the test has made, in a file.
  const key = await issuerKey('github-1', 'RS256');
  const { identity } = parse(readFileSync(join(EXAMPLES, 'ci-jit/identity.yaml'), 'utf8')) as { identity: GithubIdentity };
  identity.issuers[0].jwks = { file: await writeKeys(bench.directory, [key.jwk]) };
  github = { key, identity };
  installation = bench.install('examples', { windowMinutes: 30, config: { identity } });
  const bin = at('bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'countersign'), `#!/bin/sh\nexec '${process.execPath}' '${installation.paths.cli}' "$@"\n`, { mode: 0o755 });
  path = [bin, process.env['PATH']].join(delimiter);
  writeFileSync(at('pgpass'), `${bench.postgres.host}:${bench.postgres.port}:*:ci_deployer:${bench.database.login('ci_deployer').password}\n${bench.postgres.host}:${bench.postgres.port}:*:${bench.postgres.adminUser}:${bench.postgres.adminPassword}\n`, { mode: 0o600 });
  writeFileSync(at('deployer.token'), `${installation.tokenOf(DEPLOYER)}\n`, { mode: 0o600 });
  await installation.startExecutor();
  await installation.startSidecar();
});
afterAll(() => bench.close());

/** Others' schemas: of Kubernetes, and of GitHub. */
const VENV = join(process.cwd(), '.cache', 'venv', 'bin');
const HAS_SCHEMAS = existsSync(join(VENV, 'kubernetes-validate')) || process.env['CI'] === 'true';
function schemaTrouble(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(join(VENV, program), args, { encoding: 'utf8' });
  return status === 0 ? '' : `${String(status)} ${stdout}${stderr}`;
}

const at = (...names: string[]): string => join(bench.directory, ...names);

/** What of a place is not as the examples' files say: the machine's own. */
const place = (): Record<string, string> => ({
  PATH: path, HOME: bench.directory, COUNTERSIGN_SOCKET: installation.paths.socket, COUNTERSIGN_TOKEN_FILE: at('deployer.token'),
  PGHOST: bench.postgres.host, PGPORT: String(bench.postgres.port), PGDATABASE: 'app', PGPASSFILE: at('pgpass'),
});

interface Ran {
  readonly code: number | null;
  readonly said: string;
}

function start(command: readonly [string, ...string[]], cwd: string, env: Readonly<Record<string, string>>): Promise<Ran> {
  const child = spawn(command[0], command.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, said })));
}

async function known(): Promise<ReadonlySet<string>> {
  return new Set((await installation.as('person:wei').list({ limit: 200 })).changes.map(({ id }) => id));
}

/** The change that has been asked for since, once it waits for its owner, who has looked at it: what she does then is the test's. */
async function asked(before: ReadonlySet<string>): Promise<ChangeView> {
  const wei = installation.as('person:wei');
  const { id } = await until('somebody asks', async () => (await wei.list({ limit: 200 })).changes.find((one) => !before.has(one.id)), { timeoutMs: REST_MS });
  const change = await wei.wait(id, { until: isSettled, timeoutMs: REST_MS });
  expect(change, JSON.stringify(change.decision?.reasons)).toMatchObject({ state: 'pending', subject: DEPLOYER });
  return change;
}

const approve = ({ id, planDigest }: ChangeView): Promise<ChangeView> => installation.as('person:wei').approve(id, planDigest!);

async function ended(id: string, state: ChangeView['state']): Promise<ChangeView> {
  const change = await installation.as('person:wei').wait(id, { until: (seen) => seen.state === state, timeoutMs: REST_MS });
  expect(change.state).toBe(state);
  return change;
}

const deployed = async (): Promise<unknown[]> => (await bench.database.admin('SELECT version FROM deployments ORDER BY id')).map(({ version }) => version);
/** What the deployer's own login comes to, by now. */
const deploysNow = (): Promise<string> => refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY);

describe('a CI job', () => {
  const workflow = parse(readFileSync(join(EXAMPLES, 'ci-jit/github-actions.yaml'), 'utf8')) as Workflow;
  const claimsOf = (repository: string): Record<string, string> => {
    const [{ issuer, mapping: { rules: [{ repositoryId, environment, workflow: ref, event }] } }] = github.identity.issuers;
    return { iss: issuer, sub: `repo:${repository}:environment:${environment!}`, repository, repository_id: repositoryId!, environment: environment!, ref: 'refs/heads/main', workflow_ref: ref!, event_name: event! };
  };
  let endpoint: TokenEndpoint;
  beforeAll(async () => {
    endpoint = await serveTokenEndpoint(github.key, claimsOf);
  });
  afterAll(() => endpoint.close());

  let jobs = 0;
  async function job(repository: string, version: string): Promise<Ran> {
    const temp = at(`runner-${(jobs += 1)}`);
    mkdirSync(temp);
    let ran: Ran = { code: 0, said: '' };
    for (const { command, cwd, env } of stepsOf(workflow, { root: bench.root, repository, version, temp, endpoint })) {
      const { COUNTERSIGN_TOKEN_FILE: _own, ...here } = place();
      ran = await start(command, cwd, { ...env, ...here, TOKEN_SECONDS: '1' });
      if (ran.code !== 0) break;
    }
    expect(readdirSync(temp), 'no token is left behind').toEqual([]);
    return ran;
  }

  test('deploys while the access is there, which is taken back at the end of the step', async () => {
    expect(await deploysNow()).toBe('42501');
    const [before, issued] = [await known(), endpoint.issued()];
    const running = job('acme/orders', '2026.11');
    const change = await asked(before);
    // It waits for longer than a token is good for: by then it has another.
    await until('it has the next token', () => (endpoint.issued() > issued + 1 ? true : undefined), { timeoutMs: REST_MS });
    await approve(change);
    const { code, said } = await running;
    expect(code, said).toBe(0);
    expect(await deployed()).toContain('2026.11');
    await ended(change.id, 'revoked');
    expect(await deploysNow()).toBe('42501');
    const [first] = (await installation.as('person:olga').evidence(change.id)).records;
    expect(first).toMatchObject({ type: 'change.requested', body: { authentication: { kind: 'github-actions', issuer: github.identity.issuers[0].issuer, subject: 'repo:acme/orders:environment:production' } } });
    expect(change.requester).toEqual([DEPLOYER]);
  });

  test('that fails fails, and has nothing afterwards', async () => {
    const before = await known();
    const running = job('acme/orders', '');
    const change = await asked(before);
    await approve(change);
    expect((await running).code).not.toBe(0);
    await ended(change.id, 'revoked');
    expect(await deploysNow()).toBe('42501');
  });

  test('of another repository is nobody, and deploys nothing', async () => {
    const before = await known();
    const { code, said } = await job('acme/elsewhere', '2026.12');
    expect([code, said]).toEqual([1, expect.stringContaining('token-not-mapped') as string]);
    expect(await known()).toEqual(before);
    expect(await deployed()).not.toContain('2026.12');
  });

  test.skipIf(!HAS_SCHEMAS)('is as GitHub wants a workflow, and asks for a token', () => {
    expect(schemaTrouble('check-jsonschema', '--builtin-schema', 'vendor.github-workflows', join(EXAMPLES, 'ci-jit/github-actions.yaml'))).toBe('');
    expect(workflow.permissions).toMatchObject({ 'id-token': 'write' });
    expect(workflow.jobs.deploy.steps.map(({ uses }) => uses)).toEqual(['actions/checkout@v5', undefined]);
  });
});

describe('a caller in Python', () => {
  const caller = join(EXAMPLES, 'python-caller/deploy.py');
  const insert = join(EXAMPLES, 'ci-jit/deploy.sh');
  const run = (version: string, script: string): Promise<Ran> =>
    start(['python3', caller, version, '--', 'sh', '-c', script], bench.directory, { ...place(), PYTHONDONTWRITEBYTECODE: '1' });

  test('asks, waits, uses the access and gives it back, whatever becomes of its command', async () => {
    for (const [version, script, code] of [['python-1', insert, 0], ['python-2', `${insert}; exit 7`, 7]] as const) {
      const before = await known();
      const running = run(version, script);
      const change = await asked(before);
      await approve(change);
      expect([(await running).code, await deployed()], (await running).said).toEqual([code, expect.arrayContaining([version]) as unknown[]]);
      await ended(change.id, 'revoked');
      expect(await deploysNow()).toBe('42501');
    }
  });

  test('whose change is rejected runs nothing', async () => {
    const before = await known();
    const running = run('python-3', insert);
    const { id, planDigest } = await asked(before);
    await installation.as('person:wei').reject(id, planDigest!, 'not today');
    expect((await running).code).toBe(1);
    expect(await deployed()).not.toContain('python-3');
  });
});

describe('a rotation that cron starts', () => {
  const cron = readFileSync(join(EXAMPLES, 'rotation-cron/rotate.cron'), 'utf8');
  const unit = readFileSync(join(EXAMPLES, 'rotation-cron/rotate-ci-deployer.service'), 'utf8');
  const [, line] = /^0 9 \* \* MON +deploy +(.*)$/m.exec(cron)!;
  const password = (): string => readFileSync(at('var/rotation/ci_deployer.password'), 'utf8');
  const works = (secret: string): Promise<string> => refusal(bench.database, { user: 'ci_deployer', password: secret }, 'SELECT 1');

  /** As cron does: by its shell, with what its file sets and nothing else. */
  function tick(env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const set = Object.fromEntries([...cron.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
    const here = line!.replaceAll('/etc/rotation/trust', installation.paths.trust).replaceAll('/var/lib/rotation', at('var/rotation')).replace('/opt/rotation', join(EXAMPLES, 'rotation-cron'));
    return start([set['SHELL']!, '-c', here], '/', { ...set, ...place(), PGUSER: bench.postgres.adminUser, ...env });
  }

  test('runs twice, each time once its owner has approved that run, and the evidence tells both', async () => {
    mkdirSync(at('var/rotation'), { recursive: true });
    const rotated: ChangeView[] = [];
    let old = bench.database.login('ci_deployer').password;
    for (let n = 0; n < 2; n += 1) {
      const before = await known();
      const running = tick();
      const change = await asked(before);
      expect(await works(old)).toBe('works');
      if (n === 1) expect((await tick()).code, 'a second one beside it').toBe(75);
      await approve(change);
      expect((await running).code, (await running).said).toBe(0);
      expect([await works(password()), await works(old)]).toEqual(['works', '28P01']);
      old = password();
      bench.database.setLogin('ci_deployer', { user: 'ci_deployer', password: old });
      rotated.push(await ended(change.id, 'done'));
    }
    for (const change of rotated) expect(change).toMatchObject({ mode: 'caller', result: { outcome: 'done', selfReported: false }, approvals: [{ approver: 'person:wei' }] });
    const pack = at('rotation.pack');
    const { paths } = installation;
    const exported = await countersign(['evidence', 'export', '--change', rotated[1]!.id, '--config', paths.config, '--as', 'person:olga', '--out', pack]);
    expect(exported.exitCode, exported.stderr).toBe(0);
    const verified = await countersign(['verify', pack, '--trust', paths.trust]);
    expect([verified.exitCode, verified.stdout], verified.stderr).toEqual([0, expect.stringContaining('✓ WORKFLOW') as string]);
    expect(readFileSync(pack, 'utf8')).not.toContain(old);
  });

  test('whose script fails is on record as failed, and cron is told what the script said', async () => {
    const [before, secret] = [await known(), bench.database.login('ci_deployer').password];
    const running = tick({ PGUSER: 'nobody_at_all' });
    const change = await asked(before);
    await approve(change);
    const { code, said } = await running;
    expect(code, said).toBe(2);
    await ended(change.id, 'failed');
    const { records } = await installation.as('person:olga').evidence(change.id);
    const { report } = records.find(({ type }) => type === 'step.failed')!.body as { report: Dsse };
    expect(readPayload(report, reportSchema)).toMatchObject({ outcome: 'failed', code: 'exit-2' });
    expect(await works(secret)).toBe('works');
  });

  test('is started by systemd with the same words, in units that systemd takes', () => {
    const words = (text: string): string => text.slice(text.indexOf('countersign run')).replace(/'$/, '');
    expect(words(/^ExecStart=(.*)$/m.exec(unit)![1]!)).toBe(words(line!));
    const variables = (text: string): string[] => [...text.matchAll(/(?:^|[ =])((?:COUNTERSIGN|PG)[A-Z_]*=\S+)/gm)].map(([, one]) => one!).sort();
    expect(variables(unit)).toEqual(variables(cron));
    // Else systemd makes 755 at each start of what was laid out as 700.
    expect(unit).toMatch(/^StateDirectoryMode=0700$/m);
    const verify = spawnSync('systemd-analyze', ['verify', ...['timer', 'service'].map((kind) => join(EXAMPLES, `rotation-cron/rotate-ci-deployer.${kind}`))], { encoding: 'utf8' });
    if (verify.error === undefined) expect([verify.status, verify.stderr]).toEqual([0, '']);
  });
});

describe('a service with Express', () => {
  let service: Running;
  let url: string;
  beforeAll(async () => {
    const { host, port } = bench.postgres;
    const { password } = bench.database.login('ci_deployer');
    const logs = at('logs');
    service = startNode({ name: 'express', args: [join(bench.root, 'dist/examples/express/main.js')], logs, run: at('run'), env: { ...place(), PGHOST: host, PGPORT: String(port), PGPASSWORD: password } });
    url = await until('it listens', () => /^listening (http:.*)$/m.exec(readFileSync(join(logs, 'express.log'), 'utf8'))?.[1], { timeoutMs: REST_MS });
  });
  afterAll(() => service.stop());
  const post = (route: string, body: object): Promise<Response> => fetch(url + route, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

  test('has the access for one request, and gives it back when that is answered', async () => {
    const before = await known();
    const response = post('/deployments', { version: 'express-1' });
    const change = await asked(before);
    expect(await deploysNow()).toBe('42501');
    await approve(change);
    expect([(await response).status, await (await response).json()]).toEqual([201, { version: 'express-1', change: change.id }]);
    expect(await deployed()).toContain('express-1');
    await ended(change.id, 'revoked');
    expect(await deploysNow()).toBe('42501');
  });

  test('answers at once where a person takes her time, and does the work when she has decided', async () => {
    const before = await known();
    const response = await post('/rollouts', { version: 'express-2' });
    const change = await asked(before);
    expect([response.status, await response.json(), response.headers.get('location')]).toEqual([202, { change: change.id }, `/rollouts/${change.id}`]);
    expect(await (await fetch(`${url}/rollouts/${change.id}`)).json()).toEqual({ change: change.id, state: 'pending' });
    await approve(change);
    await ended(change.id, 'revoked');
    expect(await deployed()).toContain('express-2');
    expect(await deploysNow()).toBe('42501');
  });

  test('tells who asks nothing of its inside', async () => {
    const unreadable = await fetch(`${url}/rollouts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' });
    expect([unreadable.status, await unreadable.json()]).toEqual([400, { error: 'this cannot be read' }]);
    const unknown = await fetch(`${url}/rollouts/chg_x`);
    expect([unknown.status, await unknown.json()]).toEqual([503, { error: 'not done; ask again later' }]);
  });

  test('asks nobody for what could not be done, and does nothing that was refused', async () => {
    const before = await known();
    expect((await post('/deployments', { version: "1'; DROP TABLE deployments" })).status).toBe(400);
    expect(await known()).toEqual(before);
    const response = post('/deployments', { version: 'express-3' });
    const { id, planDigest } = await asked(before);
    await installation.as('person:wei').reject(id, planDigest!, 'not today');
    expect([(await response).status, await (await response).json()]).toEqual([403, expect.objectContaining({ code: 'rejected', change: id })]);
    expect(await deployed()).not.toContain('express-3');
  });
});

describe.skipIf(!hasNats())('pods of Kubernetes', () => {
  const folder = join(EXAMPLES, 'kubernetes');
  const FILES = ['configuration.yaml', 'executor.yaml', 'application.yaml'];
  const manifests = FILES.flatMap((name) => readManifests(join(folder, name)));
  const blocks = blocksOf(readFileSync(join(folder, 'README.md'), 'utf8'));
  const running: Running[] = [];
  let cluster: string;
  let nats: NatsServers;
  let key: IssuerKey;
  let app: Pod | null = null;
  let executor: Pod;
  const inCluster = (...names: string[]): string => join(cluster, ...names);

  async function follow(block: Block): Promise<string> {
    const env = {
      ...place(), PATH: [inCluster('bin'), path].join(delimiter), OBJECTS: inCluster('objects'), DATABASE_PASSWORD: bench.postgres.adminPassword,
      CONFIG: app === null ? '' : app.mapped(app.container('countersign'), '/etc/countersign/config'),
    };
    const { code, said } = await start(['bash', '-euc', block.script], block === blocks[0] ? cluster : inCluster('installation'), env);
    expect(code, said).toBe(0);
    return said;
  }
  const run = (pod: Pod, name: string): void => {
    const container = pod.container(name);
    running.push(startNode({ name: `k8s-${name}`, args: [installation.paths.cli, ...pod.words(container)], logs: inCluster('logs'), run: inCluster('run'), env: pod.env(container) }));
  };
  const probe = (pod: Pod, name: string, kind: 'startupProbe' | 'livenessProbe' | 'readinessProbe'): Promise<true> => until(`${kind} of ${name}`, () => {
    const container = pod.container(name);
    const [command, ...args] = container[kind]!.exec.command.map((word) => pod.mapped(container, word));
    return spawnSync(command!, args).status === 0 ? true : undefined;
  }, { timeoutMs: REST_MS });

  beforeAll(async () => {
    cluster = mkdtempSync(join(tmpdir(), 'k8s-'));
    key = await issuerKey('cluster-1', 'RS256');
    mkdirSync(inCluster('bin'));
    mkdirSync(inCluster('objects'));
    writeFileSync(inCluster('bin/kubectl'), KUBECTL, { mode: 0o755 });
    writeFileSync(inCluster('objects/jwks.json'), JSON.stringify({ keys: [key.jwk] }));
    const made = await follow(blocks[0]!);
    const [sidecar, worker] = [...made.matchAll(/\bU[A-Z2-7]{55}\b/g)].map(([one]) => one);
    await follow(blocks[1]!);
    nats = await layOutNats({ program: findProgram(bench.root, 'nats-server')!, directory: cluster, size: 1, logs: inCluster('logs'), run: inCluster('run') });
    await nats.start(formatAccounts({ sidecars: [sidecar!], executors: new Map([['executor:main', [worker!]]]) }));
    const { host, port, adminUser } = bench.postgres;
    const options = {
      directory: cluster, objects: inCluster('objects'),
      elsewhere: { 'tls://nats.messaging.svc:4222': nats.urls[0]!, 'host: db.orders.svc, port: 5432': `host: ${host}, port: ${port}`, 'user: countersign,': `user: ${adminUser},`, 'port: 8099': 'port: 0' },
      tokenFor: (namespace: string, serviceAccount: string, audience: string) => issue(key, { iss: 'https://kubernetes.default.svc.cluster.local', sub: `system:serviceaccount:${namespace}:${serviceAccount}`, aud: [audience] }),
    };
    executor = await layOutPod(manifests, 'countersign-executor', options);
    app = await layOutPod(manifests, 'deployer', options);
    run(executor, 'executor');
    run(app, 'countersign');
    await probe(app, 'countersign', 'startupProbe');
    await follow(blocks[2]!);
  });
  afterAll(async () => {
    for (const one of running) await one.stop();
    await nats.kill9();
    rmSync(cluster, { recursive: true, force: true });
  });

  test.skipIf(!HAS_SCHEMAS)('are as the schema of Kubernetes wants them', () => {
    expect(schemaTrouble('kubernetes-validate', '--quiet', '--strict', ...FILES.map((name) => join(folder, name)))).toBe('');
  });

  test('have their Secrets in namespaces of their own', () => {
    expect(['orders', 'orders-executor'].map((namespace) => readdirSync(inCluster('objects', namespace, 'secret')))).toEqual([['countersign-sidecar'], ['countersign-executor']]);
  });

  test('start, answer their probes, and give the application access for a while, as whom its token says it is', async () => {
    for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) await probe(app!, 'countersign', kind);
    for (const kind of ['startupProbe', 'readinessProbe'] as const) await probe(executor, 'executor', kind);
    const { COUNTERSIGN_SOCKET: socket, COUNTERSIGN_TOKEN_FILE: tokenFile } = app!.env(app!.container('deployer'));
    const client = connect({ socket: socket!, token: () => readFileSync(tokenFile!, 'utf8').trim() });
    const wei = connect({ socket: socket!, token: /^person:wei (.*)$/m.exec(readFileSync(inCluster('installation/tokens.txt'), 'utf8'))![1]! });
    const { id } = await client.request({ kind: 'grant', subject: DEPLOYER, purpose: 'deploy-orders', reason: 'from a pod', duration: 'PT10M', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }] });
    const change = await client.wait(id, { until: isSettled, timeoutMs: REST_MS });
    expect(change).toMatchObject({ state: 'pending', requester: [DEPLOYER] });
    await wei.approve(id, change.planDigest!);
    expect((await client.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS })).state).toBe('active');
    expect(await deploysNow()).toBe('works');
    await client.revoke(id, 'done');
    expect((await client.wait(id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');
    expect(await deploysNow()).toBe('42501');
    const [first] = (await wei.evidence(id)).records;
    expect(first).toMatchObject({ body: { authentication: { kind: 'kubernetes', subject: 'system:serviceaccount:orders:deployer' } } });
    const ledger = app!.mapped(app!.container('countersign'), '/var/lib/countersign/data/ledger');
    const { exitCode, stdout, stderr } = await countersign(['verify', ledger, '--trust', inCluster('installation/trust')]);
    expect([exitCode, stdout], stderr).toEqual([0, expect.stringContaining('✓ WORKFLOW') as string]);
  });
});

test('the evidence of all of it holds', async () => {
  expect(await verificationTrouble(installation)).toBe('');
});
