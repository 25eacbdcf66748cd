/** What is proven of a bus before it is relied on: that it keeps what it acknowledges, holds what it should, and keeps workers apart. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { checking, failed, ok, unknown, type Checked } from '../../doctor/check.ts';
import { executorOf, pages, STREAMS, WIRE_BYTES_MAX } from './bus-layout.ts';
import { ANEW, compareBus, fixedIn, type BusPlan } from './bus-setup.ts';
import { endOfPage, readPage } from './copy-page.ts';
import { lastMessage } from './ledger-copy.ts';

/** The first with schedules as they are relied on here. */
const LEAST_VERSION = [2, 15] as const;
const CLOCK_MS_MAX = 1_000;
const ASK_MS = 5_000;
const VARZ_BYTES_MAX = 4_194_304;
const SETUP = 'countersign nats setup';

export function checkVersion(connection: NatsConnection): Checked {
  const version = connection.info?.version ?? '';
  return isRecent(version) ? ok('server', `nats-server ${version}`) : failed('server', `nats-server ${version === '' ? 'of no version' : version}, and ${LEAST_VERSION.join('.')} is needed`, 'install a newer nats-server, on every node');
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor >= LEAST_VERSION[1]);
}

/** A step or a report of the largest size gets through. */
export function checkPayload(connection: NatsConnection): Checked {
  const name = 'payload';
  const bytes = connection.info?.max_payload ?? 0;
  return bytes >= WIRE_BYTES_MAX ? ok(name, `messages of up to ${bytes} bytes`) : failed(name, `the server takes no message of more than ${bytes} bytes: large steps and reports would be refused`, `say max_payload: ${WIRE_BYTES_MAX} in the configuration of every nats-server, as countersign nats accounts prints it, and reload it`);
}

interface Varz {
  readonly server_id?: unknown;
  readonly version?: unknown;
  readonly cluster?: { readonly name?: unknown };
  readonly jetstream?: { readonly config?: { readonly sync_always?: unknown }; readonly meta?: { readonly cluster_size?: unknown } };
}

/** Where one is connected: what the monitoring that was given must be of. */
export type ConnectedTo = { readonly server_id: string; readonly cluster?: string } | undefined;

/** @param monitors `http://host:8222` of every node: each says it for itself only */
export async function checkSync(monitors: readonly string[], connected: ConnectedTo): Promise<Checked> {
  const name = 'sync';
  const remedy = 'say jetstream { sync_interval: always } in the configuration of every nats-server, and start it again';
  const more = 'give --monitor http://HOST:8222 for each of them';
  if (monitors.length === 0) return unknown(name, 'whether the servers sync before they acknowledge only their monitoring says', more);
  const seen = new Map<string, Varz>();
  for (const monitor of monitors) {
    let varz: Varz;
    try {
      varz = JSON.parse(await fetchText(new URL('/varz', monitor))) as Varz;
    } catch (error) {
      return unknown(name, `${monitor} does not answer: ${error instanceof Error ? error.message : String(error)}`, 'say http: HOST:8222 in the configuration of nats-server, or correct --monitor');
    }
    if (typeof varz.version !== 'string' || !isRecent(varz.version)) return failed(name, `${monitor} runs nats-server ${String(varz.version)}`, `install ${LEAST_VERSION.join('.')} or later`);
    if (varz.jetstream?.config?.sync_always !== true) return failed(name, `${monitor} acknowledges before it syncs: a power cut loses what was acknowledged`, remedy);
    if (typeof varz.server_id !== 'string') return unknown(name, `${monitor} does not say which server it is`, 'correct --monitor');
    if (connected !== undefined && !isPartOf(varz, connected)) return unknown(name, `${monitor} is the monitoring of another bus`, more);
    seen.set(varz.server_id, varz);
  }
  // The largest that any of them knows of, those that are down included.
  const size = Math.max(1, ...[...seen.values()].map(({ jetstream }) => Number(jetstream?.meta?.cluster_size ?? 1)));
  if (!(seen.size >= size)) return unknown(name, `${seen.size} of ${size} servers of the cluster ${seen.size === 1 ? 'syncs' : 'sync'} before acknowledging; the others were not asked`, more);
  return ok(name, size === 1 ? 'the server syncs before acknowledging' : `all ${seen.size} servers sync before acknowledging`);
}

function isPartOf({ server_id, cluster }: Varz, connected: NonNullable<ConnectedTo>): boolean {
  return connected.cluster === undefined ? server_id === connected.server_id : cluster?.name === connected.cluster;
}

