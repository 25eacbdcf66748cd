/** A whole sidecar for tests: real HTTP app, engine and ledger in a directory of its own; scripted policy and executor. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directorySource, generateSignerKey, nodeDisk, openLog, parseSigner, parseTrustPolicy, parseVerifier, type Disk, type Log, type Signer } from '../../ledger/index.ts';
import { DEFAULT_LIMITS, openEngine, type Engine, type EngineLimits, type EngineOptions } from '../../src/engine/engine.ts';
import type { Clock, LedgerCopy, LockBoard, Logger, Outbox, Witnesses } from '../../src/engine/ports.ts';
import { parseFacts, type Facts } from '../../src/facts/load.ts';
import type { Authenticator } from '../../src/identity/authenticator.ts';
import { hashToken, makeTokens, type Role, type Tokens } from '../../src/identity/tokens.ts';
import type { Metrics } from '../../src/metrics/metrics.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { adoptLedger } from '../../src/sidecar/adopt.ts';
import { createApp } from '../../src/sidecar/app.ts';
import type { SidecarContext } from '../../src/sidecar/context.ts';
import { openDeliveryStore } from '../../src/sidecar/deliveries.ts';
import type { ProblemBody } from '../../src/sidecar/errors.ts';
import { sharePublishing } from '../../src/sidecar/published.ts';
import { problemSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import type { Tracing } from '../../src/sidecar/traced.ts';
import { watchedOf } from '../../src/sidecar/watched.ts';
import { systemClock, systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor, type ScriptedExecutor } from './scripted-executor.ts';

export const ORIGIN = 'example.org/countersign';
export const EXECUTOR = 'executor:pg-1';
export const RECIPIENT = `age1${'q'.repeat(58)}`;

export const GRANT: Extract<ChangeRequest, { kind: 'grant' }> = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 42', duration: 'PT15M',
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};
export const PROVISION: Extract<ChangeRequest, { kind: 'provision' }> = {
  kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'nightly run', duration: 'PT1H', recipient: RECIPIENT,
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
};

/** Principals of the example directory, and one token for each. */
export const PEOPLE: Readonly<Record<string, readonly Role[]>> = {
  'nhi:prod/ci-deployer': ['caller'],
  'nhi:prod/billing-export': ['caller', 'approver'],
  'nhi:dev/report-preview': ['caller'],
  'person:wei': ['caller', 'approver'],
  'person:ana': ['caller', 'approver'],
  'person:olga': ['caller', 'approver'],
  'person:sam': ['operator'],
  'person:mallory': ['caller', 'approver'],
  'person:kim': ['auditor'],
  'person:vera': ['eraser'],
  'nhi:prod/eraser': ['eraser'],
  'nhi:prod/prometheus': ['monitor'],
};
export const tokenOf = (principal: string): string => `cst_${Buffer.from(principal).toString('base64url')}`;

export function answerOf(effect: Decision['effect'], approvers: Decision['obligations']['approvers'] = null, change: Partial<Decision['entitlements']> = {}): Decision {
  return {
    effect, reasons: [{ code: effect === 'deny' ? 'exceeds-purpose' : 'low-risk', message: 'as the test says', rule: 'access.test' }],
    obligations: { approvers, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
    entitlements: { requested: [], held: [], used: [], excess: [], counterOffer: null, ...change }, controls: [{ framework: 'NIST SP 800-207', id: 'tenet 4', rule: 'access.test' }],
  };
}

/** Wei approves the deployer's access; everything else is allowed. */
export function usualPolicy(input: ChangeInput): Decision {
  return input.change.subject === 'nhi:prod/ci-deployer' ? answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] }) : answerOf('allow');
}

export function scriptedPdp(decide: (input: ChangeInput) => Decision): Pdp {
  return {
    bundle: `sha256:${'b'.repeat(64)}`,
    decide: async (input) => decide(input),
    schedule: async () => ({ window: null, reasons: answerOf('allow').reasons }),
    verify: async () => ({ effect: 'allow', reasons: answerOf('allow').reasons, controls: [] }),
    reconcile: async () => ({ propose: null, reasons: answerOf('allow').reasons, controls: [] }),
    redecide: async () => ({ effect: 'keep', reasons: answerOf('allow').reasons, controls: [] }),
    accept: async () => ({ effect: 'accept', reasons: answerOf('allow').reasons, controls: [] }),
    close: () => Promise.resolve(),
  };
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body, parsed. */
  readonly body: unknown;
}

