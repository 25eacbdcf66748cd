/** `npm run demo`, as a person runs it: it tells the story, every check holds, it leaves what an auditor needs and nothing that runs. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { commandLine, packageRoot } from '../../examples/demo/processes.ts';
import { connect } from '../../src/client/index.ts';
import { hasNats } from '../support/nats.ts';
import { countersign } from './support/bench.ts';

const main = join(packageRoot(import.meta.dirname), 'dist', 'examples', 'demo', 'main.js');
const DEMO_MS = 240_000;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'countersign-demo-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Demo {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly errors: () => string;
  /** Once it is gone, and all that it said has been read. */
  readonly exit: Promise<number | null>;
}

function demo(...args: string[]): Demo {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return { child, output: () => output, errors: () => errors, exit: new Promise((resolve) => child.once('close', resolve)) };
}

/** How each case is told: the words that its lines begin with. */
const WHOLE = ['asked', 'decided', 'approved by', 'done', 'taken back', 'proven'];
const TOLD: Readonly<Record<string, readonly string[]>> = {
  1: WHOLE, 2: WHOLE, 3: WHOLE,
  4: ['asked', 'decided', 'approved by', 'queued', 'done', 'proven'],
  5: ['asked', 'decided', 'taken back', 'told', 'proven'],
  6: ['asked', 'decided', 'approved by', 'done', 'proven'],
  7: ['refused', 'refused', 'refused', 'refused', 'refused', 'refused'],
};

/** The cases in what the demo says, each with the first words of its lines. */
function casesIn(output: string): readonly { readonly number: string; readonly told: readonly string[] }[] {
  return output.split(/^(?=\d {2}\S)/m).slice(1).map((text) => ({
    number: text[0]!, told: text.split('\n\n')[0]!.trimEnd().split('\n').slice(1).map((line) => line.trim().split(/ {2,}/)[0]!),
  }));
}

/** Processes of this machine whose command line names the demo's directory: its executor, sidecar and database. */
function left(place: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => [commandLine(Number(name)) ?? '']).filter((line) => line.includes(place));
}