async function fetchText(url: URL): Promise<string> {
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(ASK_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const text = await answer.text();
  if (text.length > VARZ_BYTES_MAX) throw new Error('too much to be what was asked for');
  return text;
}

/** @param setup the command that brings the bus to this plan */
export function checkStreams(connection: NatsConnection, plan: BusPlan, setup = SETUP): Promise<Checked> {
  const name = 'streams';
  return checking(name, `${setup}   makes streams and consumers`, async () => {
    const differences = await compareBus(connection, plan);
    if (differences.length === 0) return ok(name, `${plan.streams.length} streams and ${plan.consumers.length} consumers as they must be`);
    const told = differences.map(({ what, change, fields }) => (change === 'create' ? `${what} is not there` : `${what}: ${fields.map(({ field, is, must }) => `${field} is ${JSON.stringify(is)}, not ${JSON.stringify(must)}`).join(', ')}`));
    const fixed = fixedIn(differences);
    return failed(name, told.join('; '), fixed.length === 0 ? `${setup}   brings streams and consumers to what they must be` : `${fixed.join(', ')} cannot be changed: ${ANEW}   then ${setup}`);
  });
}

/** Of what executors may fill, by whose; in a stream that is full, what one has put there is in the way of the others. */
const FILLED_BY_WORKERS = {
  [STREAMS.results]: 'is a sidecar down for long, or does that executor misuse its key? More room: countersign nats setup --results-max 8GiB',
  [STREAMS.deliveries]: 'that executor misuses its key: replace it in countersign nats accounts, then nats stream purge CS_DELIVERY --subject of what is its own',
  [STREAMS.claims]: 'take away what is older than any running lease: nats stream purge CS_CLAIMS --seq N; or does that executor misuse its key?',
} as const;
const FULL_FROM = 0.8;

/** Reports, sealed secrets and claims have room. */
export function checkRoom(connection: NatsConnection): Promise<Checked> {
  const name = 'room';
  return checking(name, `${SETUP}   makes streams and consumers`, async () => {
    const manager = await jetstreamManager(connection, { timeout: ASK_MS });
    const filled: string[] = [];
    for (const [stream, remedy] of Object.entries(FILLED_BY_WORKERS)) {
      const { state, config } = await manager.streams.info(stream);
      const share = config.max_bytes > 0 ? state.bytes / config.max_bytes : 0;
      if (share >= FULL_FROM) {
        const { subjects = {} } = (await manager.streams.info(stream, { subjects_filter: '>' })).state;
        return failed(name, `${stream} is ${Math.floor(share * 100)} % full, most of it by ${mostIn(subjects)}`, remedy);
      }
      filled.push(`${stream} ${Math.floor(share * 100)} %`);
    }
    return ok(name, filled.join(', '));
  });
}

function mostIn(subjects: Readonly<Record<string, number>>): string {
  const lanes = new Map<string, number>();
  for (const [subject, count] of Object.entries(subjects)) {
    const lane = subject.split('.')[2] ?? '';
    lanes.set(lane, (lanes.get(lane) ?? 0) + count);
  }
  const [lane] = [...lanes].sort(([, one], [, other]) => other - one)[0] ?? [];
  return lane === undefined ? 'nobody' : executorOf(lane);
}

/** An order fires by the clock of the stream's leader. */
export function checkClock(connection: NatsConnection, nowMs: () => number): Promise<Checked> {
  const name = 'clock';
  const remedy = 'run NTP on every machine';
  return checking(name, remedy, async () => {
    const manager = await jetstreamManager(connection, { timeout: ASK_MS });
    const askedMs = nowMs();
    const { ts } = await manager.streams.info(STREAMS.steps) as { readonly ts?: string };
    const answeredMs = nowMs();
    if (ts === undefined) return unknown(name, 'the server does not tell its time', 'install a newer nats-server');
    // Anything between asking and the answer may be when it looked at its clock.
    const theirsMs = Date.parse(ts);
    const offMs = theirsMs < askedMs ? askedMs - theirsMs : Math.max(theirsMs - answeredMs, 0);
    return offMs <= CLOCK_MS_MAX ? ok(name, `no more than ${CLOCK_MS_MAX} ms between the clocks`) : failed(name, `the clock of the server is ${Math.round(offMs)} ms from this one`, remedy);
  });
}

/** @param ownSize records of the ledger on disk, read after the copy was: it may be growing */
export function checkCopy(connection: NatsConnection, log: string, ownSize: () => Promise<number | null>): Promise<Checked> {
  const name = 'copy';
  return checking(name, `${SETUP}   makes streams and consumers`, async () => {
    const last = await lastMessage(await jetstreamManager(connection, { timeout: ASK_MS }), pages(log));
    const page = last === null ? null : readPage(last.data, log);
    if (last !== null && page === null) return failed(name, `the newest message of the copy is no page of this log`, `somebody else writes to ${pages(log)}: find out who, then purge that subject; the sidecar fills it again`);
    const [copied, own] = [page === null ? 0 : endOfPage(page), (await ownSize()) ?? 0];
    if (copied > own) return failed(name, `the copy has ${copied} records, and the ledger ${own}`, 'stop the sidecar; countersign restore');
    return ok(name, copied === own ? `all ${own} records` : `${copied} of ${own} records; the sidecar catches up while it runs`);
  });
}
