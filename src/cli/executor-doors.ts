/** The ways to an executor that need neither sidecar nor bus, tried one after the other. */
import { resolve } from 'node:path';
import { doorUrlTrouble } from '../config/schema.ts';
import { TransportError } from '../engine/ports.ts';
import type { Dsse, RevokeOrder } from '../protocol/signed.ts';
import { CliError, EXIT } from './exit.ts';
import { lockExecutor, orderExecutor, type OrderOptions, type Reported } from './order-executor.ts';
import { lockOverHttps, orderOverHttps, type HttpsDoor } from './order-over-https.ts';

export interface Doors {
  /** Path of its unix socket; null where it is on another machine. */
  readonly socket: string | null;
  readonly https: HttpsDoor | null;
}

/** The doors of each executor of a configuration, as much of it as can be read. Paths are taken from `folder`. */
export function doorsIn(executors: unknown, folder: string): Map<string, Doors> {
  const listed = Array.isArray(executors) ? (executors as { id?: unknown; socket?: unknown; url?: unknown; caFile?: unknown }[]) : [];
  return new Map(listed.flatMap(({ id, socket, url, caFile }): [string, Doors][] => {
    if (typeof id !== 'string') return [];
    const https = typeof url !== 'string' || doorUrlTrouble(url) !== null ? null : { url, caFile: typeof caFile === 'string' ? resolve(folder, caFile) : null };
    return [[id, { socket: typeof socket === 'string' ? resolve(folder, socket) : null, https }]];
  }));
}

/** The door that `--executor` and `--ca-file` name. @throws CliError `usage` */
export function doorAt(named: string, caFile: string | undefined, cwd: string): Doors {
  if (!/^https?:/.test(named)) return { socket: resolve(cwd, named), https: null };
  const trouble = doorUrlTrouble(named);
  if (trouble !== null) throw new CliError(EXIT.usage, 'usage', { cause: `--executor ${named}: ${trouble}`, effect: 'Nothing was sent.' });
  return { socket: null, https: { url: named, caFile: caFile === undefined ? null : resolve(cwd, caFile) } };
}

/** How long an executor may take to hold what it is told. */
export const ANSWER_MS = 10_000;

/**
 * Hands the order in at the first door that somebody is behind.
 *
 * @throws TransportError `unreachable`: nobody is known to have taken the order, at any door; `rejected`: the executor does not accept it
 */
export function orderAtDoor(doors: Doors, envelope: Dsse, order: RevokeOrder, options: Omit<OrderOptions, 'answerMs'>): Promise<Reported | null> {
  const all = { ...options, answerMs: ANSWER_MS };
  return firstOf(doors, (socket) => orderExecutor(socket, envelope, order, all), (https) => orderOverHttps(https, envelope, order, all));
}

/** The same for a lock. @throws TransportError `unreachable`: it is not known to be held; `rejected`: the executor does not believe it */
export function lockAtDoor(doors: Doors, lock: Dsse, signal: AbortSignal): Promise<void> {
  return firstOf(doors, (socket) => lockExecutor(socket, lock, { answerMs: ANSWER_MS, signal }), (https) => lockOverHttps(https, lock, { answerMs: ANSWER_MS, signal }));
}

async function firstOf<T>({ socket, https }: Doors, atSocket: (path: string) => Promise<T>, atHttps: (door: HttpsDoor) => Promise<T>): Promise<T> {
  if (socket !== null) {
    try {
      return await atSocket(socket);
    } catch (error) {
      if (https === null || !(error instanceof TransportError) || error.code !== 'unreachable') throw error;
    }
  }
  if (https === null) throw new TransportError('unreachable', 'it is not said where it listens');
  return atHttps(https);
}
