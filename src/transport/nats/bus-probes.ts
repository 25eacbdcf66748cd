/**
 * What a worker must not be able to do, tried as that worker. Everything is addressed to a log and a lane that nobody has, by names that
 * cannot be guessed, so that what is not refused does no harm; and what it leaves is taken away again.
 */
import { jetstream, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';
import { headers, NoRespondersError, PermissionViolationError, RequestError, type NatsConnection } from '@nats-io/transport-node';
import { failed, ok, unknown, type Checked } from '../../doctor/check.ts';
import type { Clock } from '../../engine/ports.ts';
import { act, API_PREFIX, arm, consumerOf, delivery, lock, pages, result, revoke, say, STREAMS } from './bus-layout.ts';
import { SAID_BYTES_MAX } from './said.ts';

export interface ProbeOptions {
  /** As the worker whose permissions are tried. */
  readonly worker: NatsConnection;
  /** As a sidecar: sees what came of it, and takes it away. */
  readonly sidecar: NatsConnection;
  readonly lane: string;
  /** Another executor's; left out where there is none. */
  readonly otherLane?: string | undefined;
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
}

export const PROBE_MS = 1_500;
const SEEN_MS = 3_000;
const LOOK_MS = 50;
export const ACCOUNTS_REMEDY = 'countersign nats accounts   prints the accounts that keep workers apart: give them to every nats-server, and reload it';

interface Forbidden {
  /** After "it can". */
  readonly what: string;
  readonly subject: string;
  readonly body: string;
}

/** Tries all of it. Each that was not refused is one failed check; what nobody refused and nobody answered could not be established. */
export async function probeWorker(options: ProbeOptions): Promise<Checked[]> {
  const hex = (length: number): string => Buffer.from(options.randomBytes(length)).toString('hex');
  const nobody = { log: hex(8), lane: `doctor-${hex(8)}`, token: hex(16) };
  try {
    const forbidden = [];
    for (const one of forbiddenTo(options, nobody)) forbidden.push(await probe(options.worker, one));
    const refused = forbidden.filter(({ status }) => status === 'ok');
    const rest = forbidden.filter(({ status }) => status !== 'ok');
    return [
      ...(refused.length === 0 ? [] : [ok('permissions', `${refused.length} of ${forbidden.length} things that ${options.lane} must not do were refused`)]),
      ...rest, await probeHeaders(options, nobody), await probeReply(options, nobody),
    ];
  } finally {
    await takeAway(options.sidecar, nobody).catch(() => undefined);
  }
}

interface Nobody {
  readonly log: string;
  readonly lane: string;
  readonly token: string;
}

function forbiddenTo({ lane, otherLane }: ProbeOptions, nobody: Nobody): Forbidden[] {
  const { log, token } = nobody;
  const other = otherLane ?? nobody.lane;
  const api = (what: string, rest: string, body: string): Forbidden[] => ['$JS.API', API_PREFIX].map((prefix) => ({ what: `${what} (${prefix})`, subject: `${prefix}.${rest}`, body }));
  return [
    { what: 'publish a step to itself', subject: act(lane, log, token), body: 'x' },
    { what: 'publish an order to itself', subject: revoke(lane, log, token), body: 'x' },
    { what: 'publish a step to another executor', subject: act(nobody.lane, log, token), body: 'x' },
    { what: 'publish an order to another executor', subject: revoke(nobody.lane, log, token), body: 'x' },
    { what: 'touch armed orders of its own', subject: arm(lane, log, token), body: 'x' },
    { what: 'touch armed orders of another executor', subject: arm(nobody.lane, log, token), body: 'x' },
    { what: 'report for another executor', subject: result(nobody.lane, log, token), body: 'x' },
    { what: 'deliver for another executor', subject: delivery(nobody.lane, log, token), body: 'x' },
    { what: 'speak for another executor', subject: say(nobody.lane, log), body: 'x' },
    { what: 'write copies of ledgers', subject: pages(log), body: 'x' },
    // More than the stream takes: nothing of it could be taken away again.
    { what: 'publish locks to sidecars', subject: lock(log, `lck_${token}`), body: 'x'.repeat(SAID_BYTES_MAX + 1) },
    // What these say is not valid, or about nothing: a server that would let it be asked has nothing to do.
    ...api('make a consumer', `CONSUMER.CREATE.${STREAMS.steps}.${nobody.lane}`, '{'),
    ...api('purge orders', `STREAM.PURGE.${STREAMS.steps}`, JSON.stringify({ filter: arm(nobody.lane, log, token) })),
    ...api('read orders', `STREAM.MSG.GET.${STREAMS.steps}`, JSON.stringify({ last_by_subj: arm(nobody.lane, log, token) })),
    ...api('wipe locks', `STREAM.PURGE.${STREAMS.locks}`, JSON.stringify({ filter: lock(log, `lck_${token}`) })),
    ...api('read copies of ledgers', `STREAM.MSG.GET.${STREAMS.ledger}`, JSON.stringify({ last_by_subj: pages(log) })),
    ...api("see another executor's queue", `CONSUMER.INFO.${STREAMS.steps}.${consumerOf(other, 'revoke')}`, ''),
  ];
}

async function probe(worker: NatsConnection, { what, subject, body }: Forbidden): Promise<Checked> {
  const name = 'permissions';
  try {
    await worker.request(subject, body, { timeout: PROBE_MS });
    return failed(name, `it can ${what}`, ACCOUNTS_REMEDY);
  } catch (error) {
    if (isRefusal(error)) return ok(name, what);
    if (isUnanswered(error)) return unknown(name, `whether it can ${what}: nobody refused it, and nobody answered`, ACCOUNTS_REMEDY);
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof PermissionViolationError || (error instanceof RequestError && error.cause instanceof PermissionViolationError);
}

function isUnanswered(error: unknown): boolean {
  return error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders()) || (error instanceof Error && error.name === 'TimeoutError');
}

/** Headers by which a message becomes a schedule, calls one off, or replaces others: streams that workers write to must know none of them. */
async function probeHeaders({ worker, lane }: ProbeOptions, { log, lane: nobody, token }: Nobody): Promise<Checked> {
  const name = 'headers';
  const tried: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['roll up', { 'Nats-Rollup': 'sub' }],
    ['schedule', { 'Nats-Schedule': '@at 2199-01-01T00:00:00Z', 'Nats-Schedule-Target': result(lane, log, token.split('').reverse().join('')) }],
    ['call a schedule off', { 'Nats-Scheduler': arm(nobody, log, token), 'Nats-Schedule-Next': 'purge' }],
  ];
  for (const [what, pairs] of tried) {
    const sent = headers();
    for (const [key, value] of Object.entries(pairs)) sent.set(key, value);
    try {
      await jetstream(worker, { apiPrefix: API_PREFIX, checkAPI: false }).publish(delivery(lane, log, token), 'x', { headers: sent, timeout: PROBE_MS });
      return failed(name, `what ${lane} publishes can ${what}`, 'countersign nats setup   brings streams to what they must be');
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) return unknown(name, `whether what ${lane} publishes can ${what}: ${error instanceof Error ? error.message : String(error)}`, 'countersign nats setup');
    }
  }
  return ok(name, `what ${lane} publishes cannot schedule, call off or roll up`);
}

