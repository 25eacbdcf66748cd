/** A console's end of the API on the bus, over a bus that does as it likes: what it holds up, floods or drops costs no more than an answer. */
import { setTimeout } from 'node:timers/promises';
import { headers, type Msg, type NatsConnection, type Subscription, type SubscriptionOptions } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { canonicalBytes, generateSignerKey, logIdOf, parseSigner, parseVerifier } from '../../ledger/index.ts';
import { API_RECIPIENT_TYPE, apiCallSchema, type ApiCall } from '../../src/protocol/api-call.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { NotSent } from '../../src/client/wire.ts';
import { callOverBus } from '../../src/transport/nats/api-calls.ts';
import { newApiIdentity, openBytes, sealStream } from '../../src/transport/nats/api-seal.ts';
import { API_ANSWER_BYTES_MAX, API_REFUSED } from '../../src/transport/nats/bus-layout.ts';
import { systemRandom } from '../../src/sidecar/system.ts';

const LOG = logIdOf('example.org/countersign');
const signer = parseSigner(generateSignerKey('example.org/tickets', new Uint8Array(32).fill(1)).skey);
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

type Hear = (data: Uint8Array, refused?: string) => void;

/** A bus with one sidecar, whose every call `answer` gets. */
async function openBus(answer: (call: ApiCall, hear: Hear) => void | Promise<void>, skey: string | null = null): Promise<{ call: ReturnType<typeof callOverBus>; readonly subscribed: number; readonly calls: number; closeAll(): void }> {
  const { identity, recipient } = await newApiIdentity();
  const inboxes = new Map<string, Subscription>();
  const ends = new Set<() => void>();
  const bus = { subscribed: 0, calls: 0, closeAll: () => ends.forEach((end) => end()) };
  const connection = {
    async request(_subject: string, ask: Uint8Array) {
      const { nonce } = JSON.parse(Buffer.from(ask).toString()) as { nonce: string };
      return { data: canonicalBytes(signDsse(API_RECIPIENT_TYPE, { v: 1, log: LOG, nonce, recipient }, skey === null ? signer : parseSigner(skey))) };
    },
    subscribe(subject: string, { callback }: SubscriptionOptions = {}) {
      const waiting: Msg[] = [];
      let wake = (): void => undefined;
      let isClosed = false;
      let tellClosed = (): void => undefined;
      const closed = new Promise<void>((resolve) => {
        tellClosed = resolve;
      });
      bus.subscribed += 1;
      const end = (): void => {
        if (isClosed) return;
        isClosed = true;
        bus.subscribed -= 1;
        wake();
        tellClosed();
      };
      ends.add(end);
      const hear = (message: Msg): void => {
        if (isClosed) return;
        if (callback !== undefined) void callback(null, message);
        else waiting.push(message);
        wake();
      };
      const subscription = {
        hear, unsubscribe: end, isClosed: () => isClosed, closed,
        async *[Symbol.asyncIterator]() {
          for (;;) {
            const next = waiting.shift();
            if (next !== undefined) yield next;
            else if (isClosed) return;
            else await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        },
      } as unknown as Subscription;
      inboxes.set(subject, subscription);
      return subscription;
    },
    publish(_subject: string, sealed: Uint8Array, { reply }: { reply: string }) {
      bus.calls += 1;
      const inbox = inboxes.get(reply) as unknown as { hear(message: Msg): void };
      const hear: Hear = (data, refused) => {
        const why = headers();
        if (refused !== undefined) why.set(API_REFUSED, refused);
        inbox.hear({ data, ...(refused === undefined ? {} : { headers: why }) } as Msg);
      };
      void openBytes(sealed, identity).then(async (bytes) => answer(apiCallSchema.parse(JSON.parse(Buffer.from(bytes).toString())), hear));
    },
  } as unknown as NatsConnection;
  const call = callOverBus({ bus: { up: () => connection, isUp: true, onUp: () => undefined, close: async () => undefined }, inboxPrefix: '_INBOX_console.U', log: LOG, keys: [parseVerifier(signer.vkey)], nowMs: Date.now, random: systemRandom, logger });
  return Object.assign(bus, { call });
}

const asked = (signal: AbortSignal): Parameters<ReturnType<typeof callOverBus>>[0] => ({ method: 'GET', path: '/v1/me', headers: {}, body: null, signal });

async function answerWith(call: ApiCall, hear: Hear, body: string): Promise<void> {
  const plain = new Blob([`${JSON.stringify({ v: 1, status: 200, headers: {} })}\n`, body]).stream();
  for await (const part of (await sealStream(plain as never, call.answerTo)) as unknown as AsyncIterable<Uint8Array>) hear(part);
  hear(new Uint8Array(0));
}

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

describe('a call over a bus', () => {
  it('is answered by the sidecar, and listens no longer', async () => {
    const bus = await openBus((call, hear) => answerWith(call, hear, 'x'.repeat(200_000)));
    const { status, pieces } = await bus.call(asked(AbortSignal.timeout(5_000)));
    expect([status, (await textOf(pieces)).length]).toEqual([200, 200_000]);
    expect(bus.subscribed).toBe(0);
  });

  it('is given up when its time is over, whenever that is: nothing is sent, or waited for, after it', async () => {
    // One that was given up while it was being sealed is not sent any more.
    for (let steps = 0; steps < 40; steps += 1) {
      const bus = await openBus(() => undefined);
      const over = new AbortController();
      const answered = bus.call(asked(over.signal)).then(() => 'answered', () => 'given up');
      for (let step = 0; step < steps; step += 1) await new Promise((resolve) => setImmediate(resolve));
      over.abort();
      expect(await Promise.race([answered, setTimeout(1_000, `it hangs after ${steps}`)])).toBe('given up');
      expect(bus.subscribed).toBe(0);
    }
  });

  it('keeps no more of what a bus floods it with than the longest answer', async () => {
    const megabyte = new Uint8Array(1_048_576).fill(97);
    let taken = 0;
    const bus = await openBus((_call, hear) => {
      for (let sent = 0; sent < 64 && bus.subscribed > 0; sent += 1) {
        taken += 1;
        hear(megabyte);
      }
    });
    await expect(bus.call(asked(AbortSignal.timeout(5_000)))).rejects.toThrow();
    expect(taken).toBeLessThanOrEqual(API_ANSWER_BYTES_MAX / megabyte.length + 2);
    expect(bus.subscribed).toBe(0);
  });

  it('is not answered by a refusal, and what is said after the end is not heard', async () => {
    const refused = await openBus((_call, hear) => hear(new Uint8Array(0), 'busy'));
    await expect(refused.call(asked(AbortSignal.timeout(5_000)))).rejects.toThrow('it was not answered: busy');
    const more = await openBus(async (call, hear) => {
      await answerWith(call, hear, 'all');
      hear(Buffer.from('more'));
      hear(new Uint8Array(0), 'busy');
    });
    expect(await textOf((await more.call(asked(AbortSignal.timeout(5_000)))).pieces)).toBe('all');
    // Nobody has signed that: what does something may have been done.
    for (const said of ['unopened', 'busy', 'outside-window']) {
      const lied = await openBus((_call, hear) => hear(new Uint8Array(0), said));
      const error: unknown = await lied.call({ ...asked(AbortSignal.timeout(5_000)), method: 'POST' }).catch((thrown: unknown) => thrown);
      expect([said, error instanceof NotSent, lied.calls]).toEqual([said, false, 1]);
    }
    const away = await openBus(() => undefined, generateSignerKey('example.org/tickets', new Uint8Array(32).fill(2)).skey);
    await expect(away.call({ ...asked(AbortSignal.timeout(5_000)), method: 'POST' })).rejects.toBeInstanceOf(NotSent);
    expect(away.calls).toBe(0);
    const closing = await openBus(() => closing.closeAll());
    await expect(closing.call(asked(AbortSignal.timeout(5_000)))).rejects.toThrow('cut-short');
    const cut = await openBus((_call, hear) => hear(new Uint8Array(0)));
    await expect(cut.call(asked(AbortSignal.timeout(5_000)))).rejects.toThrow();
  });
});
