import { describe, expect, it } from 'vitest';
import { nextWork, occupiesTarget } from '../../src/change/work.ts';
import type { Seal } from '../../src/protocol/signed.ts';
import { changeRequestSchema } from '../../src/protocol/request.ts';
import { decision, EXECUTOR, expectOk, ROTATE, SIDECAR, SINGLE, Story, T0, TWINS } from './story.ts';

const LIMITS = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const work = (story: Story) => nextWork(story.now, story.nowMs, LIMITS);
const SEAL: Seal = { recipient: `age1${'q'.repeat(58)}`, ciphertext: `sha256:${'a'.repeat(64)}`, fingerprint: 'b'.repeat(64), replaces: null };

/** A rotation whose new login is there and whose secret waits to be fetched. */
function stagedRotation(consumers: readonly string[] = ['orders-api']): Story {
  const story = new Story();
  story.consumers = consumers;
  return story.allowed(ROTATE, TWINS).stepDone(SEAL);
}

function fetched(story: Story): Story {
  story.must({ type: 'acknowledgeDelivery', by: 'nhi:prod/ci-deployer', ciphertext: SEAL.ciphertext });
  return story;
}

/** … and that has switched over. */
function cutOver(): Story {
  const story = fetched(stagedRotation());
  story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
  return story.stepDone();
}

