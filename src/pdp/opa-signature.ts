/**
 * `.signatures.json` of an OPA bundle: a JWT that lists every other file with its hash. Which key to believe is said by whoever runs the bundle,
 * and never by the bundle.
 *
 * @see https://www.openpolicyagent.org/docs/latest/management-bundles/#signing
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { parseStrict, type JsonValue } from '../../ledger/index.ts';
import { EngineFault } from './fault.ts';
import { normalName, type BundleFiles } from './opa-archive.ts';

export const SIGNATURES_FILE = '.signatures.json';
export const MANIFEST_FILE = '.manifest';
const JSON_BYTES_MAX = 16 * 1024 * 1024;
/** Of what is read before anybody is known to have signed it: more than a list of as many files as there may be takes. */
const UNSIGNED_BYTES_MAX = 1024 * 1024;
/** Those of OPA that have a public half, one of each kind. */
export const SIGNATURE_ALGORITHMS = ['ES256', 'RS256', 'EdDSA'] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

export interface VerificationKey {
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyObject;
  /** What the signature's `scope` must be; null: it must have none. */
  readonly scope: string | null;
}
export interface SigningKey {
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyObject;
  readonly scope: string | null;
  /** `keyid` and `kid`, by which OPA finds the key in its own configuration. */
  readonly id: string | null;
}

const HASHES: Readonly<Record<string, string>> = { 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512', 'SHA-512-256': 'sha512-256' };
const KEY_TYPES: Readonly<Record<SignatureAlgorithm, string>> = { ES256: 'ec', RS256: 'rsa', EdDSA: 'ed25519' };
const RSA_BITS_MIN = 2_048;
/** OPA hashes these as documents: white space and the order of members do not matter. */
const DOCUMENTS: ReadonlySet<string> = new Set(['data.json', 'data.yaml', MANIFEST_FILE]);

const signaturesSchema = z.looseObject({ signatures: z.array(z.string()).length(1) });
const headerSchema = z.looseObject({ alg: z.string() });
const payloadSchema = z.looseObject({
  files: z.array(z.looseObject({ name: z.string(), hash: z.string(), algorithm: z.string() })).max(1_024),
  scope: z.string().optional(),
});

/** The public key of a PEM file. @throws Error for what is no key for that algorithm */
export function parseVerificationKey(pem: string, algorithm: SignatureAlgorithm): KeyObject {
  return demandKey(createPublicKey(pem), algorithm);
}

/** @throws Error for what is no key for that algorithm; it may quote the key */
export function parseSigningKey(pem: string, algorithm: SignatureAlgorithm): KeyObject {
  return demandKey(createPrivateKey(pem), algorithm);
}

function demandKey(key: KeyObject, algorithm: SignatureAlgorithm): KeyObject {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type !== KEY_TYPES[algorithm]) throw new Error(`a key of the type ${String(type)} is none for ${algorithm}`);
  if (algorithm === 'ES256' && details?.namedCurve !== 'prime256v1') throw new Error('ES256 needs a key on P-256');
  if (algorithm === 'RS256' && (details?.modulusLength ?? 0) < RSA_BITS_MIN) throw new Error(`an RSA key of less than ${RSA_BITS_MIN} bits`);
  return key;
}

/**
 * One of the keys has signed exactly these files: each is listed once with its hash, and nothing else is listed.
 *
 * @throws EngineFault `bundle-unsigned`: there is no signature, or none by these keys; `bundle-tampered`: it is over other files
 */
export function demandSigned(files: BundleFiles, keys: readonly VerificationKey[]): void {
  const bytes = files.get(SIGNATURES_FILE);
  if (bytes === undefined) throw new EngineFault('bundle-unsigned', `the bundle has no ${SIGNATURES_FILE}`);
  const [token] = parse(signaturesSchema, SIGNATURES_FILE, bytes).signatures;
  const { files: listed } = openToken(token!, keys);
  const left = new Set([...files.keys()].filter((name) => name !== SIGNATURES_FILE));
  for (const { name: path, hash, algorithm } of listed) {
    const name = normalName(path);
    const content = files.get(name);
    if (content === undefined || !left.delete(name)) throw new EngineFault('bundle-tampered', `${name} is signed and is not there, or is listed twice`);
    if (opaHash(name, content, algorithm) !== hash) throw new EngineFault('bundle-tampered', `${name} is not the file that was signed`);
  }
  if (left.size > 0) throw new EngineFault('bundle-tampered', `files that the signature does not cover: ${[...left].sort().slice(0, 5).join(', ')}`);
}

