import { spawnSync } from 'node:child_process';
import { appendFile, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCodeOf, nodeDisk } from '../../ledger/index.ts';
import { appendOne, fill, open, verify } from './ledger-fixture.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ledger-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('a ledger on a real disk', () => {
  it('is written, reopened and verified, with no file in it but its own', async () => {
    await fill(nodeDisk(root), 300, 50);
    const log = await open(nodeDisk(root));
    expect(log.size).toBe(300);
    await log.close();
    const verification = await verify(nodeDisk(root));
    expect(exitCodeOf(verification.verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'])).toBe(0);
    expect((await readdir(join(root, 'ledger'))).sort()).toEqual(['checkpoint', 'objects', 'tile']);
    expect((await readdir(join(root, 'journal'))).sort()).toEqual(['0000000000000000.journal', 'place']);
  });

  it.each([
    ['is deleted', (path: string) => rm(path)],
    ['is replaced', async (path: string) => {
      await rename(path, `${path}.old`);
      await writeFile(path, await readFile(`${path}.old`));
    }],
    ['is cut short', (path: string) => truncate(path, 10)],
  ])('stops when its journal %s under it', async (_name, harm) => {
    const log = await open(nodeDisk(root));
    await appendOne(log, 0).durable;
    await harm(join(root, 'journal', '0000000000000000.journal'));
    await expect(appendOne(log, 1).durable).rejects.toMatchObject({ code: 'unwritable' });
    await log.close();
  });
});

describe('a writer', () => {
  it.each([
    ['is removed', (path: string) => rm(path)],
    ["is another's", async (path: string) => {
      await writeFile(`${path}.new`, JSON.stringify({ host: 'elsewhere', boot: '', pid: 1, started: '' }));
      await rename(`${path}.new`, path);
    }],
  ])('goes on no further when its lock %s', async (_name, harm) => {
    const log = await open(nodeDisk(root));
    await appendOne(log, 0).durable;
    await harm(join(root, 'journal', 'lock'));
    await expect(appendOne(log, 1).durable).rejects.toMatchObject({ code: 'unwritable', message: expect.stringContaining('lock') as string });
    expect(() => appendOne(log, 2)).toThrow();
    await log.close();
  });

  it('acknowledges nothing under a checkpoint whose objects go to a file that is gone', async () => {
    const log = await open(nodeDisk(root));
    await appendOne(log, 0, { checkpoint: true }).durable;
    await rm(join(root, 'ledger', 'objects', '0'));
    await expect(appendOne(log, 2, { checkpoint: true }).durable).rejects.toMatchObject({ code: 'unwritable' });
    await log.close();
    await (await open(nodeDisk(root))).close();
    expect(exitCodeOf((await verify(nodeDisk(root))).verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'])).toBe(0);
  });
});

describe('the disk', () => {
  it('reads nothing where nothing is', async () => {
    const disk = nodeDisk(root);
    expect([await disk.read('a/b'), await disk.size('a/b'), await disk.list('a')]).toEqual([null, null, []]);
    await disk.remove('a/b');
    await expect(disk.readRange('a/b', 0, 1)).rejects.toThrow();
  });

  it('appends after what was there, cuts, and overwrites inside but never past the end', async () => {
    const disk = nodeDisk(root);
    const file = await disk.openAppend('a/b');
    await file.append(bytes('hello '));
    await file.append(bytes('world'));
    await file.sync();
    await disk.overwrite('a/b', 6, bytes('W'));
    await expect(disk.overwrite('a/b', 6, bytes('WORLDS'))).rejects.toThrow();
    await expect(disk.readRange('a/b', 6, 6)).rejects.toThrow();
    expect(Buffer.from(await disk.readRange('a/b', 6, 5)).toString()).toBe('World');
    await file.truncate(5);
    await file.append(bytes('!'));
    expect(file.size).toBe(6);
    await file.close();
    expect((await readFile(join(root, 'a/b'))).toString()).toBe('hello!');
  });

  it('replaces a file whole and lists what is there', async () => {
    const disk = nodeDisk(root);
    await disk.writeDerived('d/one', bytes('1'));
    await disk.writeDurable('d/one', bytes('2'));
    await disk.writeDerived('d/e/two', bytes(''));
    expect(await disk.list('d')).toEqual(['e/', 'one']);
    expect((await readFile(join(root, 'd/one'))).toString()).toBe('2');
    expect(await disk.list('.tmp')).toEqual([]);
  });
});

describe('the lock', () => {
  const path = (): string => join(root, 'journal', 'lock');

  it('is held against another writer, and free after', async () => {
    const release = await nodeDisk(root).lock('journal/lock');
    await expect(nodeDisk(root).lock('journal/lock')).rejects.toMatchObject({ code: 'locked' });
    await release();
    await (await nodeDisk(root).lock('journal/lock'))();
    expect(await readdir(join(root, 'journal'))).toEqual([]);
  });

  it('is given to one of many who ask at once', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 8 }, () => nodeDisk(root).lock('journal/lock')));
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  async function holder(changed: Record<string, unknown>): Promise<void> {
    const release = await nodeDisk(root).lock('journal/lock');
    const mine = JSON.parse(await readFile(path(), 'utf8')) as Record<string, unknown>;
    await release();
    await writeFile(path(), JSON.stringify({ ...mine, ...changed }));
  }

  it.each([
    ['whose process has ended', () => ({ pid: spawnSync('true').pid, started: '1' })],
    ['whose process id belongs to a later process', () => ({ started: '1' })],
    ['from before this machine was started', () => ({ boot: 'another' })],
  ])('%s is taken over', async (_name, change) => {
    await holder(change());
    await (await nodeDisk(root).lock('journal/lock'))();
  });

  it.each([
    ['on another host', () => ({ host: `not-${hostname()}`, pid: 1 })],
    ['of someone who does not say who', () => ({ pid: 'x' })],
    ['of a process that lives', () => ({})],
  ])('%s is left alone', async (_name, change) => {
    await holder(change());
    const before = await readFile(path(), 'utf8');
    await expect(nodeDisk(root).lock('journal/lock')).rejects.toMatchObject({ code: 'locked' });
    expect(await readFile(path(), 'utf8')).toBe(before);
    expect(await readdir(join(root, 'journal'))).toEqual(['lock']);
  });

  it('is not given away by a writer that no longer holds it', async () => {
    const release = await nodeDisk(root).lock('journal/lock');
    await appendFile(path(), 'taken over');
    await release();
    expect(await readFile(path(), 'utf8')).toContain('taken over');
  });
});