test('the whole demo: every check holds, each case is told in six lines, and the evidence is left', async () => {
  const place = join(directory, 'whole');
  const { exit, output, errors } = demo('--directory', place);
  expect(await exit, `${output()}\n${errors()}`).toBe(0);

  const cases = casesIn(output());
  expect(cases.map(({ number }) => number)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
  for (const { number, told } of cases) {
    expect(told.length, `case ${number}`).toBeLessThanOrEqual(6);
    expect(told, `case ${number}`).toEqual(TOLD[number]);
  }
  expect(output()).toMatch(/control +rule +record/);
  expect(output()).toMatch(/WORKFLOW +holds/);
  expect(output()).toMatch(/One byte flipped in a copy, in record (\d+)\n.*INTEGRITY.*record \1 /);
  expect(output()).toMatch(/At \d\d:.* nhi:prod\/ci-deployer got role:deploy for 6 seconds, by policy sha256:/);

  expect(output()).toMatch(/\d+ logins during all this, .*: none failed/);
  expect(output()).toMatch(/exit 1, and the script was not started/);
  // Within a minute of being installed there is something to see.
  expect(Number(/checks held in ([\d.]+) s/.exec(output())?.[1])).toBeLessThan(60);

  // Nothing secret is printed, and no colour but to a terminal.
  expect(output() + errors()).not.toMatch(/cst_[A-Za-z0-9_-]{20}|whsec_|AGE-SECRET-KEY|PRIVATE\+KEY|SCRAM-SHA-256/);
  expect(output() + errors()).not.toMatch(/\u001b/);

  expect(readdirSync(join(place, 'ledger')).sort()).toEqual(['checkpoint', 'objects', 'tile']);
  expect(readFileSync(join(place, 'log.vkey'), 'utf8')).toMatch(/^countersign\.demo\/\S+\+[0-9a-f]{8}\+\S+\n$/);
  expect(readdirSync(join(place, 'trust')).sort()).toEqual(['executors.json', 'requirements.json', 'sidecars.json', 'trust.policy']);
  const lone = await countersign(['verify', join(place, 'ledger'), '--trust', join(place, 'trust.policy')]);
  expect(lone, lone.stderr).toMatchObject({ exitCode: 0 });
  expect(lone.stdout).toMatch(/WORKFLOW +not established/);
  expect(left(place)).toEqual([]);
  expect(existsSync(`${place}-postgres`)).toBe(false);
}, DEMO_MS);

test.skipIf(!hasNats())('--nats: the same cases over a cluster of three servers, with two workers', async () => {
  const place = join(directory, 'nats');
  const { exit, output, errors } = demo('--directory', place, '--nats');
  expect(await exit, `${output()}\n${errors()}`).toBe(0);
  expect(casesIn(output())).toEqual(Object.entries(TOLD).map(([number, told]) => ({ number, told })));
  expect(output()).toMatch(/WORKFLOW +holds/);
  // What was given was given by both workers or by one; the other's book is there, and nothing of it all went by a socket.
  for (const state of ['executor', 'executor-2']) expect(existsSync(join(place, state, 'lease-book')), state).toBe(true);
  expect(readFileSync(join(place, 'countersign.yaml'), 'utf8')).not.toMatch(/socket: .*executor/);
  expect(output() + errors()).not.toMatch(/cst_[A-Za-z0-9_-]{20}|whsec_|AGE-SECRET-KEY|PRIVATE\+KEY|SCRAM-SHA-256|\bSU[A-Z2-7]{56}\b/);
  expect(left(place)).toEqual([]);
  expect(existsSync(`${place}-nats`)).toBe(false);
}, 2 * DEMO_MS);

test.each(['4', '5', '6'])('case %s by itself', async (number) => {
  const place = join(directory, `case-${number}`);
  const { exit, output, errors } = demo('--directory', place, '--case', number);
  expect(await exit, `${output()}\n${errors()}`).toBe(0);
  expect(casesIn(output())).toEqual([{ number, told: TOLD[number] }]);
  expect(output()).toMatch(/WORKFLOW +holds/);
  expect(left(place)).toEqual([]);
}, DEMO_MS);

describe('a demo that is not let finish', () => {
  test('ends what it started when it is interrupted', async () => {
    const place = join(directory, 'interrupted');
    const { child, exit, output, errors } = demo('--directory', place, '--case', '2');
    await until('the sidecar is killed by the demo', () => (output().includes('is killed with -9') ? true : undefined), { timeoutMs: DEMO_MS });
    child.kill('SIGINT');
    await until('it is ending them', () => (errors().includes('interrupted') ? true : undefined), { timeoutMs: DEMO_MS, everyMs: 1 });
    // Whoever is in a hurry does it twice.
    child.kill('SIGINT');
    expect(await exit).toBe(130);
    expect(errors()).toContain('interrupted');
    expect(left(place)).toEqual([]);
    expect(existsSync(`${place}-postgres`)).toBe(false);
  }, DEMO_MS);

  test('leaves nothing that the next one does not end, even when it was killed', async () => {
    const place = join(directory, 'killed');
    const first = demo('--directory', place, '--case', '1');
    await until('the first case begins', () => (first.output().includes('asked') ? true : undefined), { timeoutMs: DEMO_MS });
    first.child.kill('SIGKILL');
    await first.exit;
    const second = demo('--directory', place, '--case', '1');
    expect(await second.exit, `${second.output()}\n${second.errors()}`).toBe(0);
    expect(second.errors()).toContain('ended what an earlier run left: executor');
    expect(left(place)).toEqual([]);
  }, DEMO_MS);
});

test('--keep leaves it running, and the command it prints can be asked', async () => {
  const place = join(directory, 'kept');
  const { child, exit, output, errors } = demo('--directory', place, '--case', '1', '--keep');
  try {
    await until('it says that it runs', () => (output().includes('Running until Ctrl-C') ? true : undefined), { timeoutMs: DEMO_MS });
    const socket = /--unix-socket (\S+)/.exec(output())![1]!;
    const token = /^person:ana (\S+)$/m.exec(readFileSync(join(place, 'tokens.txt'), 'utf8'))![1]!;
    const { changes } = await connect({ socket, token }).list();
    expect(changes.map(({ state }) => state)).toEqual(['revoked']);
  } finally {
    child.kill('SIGINT');
  }
  expect(await exit, errors()).toBe(0);
  expect(left(place)).toEqual([]);
}, DEMO_MS);

/** The demo in a terminal of its own, without colours: each time it asks the next of `answers` is typed. */
function atTerminal(answers: readonly string[], ...args: string[]): Demo {
  const child = spawn('script', ['-qefc', [process.execPath, main, '--interactive', ...args].join(' '), '/dev/null'], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
  let output = '';
  let asked = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    while (output.split('[a/r/e] ').length - 1 > asked) child.stdin.write(answers[asked++] ?? '');
  });
  return { child, output: () => output.replaceAll('\r\n', '\n'), errors: () => '', exit: new Promise((resolve) => child.once('close', resolve)) };
}