describe('a rotation with an overlap', () => {
  it('is planned as stage, cutover and retire, each about the login that it touches', () => {
    const story = new Story().allowed(ROTATE, TWINS);
    expect(story.now.plan?.steps.map(({ action, account, other }) => [action, account, other])).toEqual([
      ['stage', 'orders_b', 'orders_a'], ['cutover', 'orders_b', 'orders_a'], ['retire', 'orders_a', 'orders_b'],
    ]);
  });

  it('does not go on before its secret was fetched, whatever the time', () => {
    const story = stagedRotation();
    story.nowMs += 3_600_000;
    expect(story.now.name).toBe('staged');
    expect(work(story).work).toBeNull();
  });

  it('goes on once every consumer has confirmed', () => {
    const story = fetched(stagedRotation(['orders-api', 'orders-worker']));
    story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
    expect(work(story)).toEqual({ work: null, wakeAtMs: T0 + 600_000 });
    story.must({ type: 'confirmConsumer', by: 'person:wei', consumer: 'orders-worker' });
    expect(work(story).work).toEqual({ do: 'dispatch' });
  });

  it('goes on without consumers that never confirm once its grace is over, and not before', () => {
    const story = fetched(stagedRotation());
    story.nowMs = T0 + 599_999;
    expect(work(story).work).toBeNull();
    story.nowMs = T0 + 600_000;
    expect(work(story).work).toEqual({ do: 'dispatch' });
  });

  it('takes a confirmation from nobody it does not wait for, and only once there is something to confirm', () => {
    const early = new Story();
    early.consumers = ['orders-api'];
    early.allowed(ROTATE, TWINS);
    expect(early.try({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' })).toMatchObject({ ok: false, code: 'not-expected' });
    expect(stagedRotation().try({ type: 'confirmConsumer', by: 'person:wei', consumer: 'someone-else' })).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('keeps its target to itself until it has switched over', () => {
    expect(occupiesTarget(stagedRotation().now)).toBe(true);
    const story = cutOver();
    // What is left only takes away, and keeps nobody waiting.
    expect(occupiesTarget(story.now)).toBe(false);
    story.stepDone();
    expect(story.now.name).toBe('done');
    expect(story.now.finished.map(({ stepId }) => stepId.slice(-1))).toEqual(['1', '2', '3']);
  });

  it('authorises no step but the one that is due', () => {
    const story = stagedRotation();
    expectOk(story.decided(decision('allow'), 'dispatch'));
    const ahead = { ...story.now, finished: [...story.now.finished, story.now.finished[0]!] };
    const behind = story.now;
    story.state = ahead;
    const retire = story.authorise();
    expect(retire.ok).toBe(true);
    story.state = behind;
    const events = retire.ok ? retire.events : [];
    const body = events[0]?.type === 'step.authorised' && events[0].body.kind === 'act' ? events[0].body : null;
    expect(story.try({ type: 'authoriseAct', by: SIDECAR, ticket: body!.ticket, order: null })).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('that comes to nothing before anybody moved over takes the new login back, and fails', () => {
    const story = fetched(stagedRotation());
    story.nowMs = T0 + 600_000;
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('failed', 'target-rejected'));
    expect(story.now.name).toBe('revoking');
    expect(work(story).work).toEqual({ do: 'compensate' });
    const order = story.order('early', story.nowMs);
    story.must({ type: 'orderRevoke', by: SIDECAR, order, comment: null });
    expectOk(story.revoked('done', order));
    expect(story.now.name).toBe('failed');
  });

  it('undoes nothing by itself once a consumer has moved over: who did as told must not be cut off', () => {
    const story = fetched(stagedRotation(['orders-api', 'orders-worker']));
    story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
    story.nowMs = T0 + 600_000;
    expectOk(story.decided(decision('deny'), 'dispatch'));
    expect(story.now).toMatchObject({ name: 'staged', revokes: [] });
    expect(work(story)).toEqual({ work: null, wakeAtMs: T0 + 1_200_000 });
    story.nowMs = T0 + 1_200_000;
    expect(work(story).work).toEqual({ do: 'stalled' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'not yet', owner: 'person:wei' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('failed', 'target-rejected'));
    expect(story.now.name).toBe('authorised');
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: 'by a person who knows' });
    expect(work(story).work).toEqual({ do: 'compensate' });
  });

  it('that policy does not let go on is asked about ever more slowly, and again at the old pace once it was let', () => {
    const story = cutOver();
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'denied', owner: 'person:wei' });
    const waitMinutes = (): number => {
      expectOk(story.decided(decision('deny'), 'dispatch'));
      const { work: due, wakeAtMs } = work(story);
      expect(due).toBeNull();
      const waitMs = wakeAtMs! - story.nowMs;
      story.nowMs = wakeAtMs!;
      expect(work(story).work).toEqual({ do: 'dispatch' });
      return waitMs / 60_000;
    };
    expect(Array.from({ length: 8 }, waitMinutes)).toEqual([10, 20, 40, 80, 160, 320, 360, 360]);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expect(waitMinutes()).toBe(10);
  });

  it('whose secret nobody fetches is undone', () => {
    const story = stagedRotation();
    story.nowMs += LIMITS.deliveryMs;
    expect(work(story).work).toEqual({ do: 'giveUpDelivery' });
    story.must({ type: 'giveUpDelivery', by: SIDECAR, reason: 'nobody fetched it' });
    expect(work(story).work).toEqual({ do: 'compensate' });
  });

  it('can be withdrawn before its cutover, and is undone then', () => {
    const story = stagedRotation();
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null });
    expect(story.now.name).toBe('withdrawing');
    expect(work(story).work).toEqual({ do: 'compensate' });
  });

  it('goes only forward from its cutover on: it is neither withdrawn nor undone, and what fails is tried again', () => {
    const story = cutOver();
    expect(story.try({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null })).toMatchObject({ ok: false, code: 'too-late' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('failed', 'target-rejected'));
    expect(story.now.name).toBe('authorised');
    expect(work(story).work).toEqual({ do: 'dispatch' });
    expectOk(story.decided(decision('deny'), 'dispatch'));
    expect(story.now.name).toBe('authorised');
    const compensation = story.order('early', story.nowMs);
    expect(story.try({ type: 'orderRevoke', by: SIDECAR, order: compensation, comment: null }).ok).toBe(true);
  });

  it('that cannot take over, because the old login stays in use, is somebody’s to look at, and is tried on', () => {
    const story = fetched(stagedRotation());
    story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('refused', 'not-yet'));
    story.nowMs = T0 + 600_000 + LIMITS.stalledAfterMs - 1;
    expect(work(story).work).toEqual({ do: 'dispatch' });
    story.nowMs += 1;
    expect(work(story).work).toEqual({ do: 'stalled' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'still in use', owner: 'person:wei' });
    expect(work(story).work).toEqual({ do: 'dispatch' });
  });

  it('that is ready to take over and held up for long is somebody’s to look at', () => {
    const story = fetched(stagedRotation());
    story.nowMs = T0 + 600_000 + LIMITS.stalledAfterMs - 1;
    expect(work(story).work).toEqual({ do: 'dispatch' });
    story.nowMs += 1;
    expect(work(story).work).toEqual({ do: 'stalled' });
  });

  it('is never rolled back by the sidecar once it has switched over', () => {
    const story = cutOver();
    const order = story.compensation();
    expect(story.try({ type: 'orderRevoke', by: SIDECAR, order, comment: null })).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('that does not get rid of the old credential becomes a finding, and goes on', () => {
    const story = cutOver();
    story.nowMs = T0 + 600_000 + LIMITS.stalledAfterMs;
    expect(work(story).work).toEqual({ do: 'stalled' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'still there', owner: 'person:wei' });
    expect(work(story).work).toEqual({ do: 'dispatch' });
    story.stepDone();
    expect(story.now.findings.size).toBe(0);
  });

  it('that is stalled can be given up: both credentials stand, on record, and the target is free again', () => {
    const story = cutOver();
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'still there', owner: 'person:wei' });
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: 'the executor lost its disk' });
    expect(story.now).toMatchObject({ name: 'withdrawn', revokes: [] });
    expect(occupiesTarget(story.now)).toBe(false);
    expect(work(story).work).toBeNull();
  });

  it('goes on under the approvals of its first step, though they have run out since', () => {
    const story = new Story();
    story.before = TWINS;
    story.requested(ROTATE).read();
    expectOk(story.decided(decision('needsApproval', 'person:wei')));
    expectOk(story.approve('person:wei'));
    const next = (): void => {
      expectOk(story.decided(decision('needsApproval', 'person:wei'), 'dispatch'));
      expectOk(story.authorise());
      expectOk(story.acted('done', null, story.now.delivery === null ? SEAL : null));
      expectOk(story.verified());
    };
    next();
    fetched(story);
    story.nowMs += 7_200_000;
    next();
    next();
    expect(story.now.name).toBe('done');
  });
});

