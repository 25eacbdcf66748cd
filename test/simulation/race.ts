/**
 * One change, and everybody at it at the same moment: who approves, rejects, withdraws, revises, stops and looks, by the sidecar's own HTTP app, around
 * the moment at which it begins to wait, at which further people are told, or at which its time is over. A seed decides who comes when, what is slow,
 * and whether the power goes in between. What each of them was told is kept and held to the ledger: `race-judge.ts`.
 */
import { approversNamed, type ApproverExpression } from '../../src/protocol/decision.ts';
import { escalationDueMs } from '../../src/change/escalation.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { START_MS } from './fixtures.ts';
import { openDoor, type Door } from './http-door.ts';
import { createOracle } from './oracle.ts';
import { judgeRace, type Told } from './race-judge.ts';
import { seededRng, type Rng } from './rng.ts';
import { createScheduler } from './scheduler.ts';
import { createWorld, type Wraps, type World } from './world.ts';

export interface Race {
  readonly seed: number;
  readonly violations: readonly { readonly invariant: number; readonly message: string }[];
  /** How often each outcome and each answer was seen. */
  readonly seen: Readonly<Record<string, number>>;
}

const REQUESTER = 'nhi:prod/ci-deployer';
const RESPONDER = 'person:sam';
/** Policy refuses the last of them: she has no role there. */
const APPROVERS = ['person:olga', 'person:ben', 'person:wei', 'person:ana'] as const;
const REQUEST = { kind: 'grant', subject: REQUESTER, purpose: 'deploy-orders', reason: 'release', duration: 'PT1M', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }] };
/** Many by one person at the same moment. */
const POSTS = 50;
const PENDING_MS = 20_000;
const QUIET_MS = 10_000;
/** Whoever has asked a sidecar that runs has an answer after so long. */
const ANSWER_MS = 5_000;

type Act = 'approve' | 'reject' | 'withdraw' | 'revise' | 'stop' | 'revoke' | 'look';
const ACTS: readonly Act[] = ['approve', 'approve', 'approve', 'approve', 'reject', 'withdraw', 'revise', 'stop', 'revoke', 'look'];
const EXPRESSIONS: readonly ApproverExpression[] = [
  { anyOf: [...APPROVERS] }, { allOf: ['person:olga', 'person:wei'] }, { atLeast: 2, of: [...APPROVERS] }, { allOf: ['person:wei', { anyOf: ['person:ana', 'person:olga'] }] },
];

/** Of one race in sixteen: asked one after the other, and rejected by two. */
const STAGES: ApproverExpression = { stages: [{ anyOf: ['person:ben', 'person:wei'] }, 'person:olga', { atLeast: 2, of: [...APPROVERS] }] };

