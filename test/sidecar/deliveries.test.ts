import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, nodeDisk } from '../../ledger/index.ts';
import type { Clock, Logger } from '../../src/engine/ports.ts';
import { openDeliveryStore, type ExpiringDeliveryStore } from '../../src/sidecar/deliveries.ts';

const SILENT: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const KEEP_MS = 60_000;
let directory: string;
let nowMs: number;
let timers: { atMs: number; callback: () => void }[];
let store: ExpiringDeliveryStore;
const clock: Clock = {
  nowMs: () => nowMs,
  after(delayMs, callback) {
    const timer = { atMs: nowMs + delayMs, callback };
    timers.push(timer);
    return () => {
      timers = timers.filter((other) => other !== timer);
    };
  },
};
const open = (): Promise<ExpiringDeliveryStore> => openDeliveryStore({ disk: nodeDisk(directory), directory: 'deliveries', clock, keepMs: KEEP_MS, logger: SILENT });
const files = (): Promise<string[]> => readdir(join(directory, 'deliveries')).catch(() => []);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-deliveries-'));
  nowMs = 1_000_000;
  timers = [];
  store = await open();
});
afterEach(async () => {
  store.close();
  await rm(directory, { recursive: true });
});

const CIPHERTEXT = Buffer.from('age-encryption.org/v1 …');
const DIGEST = digestOf(CIPHERTEXT);

describe('a sealed secret', () => {
  it('is found again by its digest, after a restart too, until it is removed', async () => {
    await store.put(DIGEST, CIPHERTEXT);
    await store.put(DIGEST, CIPHERTEXT);
    expect(await (await open()).get(DIGEST)).toEqual(CIPHERTEXT);
    await store.remove(DIGEST);
    await store.remove(DIGEST);
    expect(await store.get(DIGEST)).toBeNull();
    expect(await files()).toEqual([]);
  });

  it('is not given out, and goes, once its time is over', async () => {
    await store.put(DIGEST, CIPHERTEXT);
    nowMs += KEEP_MS - 1;
    expect(await store.get(DIGEST)).toEqual(CIPHERTEXT);
    nowMs += 1;
    expect(await store.get(DIGEST)).toBeNull();
    await store.sweep();
    expect(await files()).toEqual([]);
  });

  it('goes at the start of the next sidecar, if its time was over meanwhile', async () => {
    await store.put(DIGEST, CIPHERTEXT);
    nowMs += KEEP_MS;
    await open();
    expect(await files()).toEqual([]);
  });

  it('is not given out when the file is not what its name says', async () => {
    await store.put(DIGEST, CIPHERTEXT);
    const [name] = await files();
    const path = join(directory, 'deliveries', name!);
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    expect(await store.get(DIGEST)).toBeNull();
  });

  it('is not taken under another digest, nor under a name that is a path', async () => {
    await expect(store.put(digestOf(Buffer.from('other')), CIPHERTEXT)).rejects.toThrow(TypeError);
    for (const name of ['sha256:../../etc/passwd', '../x', `sha256:${'A'.repeat(64)}`, 'sha256:']) {
      await expect(store.get(name)).rejects.toThrow(TypeError);
      await expect(store.remove(name)).rejects.toThrow(TypeError);
    }
    expect(await files()).toEqual([]);
  });

  it('is swept again and again until the store is closed', async () => {
    expect(timers).toHaveLength(1);
    await store.put(DIGEST, CIPHERTEXT);
    nowMs = timers[0]!.atMs;
    const swept = new Promise<void>((resolve) => {
      const { after } = clock;
      clock.after = (delayMs, callback) => {
        clock.after = after;
        resolve();
        return after(delayMs, callback);
      };
    });
    timers.shift()!.callback();
    await swept;
    expect(await files()).toEqual([]);
    expect(timers).toHaveLength(1);
    store.close();
    expect(timers).toEqual([]);
  });
});
