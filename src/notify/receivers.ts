/** The webhooks of the configuration, ready to be told. */
import type { Config } from '../config/schema.ts';
import type { Clock } from '../engine/ports.ts';
import type { Receiver } from './queue.ts';
import { readWebhookSecrets } from '../webhook/secrets.ts';
import { webhookSender } from './webhook.ts';

/** @throws PrivateFileError when a secret cannot be had; nothing was sent */
export async function openReceivers(webhooks: Config['webhooks'], options: { readonly clock: Clock; readonly version: string }): Promise<Receiver[]> {
  const receivers: Receiver[] = [];
  for (const { name, url, secret, events, consumers, allowHttp, allowPrivate } of webhooks) {
    const secrets = await readWebhookSecrets(secret);
    receivers.push({
      name, events: events ?? null, consumers: consumers ?? null,
      send: webhookSender({ url, secrets, allowHttp, allowPrivate, clock: options.clock, userAgent: `countersign/${options.version}` }),
    });
  }
  return receivers;
}
