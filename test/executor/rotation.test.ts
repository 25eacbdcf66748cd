import { describe, expect, test } from 'vitest';
import { canonicalText } from '../../ledger/index.ts';
import type { Worker } from '../../src/executor/worker.ts';
import { payloadDigest } from '../../src/protocol/dsse.ts';
import type { StepAction } from '../../src/protocol/plan.ts';
import { formatTime, parseTime } from '../../src/protocol/values.ts';
import { makeStep, NEW, OLD, ROLE, TWIN_BEFORE, type Made } from '../support/envelopes.ts';
import { carriedOut, deliver, rotation, withOldLogin, type Rotation } from '../support/rotation.ts';
import { START_MS } from '../support/story.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

const bench = (): Bench => withOldLogin(createBench());
const STEPS = ['stage', 'cutover', 'retire'] as const;
/** Who gets in: the invariant of a rotation is that there is always somebody. */
const working = ({ target }: Bench): string[] => [OLD, NEW].filter((account) => target.works(account));

describe('a rotation with overlap', () => {
  test('makes the new login with a sealed secret, checks it, and shuts the old one out', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    const seen: string[][] = [];
    for (const action of STEPS) {
      expect(await carriedOut(one, worker, turn.step(action))).toBe('done');
      seen.push(working(one));
    }
    expect(seen).toEqual([[OLD, NEW], [OLD, NEW], [NEW]]);
    expect(one.target.effects).toEqual([`stage ${NEW}`, `cutover ${NEW}`, `retire ${OLD}`]);
    const [staged, cutover, retired] = one.of('acted');
    expect(staged).toMatchObject({ byUse: 'works', attempt: 1, seal: { replaces: null } });
    expect(cutover).toMatchObject({ byUse: 'notTried', attempt: 0, seal: null });
    expect(retired).toMatchObject({ byUse: 'notTried', attempt: 1, seal: null });
    expect([cutover!.before, cutover!.after, retired!.before, retired!.after]).not.toContain(null);
    const sealed = one.messages.flatMap(({ ciphertext }) => (ciphertext === null ? [] : [unsealed(ciphertext).secret]));
    expect(sealed).toEqual([one.target.accounts.get(NEW)!.secret]);
  });

  test('does nothing to the target at its cutover but look', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    await carriedOut(one, worker, turn.step('stage'));
    const book = one.disk.files.get('lease-book')!;
    const before = canonicalText([...one.target.accounts]);
    await carriedOut(one, worker, turn.step('cutover'));
    expect(canonicalText([...one.target.accounts])).toBe(before);
    expect(book.bytes.toString().match(/"t":"attempt"/g)).toHaveLength(1);
  });

  test('in place seals the new secret, and the old one is no more', async () => {
    const one = createBench();
    one.target.accounts.set(ROLE, { token: null, secret: 'of before', validUntil: null });
    const worker = await one.start();
    expect(await carriedOut(one, worker, makeStep({ action: 'replace' }))).toBe('done');
    const { secret } = one.target.accounts.get(ROLE)!;
    expect(one.of('acted')[0]).toMatchObject({ byUse: 'works' });
    expect(unsealed(one.messages.at(-1)!.ciphertext!).secret).toBe(secret);
    expect(secret).not.toBe('of before');
  });

  test('a shut-out needs neither secret nor lease', async () => {
    const one = createBench();
    one.target.accounts.set(ROLE, { token: null, secret: 'of before', validUntil: null });
    const worker = await one.start();
    expect(await carriedOut(one, worker, makeStep({ action: 'disable' }))).toBe('done');
    expect(one.target.works(ROLE)).toBe(false);
    expect(one.of('acted')[0]).toMatchObject({ seal: null, byUse: 'notTried' });
  });

  test('says whether open sessions are ended as the plan does', async () => {
    const asked: boolean[] = [];
    for (const retire of ['whenUnused', 'endSessions'] as const) {
      const one = withOldLogin(createBench({ wrap: (connector) => ({ ...connector, apply: (input) => {
        asked.push(input.endSessions);
        return connector.apply(input);
      } }) }));
      const worker = await one.start();
      const turn = rotation({ plan: (plan) => ({ ...plan, rotation: { ...plan.rotation!, retire } }) });
      for (const action of STEPS) await carriedOut(one, worker, turn.step(action));
    }
    expect(asked).toEqual([false, false, false, true, true, true]);
  });
});

