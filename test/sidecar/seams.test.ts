/** Where one promise meets another: locks and later ends, two later ends of one lease, orders that were lost and orders that were let go. */
import { afterEach, expect, it, vi } from 'vitest';
import { TransportError, type Outbox } from '../../src/engine/ports.ts';
import { payloadDigest, readPayload } from '../../src/protocol/dsse.ts';
import { lockStatementSchema } from '../../src/protocol/lock.ts';
import { revokeOrderSchema } from '../../src/protocol/signed.ts';
import { changeViewSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, usualPolicy, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const REST = { timeout: 10_000 };

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const seen = async (id: string): Promise<ChangeView> => changeViewSchema.parse((await sidecar.send('person:sam', 'GET', `/v1/changes/${id}`)).body);
const reached = (id: string, state: ChangeView['state']): Promise<ChangeView> => vi.waitFor(async () => {
  const change = await seen(id);
  expect(change.state).toBe(state);
  return change;
}, REST);
const approve = async ({ id, planDigest }: ChangeView): Promise<void> => {
  expect((await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest })).status).toBe(200);
};
const active = async (): Promise<ChangeView> => {
  const change = await sidecar.change(CALLER, GRANT);
  await approve(change);
  return reached(change.id, 'active');
};
const extend = async (id: string, duration: string): Promise<ChangeView> =>
  changeViewSchema.parse((await sidecar.send(CALLER, 'POST', `/v1/changes/${id}/extend?wait=PT10S`, { duration, reason: 'it takes longer' })).body);

it('a lock takes back a later end that is on its way: the lease ends when it would have', async () => {
  sidecar = await openTestSidecar({ decide: usualPolicy });
  const change = await active();
  const extension = await extend(change.id, 'PT8H');
  sidecar.executor.acting = false;
  const sent = sidecar.executor.steps.length;
  await approve(extension);
  await vi.waitFor(() => expect(sidecar.executor.steps.length).toBeGreaterThan(sent), REST);
  await sidecar.engine.lock('person:olga', { nhi: CALLER, connector: null }, 'a leak');
  await vi.waitFor(() => expect(sidecar.executor.orders.map((order) => readPayload(order, revokeOrderSchema).notBefore)).toEqual([change.lease!.endsAt]), REST);
  // It was applied all the same, by an executor that had not heard of the lock.
  sidecar.executor.acting = true;
  await sidecar.executor.publishStep('executor:pg-1', sidecar.executor.steps.at(-1)!);
  await vi.waitFor(async () => expect((await seen(extension.id)).result).not.toBeNull(), REST);
  expect((await seen(change.id)).lease!.endsAt).toBe(change.lease!.endsAt);
  expect(sidecar.executor.disarmed).toEqual([]);
});

it('two later ends that were asked for side by side never share an epoch: the second is asked for again', async () => {
  sidecar = await openTestSidecar({ decide: usualPolicy });
  const change = await active();
  const [first, second] = [await extend(change.id, 'PT1H'), await extend(change.id, 'PT8H')];
  expect([first, second].map(({ plan }) => plan!.extends!.epoch)).toEqual([2, 2]);
  sidecar.executor.acting = false;
  await approve(first);
  await vi.waitFor(() => expect(sidecar.executor.armed).toHaveLength(2), REST);
  await approve(second);
  // The first comes to nothing, yet its order is armed: the second may not be given another of the same epoch.
  Object.assign(sidecar.executor, { acting: true, isRejected: true });
  await sidecar.executor.publishStep('executor:pg-1', sidecar.executor.steps.at(-1)!);
  await reached(first.id, 'failed');
  sidecar.executor.isRejected = false;
  const denied = await reached(second.id, 'denied');
  expect(denied.decision?.reasons).toMatchObject([{ code: 'lease-not-running', rule: 'engine' }]);
  expect(sidecar.executor.armed.map((order) => readPayload(order, revokeOrderSchema).epoch)).toEqual([1, 2]);
});

it('an order that was let go while it was looked for is not armed again', async () => {
  let doubt = (): void => undefined;
  const looking: (() => void)[] = [];
  const outbox: Outbox = {
    onDoubt: (callback) => void (doubt = callback), onLost: () => undefined, spent: () => undefined, sweep: () => undefined,
    async missing(armed) {
      await new Promise<void>((resolve) => looking.push(resolve));
      // Taken off the bus since it was asked for, and so not there.
      return armed.filter(({ order }) => sidecar.executor.disarmed.some((one) => payloadDigest(one) === payloadDigest(order)));
    },
  };
  sidecar = await openTestSidecar({ decide: usualPolicy, outbox });
  const change = await active();
  doubt();
  await vi.waitFor(() => expect(looking).toHaveLength(1), REST);
  await approve(await extend(change.id, 'PT1H'));
  await vi.waitFor(() => expect(sidecar.executor.disarmed).toHaveLength(1), REST);
  looking[0]!();
  // Looked for once more: by then the first look is over, with all that it armed.
  await vi.waitFor(() => {
    doubt();
    expect(looking).toHaveLength(2);
  }, REST);
  expect(sidecar.executor.armed.map((order) => readPayload(order, revokeOrderSchema).epoch)).toEqual([1, 2]);
  looking[1]!();
});

it('a lock that one worker does not hold keeps no other lock from being told', async () => {
  sidecar = await openTestSidecar({ decide: usualPolicy });
  const told = sidecar.executor.publishLock.bind(sidecar.executor);
  const stubborn = new Set<string>();
  sidecar.executor.publishLock = (audience, lock) => {
    const { lockId } = readPayload(lock, lockStatementSchema);
    if (stubborn.size === 0) stubborn.add(lockId);
    return stubborn.has(lockId) ? Promise.reject(new TransportError('unreachable', 'not every worker has said that it holds it')) : told(audience, lock);
  };
  await sidecar.engine.lock('person:olga', { nhi: 'nhi:prod/billing-export', connector: null }, 'one');
  await sidecar.engine.lock('person:olga', { nhi: CALLER, connector: null }, 'two');
  await vi.waitFor(() => expect(sidecar.executor.locked).toHaveLength(1), REST);
});
