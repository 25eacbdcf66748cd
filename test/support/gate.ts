/** A TCP way to a server that can be shut as a network is that drops every packet: nothing passes, and nobody is told. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Gate {
  readonly port: number;
  /** Nothing passes any more, either way; connections stay, and new ones are taken and go nowhere. */
  shut(): void;
  /** New connections pass again; those of before are gone. */
  open(): void;
  close(): Promise<void>;
}

export async function openGate(target: number): Promise<Gate> {
  const sockets = new Set<Socket>();
  let isShut = false;
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    if (isShut) return;
    const upstream = connect(target, '127.0.0.1');
    keep(upstream);
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      from.on('data', (bytes) => {
        if (!isShut) to.write(bytes);
      });
      // An end is a packet as well.
      from.on('close', () => {
        if (!isShut) to.destroy();
      });
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    shut() {
      isShut = true;
    },
    open() {
      isShut = false;
      drop();
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      drop();
      await closed;
    },
  };
}
