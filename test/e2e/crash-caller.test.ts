/**
 * `kill -9` around a rotation script that runs under `countersign run`: of the sidecar and of the executor, which come back, and of the caller,
 * which does not. The script runs once at most, and only after its claim is on record.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import type { Login } from '../../examples/demo/database.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { openBench, refusal, verificationTrouble, type Bench } from './support/bench.ts';
import { approveUntil, callerScenario, changeOf, changesOf, DEPLOYER, startScriptedRun, WAREHOUSE, type ScriptedRun } from './support/caller.ts';
import { watchJournal } from './support/journal-watch.ts';
import { killAtAll, placesFor, run, VICTIMS } from './support/kill.ts';

const RUN_MS = 45_000;
/** Nobody waits long for a caller that does not come back. */
const BRIEF = { limits: { republishSeconds: 1, ticketSeconds: 10 } };

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

async function start(name: string, config: Readonly<Record<string, unknown>> = {}): Promise<Installation> {
  const installation = bench.install(name, { windowMinutes: 15, config });
  await installation.startExecutor();
  await installation.startSidecar();
  return installation;
}

describe.concurrent('a script under countersign run', () => {
  test('runs once and is on record, whenever the sidecar or the executor is killed with -9', async () => {
    const installation = await start('caller');
    const scenario = callerScenario(DEPLOYER);
    const recorded = await run(scenario, bench, installation, 'undisturbed', null);
    for (const victim of VICTIMS) await killAtAll(scenario, bench, installation, victim, placesFor(victim, recorded));
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 300_000);

  test('runs once at most, and only what is claimed, whenever its caller is killed with -9', async () => {
    const installation = await start('killed-caller', BRIEF);
    for (const place of CALLER_PLACES) {
      await killCaller(installation, place).catch((cause: unknown) => {
        throw new Error(`the caller was killed after ${place.type} ${place.nth}`, { cause });
      });
    }
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
  }, 300_000);
});

type End = 'rejected' | 'expired' | 'silent' | 'done';

interface CallerPlace {
  /** A record of the change; or what the script says. */
  readonly type: string;
  readonly nth: number;
  /** What its owners say, if they are still asked by then. */
  readonly verdict: 'approve' | 'reject';
  readonly ends: readonly End[];
}

/** The first record of each type that the change has on its way, and what may have become of it by the time its caller is gone. */
const CALLER_PLACES: readonly CallerPlace[] = [
  { type: 'change.requested', nth: 1, verdict: 'approve', ends: ['expired'] },
  { type: 'step.authorised', nth: 1, verdict: 'reject', ends: ['rejected'] },
  { type: 'state.read', nth: 1, verdict: 'reject', ends: ['rejected'] },
  { type: 'policy.decided', nth: 1, verdict: 'reject', ends: ['rejected'] },
  { type: 'approval.recorded', nth: 1, verdict: 'approve', ends: ['expired'] },
  { type: 'window.opened', nth: 1, verdict: 'approve', ends: ['expired'] },
  // It may have had the ticket, and have claimed it, by the time it is dead.
  { type: 'step.authorised', nth: 2, verdict: 'approve', ends: ['expired', 'silent'] },
  { type: 'step.claimed', nth: 1, verdict: 'approve', ends: ['silent'] },
  { type: 'began', nth: 1, verdict: 'approve', ends: ['silent'] },
  { type: 'through', nth: 1, verdict: 'approve', ends: ['silent', 'done'] },
  { type: 'step.succeeded', nth: 1, verdict: 'approve', ends: ['done'] },
  { type: 'entitlement.verified', nth: 1, verdict: 'approve', ends: ['done'] },
  { type: 'window.closed', nth: 1, verdict: 'approve', ends: ['done'] },
];

async function killCaller(installation: Installation, place: CallerPlace): Promise<void> {
  const requester = installation.as(WAREHOUSE.subject);
  const approvers = WAREHOUSE.approvers.map((approver) => installation.as(approver));
  const known = await changesOf(requester);
  const deadlineMs = performance.now() + RUN_MS;
  const watch = watchJournal(installation.paths.journal);
  const recordedBefore = new Set(watch.changes());
  const name = `${place.type}-${place.nth}`;
  const hold = place.type === 'began' ? join(installation.paths.directory, 'go-on') : undefined;
  const caller = startScriptedRun(installation, bench, WAREHOUSE, name, { flags: ['--timeout', 'PT2S'], ...(hold === undefined ? {} : { hold }) });
  try {
    const isThere = (): boolean => {
      if (place.type === 'began' || place.type === 'through') return caller[place.type]().length > 0;
      const id = watch.changes().find((one) => !recordedBefore.has(one));
      return id !== undefined && watch.typesOf(id).filter((type) => type === place.type).length >= place.nth;
    };
    const killed = watch.until(isThere, RUN_MS).then(() => caller.kill('SIGKILL'));
    const { id } = await changeOf(requester, known, deadlineMs);
    const ended = place.verdict === 'approve' ? approveUntil({ requester, approvers }, id, isEnd, deadlineMs) : rejectWhenAsked(installation, id, killed);
    const [change] = await Promise.all([ended, killed, caller.exit]);
    if (hold !== undefined) writeFileSync(hold, '');
    await expectEnd(installation, change, caller, place);
  } finally {
    watch.close();
  }
}

/** It rests; or nobody knows what its caller did, and that is somebody's to look at. */
const isEnd = ({ state, findings, window }: ChangeView): boolean =>
  ['rejected', 'expired', 'failed', 'withdrawn', 'denied'].includes(state) || (state === 'done' && window?.state === 'closed') || findings.some(({ code }) => code === 'caller-silent');

async function rejectWhenAsked(installation: Installation, id: string, killed: Promise<void>): Promise<ChangeView> {
  await killed;
  const ben = installation.as(WAREHOUSE.approvers[0]!);
  const asked = await installation.as(WAREHOUSE.subject).wait(id, { until: ({ state }) => state === 'pending', timeoutMs: RUN_MS });
  return ben.reject(id, asked.planDigest!, 'nobody waits for it any more');
}

async function expectEnd(installation: Installation, change: ChangeView, caller: ScriptedRun, { ends }: CallerPlace): Promise<void> {
  const { database } = bench;
  const silent = change.findings.find(({ code }) => code === 'caller-silent');
  const end = silent === undefined ? change.state : 'silent';
  expect(ends, `${change.state}: ${caller.output()}`).toContain(end);
  const { records } = await installation.as(WAREHOUSE.subject).evidence(change.id);
  const bodyOf = (type: string): unknown => records.find((record) => record['type'] === type)?.body;

  // It runs once at most, and never before its claim is on record.
  const began = caller.began();
  expect(began.length).toBeLessThanOrEqual(1);
  for (const line of began) expect(line).toBe(`${change.id} claims=1`);
  if (end === 'expired') expect(bodyOf('change.expired')).toEqual({ cause: 'unclaimed' });
  if (end === 'rejected' || end === 'expired') {
    expect(began).toEqual([]);
    expect(bodyOf('step.claimed')).toBeUndefined();
  }
  if (end === 'done') expect(caller.through()).toEqual([change.id]);
  if (silent !== undefined) {
    expect(silent.owner).toBe(WAREHOUSE.approvers[0]);
    expect(bodyOf('step.ambiguous')).toMatchObject({ cause: 'deadline' });
    // Whoever looks after it gives it up: the next one has its turn.
    expect((await installation.as(WAREHOUSE.subject).withdraw(change.id, 'seen to')).state).toBe('withdrawn');
  }

  // A script outlives its caller. Where it ran, what it kept is the password; otherwise nothing has changed.
  const old = database.login(WAREHOUSE.account);
  if (began.length > 0) await until('the script is through', () => (caller.through().length > 0 ? true : undefined), { timeoutMs: RUN_MS });
  const current: Login = began.length > 0 ? caller.login()! : old;
  expect(await refusal(database, current, 'SELECT 1')).toBe('works');
  if (current !== old) expect(await refusal(database, old, 'SELECT 1')).toBe('28P01');
  database.setLogin(WAREHOUSE.account, current);
}
