/** A later end for what a receiver gave: by the receiver, where it ends access itself; else the connector sees that it is there. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { webhookConnector } from '../../../src/connectors/webhook/connector.ts';
import { webhookRequestSchema, type WebhookRequest } from '../../../src/connectors/webhook/protocol.ts';
import type { Connector } from '../../../src/executor/connector.ts';
import { systemClock } from '../../../src/executor/system-clock.ts';
import type { PlanStep } from '../../../src/protocol/plan.ts';

const END = '2026-11-24T19:00:00.000Z';
const GIVEN: PlanStep = {
  stepId: 'stp_0123456789abcdef_01JD0000000000000000000000_r1_1', action: 'extend', gave: 'grant', connector: 'hook', target: 'orders', account: 'billing', privileges: ['orders:read'],
  clientToken: 'cs_01jd0000000000000000000000',
};
const { stepId: _, ...QUERY } = GIVEN;
const stated = (expiry: 'native' | 'external'): object => ({ expiry, endsSessions: true, residualMs: 0, findable: true });

let close = (): Promise<void> => Promise.resolve();
afterEach(() => close());

/** A receiver that states these actions, and at which what was given is there, or not. */
async function receiver(actions: object, found: 'applied' | 'absent' = 'applied'): Promise<{ readonly connector: Connector; readonly heard: WebhookRequest[] }> {
  const heard: WebhookRequest[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part: Buffer) => (text += part.toString('utf8')));
    request.on('end', () => {
      const asked = webhookRequestSchema.parse(JSON.parse(text));
      heard.push(asked);
      const answers = { describe: { actions }, read: { exists: true, held: ['orders:read'], touched: { account: 'a1' } }, apply: { outcome: 'done' }, probe: { found }, tryUse: { byUse: 'notTried' }, revoke: { outcome: 'done' } };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ v: 1, ...answers[asked.operation] }));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  close = () => new Promise((closed) => {
    server.close(() => closed());
    server.closeAllConnections();
  });
  const connector = webhookConnector({
    id: 'hook', url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/hook`, allowHttp: true, signingSecrets: () => Promise.resolve([`whsec_${Buffer.alloc(32, 7).toString('base64')}`]),
    clock: systemClock, userAgent: 'countersign/test',
  });
  return { connector, heard };
}

const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const apply = (connector: Connector): Promise<void> => connector.apply({ step: GIVEN, validUntil: END, secret: null, endSessions: false, signal: signal() });
const operations = (heard: readonly WebhookRequest[]): string[] => heard.map((asked) => ('step' in asked ? `${asked.operation} ${asked.step.action}` : 'query' in asked ? `${asked.operation} ${asked.query.action}` : asked.operation));

test('a receiver that states it is asked, with what was given and the later end', async () => {
  const { connector, heard } = await receiver({ grant: stated('native'), extend: stated('native') });
  await connector.read(QUERY, signal());
  await apply(connector);
  expect(await connector.probe(GIVEN, signal(), END)).toBe('applied');
  expect(await connector.tryUse(GIVEN, null, signal())).toBe('notTried');
  expect(operations(heard)).toEqual(['describe', 'read extend', 'apply extend', 'probe extend', 'tryUse extend']);
  expect(heard.slice(2, 4)).toMatchObject([{ validUntil: END, step: { gave: 'grant' } }, { validUntil: END, step: { gave: 'grant' } }]);
  expect(connector.describe('extend')).toEqual(stated('native'));
});

describe('a receiver that does not state it', () => {
  test('is refused what it ends by itself, before anybody approves', async () => {
    const { connector, heard } = await receiver({ grant: stated('native'), provision: stated('external') });
    for (const call of [() => connector.read(QUERY, signal()), () => apply(connector), () => connector.probe(GIVEN, signal(), END)]) {
      await expect(call()).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('does not state') as string });
    }
    expect(operations(heard)).toEqual(['describe']);
  });

  test('changes nothing of what only a revoke ends: it is seen to be there', async () => {
    const { connector, heard } = await receiver({ grant: stated('external') });
    // A worker that opens its book again asks this first.
    expect(await connector.probe(GIVEN, signal(), END)).toBe('applied');
    expect(await connector.read(QUERY, signal())).toMatchObject({ account: 'billing', touched: { account: 'a1' } });
    await apply(connector);
    expect(await connector.tryUse(GIVEN, null, signal())).toBe('notTried');
    expect(operations(heard)).toEqual(['describe', 'probe grant', 'probe grant', 'read grant', 'probe grant', 'probe grant']);
    expect(connector.describe('extend')).toMatchObject({ expiry: 'external' });
  });

  test('is not extended where that is not there any more', async () => {
    const { connector } = await receiver({ grant: stated('external') }, 'absent');
    for (const call of [() => connector.read(QUERY, signal()), () => apply(connector)]) await expect(call()).rejects.toMatchObject({ kind: 'rejected' });
    expect(await connector.probe(GIVEN, signal(), END)).toBe('absent');
    expect(await connector.tryUse(GIVEN, null, signal())).toBe('fails');
  });
});

test('of a receiver that gives nothing that ends, nothing is stated', async () => {
  const { connector } = await receiver({ disable: stated('external') });
  await expect(connector.read(QUERY, signal())).rejects.toMatchObject({ kind: 'rejected' });
  expect(connector.describe('extend')).toBeNull();
});
