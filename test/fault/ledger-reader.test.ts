/** Records that stand close together are read with one bundle, and not one each; what was read of a damaged one is not kept. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bundlePath, type Log } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, open } from './ledger-fixture.ts';

const RECORDS = 1_100;
let disk: FaultyDisk;
let log: Log;
let read: string[];
beforeEach(async () => {
  const first = new FaultyDisk();
  const written = await open(first);
  for (let i = 0; i < RECORDS; i += 1) appendOne(written, i);
  await written.close();
  disk = first.reboot();
  log = await open(disk);
  read = [];
  const own = disk.read.bind(disk);
  disk.read = (path) => {
    read.push(path);
    return own(path);
  };
});
afterEach(() => log.close());

async function at(seq: number): Promise<number> {
  for await (const { seq: found } of log.entries(seq, seq + 1)) return found;
  throw new Error('none');
}

it('reads each bundle once, whoever asks for what of it, also at the same time', async () => {
  expect(await Promise.all([3, 200, 9, 300, 256, 0].map(at))).toEqual([3, 200, 9, 300, 256, 0]);
  expect(await at(77)).toBe(77);
  expect(read.sort()).toEqual([`ledger/${bundlePath(0)}`, `ledger/${bundlePath(1)}`]);
});

it('says of a damaged one that it is, and reads it anew once it is mended', async () => {
  const path = `ledger/${bundlePath(1)}`;
  const whole = disk.files.get(path)!;
  const damaged = Buffer.from(whole);
  damaged[damaged.length - 2]! ^= 1;
  disk.files.set(path, damaged);
  await expect(at(511)).rejects.toMatchObject({ code: 'corrupt', seq: 511 });
  disk.files.delete(path);
  await expect(at(400)).rejects.toMatchObject({ code: 'corrupt' });
  disk.files.set(path, whole);
  expect([await at(511), await at(400)]).toEqual([511, 400]);
});
