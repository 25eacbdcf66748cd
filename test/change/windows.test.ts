import { describe, expect, it } from 'vitest';
import { nextWork } from '../../src/change/work.ts';
import type { PlanWindow } from '../../src/protocol/plan.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { CALLED, decision, expectOk, GRANT, ROTATE, SIDECAR, SINGLE, Story, T0, TWINS } from './story.ts';

const LIMITS = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const work = (story: Story) => nextWork(story.now, story.nowMs, LIMITS);
const OPENS = T0 + 3_600_000;
const CLOSES = T0 + 7_200_000;
const windowOf = (onMissed: PlanWindow['onMissed']): PlanWindow => ({ calendar: 'nightly', opensAt: formatTime(OPENS), closesAt: formatTime(CLOSES), onMissed, consumers: ['orders-api'] });

function inWindow(onMissed: PlanWindow['onMissed'] = 'expire', request = GRANT): Story {
  const story = new Story();
  story.window = windowOf(onMissed);
  return request === GRANT ? story.allowed(GRANT) : story.allowed(request, TWINS);
}

describe('a change with a planned window', () => {
  it('waits for it, tells that it opens, and only then is dispatched', () => {
    const story = inWindow();
    expect(work(story)).toEqual({ work: null, wakeAtMs: OPENS });
    story.nowMs = OPENS;
    expect(work(story).work).toEqual({ do: 'openWindow' });
    story.must({ type: 'openWindow', by: SIDECAR });
    expect(work(story)).toEqual({ work: { do: 'dispatch' }, wakeAtMs: CLOSES });
  });

  it('gets no ticket before it opens, nor one that reaches beyond its end', () => {
    const story = inWindow();
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expect(story.authorise()).toMatchObject({ ok: false, code: 'not-expected' });
    story.nowMs = CLOSES - 60_000;
    story.must({ type: 'openWindow', by: SIDECAR });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expect(story.now.act?.notAfterMs).toBe(CLOSES);
  });

  it('is never run late: it expires when it is missed', () => {
    const story = inWindow();
    story.nowMs = CLOSES;
    expect(work(story).work).toEqual({ do: 'missWindow' });
    story.must({ type: 'missWindow', by: SIDECAR });
    expect(story.now.name).toBe('expired');
  });

  it('is planned anew when it is missed, if that was asked: a new revision, and every approval is void', () => {
    const story = new Story();
    story.window = windowOf('replan');
    story.requested().read();
    expectOk(story.decided(decision('needsApproval', 'person:wei')));
    expectOk(story.approve('person:wei'));
    story.nowMs = CLOSES;
    expect(story.must({ type: 'missWindow', by: SIDECAR })).toMatchObject([{ type: 'change.revised', body: { revision: 2, cause: 'windowMissed' } }]);
    expect(story.now).toMatchObject({ name: 'requested', revision: 2, approvals: [], window: 'none' });
  });

  it('is not missed before it has closed', () => {
    const story = inWindow();
    story.nowMs = CLOSES - 1;
    expect(story.try({ type: 'missWindow', by: SIDECAR })).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('is missed once the records are past it, though the clock was set back into it: nothing would be authorised in it', () => {
    const story = inWindow();
    const inItMs = OPENS + 1;
    expect(nextWork(story.now, inItMs, LIMITS, CLOSES).work).toEqual({ do: 'missWindow' });
    story.nowMs = inItMs;
    story.must({ type: 'openWindow', by: SIDECAR });
    expect(nextWork(story.now, inItMs, LIMITS, CLOSES).work).toEqual({ do: 'closeWindow' });
    story.nowMs = CLOSES + 1;
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expect(story.authorise(inItMs)).toMatchObject({ ok: false, code: 'not-expected', message: expect.stringContaining('planned window') as string });
  });

  it('closes what it opened, once nothing needs it any more', () => {
    const story = inWindow();
    story.nowMs = OPENS;
    story.must({ type: 'openWindow', by: SIDECAR });
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null });
    expect(story.now).toMatchObject({ name: 'withdrawn', window: 'closed' });
  });

  it('closes at its end whatever is still going on', () => {
    const story = inWindow();
    story.nowMs = OPENS;
    story.must({ type: 'openWindow', by: SIDECAR });
    story.nowMs = CLOSES;
    expect(work(story).work).toEqual({ do: 'closeWindow' });
    story.must({ type: 'closeWindow', by: SIDECAR });
    expect(story.events.at(-1)).toMatchObject({ type: 'window.closed', body: { cause: 'over' } });
    expect(work(story).work).toEqual({ do: 'missWindow' });
  });

  it('that is half a rotation when it closes is undone', () => {
    const story = inWindow('replan', ROTATE);
    story.nowMs = OPENS;
    story.must({ type: 'openWindow', by: SIDECAR });
    story.stepDone();
    expect(story.now.name).toBe('staged');
    story.nowMs = CLOSES;
    story.must({ type: 'closeWindow', by: SIDECAR });
    expect(work(story).work).toEqual({ do: 'compensate' });
    // By the records, too, where the clock was set back into it.
    expect(nextWork(story.now, OPENS + 1, LIMITS, CLOSES).work).toEqual({ do: 'compensate' });
  });

  it('that closes on the cutover, when a consumer has moved over, leaves both logins and is a finding in its time', () => {
    const story = new Story();
    story.window = windowOf('expire');
    story.consumers = ['orders-api'];
    story.nowMs = CLOSES - 60_000;
    const seal = { recipient: `age1${'q'.repeat(58)}`, ciphertext: `sha256:${'a'.repeat(64)}`, fingerprint: 'b'.repeat(64), replaces: null };
    story.allowed(ROTATE, TWINS).stepDone(seal);
    story.must({ type: 'acknowledgeDelivery', by: 'nhi:prod/ci-deployer', ciphertext: seal.ciphertext });
    story.must({ type: 'confirmConsumer', by: 'nhi:prod/orders-api', consumer: 'orders-api' });
    const setBack = () => nextWork(story.now, CLOSES - 30_000, LIMITS, CLOSES);
    expect(setBack()).toEqual({ work: null, wakeAtMs: expect.any(Number) as number });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expectOk(story.acted('refused', 'not-yet'));
    expect(setBack().work).toBeNull();
    story.nowMs = CLOSES;
    const { work: due, wakeAtMs } = work(story);
    expect(due).toBeNull();
    expect(wakeAtMs).toBeGreaterThan(CLOSES);
    story.nowMs = wakeAtMs!;
    expect(work(story).work).toEqual({ do: 'stalled' });
    story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'the old one is in use', owner: 'person:wei' });
    expect(work(story)).toEqual({ work: null, wakeAtMs: null });
  });

  it('has a grace of half its window at most: one that outlasts it could only ever be undone', () => {
    const story = inWindow('expire', { ...ROTATE, grace: 'P1D' } as typeof ROTATE);
    expect(story.now.plan?.rotation?.graceSeconds).toBe((CLOSES - OPENS) / 2_000);
  });

  it('gives a caller its ticket only while its code has time before the window closes', () => {
    const story = new Story();
    story.window = windowOf('expire');
    story.allowed(CALLED, SINGLE);
    story.nowMs = CLOSES - 119_000;
    expect(work(story).work).toEqual({ do: 'missWindow' });
    story.nowMs = CLOSES - 121_000;
    story.must({ type: 'openWindow', by: SIDECAR });
    expectOk(story.decided(decision('allow'), 'dispatch'));
    expectOk(story.authorise());
    expect(story.now.act?.notAfterMs).toBe(CLOSES - 120_000);
  });
});

describe('a freeze', () => {
  it('holds a change until it ends, and policy is asked again then', () => {
    const story = new Story().allowed(GRANT);
    const held = decision('allow');
    const until = T0 + 86_400_000;
    expectOk(story.decided({ ...held, obligations: { ...held.obligations, notBefore: formatTime(until) } }, 'dispatch'));
    expect(story.authorise()).toMatchObject({ ok: false, code: 'stale-decision' });
    expect(work(story)).toEqual({ work: null, wakeAtMs: until });
    story.nowMs = until;
    expect(work(story).work).toEqual({ do: 'dispatch' });
  });
});
