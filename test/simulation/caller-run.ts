/** One run of a program that makes its change itself (mode `caller`), and that dies at any await. What it knew dies with it. */
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import { openTicketForRun } from '../../src/caller/open-ticket.ts';
import { actedReport, claimedReport, type Run } from '../../src/caller/reports.ts';
import { newRunKey } from '../../src/caller/run-key.ts';
import type { Answer } from '../../src/engine/engine.ts';
import type { RotateRequest } from '../../src/protocol/request.ts';
import { FINAL_STATES } from '../../src/change/state.ts';
import { askOf } from './asking.ts';
import { UNSERVED } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

const SERVED = { subject: 'nhi:prod/ci-deployer', connector: 'pg-main', target: 'app', account: 'ci_deployer', purpose: 'deploy-orders' };
/** A run that has waited so long gives up. */
const PATIENCE_MS = 400_000;

/** Rotates its own secret, where an executor sees what came of it or where none does. `about`: urgency and window, as the request has them. */
export function startCallerRun(world: World, rng: Rng, oracle: Oracle, about: Pick<RotateRequest, 'urgency' | 'window'>): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const process: Process = { node: 'a run', incarnation: 1, alive: true };
  const offsetMs = rng.between(-900, 900);
  const deadly = rng.chance(0.4) ? rng.pick([0.02, 0.2]) : 0;
  const key = newRunKey((length) => rng.bytes(length));
  const { account, ...system } = rng.fork(key.id).chance(0.3) ? UNSERVED : SERVED;
  const nowMs = (): number => scheduler.nowMs() + offsetMs;

  /** Every await of the run: it may be its last. */
  const live = async <T>(what: Promise<T>): Promise<T> => {
    const value = await what;
    if (rng.chance(deadly)) {
      process.alive = false;
      scheduler.trace(`the run ${key.id} dies`);
    }
    return process.alive ? value : new Promise(() => undefined);
  };
  const pause = (fromMs: number, toMs: number): Promise<void> => live(new Promise((resolve) => {
    scheduler.after(rng.between(fromMs, toMs), 'a run goes on', () => resolve(), process);
  }));
  /** Says it until it is answered, or gives up. */
  const say = async (changeId: string, message: ReportMessage, times: number): Promise<Answer | undefined> => {
    for (let left = times; left > 0; left -= 1) {
      const answer = await live(ask((engine) => engine.receiveCallerReport(changeId, message)));
      if (answer !== undefined) return answer;
      await pause(300, 3_000);
    }
    return undefined;
  };
  const request = async (): Promise<string | null> => {
    for (let left = 5; left > 0; left -= 1) {
      const answer = await live(ask((engine) => engine.request([system.subject], {
        kind: 'rotate', ...system, reason: 'by our own script', caller: { key: key.publicKey, timeout: 'PT20S' }, ...about,
      }, key.id)));
      if (answer !== undefined) return answer.ok ? answer.value.state.changeId : null;
      await pause(500, 4_000);
    }
    return null;
  };
  const open = async (changeId: string): Promise<Run | null> => {
    for (const untilMs = scheduler.nowMs() + PATIENCE_MS; scheduler.nowMs() < untilMs; await pause(500, 3_000)) {
      const state = world.engine()?.get(changeId);
      if (state !== undefined && FINAL_STATES.has(state.name)) return null;
      if (state?.name !== 'authorised') continue;
      const envelope = await live(ask((engine) => engine.callerTicket(system.subject, changeId, null)));
      if (envelope?.ok !== true) continue;
      const opened = openTicketForRun(JSON.parse(JSON.stringify(envelope.value)), { trust: world.trust, key, nowMs: nowMs(), head: () => null });
      if (opened.ok) return { key, ticket: opened.ticket };
      if (!world.wildClock && !world.isSetBack && opened.code !== 'outside-window') oracle.broken(0, `the ticket of ${changeId} is not one for its own run: ${opened.message}`);
    }
    return null;
  };
  /** What the run is for. */
  const code = (changeId: string): boolean => {
    oracle.workflow.codeRan(changeId);
    if (rng.chance(0.35)) return false;
    world.targets.get(system.connector)?.setSecret(account, `made by ${changeId}`);
    return true;
  };

  const main = async (): Promise<void> => {
    const changeId = await request();
    const run = changeId === null ? null : await open(changeId);
    if (changeId === null || run === null) return;
    const claim = say(changeId, claimedReport(run, nowMs()), 4);
    if (!world.hastyCallers) {
      if ((await claim)?.ok !== true) return;
      await pause(0, 1_000);
    }
    const done = code(changeId);
    await pause(100, rng.chance(0.2) ? 30_000 : 2_000);
    if (rng.chance(0.1)) return;
    await say(changeId, actedReport(run, { outcome: done ? 'done' : 'failed', code: done ? null : 'exit-1', detail: null }, nowMs()), 20);
  };
  main().catch((error: unknown) => oracle.broken(0, `a run fell over: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
}
