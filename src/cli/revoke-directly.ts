/**
 * A revoke with the sidecar dead (invariant 4): the operator signs the order with the key that executors know as a revoker's, and talks to the
 * executor itself. No policy, no approval, no ledger writer. The executor keeps its report until a sidecar takes it.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { nodeDisk, parseSigner, type Signer } from '../../ledger/index.ts';
import { ClientError } from '../client/index.ts';
import { TransportError } from '../engine/ports.ts';
import { readHeld, type OrderTemplate } from '../evidence/held.ts';
import { readPayload, signDsse } from '../protocol/dsse.ts';
import { dsseSchema, revokeOrderSchema, REVOKE_ORDER_TYPE, type Dsse, type RevokeOrder } from '../protocol/signed.ts';
import { loadTrustFolder, TrustError, type Trust } from '../protocol/trust-folder.ts';
import { formatTime, personIdSchema } from '../protocol/values.ts';
import { outcomeOf, tellSent, type Sent } from './carried-out.ts';
import { doorAt, doorsIn, orderAtDoor, type Doors } from './executor-doors.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, readText } from './files.ts';
import { findConfig } from './find-config.ts';
import { plain } from './output.ts';
import { writeSigned } from './signed-file.ts';
import type { Session } from './world.ts';

export interface DirectFlags {
  readonly config?: string;
  readonly change?: string;
  readonly nhi?: string;
  readonly key?: string;
  readonly executor?: string;
  readonly ledger?: string;
  readonly order?: string;
  readonly wait?: string;
  readonly caFile?: string;
  readonly write?: string;
}

const NOTHING_SENT = 'Nothing was sent.';

/** @throws CliError before anything was sent, or written */
export async function revokeDirectly(session: Session, flags: DirectFlags): Promise<ExitCode> {
  const installation = readInstallation(session, flags);
  const signer = openRevokerKey(session, flags, installation);
  const templates = await whatToTakeBack(session, flags, installation);
  if (templates.length === 0) throw new CliError(EXIT.failed, 'nothing-to-revoke', { cause: `the ledger knows of nothing that ${flags.nhi ?? flags.change ?? 'this'} holds`, effect: NOTHING_SENT });
  return orderBack(session, flags, installation, signer, templates);
}

/** Signs an order for each, and hands it to its executor, or writes it down to be carried there. */
export async function orderBack(session: Session, flags: DirectFlags, installation: Installation | null, signer: Signer, templates: readonly OrderTemplate[]): Promise<ExitCode> {
  const { out } = session;
  const orders = templates.map((template) => revokeOrderSchema.parse({ ...template, notBefore: formatTime(session.nowMs()), cause: 'early', orderedBy: signer.name }));
  const signed = orders.map((order) => ({ order, envelope: signDsse(REVOKE_ORDER_TYPE, order, signer) }));
  if (flags.write !== undefined) return write(session, resolve(session.cwd, flags.write), signed);
  const waitMs = secondsOf(flags.wait) * 1000;
  const doors = signed.map(({ order }) => doorsOf(flags, session, installation, order.audience));
  if (doors.every((one) => one.socket === null && one.https === null)) {
    throw new CliError(EXIT.usage, 'no-executor', { cause: `it is not said where ${orders[0]!.audience} listens`, effect: NOTHING_SENT, next: 'give --executor SOCKET or https://HOST:PORT, or write the order down with --write FILE and carry it there' });
  }
  const trust = await trustIn(installation);
  const sent = await inTurns(signed, async ({ order, envelope }, index): Promise<Sent> => {
    const about = { changeId: order.changeId, executor: order.audience };
    try {
      return outcomeOf(about, await orderAtDoor(doors[index]!, envelope, order, { waitMs, signal: session.signal }), trust);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return { ...about, outcome: error.code, detail: error.message };
    }
  });
  out.document({ direct: true, revokes: sent });
  const exit = tellSent(out, sent);
  if (sent.some(({ outcome }) => outcome !== 'unreachable' && outcome !== 'rejected')) out.say('it is recorded once a sidecar of this log is up again: the executor keeps its report until then');
  if (exit === EXIT.io) out.say(`nobody is known to have taken all of it: the same with  --write order.dsse  can be carried to the executor's machine, for  countersign worker apply order.dsse`);
  return exit;
}

function write(session: Session, path: string, signed: readonly { readonly order: RevokeOrder; readonly envelope: Dsse }[]): ExitCode {
  writeSigned(path, signed.map(({ envelope }) => envelope));
  session.out.document({ written: path, orders: signed.map(({ order }) => ({ changeId: order.changeId, executor: order.audience })) });
  for (const { order } of signed) session.out.line(`${order.changeId} ordered back from ${order.audience}, in ${path}`);
  session.out.say(`nothing was sent. On the executor's machine:  countersign worker apply ${basename(path)} --config executor.yaml`);
  return EXIT.ok;
}

/** Orders that are on their way at a time: a target that does not answer holds up no other. */
const AT_A_TIME = 16;

