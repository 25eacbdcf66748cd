/**
 * Dead Simple Signing Envelope, v1.0, over RFC 8785 payloads.
 *
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
 */
import type { z } from 'zod';
import { canonicalBytes, digestOf, JsonError, parseCanonical, parseStrict, type JsonValue, type Signer, type Verifier } from '../../ledger/index.ts';
import { parseBy } from './compiled.ts';
import { ProtocolError } from './errors.ts';
import { isSameJson } from './same-json.ts';
import type { Dsse } from './signed.ts';

/** `DSSEv1 SP len(type) SP type SP len(body) SP body`: the bytes that are signed. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]);
}

/** Signs the canonical bytes of `document` as `payloadType`. */
export function signDsse(payloadType: string, document: object, signer: Signer): Dsse {
  const payload = canonicalBytes(document);
  const signature = signer.sign(preAuthEncoding(payloadType, payload));
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid: signer.keyName, sig: Buffer.from(signature).toString('base64') }],
  };
}

/** The digest a record or another document names an envelope by: sha256 of the payload bytes. */
export function payloadDigest(envelope: Dsse): string {
  return digestOf(Buffer.from(envelope.payload, 'base64'));
}

/** Whoever has checked signatures already: whether `key` was found to have signed exactly this envelope, {@link isSigned} and all. */
export interface Proven {
  has(key: Verifier, envelope: Dsse): boolean;
}

/** Whether `key` has signed the envelope, both spelled in canonical base64. */
export function isSigned({ payloadType, payload, signatures: [signature] }: Dsse, key: Verifier): boolean {
  const bytes = Buffer.from(payload, 'base64');
  const sig = Buffer.from(signature?.sig ?? '', 'base64');
  return bytes.toString('base64') === payload && sig.toString('base64') === signature?.sig && key.verify(preAuthEncoding(payloadType, bytes), sig);
}

/**
 * The document inside, once its signature holds under one of `keys` and its bytes are the canonical form of what `schema` accepts.
 *
 * @param proven signatures in it are not checked again
 * @throws ProtocolError `bad-signature` (no key matches, wrong type or signature) or `malformed`; nothing has been believed.
 */
export function openDsse<T>(envelope: Dsse, payloadType: string, schema: z.ZodType<T>, keys: readonly Verifier[], proven: Proven | null = null): T {
  if (envelope.payloadType !== payloadType) throw new ProtocolError('bad-signature', `payload type ${envelope.payloadType} where ${payloadType} is due`);
  const [signature] = envelope.signatures;
  const key = keys.find((candidate) => candidate.keyName === signature?.keyid);
  if (key !== undefined && proven?.has(key, envelope) === true) return readPayload(envelope, schema);
  const payload = Buffer.from(envelope.payload, 'base64');
  if (payload.toString('base64') !== envelope.payload) throw new ProtocolError('malformed', 'payload is not canonical base64');
  if (signature === undefined || key === undefined) throw new ProtocolError('bad-signature', `no trusted key ${signature?.keyid ?? '(none)'}`);
  if (!isSigned(envelope, key)) throw new ProtocolError('bad-signature', `the signature of ${key.keyName} does not hold`);
  return readPayload(envelope, schema);
}

/**
 * What was read of an envelope, and by the schema that it was last read with: each is read at every check and every fold that its record goes through.
 * Whoever reads one may keep it, and not change it.
 */
const read = new WeakMap<Dsse, Read>();

interface Read {
  readonly payload: string;
  readonly json: Json;
  /** What it was last accepted by, and as; null before. */
  schema: z.ZodType | null;
  document: unknown;
}
interface Json {
  readonly value: JsonValue;
  readonly isCanonical: boolean;
}

/** The document inside, its signature *not* looked at: for those who wrote it, or who only fold what was recorded. */
export function readPayload<T>(envelope: Dsse, schema: z.ZodType<T>): T {
  let known = read.get(envelope);
  if (known?.payload !== envelope.payload) {
    known = { payload: envelope.payload, json: jsonOf(Buffer.from(envelope.payload, 'base64')), schema: null, document: null };
    read.set(envelope, known);
  }
  if (known.schema !== schema) {
    known.document = parsePayload(known.json, schema);
    known.schema = schema;
  }
  return known.document as T;
}

function parsePayload<T>({ value, isCanonical }: Json, schema: z.ZodType<T>): T {
  const parsed = parseBy(schema, value);
  if (!parsed.success) throw new ProtocolError('malformed', parsed.error.issues.map((issue) => `/${issue.path.join('/')}: ${issue.message}`).join('; '));
  // No schema of a signed document drops, adds or changes anything.
  if (!isCanonical || !isSameJson(parsed.data, value)) throw new ProtocolError('malformed', 'payload is not in canonical form');
  return parsed.data;
}

function jsonOf(payload: Uint8Array): Json {
  try {
    return { value: parseCanonical(payload), isCanonical: true };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  try {
    return { value: parseStrict(payload), isCanonical: false };
  } catch (cause) {
    throw new ProtocolError('malformed', 'payload is not strict JSON', { cause });
  }
}
