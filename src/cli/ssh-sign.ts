/** Has `ssh-keygen` sign: it knows key files and their passphrases, agents, and security keys that want to be touched. */
import { spawn } from 'node:child_process';
import { parseSshSignature, readArmour } from '../protocol/ssh-signature.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import { CliError, EXIT } from './exit.ts';
import type { Session } from './world.ts';

const EFFECT = 'Nothing was recorded.';

/**
 * The signature, in its armour, of exactly these bytes; it has been checked to hold. What `ssh-keygen` asks, it asks on the terminal.
 *
 * @param key a private key file, or a public one whose other half an agent holds
 * @throws CliError where it cannot sign, or with a key of a type that is not taken
 */
export async function signWithSsh(session: Session, key: string, namespace: string, message: Uint8Array): Promise<string> {
  const armour = await runSshKeygen(session, ['-Y', 'sign', '-q', '-n', namespace, '-f', key], message);
  try {
    const signature = parseSshSignature(readArmour(armour));
    if (signature.namespace === namespace && signature.holdsFor(message)) return armour;
  } catch (cause) {
    if (!(cause instanceof SshFormatError)) throw cause;
    throw new CliError(EXIT.failed, 'proof-invalid', { cause: `${key}: ${cause.message}`, effect: EFFECT, next: 'ssh-keygen -t ed25519, and have its public half put into allowed_signers' }, { cause });
  }
  throw new CliError(EXIT.failed, 'proof-invalid', { cause: `what ssh-keygen made with ${key} is no signature of this`, effect: EFFECT });
}

function runSshKeygen({ env, cwd }: Session, args: readonly string[], input: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', args, { cwd, env: { ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
    const written: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => void written.push(part));
    // It ends before it has read all where it cannot use the key: its exit says so.
    child.stdin.on('error', () => undefined);
    child.once('error', (cause: NodeJS.ErrnoException) => reject(new CliError(EXIT.io, 'ssh-keygen', {
      cause: cause.code === 'ENOENT' ? 'there is no ssh-keygen' : `ssh-keygen: ${cause.message}`, effect: EFFECT, next: 'install OpenSSH 8.2 or newer',
    }, { cause })));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(written).toString('utf8'));
      else reject(new CliError(EXIT.io, 'ssh-keygen', { cause: `ssh-keygen did not sign (${code === null ? `ended by ${signal}` : `exit ${code}`}): what it said is above`, effect: EFFECT }));
    });
    child.stdin.end(input);
  });
}
