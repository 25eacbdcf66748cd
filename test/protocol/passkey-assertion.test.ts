/**
 * Assertions of passkeys, each with one thing wrong. `@simplewebauthn/server` is asked about each of them too: what is taken here it takes, and where
 * it takes what is refused here, the table says so.
 */
import { createHash } from 'node:crypto';
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import { isoCBOR } from '@simplewebauthn/server/helpers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { challengeOf, checkAssertion, decodeAssertion, encodeAssertion, type Assertion } from '../../src/protocol/passkey-assertion.ts';
import { passkeyVerifier } from '../../src/protocol/passkey-key.ts';
import { FLAGS, PASSKEY_ORIGIN, RP_ID, testPasskey, type AssertionEdit, type TestPasskey } from '../support/passkey.ts';

const message = Buffer.from('{"verdict":"approve"}');
const ours = { ES256: testPasskey('ES256'), EdDSA: testPasskey('EdDSA') } as const;
type Algorithm = keyof typeof ours;
const ALGORITHMS = Object.keys(ours) as Algorithm[];

function refusalOf(passkey: TestPasskey, assertion: Assertion): string | null {
  const verify = passkeyVerifier(passkey.spki);
  if (verify === null) throw new Error('the key is one');
  try {
    checkAssertion(decodeAssertion(encodeAssertion(assertion)), { message, rpId: RP_ID, origins: [PASSKEY_ORIGIN], verify });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** COSE_Key of the two kinds. @see RFC 9053 §7.1, §7.2 */
function coseOf(spki: Buffer): Uint8Array<ArrayBuffer> {
  const key = spki.length === 44
    ? new Map<number, number | Uint8Array>([[1, 1], [3, -8], [-1, 6], [-2, new Uint8Array(spki.subarray(12))]])
    : new Map<number, number | Uint8Array>([[1, 2], [3, -7], [-1, 1], [-2, new Uint8Array(spki.subarray(27, 59))], [-3, new Uint8Array(spki.subarray(59))]]);
  return new Uint8Array(isoCBOR.encode(key));
}

async function otherTakes({ credentialId, spki }: TestPasskey, { authenticatorData, clientDataJSON, signature }: Assertion): Promise<boolean> {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  try {
    const { verified } = await verifyAuthenticationResponse({
      response: { id: credentialId, rawId: credentialId, type: 'public-key', clientExtensionResults: {}, response: { authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature) } },
      expectedChallenge: challengeOf(message), expectedOrigin: [PASSKEY_ORIGIN], expectedRPID: RP_ID, requireUserVerification: true,
      credential: { id: credentialId, publicKey: coseOf(spki), counter: 0 },
    });
    return verified;
  } catch {
    return false;
  }
}

interface Integers {
  readonly r: Buffer;
  readonly s: Buffer;
}
/** Of SEQUENCE { INTEGER r, INTEGER s }. */
function integersOf(signature: Uint8Array): Integers {
  const bytes = Buffer.from(signature);
  const rEnd = 4 + bytes[3]!;
  return { r: bytes.subarray(4, rEnd), s: bytes.subarray(rEnd + 2) };
}
const integer = (digits: Buffer): Buffer => Buffer.concat([Buffer.of(2, digits.length), digits]);
const sequence = (...parts: Buffer[]): Buffer => Buffer.concat([Buffer.of(0x30, Buffer.concat(parts).length), ...parts]);
const EMPTY_CBOR_MAP = Buffer.of(0xa0);
const signed = (edit: (signature: Uint8Array) => Uint8Array): AssertionEdit => ({ made: (made) => ({ ...made, signature: edit(made.signature) }) });

describe.each(ALGORITHMS)('an assertion by %s', (algorithm) => {
  const passkey = ours[algorithm];

  it.each<[string, AssertionEdit]>([
    ['as browsers make it', {}],
    ['of a security key: not backed up, not eligible', { flags: 0x05 }],
    ['with a counter of nothing', { counter: 0 }],
    ['with members that a browser adds', { client: { other_keys_can_be_added_here: 'do not compare clientDataJSON against a template. See https://goo.gl/yabPex' } }],
    ['of a browser that does not say crossOrigin', { client: { crossOrigin: undefined } }],
  ])('holds: %s', async (_what, edit) => {
    const assertion = passkey.assert(message, edit);
    expect(refusalOf(passkey, assertion)).toBeNull();
    expect(await otherTakes(passkey, assertion)).toBe(true);
  });

  it.each<[string, AssertionEdit | (() => Assertion), RegExp, ('the other takes it' | 'of ES256 the other takes it')?]>([
    ['the challenge of another plan', () => passkey.assert(Buffer.from('{"verdict":"approve","planDigest":"another"}')), /not of this statement/],
    ['a rejection, turned into an approval', () => passkey.assert(Buffer.from('{"verdict":"reject"}')), /not of this statement/],
    ['the statement itself for a challenge', { client: { challenge: message.toString('base64url') } }, /not of this statement/],
    ['a challenge with padding', { client: { challenge: `${challengeOf(message)}=` } }, /not of this statement/],
    ['a challenge in the other alphabet', { client: { challenge: createHash('sha256').update(message).digest('base64') } }, /not of this statement/],
    ['a registration', { client: { type: 'webauthn.create' } }, /made as "webauthn\.create"/],
    ['a payment', { client: { type: 'payment.get' } }, /made as "payment\.get"/],
    ['another origin', { client: { origin: 'https://countersign.example.com' } }, /not an origin of this passkey/],
    ['its origin over http', { client: { origin: `http://${RP_ID}` } }, /not an origin of this passkey/],
    ['its origin at another port', { client: { origin: `${PASSKEY_ORIGIN}:8443` } }, /not an origin of this passkey/],
    ['its origin with a slash after it', { client: { origin: `${PASSKEY_ORIGIN}/` } }, /not an origin of this passkey/],
    ['a frame in a page of others', { client: { crossOrigin: true } }, /in a frame/, 'the other takes it'],
    ['a frame, said in another way', { client: { topOrigin: 'https://evil.example' } }, /in a frame/],
    ['another relying party', { rpId: 'example.org' }, /another relying party/],
    ['nobody there', { flags: FLAGS & ~0x01 }, /UP/],
    ['somebody there, and nobody knows who', { flags: FLAGS & ~0x04 }, /UV/],
    ['a backup of what cannot be backed up', { flags: 0x15 }, /not eligible/],
    ['extensions', { flags: FLAGS | 0x80, after: EMPTY_CBOR_MAP }, /extensions/, 'the other takes it'],
    ['extensions that are said to be there, and are not', { flags: FLAGS | 0x80 }, /extensions/],
    ['extensions that are there, and not said to be', { after: EMPTY_CBOR_MAP }, /after the authenticator data/],
    ['attested data said to be there', { flags: FLAGS | 0x40 }, /attested/],
    ['a byte after the authenticator data', { after: Buffer.of(0) }, /after the authenticator data/],
    ['authenticator data cut short', { data: (bytes) => bytes.subarray(0, 36) }, /cut short/],
    ['no authenticator data', { data: () => Buffer.alloc(0) }, /cut short/],
    ['a key twice in the client data', { clientText: (text) => text.replace('{', '{"type":"webauthn.create",') }, /client data/, 'the other takes it'],
    ['a challenge twice in the client data', { clientText: (text) => text.replace('{', '{"challenge":"AAAA",') }, /client data/, 'the other takes it'],
    ['a byte order mark before the client data', { clientText: (text) => `\ufeff${text}` }, /client data/, 'the other takes it'],
    ['client data with something after it', { clientText: (text) => `${text}x` }, /client data/],
    ['client data that is a list', { clientText: (text) => `[${text}]` }, /lacks/],
    ['client data without an origin', { client: { origin: undefined } }, /lacks/],
    ['client data without end', { clientText: (text) => text.replace('{', `{"x":"${'x'.repeat(4_096)}",`) }, /client data/, 'the other takes it'],
    ['client data of another assertion', { made: (made) => ({ ...made, clientDataJSON: passkey.assert(message, { client: { more: true } }).clientDataJSON }) }, /signature does not hold/],
    ['a counter that was changed afterwards', { made: (made) => ({ ...made, authenticatorData: passkey.assert(message, { counter: 8 }).authenticatorData }) }, /signature does not hold/],
    ['another key', () => testPasskey(algorithm).assert(message), /signature does not hold/],
    ['a key of the other kind', () => ours[algorithm === 'ES256' ? 'EdDSA' : 'ES256'].assert(message), /signature does not hold/],
    ['no signature', signed(() => Buffer.alloc(0)), /signature does not hold/],
    ['a byte after the signature', signed((signature) => Buffer.concat([signature, Buffer.of(0)])), /signature does not hold/, 'of ES256 the other takes it'],
    ['a signature cut short', signed((signature) => signature.subarray(0, -1)), /signature does not hold/],
  ])('does not: %s', async (_what, edit, message_, other) => {
    const assertion = typeof edit === 'function' ? edit() : passkey.assert(message, edit);
    expect(refusalOf(passkey, assertion)).toMatch(message_);
    expect(await otherTakes(passkey, assertion)).toBe(other === 'the other takes it' || (other !== undefined && algorithm === 'ES256'));
  });

  it('holds with no bit of it turned', () => {
    const good = passkey.assert(message);
    fc.assert(fc.property(fc.constantFrom<keyof Assertion>('authenticatorData', 'clientDataJSON', 'signature'), fc.nat(), fc.nat(7), (part, at, bit) => {
      const bytes = Uint8Array.from(good[part]);
      bytes[at % bytes.length]! ^= 1 << bit;
      return refusalOf(passkey, { ...good, [part]: bytes }) !== null;
    }), { numRuns: 300 });
  });
});

it.each<[string, (made: Integers) => Buffer, ((made: Integers) => boolean)?]>([
  ['a zero more before r', ({ r, s }) => sequence(integer(Buffer.concat([Buffer.of(0), r])), integer(s)), ({ r }) => r[0] !== 0],
  ['r without the zero that says that it is not negative', ({ r, s }) => sequence(integer(r.subarray(1)), integer(s)), ({ r }) => r[0] === 0],
  ['a length in its long form', ({ r, s }) => Buffer.concat([Buffer.of(0x30, 0x81, r.length + s.length + 4), integer(r), integer(s)])],
  ['r alone', ({ r }) => sequence(integer(r))],
  ['three integers', ({ r, s }) => sequence(integer(r), integer(s), integer(Buffer.of(1))), ({ r, s }) => r.length + s.length < 64],
  ['r of nothing', ({ s }) => sequence(integer(Buffer.alloc(0)), integer(s))],
  ['s that is zero', ({ r }) => sequence(integer(r), integer(Buffer.of(0)))],
  ['r and s without a frame', ({ r, s }) => Buffer.concat([r.subarray(-32), s.subarray(-32)])],
  ['octets where an integer is due', ({ r, s }) => sequence(Buffer.concat([Buffer.of(4, r.length), r]), integer(s))],
])('a signature of P-256 has one spelling: %s is none', (_what, spell, isOne = () => true) => {
  let made = ours.ES256.assert(message);
  while (!isOne(integersOf(made.signature))) made = ours.ES256.assert(message);
  expect(refusalOf(ours.ES256, made)).toBeNull();
  expect(refusalOf(ours.ES256, { ...made, signature: spell(integersOf(made.signature)) })).toMatch(/signature does not hold/);
});

it('a signature of P-256 is taken with either half of the curve for s, as browsers take it', async () => {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const made = ours.ES256.assert(message);
  const { r, s } = integersOf(made.signature);
  const hex = (order - BigInt(`0x${s.toString('hex')}`)).toString(16);
  const digits = Buffer.from(hex.length % 2 === 1 ? `0${hex}` : hex, 'hex');
  const other = sequence(integer(r), integer(digits[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits));
  expect(refusalOf(ours.ES256, { ...made, signature: other })).toBeNull();
  expect(await otherTakes(ours.ES256, { ...made, signature: other })).toBe(true);
});

describe('a key', () => {
  const { spki } = ours.ES256;
  it.each<[string, () => Uint8Array]>([
    ['cut short', () => spki.subarray(0, -1)],
    ['with a byte more', () => Buffer.concat([spki, Buffer.of(0)])],
    ['at a point off the curve', () => Buffer.concat([spki.subarray(0, 27), Buffer.alloc(64, 1)])],
    ['at a compressed point', () => Buffer.concat([spki.subarray(0, 26), Buffer.of(2), spki.subarray(27)])],
    ['on another curve', () => Buffer.concat([Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030106034200', 'hex'), spki.subarray(26)])],
    ['of Ed25519 of small order', () => Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.alloc(32)])],
    ['of nothing', () => new Uint8Array()],
  ])('is none: %s', (_what, bytes) => {
    expect(passkeyVerifier(bytes())).toBeNull();
  });
});

it.each<[string, (text: string) => string]>([
  ['a blank', (text) => ` ${text}`],
  ['a member more', (text) => text.replace('{', '{"a":"","')],
  ['base64url', (text) => text.replace(/"signature":"[^"]*"/, '"signature":"__8="')],
  ['bits beyond the last byte', (text) => text.replace(/"signature":"[^"]*"/, '"signature":"AAB="')],
])('what stands for a signature has one spelling: %s', (_what, spell) => {
  const text = Buffer.from(encodeAssertion(ours.ES256.assert(message))).toString();
  expect(() => decodeAssertion(Buffer.from(spell(text)))).toThrow();
  expect(canonicalBytes(JSON.parse(text) as object)).toEqual(Buffer.from(text));
});