/** `script` is not everywhere. */
const terminal = ((): boolean => {
  try {
    execFileSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe('--interactive', () => {
  test.skipIf(!terminal)('asks each approver, on the plan as she sees it; whom nobody lets through is given nothing, and the evidence says who said no', async () => {
    const place = join(directory, 'asked');
    const { exit, output } = atTerminal(['what?\n', 'e\n', 'a\n', 'reject\n'], '--case', '3', '--directory', place);
    expect(await exit, output()).toBe(0);
    expect(output()).not.toContain('\u001b[3');
    const [, ben = '', ...olga] = output().split(/^ {3}You are .*$/m);
    expect(ben).toMatch(/plan {8}grant warehouse_sync at pg-main \/ app: table:public\.orders:SELECT/);
    expect(ben).toMatch(/plan digest sha256:[0-9a-f]{64}/);
    expect(ben).toMatch(/asked to grant [^]*Policy \(bundle [^]*person:ben: approve, reject, or show the evidence\? \[a\/r\/e\] a$/m);
    expect(olga.join()).toMatch(/\[a\/r\/e\] reject\n {3}rejected {5}by you, as person:olga: nothing is given/);
    expect(output()).toMatch(/WORKFLOW +holds +2 changes: 2 closed, 0 open; 0 grants/);
    expect(left(place)).toEqual([]);
  }, DEMO_MS);

  test.skipIf(!terminal)('ends what it started at Ctrl-C, asked as it is', async () => {
    const place = join(directory, 'asked-interrupted');
    const { exit, output } = atTerminal(['\u0003'], '--case', '1', '--directory', place);
    expect(await exit, output()).toBe(130);
    expect(output()).toContain('interrupted: ending what was started');
    expect(left(place)).toEqual([]);
    expect(existsSync(`${place}-postgres`)).toBe(false);
  }, DEMO_MS);

  test.skipIf(!terminal)('leaves no run behind that would wait for whoever has gone', async () => {
    const place = join(directory, 'asked-left');
    const { exit, output } = atTerminal(['\u0004'], '--case', '6', '--directory', place);
    expect(await exit, output()).toBe(130);
    expect(left(place)).toEqual([]);
  }, DEMO_MS);

  test.skipIf(!terminal)('takes a rotation back whose case ends in the middle of it', async () => {
    const place = join(directory, 'asked-halfway');
    const { exit, output } = atTerminal(['a\n', 'a\n', 'r\n'], '--case', '4', '--directory', place);
    expect(await exit, output()).toBe(0);
    expect(output()).toMatch(/WORKFLOW +holds +2 changes: 2 closed, 0 open/);
    expect(left(place)).toEqual([]);
  }, DEMO_MS);

  test('says what to do where there is no terminal, and starts nothing', async () => {
    const place = join(directory, 'piped');
    const { exit, errors } = demo('--interactive', '--directory', place);
    expect(await exit).toBe(2);
    expect(errors()).toMatch(/there is no terminal to ask at\. Run it in one/);
    expect(existsSync(place)).toBe(false);
  });
});

describe('a demo that cannot', () => {
  test('does not replace what is not a demo\'s', async () => {
    const place = join(directory, 'somebody-elses');
    mkdirSync(place);
    writeFileSync(join(place, 'thesis.txt'), 'ten years');
    const { exit, errors } = demo('--directory', place);
    expect(await exit).toBe(1);
    expect(errors()).toContain('name another directory');
    expect(readFileSync(join(place, 'thesis.txt'), 'utf8')).toBe('ten years');
  });

  test.each([['--case', '8'], ['--case', '0'], ['--case', 'x'], ['--nonsense']])('is told so: %s %s', async (...args) => {
    const { exit, errors } = demo(...args);
    expect(await exit).toBe(2);
    expect(errors()).toContain('usage: npm run demo');
  });
});
