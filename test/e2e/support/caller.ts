/** `countersign run` around a rotation script that exists, as a process that can be killed; and what the script says of itself. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { until } from '../../../examples/demo/check.ts';
import type { Account, Login } from '../../../examples/demo/database.ts';
import type { Installation, Principal } from '../../../examples/demo/installation.ts';
import type { ChangeView } from '../../../src/client/index.ts';
import { refusal, WINDOW, type Bench } from './bench.ts';
import { approveAsAsked, insist, type Cast } from './people.ts';
import type { Scenario } from './scenarios.ts';

/** An identity whose own script rotates its one login: without an overlap, so in a window. */
export interface Scripted {
  readonly subject: string;
  readonly account: Account;
  readonly purpose: string;
  readonly approvers: readonly string[];
}
export const DEPLOYER: Scripted = { subject: 'nhi:prod/ci-deployer', account: 'ci_deployer', purpose: 'deploy-orders', approvers: ['person:wei'] };
export const WAREHOUSE: Scripted = { subject: 'nhi:prod/warehouse-sync', account: 'warehouse_sync', purpose: 'warehouse-sync', approvers: ['person:ben', 'person:olga'] };

export const rotationOf = ({ subject, purpose }: Scripted): Readonly<Record<string, unknown>> =>
  ({ kind: 'rotate', subject, connector: 'pg-main', target: 'app', purpose, reason: 'by a script', window: { calendar: WINDOW } });

/** How long what it said may be on its way after it is gone. */
const OUTPUT_MS = 5_000;

export interface Run {
  readonly pid: number;
  /** Once all that it said has been read; or at once where it was killed, and soon where its command goes on and keeps its outputs open. */
  readonly exit: Promise<number | null>;
  readonly output: () => string;
  kill(signal: NodeJS.Signals): void;
}

export interface RunOptions {
  readonly subject: string;
  /** The change, as a file holds it. */
  readonly change: Readonly<Record<string, unknown>>;
  readonly command: readonly string[];
  /** A directory for the change's file. */
  readonly place: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Left out: the installation's. */
  readonly trust?: string;
}