export interface TestSidecar {
  readonly app: ReturnType<typeof createApp>;
  /** What its app is made over. */
  readonly context: SidecarContext;
  readonly engine: Engine;
  readonly log: Log;
  readonly executor: ScriptedExecutor;
  readonly directory: string;
  readonly ticketSigner: Signer;
  readonly logSigner: Signer;
  readonly executorSigner: Signer;
  readonly trust: Trust;
  readonly facts: Facts;
  /** Other facts are in force from now on. */
  load(facts: Facts): void;
  readonly draining: AbortController;
  readonly logged: readonly { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }[];
  /** Sends as a principal (or nobody), JSON unless `raw` says otherwise. */
  send(by: string | null, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered>;
  /** A change that waits for approval, or further: `until` names the states that are good enough. */
  change(by: string, request: ChangeRequest): Promise<ChangeView>;
  /** `keep`: its directory stays, for another one `after` it. */
  close(keep?: 'keep'): Promise<void>;
}

export interface TestOptions {
  readonly decide?: (input: ChangeInput) => Decision;
  /** Instead of a scripted one. */
  readonly pdp?: Pdp;
  readonly limits?: Partial<EngineLimits>;
  /** Whether what the ledger folds to is kept in `state/`. */
  readonly snapshots?: boolean;
  /** How many changes at rest stay in memory. */
  readonly atRestMax?: number;
  readonly disk?: (disk: Disk) => Disk;
  /** Of the ledger; left out: none. */
  readonly reserveBytes?: number;
  /** Left out: a new one. */
  readonly directory?: string;
  readonly hosts?: readonly string[];
  readonly publicUrl?: string;
  readonly approvePage?: string;
  readonly ledgerReaders?: 'auditors' | 'anyone';
  /** What the engine is given of a bus. */
  readonly copy?: LedgerCopy;
  readonly witnesses?: Witnesses;
  readonly lockBoard?: LockBoard;
  /** Of another log than {@link ORIGIN}. */
  readonly origin?: string;
  /** Whom this sidecar trusts, beyond itself and its executor. */
  readonly trusts?: (trust: Trust) => void;
  /** Keys that are kept from one start to the next. */
  readonly ticketSigner?: Signer;
  readonly outbox?: Outbox;
  /** Of the engine and its ledger; left out: the system's. */
  readonly clock?: Clock;
  /** One that was closed with `keep`: the same ledger, keys and directory. */
  readonly after?: TestSidecar;
  readonly onEvents?: EngineOptions['onEvents'];
  /** A sidecar that was closed: this one begins a new log, which adopts what was open in its. */
  readonly adopts?: TestSidecar;
  readonly redecision?: EngineOptions['redecision'];
  /** As `openMetrics` makes them; left out: nobody reads any. */
  readonly metrics?: Metrics;
  /** Left out: nobody looks at traces. */
  readonly tracing?: Tracing;
  /** What takes tokens, made of those of {@link PEOPLE}; left out: these alone. */
  readonly authenticator?: (tokens: Tokens, facts: () => Facts) => Promise<Authenticator>;
  /** What the example facts are made into. */
  readonly facts?: (facts: Facts) => Facts;
}

function signerOf(name: string): Signer {
  return parseSigner(generateSignerKey(name, systemRandom(32)).skey);
}

async function exampleFacts(): Promise<Facts> {
  const file = async (name: string): Promise<{ name: string; text: string }> => ({ name, text: await readFile(join(import.meta.dirname, `../../examples/facts/${name}.yaml`), 'utf8') });
  const [inventory, catalogue, directory] = [await file('inventory'), await file('catalogue'), await file('directory')];
  return parseFacts({ inventory, catalogue, directory, usage: null }, Date.now());
}

export async function openTestSidecar(options: TestOptions = {}): Promise<TestSidecar> {
  const directory = options.after?.directory ?? options.directory ?? (await mkdtemp(join(tmpdir(), 'countersign-sidecar-')));
  const { adopts: old } = options;
  const origin = old === undefined ? (options.origin ?? ORIGIN) : `${old.log.origin}/next`;
  const { logSigner, ticketSigner, executorSigner } = options.after ?? {
    logSigner: signerOf(origin), ticketSigner: old?.ticketSigner ?? options.ticketSigner ?? signerOf('example.org/tickets'), executorSigner: old?.executorSigner ?? signerOf('example.org/pg-1'),
  };
  const clock = options.clock ?? systemClock;
  const disk = options.disk?.(nodeDisk(directory)) ?? nodeDisk(directory);
  if (old !== undefined) {
    await adoptLedger({
      origin, data: directory, signer: logSigner, ticketSigner, old: parseVerifier(old.logSigner.vkey), sources: [(await directorySource(nodeDisk(old.directory), 'ledger', 'the old ledger'))!],
      known: [], keyLost: true, nowMs: () => Date.now(),
    });
  }
  const log = await openLog({ origin, disk, directory: 'ledger', journal: 'journal', signer: logSigner, now: () => clock.nowMs(), ...(options.reserveBytes === undefined ? {} : { reserveBytes: options.reserveBytes }) });
  let facts = (options.facts ?? ((same) => same))(await exampleFacts());
  const trust: Trust = {
    policy: parseTrustPolicy(`${[...(old?.trust.policy.logs.map(({ verifier }) => verifier.vkey) ?? []), logSigner.vkey].map((vkey) => `log ${vkey}`).join('\n')}\nquorum none\n`),
    sidecars: new Map([...(old?.trust.sidecars ?? []), [log.logId, [parseVerifier(ticketSigner.vkey)]]]),
    executors: new Map([[EXECUTOR, { key: parseVerifier(executorSigner.vkey), connectors: ['pg-main', 'pg-dev'] }]]),
    requirements: { v: 1, floors: [], revokers: [], clockSkewMs: 0 }, signers: new Map(), passkeys: new Map(),
  };
  options.trusts?.(trust);
  const logged: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const logger: Logger = {
    info: (fields, message) => void logged.push({ level: 'info', fields, message }),
    warn: (fields, message) => void logged.push({ level: 'warn', fields, message }),
    error: (fields, message) => void logged.push({ level: 'error', fields, message }),
  };
  const executor = scriptedExecutor(EXECUTOR, executorSigner, () => clock.nowMs());
  const deliveries = await openDeliveryStore({ disk: nodeDisk(directory), directory: 'deliveries', clock: systemClock, keepMs: 86_400_000, logger });
  const engine = await openEngine({
    traces: options.tracing?.changes, log, pdp: options.pdp ?? scriptedPdp(options.decide ?? usualPolicy), facts: () => facts, transport: executor, deliveries, trust, ticketSigner,
    executorOf: (connector) => (['pg-main', 'pg-dev'].includes(connector) ? EXECUTOR : undefined), connectors: ['pg-dev', 'pg-main'],
    ...(options.snapshots === true ? { snapshots: { disk, directory: 'state', signer: logSigner, code: 'test', every: { running: 5, closing: 1 } } } : {}),
    ...(options.atRestMax === undefined ? {} : { atRestMax: options.atRestMax }), copy: options.copy, witnesses: options.witnesses, lockBoard: options.lockBoard, outbox: options.outbox, ...(options.onEvents === undefined ? {} : { onEvents: options.onEvents }), ...(options.redecision === undefined ? {} : { redecision: options.redecision }), clock, random: systemRandom, logger, version: '0.0.0-test', limits: { ...DEFAULT_LIMITS, ...options.limits },
  });
  const draining = new AbortController();
  const tokens = makeTokens(Object.entries(PEOPLE).map(([principal, roles]) => ({ principal, roles: [...roles], tokenSha256: hashToken(tokenOf(principal)) })));
  const context: SidecarContext = {
    engine, log, published: sharePublishing(log, clock), facts: () => facts, clock, logger, ledgerReaders: options.ledgerReaders ?? 'auditors', draining: draining.signal,
    connectors: ['pg-dev', 'pg-main'], executors: [{ id: EXECUTOR, connected: () => executor.isConnected(EXECUTOR) }], readLedgerFile: (path) => disk.read(`ledger/${path}`), publicUrl: options.publicUrl,
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }), ...(options.tracing === undefined ? {} : { tracing: options.tracing }),
  };
  options.metrics?.watch(watchedOf(context, () => null));
  const app = createApp({ ...context, tokens: (await options.authenticator?.(tokens, () => facts)) ?? tokens, hosts: options.hosts ?? [], approvePage: options.approvePage });

  const send: TestSidecar['send'] = async (by, method, path, body, headers = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const auth = by === null ? {} : { authorization: `Bearer ${tokenOf(by)}` };
    const response = await app.request(`http://localhost${path}`, {
      method, headers: { ...json, ...auth, ...headers }, ...(body === undefined ? {} : { body: body instanceof Uint8Array || typeof body === 'string' ? Buffer.from(body) : JSON.stringify(body) }),
    }, {});
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
    return { status: response.status, headers: response.headers, text, body: isJson ? (JSON.parse(text) as unknown) : null };
  };
  return {
    app, context, engine, log, executor, directory, ticketSigner, logSigner, executorSigner, trust, facts, load: (next) => void (facts = next), draining, logged, send,
    async change(by, request) {
      const answered = await send(by, 'POST', '/v1/changes?wait=PT10S', request);
      if (answered.status !== 201) throw new Error(`${answered.status} ${answered.text}`);
      return answered.body as ChangeView;
    },
    async close(keep) {
      draining.abort();
      deliveries.close();
      await engine.close();
      await log.close().catch(() => undefined);
      if (keep === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The problem document of an answer, which must be one. */
export function problemIn(answered: Answered): ProblemBody {
  if (answered.headers.get('content-type') !== 'application/problem+json') throw new Error(`not a problem: ${answered.status} ${answered.text}`);
  return problemSchema.parse(answered.body) as ProblemBody;
}
