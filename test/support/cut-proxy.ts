/** A TCP proxy that does harm at a chosen word of the client. */
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * `before`: the word is not passed on, both sides are cut; `after`: it is, but the server's answer to it is not; `reset`: as `after`, and the
 * client gets a reset; `silent`: nothing passes any more, and the connection stays open.
 *
 * `lateMs`: it is passed on that much later, whether or not the client is still there, and never answered. `answer`: the client gets this in
 * place of the server's; with `passOn` once the server has answered. `meanwhile`: is done in place of passing it on, or with `passOn` once the
 * server has answered; then both sides are cut.
 */
export type Harm =
  | 'before' | 'after' | 'reset' | 'silent'
  | { readonly lateMs: number }
  | { readonly answer: string; readonly passOn: boolean }
  | { readonly meanwhile: () => Promise<void>; readonly passOn: boolean };

export interface HarmingProxy {
  readonly port: number;
  /** How often it has done harm. */
  readonly cuts: () => number;
  /** From now on: at the word, once; or at any, every time. */
  arm(word: string, harm: Harm, times?: number): void;
  /** Resolves once all that it does meanwhile, or late, is done. */
  idle(): Promise<void>;
  /** Nothing passes any more. */
  close(): Promise<void>;
}

export type CutProxy = Pick<HarmingProxy, 'port' | 'cuts' | 'close'>;

/** Harm at the word on every connection. */
export async function cutProxy(target: number, word: string, harm: Harm): Promise<CutProxy> {
  const proxy = await harmingProxy(target);
  proxy.arm(word, harm, Infinity);
  return proxy;
}

/** Passes everything on until it is armed. */
export async function harmingProxy(target: number): Promise<HarmingProxy> {
  let cuts = 0;
  let armed: { readonly word: string; readonly harm: Harm; left: number } | null = null;
  const open = new Set<Socket>();
  const pending = new Set<Promise<unknown>>();
  const keep = (task: Promise<unknown>): void => {
    pending.add(task);
    void task.finally(() => pending.delete(task));
  };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    }
    const end = (): void => {
      client.destroy();
      upstream.end();
    };
    client.on('close', end);
    upstream.on('close', end);
    let passing = true;
    /** The server has done it by the time it answers, and nobody hears. */
    const passOnThen = (bytes: Buffer, then: () => void): void => {
      upstream.removeAllListeners('data');
      upstream.once('data', then);
      upstream.write(bytes);
    };
    const harmBy = (harm: Harm, bytes: Buffer): void => {
      if (harm === 'silent') return;
      if (harm === 'before') return end();
      if (harm === 'after') return passOnThen(bytes, end);
      if (harm === 'reset') return passOnThen(bytes, () => void client.resetAndDestroy());
      if ('lateMs' in harm) {
        // The client may be gone by then, and it is passed on all the same.
        client.off('close', end);
        upstream.removeAllListeners('data');
        upstream.resume();
        return keep(new Promise((done) => {
          setTimeout(() => {
            upstream.once('data', done).once('close', done);
            upstream.write(bytes);
          }, harm.lateMs);
        }));
      }
      const then = (): void => {
        if ('answer' in harm) return void client.end(harm.answer);
        keep(harm.meanwhile().finally(end));
      };
      if (harm.passOn) passOnThen(bytes, then);
      else then();
    };
    client.on('data', (bytes) => {
      if (passing && armed !== null && bytes.includes(armed.word)) {
        passing = false;
        cuts += 1;
        const { harm } = armed;
        armed.left -= 1;
        if (armed.left <= 0) armed = null;
        harmBy(harm, bytes);
      }
      if (passing) upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (passing) client.write(bytes);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    cuts: () => cuts,
    arm(word, harm, times = 1) {
      armed = { word, harm, left: times };
    },
    async idle() {
      await Promise.all(pending);
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
