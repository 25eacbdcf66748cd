/** Those who rotate, offboard and lock: services and people by executors, and runs that make their change themselves. All seeded. */
import type { ChangeState } from '../../src/change/state.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { RECIPIENT } from './actors.ts';
import { askOf } from './asking.ts';
import { startCallerRun } from './caller-run.ts';
import { UNSERVED } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import { unseal, type World } from './world.ts';

/** What those who use a rotated credential do about it. */
interface Habits {
  readonly fetches: boolean;
  readonly confirms: boolean;
  /** How long until they use the new one, in ms; null: they never do. */
  readonly movesAfterMs: number | null;
}

/** Sets everyone to work until `untilMs`; those who look after what is there go on. */
export function startWorkflowActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const logins = world.targets.get('pg-main')!.logins;
  const habits = new Map<string, Habits>();
  const habitsOf = (changeId: string): Habits => {
    const known = habits.get(changeId) ?? { fetches: rng.chance(0.85), confirms: rng.chance(0.6), movesAfterMs: rng.chance(0.8) ? rng.between(500, 40_000) : null };
    habits.set(changeId, known);
    return known;
  };
  let requests = 0;

  /** Asks until it is answered, under one key. */
  const insist = (requester: readonly string[], request: ChangeRequest, latestMs: number): void => {
    const key = `workflow-${requests += 1}`;
    const attempt = async (): Promise<void> => {
      if (scheduler.nowMs() > untilMs) return;
      const answer = await ask((engine) => engine.request(requester, request, key));
      if (answer?.ok === true) scheduler.trace(`${requester[0]!} asked for a ${request.kind}: ${answer.value.state.changeId}`);
      if (answer === undefined || rng.chance(0.2)) scheduler.after(rng.between(200, 4_000), 'a caller tries again', () => void attempt());
    };
    scheduler.after(rng.between(0, latestMs), `a request to ${request.kind}`, () => void attempt());
  };
  const inTime = (): { urgency?: 'emergency'; window?: { onMissed: 'replan' | 'expire' } } => ({
    ...(rng.chance(world.hasCalendar ? 0.15 : 0.8) ? { urgency: 'emergency' as const } : {}),
    ...(rng.chance(0.6) ? { window: { onMissed: rng.pick(['replan', 'expire'] as const) } } : {}),
  });

  if (rng.chance(0.7)) {
    for (let left = rng.between(1, 2); left > 0; left -= 1) {
      const [subject, purpose] = rng.pick([['nhi:prod/orders-api', 'serve-orders'], ['nhi:prod/orders-api', 'serve-orders'], ['nhi:prod/orders-api', 'serve-orders'], ['nhi:prod/ci-deployer', 'deploy-orders']] as const);
      insist([rng.pick([subject, subject, 'person:ana'])], {
        kind: 'rotate', subject, connector: 'pg-main', target: 'app', purpose, reason: 'it is old', recipient: RECIPIENT, grace: `PT${rng.between(20, 60)}S`,
        retire: rng.pick(['endSessions', 'whenUnused']), ...inTime(),
      }, 100_000);
    }
  }
  if (rng.chance(0.35)) {
    for (let left = rng.between(1, 2); left > 0; left -= 1) scheduler.after(rng.between(0, 100_000), 'a run begins', () => startCallerRun(world, rng, oracle, inTime()));
  }
  if (rng.chance(0.3)) {
    insist(['nhi:prod/freight-sync'], {
      kind: 'provision', subject: 'nhi:prod/freight-sync', purpose: 'freight-sync', reason: 'deliveries', duration: `PT${rng.between(40, 200)}S`, recipient: RECIPIENT,
      entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
    }, 60_000);
  }
  if (rng.chance(0.35)) {
    insist([rng.pick(['person:olga', 'person:olga', 'person:ben'])], {
      kind: 'offboard', subject: rng.fork('unserved').chance(0.1) ? UNSERVED.subject : rng.pick(['thirdParty:kestrel-logistics', 'thirdParty:kestrel-logistics', 'nhi:prod/ci-deployer']), reason: 'the contract is over',
    }, 140_000);
  }

  const lock = async (): Promise<void> => {
    if (scheduler.nowMs() > untilMs) return;
    const scope = rng.pick([{ nhi: 'nhi:prod/orders-api', connector: null }, { nhi: null, connector: 'pg-main' }, { nhi: 'nhi:prod/ci-deployer', connector: 'pg-main' }]);
    const answer = await ask((engine) => engine.lock('person:olga', scope, 'something is wrong there'));
    if (answer !== undefined && !answer.ok) oracle.broken(4, `a lock by somebody who may was not taken: ${answer.message}`);
  };
  if (rng.chance(0.3)) for (let left = rng.between(1, 2); left > 0; left -= 1) scheduler.after(rng.between(3_000, 120_000), 'olga locks', () => void lock());

  const use = (state: ChangeState, { movesAfterMs }: Habits): void => {
    const { account, other } = state.plan!.steps[0]!;
    if (movesAfterMs !== null && other !== undefined) scheduler.after(movesAfterMs, `who uses ${other} uses ${account}`, () => logins.moveSessions(other, account));
  };
  const fetchSecret = async (state: ChangeState, its: Habits): Promise<void> => {
    const by = state.requester[0]!;
    const answer = await ask((engine) => engine.delivery(by, state.changeId));
    if (answer?.ok !== true) return;
    oracle.opened(state.changeId, unseal(answer.value.ciphertext, RECIPIENT));
    const taken = await ask((engine) => engine.acknowledgeDelivery(by, state.changeId, answer.value.digest));
    if (taken?.ok === true) use(state, its);
  };
  const tend = (state: ChangeState): void => {
    if (state.request.kind !== 'rotate' || state.plan === null) return;
    const its = habitsOf(state.changeId);
    if (its.fetches && state.delivery?.status === 'sealed' && state.finished.length > 0) void fetchSecret(state, its);
    if (its.confirms && state.delivery?.status === 'acknowledged') for (const consumer of state.plan.rotation?.consumers ?? []) void ask((engine) => engine.confirmConsumer(rng.pick([state.requester[0]!, 'person:wei']), state.changeId, consumer));
  };
  /** Those on call end what does not get on; now and then they end what would have. */
  const isPatient = rng.chance(0.5);
  const respond = (state: ChangeState): void => {
    const isStuck = state.findings.has('caller-silent') || state.findings.has('rotation-stalled') || state.findings.has('verification-failed');
    if (isStuck ? !isPatient && rng.chance(0.05) : scheduler.nowMs() < untilMs && rng.chance(0.003)) void ask((engine) => engine.withdraw('person:sam', state.changeId, 'we look at it'));
  };
  const round = (): void => {
    const engine = world.engine();
    for (const state of engine === null ? [] : [...engine.all()]) {
      if (rng.chance(0.5)) tend(state);
      respond(state);
    }
    for (const { lockId } of engine?.locks() ?? []) if (rng.chance(0.15)) void ask((one) => one.unlock('person:olga', lockId, 'it was nothing'));
    scheduler.after(rng.between(1_000, 5_000), 'services look at their secrets', round);
  };
  scheduler.after(rng.between(500, 3_000), 'services look at their secrets', round);
}
