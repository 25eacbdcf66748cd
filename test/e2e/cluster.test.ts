/** `npm run cluster`, as a person runs it: everything is healthy, a change goes through it, and nothing is left however it ends. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import { until } from '../../examples/demo/check.ts';
import { commandLine, packageRoot } from '../../examples/demo/processes.ts';
import { findProgram } from '../../examples/support/programs.ts';
import { connect, isSettled, type Client } from '../../src/client/index.ts';
import { hasNats } from '../support/nats.ts';
import { countersign } from './support/bench.ts';

const root = packageRoot(import.meta.dirname);
const UP_MS = 90_000;
const isPossible = hasNats() && (findProgram(root, 'bao') !== null || process.env['CI'] === 'true');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'countersign-cluster-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Running {
  readonly output: () => string;
  /** Once it is gone, and all that it said has been read. */
  readonly exit: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

function cluster(...args: string[]): Running {
  const child = spawn(process.execPath, [join(root, 'dist', 'examples', 'cluster', 'main.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { output: () => output, kill: (signal) => void child.kill(signal), exit: new Promise((resolve) => child.once('close', resolve)) };
}

/** Command lines of this machine's processes that name the place. */
function left(place: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((name) => [commandLine(Number(name)) ?? '']).filter((line) => line.includes(place));
}

const isUp = (one: Running): Promise<true> => until('the cluster is up', () => {
  if (one.output().includes('Running until Ctrl-C')) return true;
  return undefined;
}, { timeoutMs: UP_MS });

describe.skipIf(!isPossible)('a cluster', () => {
  test('is healthy in all its parts, takes a change from request to rest, and is found and ended though it was killed', async () => {
    const place = join(directory, 'whole');
    const first = cluster('--directory', place);
    await isUp(first);
    const names = [...first.output().matchAll(/^ +up +(\S+(?: \d)?) {2,}/gm)].map((match) => match[1]);
    expect(names).toEqual(['nats-1', 'nats-2', 'nats-3', 'postgres', 'openbao', 'executor:postgres 1', 'executor:postgres 2', 'executor:openbao 1', 'executor:openbao 2', 'sidecar']);
    expect(first.output()).not.toMatch(/cst_[A-Za-z0-9_-]{20}|PRIVATE\+KEY|\bSU[A-Z2-7]{56}\b/);

    const installation = join(place, 'installation');
    const tokens = readFileSync(join(installation, 'tokens.txt'), 'utf8');
    const socket = /--unix-socket (\S+)/.exec(first.output())![1]!;
    const as = (who: string): Client => connect({ socket, token: new RegExp(`^${who} (\\S+)$`, 'm').exec(tokens)![1]! });
    const { id } = await as('nhi:prod/ci-deployer').request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration: 'PT10M', entitlements: onApp('role:deploy') });
    const asked = await as('person:wei').wait(id, { until: isSettled, timeoutMs: UP_MS });
    await as('person:wei').approve(id, asked.planDigest!);
    expect((await as('person:wei').wait(id, { until: ({ state }) => state === 'active', timeoutMs: UP_MS })).state).toBe('active');
    await as('person:wei').revoke(id, 'seen');
    expect((await as('person:wei').wait(id, { until: ({ state }) => state === 'revoked', timeoutMs: UP_MS })).state).toBe('revoked');
    const verified = await countersign(['verify', join(installation, 'ledger'), '--trust', join(installation, 'trust')]);
    expect(verified, verified.stderr).toMatchObject({ exitCode: 0 });

    first.kill('SIGKILL');
    await first.exit;
    expect(left(place).length).toBeGreaterThan(0);
    const second = cluster('--directory', place);
    await isUp(second);
    expect(second.output()).toMatch(/ended what an earlier run left: .*executor.*sidecar.*nats-1/);
    second.kill('SIGINT');
    expect(await second.exit, second.output()).toBe(0);
    expect(left(place)).toEqual([]);
  }, 4 * UP_MS);

  test('says which part goes down, and when it is back', async () => {
    const place = join(directory, 'watched');
    const one = cluster('--directory', place);
    try {
      await isUp(one);
      const pid = Number(readFileSync(join(place, 'run', 'openbao.pid'), 'utf8').split('\n')[0]);
      process.kill(pid, 'SIGSTOP');
      await until('it says so', () => (/down +openbao\n/.test(one.output()) ? true : undefined), { timeoutMs: UP_MS });
      process.kill(pid, 'SIGCONT');
      await until('it says so', () => (/up +openbao\n/.test(one.output()) ? true : undefined), { timeoutMs: UP_MS });
    } finally {
      one.kill('SIGTERM');
    }
    expect(await one.exit, one.output()).toBe(0);
    expect(left(place)).toEqual([]);
  }, 3 * UP_MS);

  test('replaces nothing that is not a cluster\'s', async () => {
    const place = join(directory, 'somebody-elses');
    mkdirSync(place);
    writeFileSync(join(place, 'thesis.txt'), 'ten years');
    const one = cluster('--directory', place);
    expect(await one.exit).toBe(1);
    expect(one.output()).toContain('name another directory');
    expect(readFileSync(join(place, 'thesis.txt'), 'utf8')).toBe('ten years');
  });
});

test('a cluster that is asked for what it cannot do says so', async () => {
  const one = cluster('--nonsense');
  expect(await one.exit).toBe(2);
  expect(one.output()).toContain('usage: npm run cluster');
});
