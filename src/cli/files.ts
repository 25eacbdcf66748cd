/** Reading and writing files for commands, with errors that a person can act on. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError, EXIT } from './exit.ts';

/** @throws CliError `no-such-file` or `unreadable` */
export function readText(path: string, what: string): string {
  return Buffer.from(readBytes(path, what)).toString('utf8');
}

/** @throws CliError `no-such-file` or `unreadable` */
export function readBytes(path: string, what: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CliError(EXIT.io, missing ? 'no-such-file' : 'unreadable', { cause: `${what} ${path} ${missing ? 'is not there' : `cannot be read: ${(cause as Error).message}`}` }, { cause });
  }
}

/** A secret, for its owner alone. @throws CliError `too-open` when others may read the file */
export function readSecret(path: string, what: string): string {
  const text = readText(path, what);
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new CliError(EXIT.io, 'too-open', { cause: `${what} ${path} can be read by others`, effect: 'It was not used.', next: `chmod 600 ${path}` });
  }
  return text.trim();
}

/** Writes a new file that only its owner can read. @throws CliError `exists`: nothing is overwritten */
export function writeSecret(path: string, text: string): void {
  writeNew(path, text, 0o600);
}

/** Before work that would be in vain: nothing is at `path` yet, not even a link to nothing. @throws CliError `exists` */
export function requireNew(path: string, undone: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw new CliError(EXIT.usage, 'exists', { cause: `${path} is there already`, effect: `It was left as it is. ${undone}` });
}

/** @throws CliError `exists`: nothing is overwritten */
export function writeNew(path: string, text: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(path, text, { flag: 'wx', mode });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw new CliError(EXIT.usage, 'exists', { cause: `${path} is there already`, effect: 'It was left as it is.' }, { cause });
    throw new CliError(EXIT.io, 'unwritable', { cause: `${path} cannot be written: ${(cause as Error).message}` }, { cause });
  }
}

export function isEmptyOrAbsent(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}
