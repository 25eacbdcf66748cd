/** `countersign.yaml`: what a person may set, each with what it is when she does not. `docs/surface.md` lists the keys. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { notificationEventSchema, webhookNameSchema } from '../change/events.ts';
import { identitySchema } from '../identity/issuer-config.ts';
import { tracingSchema } from '../tracing/config.ts';
import { mayConnect } from '../webhook/address.ts';
import { TICKET_SECONDS_MAX } from '../protocol/signed.ts';
import { activationFloorSchema, exceptionFloorSchema } from '../protocol/trust.ts';
import { connectorIdSchema, executorIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';

const pathSchema = plainTextSchema(1024);
const secondsSchema = (least: number, most: number): z.ZodInt => z.int().min(least).max(most);
export const hostSchema = z.string().max(255).regex(/^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)$/, 'a name or address without a port');

const limitsSchema = z
  .strictObject({
    /** How long a ticket lives. */
    ticketSeconds: secondsSchema(10, TICKET_SECONDS_MAX).default(300),
    /** How long approvers have. */
    approvalSeconds: secondsSchema(60, 2_592_000).default(86_400),
    /** How long a sealed secret waits to be fetched; then the credential is undone. */
    deliverySeconds: secondsSchema(60, 2_592_000).default(86_400),
    /** How long after a lease's end its report may take before it is a finding. */
    overdueSeconds: secondsSchema(1, 3_600).default(30),
    /** A step or order that nobody has answered is sent again this often. */
    republishSeconds: secondsSchema(1, 3_600).default(10),
    /** Changes of one principal that may wait at a time. */
    openChangesPerRequester: z.int().min(1).max(100_000).default(1_000),
    /** How long one policy decision may take, in ms; a longer one is a fault, and nothing is given. */
    policyDeadlineMs: z.int().min(10).max(60_000).default(1_000),
    /** The facts files are read again this often. */
    factsSeconds: secondsSchema(1, 3_600).default(60),
    /** Every connector is looked at and compared with what is recorded this often; 0: only when somebody asks. */
    reconcileSeconds: secondsSchema(0, 604_800).default(3_600),
    /** How long requests in flight have to end when the sidecar is stopped. */
    drainSeconds: secondsSchema(1, 600).default(10),
  })
  .prefault({});

const leasesSchema = z
  .strictObject({
    /** Leases that run are decided on again when facts or policy have changed. */
    redecision: z
      .strictObject({
        /** How often it is looked whether they have, in seconds; 0: never. */
        everySeconds: secondsSchema(0, 3_600).default(5),
        /** More than so many percent of the leases that run, and more than so many leases, are not taken back at once before a person confirms. */
        confirmAbove: z.strictObject({ percent: z.int().min(0).max(100).default(20), leases: z.int().min(0).max(1_000_000).default(5) }).prefault({}),
      })
      .prefault({}),
  })
  .prefault({});

export const busSchema = z.strictObject({
  /** `nats://` or `tls://` URLs of one cluster. */
  servers: z.array(z.string().max(255).regex(/^(?:nats|tls):\/\/[A-Za-z0-9.[\]:-]+$/, 'nats://host:port or tls://host:port')).min(1).max(16),
  /** File of an nkey user seed (`SU…`); readable by its owner alone. */
  seed: pathSchema,
  /** PEM of the authorities to trust instead of the system's. */
  caFile: pathSchema.optional(),
});

/** Of a sidecar: what it tells the bus, and whom it hears there. */
const sidecarBusSchema = busSchema.extend({
  /** What is told there, as CloudEvents. Left out: nothing. */
  events: z.array(notificationEventSchema).min(1).max(64).optional(),
  /** Origins of other logs, whose sidecars may say who has decided on a change of this one. */
  relays: z.array(z.string().max(255).regex(/^[^\s+]+$/, 'no white space and no +')).max(16).default([]),
  /** Whether a console may call the API there, sealed, with the token of whoever uses it. */
  api: z.boolean().default(false),
});

/** People have a minute to decide, at the least. */
const coalesceSchema = secondsSchema(0, 30);