function openToken(token: string, keys: readonly VerificationKey[]): z.infer<typeof payloadSchema> {
  const [header = '', payload = '', signature = '', ...more] = token.split('.');
  if (more.length > 0) throw new EngineFault('bundle-unsigned', 'the signature is no JWT');
  const { alg, ...other } = parse(headerSchema, 'the JWT', Buffer.from(header, 'base64url'));
  if ('crit' in other) throw new EngineFault('bundle-unsigned', 'the JWT says that something must be understood which is not');
  const signed = Buffer.from(`${header}.${payload}`, 'latin1');
  const bytes = Buffer.from(signature, 'base64url');
  const signers = keys.filter((key) => key.algorithm === alg && isSignedBy(key, signed, bytes));
  if (signers.length === 0) throw new EngineFault('bundle-unsigned', 'none of the configured keys has signed the bundle');
  const opened = parse(payloadSchema, 'the JWT', Buffer.from(payload, 'base64url'));
  if (!signers.some(({ scope }) => scope === (opened.scope ?? null))) throw new EngineFault('bundle-unsigned', 'the signature has another scope than its key is configured for');
  return opened;
}

function isSignedBy({ algorithm, key }: VerificationKey, signed: Uint8Array, signature: Uint8Array): boolean {
  if (algorithm === 'EdDSA') return verify(null, signed, key, signature);
  return verify('sha256', signed, algorithm === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key, signature);
}

/** `.signatures.json` over these files, as OPA reads it. */
export function signFiles(files: BundleFiles, { algorithm, key, scope, id }: SigningKey): Uint8Array {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const listed = [...files].filter(([name]) => name !== SIGNATURES_FILE).map(([name, bytes]) => ({ name, hash: opaHash(name, bytes, 'SHA-256'), algorithm: 'SHA-256' }));
  const header = encode({ alg: algorithm, ...(id === null ? {} : { kid: id }), typ: 'JWT' });
  const text = `${header}.${encode({ files: listed, ...(id === null ? {} : { keyid: id }), ...(scope === null ? {} : { scope }) })}`;
  const bytes = Buffer.from(text);
  const signature = algorithm === 'EdDSA' ? sign(null, bytes, key) : sign('sha256', bytes, algorithm === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key);
  return Buffer.from(JSON.stringify({ signatures: [`${text}.${signature.toString('base64url')}`] }));
}

/** The hash of a file as OPA takes it, in hex. @throws EngineFault `bundle-tampered` for an algorithm that is none of ours; `bad-bundle` */
export function opaHash(name: string, bytes: Uint8Array, algorithm: string): string {
  const known = Object.hasOwn(HASHES, algorithm) ? HASHES[algorithm]! : null;
  if (known === null) throw new EngineFault('bundle-tampered', `${name} is signed by a hash that is not trusted here`);
  const hash = createHash(known);
  if (!DOCUMENTS.has(name.slice(name.lastIndexOf('/') + 1))) return hash.update(bytes).digest('hex');
  return hash.update(goText(parseJson(name, bytes))).digest('hex');
}

/** Strict JSON. @throws EngineFault `bad-bundle` */
export function parseJson(name: string, bytes: Uint8Array, maxBytes = JSON_BYTES_MAX): JsonValue {
  try {
    return parseStrict(bytes, { maxBytes });
  } catch (cause) {
    throw new EngineFault('bad-bundle', `${name} is not strict JSON`, { cause });
  }
}

/** As Go's encoder writes it, members in the order of their UTF-8 bytes. */
function goText(value: JsonValue): string {
  if (typeof value === 'string') return goString(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((one: JsonValue) => goText(one)).join(',')}]`;
  const members = Object.entries(value as Record<string, JsonValue>).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${members.map(([name, member]) => `${goString(name)}:${goText(member)}`).join(',')}}`;
}

function goString(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

function parse<T>(schema: z.ZodType<T>, what: string, bytes: Uint8Array): T {
  const parsed = schema.safeParse(parseJson(what, bytes, UNSIGNED_BYTES_MAX));
  if (!parsed.success) throw new EngineFault('bundle-unsigned', `${what} is no signature: ${z.prettifyError(parsed.error).slice(0, 300)}`);
  return parsed.data;
}
