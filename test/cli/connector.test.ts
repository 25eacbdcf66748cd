import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
beforeAll(() => {
  desk = openDesk();
});
afterAll(() => desk.remove());

it('writes a package of that name, and says what to do next', async () => {
  const { exit, stdout, stderr } = await desk.run('connector', 'new', 'our-crm', '--json');
  expect(exit).toBe(0);
  const { directory, files } = JSON.parse(stdout) as { directory: string; files: string[] };
  expect(directory).toBe(join(desk.directory, 'our-crm'));
  expect(readdirSync(directory).sort()).toEqual([...files].sort());
  for (const file of files) expect(readFileSync(join(directory, file), 'utf8')).not.toContain('NAME');
  expect(readFileSync(join(directory, 'README.md'), 'utf8')).toContain('our-crm: a Countersign connector');
  expect(stderr).toContain('npm test');
});

it.each(['Our CRM', '../up', '-x', ''])('refuses %j as a name, and writes nothing', async (name) => {
  const before = readdirSync(desk.directory);
  expect((await desk.run('connector', 'new', '--', name)).exit).toBe(2);
  expect(readdirSync(desk.directory)).toEqual(before);
});

it('leaves a directory alone that has something in it', async () => {
  mkdirSync(join(desk.directory, 'busy'));
  writeFileSync(join(desk.directory, 'busy', 'mine'), 'mine');
  const { exit, stderr } = await desk.run('connector', 'new', 'crm', '--out', 'busy');
  expect(exit).toBe(2);
  expect(stderr).toContain('is not empty');
  expect(readdirSync(join(desk.directory, 'busy'))).toEqual(['mine']);
  expect(existsSync(join(desk.directory, 'crm'))).toBe(false);
});
