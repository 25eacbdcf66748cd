/**
 * `npm run bench:console [-- CHANGES [DIRECTORY]]`: each page of the console over a ledger of so many changes (100,000), as a person who is signed in has it: a
 * real `serve`, a real `console`, each page asked for again and again, one after the other. A DIRECTORY is kept, and one that is there is looked at as it is,
 * within the hour in which what waits in it can still be decided. Exits 0 only if every page keeps to {@link P95_MS_MAX} and {@link PAGE_BYTES_MAX}, and the
 * sidecar, before anybody asks, to {@link RSS_MAX}.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from '../../src/client/index.ts';
import { readHead, readRecords } from '../../src/console/ledger-files.ts';
import { IDENTITIES, makeEstate, READERS } from './estate-ledger.ts';

const P95_MS_MAX = 150;
const PAGE_BYTES_MAX = 100 * 1024;
const RSS_MAX = 300 * 1024 ** 2;
const WARM = 3;
const ASKED = Number(process.env['BENCH_ASKED'] ?? 40);
const TICK_MS = 10;
const MAIN = join(import.meta.dirname, '../../src/main.js');
const QUIET_MS = 5_000;

const changes = Number(process.argv[2] ?? 100_000);
const kept = process.argv[3];
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** Until nothing more is recorded: leases are decided on again by the facts that are in force now. */
async function quiet(url: string): Promise<void> {
  const client = connect({ url, token: READERS.ana.token, timeoutMs: 60_000 });
  for (let [before, size] = [-1, 0]; before !== size;) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    [before, size] = [size, (await readHead(client)).size];
  }
}

async function run(...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('listening http')) break;
  if (child.exitCode !== null) throw new Error(`${args[0]} ended with ${child.exitCode}`);
  child.stdout.resume();
  return child;
}

/** Time of a core that a process took so far. */
function coreMs({ pid }: ChildProcess): number {
  return readFileSync(`/proc/${pid!}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13).reduce((sum, text) => sum + Number(text) * TICK_MS, 0);
}

function mostBytes({ pid }: ChildProcess): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid!}/status`, 'utf8'))![1]) * 1024;
}

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

const agent = new Agent({ keepAlive: true });

function send(origin: string, method: 'GET' | 'POST', path: string, cookie: string, form?: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = {
      'accept-encoding': 'br', ...(cookie === '' ? {} : { cookie }),
      ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form), origin, 'sec-fetch-site': 'same-origin' }),
    };
    const outgoing = request(`${origin}${path}`, { method, headers, agent }, (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('data', (piece: Buffer) => void pieces.push(piece));
      incoming.on('end', () => resolve({ status: incoming.statusCode!, headers: incoming.headers, body: Buffer.concat(pieces) }));
    });
    outgoing.on('error', reject);
    outgoing.end(form);
  });
}

async function signIn(origin: string, token: string): Promise<string> {
  const { status, headers } = await send(origin, 'POST', '/signin', '', new URLSearchParams({ token, then: '/' }).toString());
  const [cookie] = headers['set-cookie'] ?? [];
  if (status !== 303 || cookie === undefined) throw new Error(`signing in was answered with ${status}`);
  return cookie.split(';')[0]!;
}

const pick = <T>(all: readonly T[]): T => all[Math.floor(Math.random() * all.length)]!;
const at = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;

interface Asking {
  readonly page: string;
  readonly reader: keyof typeof READERS;
  /** One of the addresses of such a page. */
  readonly path: () => string;
}

