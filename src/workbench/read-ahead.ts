/** Evidence whose large files are read from front to back: a few reads of megabytes, instead of one for each object. */
import type { EvidenceDisk } from '../../ledger/index.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;
const CHUNKS_KEPT = 2;

/**
 * The same bytes. How large a file is is asked once: what a checkpoint that was read before covers is in it, whatever is written meanwhile.
 * One read at a time.
 */
export function withReadAhead(disk: EvidenceDisk): EvidenceDisk {
  const sizes = new Map<string, number | null>();
  const chunks: { readonly path: string; readonly start: number; readonly bytes: Uint8Array }[] = [];
  const size = async (path: string): Promise<number | null> => {
    if (!sizes.has(path)) sizes.set(path, await disk.size(path));
    return sizes.get(path)!;
  };
  return {
    read: (path, max) => disk.read(path, max),
    list: (directory) => disk.list(directory),
    size,
    async readRange(path, start, length) {
      const known = chunks.find((chunk) => chunk.path === path && chunk.start <= start && start + length <= chunk.start + chunk.bytes.length);
      if (known !== undefined) return known.bytes.slice(start - known.start, start - known.start + length);
      const end = Math.min((await size(path)) ?? 0, start + Math.max(length, CHUNK_BYTES));
      if (end < start + length) return disk.readRange(path, start, length);
      const bytes = await disk.readRange(path, start, end - start);
      chunks.unshift({ path, start, bytes });
      chunks.splice(CHUNKS_KEPT);
      return bytes.slice(0, length);
    },
  };
}
