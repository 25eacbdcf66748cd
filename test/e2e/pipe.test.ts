/** `countersign … | head`, as a process: whoever reads goes away, and the exit code still says what was found out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { cleanStory, ORIGIN, trustFiles, writeStory } from '../support/story.ts';

const MAIN = join(import.meta.dirname, '../../dist/src/main.js');
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-'));
  await writeStory(join(directory, 'clean'), cleanStory().beats);
  const files = trustFiles();
  const strange = generateSignerKey(ORIGIN, new Uint8Array(32).fill(99)).vkey;
  for (const [name, policy] of [['right', files['trust.policy']], ['wrong', `log ${strange}\nquorum none\n`]] as const) {
    mkdirSync(join(directory, name));
    for (const [file, text] of Object.entries({ ...files, 'trust.policy': policy })) writeFileSync(join(directory, name, file), text);
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The exit code of `verify`, of whose output nobody reads anything. */
async function unread(trust: string, closed: readonly ('stdout' | 'stderr')[]): Promise<number | null> {
  const child = spawn(process.execPath, [MAIN, 'verify', 'clean', '--trust', trust], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const name of ['stdout', 'stderr'] as const) {
    if (closed.includes(name)) child[name].destroy();
    else child[name].resume();
  }
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

test.each([
  ['what holds', 'right', ['stdout'], 0],
  ['what does not hold', 'wrong', ['stdout'], 1],
  ['what does not hold, its complaints unread as well', 'wrong', ['stdout', 'stderr'], 1],
] as const)('%s exits as it would with a reader', async (_what, trust, closed, exit) => {
  expect(await unread(trust, closed)).toBe(exit);
});

test('on a full disk it says why there is no output', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [MAIN, 'verify', 'clean', '--trust', 'right'], { cwd: directory, stdio: ['ignore', full, 'pipe'] });
  let told = '';
  child.stderr!.on('data', (chunk) => (told += String(chunk)));
  const [code] = (await once(child, 'close')) as [number | null];
  closeSync(full);
  expect([code, told]).toEqual([4, expect.stringMatching(/^error \(unwritable\): standard output cannot be written: ENOSPC/)]);
});
