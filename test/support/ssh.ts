/** SSH keys that sign as `ssh-keygen` and a security key would, with nothing of OpenSSH: what they sign is held against the real one in `test/integration/ssh.test.ts`. */
import { createHash } from 'node:crypto';
import { canonicalBytes } from '../../ledger/index.ts';
import { APPROVAL_NAMESPACE, approvalIdOf } from '../../src/protocol/approval-proof.ts';
import { sshEnvelope } from '../../src/protocol/ssh-proof.ts';
import type { Approval, ApprovalStatement } from '../../src/protocol/signed.ts';
import type { SshKeyType } from '../../src/protocol/ssh-key.ts';
import { sshString } from '../../src/protocol/ssh-wire.ts';
import { rawKey } from './raw-key.ts';

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

/** @param seed 32 bytes: the same key, and the same signatures, every time */
export function testSshKey(type: SshKeyType = 'ssh-ed25519', seed?: Uint8Array): TestSshKey {
  const { point, sign } = rawKey(isEd25519(type) ? 'EdDSA' : 'ES256', seed);
  const parts = isEd25519(type) ? [sshString(point)] : [sshString('nistp256'), sshString(point)];
  const blob = Buffer.concat([sshString(type), ...parts, ...(type.startsWith('sk-') ? [sshString(APPLICATION)] : [])]);
  const raw = (message: Uint8Array): Buffer => {
    const both = sign(message);
    return isEd25519(type) ? both : Buffer.concat([mpint(both.subarray(0, 32)), mpint(both.subarray(32))]);
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
