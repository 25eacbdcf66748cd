/** A receiver of webhooks, as somebody else would write one: it believes what is signed with the secret that it shares, and nothing else. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

export interface Notification {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Receiver {
  readonly url: string;
  /** What came and was verified, in the order in which it came. */
  readonly received: readonly Notification[];
  /** What came and was not. */
  readonly refused: number;
  close(): Promise<void>;
}

const BODY_BYTES_MAX = 65_536;

/** @param secret `whsec_…` */
export async function openReceiver(secret: string): Promise<Receiver> {
  const webhook = new Webhook(secret);
  const received: Notification[] = [];
  const seen = new Set<string>();
  let refused = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_BYTES_MAX) chunks.push(chunk);
    });
    request.on('end', () => {
      try {
        const headers = Object.fromEntries(['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, String(request.headers[name] ?? '')]));
        const notification = webhook.verify(Buffer.concat(chunks).toString('utf8'), headers) as Notification;
        // At least once: the id says what has come before.
        if (!seen.has(headers['webhook-id']!)) received.push(notification);
        seen.add(headers['webhook-id']!);
        response.writeHead(204).end();
      } catch (error) {
        if (!(error instanceof WebhookVerificationError)) throw error;
        refused += 1;
        response.writeHead(401).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/countersign`, received,
    get refused() {
      return refused;
    },
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
