import { describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Worker } from '../../src/executor/worker.ts';
import type { StepAction } from '../../src/protocol/plan.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { logIdOf } from '../../ledger/index.ts';
import { forger, makeStep, someLog, type Made } from '../support/envelopes.ts';
import { freshLockId, signedLock } from '../support/locks.ts';
import { EXECUTOR, keys, sign, START_MS } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const NHI = 'nhi:prod/deployer';

/** What becomes of a step that is sent now. */
async function outcomeOf(bench: Bench, worker: Worker, made: Made = makeStep()): Promise<string> {
  expect(await worker.step(made.envelope)).toEqual({ accepted: true });
  const mine = (): readonly string[] => bench.of('acted').filter(({ changeId }) => changeId === made.plan.changeId).map(({ outcome, code }) => code ?? outcome);
  await bench.clock.until(() => mine().length > 0);
  return mine().at(-1)!;
}

describe('a lock', () => {
  test.each<[string, Dsse]>([
    ['of everybody at the connector', signedLock()],
    ['of the identity', signedLock({ nhi: NHI, connector: null })],
    ['of the identity at the connector', signedLock({ nhi: NHI })],
    ['of a revoker', signedLock({}, keys.revoker)],
  ])('%s: nothing is given there, and that is said, signed', async (_what, lock) => {
    const bench = createBench();
    const worker = await bench.start();
    await worker.lock(lock);
    expect(await outcomeOf(bench, worker)).toBe('locked');
    expect([bench.target.accounts.size, bench.target.calls]).toEqual([0, []]);
  });

  test.each<[string, Dsse]>([
    ['of another identity', signedLock({ nhi: 'nhi:prod/other', connector: null })],
    ['of another connector', signedLock({ connector: 'pg-other' })],
    ['of the identity elsewhere', signedLock({ nhi: NHI, connector: 'pg-other' })],
  ])('%s keeps nothing from being given here', async (_what, lock) => {
    const bench = createBench();
    const worker = await bench.start();
    await worker.lock(lock);
    expect(await outcomeOf(bench, worker)).toBe('done');
  });

  test.each<StepAction>(['revoke', 'disable'])('holds up nothing that takes away: %s', async (action) => {
    const bench = createBench();
    const worker = await bench.start();
    await worker.lock(signedLock());
    expect(await outcomeOf(bench, worker, makeStep({ action }))).not.toBe('locked');
  });

  test('holds up no order to take back', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    expect(await outcomeOf(bench, worker, made)).toBe('done');
    await worker.lock(signedLock());
    await worker.revoke(sign.order(deriveRevokeOrder(made.plan, EXECUTOR, START_MS, 'early', 'person:sam')!, keys.revoker));
    await bench.clock.until(() => bench.target.accounts.size === 0);
  });

  test('outlives the process from the moment in which it is answered', async () => {
    const bench = createBench();
    await (await bench.start()).lock(signedLock());
    bench.kill('synced');
    expect(await outcomeOf(bench, await bench.start())).toBe('locked');
  });

  test('stops what was taken up and has had no effect yet', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    bench.target.always('read', 'unreachable');
    await worker.step(made.envelope);
    await bench.clock.advance(1_000);
    await worker.lock(signedLock());
    bench.target.always('read', null);
    await bench.clock.until(() => bench.of('acted').length > 0);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'refused', code: 'locked' })]);
    expect(bench.target.effects).toEqual([]);
  });

  test('is held in memory where the lease book cannot keep it, and that is said', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.disk.watch = () => {
      throw new Error('no space left');
    };
    await expect(worker.lock(signedLock())).rejects.toMatchObject({ name: 'BookError', code: 'unwritable' });
    expect(worker.locks()).toHaveLength(1);
    await expect(worker.step(makeStep().envelope)).rejects.toMatchObject({ code: 'book' });
  });

  test('is shown to whoever else is to hold it, once', async () => {
    const heard: Dsse[] = [];
    const bench = createBench({ heard: (lock) => heard.push(lock) });
    const worker = await bench.start();
    const lock = signedLock();
    await worker.lock(lock);
    await worker.lock(lock);
    expect(heard).toEqual([lock]);
    expect(worker.locks()).toEqual([lock]);
  });
});

describe('a lock is lifted', () => {
  const lockId = freshLockId();
  const set = signedLock({ lockId });
  const setByRevoker = signedLock({ lockId }, keys.revoker);
  const lift = signedLock({ op: 'lift', lockId });
  const liftByRevoker = signedLock({ op: 'lift', lockId }, keys.revoker);
  const after = async (...statements: readonly Dsse[]): Promise<string> => {
    const bench = createBench();
    const worker = await bench.start();
    for (const statement of statements) await worker.lock(statement);
    const log = someLog();
    const next = (): Made => makeStep({ log, fromSize: log.size });
    const before = await outcomeOf(bench, worker, next());
    // Whoever opens the book next comes to the same.
    bench.kill();
    expect(await outcomeOf(bench, await bench.start(), next())).toBe(before);
    return before;
  };

  test.each<[string, readonly Dsse[]]>([
    ['by who set it', [set, lift]],
    ['by a revoker', [set, liftByRevoker]],
    ['for good: the old statement does not set it again', [set, lift, set, lift]],
    ['though the lift comes first', [lift, set]],
    ['though the lift of a revoker comes first', [liftByRevoker, set]],
    ['of a revoker, by a revoker', [setByRevoker, liftByRevoker]],
  ])('%s', async (_how, statements) => {
    expect(await after(...statements)).toBe('done');
  });

  test.each<[string, readonly Dsse[]]>([
    ['by the lift of another', [set, signedLock({ op: 'lift' })]],
    ['of a revoker by a sidecar, whose key may be the reason for it', [setByRevoker, lift]],
    ['of a revoker by a sidecar that knew its id before', [lift, setByRevoker]],
    ['by a second statement of its id that covers less', [set, signedLock({ lockId, nhi: 'nhi:prod/other' })]],
    ['while another covers the same', [set, signedLock(), lift]],
    ['of a revoker, by the end of a sidecar’s of the same id', [setByRevoker, set, lift]],
  ])('but not %s', async (_how, statements) => {
    expect(await after(...statements)).toBe('locked');
  });
});

describe('nobody else locks', () => {
  test.each<[string, unknown, string]>([
    ['a stranger', signedLock({}, forger), 'bad-signature'],
    ['an executor', signedLock({}, keys.executor), 'bad-signature'],
    ['a sidecar of a log that is not trusted', signedLock({ log: logIdOf('elsewhere.example/ledger') }), 'unknown-sidecar'],
    ['a sidecar as a revoker', signedLock({ log: null }), 'unknown-sidecar'],
    ['a revoker as a sidecar', signedLock({ log: logIdOf('story.example/ledger') }, keys.revoker), 'bad-signature'],
    ['a revoker in another name', signedLock({ by: 'person:eve' }, keys.revoker), 'bad-signature'],
    ['a lock of nothing', signedLock({ nhi: null, connector: null }), 'malformed'],
    ['an order', sign.order(deriveRevokeOrder(makeStep().plan, EXECUTOR, START_MS, 'early', 'person:sam')!, keys.revoker), 'malformed'],
    ['what is no envelope', { hello: 'world' }, 'malformed'],
  ])('%s', async (_who, statement, code) => {
    const bench = createBench();
    const worker = await bench.start();
    await expect(worker.lock(statement)).rejects.toMatchObject({ name: 'ProtocolError', code });
    expect([worker.locks(), worker.state().refused]).toEqual([[], [{ code, count: 1 }]]);
    expect(await outcomeOf(bench, worker)).toBe('done');
  });
});
