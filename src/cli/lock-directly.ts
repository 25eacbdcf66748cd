/**
 * A lock with the sidecars dead: signed with the operator's revoker key, and told to every executor. Sidecars hold it once they hear of it
 * from one of them.
 */
import { basename, resolve } from 'node:path';
import { newLockId } from '../engine/ids.ts';
import { TransportError } from '../engine/ports.ts';
import { signDsse } from '../protocol/dsse.ts';
import { LOCK_TYPE, lockStatementSchema, type LockStatement } from '../protocol/lock.ts';
import { formatTime } from '../protocol/values.ts';
import { doorAt, lockAtDoor, type Doors } from './executor-doors.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain } from './output.ts';
import { openRevokerKey, readInstallation, type DirectFlags } from './revoke-directly.ts';
import { writeSigned } from './signed-file.ts';
import type { Session } from './world.ts';

export interface DirectLockFlags extends Pick<DirectFlags, 'config' | 'key' | 'executor' | 'caFile' | 'write'> {
  readonly reason: string;
}

export interface Held {
  readonly executor: string;
  readonly outcome: 'held' | TransportError['code'];
  readonly detail: string | null;
}

/** @param about what is locked, or which lock is lifted */
export async function lockDirectly(session: Session, flags: DirectLockFlags, about: { readonly op: 'set'; readonly nhi: string | null; readonly connector: string | null } | { readonly op: 'lift'; readonly lockId: string }): Promise<ExitCode> {
  const { out } = session;
  const installation = readInstallation(session, flags);
  const signer = openRevokerKey(session, flags, installation);
  const nowMs = session.nowMs();
  const lockId = about.op === 'set' ? newLockId(nowMs, session.randomBytes) : about.lockId;
  const statement = parsedStatement({ ...about, v: 1, log: null, lockId, by: signer.name, at: formatTime(nowMs), reason: flags.reason });
  const envelope = signDsse(LOCK_TYPE, statement, signer);
  const what = about.op === 'set' ? 'set' : 'lifted';
  if (flags.write !== undefined) {
    const path = resolve(session.cwd, flags.write);
    writeSigned(path, [envelope]);
    out.document({ lockId, written: path });
    out.line(`${lockId} ${what} by ${plain(signer.name)}, in ${path}`);
    out.say(`nothing was sent. On each executor's machine:  countersign worker apply ${basename(path)} --config executor.yaml`);
    return EXIT.ok;
  }
  const doors: ReadonlyMap<string, Doors> = flags.executor !== undefined ? new Map([[flags.executor, doorAt(flags.executor, flags.caFile, session.cwd)]]) : (installation?.doors ?? new Map<string, Doors>());
  if (doors.size === 0) throw new CliError(EXIT.usage, 'no-executor', { cause: 'it is not said where an executor listens', effect: 'Nothing was locked or lifted.', next: 'give --executor SOCKET or https://HOST:PORT, or write it down with --write FILE and carry it there' });
  const told = await Promise.all([...doors].map(async ([executor, at]): Promise<Held> => {
    try {
      await lockAtDoor(at, envelope, session.signal);
      return { executor, outcome: 'held', detail: null };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return { executor, outcome: error.code, detail: error.message };
    }
  }));
  out.document({ direct: true, lockId, told });
  return tellHeld(session, lockId, what, told);
}

export function tellHeld({ out }: Pick<Session, 'out'>, lockId: string, what: 'set' | 'lifted', told: readonly Held[]): ExitCode {
  for (const { executor, outcome, detail } of told) out.line(`${lockId} ${outcome === 'held' ? out.good(what) : out.bad(outcome)} at ${plain(executor)}${detail === null ? '' : `: ${plain(detail)}`}`);
  if (told.some(({ outcome }) => outcome === 'held')) out.say('the other sidecars and executors hear of it from these; on the machine of one that nothing reaches, apply it as a file (--write)');
  if (told.some(({ outcome }) => outcome === 'unreachable')) return EXIT.io;
  return told.some(({ outcome }) => outcome === 'rejected') ? EXIT.failed : EXIT.ok;
}

/** @throws CliError `usage` for what no statement can say */
function parsedStatement(statement: LockStatement): LockStatement {
  const parsed = lockStatementSchema.safeParse(statement);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CliError(EXIT.usage, 'usage', { cause: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a lock'}`, effect: 'Nothing was locked or lifted.' });
}