const webhookSchema = z
  .strictObject({
    /** In records, in logs and in each message's id: another name is another receiver. */
    name: webhookNameSchema,
    /** No secret belongs in it: it is printed. The signature says who sends. */
    url: plainTextSchema(2048),
    /** File of `whsec_…`, readable by its owner alone; a second line while the receiver changes over. */
    secret: pathSchema,
    /** What it is told of. Left out: everything. */
    events: z.array(notificationEventSchema).min(1).max(64).optional(),
    /** Only what names one of them. Left out: whatever is named. */
    consumers: z.array(plainTextSchema(128)).min(1).max(256).optional(),
    /** What comes in a spell of so many seconds is told at its end, and where that is much of a kind, in one message; 0: each at once, by itself. Nothing urgent waits. */
    coalesceSeconds: coalesceSchema.default(0),
    /** Lets `url` be http. */
    allowHttp: z.boolean().default(false),
    /** Lets it be at a loopback or private address. */
    allowPrivate: z.boolean().default(false),
  })
  .superRefine(({ url, allowHttp, allowPrivate }, context) => {
    const trouble = urlTrouble(url, allowHttp, allowPrivate);
    if (trouble !== null) context.addIssue({ code: 'custom', message: trouble, path: ['url'] });
  });

/** A channel in Slack where changes are shown and decided. */
const slackSchema = z.strictObject({
  /** `C…` or `G…`: the channel; the app has been invited to it. */
  channel: z.string().regex(/^[CG][A-Z0-9]{2,31}$/, 'a channel id, C…'),
  /** `T…`: the workspace; presses in another are refused. */
  team: z.string().regex(/^[TE][A-Z0-9]{2,31}$/, 'a workspace id, T…'),
  /** File of the app's bot token (`xoxb-…`); readable by its owner alone. */
  token: pathSchema,
  /** File of the app's signing secret; readable by its owner alone. A second line while one is changed for the next. */
  signingSecret: pathSchema,
  /** Whose a Slack account (`U…`) is. Nobody else decides anything there. */
  people: z
    .array(z.strictObject({ account: z.string().regex(/^[UW][A-Z0-9]{2,31}$/, 'an account id, U…'), person: personIdSchema }))
    .max(10_000)
    .refine((people) => isUnique(people.map(({ account }) => account)), 'an account is listed twice')
    .refine((people) => isUnique(people.map(({ person }) => person)), 'a person has one Slack account'),
  /** Changes that come in a spell of so many seconds are shown at its end, and many of them in one message; 0: each at once, by itself. Nothing urgent waits. */
  coalesceSeconds: coalesceSchema.default(5),
  /** Slack's Web API. */
  url: z.string().max(2_048).default('https://slack.com/api/').refine((text) => sourceUrlTrouble(text) === null && text.endsWith('/'), 'https, or http to a loopback address, ending with /'),
});

/** A bundle in the format of OPA, signed: over HTTP, or in the directory that `policy` names. */
export const policySourceSchema = z
  .strictObject({
    /** Whose signature of a bundle is believed: PEM of a public key, with the scope that the signature must have, or none. */
    keys: z.array(z.strictObject({ file: pathSchema, algorithm: z.enum(['ES256', 'RS256', 'EdDSA']), scope: plainTextSchema(128).optional() })).min(1).max(16),
    /** Where bundles are fetched; http to a loopback address only. Left out: they are in the directory `policy`. */
    url: z.string().max(2_048).refine((text) => sourceUrlTrouble(text) === null, 'https, or http to a loopback address, without user or fragment').optional(),
    /** File of a bearer token to fetch with; readable by its owner alone. */
    token: pathSchema.optional(),
    /** PEM of the authorities, or of the very certificate, to trust there instead of the system's. */
    caFile: pathSchema.optional(),
    /** How often it is looked whether there is a newer one. */
    everySeconds: secondsSchema(1, 86_400).default(60),
    timeoutSeconds: secondsSchema(1, 600).default(30),
  })
  .refine(({ url, token, caFile }) => url !== undefined || (token === undefined && caFile === undefined), 'token and caFile are for a url');

