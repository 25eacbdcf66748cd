/**
 * The AsyncAPI 3.0 description of the bus, as `docs/asyncapi.json` has it: what a worker receives and sends, and what a sidecar does where
 * that is not the same the other way round. `npm run docs:build` writes it; `docs/worker-protocol.md` says what to do about each message.
 */
import { z } from 'zod';
import { claimSchema } from '../../executor/claims.ts';
import { notificationSchema } from '../../notify/payload.ts';
import { stepEnvelopeSchema } from '../../protocol/envelope.ts';
import { planSchema, targetStateSchema } from '../../protocol/plan.ts';
import { approvalSchema, approvalStatementSchema, dsseSchema, querySchema, reportSchema, revokeOrderSchema, ticketSchema } from '../../protocol/signed.ts';
import { apiAnswerHeadSchema, apiCallSchema, apiRecipientSchema, CALL_REFUSALS, recipientAskSchema } from '../../protocol/api-call.ts';
import { relayedMessageSchema, relayedVerdictSchema } from '../../protocol/relayed-verdict.ts';
import { ack, act, API_PREFIX, API_REFUSED, apiCalls, apiRecipient, arm, BEAT_MS, claim, consumerOf, delivery, event, lock, MESSAGE_BYTES_MAX, pages, result, revoke, say, STREAMS, verdict } from './bus-layout.ts';
import { copyPageSchema } from './copy-page.ts';
import { cloudEventSchema } from './events.ts';
import { ackSchema, publishedReportSchema, saidSchema } from './said.ts';
import { verdictAnswerSchema } from './verdicts.ts';

type Json = Readonly<Record<string, unknown>>;

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  StepEnvelope: stepEnvelopeSchema, Dsse: dsseSchema, Plan: planSchema, TargetState: targetStateSchema, PublishedReport: publishedReportSchema, Claim: claimSchema, Said: saidSchema, Ack: ackSchema,
  Ticket: ticketSchema, Query: querySchema, RevokeOrder: revokeOrderSchema, Report: reportSchema, Approval: approvalSchema, ApprovalStatement: approvalStatementSchema,
  CloudEvent: cloudEventSchema, Notification: notificationSchema, RelayedMessage: relayedMessageSchema, RelayedVerdict: relayedVerdictSchema, VerdictAnswer: verdictAnswerSchema,
  CopyPage: copyPageSchema, RecipientAsk: recipientAskSchema, ApiRecipient: apiRecipientSchema, ApiCall: apiCallSchema, ApiAnswerHead: apiAnswerHeadSchema,
};

const PARAMETERS: Json = {
  lane: { description: 'An executor: its id without `executor:`, each `.` written as `=2e`.', examples: ['main', 'pg=2eeu-1'] },
  log: { description: 'The id of a log: the first 16 hex digits of SHA-256(origin).', examples: ['3dfc5f0e30f90517'] },
  audience: { description: 'The id of a log, or `all`: every sidecar.', examples: ['3dfc5f0e30f90517', 'all'] },
  token: { description: '32 hex digits. What the sidecar sends is under tokens that nobody else can guess; what a worker sends, under the start of the digest of its report.', examples: ['0123456789abcdef0123456789abcdef'] },
  authority: { description: 'Whose lock it is: the id of a log, or `revoker`.', examples: ['3dfc5f0e30f90517', 'revoker'] },
  lockId: { description: 'A lock.', examples: ['lck_01M85HVDNEKQEDJQ32QHJHD0YZ'] },
  event: { description: 'A notification, which is two tokens.', examples: ['approval.requested', 'approval.decided', 'approval.escalated'] },
  digest: { description: 'SHA-256 of an object, 64 hex digits.', examples: ['0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b'] },
  part: { description: 'Parts are counted from 0.', examples: ['0'] },
  leaseId: { description: 'A lease.', examples: ['lse_3dfc5f0e30f90517_01M85HVDNEKQEDJQ32QHJHD0YZ'] },
};

