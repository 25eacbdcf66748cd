/** `executor.yaml`: what a person may set of an executor. Paths are taken from the file's directory. Unknown fields are refused. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { busSchema } from '../config/schema.ts';
import { issueWords } from '../protocol/issue-words.ts';
import { connectorIdSchema, executorIdSchema, plainTextSchema } from '../protocol/values.ts';
import { tracingSchema } from '../tracing/config.ts';

const pathSchema = plainTextSchema(1_024);

export const postgresConfigSchema = z.strictObject({
  kind: z.literal('postgres'),
  /** A name, an address, or the directory of a unix socket. */
  host: plainTextSchema(255),
  port: z.int().min(1).max(65_535).default(5_432),
  /** The connector's one target. */
  database: plainTextSchema(63),
  user: plainTextSchema(63),
  /** Holds the password; readable by its owner alone. Read again at each connection, so that it can be rotated. */
  passwordFile: pathSchema,
  /** `verify-full` unless the server is on this machine. */
  sslmode: z.enum(['disable', 'require', 'verify-full']).optional(),
  /** PEM of the authorities to trust. */
  caFile: pathSchema.optional(),
});
export type PostgresConfig = z.infer<typeof postgresConfigSchema>;

const openbaoServer = {
  /** `https://host:port`. */
  address: plainTextSchema(255),
  /** Holds the connector's token; readable by its owner alone. Read again at each operation, so that it can be rotated. */
  tokenFile: pathSchema,
  /** PEM of the authorities to trust. */
  caFile: pathSchema.optional(),
  namespace: plainTextSchema(128).optional(),
  /** For `http` to a server on this machine. */
  allowHttp: z.boolean().default(false),
};
export const openbaoConfigSchema = z.strictObject({
  kind: z.literal('openbao'),
  ...openbaoServer,
  /** Where AppRole is mounted: the connector's one target. */
  mount: plainTextSchema(128).default('approle'),
});
export type OpenBaoConfig = z.infer<typeof openbaoConfigSchema>;

/** Tokens, made for a lease. */
export const openbaoTokenConfigSchema = z.strictObject({ kind: z.literal('openbao-token'), ...openbaoServer });
export type OpenBaoTokenConfig = z.infer<typeof openbaoTokenConfigSchema>;

/** Dynamic database credentials. */
export const openbaoDatabaseConfigSchema = z.strictObject({
  kind: z.literal('openbao-database'),
  ...openbaoServer,
  /** Where the database engine is mounted: the connector's one target. */
  mount: plainTextSchema(128).default('database'),
  /** The ACL policy that lets a token read the credentials of the roles that may be given. */
  policy: plainTextSchema(128),
});
export type OpenBaoDatabaseConfig = z.infer<typeof openbaoDatabaseConfigSchema>;

export const webhookConfigSchema = z.strictObject({
  kind: z.literal('webhook'),
  /** Where the receiver is: `https://host/path`. No secret belongs in it. */
  url: plainTextSchema(2_048),
  /** Holds `whsec_…`, a second line while the receiver changes over; readable by its owner alone. Read again at each request, so that it can be rotated. */
  signingSecretFile: pathSchema,
  /** PEM of the authorities to trust. */
  caFile: pathSchema.optional(),
  /** For one request; what would be begun later is void. Shorter than the worker's own deadline, 15 s. */
  timeoutSeconds: z.int().min(1).max(14).default(10),
  /** For `http` to a receiver on this machine. */
  allowHttp: z.boolean().default(false),
  /** For a receiver at a loopback or private address. */
  allowPrivate: z.boolean().default(false),
});
export type WebhookConfig = z.infer<typeof webhookConfigSchema>;

export const moduleConfigSchema = z.strictObject({
  kind: z.literal('module'),
  /** A JavaScript module whose `openConnector(id, options)` gives the connector. It runs in the executor: nobody but its owner may write to it. */
  file: pathSchema,
  /** For the module to check; paths in it are as they are written. */
  options: z.record(z.string(), z.json()).default({}),
});
export type ModuleConfig = z.infer<typeof moduleConfigSchema>;

export const connectorConfigSchema = z.discriminatedUnion('kind', [
  postgresConfigSchema, openbaoConfigSchema, openbaoTokenConfigSchema, openbaoDatabaseConfigSchema, webhookConfigSchema, moduleConfigSchema,
]);
export type ConnectorConfig = z.infer<typeof connectorConfigSchema>;

/** A key-value store (version 2) that secrets are kept in. */
export const openbaoKvConfigSchema = z.strictObject({
  kind: z.literal('openbao-kv'),
  ...openbaoServer,
  /** Where the store is mounted. */
  mount: plainTextSchema(128).default('secret'),
  /** Nothing is kept outside it. */
  prefix: plainTextSchema(256).optional(),
});
export type OpenBaoKvConfig = z.infer<typeof openbaoKvConfigSchema>;

const hostSchema = z.string().max(255).regex(/^[A-Za-z0-9.:-]+$/, 'an address or a name, without a port');

/** Addresses of this machine alone. */
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