describe('the order of steps is the executor\'s own to keep', () => {
  test.each([
    ['cutover', [], 'cutover'], ['retire', [], 'retire'], ['retire before cutover', ['stage'], 'retire'],
  ] as const)('%s is refused while what comes before it is not done here', async (_what, first, action) => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    for (const earlier of first) await carriedOut(one, worker, turn.step(earlier));
    expect(await carriedOut(one, worker, turn.step(action))).toBe('refused wrong-step');
    expect(one.target.effects).toEqual(first.map(() => `stage ${NEW}`));
    expect(working(one)).toContain(OLD);
    expect(one.of('acted').at(-1)!.detail).toMatch(/^step 1|^step 2/);
  });

  test('a step that was refused out of turn is done when its turn comes, under another issue', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    expect(await carriedOut(one, worker, turn.step('cutover'))).toBe('refused wrong-step');
    await carriedOut(one, worker, turn.step('stage'));
    expect(await carriedOut(one, worker, turn.step('cutover', { issue: 2 }))).toBe('done');
  });

  test('a step that failed is not done, and nothing follows it', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    await carriedOut(one, worker, turn.step('stage'));
    one.target.accounts.delete(NEW);
    expect(await carriedOut(one, worker, turn.step('cutover'))).toBe('failed target-rejected');
    expect(await carriedOut(one, worker, turn.step('retire'))).toBe('refused wrong-step');
    expect(working(one)).toEqual([OLD]);
  });

  test('a retire that failed changed nothing, and is done under another issue', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    for (const action of ['stage', 'cutover'] as const) await carriedOut(one, worker, turn.step(action));
    one.target.will('apply', 'rejected');
    expect(await carriedOut(one, worker, turn.step('retire'))).toBe('failed target-rejected');
    expect(working(one)).toEqual([OLD, NEW]);
    expect(await carriedOut(one, worker, turn.step('retire', { issue: 2 }))).toBe('done');
    expect(working(one)).toEqual([NEW]);
  });

  test('a step still under way is not done', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    one.target.will('apply', 'hangs');
    const stage = turn.step('stage');
    await deliver(worker, stage);
    expect(await carriedOut(one, worker, turn.step('cutover'))).toBe('refused wrong-step');
  });

  test('steps of another plan of the same change and revision do not count', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    const other = { plan: (plan: Made['plan']): Made['plan'] => ({ ...plan, salt: 'B'.repeat(22) }) };
    await carriedOut(one, worker, turn.step('stage', other));
    await carriedOut(one, worker, turn.step('cutover', other));
    expect(await carriedOut(one, worker, turn.step('retire'))).toBe('refused wrong-step');
    expect(working(one)).toEqual([OLD, NEW]);
  });

  test('nor does the book of an executor that has lost it', async () => {
    const one = bench();
    let worker = await one.start();
    const turn = rotation();
    await carriedOut(one, worker, turn.step('stage'));
    one.kill();
    one.disk.files.clear();
    worker = await one.start();
    expect(await carriedOut(one, worker, turn.step('cutover'))).toBe('refused wrong-step');
  });

  test('goes on under the approvals that it was begun with', async () => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation({ statements: (statement) => [{ ...statement, expiresAt: formatTime(START_MS + 60_000) }] });
    await carriedOut(one, worker, turn.step('stage'));
    await one.clock.advance(120_000);
    expect(await carriedOut(one, worker, turn.step('cutover', { nowMs: one.clock.nowMs }))).toBe('done');
  });
});

