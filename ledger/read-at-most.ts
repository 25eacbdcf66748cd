/** Reading what somebody else has written, in bounded memory. */
import type { Disk } from './disk.ts';

/**
 * The whole file where it has at most `max` bytes; of a longer one the first `max + 1`, which can be nothing that is due there and are enough to
 * tell so. Null when it is not there.
 */
export async function readAtMost(disk: Disk, path: string, max: number): Promise<Uint8Array | null> {
  const size = await disk.size(path);
  if (size === null) return null;
  return size > max ? disk.readRange(path, 0, max + 1) : disk.read(path);
}