export async function race(seed: number, options: { readonly wraps?: Wraps; readonly trace?: (line: string) => void } = {}): Promise<Race> {
  const rng = seededRng(seed, 'race');
  const scheduler = createScheduler(rng.fork('order'), START_MS, options.trace ?? null);
  const oracle = createOracle();
  const drawn = rng.pick(EXPRESSIONS);
  const isStaged = seed % 16 === 7;
  const approvers = isStaged ? STAGES : drawn;
  const world = await createWorld(scheduler, rng.fork('world'), {
    ...options.wraps,
    pdp: (pdp) => ({ ...pdp, decide: async (input) => {
      const decision = await pdp.decide(input);
      return { ...decision, obligations: { ...decision.obligations, approvers, ...(isStaged ? { rejections: 2 } : {}) } };
    } }),
  }, oracle.watchers);
  oracle.watch(world);
  world.sidecar.offsetMs = 0;
  const told: Told[] = [];
  const door = openDoor(world, [REQUESTER, RESPONDER, ...APPROVERS]);
  /** What is under way in the app is not in the queue of events: it has a few turns to get there, the same ones in every run. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < (told.some(({ answer }) => answer === null) ? 4 : 0); turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await oracle.check();
  };
  for (const node of [world.sidecar, ...world.executors.values()]) world.start(node);
  await scheduler.run(START_MS + PENDING_MS, settle, () => world.engine() !== null);
  const changeId = await firstChange(door, () => scheduler.run(scheduler.nowMs() + ANSWER_MS, settle, () => told[0]!.answer !== null), told);
  const now = (): ChangeState | undefined => world.engine()?.get(changeId);
  await scheduler.run(START_MS + PENDING_MS, settle, () => now()?.name === 'pending');
  const pending = now();
  if (pending?.name !== 'pending') throw new Error(`seed ${seed}: the change is ${pending?.name ?? 'gone'} and was to be pending`);

  const atMs = momentOf(pending, rng) ?? scheduler.nowMs();
  await scheduler.run(atMs - 60, settle);
  const acting = { world, door, changeId, told, rng, settle };
  plan(acting, approversNamed(approvers), pending);
  if (rng.chance(0.2)) {
    scheduler.after(rng.between(20, 140), 'the power goes', () => world.kill(world.sidecar, 100, rng.pick(['power', 'kill'])));
    scheduler.after(rng.between(300, 900), 'it comes back', () => {
      if (world.sidecar.process === null) world.start(world.sidecar);
    });
  }
  if (rng.chance(0.1)) {
    world.policyFaultySinceMs = scheduler.nowMs();
    world.policyFaulty = true;
    scheduler.after(rng.between(60, 300), 'policy answers again', () => {
      world.policyFaulty = false;
    });
  }
  await scheduler.run(atMs + QUIET_MS, settle, () => oracle.violations.length > 0);
  const judged = oracle.violations.length > 0 ? { violations: [], seen: {} } : await judgeRace({ records: oracle.view.recordsOf(changeId), readObject: async (digest) => oracle.view.object(digest) ?? null, durable: oracle.view.records().length, told, now: now() });
  for (const one of told) if (one.answer === null && one.process?.alive === true) judged.violations.push({ invariant: 0, message: `${one.by} asked to ${one.act} and has no answer` });
  return { seed, violations: [...oracle.violations, ...judged.violations], seen: judged.seen };
}

async function firstChange(door: Door, run: () => Promise<void>, told: Told[]): Promise<string> {
  const asked: Told = { act: 'request', by: REQUESTER, planDigest: null, marker: null, durableAtSend: 0, process: null, answer: null };
  told.push(asked);
  void door(REQUESTER, 'POST', '/v1/changes', REQUEST)!.then((answer) => {
    asked.answer = { ...answer, durable: Infinity };
  });
  await run();
  told.length = 0;
  return (asked.answer?.body as { readonly id: string }).id;
}

/** When it is that everybody comes: null for now. */
function momentOf(pending: ChangeState, rng: Rng): number | null {
  switch (rng.pick(['now', 'now', 'told', 'over'] as const)) {
    case 'now':
      return null;
    case 'told':
      return escalationDueMs(pending);
    case 'over':
      return pending.approvalsByMs;
  }
}

interface Acting {
  readonly world: World;
  readonly door: Door;
  readonly changeId: string;
  readonly told: Told[];
  readonly rng: Rng;
}

/** Everybody's part, each at a moment of its own close to the others'. */
function plan(acting: Acting, approvers: readonly string[], first: ChangeState): void {
  const { rng, world } = acting;
  const spreadMs = rng.pick([0, 3, 15, 60, 120]);
  const at = (act: Act, by: string, marker: number, delayMs: number): void => void world.scheduler.after(delayMs, `${by} is to ${act}`, () => send(acting, act, by, marker, first));
  const parts = rng.between(3, 10);
  for (let part = 0; part < parts; part += 1) {
    const act = rng.pick(ACTS);
    const by = act === 'approve' || act === 'reject' ? rng.pick(approvers) : act === 'stop' || act === 'revoke' ? RESPONDER : REQUESTER;
    at(act, by, part, rng.between(0, spreadMs));
  }
  if (!rng.chance(0.1)) return;
  const many = rng.pick(approvers);
  for (let post = 0; post < POSTS; post += 1) at('approve', many, 100 + post, rng.between(0, spreadMs));
}

function send({ world, door, changeId, told, rng }: Acting, act: Act, by: string, marker: number, first: ChangeState): void {
  // Whoever decides has seen a plan: the first, or the one that is there now.
  const planDigest = rng.chance(0.5) ? first.planDigest! : (world.engine()?.get(changeId)?.planDigest ?? first.planDigest!);
  const self = `/v1/changes/${changeId}`;
  const durable = (): number => world.log()?.durableSize ?? 0;
  const one: Told = { act, by, planDigest, marker: act === 'revise' ? `release, part ${marker}` : null, durableAtSend: durable(), process: world.sidecar.process, answer: null };
  const sent = {
    approve: () => door(by, 'POST', `${self}/approvals`, { verdict: 'approve', planDigest }),
    reject: () => door(by, 'POST', `${self}/approvals`, { verdict: 'reject', planDigest, comment: 'no' }),
    withdraw: () => door(by, 'POST', `${self}/withdraw`, {}),
    stop: () => door(by, 'POST', `${self}/withdraw`, { comment: 'stop' }),
    revise: () => door(by, 'POST', `${self}/revisions`, { ...REQUEST, reason: one.marker }),
    revoke: () => door(by, 'POST', `${self}/revoke`, {}),
    look: () => door(by, 'GET', self),
  }[act]();
  if (sent === null) return;
  told.push(one);
  void sent.then((answer) => {
    world.scheduler.trace(`${by} (${act}) is told ${answer.status} ${JSON.stringify(answer.body).slice(0, 400)}`);
    one.answer = { ...answer, durable: durable() };
  });
}
