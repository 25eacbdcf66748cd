/**
 * POSIX ustar, as far as a pack needs it: plain files with one header each, of which there is one spelling.
 *
 * @see POSIX.1-2017, pax, "ustar Interchange Format"
 */

export const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
const SIZE_MAX = 0o77777777777;

/** What follows the last file. */
export const END_BYTES = 2 * BLOCK_BYTES;

/** Bytes that a file of that size takes, header and padding with it. */
export function entryBytes(size: number): number {
  return BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

/** The one header of a plain file: mode 0644, owner and time 0. @param name at most 100 characters of ASCII */
export function formatHeader(name: string, size: number): Uint8Array {
  if (name.length === 0 || name.length > NAME_BYTES_MAX || !/^[\x21-\x7e]+$/.test(name)) throw new RangeError(`not a name for a tar header: ${JSON.stringify(name.slice(0, 120))}`);
  if (!Number.isSafeInteger(size) || size < 0 || size > SIZE_MAX) throw new RangeError(`not a size for a tar header: ${size}`);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 'latin1');
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1');
  header.write(`${octal(size, 11)}\0${octal(0, 11)}\0`, 124, 'latin1');
  header.write('        ', 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\0' + '00', 257, 'latin1');
  header.write('0000000\0' + '0000000\0', 329, 'latin1');
  header.write(`${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148, 'latin1');
  return header;
}

function octal(n: number, digits: number): string {
  return n.toString(8).padStart(digits, '0');
}

/** Entries that only look like files, by their type flag. */
const OTHER_TYPES: Readonly<Record<string, string>> = {
  '1': 'a hard link', '2': 'a symbolic link', '3': 'a character device', '4': 'a block device', '5': 'a directory', '6': 'a FIFO', '7': 'a contiguous file',
  x: 'a pax header', g: 'a global pax header', L: 'a GNU long name', K: 'a GNU long link', S: 'a GNU sparse file', V: 'a GNU volume header', M: 'a GNU continuation', '\0': 'a file of the old format',
};

/** Why `found` is not the one header of that file, in a phrase; null where it is. */
export function headerFault(found: Uint8Array, name: string, size: number): string | null {
  const due = formatHeader(name, size);
  const header = Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  if (header.length === BLOCK_BYTES && header.equals(due)) return null;
  if (header.length < BLOCK_BYTES) return 'the archive is cut short';
  if (header.every((byte) => byte === 0)) return 'the archive ends before it';
  if (header.toString('latin1', 257, 265) !== 'ustar\0' + '00') return `no ustar header is there (${magicOf(header)})`;
  const type = header.toString('latin1', 156, 157);
  if (type !== '0') return `${OTHER_TYPES[type] ?? 'an entry of an unknown type'} is there`;
  const text = (from: number, to: number): string => header.toString('latin1', from, to);
  if (text(345, 500) !== '\0'.repeat(155)) return 'its name has a prefix';
  const named = text(0, 100);
  if (named !== name.padEnd(100, '\0')) return `${JSON.stringify(named.replace(/\0.*$/su, ''))} is there`;
  if (text(124, 136) !== `${octal(size, 11)}\0`) return 'its size is another, or spelled in another way';
  return 'its header is not the one that such a file has';
}

function magicOf(header: Buffer): string {
  if (header[0] === 0x1f && header[1] === 0x8b) return 'gzip';
  if (header.toString('latin1', 0, 4) === '(\u00b5/\u00fd') return 'zstd';
  if (header.toString('latin1', 0, 2) === 'PK') return 'zip';
  return header.toString('latin1', 257, 262) === 'ustar' ? 'GNU tar' : 'something else';
}
