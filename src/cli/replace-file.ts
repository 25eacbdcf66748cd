/** A file of facts becomes another at one moment: whoever reads it has the old one or the new one. */
import { closeSync, existsSync, fchmodSync, fsyncSync, mkdirSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError, EXIT } from './exit.ts';
import { readBytes } from './files.ts';

/** null where no file is yet. @throws CliError `unreadable` */
export const heldBy = (path: string): Uint8Array | null => (existsSync(path) ? readBytes(path, 'the file') : null);

/**
 * The file is the old one or the new one at any moment: a sidecar may be reading it. A link stays a link, and the mode of the file its mode.
 *
 * @param held what the text was made of: where the file is that no more, it is left to whoever changed it
 * @param unique nobody else's: two that write at once do not write into one file
 * @throws CliError `changed.code` or `unwritable`: it was not written
 */
export function replace(path: string, held: Uint8Array | null, text: string, unique: string, changed: { readonly code: string; readonly next: string }): void {
  const exists = existsSync(path);
  if (!exists) mkdirSync(dirname(path), { recursive: true });
  const place = exists ? realpathSync(path) : path;
  const fresh = `${place}.${unique}.new`;
  let isOurs = false;
  try {
    const mode = exists ? statSync(place).mode & 0o777 : 0o644;
    // Follows no link, and takes nothing that is there.
    const file = openSync(fresh, 'wx', mode);
    isOurs = true;
    try {
      // Whatever the umask takes away.
      if (exists) fchmodSync(file, mode);
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // As late as can be: of two that rename in this very instant, the later one stays, whole.
    const now = heldBy(place);
    if (held === null || now === null ? held !== now : Buffer.compare(held, now) !== 0) {
      throw new CliError(EXIT.failed, changed.code, { cause: `${path} was changed by somebody else meanwhile`, effect: 'Nothing was written.', next: changed.next });
    }
    renameSync(fresh, place);
  } catch (cause) {
    if (isOurs) rmSync(fresh, { force: true });
    if (cause instanceof CliError) throw cause;
    throw new CliError(EXIT.io, 'unwritable', { cause: `${path} cannot be written: ${(cause as Error).message}`, effect: 'It is as it was.' }, { cause });
  }
}