/** The acknowledgement of a publish goes to its reply subject; in an account that all share, onto a subject of another. */
async function probeReply({ worker, sidecar, lane, clock }: ProbeOptions, { log, lane: nobody, token }: Nobody): Promise<Checked> {
  const name = 'replies';
  const [published, target] = [delivery(lane, log, token), arm(nobody, log, token)];
  worker.publish(published, 'x', { reply: target });
  await worker.flush();
  const manager = await jetstreamManager(sidecar, { timeout: SEEN_MS });
  const isIn = async (stream: string, subject: string): Promise<boolean> => (await manager.streams.getMessage(stream, { last_by_subj: subject })) !== null;
  if (!(await within(clock, SEEN_MS, () => isIn(STREAMS.deliveries, published)))) return unknown(name, `what ${lane} publishes does not arrive, so it is not known where its acknowledgement goes`, ACCOUNTS_REMEDY);
  const arrived = await within(clock, PROBE_MS / 3, () => isIn(STREAMS.steps, target));
  return arrived ? failed(name, `the acknowledgement of what ${lane} publishes lands on another executor's orders: it can disarm them`, ACCOUNTS_REMEDY) : ok(name, `acknowledgements of what ${lane} publishes stay in its account`);
}

/** Whether it became so within that time, asked again and again. */
export async function within(clock: Clock, timeoutMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
  for (let leftMs = timeoutMs; ; leftMs -= LOOK_MS) {
    if (await isSo()) return true;
    if (leftMs <= 0) return false;
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
  }
}

async function takeAway(sidecar: NatsConnection, { log, lane }: Nobody): Promise<void> {
  const manager = await jetstreamManager(sidecar, { timeout: SEEN_MS });
  const left: readonly (readonly [string, string])[] = [
    [STREAMS.steps, `cs.step.*.*.${log}.>`], [STREAMS.steps, `cs.arm.*.${log}.>`], [STREAMS.steps, `cs.arm.${lane}.>`], [STREAMS.deliveries, `cs.delivery.*.${log}.>`],
    [STREAMS.ledger, pages(log)],
  ];
  for (const [stream, filter] of left) await manager.streams.purge(stream, { filter });
}
