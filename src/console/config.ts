/** `console.yaml`: what a person may set of a console. Paths are taken from the file's directory. Unknown fields are refused. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError, parseFile, pointerOf } from '../config/load.ts';
import { busSchema, hostSchema, LOOPBACK, sourceUrlTrouble } from '../config/schema.ts';
import { issueWords } from '../protocol/issue-words.ts';
import { plainTextSchema } from '../protocol/values.ts';
import { LOOPBACK_RANGES, rangeTrouble } from './source.ts';

const pathSchema = plainTextSchema(1_024);
const urlSchema = plainTextSchema(2_048).refine((text) => sourceUrlTrouble(text) === null, 'https, or http to a loopback address, without user or fragment');
const originSchema = urlSchema.refine((text) => !URL.canParse(text) || new URL(text).origin === text, 'scheme, name and port, and nothing after it');

const rangeSchema = z.string().max(64).superRefine((text, context) => {
  const trouble = rangeTrouble(text);
  if (trouble !== null) context.addIssue({ code: 'custom', message: trouble });
});

const oidcSchema = z.strictObject({
  kind: z.literal('oidc'),
  /** To the letter, as its discovery document has it. */
  issuer: urlSchema.refine((text) => text.startsWith('https:'), 'https'),
  clientId: plainTextSchema(255),
  /** Readable by its owner alone. Left out: a public client. */
  clientSecretFile: pathSchema.optional(),
  scopes: z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'a scope token')).min(1).max(32).default(['openid']),
  /** What the access token is to be for (RFC 8707). */
  resource: plainTextSchema(512).optional(),
  /** Further parameters of the authorization request, such as `audience`. */
  parameters: z.record(z.string().regex(/^[a-z_]{1,64}$/), plainTextSchema(512)).default({}),
});

const sidecarSchema = z
  .strictObject({
    /** In addresses, and for people. */
    name: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'lower-case letters, digits and hyphens'),
    url: originSchema.optional(),
    /** Reached over the bus: the origin of its log, whose key the trust folder has. */
    log: plainTextSchema(255).optional(),
  })
  .refine(({ url, log }) => (url === undefined) !== (log === undefined), 'has a url, or a log and is reached over the bus');

export const consoleConfigSchema = z
  .strictObject({
    /** Where people reach it; passkeys belong to the name in it. */
    publicUrl: originSchema,
    listen: z.strictObject({ host: hostSchema.default('127.0.0.1'), port: z.int().min(0).max(65_535) }),
    /** Left out: something before it ends TLS, on this machine. */
    tls: z.strictObject({ cert: pathSchema, /** Readable by its owner alone. */ key: pathSchema }).optional(),
    /** Addresses, or ranges such as `10.1.0.0/16`, of what stands before the console and says in `X-Forwarded-For` whom it hears from. */
    trustedProxies: z.array(rangeSchema).max(64).default([...LOOPBACK_RANGES]),
    /** `bus`: every sidecar in `sidecars.json` of the trust folder. */
    sidecars: z.union(
      [
        z.literal('bus'),
        z
          .array(sidecarSchema)
          .min(1)
          .max(32)
          .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a name is used twice'),
      ],
      'bus, or a list',
    ),
    /** The bus of those that are not named by URL. */
    nats: busSchema.optional(),
    /** Whose keys the sidecars on the bus have: a trust folder. */
    trust: pathSchema.optional(),
    login: z.discriminatedUnion('kind', [oidcSchema, z.strictObject({ kind: z.literal('token') })]),
    session: z
      .strictObject({
        /** A session that nobody uses ends after so long. */
        idleSeconds: z.int().min(60).max(86_400).default(1_800),
        /** However it is used. */
        lifetimeSeconds: z.int().min(60).max(604_800).default(36_000),
      })
      .prefault({}),
    logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
  })
  .superRefine(({ sidecars, nats, trust }, context) => {
    const isOnBus = sidecars === 'bus' || sidecars.some(({ log }) => log !== undefined);
    for (const [name, given] of [['nats', nats], ['trust', trust]] as const) {
      if (isOnBus && given === undefined) context.addIssue({ code: 'custom', path: [name], message: 'is needed for sidecars on the bus' });
      if (!isOnBus && given !== undefined) context.addIssue({ code: 'custom', path: [name], message: 'is for sidecars on the bus, and none is' });
    }
  })
  .superRefine(({ listen, tls }, context) => {
    if (tls === undefined && ![...LOOPBACK, '::1'].includes(listen.host)) context.addIssue({ code: 'custom', path: ['tls'], message: 'is needed to listen on anything but a loopback address' });
  });
export type ConsoleConfig = z.infer<typeof consoleConfigSchema>;

/** @throws ConfigError naming every value that is wrong */
export async function loadConsoleConfig(path: string): Promise<ConsoleConfig> {
  const file = resolve(path);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigError('unreadable', [{ pointer: '', message: 'cannot be read', source: file }], { cause });
  });
  const parsed = consoleConfigSchema.safeParse(parseFile(text, file));
  if (!parsed.success) throw new ConfigError('malformed', parsed.error.issues.flatMap(inEntries).map((issue) => ({ pointer: pointerOf(issue.path), message: issueWords(issue.message), source: file })));
  const absolute = (name: string): string => resolve(dirname(file), name);
  const { tls, login, nats, trust } = parsed.data;
  return {
    ...parsed.data,
    ...(nats === undefined ? {} : { nats: { ...nats, seed: absolute(nats.seed), ...(nats.caFile === undefined ? {} : { caFile: absolute(nats.caFile) }) } }),
    ...(trust === undefined ? {} : { trust: absolute(trust) }),
    ...(tls === undefined ? {} : { tls: { cert: absolute(tls.cert), key: absolute(tls.key) } }),
    login: login.kind === 'oidc' && login.clientSecretFile !== undefined ? { ...login, clientSecretFile: absolute(login.clientSecretFile) } : login,
  };
}

/** What is wrong with an entry of a list that could also be a word is said of the entry. */
function inEntries(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  const inner = issue.code === 'invalid_union' ? issue.errors.flat().filter(({ path }) => path.length > 0) : [];
  return inner.length === 0 ? [issue] : inner.map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
}
