import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer as createSecureServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type LookupFunction, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { ATTEMPT_MS, webhookSender, type Outcome, type WebhookOptions } from '../../src/notify/webhook.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { CERTIFICATE, KEY } from './certificate.ts';
import { listen, SECRET, type Listening } from './support.ts';

const MESSAGE = { id: 'msg_0123456789abcdef0123456789abcdef', body: '{"type":"change.stuck","timestamp":"2026-11-23T19:00:00.000Z","data":{"reason":"é</script>"}}' };
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function receiver(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Listening> {
  const listening = await listen(answer);
  closing.push(() => listening.close());
  return listening;
}

/** A server that speaks as it likes, and where it listens. */
async function raw(talk: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    closing.push(() => void socket.destroy());
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.unshift(() => new Promise((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

/** Something that is waited for, and happens. */
function signal(): { fire: () => void; fired: Promise<void> } {
  let fire = (): void => undefined;
  const fired = new Promise<void>((resolve) => (fire = resolve));
  return { fire: () => fire(), fired };
}

const never = new AbortController().signal;
function send(url: string, options: Partial<WebhookOptions> = {}, signal = never): Promise<Outcome> {
  return webhookSender({ url, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: systemClock, userAgent: 'countersign/test', ...options })(MESSAGE, signal);
}
const local = (port: number, path = '/'): string => `http://127.0.0.1:${port}${path}`;
const resolvesTo = (...addresses: string[]): LookupFunction & { mock: { calls: unknown[][] } } => vi.fn<LookupFunction>((_name, options, callback) => {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  if (options.all === true) callback(null, found);
  else callback(null, found[0]!.address, found[0]!.family);
});
const failed = (reason: string, gone = false): Outcome => ({ delivered: false, gone, reason });

describe('a receiver', () => {
  it('gets the body as it was signed, and can verify it with the standard library', async () => {
    const { port, received } = await receiver((_request, response) => response.writeHead(204).end());
    expect(await send(local(port, '/hooks?of=us'))).toEqual({ delivered: true });
    expect(received).toHaveLength(1);
    const { headers, body } = received[0]!;
    expect(body).toBe(MESSAGE.body);
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'countersign/test', 'webhook-id': MESSAGE.id });
    expect(new Webhook(SECRET).verify(body, headers)).toEqual(JSON.parse(MESSAGE.body));
    expect(() => new Webhook(SECRET).verify(body.replace('stuck', 'fine!'), headers)).toThrow();
    expect(() => new Webhook(SECRET).verify(body, { ...headers, 'webhook-id': 'msg_other' })).toThrow();
  });

  it('that changes its secret can verify with either', async () => {
    const other = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
    const { port, received } = await receiver((_request, response) => response.writeHead(200).end('thank you'));
    await send(local(port), { secrets: [other, SECRET] });
    for (const secret of [other, SECRET]) expect(new Webhook(secret).verify(received[0]!.body, received[0]!.headers)).toBeTruthy();
  });

  it.each([[200, { delivered: true }], [299, { delivered: true }], [410, failed('answered 410', true)], [400, failed('answered 400')], [429, failed('answered 429')], [500, failed('answered 500')]])(
    'that answers %i was told so or not', async (status, outcome) => {
      const { port } = await receiver((_request, response) => response.writeHead(status).end('something of its own'));
      expect(await send(local(port))).toEqual(outcome);
    },
  );

  it.each([301, 302, 303, 307, 308])('that redirects (%i) to loopback is not followed', async (status) => {
    const inside = await receiver((_request, response) => response.end());
    const { port } = await receiver((_request, response) => response.writeHead(status, { location: local(inside.port) }).end());
    expect(await send(local(port))).toEqual(failed(`answered ${status}: redirects are not followed`));
    expect(inside.received).toHaveLength(0);
  });

  it('is reached directly, whatever proxy the environment names', async () => {
    const proxy = await receiver((_request, response) => response.end());
    const { port, received } = await receiver((_request, response) => response.end());
    for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'all_proxy', 'NODE_USE_ENV_PROXY']) vi.stubEnv(name, name.startsWith('NODE') ? '1' : local(proxy.port));
    closing.push(() => void vi.unstubAllEnvs());
    expect(await send(local(port))).toEqual({ delivered: true });
    expect([received.length, proxy.received.length]).toEqual([1, 0]);
  });

  it('that is not there, or hangs up without a word, was not told', async () => {
    const gone = await listen(() => undefined);
    await gone.close();
    expect(await send(local(gone.port))).toEqual(failed('not reached (ECONNREFUSED)'));
    const port = await raw((socket) => socket.once('data', () => socket.end()));
    expect(await send(local(port))).toEqual(failed('not reached (ECONNRESET)'));
  });

  it('that does not speak HTTP was not told', async () => {
    const port = await raw((socket) => socket.once('data', () => socket.end('220 ready\r\n')));
    expect(await send(local(port))).toMatchObject({ delivered: false, gone: false, reason: expect.stringMatching(/^not reached \(HPE_/) as string });
  });

  it('that closes early, once it has said 200, was told', async () => {
    const port = await raw((socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', () => socket.destroy())));
    expect(await send(local(port))).toEqual({ delivered: true });
  });
});

describe('an attempt', () => {
  /** Sends with a clock that stands still, and lets the deadline pass once the receiver has what it waits for. */
  async function beyondDeadline(port: number, reached: Promise<void>): Promise<Outcome> {
    const clock = fakeClock(Date.now());
    let outcome: Outcome | null = null;
    const sending = send(local(port), { clock: clock.port() }).then((value) => (outcome = value));
    await reached;
    await clock.advance(ATTEMPT_MS - 1);
    expect(outcome).toBeNull();
    await clock.advance(1);
    return sending;
  }

  it('ends after ten seconds where the receiver hangs', async () => {
    const { port, until } = await receiver(() => undefined);
    expect(await beyondDeadline(port, until(1))).toEqual(failed('no answer within 10 s'));
  });

  it('ends after ten seconds where the receiver drips, before its status or after', async () => {
    const reached = signal();
    const slow = await raw((socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nx-drip: ', reached.fire)));
    expect(await beyondDeadline(slow, reached.fired)).toEqual(failed('no answer within 10 s'));
    const [closed, answered] = [signal(), signal()];
    subscribe('http.client.response.finish', answered.fire);
    closing.push(() => void unsubscribe('http.client.response.finish', answered.fire));
    const { port } = await receiver((request, response) => {
      request.socket.on('close', closed.fire);
      response.writeHead(500).write('a');
    });
    expect(await beyondDeadline(port, answered.fired)).toEqual(failed('answered 500'));
    await closed.fired;
  });

  it('reads no more than a little of what comes back', async () => {
    let written = 0;
    const closed = signal();
    const { port } = await receiver((request, response) => {
      request.socket.on('close', closed.fire);
      const pour = (): void => {
        while (!response.destroyed && written < 2 ** 30) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536, 120))) return void response.once('drain', pour);
        }
      };
      response.writeHead(200);
      pour();
    });
    expect(await send(local(port))).toEqual({ delivered: true });
    await closed.fired;
    expect(written).toBeLessThan(2 ** 26);
  });

  it('is not taken in by endless headers', async () => {
    const port = await raw((socket) => socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${`x-more: ${'y'.repeat(1000)}\r\n`.repeat(32)}`)));
    expect(await send(local(port))).toEqual(failed('not reached (HPE_HEADER_OVERFLOW)'));
  });

  it('ends at once when the sidecar closes, or has closed', async () => {
    const { port, until } = await receiver(() => undefined);
    const stop = new AbortController();
    const sending = send(local(port), {}, stop.signal);
    await until(1);
    stop.abort();
    expect(await sending).toEqual(failed('the sidecar is closing'));
    expect(await send(local(port), {}, stop.signal)).toEqual(failed('the sidecar is closing'));
  });

  it('takes a connection of its own, whose address is looked at anew', async () => {
    const sockets = new Set<unknown>();
    const { port } = await receiver((request, response) => {
      sockets.add(request.socket);
      response.end();
    });
    const lookup = resolvesTo('127.0.0.1');
    const sender = webhookSender({ url: `http://receiver.test:${port}`, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: systemClock, userAgent: 'x', lookup });
    for (const _ of [1, 2]) expect(await sender(MESSAGE, never)).toEqual({ delivered: true });
    expect([sockets.size, lookup.mock.calls.length]).toEqual([2, 2]);
  });
});

describe('where a webhook may not go', () => {
  const REFUSED = failed('the address is not allowed');

  it.each([
    ['loopback', '127.0.0.1'], ['loopback in decimal', '2130706433'], ['loopback in octal', '0177.0.0.1'], ['loopback in hex', '0x7f.1'], ['a short form', '127.1'], ['unspecified', '0.0.0.0'],
    ['loopback, v6', '[::1]'], ['mapped', '[::ffff:127.0.0.1]'], ['mapped in hex', '[::ffff:7f00:1]'], ['full-width digits', '１２７.0.0.1'],
  ])('it does not go to %s (%s), though somebody listens there', async (_what, host) => {
    const { port, received } = await receiver((_request, response) => response.end());
    expect(await send(`http://${host}:${port}/`, { allowPrivate: false })).toEqual(REFUSED);
    expect(received).toHaveLength(0);
  });

  it.each(['169.254.169.254', '[fe80::1]', '[64:ff9b::7f00:1]', '224.0.0.1', '0.0.0.0'])('it does not go to %s even where private addresses are allowed', async (host) => {
    expect(await send(`http://${host}/`, { allowPrivate: true })).toEqual(REFUSED);
  });

  it('a name is as good as what it resolves to when connecting', async () => {
    const { port, received } = await receiver((_request, response) => response.end());
    const url = `http://receiver.test:${port}/`;
    expect(await send(url, { allowPrivate: false, lookup: resolvesTo('127.0.0.1') })).toEqual(REFUSED);
    expect(await send(url, { allowPrivate: false, lookup: resolvesTo('1.1.1.1', '127.0.0.1') })).toEqual(REFUSED);
    expect(await send(url, { allowPrivate: false, lookup: resolvesTo('1.1.1.1', '::ffff:10.0.0.1') })).toEqual(REFUSED);
    expect(await send(url, { lookup: resolvesTo('169.254.169.254') })).toEqual(REFUSED);
    expect(await send(url, { lookup: resolvesTo() })).toEqual(REFUSED);
    expect(await send(`http://localhost:${port}/`, { allowPrivate: false })).toEqual(REFUSED);
    expect(received).toHaveLength(0);
    expect(await send(url, { lookup: resolvesTo('127.0.0.1') })).toEqual({ delivered: true });
  });

  it('a name that resolves to nothing is not reached', async () => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(Object.assign(new Error('getaddrinfo ENOTFOUND secret.internal'), { code: 'ENOTFOUND' }), '', 0);
    expect(await send('http://receiver.test/', { lookup })).toEqual(failed('not reached (ENOTFOUND)'));
  });

  it('http is for those who say so, and nothing else is spoken', async () => {
    const { port, received } = await receiver((_request, response) => response.end());
    expect(await send(local(port), { allowHttp: false })).toEqual(failed('only https is allowed'));
    for (const url of ['file:///etc/passwd', `ftp://127.0.0.1:${port}/`, 'unix:/run/docker.sock']) expect(await send(url)).toEqual(failed('only https is allowed'));
    expect(received).toHaveLength(0);
  });
});

describe('over https', () => {
  async function secure(): Promise<Listening> {
    const listening = await listen((_request, response) => response.end(), createSecureServer({ cert: CERTIFICATE, key: KEY }));
    closing.push(() => listening.close());
    return listening;
  }

  it('a receiver is told whose certificate holds for its name', async () => {
    const { port, received } = await secure();
    const there = { allowHttp: false, lookup: resolvesTo('127.0.0.1'), ca: CERTIFICATE };
    expect(await send(`https://receiver.test:${port}/`, there)).toEqual({ delivered: true });
    expect(new Webhook(SECRET).verify(received[0]!.body, received[0]!.headers)).toBeTruthy();
    expect(await send(`https://other.test:${port}/`, there)).toEqual(failed('not reached (ERR_TLS_CERT_ALTNAME_INVALID)'));
    expect(received).toHaveLength(1);
  });

  it('a certificate that nobody vouches for is not believed, whatever the environment says', async () => {
    const { port, received } = await secure();
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    closing.push(() => void vi.unstubAllEnvs());
    expect(await send(`https://receiver.test:${port}/`, { lookup: resolvesTo('127.0.0.1') })).toEqual(failed('not reached (DEPTH_ZERO_SELF_SIGNED_CERT)'));
    expect(received).toHaveLength(0);
  });

  it('an address is looked at before a certificate is', async () => {
    const { port } = await secure();
    expect(await send(`https://receiver.test:${port}/`, { allowPrivate: false, lookup: resolvesTo('127.0.0.1'), ca: CERTIFICATE })).toEqual(failed('the address is not allowed'));
  });
});
