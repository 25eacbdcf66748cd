/** The data types of SSH (RFC 4251 §5) that keys and signatures are made of. What is read has one spelling; a second one is refused. */

/** Bytes that are not what they should be. */
export class SshFormatError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SshFormatError';
  }
}

/** Reads one value after the other. @throws SshFormatError where bytes are missing */
export interface SshReader {
  bytes(length: number): Buffer;
  uint32(): number;
  /** A `string`: its length in four bytes, then so many. */
  string(): Buffer;
  /** Nothing may follow. */
  end(): void;
}

export function readSsh(source: Uint8Array): SshReader {
  const buffer = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  let at = 0;
  const reader: SshReader = {
    bytes(length) {
      if (length > buffer.length - at) throw new SshFormatError('cut short');
      at += length;
      return buffer.subarray(at - length, at);
    },
    uint32: () => reader.bytes(4).readUInt32BE(0),
    string: () => reader.bytes(reader.uint32()),
    end() {
      if (at !== buffer.length) throw new SshFormatError('something follows');
    },
  };
  return reader;
}

export function sshString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes as Uint8Array);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}

/** A positive `mpint` as `length` bytes, the most significant first. @throws SshFormatError for any but its shortest spelling, and for what is not positive or too long */
export function positiveMpint(bytes: Uint8Array, length: number): Buffer {
  const [first = 0x80, second = 0] = bytes;
  if ((first & 0x80) !== 0 || (first === 0 && (second & 0x80) === 0)) throw new SshFormatError('not the shortest form of a positive number');
  const digits = Buffer.from(first === 0 ? bytes.subarray(1) : bytes);
  if (digits.length > length) throw new SshFormatError('a number that is too large');
  return Buffer.concat([Buffer.alloc(length - digits.length), digits]);
}
