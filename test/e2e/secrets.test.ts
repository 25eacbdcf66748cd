/** No secret is written down (invariant 7): whatever was made, delivered, replaced or used to sign is looked for wherever anything was written. */
import { Decrypter } from 'age-encryption';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { commandLine } from '../../examples/demo/processes.ts';
import { isSettled, withAccess, type ChangeRequest, type ChangeView } from '../../src/client/index.ts';
import { countMarked, openBench, refusal, WEBHOOK_SECRET_FILE, WINDOW, type Bench } from './support/bench.ts';
import { approveUntil, DEPLOYER, rotationOf, startRun, WAREHOUSE } from './support/caller.ts';
import type { AccessPorts } from '../../src/client/persist.ts';
import { filesBelow, searchFiles, searchText, spellings } from './support/search.ts';
import { openSink, type Sink } from './support/sink.ts';

/** The server writes down every statement, and every failing one again. */
const TALKATIVE = { log_statement: 'all', log_min_error_statement: 'debug5', log_min_messages: 'debug1', log_min_duration_statement: '0', log_connections: 'on', log_error_verbosity: 'verbose', log_parameter_max_length_on_error: '-1' };
const REST_MS = 60_000;

const webhookSecret = `whsec_${randomBytes(32).toString('base64')}`;
const webhookKey = Buffer.from(webhookSecret.slice('whsec_'.length), 'base64');

let bench: Bench;
let sink: Sink;
let installation: Installation;
beforeAll(async () => {
  bench = await openBench(TALKATIVE);
  sink = await openSink(webhookSecret, 'ok');
  const webhooks = [{ name: 'sink', url: sink.url, secret: WEBHOOK_SECRET_FILE, allowHttp: true, allowPrivate: true }];
  installation = bench.install('secrets', { windowMinutes: 15, webhookSecret, config: { logLevel: 'debug', webhooks, limits: { republishSeconds: 1 } } });
  await installation.startExecutor();
  await installation.startSidecar();
});
afterAll(async () => {
  await bench.close();
  await sink.close();
});

const provision = (): ChangeRequest => ({
  kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'secrets', duration: 'PT15M',
  entitlements: onApp('table:public.orders:SELECT'), recipient: bench.recipient,
});

async function provisioned(state: 'active' | 'failed'): Promise<ChangeView> {
  const job = installation.as('nhi:prod/billing-export');
  const { id } = await job.request(provision());
  const asked = await job.wait(id, { until: isSettled, timeoutMs: REST_MS });
  await installation.as('person:ana').approve(id, asked.planDigest!);
  const change = await job.wait(id, { until: (one) => ['active', 'failed', 'stuck', 'revoked', 'denied'].includes(one.state), timeoutMs: REST_MS });
  expect(change.state, JSON.stringify(change)).toBe(state);
  return change;
}

async function open(ciphertext: Uint8Array): Promise<string> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(bench.identity);
  return decrypter.decrypt(ciphertext, 'text');
}

/** Every secret that was ever sealed to us, opened: the executor keeps each attempt's ciphertext, also of one that failed. */
async function everySecret(): Promise<string[]> {
  const sealed = /YWdlLWVuY3J5cHRpb24ub3JnL3Yx[A-Za-z0-9+/]+={0,2}/g;
  const found = filesBelow(installation.paths.executorState).flatMap((file) => readFileSync(file, 'latin1').match(sealed) ?? []);
  return Promise.all([...new Set(found)].map((base64) => open(Buffer.from(base64, 'base64'))));
}

/** Every place where a process of ours, or the target, writes. */
const places = (): string[] => [installation.paths.directory, dirname(bench.postgres.dataDirectory), bench.directory];

/** Command lines and environments of the processes, now. */
function processTexts(): string[] {
  return [installation.sidecar.pid, installation.executor.pid, bench.postgres.pid].flatMap((pid) => [
    commandLine(pid) ?? '', ...(process.platform === 'linux' ? [readFileSync(`/proc/${pid}/environ`, 'latin1')] : []),
  ]);
}

