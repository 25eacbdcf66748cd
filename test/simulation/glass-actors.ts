/** Emergencies, the people who break the glass for them alone, and those who review that in time, late or never, and make the rotation that is owed, or not. All seeded. */
import { canonicalBytes, logIdOf } from '../../ledger/index.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { BREAK_GLASS_NAMESPACE, type BreakGlassStatement } from '../../src/protocol/break-glass.ts';
import { approversNamed } from '../../src/protocol/decision.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { RECIPIENT } from './actors.ts';
import { askOf } from './asking.ts';
import { GLASS_FLOOR, ORIGIN } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

const REASON = 'the exports stand still, and nobody answers';
const DEPLOYER = 'nhi:prod/ci-deployer';

const REQUESTS: readonly ((duration: string) => ChangeRequest)[] = [
  (duration) => ({ kind: 'grant', subject: DEPLOYER, purpose: 'deploy-orders', reason: 'it is down', urgency: 'emergency', duration, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }] }),
  (duration) => ({ kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'it is down', urgency: 'emergency', duration, recipient: RECIPIENT, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }] }),
];
const ROTATION: ChangeRequest = {
  kind: 'rotate', subject: DEPLOYER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'somebody held it in an emergency', recipient: RECIPIENT, grace: 'PT20S', retire: 'endSessions', urgency: 'emergency',
};

/** What people do about what is owed for one broken glass. */
interface Habits {
  readonly reviewsFromMs: number;
  readonly rotation: 'made' | 'notNeeded' | 'forgotten';
}

/** Sets them to work until `untilMs`; those who settle what is owed go on. */
export function startGlassActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const habits = new Map<string, Habits>();
  const habitsOf = ({ changeId, breakGlass }: ChangeState): Habits => {
    const within = rng.pick([0, 0, 10_000, 60_000, Infinity]);
    const known = habits.get(changeId) ?? { reviewsFromMs: breakGlass!.reviewByMs - GLASS_FLOOR.reviewWithinSeconds * 1000 + within, rotation: rng.pick(['made', 'made', 'notNeeded', 'forgotten'] as const) };
    habits.set(changeId, known);
    return known;
  };
  const refused = (message: string) => (answer: { readonly ok: boolean } | undefined): void => {
    if (answer?.ok === true) oracle.broken(23, message);
  };

  const breakIt = ({ changeId, revision, planDigest }: ChangeState): void => {
    const by = rng.pick([...GLASS_FLOOR.people, ...GLASS_FLOOR.people, ...GLASS_FLOOR.people, 'person:olga', 'person:mallory']);
    const salt = Buffer.from(rng.bytes(16)).toString('base64url');
    const expiresAt = formatTime(scheduler.nowMs() + 900_000);
    const statement: BreakGlassStatement = { v: 1, log: logIdOf(ORIGIN), changeId, revision, planDigest: planDigest!, reason: commitmentTo({ name: 'reason', salt, value: REASON }), usedBy: by, expiresAt };
    const signature = writeArmour(world.signing.keyOf(by, scheduler.nowMs()).sign(canonicalBytes(statement), { namespace: BREAK_GLASS_NAMESPACE }));
    const breach = { by, planDigest: planDigest!, reason: REASON, salt, ssh: { expiresAt, signature } };
    void ask((engine) => engine.breakGlass(changeId, breach)).then((answer) => {
      if (answer?.ok === true && !GLASS_FLOOR.people.includes(by)) oracle.broken(23, `${by} broke the glass, whom no floor names`);
      if (answer?.ok === true) scheduler.trace(`${by} broke the glass for ${changeId}`);
    });
    if (rng.chance(0.2)) void ask((engine) => engine.breakGlass(changeId, { ...breach, by: by === 'person:sam' ? 'person:wei' : 'person:sam' })).then(refused('somebody broke the glass by another’s key'));
  };
  const settle = (state: ChangeState): void => {
    const { statement: { usedBy }, review, rotation } = state.breakGlass!;
    const its = habitsOf(state);
    const { changeId } = state;
    const reviewers = approversNamed(state.requirement.approvers).filter((one) => one !== usedBy);
    if (rng.chance(0.1)) void ask((engine) => engine.reviewBreakGlass(changeId, { by: usedBy, verdict: 'justified', comment: 'I had to' })).then(refused('who broke the glass reviewed it'));
    if (reviewers.length === 0) return;
    if (review === null && scheduler.nowMs() >= its.reviewsFromMs) void ask((engine) => engine.reviewBreakGlass(changeId, { by: rng.pick(reviewers), verdict: 'justified', comment: 'it had to be' }));
    if (review === null || rotation === null || rotation.settled !== null || its.rotation === 'forgotten') return;
    if (its.rotation === 'notNeeded') void ask((engine) => engine.reviewBreakGlass(changeId, { by: rng.pick(reviewers), verdict: 'justified', comment: 'nothing was lent after all', rotation: 'notNeeded' }));
    else if (rng.chance(0.3) && ![...(world.engine()?.open() ?? [])].some(isRotation)) void ask((engine) => engine.request([DEPLOYER], ROTATION, null));
  };
  const isRotation = ({ request }: ChangeState): boolean => request.reason === ROTATION.reason;
  /** Those who are asked for it know why. */
  const helpAlong = (state: ChangeState): void => {
    const { changeId, planDigest, delivery, finished, name, requirement } = state;
    if (name === 'pending' && planDigest !== null) for (const by of approversNamed(requirement.approvers)) if (rng.chance(0.5)) void ask((engine) => engine.decideApproval(by, changeId, 'approve', planDigest, null));
    if (delivery?.status === 'sealed' && finished.length > 0) void fetch(state);
  };
  const fetch = async ({ changeId, requester }: ChangeState): Promise<void> => {
    const answer = await ask((engine) => engine.delivery(requester[0]!, changeId));
    if (answer?.ok === true) await ask((engine) => engine.acknowledgeDelivery(requester[0]!, changeId, answer.value.digest));
  };

  const round = (): void => {
    for (const state of [...(world.engine()?.all() ?? [])]) {
      if (state.breakGlass !== null) settle(state);
      else if (state.name === 'pending' && state.planDigest !== null && state.decision?.obligations.breakGlass !== undefined && rng.chance(0.6)) breakIt(state);
      if (isRotation(state)) helpAlong(state);
    }
    scheduler.after(rng.between(1_000, 5_000), 'people look after emergencies', round);
  };
  scheduler.after(rng.between(500, 3_000), 'people look after emergencies', round);
  for (let left = rng.between(2, 5); left > 0; left -= 1) {
    const request = rng.pick(REQUESTS);
    // A minute is the longest that the floor lets anybody give alone.
    scheduler.after(rng.between(0, untilMs - scheduler.nowMs() - 20_000), 'an emergency', () => {
      const asked = request(`PT${rng.between(10, 70)}S`);
      void ask((engine) => engine.request([asked.subject], asked, null));
    });
  }
}