async function inTurns<T, R>(all: readonly T[], run: (one: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next; index < all.length; index = next) {
      next += 1;
      results[index] = await run(all[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
  return results;
}

/** Null where no trust can be loaded: then the report's way here is all there is to go by. */
async function trustIn(installation: Installation | null): Promise<Trust | null> {
  if (installation?.trust == null) return null;
  try {
    return await loadTrustFolder(installation.trust);
  } catch (error) {
    if (error instanceof TrustError) return null;
    throw error;
  }
}

function secondsOf(text = '30'): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new CliError(EXIT.usage, 'usage', { cause: '--wait takes a number of seconds', effect: NOTHING_SENT });
  return Number(text);
}

/** Not what the sidecar says no to: only silence, and a caller who has no way to ask it. */
export function meansSidecarIsGone(error: unknown): boolean {
  if (error instanceof ClientError) return error.status === null || error.status >= 500;
  return error instanceof CliError && (error.code === 'no-sidecar' || error.code === 'no-token' || error.code === 'no-such-file');
}

/** As much of countersign.yaml as can be read: an installation that is broken is no reason not to revoke. */
export interface Installation {
  readonly folder: string;
  readonly ledger: string | null;
  readonly trust: string | null;
  readonly doors: ReadonlyMap<string, Doors>;
}

export function readInstallation(session: Session, flags: Pick<DirectFlags, 'config'>): Installation | null {
  const file = findConfig(flags, session);
  if (file === null) return null;
  const folder = dirname(file);
  const parsed = parse(readText(file, 'the configuration')) as { data?: unknown; trust?: unknown; executors?: unknown } | null;
  const path = (value: unknown, ...more: string[]): string | null => (typeof value === 'string' ? resolve(folder, value, ...more) : null);
  return { folder, ledger: path(parsed?.data, 'ledger'), trust: path(parsed?.trust), doors: doorsIn(parsed?.executors, folder) };
}

export function openRevokerKey(session: Session, flags: Pick<DirectFlags, 'key'>, installation: Installation | null): Signer {
  const path = flags.key !== undefined ? resolve(session.cwd, flags.key) : installation === null ? null : join(installation.folder, 'keys', 'revoker.key');
  if (path === null) throw new CliError(EXIT.usage, 'no-key', { cause: 'no revoker key was given', effect: NOTHING_SENT, next: 'give --key FILE' });
  let signer: Signer;
  try {
    signer = parseSigner(readSecret(path, 'the revoker key'));
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    // The cause stays inside: what a parser quotes here would be a key.
    throw new CliError(EXIT.usage, 'no-key', { cause: `${path} holds no signing key`, effect: NOTHING_SENT });
  }
  if (!personIdSchema.safeParse(signer.name).success) throw new CliError(EXIT.usage, 'no-key', { cause: `${path} is the key of ${plain(signer.name)}; a revoker's is named person:<id>`, effect: NOTHING_SENT });
  return signer;
}

async function whatToTakeBack(session: Session, flags: DirectFlags, installation: Installation | null): Promise<OrderTemplate[]> {
  if (flags.order !== undefined) return [readOrder(resolve(session.cwd, flags.order))];
  const ledger = flags.ledger !== undefined ? resolve(session.cwd, flags.ledger) : (installation?.ledger ?? null);
  if (ledger === null || !existsSync(ledger)) {
    throw new CliError(EXIT.io, 'no-ledger', { cause: `there is no ledger ${ledger === null ? 'configured' : `at ${ledger}`} to say what is held`, effect: NOTHING_SENT, next: 'give --ledger FOLDER, or --order FILE' });
  }
  const { held, unreadable } = await readHeld(nodeDisk(dirname(ledger)), basename(ledger));
  if (unreadable > 0) session.out.say(`${unreadable} records of ${ledger} could not be read: more may be held than is known here`);
  return held.filter((one) => (flags.nhi === undefined ? one.changeId === flags.change : one.subject === flags.nhi)).map(({ order }) => order);
}

/** An order as an envelope carries it, or its content; its time, cause and signer are replaced. */
function readOrder(path: string): OrderTemplate {
  let value: unknown;
  try {
    value = JSON.parse(readText(path, 'the order'));
    const signed = dsseSchema.safeParse(value);
    const { notBefore: _notBefore, cause: _cause, orderedBy: _orderedBy, ...template } = signed.success ? readPayload(signed.data, revokeOrderSchema) : revokeOrderSchema.parse(value);
    return template;
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError(EXIT.usage, 'no-order', { cause: `${path} holds no revoke order`, effect: NOTHING_SENT }, { cause });
  }
}

function doorsOf(flags: DirectFlags, session: Session, installation: Installation | null, executor: string): Doors {
  if (flags.executor !== undefined) return doorAt(flags.executor, flags.caFile, session.cwd);
  return installation?.doors.get(executor) ?? { socket: null, https: null };
}
