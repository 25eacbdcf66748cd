/**
 * Puts a sidecar together from its configuration: ledger, policy, facts, trust, transport, engine, doors.
 *
 * What is missing makes it either not start, and say why, or start and give nothing: without a policy it still takes back.
 */
import { setMaxListeners } from 'node:events';
import { pino } from 'pino';
import { logIdOf, nodeDisk, openLog, overArchives, parseVerifier, RESERVE_BYTES, reservePath, type Log, type LogSigner, type Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import { DEFAULT_LIMITS, openEngine, type Engine } from '../engine/engine.ts';
import { approversOf } from '../engine/proposals.ts';
import type { Clock, Logger, RandomBytes, Transport } from '../engine/ports.ts';
import { adoptedLogs } from '../evidence/adoption.ts';
import { systemRecordBodies } from '../evidence/record.ts';
import { loadFacts } from '../facts/load.ts';
import { openLogKey, openOwnKey } from '../identity/signing-key.ts';
import { SigningKeyError } from '../identity/signing-key-error.ts';
import { makeAuthenticator, type Authenticator } from '../identity/authenticator.ts';
import { IssuerKeysError } from '../identity/fetch-keys.ts';
import { openIssuers, type IssuersOptions } from '../identity/issuers.ts';
import { loadTokens, type Tokens } from '../identity/tokens.ts';
import { recentHistory } from '../notify/history.ts';
import { notificationOfProposal } from '../notify/derive.ts';
import { startNotifier, type Notifier } from '../notify/notifier.ts';
import { openReceivers } from '../notify/receivers.ts';
import { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
import { recentTraces } from '../tracing/recent.ts';
import { VERSION } from '../version.ts';
import { keepAnchors } from '../witnessing/anchors.ts';
import { createApp } from './app.ts';
import type { SidecarContext } from './context.ts';
import { builtApprovePage } from './approve-page.ts';
import { openBusApi } from './bus-api.ts';
import { codeVersion } from './code-version.ts';
import { openCopy } from './copy.ts';
import { holdData } from './data-lock.ts';
import { grantedFacts } from './granted-facts.ts';
import { keepHeads } from './packs.ts';
import { openDeliveryStore } from './deliveries.ts';
import { listenOnLoopback, listenOnSocket, type Listening } from './listen.ts';
import { openPolicy } from './open-policy.ts';
import { sharePublishing } from './published.ts';
import { reachExecutors } from './reach.ts';
import { openRelay } from './relay.ts';
import { openFacts } from './reloading-facts.ts';
import { openSlack } from './slack.ts';
import { systemClock, systemRandom } from './system.ts';
import type { Tracing } from './traced.ts';
import { watchedOf } from './watched.ts';
import { openWitnesses, witnessFault } from './witnesses.ts';

/** A sidecar that cannot work as it is configured. Nothing was recorded and nobody listens. */
export class StartError extends Error {
  readonly code: 'bad-key' | 'untrusted-executor' | 'untrusted-relay' | 'no-witness' | 'no-facts' | 'no-ledger' | 'no-issuer-keys';
  constructor(code: StartError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.code = code;
  }
}

export interface Sidecar {
  readonly engine: Engine;
  readonly log: Log;
  /** The unix socket's path and the loopback URL, as far as they are configured. */
  readonly socket: string | null;
  readonly url: string | null;
  /** Reads the facts files again, and looks for another policy bundle where policy is fetched. */
  reload(): Promise<void>;
  /** Takes nothing new, answers who waits, makes all durable, lets go of the ledger. Safe to call twice. */
  close(): Promise<void>;
}

export interface StartOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: RandomBytes;
  /** Another way to reach executors than the local sockets. */
  readonly transport?: Transport;
  /** Another file than the built page for approvers. */
  readonly approvePage?: string;
}

const STARTING_BYTES = 262_144;

/** Lets a delivery outlive the moment at which the engine gives it up: it is the engine that says so, on record. */
const DELIVERY_MARGIN = 2;

/**
 * A sidecar that listens and works. Signals are the caller's: `close` is for SIGTERM, `reload` for SIGHUP.
 *
 * @throws LedgerError, TrustError, FactsError, PrivateFileError, ListenError or {@link StartError}; all that was opened is closed again
 */
export async function startSidecar(config: Config, options: StartOptions = {}): Promise<Sidecar> {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const logger = options.logger ?? pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  /** How to undo what has been done so far, last first. */
  const undo: (() => Promise<void> | void)[] = [];
  const close = once(async () => {
    const failed: unknown[] = [];
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 0) throw failed[0];
  });

  try {
    const tokens = await loadTokens(config.tokens);
    const { logSigner, rotateFrom, ticketSigner } = await openKeys(config);
    if (logSigner.name !== config.origin) throw new StartError('bad-key', `${config.keys.log} is the key of ${logSigner.name}, not of ${config.origin}`);
    const receivers = await openReceivers(config.webhooks, { clock, version: VERSION });
    const trust = await loadTrustFolder(config.trust, { actedOn: true });
    requireTrusted(config, trust);
    const fault = witnessFault(trust.policy);
    if (fault !== null) throw new StartError('no-witness', `${config.trust}/trust.policy: ${fault}`);
    const facts = await openFacts({ load: (nowMs) => loadFacts(config.facts, nowMs), clock, logger, everyMs: config.limits.factsSeconds * 1000 });
    undo.push(() => facts.close());
    const authenticator = await openAuthenticator(config, tokens, { clock, logger, facts: facts.current, userAgent: `countersign/${VERSION}` });
    let recordMs = (): number => clock.nowMs();
    const granted = grantedFacts(facts.current, [config.exceptionGrants, trust.requirements.exceptionGrants], { signers: trust.signers, passkeys: trust.passkeys, logId: logIdOf(config.origin) }, () => recordMs(), logger);
    const disk = nodeDisk(config.data);
    // Not even a lock is written on a disk that is full to the last byte; and to be there is what the reserve is for.
    if (disk.free() < STARTING_BYTES) await disk.remove(reservePath('journal'));
    undo.push(await holdData(disk));
    const deliveries = await openDeliveryStore({ disk, directory: 'deliveries', clock, keepMs: config.limits.deliverySeconds * 1000 * DELIVERY_MARGIN, logger });
    undo.push(() => deliveries.close());
    const tracing = config.tracing === undefined ? undefined : await openTracing(config.tracing, logIdOf(config.origin), logger, undo);
    const { pdp, source, settle } = await openPolicy(config, { trust, disk, clock, random, logger });
    undo.push(() => pdp.close());
    const log = await openLog({ origin: config.origin, disk, directory: 'ledger', journal: 'journal', signer: logSigner, now: () => clock.nowMs(), reserveBytes: RESERVE_BYTES, archive: nodeDisk, ...(rotateFrom === null ? {} : { rotateFrom: { signer: rotateFrom, actor: `sidecar:${logIdOf(config.origin)}` } }) });
    undo.push(() => log.close());
    const ledgerFiles = await overArchives({ disk, directory: 'ledger', journal: 'journal', archive: nodeDisk });
    const copy = options.transport === undefined ? await openCopy(config, { log, disk, clock, logger }) : null;
    undo.push(() => copy?.close());
    if (copy?.start === 'lost') throw new StartError('no-ledger', 'there is no ledger here, and the bus does not say whether there was one: a new one could be a second history of the same log');
    const witnesses = await openWitnesses({ log, verifier: parseVerifier(logSigner.vkey), policy: trust.policy, disk, clock, logger });
    undo.push(() => witnesses?.close());
    const { transport, outbox } = options.transport === undefined ? await reachExecutors(config, { log: log.logId, adopted: await adoptedBy(log), ticketSigner, clock, logger }) : { transport: options.transport, outbox: undefined };
    undo.push(() => transport.close());

    const relay = config.nats === undefined ? null : await openRelay(config.nats, { log: log.logId, trust, ticketSigner, clock, random, logger });
    undo.push(() => relay?.close());

    const executorOf = new Map(config.executors.flatMap(({ id, connectors }) => connectors.map((connector) => [connector, id] as const)));
    let notifier: Notifier | null = null;
    // Read by few, and not loaded for the others.
    const metrics = config.metrics === 'prometheus' ? (await import('../metrics/metrics.ts')).openMetrics(VERSION) : undefined;
    const engine = await openEngine({
      traces: tracing?.changes,
      log, pdp, facts: granted.current, transport, outbox, copy: copy ?? undefined, witnesses: witnesses?.demanded === true ? witnesses : undefined, lockBoard: relay?.locks, deliveries, trust, ticketSigner, clock, random, logger, version: VERSION,
      executorOf: (connector) => executorOf.get(connector), connectors: [...executorOf.keys()].sort(), limits: engineLimits(config),
      snapshots: { disk, directory: 'state', signer: logSigner, code: codeVersion() },
      onEvents: (state, events) => {
        notifier?.take(state, events);
        metrics?.take(state, events);
      }, policyActivation: config.policyActivation,
      onProposed: (proposal, approvers) => notifier?.tell(notificationOfProposal(proposal, approvers)),
      ...(config.leases.redecision.everySeconds === 0 ? {} : { redecision: { everyMs: config.leases.redecision.everySeconds * 1000, confirmAbove: config.leases.redecision.confirmAbove } }),
      ...(config.limits.reconcileSeconds === 0 ? {} : { reconcileEveryMs: config.limits.reconcileSeconds * 1000 }),
    });
    undo.push(() => engine.close());
    recordMs = () => engine.nextAtMs();
    source?.follow(engine);
    undo.push(() => source?.stop());
    undo.push(keepHeads(engine, clock));
    copy?.onRefilled((from, missing) => engine.recordCopyRefilled(from, missing));
    if (witnesses !== null) {
      const anchors = keepAnchors({ log, clock, logger, lastSize: engine.lastAnchored(), record: (checkpoint, size) => engine.recordAnchor(checkpoint, size) });
      undo.push(() => anchors.close());
      witnesses.onCosigned((head) => anchors.cosigned(head));
    }
    const draining = new AbortController();
    // Each request that waits listens: their number is bounded by the connections, not by this.
    setMaxListeners(0, draining.signal);
    const context: SidecarContext = {
      engine, log, published: sharePublishing(log, clock), facts: granted.current, heldExceptions: granted.held, factsTrouble: facts.trouble, clock, logger, draining: draining.signal,
      connectors: [...executorOf.keys()].sort(), executors: config.executors.map(({ id }) => ({ id, connected: () => transport.isConnected(id) })),
      ...(source === null ? {} : { policySource: () => source.state() }),
      settlePolicy: () => settle(engine),
      ...(copy === null ? {} : { copyTrouble: () => copy.trouble() }),
      publicUrl: config.publicUrl,
      readLedgerFile: (path) => ledgerFiles.read(`ledger/${path}`), ledgerReaders: config.ledgerReaders,
      ...(witnesses === null ? {} : { witnesses: () => witnesses.state() }),
      ...(relay === null ? {} : { relay: (verdict) => relay.send(verdict) }),
      ...(metrics === undefined ? {} : { metrics }), ...(tracing === undefined ? {} : { tracing }),
    };
    metrics?.watch(watchedOf(context, () => pdp.bundle));
    const slack = config.slack === undefined ? null : await openSlack(config.slack, context, { clock, userAgent: `countersign/${VERSION}` });
    undo.push(() => slack?.close());
    const telling = startNotifier({
      logId: log.logId, publicUrl: config.publicUrl, receivers: [...receivers, ...(relay?.receivers ?? []), ...(slack === null ? [] : [slack.receiver])], clock, random, logger, history: (sinceMs) => recentHistory(log, engine.index.recordsSince(sinceMs)), durable: () => log.durable(),
      record: (changeId, end) => engine.recordNotification(changeId, end),
      tried: (changeId) => engine.standingTried(changeId), glassReviewers: (state) => engine.glassReviewers(state),
    });
    notifier = telling;
    const { proposal, floors } = engine.proposals();
    if (proposal?.outcome === 'waiting' && floors.length > 0) telling.tell(notificationOfProposal(proposal, approversOf(floors)));
    undo.push(() => telling.close());
    relay?.listen(engine);

    const app = createApp({ ...context, tokens: authenticator, hosts: config.hosts, approvePage: config.publicUrl === undefined ? undefined : (options.approvePage ?? builtApprovePage()), ...(slack === null ? {} : { slack }) });
    const doors = await openDoors(config, app.fetch, undo);
    if (config.nats?.api === true) {
      const api = await openBusApi(config.nats, { log: log.logId, ticketSigner, clock, logger, fetch: (request, env) => app.fetch(request, env), drainMs: config.limits.drainSeconds * 1000 });
      undo.push(() => api.close());
    }
    undo.push(() => draining.abort());
    logger.info({ log: log.logId, size: log.size, listening: doors.map((door) => door.address), bundle: pdp.bundle }, 'the sidecar is up');
    return {
      engine, log, close, reload: () => Promise.all([facts.reload(), source === null ? settle(engine) : source.look()]).then(() => undefined),
      socket: config.listen.socket ?? null,
      url: doors.find((door) => door.address.startsWith('http'))?.address ?? null,
    };
  } catch (error) {
    // What went wrong first is what the operator must read.
    await close().catch((second: unknown) => logger.error({ error: String(second) }, 'could not be closed in order'));
    throw error;
  }
}

