/**
 * Finds the sidecar and the caller's token.
 *
 * In this order: `--socket`/`--url`, the environment, the configuration file (`--config`, `./countersign.yaml`, `./.countersign/dev/countersign.yaml`,
 * `~/.config/countersign/countersign.yaml`). The token is last looked for in `~/.config/countersign/token`, which goes to no sidecar that only a file in the working
 * directory names.
 * A token is never an argument: arguments are seen by every process of the machine.
 */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { connect, type Client } from '../client/index.ts';
import { CliError, EXIT } from './exit.ts';
import { readSecret, readText } from './files.ts';
import { findConfig, ownFolder } from './find-config.ts';
import type { World } from './world.ts';

export interface ConnectFlags {
  readonly config?: string;
  readonly socket?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly as?: string;
}

/** Adds the options that every command which talks to the sidecar takes. */
export function withConnection(command: Command): Command {
  return command
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml, ./.countersign/dev/countersign.yaml, ~/.config/countersign/countersign.yaml)')
    .option('--socket <path>', "the sidecar's unix socket (COUNTERSIGN_SOCKET)")
    .option('--url <url>', "the sidecar's HTTP address (COUNTERSIGN_URL)")
    .option('--token-file <file>', 'a file with your token, readable by you alone (COUNTERSIGN_TOKEN_FILE, or the token in COUNTERSIGN_TOKEN; ~/.config/countersign/token where neither is set)')
    .option('--as <principal>', 'take the token of this principal from tokens.txt beside the configuration');
}

/** @throws CliError `no-sidecar` or `no-token`; nothing has been sent */
export function connectTo(flags: ConnectFlags, world: Pick<World, 'cwd' | 'env'>, timeoutMs?: number): Client {
  const config = findConfig(flags, world);
  const common = { token: findToken(flags, config, world), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  const socket = flags.socket ?? (flags.url === undefined ? world.env['COUNTERSIGN_SOCKET'] : undefined);
  if (socket !== undefined) return connect({ socket: resolve(world.cwd, socket), ...common });
  const url = flags.url ?? world.env['COUNTERSIGN_URL'];
  if (url !== undefined) return connect({ url, ...common });
  if (config === null) {
    throw new CliError(EXIT.usage, 'no-sidecar', { cause: 'it is not said where the sidecar is', next: 'give --socket or --url, run it where countersign.yaml is, or start one:  countersign dev' });
  }
  const listen = listenOf(config);
  if (listen.socket !== undefined) return connect({ socket: resolve(dirname(config), listen.socket), ...common });
  if (listen.port !== undefined) return connect({ url: `http://${listen.host ?? '127.0.0.1'}:${listen.port}`, ...common });
  throw new CliError(EXIT.usage, 'no-sidecar', { cause: `${config} says nowhere to listen`, next: 'give --socket or --url' });
}

/** The trust folder that a configuration names, absolute; null where it names none. */
export function trustOf(config: string): string | null {
  const { trust } = (parse(readText(config, 'the configuration')) ?? {}) as { trust?: unknown };
  return typeof trust === 'string' ? resolve(dirname(config), trust) : null;
}

function listenOf(config: string): { socket?: string; host?: string; port?: number } {
  // Only the address is read here: whether the rest is right is for `serve` to say.
  const parsed = parse(readText(config, 'the configuration')) as { listen?: unknown } | null;
  return typeof parsed?.listen === 'object' && parsed.listen !== null ? parsed.listen : {};
}

function findToken(flags: ConnectFlags, config: string | null, { cwd, env }: Pick<World, 'cwd' | 'env'>): string | (() => string) {
  if (flags.as !== undefined) return tokenOf(flags.as, config);
  const file = flags.tokenFile ?? env['COUNTERSIGN_TOKEN_FILE'];
  if (file !== undefined && file !== '') return tokenIn(resolve(cwd, file));
  const token = env['COUNTERSIGN_TOKEN'];
  if (token !== undefined && token !== '') return token;
  const own = ownTokenFile(env);
  if (own !== null && mayHaveOwnToken(flags, config, env)) return tokenIn(own);
  if (own !== null) {
    throw new CliError(EXIT.usage, 'no-token', {
      cause: `${config ?? 'it'} was found in the working directory, and may be anybody’s: the token in ${own} is not sent to where it says`, effect: 'Nothing was sent.', next: 'if it is yours, name it:  --config FILE',
    });
  }
  throw new CliError(EXIT.usage, 'no-token', {
    cause: 'no token was given', effect: 'Nothing was sent.', next: 'set COUNTERSIGN_TOKEN_FILE, give --token-file FILE, put it into ~/.config/countersign/token, or, in an installation of your own, --as PRINCIPAL, one that tokens.txt names',
  });
}

function ownTokenFile(env: World['env']): string | null {
  const own = ownFolder({ env });
  return own !== null && existsSync(join(own, 'token')) ? join(own, 'token') : null;
}

/** Whether the sidecar is one that somebody named, or that her own folder does: a file that merely lies where she works would have her token sent anywhere. */
function mayHaveOwnToken({ socket, url, config: named }: ConnectFlags, config: string | null, env: World['env']): boolean {
  const said = [socket, url, named, env['COUNTERSIGN_SOCKET'], env['COUNTERSIGN_URL'], env['COUNTERSIGN_CONFIG']];
  return config === null || said.some((one) => one !== undefined) || dirname(config) === resolve(ownFolder({ env }) ?? '');
}

/** What the file holds, at each request: a job's own token is good for minutes, and somebody puts the next one there. @throws CliError where it holds none now */
function tokenIn(file: string): () => string {
  let last = readSecret(file, 'the token file');
  return () => {
    try {
      last = readSecret(file, 'the token file');
    } catch {
      // In the middle of being replaced, or gone: whether the one before still counts, the sidecar says.
    }
    return last;
  };
}

/** The line `<principal> <token>` of tokens.txt, which `init` writes. */
function tokenOf(principal: string, config: string | null): string {
  if (config === null) throw new CliError(EXIT.usage, 'no-token', { cause: '--as looks beside countersign.yaml, and there is none here', next: 'give --config FILE, or --token-file FILE' });
  const path = join(dirname(config), 'tokens.txt');
  const lines = readSecret(path, 'the list of tokens').split('\n').map((line) => line.trim().split(/\s+/));
  const token = lines.find(([name]) => name === principal)?.[1];
  if (token === undefined) throw new CliError(EXIT.usage, 'no-token', { cause: `${path} has no token for ${principal}`, next: `one of: ${lines.map(([name]) => name).filter((name) => name !== '' && name?.startsWith('#') !== true).join(', ')}` });
  return token;
}