const text = (description: string, more: Json = {}): Json => ({ type: 'string', description, ...more });
const headers = (fields: Readonly<Record<string, Json>>, required: readonly string[] = Object.keys(fields)): Json => ({ type: 'object', properties: fields, required: [...required] });

const TRACED = { traceparent: text('In which trace it was sent (W3C Trace Context), where it was in one. Believed for nothing: what is none is ignored.') };

interface MessageSpec {
  readonly title: string;
  readonly summary: string;
  /** A schema by name; null for bytes. */
  readonly payload: string | null;
  readonly contentType?: string;
  readonly headers?: Json;
}

const MESSAGES = {
  step: { title: 'A step to be taken up', summary: 'The ticket with all that proves it.', payload: 'StepEnvelope', headers: headers({ 'Nats-Expected-Last-Subject-Sequence': text('The stream takes each subject once.', { const: '0' }), ...TRACED }, ['Nats-Expected-Last-Subject-Sequence']) },
  order: {
    title: 'An order to take back', summary: 'A revoke order in its DSSE envelope, sent to be acted on when it is due.', payload: 'Dsse',
    headers: headers({
      'Nats-Msg-Id': text('The token: repeated orders are one message while the stream remembers.'),
      'Nats-Scheduler': text('The subject of the schedule, where this is one that has become due.'), 'Nats-Schedule-Next': text('As the server sets it.', { const: 'purge' }), ...TRACED,
    }, []),
  },
  armed: {
    title: 'An order, scheduled', summary: 'Held by the stream, which publishes it under the subject of an order when it is due, whoever is dead.', payload: 'Dsse',
    headers: headers({
      'Nats-Schedule': text('`@at` and the order’s `notBefore`.', { pattern: '^@at ' }), 'Nats-Schedule-Target': text('The subject of the order.'),
      'Nats-Expected-Last-Subject-Sequence': text('Refused where the order has become due before.', { const: '0' }), 'Nats-Expected-Last-Subject-Sequence-Subject': text('The subject of the order.'),
    }),
  },
  report: { title: 'A signed report', summary: 'What was done or seen, with the states that it names. A sealed secret is published first, as a delivery.', payload: 'PublishedReport' },
  sealed: { title: 'A sealed secret', summary: 'age ciphertext. Its digest is in the report of the same token.', payload: null, contentType: 'application/octet-stream' },
  claim: {
    title: 'A claim to a lease', summary: 'Which of an executor’s workers acts. The newest message of a subject is the claim.', payload: 'Claim',
    headers: headers({ 'Nats-Expected-Last-Subject-Sequence': text('The sequence of the claim that was read; `0` where there was none.', { pattern: '^(0|[1-9][0-9]*)$' }) }),
  },
  said: { title: 'A worker speaks', summary: 'That it is there, or goes; or what it says to a step. Lossy, and believed for nothing but pace.', payload: 'Said' },
  event: {
    title: 'Something has happened', summary: 'CloudEvents 1.0 in structured mode; `data` is that of a notification. At least once: known by its `id`. A hint, never an authority.', payload: 'CloudEvent',
    contentType: 'application/cloudevents+json', headers: headers({ 'content-type': text('Structured mode.', { const: 'application/cloudevents+json; charset=utf-8' }), 'Nats-Msg-Id': text('The event’s id.') }),
  },
  verdict: { title: 'A person’s verdict, relayed', summary: 'A relayed verdict in its DSSE envelope, signed by the sidecar that authenticated the person, and beside it what she wrote. The answer says what came of it.', payload: 'RelayedMessage' },
  verdictAnswer: { title: 'What came of a verdict', summary: 'For the person who decided; nobody has signed it.', payload: 'VerdictAnswer' },
  recipientAsk: { title: 'To whom are calls sealed?', summary: 'In the clear: a nonce, which the answer is signed with.', payload: 'RecipientAsk' },
  recipientSaid: { title: 'To whom calls are sealed', summary: 'An `ApiRecipient` in its DSSE envelope, signed by the sidecar’s ticket key for the nonce that it was asked with.', payload: 'Dsse' },
  call: { title: 'A sealed call', summary: 'An `ApiCall` in JSON, sealed to that recipient (age, X25519): a request of the HTTP API, with the token of whoever asks.', payload: null, contentType: 'application/octet-stream' },
  answer: {
    title: 'A part of a sealed answer', summary: 'All parts are one age file, sealed to the recipient in the call: a line of `ApiAnswerHead` in JSON, then the body. The last part is empty.', payload: null, contentType: 'application/octet-stream',
    headers: headers({ [API_REFUSED]: text('Why there is no answer, or no more of it. Nobody has signed it: a hint.', { enum: [...CALL_REFUSALS] }) }, []),
  },
  lock: {
    title: 'A lock that stands, or its end', summary: 'A lock statement in its DSSE envelope, by the ticket key of a sidecar or a revoker of the floor. The newest of a subject holds; a lift stands for ever.', payload: 'Dsse',
    headers: headers({ 'Nats-Expected-Last-Subject-Sequence': text('The sequence of what it takes the place of; `0` where there was nothing.', { pattern: '^(0|[1-9][0-9]*)$' }) }),
  },
  copied: { title: 'A page of the ledger’s copy', summary: 'Records under a checkpoint, after the page before it or not at all. Read by `countersign restore` alone, which believes it for its hashes and signature.', payload: 'CopyPage' },
  copiedObject: { title: 'A part of an object', summary: 'Of the object with this digest, which a record names.', payload: null, contentType: 'application/octet-stream' },
  heard: { title: 'A sidecar speaks', summary: 'That it is there; or what became of a report.', payload: 'Ack' },
} as const satisfies Readonly<Record<string, MessageSpec>>;
type MessageName = keyof typeof MESSAGES;

