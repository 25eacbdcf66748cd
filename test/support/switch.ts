/** A way to a port that can be cut, and mended: everything on it ends, and nobody gets through. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Switch {
  readonly port: number;
  /** Where it leads from now on. */
  lead(port: number): void;
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function openSwitch(): Promise<Switch> {
  let target = 0;
  let isCut = false;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = connect(target, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
  const end = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    lead: (port) => void (target = port),
    cut() {
      isCut = true;
      end();
    },
    mend: () => void (isCut = false),
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      end();
    }),
  };
}
