/** Passkeys that sign as an authenticator and a browser would, with neither: what they make is held against another implementation, and against a real browser, in the tests. */
import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { canonicalBytes, sha256 } from '../../ledger/index.ts';
import { approvalIdOf } from '../../src/protocol/approval-proof.ts';
import { challengeOf, type Assertion } from '../../src/protocol/passkey-assertion.ts';
import type { PasskeyAnswer } from '../../src/protocol/passkeys.ts';
import { passkeyEnvelope } from '../../src/protocol/passkey-proof.ts';
import { APPROVAL_TYPE, type Approval, type ApprovalStatement, type Dsse } from '../../src/protocol/signed.ts';
import { rawKey } from './raw-key.ts';

export const RP_ID = 'countersign.example.org';
export const PASSKEY_ORIGIN = `https://${RP_ID}`;
/** UP, UV, BE and BS: what a passkey of a phone says. */
export const FLAGS = 0x1d;

export interface AssertionEdit {
  /** Members of the client data; `undefined` leaves one out. */
  readonly client?: Readonly<Record<string, unknown>>;
  /** The text of the client data, made anew. */
  readonly clientText?: (text: string) => string;
  readonly rpId?: string;
  readonly flags?: number;
  readonly counter?: number;
  /** After the 37 bytes; signed. */
  readonly after?: Uint8Array;
  /** The authenticator data, made anew; signed. */
  readonly data?: (bytes: Buffer) => Uint8Array;
  /** Of what was made: not signed. */
  readonly made?: (assertion: Assertion) => Assertion;
}

export interface TestPasskey {
  readonly credentialId: string;
  readonly spki: Buffer;
  /** An entry of `passkeys.json`. */
  entry(person: string, edit?: object): object;
  assert(message: Uint8Array, edit?: AssertionEdit): Assertion;
  /** A statement that this passkey proves. */
  envelope(statement: object, payloadType: string, edit?: AssertionEdit): Dsse;
  /** What a browser would send of it: the answer, in base64. */
  answer(statement: object, edit?: AssertionEdit): PasskeyAnswer;
  /** An approval that this passkey proves. */
  approval(statement: ApprovalStatement, edit?: AssertionEdit): Approval;
}

const SPKI_PREFIX = { ES256: '3059301306072a8648ce3d020106082a8648ce3d030107034200', EdDSA: '302a300506032b6570032100' } as const;

/** @param seed 32 bytes: the same credential, and the same answers, every time */
export function testPasskey(algorithm: 'ES256' | 'EdDSA' = 'ES256', { rpId = RP_ID, origin = PASSKEY_ORIGIN, seed }: { readonly rpId?: string; readonly origin?: string; readonly seed?: Uint8Array } = {}): TestPasskey {
  const { point, sign } = rawKey(algorithm, seed);
  const credentialId = Buffer.from(seed === undefined ? randomBytes(32) : sha256(seed)).toString('base64url');
  const spki = Buffer.concat([Buffer.from(SPKI_PREFIX[algorithm], 'hex'), point]);
  const inDer = (both: Uint8Array): Uint8Array => p256.Signature.fromBytes(Uint8Array.from(both)).toBytes('der');
  const passkey: TestPasskey = {
    credentialId, spki,
    entry: (person, edit = {}) => ({ person, credentialId, publicKey: spki.toString('base64'), rpId, origins: [origin], ...edit }),
    assert(message, edit = {}) {
      const client = { type: 'webauthn.get', challenge: challengeOf(message), origin, crossOrigin: false, ...edit.client };
      const clientDataJSON = Buffer.from((edit.clientText ?? ((same) => same))(JSON.stringify(client)));
      const counter = Buffer.alloc(4);
      counter.writeUInt32BE(edit.counter ?? 7);
      const plain = Buffer.concat([sha256(Buffer.from(edit.rpId ?? rpId)), Buffer.of(edit.flags ?? FLAGS), counter, edit.after ?? Buffer.alloc(0)]);
      const authenticatorData = edit.data === undefined ? plain : edit.data(plain);
      const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
      const made = { authenticatorData, clientDataJSON, signature: Buffer.from(algorithm === 'EdDSA' ? sign(signed) : inDer(sign(signed))) };
      return edit.made === undefined ? made : edit.made(made);
    },
    envelope(statement, payloadType, edit) {
      const bytes = canonicalBytes(statement);
      return passkeyEnvelope(bytes, credentialId, passkey.assert(bytes, edit), payloadType);
    },
    answer(statement, edit) {
      const { authenticatorData, clientDataJSON, signature } = passkey.assert(canonicalBytes(statement), edit);
      const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
      return { credentialId, authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature) };
    },
    approval(statement, edit) {
      const envelope = passkey.envelope(statement, APPROVAL_TYPE, edit);
      return { approvalId: approvalIdOf(envelope), proofClass: 'passkey', envelope };
    },
  };
  return passkey;
}
