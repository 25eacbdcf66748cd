/** Witness servers for tests: the real one, on loopback, its state in a directory of its own. */
import { generateSignerKey, nodeDisk, openWitness, parseCosigner, parseVerifier, sha256, type Cosigner, type Witness } from '../../ledger/index.ts';
import { serveWitness, type WitnessServer } from '../../src/witness/server.ts';

export interface TestWitness {
  readonly name: string;
  readonly cosigner: Cosigner;
  /** `witness <name> <vkey> <url>`: the line of a trust policy. The port is the same after a restart. */
  readonly line: string;
  readonly url: string;
  /** What it has cosigned last of the log; null for nothing. */
  latest(origin: string): string | null;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** How far its clock is ahead, in ms. */
  skewMs: number;
}

const QUIET = { info: () => undefined, error: () => undefined };

export async function startTestWitness(name: string, directory: string, logKey: string): Promise<TestWitness> {
  const { skey, vkey } = generateSignerKey(`${name}.witness.test`, sha256(Buffer.from(name)), 4);
  const cosigner = parseCosigner(skey);
  let running: { witness: Witness; server: WitnessServer } | null = null;
  let isNew = true;
  let port = 0;
  const one = {
    skewMs: 0,
    async start() {
      const nowMs = (): number => Date.now() + one.skewMs;
      const witness = await openWitness({ disk: nodeDisk(directory), directory: 'witness', cosigner, logs: () => [{ verifier: parseVerifier(logKey), url: null }], nowMs, isNew, onUnwritable: () => undefined });
      isNew = false;
      const server = await serveWitness(witness, { host: '127.0.0.1', port, logger: QUIET, nowMs });
      port = Number(new URL(server.address).port);
      running = { witness, server };
    },
    async stop() {
      const stopping = running;
      running = null;
      await stopping?.server.close(0);
      await stopping?.witness.close();
    },
  };
  await one.start();
  const url = `http://127.0.0.1:${port}`;
  return Object.assign(one, {
    name, cosigner, url, line: `witness ${name} ${vkey} ${url}`,
    latest: (origin: string) => running?.witness.latest(Buffer.from(sha256(Buffer.from(origin))).toString('hex')) ?? null,
  });
}
