/** The webhooks of the configuration, ready to be told. */
import type { Config } from '../config/schema.ts';
import type { Clock } from '../engine/ports.ts';
import { COALESCED_EVENTS } from './payload.ts';
import type { Receiver } from './queue.ts';
import { readWebhookSecrets } from '../webhook/secrets.ts';
import { webhookSender } from './webhook.ts';

/** @throws PrivateFileError when a secret cannot be had; nothing was sent */
export async function openReceivers(webhooks: Config['webhooks'], options: { readonly clock: Clock; readonly version: string }): Promise<Receiver[]> {
  const receivers: Receiver[] = [];
  for (const { name, url, secret, events, consumers, coalesceSeconds, allowHttp, allowPrivate } of webhooks) {
    const secrets = await readWebhookSecrets(secret);
    receivers.push({
      name, events: events ?? null, consumers: consumers ?? null,
      coalescing: coalesceSeconds === 0 ? undefined : { withinMs: coalesceSeconds * 1000, events: COALESCED_EVENTS },
      send: webhookSender({ url, secrets, allowHttp, allowPrivate, clock: options.clock, userAgent: `countersign/${options.version}` }),
    });
  }
  return receivers;
}
