/** A file that is written a piece at a time, whole or not at all. */
import { createHash } from 'node:crypto';
import { accessSync, constants, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CliError, EXIT } from './exit.ts';
import { requireNew } from './files.ts';

/** Before work that would be in vain: as things are, {@link writePieces} could begin. @throws CliError `exists` or `unwritable` */
export function requirePlace(path: string, undone: string): void {
  requireNew(path, undone);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw new CliError(EXIT.io, 'unwritable', { cause: `${path} cannot be written: ${(cause as Error).message}`, effect: undone }, { cause });
  }
}

/** Writes a new file; what could not be written whole is taken away again. @throws CliError `exists` or `unwritable` */
export async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const handle = await open(path, 'wx', 0o644).catch((cause: unknown) => {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new CliError(isThere ? EXIT.usage : EXIT.io, isThere ? 'exists' : 'unwritable', { cause: isThere ? `${path} is there already` : `${path} cannot be written: ${(cause as Error).message}`, effect: 'It was left as it is.' }, { cause });
  });
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      bytes += piece.byteLength;
      await handle.writeFile(piece);
    }
    await handle.close();
  } catch (error) {
    await handle.close().catch(() => undefined);
    rmSync(path, { force: true });
    throw error;
  }
  return { bytes, sha256: hash.digest('hex') };
}
