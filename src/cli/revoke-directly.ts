/**
 * A revoke with the sidecar dead (invariant 4): the operator signs the order with the key that executors know as a revoker's, and talks to the
 * executor itself. No policy, no approval, no ledger writer. The executor keeps its report until a sidecar takes it.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { nodeDisk, parseSigner, type Signer } from '../../ledger/index.ts';
import { TransportError } from '../engine/ports.ts';
import { readHeld, type OrderTemplate } from '../evidence/held.ts';
import { openDsse, readPayload, signDsse } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  dsseSchema, reportSchema, REPORT_TYPE, revokeOrderSchema, REVOKE_ORDER_TYPE, type RevokedReport, type RevokeOrder,
} from '../protocol/signed.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import { formatTime, personIdSchema } from '../protocol/values.ts';
import { findConfig } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, readText } from './files.ts';
import { orderExecutor, type Reported } from './order-executor.ts';
import { plain } from './output.ts';
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
}

const NOTHING_SENT = 'Nothing was sent.';

interface Sent {
  readonly changeId: string;
  readonly executor: string;
  readonly outcome: RevokedReport['outcome'] | 'accepted' | TransportError['code'];
  readonly detail: string | null;
}

/** @throws CliError before anything was sent */
export async function revokeDirectly(session: Session, flags: DirectFlags): Promise<ExitCode> {
  const { out } = session;
  const installation = readInstallation(session, flags);
  const signer = openRevokerKey(session, flags, installation);
  const templates = await whatToTakeBack(session, flags, installation);
  if (templates.length === 0) throw new CliError(EXIT.failed, 'nothing-to-revoke', { cause: `the ledger knows of nothing that ${flags.nhi ?? flags.change ?? 'this'} holds`, effect: NOTHING_SENT });
  const waitMs = secondsOf(flags.wait) * 1000;
  const sent: Sent[] = [];
  for (const template of templates) {
    const order = revokeOrderSchema.parse({ ...template, notBefore: formatTime(session.nowMs()), cause: 'early', orderedBy: signer.name });
    sent.push(await send(session, installation, socketOf(flags, session, installation, order.audience), order, signer, waitMs));
  }
  out.document({ direct: true, revokes: sent });
  for (const one of sent) out.line(`${one.changeId} ${one.outcome === 'done' || one.outcome === 'already-absent' ? out.good(one.outcome) : out.bad(one.outcome)} by ${one.executor}${one.detail === null ? '' : `: ${plain(one.detail)}`}`);
  if (sent.some(({ outcome }) => outcome !== 'unreachable' && outcome !== 'rejected')) out.say('it is recorded once a sidecar of this log is up again: the executor keeps its report until then');
  if (sent.some(({ outcome }) => outcome === 'unreachable')) return EXIT.io;
  if (sent.some(({ outcome }) => outcome === 'rejected' || outcome === 'mismatch')) return EXIT.failed;
  return sent.every(({ outcome }) => outcome === 'done' || outcome === 'already-absent') ? EXIT.ok : EXIT.pending;
}

/** How long an executor may take to hold an order. */
const ANSWER_MS = 10_000;

async function send({ signal }: Session, installation: Installation | null, socket: string, order: RevokeOrder, signer: Signer, waitMs: number): Promise<Sent> {
  const about = { changeId: order.changeId, executor: order.audience };
  try {
    const reported = await orderExecutor(socket, signDsse(REVOKE_ORDER_TYPE, order, signer), order, { answerMs: ANSWER_MS, waitMs, signal });
    if (reported === null) return { ...about, outcome: 'accepted', detail: 'the executor holds the order and has not reported yet' };
    const { outcome, detail } = reported.report;
    return { ...about, outcome, detail: (await isSigned(installation, reported)) ? detail : 'its signature could not be checked: no trust folder here knows the executor' };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    return { ...about, outcome: error.code, detail: error.message };
  }
}

/** Whether the report is the executor's own. Where no trust can be loaded, the socket's owner is all there is to go by. */
async function isSigned(installation: Installation | null, { envelope, report }: Reported): Promise<boolean> {
  if (installation?.trust == null) return false;
  try {
    const trust = await loadTrustFolder(installation.trust);
    const executor = trust.executors.get(report.executor);
    if (executor === undefined) return false;
    openDsse(envelope, REPORT_TYPE, reportSchema, [executor.key]);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof TrustError) return false;
    throw error;
  }
}

function secondsOf(text = '30'): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new CliError(EXIT.usage, 'usage', { cause: '--wait takes a number of seconds', effect: NOTHING_SENT });
  return Number(text);
}

/** As much of countersign.yaml as can be read: an installation that is broken is no reason not to revoke. */
interface Installation {
  readonly folder: string;
  readonly ledger: string | null;
  readonly trust: string | null;
  readonly sockets: ReadonlyMap<string, string>;
}

function readInstallation(session: Session, flags: DirectFlags): Installation | null {
  const file = findConfig(flags, session);
  if (file === null) return null;
  const folder = dirname(file);
  const parsed = parse(readText(file, 'the configuration')) as { data?: unknown; trust?: unknown; executors?: unknown } | null;
  const executors = Array.isArray(parsed?.executors) ? (parsed.executors as { id?: unknown; socket?: unknown }[]) : [];
  const sockets = executors.flatMap(({ id, socket }) => (typeof id === 'string' && typeof socket === 'string' ? [[id, resolve(folder, socket)] as const] : []));
  const path = (value: unknown, ...more: string[]): string | null => (typeof value === 'string' ? resolve(folder, value, ...more) : null);
  return { folder, ledger: path(parsed?.data, 'ledger'), trust: path(parsed?.trust), sockets: new Map(sockets) };
}

function openRevokerKey(session: Session, flags: DirectFlags, installation: Installation | null): Signer {
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

function socketOf(flags: DirectFlags, session: Session, installation: Installation | null, executor: string): string {
  const socket = flags.executor !== undefined ? resolve(session.cwd, flags.executor) : installation?.sockets.get(executor);
  if (socket === undefined) throw new CliError(EXIT.usage, 'no-executor', { cause: `it is not said where ${executor} listens`, effect: NOTHING_SENT, next: 'give --executor SOCKET' });
  return socket;
}
