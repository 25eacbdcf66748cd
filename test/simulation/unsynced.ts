/** A disk that lies. */
import type { AppendFile, Disk } from '../../ledger/index.ts';

/** A disk whose files say that they are synced, and are not. */
export function unsynced(disk: Disk): Disk {
  return { ...disk, openAppend: async (path) => withLyingSync(await disk.openAppend(path)), writeDurable: (path, bytes) => disk.writeDerived(path, bytes) };
}
function withLyingSync(file: AppendFile): AppendFile {
  return {
    get size() {
      return file.size;
    },
    append: (bytes) => file.append(bytes), sync: () => file.check(), truncate: (size) => file.truncate(size), close: () => file.close(), check: () => file.check(),
  };
}
