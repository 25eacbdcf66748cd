/** One simulated file: what programs see, and what a power cut leaves of it. */
import type { Rng } from './rng.ts';

/** Bytes that programs see (`length` of them), and how much of that would survive a power cut. */
export interface SimFile {
  bytes: Buffer;
  length: number;
  /**
   * `prefix`: the first so many bytes of what is seen. `other`: earlier contents, not yet replaced for good. `cut`: earlier contents, of which
   * the first `length` bytes stand in any case. `absent`: no file at all.
   */
  synced:
    | { readonly kind: 'prefix'; readonly length: number }
    | { readonly kind: 'other'; readonly bytes: Buffer }
    | { readonly kind: 'cut'; readonly bytes: Buffer; readonly length: number }
    | { readonly kind: 'absent' };
}

export function newFile(contents: Uint8Array, synced: SimFile['synced']): SimFile {
  return { bytes: Buffer.from(contents), length: contents.byteLength, synced };
}

export function appendTo(file: SimFile, more: Uint8Array): void {
  if (file.length + more.byteLength > file.bytes.byteLength) {
    const grown = Buffer.alloc(Math.max(4096, 2 * (file.length + more.byteLength)));
    file.bytes.copy(grown, 0, 0, file.length);
    file.bytes = grown;
  }
  file.bytes.set(more, file.length);
  file.length += more.byteLength;
}

export const seen = (file: SimFile): Buffer => file.bytes.subarray(0, file.length);

/** What is certain to survive; null: no file. */
export function survivingBytes(file: SimFile): Buffer | null {
  if (file.synced.kind === 'absent') return null;
  return file.synced.kind === 'other' ? file.synced.bytes : file.bytes.subarray(0, file.synced.length);
}

export function syncFile(file: SimFile): void {
  file.synced = { kind: 'prefix', length: file.length };
}

export function truncateTo(file: SimFile, length: number): void {
  const { synced } = file;
  if (synced.kind === 'prefix' && length < synced.length) file.synced = { kind: 'cut', bytes: Buffer.from(file.bytes.subarray(0, synced.length)), length };
  if (synced.kind === 'cut' && length < synced.length) file.synced = { ...synced, length };
  // Appending over a cut must not write into bytes that still count as synced.
  file.bytes = Buffer.from(file.bytes.subarray(0, length));
  file.length = length;
}

/** What a power cut makes of the file: unsynced bytes are lost, kept, or torn anywhere, and a grown size may show zeros. Null: gone. */
export function afterPowerCut(file: SimFile, rng: Rng): SimFile | null {
  const sure = survivingBytes(file);
  const fate = rng.between(0, 3);
  if (file.synced.kind === 'cut' && rng.chance(0.5)) return newFile(file.synced.bytes, { kind: 'prefix', length: file.synced.bytes.byteLength });
  if (file.synced.kind === 'other' || file.synced.kind === 'absent') {
    if (fate === 0) return newFile(seen(file), { kind: 'prefix', length: file.length });
    if (fate === 1) {
      const torn = rng.between(0, file.length);
      return newFile(file.bytes.subarray(0, torn), { kind: 'prefix', length: torn });
    }
    return sure === null ? null : newFile(sure, { kind: 'prefix', length: sure.byteLength });
  }
  const unsynced = file.length - file.synced.length;
  const kept = fate === 0 || unsynced === 0 ? 0 : fate === 1 ? unsynced : rng.between(0, unsynced);
  const left = Buffer.from(file.bytes.subarray(0, file.synced.length + kept));
  if (fate === 3 && kept > 0) left.fill(0, file.synced.length + rng.between(0, kept));
  return newFile(left, { kind: 'prefix', length: left.byteLength });
}
