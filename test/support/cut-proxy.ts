/** A TCP proxy that cuts or stills a connection at a chosen word of the client. */
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface CutProxy {
  readonly port: number;
  /** How often it has cut. */
  readonly cuts: () => number;
  close(): Promise<void>;
}

/**
 * Passes everything on until a client sends `word`. Then `before`: the word is not passed on;
 * `after`: it is, but the server's answer to it is not; `silent`: nothing passes any more, and the connection stays open.
 */
export async function cutProxy(target: number, word: string, when: 'before' | 'after' | 'silent'): Promise<CutProxy> {
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    client.on('error', () => undefined);
    upstream.on('error', () => undefined);
    const end = (): void => {
      client.destroy();
      upstream.end();
    };
    client.on('close', end);
    upstream.on('close', end);
    let passing = true;
    client.on('data', (bytes) => {
      if (passing && bytes.includes(word)) {
        passing = false;
        cuts++;
        if (when === 'before') end();
        if (when === 'after') {
          // The server has done it by the time it answers, and nobody hears.
          upstream.removeAllListeners('data');
          upstream.once('data', end);
          upstream.write(bytes);
        }
      }
      if (passing) upstream.write(bytes);
    });
    upstream.on('data', (bytes) => void client.write(bytes));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    cuts: () => cuts,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}
