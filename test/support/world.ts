/** The CLI run as a function: what it wrote, and how it ended. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { runCli } from '../../src/cli/program.ts';
import type { World } from '../../src/cli/world.ts';

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Desk {
  readonly directory: string;
  run(...argv: string[]): Promise<Ran>;
  /** The same, with other surroundings. */
  with(surroundings: Partial<Pick<World, 'env' | 'nowMs' | 'signal' | 'onSignal' | 'interactive' | 'ask' | 'readStdin' | 'cwd' | 'randomBytes'>> & { terminal?: boolean }): Desk;
  remove(): void;
}

/** A directory of its own to run commands in, and nothing of the environment of whoever runs the tests. */
export function openDesk(): Desk {
  const directory = mkdtempSync(join(tmpdir(), 'cs-'));
  const desk = (surroundings: Parameters<Desk['with']>[0]): Desk => ({
    directory,
    async run(...argv) {
      const written = { stdout: '', stderr: '' };
      const stream = (name: 'stdout' | 'stderr'): World['stdout'] => ({
        isTTY: surroundings.terminal === true,
        write(text) {
          written[name] += text;
        },
      });
      const exit = await runCli(argv, {
        stdout: stream('stdout'), stderr: stream('stderr'), env: {}, cwd: directory, nowMs: () => Date.now(), randomBytes: (length) => randomBytes(length),
        signal: new AbortController().signal, onSignal: () => () => undefined, onReload: () => () => undefined, interactive: false, ask: () => Promise.resolve(''), readStdin: () => Promise.resolve(new Uint8Array()),
        ...surroundings,
      });
      return { exit, ...written };
    },
    with: (more) => desk({ ...surroundings, ...more }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  });
  return desk({});
}