/** Where signed revoke orders are taken by HTTPS: for when sidecar and bus are dead. */
export const doorSchema = z
  .strictObject({
    /** The address to listen on; `0.0.0.0` and `::` are all of them. */
    host: hostSchema.default('127.0.0.1'),
    /** 0: the system chooses. */
    port: z.int().min(0).max(65_535),
    /** PEM of the certificate, those that it is signed by after it. */
    certFile: pathSchema.optional(),
    /** PEM of its key; readable by its owner alone. */
    keyFile: pathSchema.optional(),
    /** Without a certificate: plain HTTP, to this machine alone, such as for a proxy that adds the TLS. */
    allowHttp: z.boolean().default(false),
  })
  .superRefine(({ host, certFile, keyFile, allowHttp }, context) => {
    const trouble = (message: string): void => context.addIssue({ code: 'custom', message });
    if ((certFile === undefined) !== (keyFile === undefined)) trouble('certFile and keyFile belong together');
    else if (certFile === undefined && !allowHttp) trouble('needs certFile and keyFile, or allowHttp on a loopback address');
    else if (certFile === undefined && !LOOPBACK.has(host)) trouble('without a certificate it listens on a loopback address only');
    else if (certFile !== undefined && allowHttp) trouble('either a certificate or allowHttp');
  });

/** There is nothing in it but numbers, by labels from closed lists; whoever can connect may read it. */
export const metricsSchema = z.strictObject({
  /** The address to listen on; `0.0.0.0` and `::` are all of them. */
  host: hostSchema.default('127.0.0.1'),
  /** 0: the system chooses. */
  port: z.int().min(0).max(65_535),
});

export const executorConfigSchema = z.strictObject({
  /** As in the trust folder's `executors.json`. */
  id: executorIdSchema,
  /** Path of the unix socket on which sidecars find it; only its owner can connect. */
  socket: pathSchema,
  /** The bus on which sidecars find it as well, and to which its reports go. */
  nats: busSchema.optional(),
  /** Left out: orders come by the socket, the bus, or as a file. */
  door: doorSchema.optional(),
  /** Left out: no traces. */
  tracing: tracingSchema.optional(),
  /** Where Prometheus finds how it does, at `GET /metrics`; left out: nowhere. */
  metrics: metricsSchema.optional(),
  /** Its signing key; readable by its owner alone. */
  key: pathSchema,
  /** Its own trust folder. */
  trust: pathSchema,
  /** Directory of its lease book: its alone. */
  state: pathSchema,
  /** 32 bytes, base64: what a leaked secret is recognised by. Readable by its owner alone. */
  fingerprintKey: pathSchema,
  connectors: z.record(connectorIdSchema, connectorConfigSchema).refine((all) => Object.keys(all).length > 0, 'an executor has at least one connector'),
  /** Stores that secrets are kept in, for recipients `kv:<sink>/<path>`. */
  sinks: z.record(connectorIdSchema, openbaoKvConfigSchema).default({}),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});
export type ExecutorConfig = z.infer<typeof executorConfigSchema>;

/** A configuration that cannot be used: the file, and where in it. */
export class ConfigError extends Error {
  readonly file: string;
  constructor(file: string, message: string, options?: ErrorOptions) {
    super(`${file}: ${message}`, options);
    this.name = 'ConfigError';
    this.file = file;
  }
}

/** The configuration in the file, its paths absolute. @throws ConfigError */
export async function loadExecutorConfig(path: string): Promise<ExecutorConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(path, 'cannot be read', { cause });
  });
  let value: unknown;
  try {
    value = parse(text, { uniqueKeys: true, maxAliasCount: 0 });
  } catch (cause) {
    throw new ConfigError(path, `not YAML: ${cause instanceof Error ? cause.message.split('\n')[0]! : ''}`, { cause });
  }
  const parsed = executorConfigSchema.safeParse(value);
  if (!parsed.success) throw new ConfigError(path, parsed.error.issues.map((issue) => `/${issue.path.join('/')}: ${issueWords(issue.message)}`).join('; '));
  return withAbsolutePaths(parsed.data, dirname(resolve(path)));
}

function withAbsolutePaths(config: ExecutorConfig, from: string): ExecutorConfig {
  const at = (path: string): string => resolve(from, path);
  const caOf = ({ caFile }: { readonly caFile?: string | undefined }): { readonly caFile?: string } => (caFile === undefined ? {} : { caFile: at(caFile) });
  const absolute = (connector: ConnectorConfig): ConnectorConfig => {
    switch (connector.kind) {
      case 'postgres':
        return { ...connector, ...caOf(connector), passwordFile: at(connector.passwordFile) };
      case 'openbao':
      case 'openbao-token':
      case 'openbao-database':
        return { ...connector, ...caOf(connector), tokenFile: at(connector.tokenFile) };
      case 'webhook':
        return { ...connector, ...caOf(connector), signingSecretFile: at(connector.signingSecretFile) };
      case 'module':
        return { ...connector, file: at(connector.file) };
    }
  };
  const connectors = Object.entries(config.connectors).map(([id, connector]) => [id, absolute(connector)] as const);
  const sinks = Object.entries(config.sinks).map(([id, sink]) => [id, { ...sink, ...(sink.caFile === undefined ? {} : { caFile: at(sink.caFile) }), tokenFile: at(sink.tokenFile) }] as const);
  return {
    ...config, socket: at(config.socket), key: at(config.key), trust: at(config.trust), state: at(config.state), fingerprintKey: at(config.fingerprintKey),
    ...(config.nats === undefined ? {} : { nats: { ...config.nats, seed: at(config.nats.seed), ...(config.nats.caFile === undefined ? {} : { caFile: at(config.nats.caFile) }) } }),
    ...(config.door === undefined ? {} : {
      door: { ...config.door, ...(config.door.certFile === undefined ? {} : { certFile: at(config.door.certFile) }), ...(config.door.keyFile === undefined ? {} : { keyFile: at(config.door.keyFile) }) },
    }),
    connectors: Object.fromEntries(connectors), sinks: Object.fromEntries(sinks),
  };
}
