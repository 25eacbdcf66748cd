/** Runs a command as if it had been typed: its input, output and errors are the terminal's own, and so are its signals. */
import { spawn } from 'node:child_process';
import { accessSync, constants as modes, statSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join, resolve as resolvePath } from 'node:path';
import type { World } from './world.ts';

/** How it ended. `notStarted`: there is no such command, or it may not be run; nothing has happened. */
export type CommandEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'notStarted'; readonly code: 126 | 127; readonly message: string };

/** Why a command could not be started, as far as its file says: null where there is one that may be run. */
export function startTrouble(file: string, { env, cwd }: Pick<World, 'env' | 'cwd'>): Extract<CommandEnd, { kind: 'notStarted' }> | null {
  const { PATH } = env;
  // Without a PATH, where to look is for the system to say.
  if (!file.includes('/') && PATH === undefined) return null;
  const candidates = file.includes('/') ? [file] : PATH!.split(delimiter).map((folder) => join(folder, file));
  const found = candidates.map((candidate) => lookAt(resolvePath(cwd, candidate)));
  if (found.includes('runs')) return null;
  if (found.includes('may not')) return { kind: 'notStarted', code: 126, message: `${file} may not be run` };
  return { kind: 'notStarted', code: 127, message: file.includes('/') ? `${file} is not there` : `${file} is not in any folder of the PATH` };
}

function lookAt(path: string): 'runs' | 'may not' | 'absent' {
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return 'absent';
    accessSync(path, modes.X_OK);
    return statSync(path).isFile() ? 'runs' : 'may not';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR' ? 'absent' : 'may not';
  }
}

/** What a shell would make of it: 128 and the signal's number for a command that a signal ended. */
export function exitCodeOf(end: CommandEnd): number {
  return end.kind === 'killed' ? 128 + constants.signals[end.signal] : end.code;
}

/** Resolves once the command has ended. SIGINT and SIGTERM that come meanwhile are for it to answer. */
export function runCommand(argv: readonly [string, ...string[]], env: Readonly<Record<string, string | undefined>>, world: Pick<World, 'cwd' | 'onSignal' | 'interactive'>): Promise<CommandEnd> {
  const [file, ...args] = argv;
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: 'inherit', cwd: world.cwd, env: { ...env } });
    const stop = world.onSignal((signal) => {
      // A terminal has sent its Ctrl-C to the command already; twice would mean: at once.
      if (signal === 'SIGTERM' || !world.interactive) child.kill(signal);
    });
    const ended = (end: CommandEnd): void => {
      stop();
      resolve(end);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) ended({ kind: 'notStarted', code: error.code === 'ENOENT' ? 127 : 126, message: error.message });
    });
    child.once('close', (code, signal) => {
      if (child.pid !== undefined) ended(signal === null ? { kind: 'exited', code: code ?? 1 } : { kind: 'killed', signal });
    });
  });
}