const directory = kept ?? (await mkdtemp(join(tmpdir(), 'countersign-bench-console-')));
const children: ChildProcess[] = [];
try {
  const [port, consolePort] = [await freePort(), await freePort()];
  await makeEstate(directory, changes, port, say);
  const serve = async (): Promise<ChildProcess> => {
    const child = await run('serve', '--config', join(directory, 'countersign.yaml'));
    children.push(child);
    await quiet(`http://127.0.0.1:${port}`);
    return child;
  };
  // As after any start but the first, which has to read all of it.
  await end(await serve());
  const sidecar = await serve();
  const origin = `http://localhost:${consolePort}`;
  await writeFile(join(directory, 'console.yaml'), JSON.stringify({ publicUrl: origin, listen: { port: consolePort }, sidecars: [{ name: 'main', url: `http://127.0.0.1:${port}` }], login: { kind: 'token' }, logLevel: 'error' }));
  const console_ = await run('console', '--config', join(directory, 'console.yaml'));
  children.push(console_);

  const atRest = mostBytes(sidecar);
  const client = connect({ url: `http://127.0.0.1:${port}`, token: READERS.ana.token });
  const { size } = await readHead(client);
  const ids: string[] = [];
  while (ids.length < 200) {
    const [record] = await readRecords(client, size, 1 + Math.floor(Math.random() * size), 1);
    if (record?.change != null) ids.push(record.change);
  }
  const waiting = (await client.list({ waitingForMe: true, limit: 200 })).changes.map(({ id }) => id);
  const identity = (): string => `nhi:prod/${pick(['ci-deployer', 'billing-export', 'orders-api'])}-${Math.floor(Math.random() * IDENTITIES)}`;
  const hers = (): string => `nhi:prod/ci-deployer-${7 + 100 * Math.floor(Math.random() * 10)}`;
  const older = (): string => `after=${encodeURIComponent(`main:${pick(ids)}`)}`;
  const pages: Asking[] = [
    { page: 'inbox', reader: 'ana', path: () => '/' },
    { page: 'changes, the newest', reader: 'ana', path: () => '/changes' },
    { page: 'changes, further on', reader: 'ana', path: () => `/changes?${older()}` },
    { page: 'changes, of one state', reader: 'ana', path: () => `/changes?state=${pick(['denied', 'revoked', 'done', 'active'])}` },
    { page: 'changes, of a state that none has', reader: 'ana', path: () => '/changes?state=stuck' },
    { page: 'changes, of one identity', reader: 'ana', path: () => `/changes?q=${encodeURIComponent(identity())}` },
    { page: 'changes, her own', reader: 'owner', path: () => '/changes' },
    { page: 'changes, to see none', reader: 'nobody', path: () => '/changes' },
    { page: 'changes, that wait for her', reader: 'ana', path: () => '/changes?waits=me' },
    { page: 'a change of any time', reader: 'ana', path: () => `/changes/main/${pick(ids)}` },
    { page: 'a change that waits', reader: 'ana', path: () => `/changes/main/${pick(waiting)}` },
    { page: 'evidence', reader: 'ana', path: () => `/changes/main/${pick(ids)}/evidence` },
    { page: 'leases', reader: 'ana', path: () => '/leases' },
    { page: 'leases, her own', reader: 'owner', path: () => '/leases' },
    { page: 'leases, narrowed', reader: 'ana', path: () => '/leases?q=deployer-77&sort=identity' },
    { page: 'inventory', reader: 'ana', path: () => '/inventory' },
    { page: 'inventory, narrowed', reader: 'ana', path: () => '/inventory?q=deployer-77&with=leases' },
    { page: 'an identity', reader: 'ana', path: () => `/inventory/main/${identity()}` },
    { page: 'an identity of hers', reader: 'owner', path: () => `/inventory/main/${hers()}` },
    { page: 'ledger', reader: 'ana', path: () => '/ledger' },
    { page: 'ledger, further on', reader: 'ana', path: () => `/ledger?before=${Math.floor(Math.random() * size)}` },
    { page: 'a record', reader: 'ana', path: () => `/ledger/main/records/${Math.floor(Math.random() * size)}` },
  ];

  const cookies = new Map<string, string>();
  for (const [reader, { token }] of Object.entries(READERS)) cookies.set(reader, await signIn(origin, token));
  const first = await send(origin, 'GET', '/', cookies.get('ana')!);
  let beside = 0;
  for (const [, path] of first.body.toString('utf8').matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) beside += (await send(origin, 'GET', path!, '')).body.length;

  say(`${changes} changes, ${size} records; with each page come ${beside} bytes that browsers keep, counted in`);
  say(`${'page'.padEnd(36)} ${'p50'.padStart(8)} ${'p95'.padStart(8)} ${'most'.padStart(8)} ${'sidecar'.padStart(9)} ${'console'.padStart(9)} ${'bytes'.padStart(9)}`);
  say(`${''.padEnd(36)} ${'ms'.padStart(8)} ${'ms'.padStart(8)} ${'ms'.padStart(8)} ${'core ms'.padStart(9)} ${'core ms'.padStart(9)} ${'at most'.padStart(9)}`);
  let holds = true;
  const only = process.env['BENCH_PAGES'];
  for (const { page, reader, path } of pages) {
    if (only !== undefined && !page.includes(only)) continue;
    const ask = async (): Promise<{ ms: number; bytes: number }> => {
      const address = path();
      const startMs = performance.now();
      const { status, body } = await send(origin, 'GET', address, cookies.get(reader)!);
      const ms = performance.now() - startMs;
      if (status !== 200 || body.includes('id="troubles"><p')) throw new Error(`${address} was answered with ${status}: ${/<p class="banner bad".*?<\/p>/.exec(body.toString('utf8'))?.[0] ?? ''}`);
      return { ms, bytes: body.length };
    };
    for (let n = 0; n < WARM; n += 1) await ask();
    const before = [coreMs(sidecar), coreMs(console_)];
    const got = [];
    for (let n = 0; n < ASKED; n += 1) got.push(await ask());
    const core = [coreMs(sidecar), coreMs(console_)].map((ms, n) => (ms - before[n]!) / ASKED);
    const ms = got.map((one) => one.ms).sort((a, b) => a - b);
    const bytes = beside + Math.max(...got.map((one) => one.bytes));
    const kept_ = at(ms, 0.95) <= P95_MS_MAX && bytes <= PAGE_BYTES_MAX;
    holds &&= kept_;
    say(`${page.padEnd(36)} ${at(ms, 0.5).toFixed(1).padStart(8)} ${at(ms, 0.95).toFixed(1).padStart(8)} ${ms.at(-1)!.toFixed(1).padStart(8)} ${core[0]!.toFixed(1).padStart(9)} ${core[1]!.toFixed(1).padStart(9)} ${String(bytes).padStart(9)}${kept_ ? '' : '  TOO MUCH'}`);
  }
  const most = mostBytes(sidecar);
  say(`at most in memory: sidecar ${(atRest / 1024 ** 2).toFixed(0)} MiB before anybody asked and ${(most / 1024 ** 2).toFixed(0)} MiB then, console ${(mostBytes(console_) / 1024 ** 2).toFixed(0)} MiB`);
  holds &&= atRest <= RSS_MAX;
  say(holds ? 'holds' : 'DOES NOT HOLD');
  process.exitCode = holds ? 0 : 1;
} finally {
  agent.destroy();
  for (const child of children) await end(child);
  if (kept === undefined) await rm(directory, { recursive: true, force: true });
}
