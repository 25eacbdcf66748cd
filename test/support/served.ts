/** A test sidecar behind a real socket, with clients for its principals, and a trust folder on disk that believes it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type Client } from '../../src/client/index.ts';
import type { Floor } from '../../src/protocol/trust.ts';
import { listenOnSocket } from '../../src/sidecar/listen.ts';
import { EXECUTOR, openTestSidecar, ORIGIN, tokenOf, type TestOptions, type TestSidecar } from './sidecar.ts';

export interface ServedSidecar extends TestSidecar {
  readonly socket: string;
  client(principal: string): Client;
  /** Path of a trust folder; with another signer's keys where `keys` says so. */
  trustFolder(options?: { readonly logKey?: string; readonly ticketKey?: string; readonly floors?: readonly Floor[] }): Promise<string>;
}

export async function serveTestSidecar(options: TestOptions = {}): Promise<ServedSidecar> {
  const sidecar = await openTestSidecar(options);
  const socket = join(sidecar.directory, 's');
  const listening = await listenOnSocket(socket, sidecar.app.fetch);
  let folders = 0;
  return {
    ...sidecar, socket,
    client: (principal) => connect({ socket, token: tokenOf(principal) }),
    async trustFolder({ logKey = sidecar.logSigner.vkey, ticketKey = sidecar.ticketSigner.vkey, floors = [] } = {}) {
      folders += 1;
      const folder = join(sidecar.directory, `trust-${folders}`);
      await mkdir(folder);
      const files = {
        'trust.policy': `log ${logKey}\nquorum none\n`,
        'sidecars.json': JSON.stringify([{ origin: ORIGIN, key: ticketKey }]),
        'executors.json': JSON.stringify([{ id: EXECUTOR, key: sidecar.trust.executors.get(EXECUTOR)!.key.vkey, connectors: ['pg-main', 'pg-dev'] }]),
        'requirements.json': JSON.stringify({ v: 1, floors, revokers: [], clockSkewMs: 0 }),
      };
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      return folder;
    },
    async close() {
      sidecar.draining.abort();
      await listening.close(1_000);
      await sidecar.close();
    },
  };
}
