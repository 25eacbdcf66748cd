/** A disk that fills up: what gives is refused before anything is written, what takes back is recorded as long as there is a byte, and it passes. */
import { expect, it } from 'vitest';
import { digestOf, exitCodeOf, type Log } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { draft, ManualTime, open, verify } from './ledger-fixture.ts';

const RESERVE = 2_097_152;
const PLENTY = 1e9;

/** A disk whose free space is what it is said to be, less what stands on it. */
class FillingDisk extends FaultyDisk {
  total = PLENTY;
  override free(): number {
    let used = 0;
    for (const bytes of this.files.values()) used += bytes.length;
    return Math.max(0, this.total - used);
  }
  fillUpTo(freeBytes: number): void {
    this.total -= this.free() - freeBytes;
  }
}

const opened = (disk: FillingDisk): Promise<Log> => open(disk, new ManualTime(), { reserveBytes: RESERVE });

async function full(freeBytes: number): Promise<{ disk: FillingDisk; log: Log }> {
  const disk = new FillingDisk();
  const log = await opened(disk);
  await log.append([draft(0)], { checkpoint: true }).durable;
  disk.fillUpTo(freeBytes);
  return { disk, log };
}

it('keeps a reserve of real bytes', async () => {
  const { disk, log } = await full(PLENTY);
  const reserve = disk.files.get('journal/reserve')!;
  expect(reserve).toHaveLength(RESERVE);
  for (let at = 0; at < RESERVE; at += 4_096) expect(reserve.subarray(at, at + 4_096).every((byte) => byte === 0)).toBe(false);
  expect(log.full).toBeNull();
  await log.close();
});

it('refuses what is not reserved, before anything is sequenced or written', async () => {
  const { disk, log } = await full(RESERVE - 1);
  const operations = disk.operations;
  expect(() => log.append([draft(1)])).toThrow(expect.objectContaining({ code: 'full' }) as Error);
  expect([log.size, log.failed, log.full?.code, disk.operations]).toEqual([1, null, 'full', operations]);
  await log.close();
});

it('does not sequence an object that would take what is kept', async () => {
  const { log } = await full(RESERVE + 30_000);
  const object = Buffer.alloc(50_000, 'x');
  expect(() => log.append([draft(1, { objects: [digestOf(object)] })], { objects: [object] })).toThrow(expect.objectContaining({ code: 'full' }) as Error);
  await log.append([draft(1)], { checkpoint: true }).durable;
  await log.close();
});

it('records what takes back on a disk that is full to the last byte, and gives the reserve up for it', async () => {
  const { disk, log } = await full(0);
  await log.append([draft(1)], { reserved: true }).durable;
  expect(disk.files.has('journal/reserve')).toBe(false);
  expect(() => log.append([draft(2)])).toThrow(expect.objectContaining({ code: 'full' }) as Error);
  await log.append([draft(2)], { reserved: true }).durable;
  disk.fillUpTo(0);
  expect(() => log.append([draft(3)], { reserved: true })).toThrow(expect.objectContaining({ code: 'full' }) as Error);
  expect(log.failed).toBeNull();
  await log.close();
  expect(exitCodeOf((await verify(disk)).verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'])).toBe(0);
});

it('goes on by itself once there is room, and has its reserve again', async () => {
  const { disk, log } = await full(0);
  await log.append([draft(1)], { reserved: true }).durable;
  expect(log.full?.code).toBe('full');
  disk.total = PLENTY;
  while (log.full !== null) await Promise.resolve();
  await log.append([draft(2)], { checkpoint: true }).durable;
  expect(disk.files.get('journal/reserve')).toHaveLength(RESERVE);
  await log.close();
});

it('opens on a full disk, for what takes back', async () => {
  const { disk, log } = await full(PLENTY);
  await log.close();
  disk.fillUpTo(10);
  const again = await opened(disk);
  expect(again.full?.code).toBe('full');
  await again.append([draft(1)], { reserved: true }).durable;
  await again.close();
});

it('counts what was sequenced and not written yet, and no longer once it is', async () => {
  const { log } = await full(RESERVE + 200_000);
  const big = (i: number): ReturnType<typeof draft> => draft(i, { body: { i, text: 'x'.repeat(20_000) } });
  let taken = 0;
  expect(() => {
    for (let i = 1; i < 20; i++, taken++) log.append([big(i)]);
  }).toThrow(expect.objectContaining({ code: 'full' }) as Error);
  expect(taken).toBe(3);
  await log.sync();
  expect(log.full).toBeNull();
  await log.close();
});