/** Starts `countersign run -- command`. */
export function startRun({ paths, tokenOf }: Installation, { subject, change, command, place, env = {}, flags = [], trust = paths.trust }: RunOptions): Run {
  mkdirSync(place, { recursive: true });
  const file = join(place, 'change.json');
  writeFileSync(file, JSON.stringify(change));
  const child = spawn(process.execPath, [paths.cli, 'run', '--socket', paths.socket, '--trust', trust, '--change', file, '--timeout', 'PT1M', ...flags, '--', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, COUNTERSIGN_TOKEN: tokenOf(subject), ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return {
    pid: child.pid!, output: () => output, kill: (signal) => void child.kill(signal),
    exit: new Promise((resolve) => {
      child.once('close', (code) => resolve(code));
      child.once('exit', (code) => void setTimeout(() => resolve(code), code === null ? 0 : OUTPUT_MS).unref());
    }),
  };
}

/**
 * Says that it began, and whether its claim is in the journal by then; does the rotation; says that it is through. With HOLD set it waits in
 * between until that file is there, so that somebody can be killed meanwhile.
 */
const SCRIPT = `
claims=$(cat "$JOURNAL"/*.journal | grep -a -o "\\"change\\":\\"$COUNTERSIGN_CHANGE_ID\\"[^{}]*\\"type\\":\\"step.claimed\\"" | wc -l)
echo "$COUNTERSIGN_CHANGE_ID claims=$((claims))" >> "$MARKS/began"
while [ -n "$HOLD" ] && [ ! -e "$HOLD" ]; do sleep 0.02; done
"$NODE" "$ROTATE" || exit 3
echo "$COUNTERSIGN_CHANGE_ID" >> "$MARKS/through"
`;

export interface ScriptedRun extends Run {
  /** What the script has said: at most a line for each time that it ran. */
  began(): readonly string[];
  through(): readonly string[];
  /** The password that the script kept; null before that. */
  login(): Login | null;
}

/** A run of the rotation script in a directory of its own. */
export function startScriptedRun(installation: Installation, bench: Bench, scripted: Scripted, name: string, { hold, flags = [] }: { hold?: string; flags?: readonly string[] } = {}): ScriptedRun {
  const place = join(installation.paths.directory, 'runs', name);
  const lines = (file: string): string[] => (existsSync(join(place, file)) ? readFileSync(join(place, file), 'utf8').trim().split('\n') : []);
  const run = startRun(installation, {
    subject: scripted.subject, change: rotationOf(scripted), command: ['sh', '-c', SCRIPT], place, flags,
    env: {
      JOURNAL: installation.paths.journal, MARKS: place, HOLD: hold ?? '', NODE: process.execPath, ROTATE: join(bench.root, 'dist', 'examples', 'scripts', 'rotate-password.js'),
      DATABASE_URL: bench.database.adminUrl, SECRET_FILE: join(place, 'password'),
    },
  });
  return {
    ...run, began: () => lines('began'), through: () => lines('through'),
    login: () => (existsSync(join(place, 'password')) ? { user: scripted.account, password: readFileSync(join(place, 'password'), 'utf8').trim() } : null),
  };
}

/** The change that a run asked for; `known`: those that were there before it. */
export async function changeOf(requester: Principal, known: ReadonlySet<string>, deadlineMs: number): Promise<ChangeView> {
  return until('the run asks', async () => {
    const { changes } = await insist(() => requester.list({ kind: 'rotate' }), deadlineMs);
    return changes.find(({ id }) => !known.has(id));
  }, { timeoutMs: deadlineMs - performance.now() });
}

export async function changesOf(requester: Principal): Promise<ReadonlySet<string>> {
  return new Set((await requester.list({ kind: 'rotate', limit: 200 })).changes.map(({ id }) => id));
}

/** The rotation by a script under `countersign run`, whose process is left alone: whatever else is killed, it ends well. */
export function callerScenario(scripted: Scripted): Scenario {
  let known: ReadonlySet<string> = new Set();
  let run: ScriptedRun | null = null;
  let old: Login;
  return {
    kind: 'rotate by its caller', steps: 1, reads: 2,
    async start(bench, installation, name) {
      const requester = installation.as(scripted.subject);
      known = await changesOf(requester);
      old = bench.database.login(scripted.account);
      run = startScriptedRun(installation, bench, scripted, name);
      return {
        requester, approvers: scripted.approvers.map((approver) => installation.as(approver)), idempotencyKey: name, identity: bench.identity, revokeEarly: false,
        whileActive: () => Promise.resolve(), request: null,
      };
    },
    async drive(cast, deadlineMs) {
      const { id } = await changeOf(cast.requester, known, deadlineMs);
      await approveUntil(cast, id, ({ state }) => ['done', 'expired', 'failed', 'denied', 'withdrawn', 'stuck'].includes(state), deadlineMs);
      expect(await run!.exit, run!.output()).toBe(0);
      return insist(() => cast.requester.get(id), deadlineMs);
    },
    async over(bench, change) {
      expect(change.state, run!.output()).toBe('done');
      expect(run!.began()).toEqual([`${change.id} claims=1`]);
      expect(run!.through()).toEqual([change.id]);
      const login = run!.login()!;
      expect(await refusal(bench.database, login, 'SELECT 1'), 'the password that the script set').toBe('works');
      expect(await refusal(bench.database, old, 'SELECT 1'), 'the one before').toBe('28P01');
      bench.database.setLogin(scripted.account, login);
    },
  };
}

/** Approvers approve what waits for them, until the change is as wanted. @throws Error when it is not by then */
export async function approveUntil(cast: Pick<Cast, 'requester' | 'approvers'>, id: string, wanted: (change: ChangeView) => boolean, deadlineMs: number): Promise<ChangeView> {
  for (;;) {
    const change = await insist(() => cast.requester.get(id), deadlineMs);
    if (wanted(change)) return change;
    if (performance.now() > deadlineMs) throw new Error(`${id} is ${change.state}: ${change.waitingFor ?? 'it waits for nothing'}`);
    if (change.state === 'pending') await approveAsAsked(cast, change);
    await insist(() => cast.requester.wait(id, { until: ({ length }) => length > change.length, timeoutMs: 500 }), deadlineMs);
  }
}