describe('a target that has changed since the plan was made', () => {
  const KEYS = { stage: ['role', 'current', 'next'], cutover: ['role', 'current'], retire: ['role', 'current', 'currentCanLogin'] } as const;
  const cases = STEPS.flatMap((action) => KEYS[action].map((key) => ({ action, key })));
  test.each(cases)('is drifted when the $key read before the $action is another', async ({ action, key }) => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    for (const earlier of STEPS.slice(0, STEPS.indexOf(action))) await carriedOut(one, worker, turn.step(earlier));
    one.target.drift[key] = 'somebody else';
    const before = [...one.target.effects];
    expect(await carriedOut(one, worker, turn.step(action))).toBe('drifted drifted');
    expect(one.target.effects).toEqual(before);
  });
  test.each([['an attribute that the plan does not know', { surprise: 1 }], ['nothing at all', {}]])('is drifted when the read tells of %s', async (_what, touched) => {
    const one = withOldLogin(createBench({ wrap: (connector) => ({
      ...connector, read: async (query, signal) => ({ ...(await connector.read(query, signal)), touched: 'surprise' in touched ? { current: TWIN_BEFORE.current, ...touched } : {} }),
    }) }));
    const worker = await one.start();
    expect(await carriedOut(one, worker, rotation().step('stage'))).toBe('drifted drifted');
    expect(one.target.effects).toEqual([]);
  });
  test('is not drifted by what is only seen beside', async () => {
    const one = withOldLogin(createBench({ wrap: (connector) => ({
      ...connector, read: async (query, signal) => ({ ...(await connector.read(query, signal)), seen: { sessions: { [OLD]: one.clock.nowMs } } }),
    }) }));
    const worker = await one.start();
    expect(await carriedOut(one, worker, rotation().step('stage'))).toBe('done');
    expect(one.messages.at(-1)!.objects[0]).toContain('"seen":{"sessions"');
  });
});

describe('what a step waits for', () => {
  const waitingFor = async (action: StepAction): Promise<{ one: Bench; worker: Worker; made: Made; turn: Rotation }> => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    for (const earlier of STEPS.slice(0, STEPS.indexOf(action as 'retire'))) await carriedOut(one, worker, turn.step(earlier));
    one.target.sessions.set(OLD, 2);
    const made = turn.step(action);
    await deliver(worker, made);
    return { one, worker, made, turn };
  };
  test.each(['cutover', 'retire'] as const)('is waited for while the ticket of a %s is good', async (action) => {
    const { one, made } = await waitingFor(action);
    await one.clock.advance(120_000);
    expect(one.of('acted').filter(({ stepId }) => stepId === made.ticket.stepId)).toEqual([]);
    one.target.sessions.clear();
    await one.clock.until(() => one.of('acted').at(-1)?.stepId === made.ticket.stepId);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'done' });
  });
  test.each(['cutover', 'retire'] as const)('and not come by the end of it refuses a %s, saying what it was, and another issue goes on', async (action) => {
    const { one, made, turn } = await waitingFor(action);
    await one.clock.until(() => one.of('acted').at(-1)?.stepId === made.ticket.stepId);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'refused', code: 'not-yet', detail: `2 sessions of ${OLD}` });
    expect(one.clock.nowMs).toBe(parseTime(made.ticket.notAfter) + 1_000);
    expect(working(one)).toEqual([OLD, NEW]);
    one.kill();
    const worker = await one.start();
    one.target.sessions.clear();
    expect(await carriedOut(one, worker, turn.step(action, { issue: 2, nowMs: one.clock.nowMs }))).toBe('done');
  });
  test('leaves no attempt open: whoever opens the book meanwhile has nothing to look for', async () => {
    const { one } = await waitingFor('retire');
    await one.clock.advance(60_000);
    one.kill();
    const probes = (): number => one.target.calls.filter((call) => call === 'probe').length;
    await one.start();
    await one.clock.advance(60_000);
    expect(probes()).toBe(0);
  });
  test('keeps nobody else from the target', async () => {
    const { one, made, worker } = await waitingFor('retire');
    await one.clock.advance(20_000);
    expect(await carriedOut(one, worker, makeStep({ log: made.log, nowMs: one.clock.nowMs }))).toBe('done');
    expect(one.clock.nowMs).toBeLessThan(START_MS + 30_000);
    expect(working(one)).toEqual([OLD, NEW]);
  });
  test('is no longer what the refusal says once the target is away', async () => {
    const { one, made } = await waitingFor('retire');
    await one.clock.advance(60_000);
    one.target.always('read', 'unreachable');
    await one.clock.until(() => one.of('acted').at(-1)?.stepId === made.ticket.stepId);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'refused', code: 'outside-window' });
  });
});

