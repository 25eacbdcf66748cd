/** SSH signatures: what is taken, byte for byte, and what is not. */
import { describe, expect, it } from 'vitest';
import { parseSshKey, SSH_KEY_TYPES } from '../../src/protocol/ssh-key.ts';
import { parseSshSignature, readArmour, SSH_SIGNATURE_BYTES_MAX, writeArmour } from '../../src/protocol/ssh-signature.ts';
import { positiveMpint, SshFormatError, sshString } from '../../src/protocol/ssh-wire.ts';
import { mpint, testSshKey } from '../support/ssh.ts';

const MESSAGE = Buffer.from('{"v":1}');

/** Whether the bytes are a signature of the message by that key: anything malformed is not. */
function holds(bytes: Uint8Array, message: Uint8Array, fingerprint: string): boolean {
  try {
    const signature = parseSshSignature(bytes);
    return signature.key.fingerprint === fingerprint && signature.namespace === 'approval@countersign' && signature.holdsFor(message);
  } catch (error) {
    if (error instanceof SshFormatError) return false;
    throw error;
  }
}

describe.each(SSH_KEY_TYPES)('a key of type %s', (type) => {
  const key = testSshKey(type);
  const { fingerprint } = parseSshKey(key.blob);

  it('signs for its namespace and its message, hashed by sha512 or sha256', () => {
    expect(holds(key.sign(MESSAGE), MESSAGE, fingerprint)).toBe(true);
    expect(holds(key.sign(MESSAGE, { hash: 'sha256' }), MESSAGE, fingerprint)).toBe(true);
    expect(holds(key.sign(MESSAGE, { namespace: 'git' }), MESSAGE, fingerprint)).toBe(false);
    expect(holds(key.sign(MESSAGE), Buffer.from('{"v":2}'), fingerprint)).toBe(false);
  });

  it('signs nothing with any byte of the signature changed, left out or put in', () => {
    const bytes = key.sign(MESSAGE);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << (at % 8);
      expect(holds(flipped, MESSAGE, fingerprint), `flipped at ${at}`).toBe(false);
      expect(holds(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]), MESSAGE, fingerprint), `without ${at}`).toBe(false);
      expect(holds(Buffer.concat([bytes.subarray(0, at), Buffer.of(0), bytes.subarray(at)]), MESSAGE, fingerprint), `longer at ${at}`).toBe(false);
    }
    expect(holds(Buffer.concat([bytes, Buffer.of(0)]), MESSAGE, fingerprint)).toBe(false);
  });

  it.each<[string, object]>([['something reserved', { reserved: 'x' }], ['another version', { version: 2 }], ['a hash that is broken', { hash: 'sha1' }]])('is not taken with %s', (_what, options) => {
    expect(() => parseSshSignature(key.sign(MESSAGE, options))).toThrow(SshFormatError);
  });
});

it.each(SSH_KEY_TYPES.filter((type) => type.startsWith('sk-')))('%s counts only where somebody touched it', (type) => {
  const key = testSshKey(type);
  const { fingerprint } = parseSshKey(key.blob);
  expect(holds(key.sign(MESSAGE, { flags: 0 }), MESSAGE, fingerprint)).toBe(false);
  // Touched, and by somebody whom it knows.
  expect(holds(key.sign(MESSAGE, { flags: 5 }), MESSAGE, fingerprint)).toBe(true);
});

describe('a key', () => {
  const ed25519 = testSshKey().blob;
  const p256 = testSshKey('ecdsa-sha2-nistp256').blob;
  const ofSmallOrder = Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(32))]);
  const notOnTheCurve = Buffer.from(p256);
  notOnTheCurve[notOnTheCurve.length - 1]! ^= 1;
  it.each<[string, Uint8Array]>([
    ['RSA', Buffer.concat([sshString('ssh-rsa'), mpint(Buffer.of(1, 0, 1)), mpint(Buffer.alloc(256, 1))])],
    ['a certificate', Buffer.concat([sshString('ssh-ed25519-cert-v01@openssh.com'), ed25519])],
    ['P-384', Buffer.concat([sshString('ecdsa-sha2-nistp384'), sshString('nistp384'), sshString(Buffer.alloc(97, 4))])],
    ['another curve under the name of P-256', Buffer.concat([sshString('ecdsa-sha2-nistp256'), sshString('nistp384'), sshString(Buffer.alloc(65, 4))])],
    ['a point that is not on the curve', notOnTheCurve],
    ['a point of small order', ofSmallOrder],
    ['one cut short', ed25519.subarray(0, -1)],
    ['one with something behind it', Buffer.concat([p256, Buffer.of(0)])],
    ['a security key without its application', testSshKey('sk-ssh-ed25519@openssh.com').blob.subarray(0, -8)],
    ['nothing', Buffer.alloc(0)],
  ])('is not taken: %s', (_what, blob) => {
    expect(() => parseSshKey(blob)).toThrow(SshFormatError);
  });
});

it('numbers have one spelling', () => {
  expect([...positiveMpint(Buffer.of(0, 0x80), 2)]).toEqual([0, 0x80]);
  expect([...positiveMpint(Buffer.of(1), 2)]).toEqual([0, 1]);
  for (const bytes of [[], [0], [0, 1], [0x80], [1, 2, 3], [0, 0x80, 0, 0]]) expect(() => positiveMpint(Buffer.from(bytes), 2), String(bytes)).toThrow(SshFormatError);
});

it('the armour is that of ssh-keygen, and read back as it was', () => {
  const bytes = testSshKey().sign(MESSAGE);
  const armour = writeArmour(bytes);
  expect(readArmour(armour).equals(bytes)).toBe(true);
  expect(readArmour(armour.replaceAll('\n', '\r\n')).equals(bytes)).toBe(true);
  for (const text of ['', bytes.toString('base64'), armour.replace('BEGIN', 'END'), armour.replace('\n', '\n!'), armour.split('\n').slice(0, -2).join('\n')]) expect(() => readArmour(text), text).toThrow(SshFormatError);
  expect(() => parseSshSignature(Buffer.alloc(SSH_SIGNATURE_BYTES_MAX + 1))).toThrow(/longer/);
});
