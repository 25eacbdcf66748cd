/**
 * What happens, told on the bus: CloudEvents 1.0 in structured mode, held by a stream of their own. An event is a hint, never an authority.
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
 */
import { jetstream } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { z } from 'zod';
import { notificationSchema } from '../../notify/payload.ts';
import type { Message, Outcome, Send } from '../../notify/webhook.ts';
import { timeSchema } from '../../protocol/values.ts';
import { event } from './bus-layout.ts';
import type { Bus } from './connection.ts';

/** Of the receiver that the bus is, in records and logs; no webhook may have it as well. */
export const BUS_RECEIVER = 'nats';

export const cloudEventSchema = z.strictObject({
  specversion: z.literal('1.0'),
  /** The same for every attempt, in every process. */
  id: z.string().regex(/^msg_[0-9a-f]{32}$/),
  /** The log, as `urn:countersign:<log>`. */
  source: z.string().regex(/^urn:countersign:[0-9a-f]{16}$/),
  /** `dev.countersign.` and the event's name. */
  type: z.string().regex(/^dev\.countersign\.[a-z]+\.[a-z]+$/),
  /** The change, or the proposal. */
  subject: z.string().max(256),
  /** When it happened: the time of the record. */
  time: timeSchema,
  datacontenttype: z.literal('application/json'),
  /** As `data` of a notification. */
  data: z.record(z.string(), z.unknown()),
});
export type CloudEvent = z.infer<typeof cloudEventSchema>;

const CONTENT_TYPE = 'application/cloudevents+json; charset=utf-8';
const PUBLISH_MS = 5_000;

export function cloudEventOf({ id, body }: Message, log: string): CloudEvent {
  const { type, timestamp, data } = notificationSchema.parse(JSON.parse(body));
  return { specversion: '1.0', id, source: `urn:countersign:${log}`, type: `dev.countersign.${type}`, subject: 'changeId' in data ? data.changeId : data.proposalId, time: timestamp, datacontenttype: 'application/json', data: { ...data } };
}

/** Tells a receiver that is a stream: delivered once the stream holds it. What cannot be told now is told later, and holds nothing up. */
export function eventSender(bus: Bus, log: string): Send {
  return async (message): Promise<Outcome> => {
    const told = cloudEventOf(message, log);
    const fields = headers();
    fields.set('content-type', CONTENT_TYPE);
    try {
      // The stream takes an id once while it remembers; after that, whoever reads knows it by its id.
      await jetstream(bus.up()).publish(event(log, told.type.slice('dev.countersign.'.length)), JSON.stringify(told), { msgID: message.id, headers: fields, timeout: PUBLISH_MS });
      return { delivered: true };
    } catch {
      return { delivered: false, gone: false, reason: 'the bus has not said that it holds it' };
    }
  };
}
