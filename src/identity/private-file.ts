/** Files that hold keys or tokens: read only while they are their owner's alone. */
import { open } from 'node:fs/promises';

export class PrivateFileError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.name = 'PrivateFileError';
    this.path = path;
  }
}

const PRIVATE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The bytes of a file that nobody but its owner can read or write. The check is on the open file, so that it cannot be swapped in between.
 *
 * @throws PrivateFileError when it is absent, not a plain file, somebody else's, or its mode lets others in
 */
export async function readPrivateFile(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new PrivateFileError(path, `cannot be read (${cause instanceof Error && 'code' in cause ? String(cause.code) : 'error'})`);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new PrivateFileError(path, 'is not a plain file');
    const self = process.getuid?.();
    if (self !== undefined && stat.uid !== self && stat.uid !== 0) throw new PrivateFileError(path, `belongs to uid ${stat.uid}, not to ${self}`);
    if ((stat.mode & 0o077) !== 0) {
      throw new PrivateFileError(path, `others can read or write it (mode ${(stat.mode & 0o777).toString(8)}); make it theirs no longer: chmod 600 ${path}`);
    }
    if (stat.size > PRIVATE_FILE_BYTES_MAX) throw new PrivateFileError(path, 'is too large to be what it should be');
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/**
 * The secrets in a file that is its owner's alone, a line each.
 *
 * @throws PrivateFileError also when there is none, more than `most`, or one that is none; what it holds is not quoted
 */
export async function readSecretLines(path: string, { most, isSecret, trouble }: { readonly most: number; readonly isSecret: (line: string) => boolean; /** What is wrong with such a file. */ readonly trouble: string }): Promise<string[]> {
  const lines = Buffer.from(await readPrivateFile(path)).toString('utf8').split('\n').map((line) => line.trim()).filter((line) => line !== '');
  if (lines.length === 0 || lines.length > most || !lines.every(isSecret)) throw new PrivateFileError(path, trouble);
  return lines;
}
