/**
 * The system's doors: `/countersign` for signed requests, `/login` and `/orders` for its users, `/admin` for whoever runs it.
 *
 * One request at a time: what one reads, no other changes meanwhile. An answer is given once what it says is on disk.
 */
import { createServer, type IncomingMessage, type ServerResponse, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { Webhook } from 'standardwebhooks';
import type { Accounts } from './accounts.ts';
import { answer, Refusal, type Request } from './answer.ts';

export interface ReceiverOptions {
  readonly accounts: Accounts;
  /** `whsec_…`, as the connector has it. */
  readonly signingSecret: string;
  readonly adminToken: string;
  /** PEM: then it speaks https. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly nowMs?: () => number;
}

const BODY_BYTES_MAX = 65_536;

export function createReceiver(options: ReceiverOptions): Server {
  const { accounts, adminToken, nowMs = Date.now } = options;
  const webhook = new Webhook(options.signingSecret);
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = last.then(task, task);
    last = done.catch(() => undefined);
    return done;
  };

  /** The message, once it is known to be the connector's, new, and in time. @throws Refusal */
  const open = (text: string, headers: Record<string, string>): Request => {
    try {
      // Signature, and a timestamp of the last five minutes.
      webhook.verify(text, headers);
    } catch {
      throw new Refusal('not signed as it should be', 401);
    }
    const request = JSON.parse(text) as Request;
    const id = headers['webhook-id'] ?? '';
    // Whoever asked has given up by then, and may be asking for the opposite.
    if (nowMs() >= Date.parse(request.notAfter)) throw new Refusal('too late: its notAfter is over. Are the clocks right?');
    if (accounts.seen.has(id)) throw new Refusal('this message has come before');
    // Older ones would be refused as too late.
    for (const [other, notAfter] of accounts.seen) if (Date.parse(notAfter) < nowMs()) accounts.seen.delete(other);
    for (const [token, sentAt] of accounts.ended) if (Date.parse(sentAt) + 300_000 < nowMs()) accounts.ended.delete(token);
    accounts.seen.set(id, request.notAfter);
    return request;
  };

  const routes: Readonly<Record<string, (text: string, headers: Record<string, string>) => Promise<[status: number, body: unknown]>>> = {
    '/countersign': (text, headers) => inTurn(async () => {
      const { body, changed } = answer(accounts, open(text, headers), nowMs());
      if (changed) await accounts.save();
      return [200, body];
    }),
    async '/login'(text) {
      const { account, secret } = JSON.parse(text) as { account: string; secret: string };
      const session = accounts.logIn(account, secret, nowMs());
      return session === null ? [401, {}] : [200, { session }];
    },
    async '/orders'(_text, headers) {
      const may = accounts.may(bearer(headers), nowMs());
      return may === null ? [401, {}] : [200, { may, orders: may.includes('orders:read') ? ['4711'] : [] }];
    },
    '/admin': (text, headers) => inTurn(async () => {
      if (bearer(headers) !== adminToken) return [401, {}];
      const { make, remove } = JSON.parse(text) as { make?: { name: string; secret: string; privileges: string[] }; remove?: string };
      const old = accounts.named(remove ?? make?.name ?? '');
      if (old !== null) accounts.remove(old);
      if (make !== undefined) {
        const made = accounts.add(make.name, null);
        made.privileges = make.privileges;
        accounts.addKey(made, make.secret, null, null);
      }
      await accounts.save();
      return [200, {}];
    }),
  };

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const say = (status: number, body: unknown): void => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const route = routes[request.url ?? ''];
    if (request.method !== 'POST' || route === undefined) return say(404, { v: 1, reason: 'no such door' });
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.byteLength;
      if (bytes <= BODY_BYTES_MAX) parts.push(part);
    });
    request.on('end', () => {
      if (bytes > BODY_BYTES_MAX) return say(413, { v: 1, reason: 'too large' });
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      route(Buffer.concat(parts).toString('utf8'), headers).then(([status, body]) => say(status, body), (error: unknown) => {
        if (error instanceof Refusal) return say(error.code, { v: 1, reason: error.message });
        // Not known to the one who asked whether it was done: it will look.
        process.stderr.write(`${error instanceof Error ? error.name : 'a fault'}\n`);
        say(500, {});
      });
    });
  };
  return options.tls === undefined ? createServer(listener) : createSecureServer(options.tls, listener);
}

function bearer(headers: Record<string, string>): string {
  return /^Bearer (.+)$/.exec(headers['authorization'] ?? '')?.[1] ?? '';
}
