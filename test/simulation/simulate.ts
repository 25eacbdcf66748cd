/** One run: a seed, a few minutes of trouble, a time to heal, and everything that was found wrong. */
import { startActors } from './actors.ts';
import { startChaos, type Chaos } from './chaos.ts';
import { judgeEvidence } from './evidence.ts';
import { startErasureActors } from './erasure-actors.ts';
import { startExtensionActors } from './extension-actors.ts';
import { startGlassActors } from './glass-actors.ts';
import { SCOPE_SETS, startObserveActors } from './observe-actors.ts';
import { startOperatorLocks } from './operator-locks.ts';
import { startPolicyActors } from './policy-actors.ts';
import { startReconcileActors } from './reconcile-actors.ts';
import { startUpgrades } from './old-executor.ts';
import { createOracle, type Oracle, type Violation } from './oracle.ts';
import { seededRng } from './rng.ts';
import { startRogue } from './rogue.ts';
import { startStandingActors } from './standing-actors.ts';
import { createScheduler } from './scheduler.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { START_MS } from './fixtures.ts';
import { startWorkflowActors } from './workflow-actors.ts';
import { createWorld, type World, type Wraps } from './world.ts';

export interface SimulationOptions {
  readonly wraps?: Wraps;
  /** Called with each line of a readable account. */
  readonly trace?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly events: number;
  /** What the run saw, so that a suite can tell whether it tried anything. */
  readonly seen: Readonly<Record<string, number>>;
}

const TROUBLE_MS = 150_000;
/** So long after a checkpoint nothing of the one before is left. */
const SWEPT_MS = 200;
const HEALING_MS = 900_000;
const EVENTS_MAX = 200_000;
/** Names of states in which nothing more is to come. A lease that has not ended is not at rest: its end is near. */
const AT_REST = new Set(['denied', 'rejected', 'expired', 'withdrawn', 'done', 'revoked', 'failed']);

export async function simulate(seed: number, options: SimulationOptions = {}): Promise<SimulationResult> {
  const rng = seededRng(seed);
  const scheduler = createScheduler(rng.fork('order'), START_MS, options.trace ?? null);
  const oracle = createOracle();
  const workflows = rng.fork('workflows');
  const isWorkflow = workflows.chance(0.5);
  const observing = rng.fork('observing');
  const observed = observing.chance(0.25) ? observing.pick(SCOPE_SETS) : null;
  const approving = rng.fork('standing approvals');
  const standing = approving.chance(0.25) ? (approving.chance(0.7) ? 'counted' : 'uncounted') : null;
  const breaking = rng.fork('broken glasses');
  const isBreakable = breaking.chance(0.25);
  const keysEndUntilMs = rng.fork('keys that end').chance(0.25) ? START_MS + TROUBLE_MS : null;
  const world = await createWorld(scheduler, rng.fork('world'), options.wraps ?? {}, {
    ...oracle.watchers,
    given(connector, access) {
      oracle.watchers.given(connector, access);
      chaos.given(connector);
    },
  }, { hasCalendar: isWorkflow && workflows.chance(0.7), observed, isLax: (observed !== null && observing.chance(0.3)) || (standing === 'uncounted' && approving.chance(0.7)), standing, isBreakable, keysEndUntilMs });
  oracle.watch(world);
  const chaos: Chaos = startChaos(world, rng.fork('chaos'), START_MS + TROUBLE_MS);
  startActors(world, rng.fork('actors'), oracle, START_MS + TROUBLE_MS);
  const extensions = rng.fork('extensions');
  if (extensions.chance(0.5)) startExtensionActors(world, extensions, START_MS + TROUBLE_MS);
  if (observed !== null) startObserveActors(world, observing, START_MS + TROUBLE_MS);
  const upgrades = rng.fork('upgrades');
  const hasUpgrades = standing === 'counted' && upgrades.chance(0.5);
  if (standing !== null) startStandingActors(world, approving, oracle, START_MS + TROUBLE_MS, hasUpgrades);
  if (hasUpgrades) startUpgrades(world, upgrades, START_MS + TROUBLE_MS);
  if (isBreakable) startGlassActors(world, breaking, oracle, START_MS + TROUBLE_MS);
  if (world.redecides) startPolicyActors(world, rng.fork('policy actors'), oracle, START_MS + TROUBLE_MS + HEALING_MS);
  if (isWorkflow) startWorkflowActors(world, workflows, oracle, START_MS + TROUBLE_MS);
  const reconciling = rng.fork('reconciling').chance(0.3) ? startReconcileActors(world, rng.fork('reconcile actors'), oracle, START_MS + TROUBLE_MS) : null;
  const erasures = rng.fork('erasing').chance(0.25) ? startErasureActors(world, rng.fork('erasure actors'), oracle, START_MS + TROUBLE_MS) : null;
  startOperatorLocks(world, rng.fork('locks by hand'), oracle, START_MS + TROUBLE_MS);
  if (rng.chance(0.15)) await startRogue(world, rng.fork('rogue'));

  const check = (): Promise<void> | void => {
    chaos.check();
    return oracle.check();
  };
  const over = (): boolean => oracle.violations.length > 0 || scheduler.events > EVENTS_MAX;
  await scheduler.run(START_MS + TROUBLE_MS, check, over);
  if (!over()) {
    scheduler.trace('healing');
    chaos.heal();
    await scheduler.run(START_MS + TROUBLE_MS + HEALING_MS, check, () => over() || isAtRest(world));
    if (scheduler.events > EVENTS_MAX) oracle.broken(0, `still busy after ${EVENTS_MAX} events`);
    if (!over()) await lookOnceMore();
    if (!over()) await finish();
  }
  return {
    seed, violations: oracle.violations, events: scheduler.events,
    // What is already known to be broken may not be readable.
    seen: oracle.violations.length > 0 ? {} : { ...count(world, oracle), ...oracle.observing.seen, ...oracle.standing.seen, ...oracle.glass.seen, ...oracle.signing.seen, ...reconciling?.seen, ...erasures?.seen },
  };

  /** What is there at the end is found, and what is proposed because of it comes to its end. */
  async function lookOnceMore(): Promise<void> {
    if (reconciling === null) return;
    const looks = { over: false };
    void reconciling.finish().finally(() => {
      looks.over = true;
    });
    await scheduler.run(scheduler.nowMs() + 300_000, check, () => over() || looks.over);
    if (!looks.over) return oracle.broken(14, 'a target cannot be reconciled though all faults are over');
    await scheduler.run(scheduler.nowMs() + HEALING_MS, check, () => over() || isAtRest(world));
  }

  async function finish(): Promise<void> {
    for (const state of world.engine()?.all() ?? []) {
      if (!isResting(state.name, state.ended !== null, state.lease !== null) && !oracle.workflow.isOwned(state)) oracle.broken(0, `${state.changeId} is still ${state.name} ${HEALING_MS / 1000} s after the last fault (${JSON.stringify([...state.findings])})`);
    }
    if (world.engine() === null) oracle.broken(0, 'the sidecar never came back');
    // A last checkpoint, and the line quiet: then what is on the disk is the evidence.
    await scheduler.run(scheduler.nowMs() + 5_000, check, over);
    let signedAtMs: number | null = null;
    await scheduler.run(scheduler.nowMs() + 3_000, check, () => {
      const isSigned = world.log()?.checkpoint().size === world.log()?.size;
      signedAtMs = isSigned ? (signedAtMs ?? scheduler.nowMs()) : null;
      // What the last checkpoint took the place of goes after it is written.
      return over() || (signedAtMs !== null && scheduler.nowMs() - signedAtMs >= SWEPT_MS);
    });
    await oracle.finish();
    erasures?.finish();
    await judgeEvidence(world, oracle);
  }
}