describe('an order for the staged login', () => {
  const upTo = async (done: readonly StepAction[]): Promise<{ one: Bench; turn: Rotation }> => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    for (const action of done) await carriedOut(one, worker, turn.step(action));
    return { one, turn };
  };
  const restarted = async (one: Bench): Promise<Worker> => {
    one.kill();
    return one.start();
  };
  test.each(['early', 'compensation'] as const)('(%s) shuts it out and leaves the old login as it is', async (cause) => {
    const { one, turn } = await upTo(['stage', 'cutover']);
    const old = one.target.accounts.get(OLD);
    const worker = await restarted(one);
    const order = turn.order(cause, one.clock.nowMs);
    await worker.revoke(order);
    await one.clock.settle();
    expect(working(one)).toEqual([OLD]);
    expect(one.target.accounts.get(OLD)).toEqual(old);
    expect(one.of('revoked')).toEqual([expect.objectContaining({ outcome: 'done', order: payloadDigest(order) })]);
    // Read as the step reads it, the login beside it included.
    expect(one.messages.at(-1)!.objects).toEqual([expect.stringContaining(`"current":"id-${OLD}"`)]);
  });
  test.each([[['stage'], 'cutover'], [['stage', 'cutover'], 'retire']] as const)('after %j fences what follows it: the %s is refused, also by the next process', async (done, next) => {
    const { one, turn } = await upTo(done);
    let worker = await restarted(one);
    await worker.revoke(turn.order('early', one.clock.nowMs));
    await one.clock.settle();
    expect(await carriedOut(one, worker, turn.step(next))).toBe('refused lease-ended');
    worker = await restarted(one);
    expect(await carriedOut(one, worker, turn.step(next, { issue: 2, nowMs: one.clock.nowMs }))).toBe('refused lease-ended');
    expect(working(one)).toEqual([OLD]);
  });
  test('that was carried out fences though the clock goes back to before it', async () => {
    const { one, turn } = await upTo(['stage', 'cutover']);
    const worker = await restarted(one);
    await worker.revoke(turn.order('early', one.clock.nowMs));
    await one.clock.settle();
    one.clock.jump(-60_000);
    expect(await carriedOut(one, worker, turn.step('retire', { nowMs: one.clock.nowMs }))).toBe('refused lease-ended');
    expect(working(one)).toEqual([OLD]);
  });
  test('that is due and cannot be carried out fences as well', async () => {
    const { one, turn } = await upTo(['stage', 'cutover']);
    const worker = await restarted(one);
    one.target.always('revoke', 'unreachable');
    await worker.revoke(turn.order('early', one.clock.nowMs));
    await one.clock.advance(5_000);
    expect(await carriedOut(one, worker, turn.step('retire'))).toBe('refused lease-ended');
    expect(working(one)).toContain(OLD);
  });
  test.each(['cutover', 'retire'] as const)('ends a %s that waits', async (action) => {
    const { one, turn } = await upTo(STEPS.slice(0, STEPS.indexOf(action)));
    const worker = await restarted(one);
    one.target.sessions.set(OLD, 1);
    await deliver(worker, turn.step(action));
    await one.clock.advance(2_000);
    await worker.revoke(turn.order('early', one.clock.nowMs));
    one.target.sessions.clear();
    await one.clock.advance(60_000);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'refused', code: 'lease-ended' });
    expect(working(one)).toEqual([OLD]);
  });
  test.each(['hangs', 'hangsDone', 'late', 'lostAfter'] as const)('while the stage %s leaves only the old login', async (fate) => {
    const one = bench();
    const worker = await one.start();
    const turn = rotation();
    one.target.will('apply', fate);
    one.target.always('probe', 'unreachable');
    await deliver(worker, turn.step('stage'));
    await one.clock.advance(1_000);
    await worker.revoke(turn.order('compensation', one.clock.nowMs));
    await one.clock.advance(120_000);
    expect(working(one)).toEqual([OLD]);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'failed', code: 'lease-ended' });
    expect(one.of('revoked').at(-1)!.outcome).toMatch(/^(done|already-absent)$/);
    expect(await carriedOut(one, worker, turn.step('cutover', { nowMs: one.clock.nowMs }))).toBe('refused lease-ended');
  });
  test('that nobody in person gave is not carried out once the old login may be shut out: it is said, and left to people', async () => {
    const { one, turn } = await upTo(STEPS);
    const worker = await restarted(one);
    await worker.revoke(turn.order('compensation', one.clock.nowMs));
    await one.clock.advance(180_000);
    expect(working(one)).toEqual([NEW]);
    expect(one.of('revoked')).toEqual([expect.objectContaining({ outcome: 'failed', code: 'none-would-be-left' })]);
    await worker.revoke(turn.order('early', one.clock.nowMs));
    await one.clock.settle();
    expect(working(one)).toEqual([]);
    expect(one.of('revoked').at(-1)).toMatchObject({ outcome: 'done' });
    expect(one.target.effects.slice(STEPS.length)).toEqual([`revoke ${NEW}`]);
  });
  test('by a person waits for no retire: what is on its way there is not what it takes back', async () => {
    const { one, turn } = await upTo(['stage', 'cutover']);
    const worker = await restarted(one);
    one.target.will('apply', 'hangs');
    await deliver(worker, turn.step('retire'));
    await one.clock.advance(1_000);
    await worker.revoke(turn.order('early', one.clock.nowMs));
    await one.clock.settle();
    expect(one.of('revoked')).toEqual([expect.objectContaining({ outcome: 'done' })]);
    await one.clock.advance(120_000);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: 'refused', code: 'lease-ended' });
    expect(working(one)).toEqual([OLD]);
  });
  test('that comes while the cutover looks is not passed over by what it saw', async () => {
    const running: { worker: Worker | null } = { worker: null };
    const turn = rotation();
    const one = withOldLogin(createBench({ wrap: (connector) => ({ ...connector, apply: async (input) => {
      await connector.apply(input);
      if (input.step.action === 'cutover') await running.worker!.revoke(turn.order('compensation', START_MS));
    } }) }));
    const worker = await one.start();
    running.worker = worker;
    expect(await carriedOut(one, worker, turn.step('stage'))).toBe('done');
    expect(await carriedOut(one, worker, turn.step('cutover'))).toBe('refused lease-ended');
    expect(working(one)).toEqual([OLD]);
  });
  test.each(['hangs', 'hangsDone', 'late', 'lostAfter', 'lostBefore'] as const)('that comes by itself while the retire %s leaves exactly one of them', async (fate) => {
    const { one, turn } = await upTo(['stage', 'cutover']);
    const worker = await restarted(one);
    one.target.will('apply', fate);
    await deliver(worker, turn.step('retire'));
    await one.clock.advance(1_000);
    await worker.revoke(turn.order('compensation', one.clock.nowMs));
    await one.clock.advance(300_000);
    expect(working(one)).toEqual([fate === 'hangs' || fate === 'lostBefore' ? OLD : NEW]);
    expect(one.of('acted').at(-1)).toMatchObject({ outcome: fate === 'hangs' || fate === 'lostBefore' ? 'refused' : 'done' });
  });
});