export const configSchema = z
  .strictObject({
  /** The log's name: in its key, its checkpoints and every id. Never changes. */
  origin: z.string().max(255).regex(/^[^\s+]+$/, 'no white space and no +'),
  /** The directory that holds `ledger/`, `journal/` and `deliveries/`. */
  data: pathSchema,
  listen: z
    .strictObject({
      /** Path of a unix socket; only its owner can connect. */
      socket: pathSchema.optional(),
      /** Loopback only: bearer tokens go over it in clear. */
      host: z.enum(['127.0.0.1', '::1']).default('127.0.0.1'),
      /** 0: the system chooses. */
      port: z.int().min(0).max(65_535).optional(),
    })
    .refine((listen) => listen.socket !== undefined || listen.port !== undefined, 'say socket, port, or both'),
  /** Names in `Host` that this sidecar answers to, beside localhost and loopback. */
  hosts: z.array(hostSchema).max(64).default([]),
  /** Where the sidecar is reached from elsewhere, through whatever ends TLS: `https://pdp.example.com`. AuthZEN's discovery tells it, and the page for approvers (`/approve`) is served there; its name is one of `hosts`. */
  publicUrl: z.string().max(255).refine((text) => /^(?:https:\/\/|http:\/\/localhost(?::|$))/.test(text) && URL.canParse(text) && new URL(text).origin === text, 'an https URL without a path, or http://localhost').optional(),
  /** Whether `/metrics` is there, for tokens of the role `monitor`. */
  metrics: z.enum(['none', 'prometheus']).default('none'),
  /** Left out: no traces. */
  tracing: tracingSchema.optional(),
  /** Who may read checkpoint and tiles under `/ledger/`; objects are for auditors alone. */
  ledgerReaders: z.enum(['auditors', 'anyone']).default('auditors'),
  /** File of token digests; readable by its owner alone. */
  tokens: pathSchema,
  /** Whose tokens are taken beside those; `docs/identity.md`. */
  identity: identitySchema,
  /**
   * Signed-note keys; readable by their owner alone. `log` signs checkpoints, `ticket` everything that goes to executors. The log's may be held by OpenBao;
   * `docs/runbooks/log-key.md` says how, and how another takes over.
   */
  keys: z.strictObject({
    log: pathSchema,
    ticket: pathSchema,
    /** The key that `log` takes over from: at the start this is recorded, signed by both. */
    rotateFrom: pathSchema.optional(),
    /** File of the passphrase or age identity that opens those of the files that are encrypted. */
    unlock: pathSchema.optional(),
  }),
  /** Trust folder: whose reports are believed. */
  trust: pathSchema,
  /** Directory of the compiled bundle. Left out: the policy that comes with the package. */
  policy: pathSchema.optional(),
  policySource: policySourceSchema.optional(),
  /** Who must approve that a policy bundle comes into force; what the trust folder's `requirements.json` asks, is asked beside it. Left out: nobody. */
  policyActivation: activationFloorSchema.optional(),
  /** Who must grant exceptions and scopes under observe, by their own SSH signatures in the entries; what the trust folder's `requirements.json` asks, is asked beside it. Left out: nobody. */
  exceptionGrants: exceptionFloorSchema.optional(),
  facts: z.strictObject({ inventory: pathSchema, catalogue: pathSchema, directory: pathSchema, usage: pathSchema.optional(), calendar: pathSchema.optional(), exceptions: pathSchema.optional() }),
  /** None: every change is made by its caller, and nobody looks at what it did. */
  executors: z
    .array(z.strictObject({
      id: executorIdSchema,
      /** Left out: it is reached over the bus. */
      socket: pathSchema.optional(),
      /** Its door for signed revoke orders, `https://host:port`: for `revoke --now`, when all else is dead. */
      url: plainTextSchema(255).refine((text) => doorUrlTrouble(text) === null, 'https://host:port, or http to a loopback address, and nothing after it').optional(),
      /** PEM of the authorities, or of the very certificate, to trust there instead of the system's. */
      caFile: pathSchema.optional(),
      connectors: z.array(connectorIdSchema).min(1).max(64),
    }))
    .max(64)
    .refine((executors) => isUnique(executors.map((one) => one.id)), 'an executor is listed twice')
    .refine((executors) => isUnique(executors.flatMap((one) => one.connectors)), 'a connector is served by one executor'),
  /** The bus of those executors that have no socket. */
  nats: sidecarBusSchema.optional(),
  /** Who is told what happens, by signed HTTP requests. */
  webhooks: z
    .array(webhookSchema)
    .max(64)
    .refine((webhooks) => isUnique(webhooks.map((one) => one.name)), 'a webhook is listed twice')
    .default([]),
  slack: slackSchema.optional(),
  limits: limitsSchema,
  leases: leasesSchema,
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})
  .superRefine(({ executors, nats, webhooks, slack, origin, policy, policySource }, context) => {
    if (policySource !== undefined && (policySource.url === undefined) !== (policy !== undefined)) context.addIssue({ code: 'custom', message: 'say policySource.url, or policy for the directory, and not both', path: ['policySource'] });
    // In records, a name is one receiver.
    if (nats?.events !== undefined && webhooks.some(({ name }) => name === 'nats')) context.addIssue({ code: 'custom', message: 'the bus is told by that name: call the webhook something else', path: ['webhooks'] });
    if (slack !== undefined && webhooks.some(({ name }) => name === 'slack')) context.addIssue({ code: 'custom', message: 'Slack is told by that name: call the webhook something else', path: ['webhooks'] });
    if (nats?.relays.includes(origin) === true) context.addIssue({ code: 'custom', message: 'a log does not relay to itself', path: ['nats', 'relays'] });
    for (const [index, { socket }] of executors.entries()) {
      if (socket === undefined && nats === undefined) context.addIssue({ code: 'custom', message: 'has no socket, and there is no nats: nothing reaches it', path: ['executors', index] });
    }
  });
