/**
 * Where sealed secrets wait: one file each, ciphertext only, readable by the sidecar's user alone, and gone after a while whoever forgets.
 */
import { digestOf, type Disk } from '../../ledger/index.ts';
import type { Clock, DeliveryStore, Logger } from '../engine/ports.ts';

/** Eight bytes, big-endian: when it was stored, in epoch ms. The ciphertext follows. */
const HEADER_BYTES = 8;
const SWEEP_EVERY_MS = 600_000;
const NAME = /^[0-9a-f]{64}$/;

export interface DeliveryStoreOptions {
  readonly disk: Disk;
  /** Below the disk's root, such as `deliveries`. */
  readonly directory: string;
  readonly clock: Clock;
  /** What is older is removed. Longer than the engine waits before it gives a delivery up. */
  readonly keepMs: number;
  readonly logger: Logger;
}

export interface ExpiringDeliveryStore extends DeliveryStore {
  /** Removes what has expired. Runs by itself every ten minutes. */
  sweep(): Promise<void>;
  close(): void;
}

/** The store, swept once already. */
export async function openDeliveryStore(options: DeliveryStoreOptions): Promise<ExpiringDeliveryStore> {
  const { disk, directory, clock, keepMs, logger } = options;
  const pathOf = (digest: string): string => {
    const name = digest.slice('sha256:'.length);
    if (!digest.startsWith('sha256:') || !NAME.test(name)) throw new TypeError('not a digest');
    return `${directory}/${name}`;
  };
  const isOver = (stored: Uint8Array): boolean => Number(Buffer.from(stored).readBigUInt64BE(0)) + keepMs <= clock.nowMs();

  let cancel: () => void = () => undefined;
  let closed = false;
  const store: ExpiringDeliveryStore = {
    async put(digest, ciphertext) {
      if (digestOf(ciphertext) !== digest) throw new TypeError('the ciphertext is not what its digest says');
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeBigUInt64BE(BigInt(clock.nowMs()));
      await disk.writeDurable(pathOf(digest), Buffer.concat([header, ciphertext]));
    },
    async get(digest) {
      const stored = await disk.read(pathOf(digest));
      if (stored === null || stored.length < HEADER_BYTES || isOver(stored)) return null;
      const ciphertext = stored.subarray(HEADER_BYTES);
      return digestOf(ciphertext) === digest ? ciphertext : null;
    },
    async remove(digest) {
      await disk.remove(pathOf(digest));
    },
    async sweep() {
      for (const name of await disk.list(directory)) {
        if (!NAME.test(name)) continue;
        const stored = await disk.read(`${directory}/${name}`);
        if (stored === null || (stored.length >= HEADER_BYTES && !isOver(stored))) continue;
        await disk.remove(`${directory}/${name}`);
        logger.info({ ciphertext: `sha256:${name}` }, 'a sealed secret that nobody fetched is gone');
      }
    },
    close() {
      closed = true;
      cancel();
    },
  };
  const sweepLater = (): void => {
    cancel = clock.after(SWEEP_EVERY_MS, () => {
      void store
        .sweep()
        .catch((error: unknown) => logger.warn({ error: String(error) }, 'expired deliveries could not be removed'))
        .then(() => {
          if (!closed) sweepLater();
        });
    });
  };
  await store.sweep();
  sweepLater();
  return store;
}