interface ChannelSpec {
  readonly address: string;
  readonly summary: string;
  readonly message: MessageName;
  /** What is answered. */
  readonly answer?: MessageName;
  /** The stream that holds it; null for what nobody holds. */
  readonly stream: string | null;
  readonly consumer?: string;
}

const CHANNELS = {
  steps: { address: act('{lane}', '{log}', '{token}'), summary: 'Steps for an executor.', message: 'step', stream: STREAMS.steps, consumer: consumerOf('{lane}', 'act') },
  orders: { address: revoke('{lane}', '{log}', '{token}'), summary: 'Orders to take back, for an executor.', message: 'order', stream: STREAMS.steps, consumer: consumerOf('{lane}', 'revoke') },
  armed: { address: arm('{lane}', '{log}', '{token}'), summary: 'Orders that wait for their time. No worker reaches it.', message: 'armed', stream: STREAMS.steps },
  results: { address: result('{lane}', '{log}', '{token}'), summary: 'Reports of an executor.', message: 'report', stream: STREAMS.results },
  deliveries: { address: delivery('{lane}', '{log}', '{token}'), summary: 'Sealed secrets that wait for who they are for.', message: 'sealed', stream: STREAMS.deliveries },
  claims: { address: claim('{lane}', '{leaseId}'), summary: 'Claims of an executor’s workers. The newest is read by `DIRECT.GET`.', message: 'claim', stream: STREAMS.claims },
  said: { address: say('{lane}', '{audience}'), summary: 'What workers say to sidecars.', message: 'said', stream: null },
  events: { address: event('{log}', '{event}'), summary: 'What happens to changes of a log.', message: 'event', stream: STREAMS.events },
  verdicts: { address: verdict('{log}'), summary: 'Verdicts on changes of a log, given at another sidecar.', message: 'verdict', answer: 'verdictAnswer', stream: null },
  apiRecipients: { address: apiRecipient('{log}'), summary: 'Asking a sidecar for the key of its API. No worker reaches it.', message: 'recipientAsk', answer: 'recipientSaid', stream: null },
  apiCalls: { address: apiCalls('{log}'), summary: 'The API of a sidecar, for consoles. No worker reaches it, and the bus sees nothing of it.', message: 'call', answer: 'answer', stream: null },
  locks: { address: lock('{authority}', '{lockId}'), summary: 'The locks of every sidecar, and those of revokers that any of them has heard of. No worker reaches it.', message: 'lock', stream: STREAMS.locks },
  copy: { address: pages('{log}'), summary: 'The copy of a ledger, page after page. No worker reaches it.', message: 'copied', stream: STREAMS.ledger },
  copyObjects: { address: 'cs.ledger.{log}.object.{digest}.{part}', summary: 'Objects that copied records name. No worker reaches it.', message: 'copiedObject', stream: STREAMS.ledger },
  heard: { address: ack('{lane}', '{log}'), summary: 'What sidecars say to workers.', message: 'heard', stream: null },
} as const satisfies Readonly<Record<string, ChannelSpec>>;
type ChannelName = keyof typeof CHANNELS;

