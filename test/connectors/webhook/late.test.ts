/** Requests that arrive after whoever sent them has given up, at a real receiver. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { harmingProxy } from '../../support/cut-proxy.ts';
import { newToken } from '../../support/postgres-cases.ts';
import { testReceiver, type TestReceiver } from '../../support/webhook-target.ts';

/** Long enough to have sent it: what was never sent would be no request that is late. */
const GIVE_UP_MS = 1_500;

describe('a request that is late', () => {
  let receiver: TestReceiver;
  beforeAll(async () => {
    receiver = await testReceiver();
  });
  afterAll(() => receiver.close());

  const late = async (name: string, timeoutMs: number, lateMs: number, meanwhile: (step: Parameters<TestReceiver['adapter']['use']>[0], clientToken: string) => Promise<void>): Promise<void> => {
    const proxy = await harmingProxy(receiver.port);
    const connector = receiver.connectorTo(proxy.port, { timeoutMs });
    const clientToken = newToken();
    const step = { stepId: `stp_0123456789abcdef_${clientToken.slice(3).toUpperCase()}_r1_1`, action: 'provision' as const, connector: 'orders-hook', target: 'orders', account: name, privileges: ['orders:read'], clientToken };
    const there = await receiver.adapter.list();
    proxy.arm('"operation":"apply"', { lateMs });
    const failure = await connector.apply({ step, validUntil: null, secret: 'of the late request', endSessions: false, signal: AbortSignal.timeout(GIVE_UP_MS) }).then(() => 'none', (error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'ambiguous' });
    await meanwhile(name, clientToken);
    await proxy.idle();
    expect(proxy.cuts()).toBe(1);
    expect(await receiver.adapter.use(name, 'of the late request')).toBeNull();
    expect(await receiver.adapter.list()).toEqual(there);
    await proxy.close();
  };

  test('gives nothing after its notAfter', () => late('too_late', 1_000, 2_500, () => Promise.resolve()));

  test('gives nothing before its notAfter either, once what it gives was taken back', () => late('overtaken', 10_000, 4_000, async (account, clientToken) => {
    const order = { action: 'provision' as const, target: 'orders', account, privileges: ['orders:read'], clientToken };
    expect(await receiver.connectorTo().revoke(order, AbortSignal.timeout(10_000))).toBe('already-absent');
  }));
});
