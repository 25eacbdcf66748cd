/**
 * `countersign worker apply FILE`, on the executor's machine: what was signed elsewhere and carried here is carried out. By the worker that
 * runs, at its socket; where none runs, by this process, which opens the state directory for just that.
 */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { LedgerError } from '../../ledger/index.ts';
import { TransportError } from '../engine/ports.ts';
import { ConfigError, loadExecutorConfig, type ExecutorConfig } from '../executor/config.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { LOCK_TYPE, lockStatementSchema } from '../protocol/lock.ts';
import { reportSchema, revokeOrderSchema, REVOKE_ORDER_TYPE, type Dsse, type RevokeOrder } from '../protocol/signed.ts';
import { loadTrustFolder } from '../protocol/trust-folder.ts';
import { outcomeOf, tellSent, type Sent } from './carried-out.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { lockExecutor, orderExecutor, type Reported } from './order-executor.ts';
import { tellHeld, type Held } from './lock-directly.ts';
import { readSigned } from './signed-file.ts';
import type { Session } from './world.ts';

export interface ApplyFlags {
  readonly config: string;
  readonly wait: string;
}

const NOTHING_DONE = 'Nothing was done.';
/** How long a worker that runs may take to hold an order. */
const ANSWER_MS = 5_000;

/** `countersign worker apply FILE`. @throws CliError */
export async function apply(session: Session, file: string, flags: ApplyFlags): Promise<ExitCode> {
  if (!/^[0-9]{1,5}$/.test(flags.wait)) throw new CliError(EXIT.usage, 'usage', { cause: '--wait takes a number of seconds', effect: NOTHING_DONE });
  const configPath = resolve(session.cwd, flags.config);
  const config = await loadExecutorConfig(configPath).catch((cause: unknown) => {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CliError(EXIT.io, 'config', { cause: cause.message, effect: NOTHING_DONE }, { cause });
  });
  const statements = readSigned(resolve(session.cwd, file));
  const locks = statements.filter(({ payloadType }) => payloadType === LOCK_TYPE).map((envelope) => ({ envelope, lock: read(envelope, LOCK_TYPE, lockStatementSchema, 'a lock') }));
  const orders = statements.filter(({ payloadType }) => payloadType !== LOCK_TYPE).map((envelope) => ({ envelope, order: read(envelope, REVOKE_ORDER_TYPE, revokeOrderSchema, 'a revoke order') }));
  const mine = orders.filter(({ order }) => order.audience === config.id);
  for (const { order } of orders) if (order.audience !== config.id) session.out.say(`${order.changeId} is for ${order.audience}: apply the file there as well`);
  if (mine.length === 0 && locks.length === 0) throw new CliError(EXIT.failed, 'wrong-audience', { cause: `nothing in ${file} is for ${config.id}`, effect: NOTHING_DONE });

  const trust = await loadTrustFolder(config.trust, { actedOn: true });
  const applied: (Sent & { readonly report: ReportMessage | null })[] = [];
  for (const { envelope, order } of mine) {
    const about = { changeId: order.changeId, executor: order.audience };
    try {
      const { reported, message } = await carryOut(session, configPath, config, envelope, order, Number(flags.wait) * 1000);
      applied.push({ ...outcomeOf(about, reported, trust), report: message });
    } catch (error) {
      const isNo = error instanceof ProtocolError || (error instanceof TransportError && error.code === 'rejected');
      // What keeps the first from being carried out is said as such; what keeps one of several need not keep the others.
      if (!isNo && applied.length === 0) throw troubleOf(error);
      const said = error instanceof ProtocolError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
      applied.push({ ...about, outcome: isNo ? 'rejected' : 'unreachable', detail: said, report: null });
    }
  }
  const locked: (Held & { readonly lockId: string; readonly op: 'set' | 'lift' })[] = [];
  for (const { envelope, lock: { lockId, op } } of locks) locked.push({ lockId, op, ...(await holdLock(session, configPath, config, envelope)) });
  session.out.document({ applied, locks: locked });
  for (const { lockId, op, ...held } of locked) tellHeld(session, lockId, op === 'set' ? 'set' : 'lifted', [held]);
  if (applied.length === 0) return exitOfLocks(locked);
  const exit = tellSent(session.out, applied);
  if (applied.some(({ outcome }) => outcome !== 'rejected' && outcome !== 'unreachable')) session.out.say('it is recorded once a sidecar of this log hears of it: the lease book keeps the report until then');
  return exit === EXIT.ok ? exitOfLocks(locked) : exit;
}

