/**
 * The fault sweep on the real thing: `strace` makes the n-th write, sync, rename, open, … of a writing process fail, or lets it do only a part, or is the
 * last that the process does. Then the ledger is opened again, by another process.
 *
 * Some of them are tried here; `COUNTERSIGN_FAULTS=all` tries every one.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf, exitCodeOf, generateSignerKey, nodeDisk, openLog, parseSigner, parseTrustPolicy, sha256, verifyLedger } from '../../ledger/index.ts';

const ORIGIN = 'log.test/strace';
const RECORDS = 9;
const SCRIPT = join(import.meta.dirname, '../support/ledger-process.mjs');
const hasStrace = spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0;
/** One fault in so many is tried. */
const EVERY = process.env['COUNTERSIGN_FAULTS'] === 'all' ? 1 : 8;

const WRITES = ['write', 'pwrite64'];
const CALLS = [...WRITES, 'fsync', 'fdatasync', 'rename', 'openat', 'ftruncate', 'link', 'unlink'] as const;
const FAULTS = ['error=EIO', 'error=ENOSPC', 'error=EROFS', 'signal=KILL', 'retval=3'] as const;

interface Point {
  readonly call: string;
  readonly fault: string;
  readonly n: number;
}

let root: string;
let points: Point[] = [];
let tried = 0;
let refused = 0;

/** Files that are written at their end: `write` of anything else is how threads wake each other. */
const APPENDED = (directory: string): string[] => ['journal/0000000000000000.journal', 'ledger/objects/0', 'journal/base.0', 'journal/base.1'].map((path) => join(directory, path));

async function attached(strace: ChildProcess): Promise<void> {
  for await (const line of createInterface({ input: strace.stderr! })) if (line.includes('attached')) return;
  throw new Error('strace did not attach');
}

/** What the process said under the fault, line by line. */
async function run(directory: string, args: readonly string[], output: string): Promise<string[]> {
  // One thread does what is asked of the disk, one thing after another: the n-th is the same every time.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };
  const child = spawn(process.execPath, [SCRIPT, directory, ORIGIN, String(RECORDS)], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const ended = once(reader, 'close');
  reader.on('line', (line) => lines.push(line));
  await once(reader, 'line');
  const strace = spawn('strace', ['-f', '-p', String(child.pid), '-o', output, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  await attached(strace);
  strace.stderr.resume();
  child.stdin.on('error', () => undefined);
  child.stdin.write('go\n');
  await Promise.all([ended, child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null]);
  if (strace.exitCode === null && strace.signalCode === null) await once(strace, 'exit');
  return lines;
}

const pathsOf = (call: string, directory: string): string[] => (call === 'write' ? APPENDED(directory).flatMap((path) => ['-P', path]) : []);

/** Nothing that was said is broken by what is there. */
async function judge(directory: string, said: readonly string[], what: string): Promise<void> {
  const told = said.map((line) => line.split(' '));
  const signer = parseSigner(generateSignerKey(ORIGIN, sha256(Buffer.from(ORIGIN))).skey);
  const disk = nodeDisk(directory);
  const log = await openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
  const found: unknown[] = [];
  for await (const { record } of log.entries(0)) found.push(record.body['i']);
  expect(found, what).toEqual(found.map((_, i) => i));
  for (const [word, first, second] of told) {
    if (word === 'acknowledged') expect(Number(first), `${what}: an acknowledged record is lost`).toBeLessThan(log.size);
    if (word === 'signed') expect(log.size, `${what}: signed, and gone`).toBeGreaterThanOrEqual(Number(first));
    if (word === 'signed') expect(Buffer.from(log.root(Number(first))).toString('base64'), `${what}: two histories`).toBe(second);
    if (word === 'erased') expect(await log.object(digestOf(Buffer.from(JSON.stringify({ salt: 'salt 2' })))), `${what}: erased and back`).toBeNull();
  }
  await log.append([{ v: 1, change: null, type: 'policy.decided', at: new Date().toISOString(), actor: 'sidecar:test', body: { i: log.size }, objects: [] }], { checkpoint: true }).durable;
  await log.close();
  const verification = await verifyLedger({ disk: nodeDisk(directory), directory: 'ledger', trust: parseTrustPolicy(`log ${signer.vkey}\nquorum none\n`) });
  expect(exitCodeOf(verification.verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS']), `${what}: ${JSON.stringify(verification.verdicts)}`).toBe(0);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ledger-strace-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

test.skipIf(!hasStrace)('the calls that a writing process makes are counted', async () => {
  for (const call of CALLS) {
    const directory = join(root, `count-${call}`);
    const output = join(root, `${call}.trace`);
    const said = await run(directory, ['-e', `trace=${call}`, ...pathsOf(call, directory)], output);
    expect(said.at(-1), call).toBe('closed');
    const { stdout } = spawnSync('sh', ['-c', `grep -c '${call}(' '${output}'`], { encoding: 'utf8' });
    expect(Number(stdout), call).toBeGreaterThan(0);
    for (const fault of FAULTS.filter((one) => one !== 'retval=3' || WRITES.includes(call))) {
      for (let n = 1; n <= Number(stdout); n++) points.push({ call, fault, n });
    }
  }
  // The first write at a place is the one of `place`: a file that nothing mends.
  points = points.filter(({ call, fault, n }, i) => i % EVERY === 0 || (call === 'pwrite64' && fault === 'retval=3' && n === 1));
});

test.skipIf(!hasStrace)('no fault of any of them loses what was promised, or makes two histories', { timeout: 3_600_000 }, async () => {
  for (const { call, fault, n } of points) {
    const directory = join(root, `${call}-${fault}-${n}`);
    const what = `${call} ${fault} when=${n}`;
    const said = await run(directory, ['-e', `trace=${call}`, '-e', `inject=${call}:${fault}:when=${n}`, ...pathsOf(call, directory)], '/dev/null');
    await judge(directory, said, what);
    tried++;
    if (said.at(-1) !== 'closed') refused++;
    await rm(directory, { recursive: true, force: true });
  }
  process.stdout.write(`ledger under strace: ${tried} crash points, ${refused} of which ended the writer\n`);
  expect(tried).toBeGreaterThanOrEqual(50);
  expect(refused).toBeGreaterThan(tried / 4);
});