test('the search finds a secret in each of its spellings, in a file and in the middle of something else', () => {
  const secret = 'p4ss/w+rd-ÄÖ_"quoted"';
  const directory = mkdtempSync(join(tmpdir(), 'countersign-search-'));
  try {
    for (const [name, spelled] of spellings(secret)) {
      const file = join(directory, 'deep', name.replaceAll(' ', '-'));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${'x'.repeat(4_000)}${spelled}yy`, 'latin1');
      expect(searchText('text', readFileSync(file).toString('latin1'), [secret]), name).not.toEqual([]);
    }
    for (const neighbours of ['', 'a', 'ab', 'abc']) {
      const text = Buffer.from(`${neighbours}${secret}zzz`).toString('base64');
      expect(searchText('base64', text, [secret]), `after ${neighbours.length} bytes`).not.toEqual([]);
    }
    expect(searchFiles([directory], [secret]).hits.length).toBeGreaterThanOrEqual(spellings(secret).size);
    expect(searchFiles([directory], ['another secret']).hits).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('after a provision, a failed provision and a revoke, no secret is in any file, log, journal, book or command line', async () => {
  const active = await provisioned('active');
  const job = installation.as('nhi:prod/billing-export');
  const delivery = await job.delivery(active.id);
  const secret = await open(Buffer.from(delivery.ciphertext, 'base64'));
  const { account } = active.plan!.steps[0]!;
  expect(await refusal(bench.database, { user: account, password: secret }, 'SELECT count(*) FROM orders')).toBe('works');
  // While the credential lives, and its ciphertext waits.
  expect(searchFiles(places(), [secret]).hits).toEqual([]);
  expect(searchText('processes', processTexts().join('\n'), [secret])).toEqual([]);
  expect(searchText('answers', JSON.stringify([active, delivery, await job.evidence(active.id), await job.get(active.id)]), [secret])).toEqual([]);

  // A provision whose transaction fails after the role was made, so that the server logs the statements that failed.
  await bench.database.admin(`
    CREATE FUNCTION no_grants() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no grants today'; END $$;
    CREATE EVENT TRIGGER no_grants ON ddl_command_start WHEN TAG IN ('GRANT') EXECUTE FUNCTION no_grants()`);
  const failed = await provisioned('failed');
  await bench.database.admin('DROP EVENT TRIGGER no_grants');
  expect(await countMarked(bench.database, failed.plan!.steps[0]!.clientToken)).toBe(0);

  await job.acknowledge(active.id, delivery.digest);
  await installation.as('person:ana').revoke(active.id, 'over');
  expect((await job.wait(active.id, { until: (one) => one.state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');

  const secrets = await everySecret();
  expect(secrets).toContain(secret);
  expect(secrets.length, 'secrets of the provision and of the failed one').toBeGreaterThanOrEqual(2);
  const { hits, files } = searchFiles(places(), secrets);
  expect(hits).toEqual([]);
  expect(searchText('processes', processTexts().join('\n'), secrets)).toEqual([]);
  expect(searchText('answers', JSON.stringify([await job.get(failed.id), await job.evidence(failed.id), await job.evidence(active.id)]), secrets)).toEqual([]);

  // That something was looked at: what must be there is.
  const { paths } = installation;
  for (const directory of [paths.ledger, join(paths.ledger, 'objects'), paths.journal, paths.executorState, paths.logs]) {
    expect(files.some((file) => file.startsWith(`${directory}/`)), directory).toBe(true);
  }
  const serverLog = readFileSync(bench.postgres.logFile, 'utf8');
  expect(serverLog).toContain('no grants today');
  expect(serverLog).toContain(account);
  // The server was told a verifier, never a password (RFC 5802).
  expect(serverLog).toMatch(/CREATE ROLE .* PASSWORD 'SCRAM-SHA-256\$/);
});

const rotateRequest = (subject: string, purpose: string): ChangeRequest => ({
  kind: 'rotate', subject, connector: 'pg-main', target: 'app', purpose, reason: 'secrets', recipient: bench.recipient, grace: 'PT1M', window: { calendar: WINDOW },
});

test('after a rotation with an overlap and one without, neither the staged nor the replaced secret is anywhere', async () => {
  const secrets: string[] = [];
  const rotated = async (subject: string, purpose: string, approvers: readonly string[], deliveredIn: ChangeView['state']): Promise<ChangeView> => {
    const requester = installation.as(subject);
    const { id } = await requester.request(rotateRequest(subject, purpose));
    const cast = { requester, approvers: approvers.map((approver) => installation.as(approver)) };
    const change = await approveUntil(cast, id, ({ state }) => state === deliveredIn || ['failed', 'denied', 'stuck'].includes(state), performance.now() + REST_MS);
    expect(change.state, JSON.stringify(change.decision?.reasons)).toBe(deliveredIn);
    const delivery = await requester.delivery(id);
    const secret = await open(Buffer.from(delivery.ciphertext, 'base64'));
    expect(await refusal(bench.database, { user: change.plan!.steps[0]!.account, password: secret }, 'SELECT count(*) FROM orders'), 'the new secret').toMatch(/^works$|^42501$/);
    secrets.push(secret);
    expect(searchFiles(places(), [secret]).hits).toEqual([]);
    expect(searchText('answers', JSON.stringify([change, delivery, await requester.evidence(id)]), [secret])).toEqual([]);
    await requester.acknowledge(id, delivery.digest);
    for (const { consumer } of change.rotation!.consumers) await requester.confirm(id, consumer).catch(() => undefined);
    return approveUntil(cast, id, ({ state }) => state === 'done' || state === 'stuck', performance.now() + REST_MS);
  };
  const twin = await rotated('nhi:prod/orders-api', 'serve-orders', ['person:wei', 'person:olga'], 'staged');
  expect(twin).toMatchObject({ state: 'done', rotation: { overlap: 'twin', oldCredential: 'gone' } });
  const single = await rotated(WAREHOUSE.subject, WAREHOUSE.purpose, WAREHOUSE.approvers, 'done');
  expect(single).toMatchObject({ state: 'done', rotation: { overlap: 'none' } });

  const known = await everySecret();
  expect(known).toEqual(expect.arrayContaining(secrets));
  expect(searchFiles(places(), known).hits).toEqual([]);
  expect(searchText('processes', processTexts().join('\n'), known)).toEqual([]);
  expect(searchText('webhooks', JSON.stringify(sink.messages), known)).toEqual([]);
});

test('the private half of a run\'s key is nowhere, nor is what its code throws', async () => {
  const requester = installation.as(DEPLOYER.subject);
  const chosen: Uint8Array[] = [];
  const ports: AccessPorts = {
    nowMs: () => Date.now(), sleep: (ms) => delay(ms),
    random: (length) => {
      const bytes = randomBytes(length);
      chosen.push(bytes);
      return bytes;
    },
  };
  const secret = 'the code knows s3cr3ts-and-throws-them';
  const { kind, ...rest } = rotationOf(DEPLOYER) as Extract<ChangeRequest, { kind: 'rotate' }>;
  let id = '';
  const running = withAccess(requester, { kind, ...rest }, () => Promise.reject(new Error(secret)), {
    trust: installation.paths.trust, workTimeout: 'PT1M', seen: (change) => {
      id = change.id;
    },
  }, ports);
  const asked = await until('it is asked', () => (id === '' ? undefined : id), { timeoutMs: REST_MS });
  const [failed] = await Promise.all([
    approveUntil({ requester, approvers: [installation.as('person:wei')] }, asked, ({ state }) => state === 'failed', performance.now() + REST_MS),
    expect(running).rejects.toThrow(secret),
  ]);
  const seeds = chosen.filter(({ length }) => length === 32);
  expect(seeds).toHaveLength(1);
  // What is on record is signed with it; its public half is in the plan.
  expect(failed.plan?.caller?.key).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  const { hits, files } = searchFiles(places(), [...seeds, secret]);
  expect(hits).toEqual([]);
  expect(files.length).toBeGreaterThan(10);
  expect(searchText('answers', JSON.stringify([failed, await requester.evidence(asked)]), [...seeds, secret])).toEqual([]);
  expect(searchText('webhooks', JSON.stringify(sink.messages), [...seeds, secret])).toEqual([]);
});

test('what a command under countersign run prints is its own: it is in no file of ours', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'countersign-outside-'));
  try {
    const secret = randomBytes(24).toString('base64url');
    writeFileSync(join(outside, 'secret'), secret, { mode: 0o600 });
    const requester = installation.as(DEPLOYER.subject);
    const before = new Set((await requester.list({ kind: 'rotate' })).changes.map(({ id }) => id));
    const run = startRun(installation, {
      subject: DEPLOYER.subject, change: rotationOf(DEPLOYER), place: join(outside, 'run'), env: { OUTSIDE: outside },
      command: ['sh', '-c', 'cat "$OUTSIDE/secret"; cat "$OUTSIDE/secret" >&2; exit 9'],
    });
    const { id } = await until('it is asked', async () => (await requester.list({ kind: 'rotate' })).changes.find((change) => !before.has(change.id)), { timeoutMs: REST_MS });
    await approveUntil({ requester, approvers: [installation.as('person:wei')] }, id, ({ state }) => state === 'failed', performance.now() + REST_MS);
    expect(await run.exit).toBe(9);
    expect(run.output().split(secret)).toHaveLength(3);
    expect(searchFiles(places(), [secret]).hits).toEqual([]);
    expect(searchText('answers', JSON.stringify(await requester.evidence(id)), [secret])).toEqual([]);
  } finally {
    rmSync(outside, { recursive: true });
  }
});

test('the secret that webhooks are signed with is in its own file, and nowhere else', () => {
  expect(sink.messages.length).toBeGreaterThan(5);
  expect(sink.messages.every(({ signed }) => signed)).toBe(true);
  const own = join(installation.paths.directory, WEBHOOK_SECRET_FILE);
  const { hits } = searchFiles(places(), [webhookSecret.slice('whsec_'.length), webhookKey]);
  expect(hits.some((hit) => hit.startsWith(own)), 'the search finds it where it is').toBe(true);
  expect(hits.filter((hit) => !hit.startsWith(own))).toEqual([]);
  expect(searchText('processes', processTexts().join('\n'), [webhookSecret.slice('whsec_'.length), webhookKey])).toEqual([]);
  expect(searchText('webhooks', JSON.stringify(sink.messages), [webhookSecret.slice('whsec_'.length), webhookKey])).toEqual([]);
});
