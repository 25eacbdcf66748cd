import { describe, expect, it, vi } from 'vitest';
import { findItems, retryAfterMs } from '../../src/engine/offboarding.ts';
import type { Facts } from '../../src/facts/load.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { ticketSchema } from '../../src/protocol/signed.ts';
import { testRun } from '../support/run.ts';
import { answerOf, openTestSidecar, RECIPIENT, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

const PARTNER = 'thirdParty:northwind-analytics';
const OFFBOARD: ChangeRequest = { kind: 'offboard', subject: PARTNER, reason: 'the contract ended' };
const LEASE: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'a day of loading', duration: 'PT1H',
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
};

async function withSidecar(run: (sidecar: TestSidecar) => Promise<void>, decide?: Parameters<typeof openTestSidecar>[0]): Promise<void> {
  const sidecar = await openTestSidecar({ ...decide });
  try {
    await run(sidecar);
  } finally {
    await sidecar.close();
  }
}

async function request(sidecar: TestSidecar, by: string, change: ChangeRequest): Promise<string> {
  const answer = await sidecar.engine.request([by], change, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
}

const named = (sidecar: TestSidecar, changeId: string, name: string): Promise<void> =>
  vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).toBe(name), { timeout: 10_000 });

describe('an offboarding', () => {
  it('takes back what the ledger gave and shuts out every account, leases first, and is done when all are gone', () => withSidecar(async (sidecar) => {
    const lease = await request(sidecar, 'nhi:prod/warehouse-sync', LEASE);
    await named(sidecar, lease, 'active');
    const parent = await request(sidecar, 'person:olga', OFFBOARD);
    await named(sidecar, parent, 'done');
    const { plan, items } = sidecar.engine.get(parent)!;
    expect(plan?.items?.[0]).toEqual({ kind: 'lease', nhi: 'nhi:prod/warehouse-sync', change: lease });
    expect(plan?.items?.slice(1).every(({ kind }) => kind === 'account')).toBe(true);
    expect([...items.values()].every(({ outcome }) => outcome === 'gone')).toBe(true);
    expect(sidecar.engine.get(lease)?.name).toBe('revoked');
    for (const [number, item] of items) {
      if (plan?.items?.[number]?.kind !== 'account') continue;
      expect(sidecar.engine.get(item.change)).toMatchObject({ name: 'done', parent, request: { kind: 'disable' } });
    }
  }));

  it('does not begin with the accounts before the leases are settled', () => withSidecar(async (sidecar) => {
    const lease = await request(sidecar, 'nhi:prod/warehouse-sync', LEASE);
    await named(sidecar, lease, 'active');
    sidecar.executor.acting = false;
    const parent = await request(sidecar, 'person:olga', OFFBOARD);
    await vi.waitFor(() => expect(sidecar.executor.orders).toHaveLength(1), { timeout: 10_000 });
    expect([...sidecar.engine.get(parent)!.items.keys()]).toEqual([0]);
  }));

  it('leaves what cannot be taken back open, with an owner, and is stuck until it is gone', () => {
    const deny = { decide: (input: Parameters<NonNullable<NonNullable<Parameters<typeof openTestSidecar>[0]>['decide']>>[0]) => answerOf(input.change.kind === 'disable' ? 'deny' : 'allow') };
    return withSidecar(async (sidecar) => {
      const parent = await request(sidecar, 'person:olga', OFFBOARD);
      await vi.waitFor(() => expect(sidecar.engine.get(parent)?.findings.get('offboarding-open')?.owner).toBe('person:ben'), { timeout: 10_000 });
      const state = sidecar.engine.get(parent)!;
      expect(state.name).toBe('executing');
      expect(state.items.get(0)).toMatchObject({ outcome: 'open', owner: 'person:ben' });
    }, deny);
  });

  it('of somebody that nobody knows finds nothing', () => withSidecar(async (sidecar) => {
    expect(await findItems('thirdParty:nobody', sidecar.facts, { giving: async () => [] })).toEqual([]);
    expect(await findItems('nhi:prod/nobody', sidecar.facts, { giving: async () => [] })).toEqual([]);
  }));

  it('lets nothing slip past: what waits is withdrawn, what is asked meanwhile is too', () => withSidecar(async (sidecar) => {
    const { lock } = sidecar.engine;
    await lock('person:olga', { nhi: 'nhi:prod/warehouse-sync', connector: null }, 'so that it waits');
    const waiting = await request(sidecar, 'nhi:prod/warehouse-sync', LEASE);
    await named(sidecar, waiting, 'scheduled');
    const parent = await request(sidecar, 'person:olga', OFFBOARD);
    await named(sidecar, parent, 'done');
    expect(sidecar.engine.get(waiting)?.name).toBe('withdrawn');
  }));

  it('is not led astray by a child that is made to be about something else', () => withSidecar(async (sidecar) => {
    sidecar.executor.acting = false;
    const parent = await request(sidecar, 'person:olga', OFFBOARD);
    await vi.waitFor(() => expect(sidecar.engine.get(parent)?.items.get(0)).toBeDefined(), { timeout: 10_000 });
    const child = sidecar.engine.get(parent)!.items.get(0)!.change;
    const other: ChangeRequest = { kind: 'disable', subject: 'nhi:prod/warehouse-sync', connector: 'pg-main', target: 'elsewhere', reason: 'another' };
    expect(await sidecar.engine.revise('person:olga', child, other)).toMatchObject({ ok: false, code: 'not-expected' });
  }));

  it('of which nothing is found is over at once, where policy allows it', () => withSidecar(async (sidecar) => {
    await named(sidecar, await request(sidecar, 'person:olga', { ...OFFBOARD, subject: 'thirdParty:nobody' }), 'done');
  }));

  it('shuts out the account that was listed and approved, whatever the facts name by then', async () => {
    let accounts: Readonly<Record<string, string>> = { 'pg-main': 'warehouse_sync' };
    // The facts are read again while the offboarding is at work.
    const facts: TestOptions['facts'] = (read) => ({
      ...read, inventory: new Map([...read.inventory].map(([id, nhi]) => [id, id === 'nhi:prod/warehouse-sync' ? Object.defineProperty({ ...nhi }, 'accounts', { get: () => accounts, enumerable: true }) : nhi])),
    });
    await withSidecar(async (sidecar) => {
      const parent = await request(sidecar, 'person:olga', OFFBOARD);
      await named(sidecar, parent, 'pending');
      const { plan, planDigest } = sidecar.engine.get(parent)!;
      expect(plan!.items).toMatchObject([{ account: 'warehouse_sync' }]);
      accounts = { 'pg-main': 'somebody_else' };
      await sidecar.engine.decideApproval('person:wei', parent, 'approve', planDigest!, null);
      await named(sidecar, parent, 'done');
      const acted = sidecar.executor.steps.map(({ ticket }) => readPayload(ticket, ticketSchema));
      expect(acted).toMatchObject([{ kind: 'read', query: { action: 'disable', account: 'warehouse_sync' } }, { kind: 'act', step: { action: 'disable', account: 'warehouse_sync' } }]);
    }, { facts, decide: (input) => (input.change.kind === 'offboard' ? answerOf('needsApproval', { anyOf: ['person:wei'] }) : answerOf('allow')) });
  });

  it('stops a run of theirs that has its ticket and has not begun', () => withSidecar(async (sidecar) => {
    const run = testRun();
    const subject = 'nhi:prod/warehouse-sync';
    const called = await request(sidecar, subject, { kind: 'rotate', subject, connector: 'pg-main', target: 'app', purpose: 'warehouse-sync', reason: 'by script', caller: { key: run.key, timeout: 'PT5M' } });
    await named(sidecar, called, 'authorised');
    const ticket = await sidecar.engine.callerTicket(subject, called, null);
    const parent = await request(sidecar, 'person:olga', OFFBOARD);
    await named(sidecar, parent, 'executing');
    expect(await sidecar.engine.callerTicket(subject, called, null)).toMatchObject({ ok: false, code: 'not-expected' });
    if (!ticket.ok) throw new Error(ticket.message);
    expect(await sidecar.engine.receiveCallerReport(called, run.claimed(ticket.value))).toMatchObject({ ok: false, code: 'too-late' });
    expect(sidecar.engine.get(called)).toMatchObject({ claimed: false });
  }, { decide: (input) => answerOf(input.change.kind === 'disable' ? 'deny' : 'allow') }));

  it('lists of the rotations of one account the last, and leaves those before it alone: their logins are retired', async () => {
    const facts: TestOptions['facts'] = (read) => ({ ...read, inventory: new Map([...read.inventory].map(([id, nhi]) => [id, { ...nhi, consumers: ['loader'] }])) });
    await withSidecar(async (sidecar) => {
      const rotated: string[] = [];
      for (const reason of ['the first', 'the second']) {
        const id = await request(sidecar, 'nhi:prod/warehouse-sync', { kind: 'rotate', subject: 'nhi:prod/warehouse-sync', connector: 'pg-main', target: 'app', purpose: 'warehouse-sync', reason, recipient: RECIPIENT, grace: 'PT1H' });
        await named(sidecar, id, 'staged');
        await sidecar.engine.acknowledgeDelivery('nhi:prod/warehouse-sync', id, sidecar.engine.get(id)!.delivery!.seal.ciphertext);
        await sidecar.engine.confirmConsumer('nhi:prod/warehouse-sync', id, 'loader');
        await named(sidecar, id, 'done');
        rotated.push(id);
      }
      const parent = await request(sidecar, 'person:olga', OFFBOARD);
      await named(sidecar, parent, 'done');
      expect(sidecar.engine.get(parent)!.plan!.items![0]).toMatchObject({ kind: 'lease', change: rotated[1] });
      expect(sidecar.engine.get(rotated[1]!)?.name).toBe('revoked');
      expect(sidecar.engine.get(rotated[0]!)).toMatchObject({ name: 'done', revokes: [] });
    }, { facts });
  });

  it('works on those who use a credential before whose credential it is', () => withSidecar(async (sidecar) => {
    const one = sidecar.facts.inventory.get('nhi:prod/warehouse-sync')!;
    const facts: Facts = {
      ...sidecar.facts,
      inventory: new Map([
        ['nhi:prod/a', { ...one, id: 'nhi:prod/a', consumers: ['nhi:prod/b'], accounts: { 'pg-main': 'a' } }],
        ['nhi:prod/b', { ...one, id: 'nhi:prod/b', consumers: ['nhi:prod/c', 'nhi:prod/a'], accounts: { 'pg-main': 'b' } }],
        ['nhi:prod/c', { ...one, id: 'nhi:prod/c', consumers: [], accounts: { 'pg-main': 'c' } }],
      ]),
    };
    const accounts = (await findItems(PARTNER, facts, { giving: async () => [] })).map((item) => (item.kind === 'account' ? item.account : ''));
    expect(accounts).toEqual(['c', 'b', 'a']);
  }));
});

it('an item that cannot be taken back is tried again ever more slowly, and for ever', () => {
  const minutes = [1, 2, 3, 4, 5, 7, 8, 1_000].map((attempts) => retryAfterMs(attempts) / 60_000);
  expect(minutes).toEqual([5, 10, 20, 40, 80, 320, 360, 360]);
});