interface OperationSpec {
  readonly action: 'send' | 'receive';
  readonly channel: ChannelName;
  readonly by: 'worker' | 'sidecar' | 'listener' | 'console';
  readonly summary: string;
}

const OPERATIONS = {
  takeStep: { action: 'receive', channel: 'steps', by: 'worker', summary: 'Pulls steps; acknowledges one once it is claimed in the lease book, refused by a report, or nobody’s.' },
  takeOrder: { action: 'receive', channel: 'orders', by: 'worker', summary: 'Pulls orders; acknowledges one once it is in the lease book, and what is being taken back under its lease is.' },
  report: { action: 'send', channel: 'results', by: 'worker', summary: 'Publishes a report until a sidecar says that it is taken.' },
  deliver: { action: 'send', channel: 'deliveries', by: 'worker', summary: 'Publishes the sealed secret of a report, before the report.' },
  postClaim: { action: 'send', channel: 'claims', by: 'worker', summary: 'Claims a lease, after the claim that was read, or not at all.' },
  readClaim: { action: 'receive', channel: 'claims', by: 'worker', summary: 'Reads the newest claim of a lease.' },
  speak: { action: 'send', channel: 'said', by: 'worker', summary: `Says every ${BEAT_MS} ms that it is there, and what it says to a step.` },
  hear: { action: 'receive', channel: 'heard', by: 'worker', summary: 'Hears of sidecars and of what became of reports.' },
  listen: { action: 'receive', channel: 'events', by: 'listener', summary: 'Hears what happens, and decides nothing by it.' },
  relay: { action: 'send', channel: 'verdicts', by: 'sidecar', summary: 'Asks the sidecar of another log to decide on a verdict as on one of its own.' },
  askRecipient: { action: 'send', channel: 'apiRecipients', by: 'console', summary: 'Asks for the key that calls are sealed to, and believes the signature of a key in its trust folder.' },
  callApi: { action: 'send', channel: 'apiCalls', by: 'console', summary: 'Asks the API in somebody’s name, with her token. What does something is sent once.' },
  tellLock: { action: 'send', channel: 'locks', by: 'sidecar', summary: 'Puts there what it holds or has seen lifted and is not there, when it starts, when the bus is back, and at once when it is set.' },
  hearLock: { action: 'receive', channel: 'locks', by: 'sidecar', summary: 'Reads all of it when it starts or the bus is back, before anything is authorised, and hears of the next at once.' },
  copyRecords: { action: 'send', channel: 'copy', by: 'sidecar', summary: 'Copies records once they are durable.' },
  copyObjects: { action: 'send', channel: 'copyObjects', by: 'sidecar', summary: 'Copies what a record names, before the record.' },
  arm: { action: 'send', channel: 'armed', by: 'sidecar', summary: 'Arms an order before the step that it undoes is published.' },
} as const satisfies Readonly<Record<string, OperationSpec>>;