/** The doors that are configured; each is in `undo` from when it is open. */
async function openDoors(config: Config, fetch: Parameters<typeof listenOnSocket>[1], undo: (() => Promise<void> | void)[]): Promise<Listening[]> {
  const { socket, host, port } = config.listen;
  const doors: Listening[] = [];
  const opened = (door: Listening): void => {
    doors.push(door);
    undo.push(() => door.close(config.limits.drainSeconds * 1000));
  };
  if (socket !== undefined) opened(await listenOnSocket(socket, fetch));
  if (port !== undefined) opened(await listenOnLoopback(host, port, fetch));
  return doors;
}

function engineLimits({ limits }: Config): typeof DEFAULT_LIMITS {
  return {
    ...DEFAULT_LIMITS, ticketSeconds: limits.ticketSeconds, approvalSeconds: limits.approvalSeconds, deliveryMs: limits.deliverySeconds * 1000,
    overdueAfterMs: limits.overdueSeconds * 1000, republishMs: limits.republishSeconds * 1000, openChangesPerRequester: limits.openChangesPerRequester,
  };
}

/** The exporter, and what it brings, is loaded here and nowhere else. */
async function openTracing(config: NonNullable<Config['tracing']>, instance: string, logger: Logger, undo: (() => Promise<void> | void)[]): Promise<Tracing> {
  const { openTracer } = await import('../tracing/otlp.ts');
  const tracer = openTracer({ ...config, service: { name: 'countersign-sidecar', version: VERSION, instance }, logger });
  undo.push(() => tracer.close());
  return { tracer, changes: recentTraces(tracer, () => performance.now()) };
}

