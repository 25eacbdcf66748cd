/** A receiver of webhooks that behaves as it is told to, and remembers everything that came: what it answered well, and what it did not. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Message {
  /** `webhook-id`. */
  readonly id: string;
  /** Whether the signature is one of the secret's. */
  readonly signed: boolean;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `hang`: no answer, and the connection stays open. */
export type Answer = 'ok' | 'error' | 'hang';

export interface Sink {
  readonly url: string;
  /** In the order in which they came; one that came twice is there twice. */
  readonly messages: readonly Message[];
  answer(how: Answer): void;
  /** Called for each message before it is answered. */
  onMessage(listener: (message: Message) => void): void;
  close(): Promise<void>;
}

export async function openSink(secret: string, first: Answer): Promise<Sink> {
  const webhook = new Webhook(secret);
  const messages: Message[] = [];
  const listeners: ((message: Message) => void)[] = [];
  let how = first;
  const respond = (response: ServerResponse): void => {
    if (how === 'ok') response.writeHead(204).end();
    if (how === 'error') response.writeHead(500).end('not today');
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const headers = Object.fromEntries(['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, String(request.headers[name] ?? '')]));
      const message: Message = { id: headers['webhook-id']!, signed: isSigned(webhook, body, headers), ...(JSON.parse(body) as Pick<Message, 'type' | 'data'>) };
      messages.push(message);
      for (const listener of listeners) listener(message);
      respond(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/countersign`, messages,
    answer(next) {
      how = next;
    },
    onMessage: (listener) => void listeners.push(listener),
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function isSigned(webhook: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