export type Config = z.infer<typeof configSchema>;

/** Keys whose values are paths: taken from the file's directory, and absolute once loaded. */
export const PATH_KEYS: readonly string[] = [
  'data', 'listen.socket', 'tokens', 'keys.log', 'keys.ticket', 'keys.rotateFrom', 'keys.unlock', 'trust', 'policy', 'policySource.token', 'policySource.caFile', 'facts.inventory', 'facts.catalogue', 'facts.directory',
  'facts.usage', 'facts.calendar', 'facts.exceptions', 'nats.seed', 'nats.caFile', 'slack.token', 'slack.signingSecret',
];

function urlTrouble(text: string, allowHttp: boolean, allowPrivate: boolean): string | null {
  if (!URL.canParse(text)) return 'not a URL';
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && allowHttp)) return 'must be https, or http where allowHttp says so';
  if (url.username !== '' || url.password !== '' || url.hash !== '') return 'holds a user, a password or a fragment';
  // A name is looked up, and what it resolves to looked at, each time that something is told.
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0 && !mayConnect(address, allowPrivate)) return mayConnect(address, true) ? 'a private address, and allowPrivate does not say so' : 'an address that nothing is sent to';
  return null;
}

/** Names of this machine itself: what is sent there crosses no network. */
export const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

export function sourceUrlTrouble(text: string): string | null {
  if (!URL.canParse(text)) return 'not a URL';
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== '' || password !== '' || hash !== '') return 'holds a user, a password or a fragment';
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.includes(hostname)) ? null : 'must be https, or http to a loopback address';
}

/** Why an executor's door cannot be at this URL; null where it can. */
export function doorUrlTrouble(text: string): string | null {
  if (!URL.canParse(text)) return 'not a URL';
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text);
  if (protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.includes(hostname))) return 'must be https, or http to a loopback address';
  return username !== '' || password !== '' || pathname !== '/' || search !== '' || hash !== '' ? 'has more than a host and a port' : null;
}

function isUnique(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
