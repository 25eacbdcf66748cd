/** People, jobs and thieves: they ask, approve, change their minds, fetch what is theirs, and try what they should not. All seeded. */
import { digestOf } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { ChangeState } from '../../src/change/state.ts';
import type { Answer } from '../../src/engine/engine.ts';
import { approversNamed } from '../../src/protocol/decision.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import type { ChangeRequest, EntitlementRequest } from '../../src/protocol/request.ts';
import { REVOKE_ORDER_TYPE } from '../../src/protocol/signed.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import { EXECUTORS } from './fixtures.ts';
import { askOf } from './asking.ts';
import { unseal, type World } from './world.ts';

const entitlement = (connector: string, target: string) => (privilege: string): EntitlementRequest['entitlements'][number] => ({ connector, target, privilege });
const app = entitlement('pg-main', 'app');
const dev = entitlement('pg-dev', 'app_dev');
export const RECIPIENT = `age1${'qpzry9x8gf2tvdw0s3jn54khce6mua7l'.repeat(2).slice(0, 58)}`;

interface Template {
  readonly requester: readonly string[];
  readonly request: (seconds: string) => ChangeRequest;
}

/** What is asked for in a run: most of it reasonable, some not. */
const TEMPLATES: readonly Template[] = [
  { requester: ['nhi:prod/billing-export'], request: (duration) => ({ kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'tonight', duration, recipient: RECIPIENT, entitlements: ['table:public.orders:SELECT', 'table:public.invoices:SELECT'].map(app) }) },
  { requester: ['person:ana'], request: (duration) => ({ kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'by hand', duration, recipient: RECIPIENT, entitlements: ['table:public.orders:SELECT'].map(app) }) },
  { requester: ['nhi:prod/ci-deployer'], request: (duration) => ({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release', duration, entitlements: ['role:deploy'].map(app) }) },
  { requester: ['nhi:prod/ci-deployer', 'person:wei'], request: (duration) => ({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'hotfix', duration, entitlements: ['role:deploy'].map(app) }) },
  { requester: ['nhi:prod/warehouse-sync'], request: () => ({ kind: 'provision', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'a new key', recipient: RECIPIENT, entitlements: ['table:public.orders:SELECT'].map(app) }) },
  { requester: ['nhi:dev/report-preview'], request: (duration) => ({ kind: 'grant', subject: 'nhi:dev/report-preview', purpose: 'preview-reports', reason: 'preview', duration, entitlements: ['table:public.orders:SELECT'].map(dev) }) },
  { requester: ['nhi:dev/report-preview'], request: (duration) => ({ kind: 'grant', subject: 'nhi:dev/report-preview', purpose: 'preview-reports', reason: 'preview', duration, entitlements: ['table:public.orders:SELECT', 'table:public.orders:UPDATE'].map(dev) }) },
  { requester: ['person:ben'], request: () => ({ kind: 'revoke', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'contract over', entitlements: ['table:public.orders:SELECT'].map(app) }) },
  { requester: ['nhi:prod/billing-export'], request: (duration) => ({ kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'too much', duration, recipient: RECIPIENT, entitlements: ['table:public.customers:DELETE'].map(app) }) },
  { requester: ['nhi:prod/nobody'], request: (duration) => ({ kind: 'grant', subject: 'nhi:prod/nobody', purpose: 'deploy-orders', reason: 'unknown', duration, entitlements: ['role:deploy'].map(app) }) },
];

/** What a person means to do about one change. */
type Disposition = 'approve' | 'reject' | 'ignore' | 'revise' | 'withdraw' | 'revoke' | 'neverFetch';
const DISPOSITIONS: readonly Disposition[] = ['approve', 'approve', 'approve', 'approve', 'approve', 'approve', 'reject', 'ignore', 'revise', 'withdraw', 'revoke', 'revoke', 'neverFetch'];

/** Sets everyone to work until `untilMs`; then only those who end things go on. */
export function startActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): void {
  const { scheduler } = world;
  const dispositions = new Map<string, Disposition>();
  const dispositionOf = (changeId: string): Disposition => {
    const known = dispositions.get(changeId) ?? rng.pick(DISPOSITIONS);
    dispositions.set(changeId, known);
    return known;
  };
  const oneOf = (people: readonly string[]): string => rng.pick(people.length === 0 ? ['person:mallory'] : people);

  const ask = askOf(world);

  const requests = rng.between(1, 5);
  for (let index = 0; index < requests; index += 1) {
    const template = rng.pick(TEMPLATES);
    const request = template.request(`PT${rng.between(15, 75)}S`);
    const key = `key-${index}`;
    let made: string | null = null;
    const attempt = async (): Promise<void> => {
      if (scheduler.nowMs() > untilMs) return;
      const answer = await ask((engine) => engine.request(template.requester, request, key));
      if (answer?.ok === true) {
        const { changeId } = answer.value.state;
        if (made !== null && made !== changeId) oracle.broken(5, `one Idempotency-Key made ${made} and ${changeId}`);
        made = changeId;
        scheduler.trace(`${template.requester[0]!} asked: ${changeId}`);
        if (rng.chance(0.7)) return;
      }
      // No answer, or a client that is not sure of it: the same again, under the same key.
      scheduler.after(rng.between(200, 4_000), 'a caller tries again', () => void attempt());
    };
    scheduler.after(rng.between(0, 50_000), 'a request', () => void attempt());
  }

  const tend = (state: ChangeState): void => {
    const intent = dispositionOf(state.changeId);
    const owner = world.facts.inventory.get(state.request.subject)?.owner;
    if (state.name === 'pending' && state.planDigest !== null) decide(state, intent);
    if (intent === 'revise' && ['requested', 'pending', 'scheduled'].includes(state.name) && state.revision < 3 && rng.chance(0.3)) {
      void ask((engine) => engine.revise(state.requester[0]!, state.changeId, { ...state.request, reason: `revised ${rng.between(1, 99)}` }));
    }
    if (intent === 'withdraw' && rng.chance(0.2)) void ask((engine) => engine.withdraw(state.requester[0]!, state.changeId, null));
    if (intent === 'revoke' && state.act !== null && rng.chance(0.2)) revoke(state, rng.pick([owner ?? 'person:sam', 'person:sam', 'person:olga']));
    if (rng.chance(0.03)) void ask((engine) => engine.revoke('person:mallory', state.changeId, null)).then((answer) => expectRefused(answer, 'somebody who may not revoke revoked'));
    if (intent !== 'neverFetch' && state.delivery?.status === 'sealed' && ['active', 'done'].includes(state.name)) void fetchSecret(state);
  };
  const expectRefused = (answer: Answer<unknown> | undefined, message: string): void => {
    if (answer?.ok === true) oracle.broken(2, message);
  };

  const approve = (by: string, changeId: string, digest: string): void => void ask(async (engine) =>
    engine.decideApproval(by, changeId, 'approve', digest, null, await world.signing.prove(engine, by, changeId, digest, scheduler.nowMs())));
  const decide = (state: ChangeState, intent: Disposition): void => {
    const named = approversNamed(state.requirement.approvers);
    const digest = state.planDigest!;
    const { changeId } = state;
    if (rng.chance(0.1)) void ask((engine) => engine.decideApproval(state.requester[0]!, changeId, 'approve', digest, null)).then((answer) => expectRefused(answer, 'who asked approved'));
    if (rng.chance(0.1)) void ask((engine) => engine.decideApproval('person:mallory', changeId, 'approve', digest, null)).then((answer) => expectRefused(answer, 'somebody who was not asked approved'));
    if (rng.chance(0.1)) {
      const other = digestOf(Buffer.from('another plan'));
      void ask((engine) => engine.decideApproval(oneOf(named), changeId, 'approve', other, null)).then((answer) => expectRefused(answer, 'another plan was approved'));
    }
    // Whoever was only told means well, and tries.
    const told = (state.escalated?.to ?? []).filter((one) => !named.includes(one));
    if (told.length > 0 && rng.chance(0.5)) void ask((engine) => engine.decideApproval(oneOf(told), changeId, 'approve', digest, null)).then((answer) => expectRefused(answer, 'somebody who was told and not asked approved'));
    if (intent === 'ignore') return;
    if (intent === 'reject') void ask((engine) => engine.decideApproval(oneOf(named), changeId, 'reject', digest, 'no'));
    else for (let votes = rng.between(1, 3); votes > 0; votes -= 1) approve(oneOf(named), changeId, digest);
  };

  const revoke = (state: ChangeState, by: string): void => {
    const audience = state.act!.audience;
    const failedBefore = world.log()?.failed ?? null;
    const askedAtMs = scheduler.nowMs();
    void ask((engine) => engine.revoke(by, state.changeId, null), (error) => {
      // With the line down nobody can be told; the armed order remains.
      if (!world.network.isTroubled(audience) && !world.network.hasLostSince(audience, askedAtMs)) oracle.revokeRefused(state.changeId, String(error));
    }).then((answer) => {
      if (answer === undefined) return;
      if (!answer.ok) {
        if (answer.code !== 'nothing-to-revoke') oracle.revokeRefused(state.changeId, answer.code);
      } else if (!answer.value.recorded && failedBefore !== null) oracle.revokeSent(state.changeId);
    });
  };

  const fetchSecret = async (state: ChangeState): Promise<void> => {
    const by = state.requester[0]!;
    const answer = await ask((engine) => engine.delivery(by, state.changeId));
    if (answer === undefined) return;
    if (!answer.ok) {
      const now = world.engine()?.get(state.changeId);
      if (now?.delivery?.status === 'sealed' && ['active', 'done'].includes(now.name)) oracle.broken(7, `the sealed secret of ${state.changeId} is not to be had: ${answer.message}`);
      return;
    }
    if (digestOf(answer.value.ciphertext) !== answer.value.digest) oracle.broken(7, 'the ciphertext is not the one that was recorded');
    oracle.opened(state.changeId, unseal(answer.value.ciphertext, RECIPIENT));
    if (rng.chance(0.8)) void ask((engine) => engine.acknowledgeDelivery(by, state.changeId, answer.value.digest));
  };

  const round = (): void => {
    const engine = world.engine();
    if (engine !== null) for (const state of [...engine.all()]) if (rng.chance(0.5)) tend(state);
    scheduler.after(rng.between(1_000, 5_000), 'people look at their changes', round);
  };
  scheduler.after(rng.between(500, 3_000), 'people look at their changes', round);

  /** The operator on call, with what she has in hand, at the executor's own door. */
  const operator = async (): Promise<void> => {
    const states = [...(await oracle.view.fold()).values()].filter((state) => state.act !== null && state.lease !== null && state.ended === null);
    if (states.length > 0) {
      const state = rng.pick(states);
      const order = deriveRevokeOrder(state.plan!, state.act!.audience, scheduler.nowMs(), 'early', 'person:sam');
      if (order !== null) world.network.sendOrder(state.act!.audience, signDsse(REVOKE_ORDER_TYPE, order, world.keys.revoker));
    }
  };
  if (rng.chance(0.15)) scheduler.after(rng.between(20_000, 100_000), 'the operator on call revokes by hand', () => void operator());

  const steal = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    const seen = world.network.seen;
    if (seen.length > 0) {
      const { audience, envelope } = rng.pick(seen);
      const to = rng.chance(0.2) ? rng.pick(EXECUTORS).audience : audience;
      world.network.inject(to, tamper(envelope, seen.map((one) => one.envelope), rng));
    }
    scheduler.after(rng.between(2_000, 20_000), 'a thief tries', steal);
  };
  if (rng.chance(0.3)) scheduler.after(rng.between(5_000, 40_000), 'a thief tries', steal);
  if (rng.chance(0.3)) {
    world.network.setEavesdropper((audience, envelope) => {
      const seen = world.network.seen.map((one) => one.envelope);
      if (scheduler.nowMs() < untilMs && rng.chance(0.7)) world.network.inject(audience, tamper(envelope, seen, rng));
    });
  }
}

/** An envelope from the wire, as it was or with something changed. */
function tamper(envelope: StepEnvelope, others: readonly StepEnvelope[], rng: Rng): StepEnvelope {
  const plan = envelope.plan;
  switch (rng.between(0, 6)) {
    case 0:
      return plan === null ? envelope : { ...envelope, plan: { ...plan, steps: plan.steps.map((step) => ({ ...step, account: 'mallory' })) } };
    case 1:
      return plan?.lease == null ? envelope : { ...envelope, plan: { ...plan, lease: { ...plan.lease, leaseSeconds: 86_400 } } };
    case 2:
      return { ...envelope, approvals: [] };
    case 3:
      return { ...envelope, receipt: rng.pick(others).receipt };
    case 4:
      return { ...envelope, order: rng.pick(others).order };
    case 5:
      return { ...envelope, ticket: rng.pick(others).ticket };
    default:
      return envelope;
  }
}
