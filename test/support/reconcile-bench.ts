/** A real engine, ledger and worker around a connector to a real target, in one process: what is at the target is what the test makes of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSignerKey, nodeDisk, openLog, parseSigner, parseTrustPolicy, parseVerifier, type Log, type Signer } from '../../ledger/index.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { DEFAULT_LIMITS, openEngine, type Engine, type EngineLimits } from '../../src/engine/engine.ts';
import { TransportError, type Logger, type Transport } from '../../src/engine/ports.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import type { Connector } from '../../src/executor/connector.ts';
import { openWorker, type Worker } from '../../src/executor/worker.ts';
import { parseFacts } from '../../src/facts/load.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { openDeliveryStore } from '../../src/sidecar/deliveries.ts';
import { systemClock, systemRandom } from '../../src/sidecar/system.ts';
import { answerOf, scriptedPdp } from './sidecar.ts';

const ORIGIN = 'example.org/reconciled';
const EXECUTOR = 'executor:main';
export const SECURITY = 'person:sol';
export const OWNER = 'person:ana';

export interface FactsOf {
  readonly connector: string;
  readonly target: string;
  /** By name of the identity: its account, and what it needs all the time. */
  readonly identities: Readonly<Record<string, { readonly account: string; readonly standing?: readonly string[] }>>;
  /** Privileges that may be asked for. */
  readonly privileges: readonly string[];
}

export interface ReconcileBench {
  readonly engine: Engine;
  readonly log: Log;
  /** Where its `ledger` is. */
  readonly directory: string;
  /** The worker as it runs now. */
  readonly worker: () => Worker;
  request(request: ChangeRequest): Promise<string>;
  /** Resolves once the change is in that state. */
  until(changeId: string, name: ChangeState['name']): Promise<void>;
  /** The worker is gone for good, with all that it held; another one of the same executor starts with nothing. */
  replaceWorker(): Promise<void>;
  verify(): Promise<EvidenceVerification>;
  close(): Promise<void>;
}

const QUIET: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function openReconcileBench(connector: Connector, about: FactsOf, limits: Partial<EngineLimits> = {}, pdp: Pdp = scriptedPdp(() => answerOf('allow'))): Promise<ReconcileBench> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-reconcile-'));
  const signer = (name: string): Signer => parseSigner(generateSignerKey(name, systemRandom(32)).skey);
  const [logSigner, ticketSigner, executorSigner] = [signer(ORIGIN), signer('example.org/tickets'), signer('example.org/main')];
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: logSigner, now: () => Date.now() });
  const trust: Trust = {
    policy: parseTrustPolicy(`log ${logSigner.vkey}\nquorum none\n`), sidecars: new Map([[log.logId, [parseVerifier(ticketSigner.vkey)]]]),
    executors: new Map([[EXECUTOR, { key: parseVerifier(executorSigner.vkey), connectors: [about.connector] }]]),
    requirements: { v: 1, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null }], revokers: [], clockSkewMs: 0 }, signers: new Map(), passkeys: new Map(),
  };
  let receive: (audience: string, message: ReportMessage) => Promise<void> = () => Promise.reject(new TransportError('unreachable', 'nobody listens'));
  let worker: Worker | null = null;
  let workers = 0;
  const startWorker = async (): Promise<void> => {
    workers += 1;
    worker = await openWorker({
      executorId: EXECUTOR, signer: executorSigner, trust, connectors: new Map([[about.connector, connector]]), disk: nodeDisk(join(directory, `worker-${workers}`)),
      clock: systemClock, random: systemRandom, seal: (secret) => Promise.resolve(Buffer.from(`sealed ${secret.length}`)), fingerprintKey: new Uint8Array(32), logger: QUIET,
      send: (message) => receive(EXECUTOR, message), limits: { settleMs: 100, closeTimeoutMs: 2_000 },
    });
  };
  const there = (): Worker => {
    if (worker === null) throw new TransportError('unreachable', 'no worker');
    return worker;
  };
  await startWorker();
  const transport: Transport = {
    arm: async (_audience, order) => there().arm(order), publishStep: async (_audience, envelope) => there().step(envelope), publishRevoke: async (_audience, order) => there().revoke(order), disarm: () => Promise.resolve(), publishLock: () => Promise.resolve(), onLock: () => undefined, onRefused: () => undefined, onKnows: () => undefined, knows: () => [there().knows()], states: () => [],
    onReport: (next) => {
      receive = next;
    },
    onConnected: () => undefined, isConnected: () => worker !== null, close: () => Promise.resolve(),
  };
  const deliveries = await openDeliveryStore({ disk: nodeDisk(directory), directory: 'deliveries', clock: systemClock, keepMs: 86_400_000, logger: QUIET });
  const facts = parseFacts(factTexts(about), Date.now());
  const engine = await openEngine({
    log, pdp, facts: () => facts, transport, deliveries, trust, ticketSigner, executorOf: () => EXECUTOR, connectors: [about.connector],
    clock: systemClock, random: systemRandom, logger: QUIET, version: '0.0.0-test', limits: { ...DEFAULT_LIMITS, republishMs: 500, overdueAfterMs: 1_000, ...limits },
  });
  return {
    engine, log, directory, worker: there,
    async request(request) {
      const answer = await engine.request([OWNER], request, null);
      if (!answer.ok) throw new Error(answer.message);
      return answer.value.state.changeId;
    },
    async until(changeId, name) {
      const deadlineMs = Date.now() + 30_000;
      for (let state = engine.get(changeId)!; state.name !== name;) {
        if (Date.now() > deadlineMs) throw new Error(`${changeId} is ${state.name} (${[...state.findings.values()].map(({ message }) => message).join('; ')}), not ${name}`);
        state = (await engine.changed(changeId, state.length, 1_000)) ?? state;
      }
    },
    async replaceWorker() {
      await worker?.close();
      await startWorker();
    },
    async verify() {
      await log.sync();
      return verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust, wholeFolder: true });
    },
    async close() {
      deliveries.close();
      await worker?.close();
      await engine.close();
      await log.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function factTexts({ connector, target, identities, privileges }: FactsOf): Parameters<typeof parseFacts>[0] {
  const at = { connector, target };
  const purposes = Object.entries(identities).map(([name, { standing = [] }]) => ({ id: `run-${name}`, needs: standing.map((privilege) => ({ ...at, privilege })), maxLeaseSeconds: null }));
  const all = [...new Set([...privileges, ...Object.values(identities).flatMap(({ standing = [] }) => standing)])];
  const text = (name: string, value: object): { name: string; text: string } => ({ name, text: JSON.stringify(value) });
  return {
    inventory: text('inventory', {
      v: 1, nhis: Object.entries(identities).map(([name, { account }]) => ({
        id: `nhi:prod/${name}`, owner: OWNER, environment: 'prod', purposes: [`run-${name}`], riskTier: 'medium', custody: 'workload', humanUse: false, consumers: [], accounts: { [connector]: account },
      })),
    }),
    catalogue: text('catalogue', { v: 1, entitlements: all.map((privilege) => ({ ...at, privilege, rank: 10, environment: 'prod' })), purposes }),
    directory: text('directory', {
      v: 1, people: [OWNER, SECURITY].map((id) => ({ id, name: id, active: true, linked: [] })), teams: [{ id: 'security', members: [SECURITY] }],
    }),
    usage: null,
  };
}