/** The document. Pure. */
export function asyncApiDocument(version: string): Json {
  return {
    asyncapi: '3.0.0',
    id: 'urn:countersign:bus',
    info: {
      title: 'Countersign over NATS', version, license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
      description: 'The operations tagged `worker` are those of an executor’s worker; a sidecar does the same the other way round. What makes each message believable is in worker-protocol.md.',
    },
    defaultContentType: 'application/json',
    servers: {
      bus: {
        host: 'nats.example:4222', protocol: 'nats', description: `nats-server 2.15 or later with JetStream. Workers reach JetStream under the prefix \`${API_PREFIX}\`; a message has at most ${MESSAGE_BYTES_MAX} bytes.`,
        security: [{ $ref: '#/components/securitySchemes/nkey' }],
      },
    },
    channels: Object.fromEntries(Object.entries<ChannelSpec>(CHANNELS).map(([name, channel]) => [name, channelOf(channel)])),
    operations: Object.fromEntries(Object.entries<OperationSpec>(OPERATIONS).map(([name, operation]) => [name, operationOf(operation)])),
    components: {
      messages: Object.fromEntries(Object.entries<MessageSpec>(MESSAGES).map(([name, message]) => [name, messageOf(name, message)])),
      parameters: PARAMETERS,
      schemas: schemas(),
      securitySchemes: { nkey: { type: 'asymmetricEncryption', description: 'An nkey user (Ed25519): the server sends a nonce, the client signs it.' } },
    },
  };
}

function operationOf({ action, channel, by, summary }: OperationSpec): Json {
  const { message, answer }: ChannelSpec = CHANNELS[channel];
  const of = (name: MessageName): Json => ({ $ref: `#/channels/${channel}/messages/${name}` });
  return {
    action, channel: { $ref: `#/channels/${channel}` }, summary, tags: [{ name: by }], messages: [of(message)],
    ...(answer === undefined ? {} : { reply: { channel: { $ref: `#/channels/${channel}` }, messages: [of(answer)] } }),
  };
}

function channelOf({ address, summary, message, answer, stream, consumer }: ChannelSpec): Json {
  const parameters = [...address.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  return {
    address, summary, messages: Object.fromEntries([message, ...(answer === undefined ? [] : [answer])].map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    parameters: Object.fromEntries(parameters.map((name) => [name, { $ref: `#/components/parameters/${name}` }])),
    ...(stream === null ? {} : { 'x-stream': stream }), ...(consumer === undefined ? {} : { 'x-consumer': consumer }),
  };
}

function messageOf(name: string, { title, summary, payload, contentType = 'application/json', headers: fields }: MessageSpec): Json {
  return {
    name, title, summary, contentType, ...(fields === undefined ? {} : { headers: fields }),
    payload: payload === null ? { type: 'string', format: 'binary' } : { $ref: `#/components/schemas/${payload}` },
  };
}

/** In draft 7, which AsyncAPI's own schemas are a superset of. */
function schemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas: made } = z.toJSONSchema(registry, { target: 'draft-7', unrepresentable: 'any', io: 'input', uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(Object.entries(made).map(([id, schema]) => [placeOf(id), inPlace(schema as Json, id)]));
}

/** What several schemas have in common gets a name of the generator's, which is none that a component may have. */
function placeOf(id: string): string {
  return id === '__shared' ? 'Shared' : id;
}

/** Within the document a schema is found by its place, and so are its own definitions. */
function inPlace({ $id: _id, $schema: _schema, ...schema }: Json, id: string): unknown {
  const text = JSON.stringify(schema).replaceAll('"#/definitions/', `"#/components/schemas/${placeOf(id)}/definitions/`).replaceAll('/__shared#/', `/${placeOf('__shared')}/`);
  return JSON.parse(text) as unknown;
}
