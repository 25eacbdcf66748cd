/** The ledger's disk over files that somebody has chosen in a browser: read, never written, and never whole beyond what a ledger's file may hold. */
import type { EvidenceDisk } from '../../ledger/disk.ts';
import type { PackBytes } from '../evidence/pack-verify.ts';

/** A file and its path in the folder that was chosen, which is the path's first part. */
export interface GivenFile {
  readonly path: string;
  readonly blob: Blob;
}

export function fileDisk(files: readonly GivenFile[]): EvidenceDisk {
  const blobs = new Map(files.map(({ path, blob }) => [path, blob]));
  const names = new Map<string, Set<string>>();
  for (const path of blobs.keys()) {
    const parts = path.split('/');
    parts.forEach((part, i) => {
      const directory = parts.slice(0, i).join('/');
      const listed = names.get(directory) ?? new Set();
      names.set(directory, listed.add(i === parts.length - 1 ? part : `${part}/`));
    });
  }
  return {
    async read(path, max = Infinity) {
      const blob = blobs.get(path);
      // A byte more than there may be is enough to be found too long.
      return blob === undefined ? null : bytesOf(blob.slice(0, Math.min(blob.size, max + 1)));
    },
    async readRange(path, start, length) {
      const blob = blobs.get(path);
      if (blob === undefined || start + length > blob.size) throw new Error(`${path} is not there, or shorter than ${start + length} bytes`);
      return bytesOf(blob.slice(start, start + length));
    },
    size: (path) => Promise.resolve(blobs.get(path)?.size ?? null),
    list: (directory) => Promise.resolve([...(names.get(directory) ?? [])].sort()),
  };
}

export function packBytes({ path, blob }: GivenFile): PackBytes {
  return {
    byteLength: blob.size,
    async read(start, length) {
      const bytes = await bytesOf(blob.slice(start, start + length));
      if (bytes.byteLength !== length) throw new Error(`${path} is shorter than it was`);
      return bytes;
    },
  };
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer());
}
