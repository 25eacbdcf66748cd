/** A thread of the verifier: checks bundles of records by themselves, and the signatures in them under keys it was given. It believes nothing, reads no file and asks nobody. */
import { parentPort, workerData } from 'node:worker_threads';
import { decodeBundle, isWhole, parseVerifier, type RawBundle, type Verifier } from '../../ledger/index.ts';
import { isSigned } from '../protocol/dsse.ts';
import type { Dsse } from '../protocol/signed.ts';

export interface ThreadData {
  /** In the text form of a verifier's key. */
  readonly keys: readonly string[];
}

export interface ThreadQuestion {
  readonly id: number;
  readonly bundle: RawBundle;
}

/** An envelope that a key has signed, by what tells both apart from any other. */
export type ProvenSignature = readonly [vkey: string, payloadType: string, payload: string, sig: string];

export interface ThreadAnswer {
  readonly id: number;
  readonly holds: boolean;
  readonly proven: readonly ProvenSignature[];
}

/** What {@link ThreadAnswer} says of a bundle. */
export function answerTo({ id, bundle }: ThreadQuestion, keys: ReadonlyMap<string, readonly Verifier[]>): ThreadAnswer {
  const proven: ProvenSignature[] = [];
  if (!isWhole(bundle)) return { id, holds: false, proven };
  if (keys.size > 0) for (const entry of decodeBundle(bundle.bytes)) collect(JSON.parse(Buffer.from(entry).toString('utf8')), keys, proven);
  return { id, holds: true, proven };
}

/** Adds the envelopes anywhere in `value` that one of the keys has signed. What is nested is bounded: the bundle is whole. */
function collect(value: unknown, keys: ReadonlyMap<string, readonly Verifier[]>, proven: ProvenSignature[]): void {
  if (typeof value !== 'object' || value === null) return;
  if (!isEnvelope(value)) {
    for (const member of Object.values(value)) collect(member, keys, proven);
    return;
  }
  for (const key of keys.get(value.signatures[0]!.keyid) ?? []) {
    if (isSigned(value, key)) proven.push([key.vkey, value.payloadType, value.payload, value.signatures[0]!.sig]);
  }
}

function isEnvelope(value: object): value is Dsse {
  const { payloadType, payload, signatures } = value as { readonly [K in keyof Dsse]?: unknown };
  if (typeof payloadType !== 'string' || typeof payload !== 'string' || !Array.isArray(signatures) || signatures.length !== 1) return false;
  const [signature] = signatures as unknown[];
  const { keyid, sig } = (signature ?? {}) as { readonly keyid?: unknown; readonly sig?: unknown };
  return typeof keyid === 'string' && typeof sig === 'string';
}

export function keysByName(vkeys: readonly string[]): Map<string, Verifier[]> {
  const keys = new Map<string, Verifier[]>();
  for (const verifier of vkeys.map(parseVerifier)) keys.set(verifier.keyName, [...(keys.get(verifier.keyName) ?? []), verifier]);
  return keys;
}

if (parentPort !== null) {
  const port = parentPort;
  const keys = keysByName((workerData as ThreadData).keys);
  port.on('message', (question: ThreadQuestion) => port.postMessage(answerTo(question, keys)));
}
