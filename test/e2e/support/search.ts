/** Looks for a secret in every file below some directories, in each way that it might have been written. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The spellings of a secret that are looked for, as bytes in latin1. base64 at each of its three alignments, so that it is found within something longer. */
export function spellings(secret: string | Uint8Array): ReadonlyMap<string, string> {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : Buffer.from(secret);
  const found = new Map<string, string>([
    ['raw', bytes.toString('latin1')],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['every byte URL-encoded', [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')],
    ['reversed', Buffer.from(bytes).reverse().toString('latin1')],
    ...(typeof secret === 'string' ? spellingsOfText(secret) : []),
  ]);
  for (const shift of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]);
    // What depends on neighbours is left out: at the front on those before, at the end on those after.
    const from = [0, 2, 3][shift]!;
    const whole = Math.floor((shift + bytes.length) * 8 / 6);
    found.set(`base64 at ${shift}`, padded.toString('base64').slice(from, whole));
    found.set(`base64url at ${shift}`, padded.toString('base64url').slice(from, whole));
  }
  return found;
}

function spellingsOfText(secret: string): [string, string][] {
  return [
    ['URL-encoded', encodeURIComponent(secret)],
    ['JSON', Buffer.from(JSON.stringify(secret).slice(1, -1), 'utf8').toString('latin1')],
    ['UTF-16', Buffer.from(secret, 'utf16le').toString('latin1')],
  ];
}

/** `<what>: <spelling>` for each spelling of each secret that `text` (bytes as latin1) holds. */
export function searchText(what: string, text: string, secrets: readonly (string | Uint8Array)[]): string[] {
  return secrets.flatMap((secret) => [...spellings(secret)].filter(([, spelled]) => text.includes(spelled)).map(([name]) => `${what}: ${name}`));
}

/** Every hit in every regular file below `directories`, and how many files and bytes were looked at. */
export function searchFiles(directories: readonly string[], secrets: readonly (string | Uint8Array)[]): { readonly hits: string[]; readonly files: string[] } {
  const files = directories.flatMap(filesBelow);
  return { files, hits: files.flatMap((file) => searchText(file, read(file), secrets)) };
}

/** The bytes as latin1; none of a file that has gone meanwhile: the ledger replaces a tile that is not full by one that holds more. */
function read(file: string): string {
  try {
    return readFileSync(file).toString('latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() && (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0 ? [path] : [];
  });
}
