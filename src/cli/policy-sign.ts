/** `countersign policy sign`: says that a bundle may be run, and that what it decided may be run again by whoever verifies it. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseSigner, type Signer } from '../../ledger/index.ts';
import { readBundle, SIGNATURE_FILE } from '../pdp/bundle.ts';
import { EngineFault } from '../pdp/fault.ts';
import { signBundle } from '../protocol/policy-bundle.ts';
import { plainTextSchema } from '../protocol/values.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret } from './files.ts';
import type { Session } from './world.ts';

export interface SignFlags {
  readonly key: string;
  readonly revision?: string;
}

/** The bundle in `directory`, whole as its manifest says, is signed, and its digest returned. A signature that was there is replaced. @throws EngineFault */
export async function signPolicy(directory: string, signer: Signer, revision: string | null = null): Promise<string> {
  const { digest } = await readBundle(directory);
  const path = join(directory, SIGNATURE_FILE);
  // Beside the directory: a bundle with a file that is not part of it would not be read.
  const fresh = `${directory.replace(/\/+$/, '')}.sig.new`;
  try {
    await writeFile(fresh, `${JSON.stringify(signBundle(digest, revision, signer), null, 2)}\n`);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
  return digest;
}

export async function sign(session: Session, directory: string | undefined, { key, revision }: SignFlags): Promise<ExitCode> {
  const path = resolve(session.cwd, directory ?? 'policy');
  if (revision !== undefined && !plainTextSchema(128).safeParse(revision).success) throw new CliError(EXIT.usage, 'usage', { cause: '--revision takes a line of at most 128 characters', effect: 'Nothing was signed.' });
  const signer = signerOf(readSecret(resolve(session.cwd, key), 'the key'), key);
  try {
    const bundle = await signPolicy(path, signer, revision ?? null);
    session.out.document({ bundle, signer: signer.vkey, file: join(path, SIGNATURE_FILE) });
    session.out.line(`bundle ${bundle}`);
    session.out.line(`signer ${signer.vkey}`);
    return EXIT.ok;
  } catch (cause) {
    if (!(cause instanceof EngineFault)) throw cause;
    throw new CliError(EXIT.io, cause.code, { cause: `no bundle can be signed there: ${cause.message}`, effect: 'Nothing was signed.', next: 'countersign policy build   makes one' }, { cause });
  }
}

function signerOf(text: string, path: string): Signer {
  try {
    return parseSigner(text);
  } catch {
    // The cause is left out: it may quote the key.
    throw new CliError(EXIT.usage, 'bad-key', { cause: `${path} holds no signed-note key (PRIVATE+KEY+…)`, effect: 'Nothing was signed.', next: 'countersign keygen policy   makes one' });
  }
}
