/** SSH keys that sign as `ssh-keygen` and a security key would, with nothing of OpenSSH: what they sign is held against the real one in `test/integration/ssh.test.ts`. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { canonicalBytes } from '../../ledger/index.ts';
import { APPROVAL_NAMESPACE, approvalIdOf } from '../../src/protocol/approval-proof.ts';
import { sshEnvelope } from '../../src/protocol/ssh-proof.ts';
import type { Approval, ApprovalStatement } from '../../src/protocol/signed.ts';
import type { SshKeyType } from '../../src/protocol/ssh-key.ts';
import { sshString } from '../../src/protocol/ssh-wire.ts';

const APPLICATION = 'ssh:';

export interface SshSignOptions {
  readonly namespace?: string;
  readonly hash?: 'sha256' | 'sha512' | 'sha1';
  /** Of a security key. */
  readonly flags?: number;
  readonly reserved?: string;
  readonly version?: number;
}

export interface TestSshKey {
  readonly type: SshKeyType;
  readonly blob: Buffer;
  /** Type and base64, as in a line of a file. */
  readonly publicLine: string;
  /** SSHSIG, as bytes. */
  sign(message: Uint8Array, options?: SshSignOptions): Buffer;
  /** An approval that this key proves. */
  approval(statement: ApprovalStatement, options?: SshSignOptions): Approval;
}

const isEd25519 = (type: SshKeyType): boolean => type.includes('ed25519');
const uint32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
};
const hashOf = (name: string, bytes: Uint8Array): Buffer => createHash(name).update(bytes).digest();

export function mpint(digits: Uint8Array): Buffer {
  const first = digits.findIndex((byte) => byte !== 0);
  const shortest = Buffer.from(first === -1 ? [] : digits.subarray(first));
  return sshString((shortest[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), shortest]) : shortest);
}

export function testSshKey(type: SshKeyType = 'ssh-ed25519'): TestSshKey {
  const { privateKey, publicKey } = isEd25519(type) ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const blob = Buffer.concat([sshString(type), ...publicParts(type, publicKey), ...(type.startsWith('sk-') ? [sshString(APPLICATION)] : [])]);
  const raw = (message: Uint8Array): Buffer => {
    if (isEd25519(type)) return sign(null, message, privateKey);
    const both = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return Buffer.concat([mpint(both.subarray(0, 32)), mpint(both.subarray(32))]);
  };
  const key: TestSshKey = {
    type, blob, publicLine: `${type} ${blob.toString('base64')}`,
    sign(message, { namespace = APPROVAL_NAMESPACE, hash = 'sha512', flags = 1, reserved = '', version = 1 } = {}) {
      const signed = Buffer.concat([Buffer.from('SSHSIG'), sshString(namespace), sshString(reserved), sshString(hash), sshString(hashOf(hash, message))]);
      const touched = Buffer.concat([Buffer.of(flags), uint32(7)]);
      const signature = type.startsWith('sk-')
        ? Buffer.concat([sshString(type), sshString(raw(Buffer.concat([hashOf('sha256', Buffer.from(APPLICATION)), touched, hashOf('sha256', signed)]))), touched])
        : Buffer.concat([sshString(type), sshString(raw(signed))]);
      return Buffer.concat([Buffer.from('SSHSIG'), uint32(version), sshString(blob), sshString(namespace), sshString(reserved), sshString(hash), sshString(signature)]);
    },
    approval(statement, options) {
      const envelope = sshEnvelope(canonicalBytes(statement), key.sign(canonicalBytes(statement), options));
      return { approvalId: approvalIdOf(envelope), proofClass: 'ssh', envelope };
    },
  };
  return key;
}

function publicParts(type: SshKeyType, key: KeyObject): Buffer[] {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const point = (text: string): Buffer => Buffer.from(text, 'base64url');
  return isEd25519(type) ? [sshString(point(x))] : [sshString('nistp256'), sshString(Buffer.concat([Buffer.of(4), point(x), point(y)]))];
}
