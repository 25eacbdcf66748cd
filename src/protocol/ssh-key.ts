/**
 * Public keys of OpenSSH that may sign: Ed25519 and ECDSA on P-256, in a file, an agent or a security key (`sk-`). RSA, DSA, other curves and
 * certificates are not taken: a verifier in a browser must check what a worker checks.
 *
 * @see RFC 4253 §6.6, RFC 8709 §4, RFC 5656 §3.1, and OpenSSH's PROTOCOL.u2f
 */
import { LedgerError, publicKeyFromBytes, sha256, verifyEd25519 } from '../../ledger/index.ts';
import { importP256, verifyP256 } from './ssh-crypto.ts';
import { positiveMpint, readSsh, SshFormatError } from './ssh-wire.ts';

export const SSH_KEY_TYPES = ['ssh-ed25519', 'sk-ssh-ed25519@openssh.com', 'ecdsa-sha2-nistp256', 'sk-ecdsa-sha2-nistp256@openssh.com'] as const;
export type SshKeyType = (typeof SSH_KEY_TYPES)[number];

export interface SshKey {
  readonly type: SshKeyType;
  /** As it is in a signature and, in base64, in a line of a file. */
  readonly blob: Buffer;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** @param signature an SSH signature blob. Malformed is as good as wrong. */
  readonly verify: (message: Uint8Array, signature: Uint8Array) => boolean;
}

type Verify = (message: Uint8Array, signature: Uint8Array) => boolean;

/** @throws SshFormatError for another type, a point that is none, or any bytes that a key of its type would not have */
export function parseSshKey(blob: Uint8Array): SshKey {
  const reader = readSsh(blob);
  const name = reader.string().toString('latin1');
  const type = SSH_KEY_TYPES.find((known) => known === name);
  if (type === undefined) throw new SshFormatError(`keys of type ${name.slice(0, 64)} are not taken, only ${SSH_KEY_TYPES.join(', ')}`);
  const isEd25519 = type === 'ssh-ed25519' || type === 'sk-ssh-ed25519@openssh.com';
  const raw: Verify = isEd25519 ? ed25519Of(reader.string()) : p256Of(reader.string(), reader.string());
  const application = type.startsWith('sk-') ? reader.string() : null;
  reader.end();
  const holds = application === null ? byFile(raw) : bySecurityKey(raw, application);
  return {
    type, blob: Buffer.from(blob), fingerprint: `SHA256:${Buffer.from(sha256(blob)).toString('base64').replace(/=+$/, '')}`,
    verify: (message, signature) => {
      try {
        const parts = readSsh(signature);
        if (parts.string().toString('latin1') !== type) return false;
        return holds(message, parts);
      } catch (error) {
        if (error instanceof SshFormatError) return false;
        throw error;
      }
    },
  };
}

type Holds = (message: Uint8Array, parts: ReturnType<typeof readSsh>) => boolean;

function byFile(raw: Verify): Holds {
  return (message, parts) => {
    const signature = parts.string();
    parts.end();
    return raw(message, signature);
  };
}

/** Somebody touched it: a signature that a program could have had from it unattended does not count. */
const USER_PRESENT = 0x01;

function bySecurityKey(raw: Verify, application: Uint8Array): Holds {
  return (message, parts) => {
    const signature = parts.string();
    const flagsAndCounter = parts.bytes(5);
    parts.end();
    if ((flagsAndCounter[0]! & USER_PRESENT) === 0) return false;
    return raw(Buffer.concat([sha256(application), flagsAndCounter, sha256(message)]), signature);
  };
}

function ed25519Of(bytes: Uint8Array): Verify {
  try {
    const key = publicKeyFromBytes(bytes);
    return (message, signature) => verifyEd25519(key, message, signature);
  } catch (cause) {
    if (cause instanceof LedgerError) throw new SshFormatError(cause.message, { cause });
    throw cause;
  }
}

function p256Of(curve: Buffer, point: Uint8Array): Verify {
  const key = curve.toString('latin1') === 'nistp256' ? importP256(point) : null;
  if (key === null) throw new SshFormatError('not a point of nistp256');
  return (message, signature) => {
    const parts = readSsh(signature);
    const [r, s] = [positiveMpint(parts.string(), 32), positiveMpint(parts.string(), 32)];
    parts.end();
    return verifyP256(key, message, Buffer.concat([r, s]));
  };
}
