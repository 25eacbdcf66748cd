/** The command as it is installed, in a network of its own with nothing in it; what it asks of the system; and files that may not be read. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { writeChanges } from '../support/long-ledger.ts';
import { trustFiles } from '../support/story.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'src', 'main.js');
const NOBODY = 65_534;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-offline-'));
  // More than the threads are started for.
  await writeChanges(directory, 4_200);
  mkdirSync(join(directory, 'trust'));
  for (const [file, text] of Object.entries(trustFiles())) writeFileSync(join(directory, 'trust', file), text);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const verify = (...more: string[]): string[] => [process.execPath, MAIN, 'verify', directory, '--trust', join(directory, 'trust'), '--threads', '2', ...more];
const run = ([command, ...args]: readonly string[], options: Parameters<typeof spawnSync>[2] = {}): SpawnSyncReturns<string> => spawnSync(command!, args, { ...options, encoding: 'utf8' });

/** A tool that is not here is a reason to skip, loudly; where all is to be tested, it is a failure. */
function needs({ skip }: TestContext, probe: readonly string[]): void {
  const { status, error, stderr } = run(probe);
  if (status === 0) return;
  const why = `${probe.join(' ')}: ${error?.message ?? stderr}`;
  if (process.env['CI'] === 'true') throw new Error(why);
  console.warn(`SKIPPED: ${why}`);
  skip(why);
}

describe('countersign verify', () => {
  it('verifies in a network of its own in which there is nothing', (context) => {
    const alone = ['unshare', '--user', '--map-root-user', '--net'];
    needs(context, [...alone, 'true']);
    const ask = 'const s = require("node:net").connect(9, "127.0.0.1"); s.on("error", (e) => { console.log(e.code); })';
    expect(run([...alone, process.execPath, '-e', ask]).stdout).toMatch(/ENETUNREACH|EADDRNOTAVAIL/);
    const { status, stdout, stderr } = run([...alone, ...verify()]);
    expect(stderr).not.toContain('error');
    expect(status).toBe(0);
    expect(stdout).toMatch(/verified: INTEGRITY, SIGNATURE, COMPLETENESS, WORKFLOW\n$/);
  });

  it('asks for no socket, and starts no process', (context) => {
    needs(context, ['strace', '-f', '-o', '/dev/null', 'true']);
    const trace = join(directory, '..', `${directory.split('/').at(-1)}.trace`);
    try {
      const { status } = run(['strace', '-f', '-e', 'trace=%network,execve', '-o', trace, ...verify()]);
      expect(status).toBe(0);
      const calls = readFileSync(trace, 'utf8').split('\n').filter((line) => /\b(?:socket|connect|bind|sendto|sendmsg|execve|socketpair)\(/.test(line));
      expect(calls.filter((line) => !line.includes(`execve("${process.execPath}"`))).toEqual([]);
      expect(calls).toHaveLength(1);
    } finally {
      rmSync(trace, { force: true });
    }
  });

  it('ends with 4 where a file may not be read, and gives no verdict', () => {
    const copy = join(directory, 'copy');
    mkdirSync(copy);
    cpSync(join(directory, 'ledger'), join(copy, 'ledger'), { recursive: true });
    for (const path of [directory, join(directory, 'trust')]) chmodSync(path, 0o755);
    chmodSync(join(copy, 'ledger', 'tile', 'entries', '001'), 0);
    const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    run(['chmod', '-R', 'a+rX', copy]);
    chmodSync(join(copy, 'ledger', 'tile', 'entries', '001'), 0);
    const { status, stdout, stderr } = run([process.execPath, MAIN, 'verify', copy, '--trust', join(directory, 'trust')], { ...asNobody, cwd: '/' });
    rmSync(copy, { recursive: true });
    expect(stderr).toContain('EACCES');
    expect(status).toBe(4);
    expect(stdout).toBe('');
  });
});