function exitOfLocks(locked: readonly Held[]): ExitCode {
  if (locked.some(({ outcome }) => outcome === 'unreachable')) return EXIT.io;
  return locked.every(({ outcome }) => outcome === 'held') ? EXIT.ok : EXIT.failed;
}

/** At the worker that runs, or in the lease book of one that does not. @throws CliError `locked` */
async function holdLock({ signal, out }: Session, configPath: string, config: ExecutorConfig, envelope: Dsse): Promise<Held> {
  const executor = config.id;
  try {
    await lockExecutor(config.socket, envelope, { answerMs: ANSWER_MS, signal });
    return { executor, outcome: 'held', detail: null };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    if (error.code === 'rejected') return { executor, outcome: 'rejected', detail: error.message };
  }
  const { applyLock } = await import('../executor/apply-lock.ts');
  const say = (_fields: Record<string, unknown>, text: string): void => out.say(text);
  try {
    await applyLock(configPath, envelope, { info: () => undefined, warn: say, error: say });
    return { executor, outcome: 'held', detail: null };
  } catch (error) {
    if (error instanceof ProtocolError) return { executor, outcome: 'rejected', detail: `${error.code}: ${error.message}` };
    throw troubleOf(error);
  }
}

interface CarriedOut {
  readonly reported: Reported | null;
  readonly message: ReportMessage | null;
}

async function carryOut({ signal, out }: Session, configPath: string, config: ExecutorConfig, envelope: Dsse, order: RevokeOrder, waitMs: number): Promise<CarriedOut> {
  try {
    return { reported: await orderExecutor(config.socket, envelope, order, { answerMs: ANSWER_MS, waitMs, signal }), message: null };
  } catch (error) {
    if (!(error instanceof TransportError) || error.code !== 'unreachable') throw error;
  }
  // Loaded here, so that a worker that runs is told without the drivers of every target.
  const { applyOrder } = await import('../executor/apply-order.ts');
  const say = (_fields: Record<string, unknown>, text: string): void => out.say(text);
  const { message, kept } = await applyOrder(configPath, envelope, { waitMs, signal, logger: { info: () => undefined, warn: say, error: say } });
  if (!kept) out.say('the lease book cannot be written: nothing but this output tells what was done (--json has the signed report)');
  if (message === null) return { reported: null, message };
  const report = readPayload(message.report, reportSchema);
  return { reported: report.kind === 'revoked' ? { envelope: message.report, report } : null, message };
}

/** Whether to believe it is for the executor to say. @throws CliError `malformed` */
function read<T>(envelope: Dsse, type: string, schema: z.ZodType<T>, what: string): T {
  try {
    if (envelope.payloadType !== type) throw new ProtocolError('malformed', `a ${envelope.payloadType}`);
    return readPayload(envelope, schema);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new CliError(EXIT.usage, 'malformed', { cause: `not ${what}: ${cause.message}`, effect: NOTHING_DONE }, { cause });
  }
}

function troubleOf(cause: unknown): CliError {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof LedgerError && cause.code === 'locked') {
    return new CliError(EXIT.io, 'locked', { cause: `a worker has the state directory, and does not answer at its socket: ${message}`, effect: 'The order was not taken up.', next: 'end that process and apply the file again' }, { cause });
  }
  return new CliError(EXIT.io, 'not-applied', { cause: message, effect: 'The order was not carried out.' }, { cause });
}
