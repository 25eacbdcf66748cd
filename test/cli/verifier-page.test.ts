import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanStory, trustFiles, writeStory } from '../support/story.ts';
import { writeTrust } from '../support/verifier-cases.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
beforeAll(async () => {
  desk = openDesk();
  await writeStory(join(desk.directory, 'clean'), cleanStory().beats);
  writeTrust(join(desk.directory, 'trust'));
  execFileSync(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'verifier', 'build.mjs')]);
}, 60_000);
afterAll(() => desk.remove());

const inDesk = (name: string): string => join(desk.directory, name);

describe('countersign verifier', () => {
  it('writes the page, prints the SHA-256 that sha256sum prints of it, and overwrites nothing', async () => {
    const { exit, stdout } = await desk.run('verifier', 'page.html');
    expect(exit).toBe(0);
    expect(stdout).toBe(execFileSync('sha256sum', ['page.html'], { cwd: desk.directory, encoding: 'utf8' }));
    writeFileSync(inDesk('verifier.html'), 'mine');
    expect((await desk.run('verifier')).exit).toBe(2);
    expect(readFileSync(inDesk('verifier.html'), 'utf8')).toBe('mine');
  });
});

describe('countersign verify --population', () => {
  it('writes a line for each change', async () => {
    expect((await desk.run('verify', 'clean', '--trust', 'trust', '--population', 'changes.csv')).exit).toBe(0);
    expect(readFileSync(inDesk('changes.csv'), 'utf8').trimEnd().split('\r\n').map((line) => line.split(',')[1])).toEqual(['"kind"', '"provision"', '"grant"', '"grant"']);
  });

  it('writes nothing where no change was followed, and says so', async () => {
    writeFileSync(inDesk('trust.policy'), trustFiles()['trust.policy']);
    const { exit, stderr } = await desk.run('verify', 'clean', '--trust', 'trust.policy', '--population', 'none.csv');
    expect(exit).toBe(0);
    expect(stderr).toContain('none.csv was not written: no change was followed');
    expect(existsSync(inDesk('none.csv'))).toBe(false);
  });

  it('overwrites nothing, and then verifies nothing', async () => {
    writeFileSync(inDesk('there.csv'), 'mine');
    const { exit, stdout } = await desk.run('verify', 'clean', '--trust', 'trust', '--population', 'there.csv');
    expect([exit, stdout]).toEqual([2, '']);
    expect(readFileSync(inDesk('there.csv'), 'utf8')).toBe('mine');
  });
});