/** The logs whose executors' reports come here as well: what the first record says. */
async function adoptedBy(log: Log): Promise<readonly string[]> {
  for await (const { record } of log.entries(0, Math.min(log.size, 1))) {
    const adopted = record.type === 'ledger.adopted' ? systemRecordBodies[record.type].safeParse(record.body).data : undefined;
    if (adopted !== undefined) return adoptedLogs(adopted);
  }
  return [];
}

async function openKeys({ keys }: Config): Promise<{ readonly logSigner: LogSigner; readonly rotateFrom: LogSigner | null; readonly ticketSigner: Signer }> {
  try {
    return {
      logSigner: await openLogKey(keys.log, keys.unlock), ticketSigner: await openOwnKey(keys.ticket, keys.unlock),
      rotateFrom: keys.rotateFrom === undefined ? null : await openLogKey(keys.rotateFrom, keys.unlock),
    };
  } catch (error) {
    throw error instanceof SigningKeyError ? new StartError('bad-key', error.message) : error;
  }
}

/** @throws StartError `no-issuer-keys` */
async function openAuthenticator({ identity }: Config, tokens: Tokens, options: IssuersOptions): Promise<Authenticator> {
  try {
    return makeAuthenticator(tokens, identity.issuers.length === 0 ? null : await openIssuers(identity.issuers, options));
  } catch (error) {
    throw error instanceof IssuerKeysError ? new StartError('no-issuer-keys', `identity.issuers: ${error.message}`) : error;
  }
}

/** Nothing an executor reports would be believed, if its key were not in the trust folder. */
function requireTrusted(config: Config, trust: Trust): void {
  for (const origin of config.nats?.relays ?? []) {
    if (!trust.sidecars.has(logIdOf(origin))) throw new StartError('untrusted-relay', `${config.trust}/sidecars.json has no ticket key of ${origin}`);
  }
  for (const { id, connectors } of config.executors) {
    const known = trust.executors.get(id);
    const missing = connectors.filter((connector) => known?.connectors.includes(connector) !== true);
    if (known === undefined) throw new StartError('untrusted-executor', `${config.trust}/executors.json does not know ${id}`);
    if (missing.length > 0) throw new StartError('untrusted-executor', `${config.trust}/executors.json does not let ${id} speak for ${missing.join(', ')}`);
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => (running ??= run());
}
