/**
 * Signing keys, as files that only their owner can read. What is in the file says which kind it is:
 *
 *     PRIVATE+KEY+…                           the key itself, as a signed-note key
 *     -----BEGIN AGE ENCRYPTED FILE-----      the same, encrypted with age to a passphrase or a recipient
 *     {"kind":"transit", …}                   where OpenBao holds it, for the log's key: it never leaves there
 */
import { parseSigner, type LogSigner, type Signer } from '../../ledger/index.ts';
import { readPrivateFile } from './private-file.ts';
import { SigningKeyError } from './signing-key-error.ts';
import { openTransitKey, parseTransitKey } from './transit-key.ts';

const ARMOR = '-----BEGIN AGE ENCRYPTED FILE-----';
const IDENTITY = /^AGE-SECRET-KEY-/;

/**
 * The log's key, at hand or held by OpenBao.
 *
 * @param unlock file of the passphrase, or of the age identity, that opens an encrypted one
 * @throws SigningKeyError; PrivateFileError for a file that others can read
 */
export async function openLogKey(path: string, unlock?: string): Promise<LogSigner> {
  const text = await textOf(path, unlock);
  const transit = parseTransitKey(text, path);
  return transit === null ? signerOf(text, path) : openTransitKey(transit, path);
}

/** A key of this process: one that signs tickets, which wait for nobody. @throws as {@link openLogKey} */
export async function openOwnKey(path: string, unlock?: string): Promise<Signer> {
  const text = await textOf(path, unlock);
  if (text.startsWith('{')) throw new SigningKeyError(path, 'says where a key is held, and only that of the log can be elsewhere');
  return signerOf(text, path);
}

async function textOf(path: string, unlock: string | undefined): Promise<string> {
  const text = Buffer.from(await readPrivateFile(path)).toString('utf8').trim();
  return text.startsWith(ARMOR) ? decrypted(text, path, unlock) : text;
}

async function decrypted(text: string, path: string, unlock: string | undefined): Promise<string> {
  if (unlock === undefined) throw new SigningKeyError(path, 'is encrypted, and keys.unlock does not say with what it is opened');
  const secret = Buffer.from(await readPrivateFile(unlock)).toString('utf8').trim();
  // Loaded here: with a key that lies open, no start waits for it.
  const { armor, Decrypter } = await import('age-encryption');
  try {
    const decrypter = new Decrypter();
    if (IDENTITY.test(secret)) decrypter.addIdentity(secret);
    else decrypter.addPassphrase(secret);
    return (await decrypter.decrypt(armor.decode(text), 'text')).trim();
  } catch {
    // The library's message could say how far it came with a secret.
    throw new SigningKeyError(path, `is encrypted, and ${unlock} does not open it`);
  }
}

function signerOf(text: string, path: string): Signer {
  try {
    return parseSigner(text);
  } catch {
    // The cause is left out: a parser's message may quote what it was given, and what it was given is a key.
    throw new SigningKeyError(path, 'holds no signed-note key (PRIVATE+KEY+…)');
  }
}
