/**
 * SSH signatures over messages, as `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` takes them.
 *
 * @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
 */
import { parseBase64, sha256 } from '../../ledger/index.ts';
import { sha512 } from './ssh-crypto.ts';
import { parseSshKey, type SshKey } from './ssh-key.ts';
import { readSsh, SshFormatError, sshString } from './ssh-wire.ts';

const MAGIC = Buffer.from('SSHSIG');
const VERSION = 1;
const HASHES: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = { sha256, sha512 };
const BEGIN = '-----BEGIN SSH SIGNATURE-----';
const END = '-----END SSH SIGNATURE-----';
/** Longer than any that these keys make. */
export const SSH_SIGNATURE_BYTES_MAX = 2_048;

export interface SshSignature {
  readonly key: SshKey;
  readonly namespace: string;
  /** Whether the key has signed this very message, for this namespace. */
  readonly holdsFor: (message: Uint8Array) => boolean;
}

/** @throws SshFormatError where the bytes are no SSHSIG of version 1 by a key of {@link parseSshKey} */
export function parseSshSignature(bytes: Uint8Array): SshSignature {
  if (bytes.byteLength > SSH_SIGNATURE_BYTES_MAX) throw new SshFormatError(`longer than ${SSH_SIGNATURE_BYTES_MAX} bytes`);
  const reader = readSsh(bytes);
  if (!reader.bytes(MAGIC.length).equals(MAGIC)) throw new SshFormatError('not an SSH signature');
  if (reader.uint32() !== VERSION) throw new SshFormatError('an SSH signature of another version');
  const key = parseSshKey(reader.string());
  const [namespace, reserved, hashName, signature] = [reader.string(), reader.string(), reader.string(), reader.string()];
  reader.end();
  // Writers leave it empty; readers are to pass over it. It is signed, and here it would be a second spelling.
  if (reserved.length > 0) throw new SshFormatError('something where nothing is reserved yet');
  const digest = HASHES[hashName.toString('latin1')];
  if (digest === undefined || !Object.hasOwn(HASHES, hashName.toString('latin1'))) throw new SshFormatError('hashed by neither sha256 nor sha512');
  return {
    key, namespace: namespace.toString('latin1'),
    holdsFor: (message) => key.verify(Buffer.concat([MAGIC, sshString(namespace), sshString(reserved), sshString(hashName), sshString(digest(message))]), signature),
  };
}

/** The bytes in the armour that `ssh-keygen -Y sign` writes. @throws SshFormatError */
export function readArmour(text: string): Buffer {
  const [first, ...lines] = text.trim().split(/\r?\n/);
  if (first !== BEGIN || lines.pop() !== END) throw new SshFormatError(`not between ${BEGIN} and ${END}`);
  const bytes = parseBase64(lines.join(''));
  if (bytes === null) throw new SshFormatError('not base64');
  return Buffer.from(bytes);
}

/** The armour that `ssh-keygen -Y verify` reads. */
export function writeArmour(bytes: Uint8Array): string {
  return `${[BEGIN, ...(Buffer.from(bytes).toString('base64').match(/.{1,70}/g) ?? []), END].join('\n')}\n`;
}
