/**
 * A lock that is a file naming its holder: host, boot, process and the time that process started.
 *
 * Node has no flock. The file is created whole and exclusively (a link to a finished temporary), so a reader never sees
 * half a holder. A holder on this host and boot that is gone, or whose process id belongs to a later process, is
 * stale and taken over; so is one from an earlier boot of this host. A holder on another host is never stale.
 */
import { statSync, type Stats } from 'node:fs';
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Held } from './disk.ts';
import { LedgerError } from './errors.ts';

interface Holder {
  readonly host: string;
  readonly boot: string;
  readonly pid: number;
  /** Start time of the process, in the kernel's ticks since boot; '' where the system does not tell. */
  readonly started: string;
}

async function readOr(path: string, otherwise: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return otherwise;
  }
}

/** Field 22 of /proc/<pid>/stat; the command name before it may hold spaces and brackets. */
async function startOf(pid: number): Promise<string> {
  const text = await readOr(`/proc/${pid}/stat`, '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function self(): Promise<Holder> {
  const boot = (await readOr('/proc/sys/kernel/random/boot_id', '')).trim();
  return { host: hostname(), boot, pid: process.pid, started: await startOf(process.pid) };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isGone(holder: Holder, me: Holder): Promise<boolean> {
  if (holder.host !== me.host) return false;
  if (holder.boot !== me.boot) return true;
  return !isRunning(holder.pid) || (holder.started !== '' && (await startOf(holder.pid)) !== holder.started);
}

function parseHolder(text: string): Holder | null {
  try {
    const { host, boot, pid, started } = JSON.parse(text) as Partial<Holder>;
    return typeof host === 'string' && typeof boot === 'string' && typeof started === 'string' && Number.isSafeInteger(pid)
      ? { host, boot, pid: pid!, started }
      : null;
  } catch {
    return null;
  }
}

let attempts = 0;

/** Holds the lock until the returned release resolves. @throws LedgerError `locked`, naming the holder. */
export async function lockFile(path: string): Promise<Held> {
  const me = await self();
  const text = `${JSON.stringify({ ...me, attempt: attempts++ })}\n`;
  const mine = `${path}.${me.pid}.${attempts}`;
  await writeFile(mine, text, { flag: 'wx', mode: 0o600 });
  try {
    for (let takeovers = 0; ; takeovers++) {
      try {
        await link(mine, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || takeovers > 3) throw error;
      }
      await removeIfStale(path, me, mine);
    }
  } finally {
    await rm(mine, { force: true });
  }
  const { ino, dev } = await stat(path);
  const release = async (): Promise<void> => {
    if ((await readOr(path, '')) === text) await rm(path, { force: true });
  };
  const check = async (): Promise<void> => {
    let named: Stats;
    try {
      named = statSync(path);
    } catch (cause) {
      throw new LedgerError('unwritable', `the lock ${path} is no longer there: another writer may have taken over`, { cause });
    }
    if (named.ino !== ino || named.dev !== dev || (named.size !== text.length)) throw new LedgerError('unwritable', `the lock ${path} is another's now`);
  };
  return Object.assign(release, { check });
}

/** Removes the lock file of a holder that is gone. @throws LedgerError `locked` when it is not. */
async function removeIfStale(path: string, me: Holder, mine: string): Promise<void> {
  const found = await readOr(path, '');
  if (found === '') return;
  const holder = parseHolder(found);
  if (holder === null || !(await isGone(holder, me))) {
    throw new LedgerError('locked', holder === null ? `${path} is held by someone who does not say who` : `held by process ${holder.pid} on ${holder.host}`);
  }
  // Two that find the same stale lock: both rename, one gets a file that is not what it read and puts it back.
  const stale = `${mine}.stale`;
  try {
    await rename(path, stale);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readOr(stale, '')) !== found) {
    await link(stale, path).catch(() => undefined);
    await rm(stale, { force: true });
    throw new LedgerError('locked', `${path} was taken a moment ago`);
  }
  await rm(stale, { force: true });
}
