/** A copy of a writer's files is not written to, until somebody says that it is meant. */
import { cpSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeDisk, takePlaceOf } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { fill, open } from './ledger-fixture.ts';

let root: string;
const at = (name: string): string => join(root, name);
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ledger-place-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

it('opens where it was, and where it was moved to on one file system', async () => {
  await fill(nodeDisk(at('a')), 3);
  await fill(nodeDisk(at('a')), 5);
  await rename(at('a'), at('b'));
  await fill(nodeDisk(at('b')), 7);
});

it('does not open as a copy, whoever lives, and leaves the copy as it is', async () => {
  const log = await open(nodeDisk(at('a')));
  cpSync(at('a'), at('copy'), { recursive: true, preserveTimestamps: true });
  await expect(open(nodeDisk(at('copy')))).rejects.toMatchObject({ code: 'copied' });
  await log.close();
  const before = await readFile(at('copy/journal/place'));
  await expect(open(nodeDisk(at('copy')))).rejects.toMatchObject({ code: 'copied' });
  expect(await readFile(at('copy/journal/place'))).toEqual(before);
  await (await open(nodeDisk(at('a')))).close();
});

it('goes on as a copy that somebody accepted, once the place is taken', async () => {
  await fill(nodeDisk(at('a')), 3);
  cpSync(at('a'), at('copy'), { recursive: true });
  const disk = nodeDisk(at('copy'));
  await (await open(disk, undefined, { acceptCopy: true })).close();
  await expect(open(disk)).rejects.toMatchObject({ code: 'copied' });
  await takePlaceOf({ disk, journal: 'journal' });
  await fill(disk, 5);
});

it('adopts the place of a ledger that was there before places were kept', async () => {
  const disk = new FaultyDisk();
  await fill(disk, 3);
  expect(disk.files.delete('journal/place')).toBe(true);
  disk.place = 'elsewhere';
  await fill(disk, 4);
  await fill(disk, 5);
  disk.place = 'here';
  await expect(open(disk)).rejects.toMatchObject({ code: 'copied' });
});

it('opens where the file system tells nothing, as it did before', async () => {
  const disk = new FaultyDisk();
  disk.place = null;
  await fill(disk, 3);
  expect(disk.files.has('journal/place')).toBe(false);
  disk.place = 'here';
  await fill(disk, 4);
  disk.place = null;
  await fill(disk, 5);
});
