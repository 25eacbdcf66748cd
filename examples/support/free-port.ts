/**
 * A TCP port of 127.0.0.1 for a server that must be told its port before it starts, and may be started on it again.
 *
 * Not one of those that a kernel hands out by itself (Linux: 32768 and up; elsewhere 49152 and up): such a port may become the near end of
 * somebody's connection between this look and the server's start, or while the server is down, and stay that for as long as the connection lives.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const FIRST_PORT = 10_240;
const END_PORT = 32_768;
const TRIES_MAX = 200;

/** A port that nobody listens on now. @throws Error when there is none to be found */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(FIRST_PORT, END_PORT);
    if (await isFree(port)) return port;
  }
  throw new Error(`of ${TRIES_MAX} ports between ${FIRST_PORT} and ${END_PORT} none is free`);
}

/** So many of them, no two the same. @throws Error when there are not so many to be found */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
