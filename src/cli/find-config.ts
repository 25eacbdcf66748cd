/** Where the configuration is. In a file of its own: `serve` and its like need nothing of what talks to a sidecar. */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { CliError, EXIT } from './exit.ts';
import type { World } from './world.ts';

/**
 * The folder of whoever runs this: `$XDG_CONFIG_HOME/countersign`, or `~/.config/countersign`; null where neither is said.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/latest: a path there that is not absolute counts as none
 */
export function ownFolder({ env }: Pick<World, 'env'>): string | null {
  const { XDG_CONFIG_HOME: named, HOME: home } = env;
  if (named !== undefined && isAbsolute(named)) return join(named, 'countersign');
  return home !== undefined && isAbsolute(home) ? join(home, '.config', 'countersign') : null;
}

/** The configuration file in use, absolute; null where there is none. @throws CliError `no-such-file` for one that was named */
export function findConfig(flags: { readonly config?: string }, world: Pick<World, 'cwd' | 'env'>): string | null {
  const named = flags.config ?? world.env['COUNTERSIGN_CONFIG'];
  if (named !== undefined) {
    const path = resolve(world.cwd, named);
    if (!existsSync(path)) throw new CliError(EXIT.io, 'no-such-file', { cause: `${path} is not there`, next: 'countersign init DIR   makes an installation' });
    return path;
  }
  const own = ownFolder(world);
  const candidates = ['countersign.yaml', '.countersign/dev/countersign.yaml', ...(own === null ? [] : [join(own, 'countersign.yaml')])].map((path) => resolve(world.cwd, path));
  return candidates.find((path) => existsSync(path)) ?? null;
}