function isResting(name: string, ended: boolean, leased: boolean): boolean {
  return AT_REST.has(name) && (ended || !leased || name !== 'done');
}

function isAtRest(world: World): boolean {
  const engine = world.engine();
  if (engine === null || engine.troubles().length > 0) return false;
  for (const state of engine.all()) if (!isResting(state.name, state.ended !== null, state.lease !== null)) return false;
  // Final states may still have access to take back, and what nobody fetches is taken back as well.
  for (const state of engine.all()) if (state.ended === null && (state.lease !== null || state.delivery?.status === 'sealed')) return false;
  for (const node of [world.sidecar, ...world.executors.values()]) if (node.process === null || world.worker(node.name)?.healthy === false) return false;
  return engine.all().next().done !== true || world.scheduler.nowMs() > START_MS + TROUBLE_MS + 5_000;
}

function count(world: World, oracle: Oracle): Record<string, number> {
  const seen: Record<string, number> = { given: 0, ...(world.isSetBack && !world.wildClock ? { 'judged by records though the clock was set back': 1 } : {}) };
  for (const target of world.targets.values()) seen['given'] = (seen['given'] ?? 0) + target.given.length;
  for (const { name, request, plan, escalated } of world.engine()?.all() ?? []) {
    for (const what of [name, `${plan?.mode === 'caller' ? 'called ' : ''}${request.kind} ${name}`, ...(escalated === null ? [] : [`escalated ${name}`])]) seen[what] = (seen[what] ?? 0) + 1;
  }
  const underObserve = new Map<string, boolean>();
  for (const { type, body, at, change } of oracle.view.records()) {
    const what = type.startsWith('lock.') && body['statement'] !== undefined ? `${type} elsewhere` : type;
    seen[what] = (seen[what] ?? 0) + 1;
    if (type === 'lease.redecided') {
      const how = `redecided ${(body['redecision'] as { effect: string }).effect}${body['held'] === null ? '' : ' held'}`;
      seen[how] = (seen[how] ?? 0) + 1;
    }
    if (type === 'policy.decided' && change !== null) {
      const { observed, effect } = body['decision'] as Decision;
      const before = underObserve.get(change);
      underObserve.set(change, observed !== undefined);
      for (const what of [
        ...(observed === undefined ? [] : [`observed ${observed.effect}`]),
        ...(before === true && observed === undefined ? [`enforced again ${effect}`] : []),
        ...(before === false && observed !== undefined ? ['under observe at dispatch'] : []),
      ]) seen[what] = (seen[what] ?? 0) + 1;
    }
    if (type === 'step.refused' && change !== null && underObserve.get(change) === true) seen['refused under observe'] = (seen['refused under observe'] ?? 0) + 1;
    if (type === 'bundle.activated' && (seen[type] ?? 0) > 1) seen['another bundle'] = (seen['another bundle'] ?? 0) + 1;
    // By a sidecar that was away, and is back.
    if (type === 'approval.escalated' && Date.parse(at) > Date.parse(body['dueAt'] as string) + 2_000) seen['escalated late'] = (seen['escalated late'] ?? 0) + 1;
  }
  return seen;
}
