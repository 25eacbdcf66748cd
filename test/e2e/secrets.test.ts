/** No secret is written down (invariant 7): after a provision and a failed one, it is looked for wherever anything was written. */
import { Decrypter } from 'age-encryption';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { commandLine } from '../../examples/demo/processes.ts';
import { isSettled, type ChangeRequest, type ChangeView } from '../../src/client/index.ts';
import { countMarked, openBench, refusal, type Bench } from './support/bench.ts';
import { filesBelow, searchFiles, searchText, spellings } from './support/search.ts';

/** The server writes down every statement, and every failing one again. */
const TALKATIVE = { log_statement: 'all', log_min_error_statement: 'debug5', log_min_messages: 'debug1', log_min_duration_statement: '0', log_connections: 'on', log_error_verbosity: 'verbose', log_parameter_max_length_on_error: '-1' };
const REST_MS = 60_000;

let bench: Bench;
let installation: Installation;
beforeAll(async () => {
  bench = await openBench(TALKATIVE);
  installation = bench.install('secrets', { config: { logLevel: 'debug' } });
  await installation.startExecutor();
  await installation.startSidecar();
});
afterAll(() => bench.close());

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