describe('a rotation whose secret its executor keeps in a sink', () => {
  const kept = { ...SEAL, recipient: 'kv:app-kv/orders' };
  const request = { ...ROTATE, recipient: kept.recipient } as typeof ROTATE;

  it('has it delivered by that, and waits for its consumers alone', () => {
    expect(changeRequestSchema.safeParse(request).success).toBe(true);
    const story = new Story();
    story.consumers = ['orders-api'];
    story.allowed(request, TWINS).stepDone(kept);
    expect(story.now).toMatchObject({ name: 'staged', delivery: { status: 'acknowledged' } });
    expect(story.events.find(({ type }) => type === 'delivery.acknowledged')).toMatchObject({ actor: EXECUTOR });
    expect(work(story)).toEqual({ work: null, wakeAtMs: T0 + 600_000 });
    story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
    expect(work(story).work).toEqual({ do: 'dispatch' });
  });

  it.each([[TWINS, 'sealed'], [SINGLE, 'acknowledged']] as const)('is delivered, though it failed at its first use, only where nothing brings the old one back', (before, status) => {
    const story = new Story().allowed(request, before);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('done', null, kept, 'fails'));
    expect(story.now.delivery?.status).toBe(status);
  });
});

describe('a rotation without an overlap', () => {
  it('whose secret nobody fetches has nothing to undo: it is its owner’s to look at, once, and nothing is done again and again', () => {
    const story = new Story().allowed(ROTATE, SINGLE);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('done', null, SEAL));
    expectOk(story.verified());
    story.nowMs += LIMITS.deliveryMs;
    expect(work(story).work).toEqual({ do: 'unfetched' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'step-stuck', message: 'not fetched', owner: 'person:wei' });
    expect(work(story)).toEqual({ work: null, wakeAtMs: null });
    expect(story.now.delivery?.status).toBe('sealed');
  });

  it('that policy refuses afterwards has failed, its effect standing, and keeps nobody waiting', () => {
    const story = new Story().allowed(ROTATE, SINGLE);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('done', null, SEAL));
    expectOk(story.verified('deny'));
    expect(work(story).work).toEqual({ do: 'compensate' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'verification-failed', message: 'look', owner: 'person:wei' });
    expect(story.now.name).toBe('failed');
    expect(occupiesTarget(story.now)).toBe(false);
  });

  it('is one step, and once it is on its way nothing would undo it', () => {
    const story = new Story().allowed(ROTATE, SINGLE);
    expect(story.now.plan?.steps.map(({ action }) => action)).toEqual(['replace']);
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expect(story.try({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null })).toMatchObject({ ok: false, code: 'too-late' });
    expectOk(story.acted('done', null, SEAL));
    expectOk(story.verified());
    expect(story.now.name).toBe('done');
  });
});

it('a target that cannot say how it rotates gives no plan', () => {
  const story = new Story();
  story.before = { ...TWINS, touched: { overlap: 'twin', currentName: 'orders_a' } };
  story.requested(ROTATE).read();
  expect(story.decided(decision('allow'))).toMatchObject({ ok: false, code: 'not-expected' });
});
