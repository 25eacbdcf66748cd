/**
 * The log's key in OpenBao's transit engine: it signs there, and cannot be taken away from there.
 *
 * The public half is in the file, so that nobody who answers in its stead can put another in its place: every signature is held to it.
 *
 * @see OpenBao, "Transit secrets engine API": sign data
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { formatVerifier, parseVerifier, type LogSigner } from '../../ledger/index.ts';
import { openWire } from '../openbao/wire.ts';
import { readPrivateFile } from './private-file.ts';
import { SigningKeyError } from './signing-key-error.ts';

const nameSchema = z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/);
const transitKeySchema = z.strictObject({
  kind: z.literal('transit'),
  /** `https://host:port`; http to a loopback address alone. */
  url: z.url().max(255),
  mount: nameSchema.default('transit'),
  key: nameSchema,
  version: z.int().min(1),
  vkey: z.string().max(512),
  /** File of a token that may sign with it, as seen from this file; read anew each time. */
  token: z.string().min(1).max(1024),
  caFile: z.string().min(1).max(1024).optional(),
});
export type TransitKey = z.infer<typeof transitKeySchema>;

/** A checkpoint is due within a second: one that takes longer is asked for again. */
const DEADLINE_MS = 2_000;

/** What a key file says of a key that is held elsewhere; null for any other file. @throws SigningKeyError */
export function parseTransitKey(text: string, path: string): TransitKey | null {
  if (!text.startsWith('{')) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SigningKeyError(path, 'is no JSON');
  }
  return held(transitKeySchema, value, path);
}

function held<T extends { readonly url: string }>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new SigningKeyError(path, `does not say where a key is held: ${parsed.error.issues.map(({ path: at, message }) => `${at.join('.')}: ${message}`).join('; ')}`);
  const { protocol, hostname } = new URL(parsed.data.url);
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback)) throw new SigningKeyError(path, 'names an address that is neither https nor loopback');
  return parsed.data;
}

/** A signer that asks. @param path of its file: what it names is relative to that */
export async function openTransitKey(key: TransitKey, path: string): Promise<LogSigner> {
  const verifier = parseVerifierAt(key.vkey, path);
  const ask = await openTransit(key, path);
  return {
    name: verifier.name, keyName: verifier.keyName, vkey: key.vkey,
    async sign(message) {
      const body = await ask('POST', `/v1/${key.mount}/sign/${key.key}`, { input: Buffer.from(message).toString('base64'), key_version: key.version });
      const signature = signatureSchema.safeParse(body);
      if (!signature.success) throw new SigningKeyError(path, 'is held by a service that answered with no signature');
      return Buffer.from(signature.data.data.signature.split(':')[2]!, 'base64');
    },
  };
}

const signatureSchema = z.object({ data: z.object({ signature: z.string().regex(/^vault:v[0-9]+:[A-Za-z0-9+/]{86}==$/) }) });
const keySchema = z.object({ data: z.object({ type: z.string(), latest_version: z.int(), keys: z.record(z.string(), z.object({ public_key: z.string() })) }) });

/** What a file says of a key that is there already. @throws SigningKeyError */
export async function describeTransitKey(given: object, origin: string, path: string): Promise<TransitKey> {
  const where = held(transitKeySchema.omit({ version: true, vkey: true }), given, path);
  const ask = await openTransit(where, path);
  const found = keySchema.safeParse(await ask('GET', `/v1/${where.mount}/keys/${where.key}`));
  if (!found.success || found.data.data.type !== 'ed25519') throw new SigningKeyError(path, `cannot be written: ${where.key} is no ed25519 key`);
  const version = found.data.data.latest_version;
  const publicKey = Buffer.from(found.data.data.keys[String(version)]?.public_key ?? '', 'base64');
  return { ...where, version, vkey: formatVerifier(origin, publicKey) };
}

function parseVerifierAt(vkey: string, path: string): ReturnType<typeof parseVerifier> {
  try {
    return parseVerifier(vkey);
  } catch (cause) {
    throw new SigningKeyError(path, `has no public key as its vkey: ${(cause as Error).message}`, { cause });
  }
}

async function openTransit({ url, token, caFile }: Pick<TransitKey, 'url' | 'token' | 'caFile'>, path: string): Promise<(method: 'GET' | 'POST', at: string, body?: object) => Promise<unknown>> {
  const near = (name: string): string => resolve(dirname(path), name);
  const ca = caFile === undefined ? undefined : await readFile(near(caFile), 'utf8');
  const wire = openWire(new URL(url), ca);
  return async (method, at, body) => {
    const bearer = Buffer.from(await readPrivateFile(near(token))).toString('utf8').trim();
    if (!/^[!-~]+$/.test(bearer)) throw new SigningKeyError(near(token), 'holds no token');
    const { status, body: answered } = await wire.send(method, at, { 'x-vault-token': bearer, 'x-vault-request': 'true' }, body, AbortSignal.timeout(DEADLINE_MS));
    if (status !== 200) throw new SigningKeyError(path, `is held at ${url}, which answered with status ${status}`);
    return answered;
  };
}
