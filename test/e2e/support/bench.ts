/** A real PostgreSQL with the demo's database, and installations of their own for tests: everything below one temporary directory. */
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createDatabase, type Database, type Login, type Server } from '../../../examples/demo/database.ts';
import { databaseConnector, install, type InstallBus, type Installation } from '../../../examples/demo/installation.ts';
import { packageRoot } from '../../../examples/demo/processes.ts';
import { removePostgres, startPostgres, type RunningPostgres } from '../../../examples/support/embedded-postgres.ts';

export interface BenchInstallOptions {
  readonly directory?: string;
  /** Added to countersign.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Keeps a calendar with one window, {@link WINDOW}, that is open from now on for so many minutes. */
  readonly windowMinutes?: number;
  /** `whsec_…`, in {@link WEBHOOK_SECRET_FILE}. */
  readonly webhookSecret?: string;
  /** The bus on which the sidecar and two workers of this executor meet. */
  readonly bus?: InstallBus & { readonly executorId: string; readonly executorSeed: string };
}

export interface Bench {
  /** The package, built. */
  readonly root: string;
  readonly directory: string;
  readonly postgres: RunningPostgres;
  readonly database: Database;
  /** What secrets are sealed to. */
  readonly identity: string;
  readonly recipient: string;
  /** Laid out below the bench's directory; nothing is started. Ended with the bench. */
  install(name: string, options?: BenchInstallOptions): Installation;
  /** The server, down. */
  stopPostgres(): Promise<void>;
  /** The same server again, on the same port. */
  restartPostgres(): Promise<void>;
  close(): Promise<void>;
}

const root = packageRoot(import.meta.dirname);
const newPassword = (): string => randomBytes(18).toString('base64url');

/** The id of the calendar that an installation with `windowMinutes` keeps. */
export const WINDOW = 'e2e-window';
/** Where an installation keeps its webhook secret, as its configuration names it. */
export const WEBHOOK_SECRET_FILE = 'secrets/demo.whsec';

/** Sidecars that do not wait long before they ask again, so that an outage of seconds is over in seconds. */
const BRISK = { limits: { republishSeconds: 1 } };

/** Every facts file that there is; without this no calendar is kept. */
const FACTS = Object.fromEntries(['inventory', 'catalogue', 'directory', 'usage', 'calendar'].map((name) => [name, `facts/${name}.yaml`]));

function calendarOpenFor(minutes: number): string {
  const nowMs = Date.now();
  const local = (ms: number): string => new Date(ms).toISOString().slice(0, 16);
  return stringify({
    v: 1, freezes: [],
    windows: [{ id: WINDOW, timeZone: 'UTC', connectors: ['pg-main'], dates: [{ from: local(nowMs), until: local(nowMs + minutes * 60_000) }] }],
  });
}

/** @throws Error where there is no built `countersign` to start, or no PostgreSQL */
export async function openBench(settings: Readonly<Record<string, string>> = {}): Promise<Bench> {
  if (!existsSync(join(root, 'dist', 'src', 'main.js'))) throw new Error('these tests start the built program: npm run build');
  const directory = mkdtempSync(join(tmpdir(), 'countersign-e2e-'));
  const databaseDirectory = join(directory, 'postgres');
  let postgres = await startPostgres({ directory: databaseDirectory, settings });
  // Whoever starts it again chooses another port, unless told this one.
  const server: Server = { host: postgres.host, port: postgres.port, adminUser: postgres.adminUser, adminPassword: postgres.adminPassword };
  const database = await createDatabase(server, newPassword);
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const installations: Installation[] = [];
  return {
    root, directory, database, identity, recipient,
    get postgres() {
      return postgres;
    },
    install(name, options = {}) {
      const installation = install({
        root, directory: options.directory ?? join(directory, name), origin: `countersign.test/${name}-${randomBytes(4).toString('hex')}`, server,
        randomBytes: (length) => randomBytes(length),
        config: { ...BRISK, ...(options.windowMinutes === undefined ? {} : { facts: FACTS }), ...options.config },
        ...(options.windowMinutes === undefined ? {} : { calendar: calendarOpenFor(options.windowMinutes) }),
        ...(options.webhookSecret === undefined ? {} : { webhookSecret: options.webhookSecret }),
        ...(options.bus === undefined ? {} : { bus: options.bus, executors: [{ id: options.bus.executorId, connectors: { 'pg-main': databaseConnector(server) }, seed: options.bus.executorSeed }] }),
      });
      installations.push(installation);
      return installation;
    },
    stopPostgres: () => postgres.stop(),
    async restartPostgres() {
      postgres = await startPostgres({ directory: databaseDirectory, settings: { ...settings, port: String(server.port) } });
    },
    async close() {
      for (const installation of installations) await installation.stop();
      await postgres.stop();
      await removePostgres(databaseDirectory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built `countersign` with these arguments. */
export function countersign(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist', 'src', 'main.js'), ...args], { timeout: 60_000, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });
}

/** Verifies the ledger with everything required that can be; an empty text where all of it holds. */
export async function verificationTrouble({ paths }: Installation): Promise<string> {
  const { exitCode, stdout, stderr } = await countersign(['verify', paths.ledger, '--trust', paths.trust]);
  return exitCode === 0 ? '' : `exit ${exitCode}\n${stdout}${stderr}`;
}

/** How many roles at the target carry a change's client token: its account, or the holder of its grant. */
export async function countMarked(database: Database, clientToken: string): Promise<number> {
  const [row] = await database.admin(`SELECT count(*)::int AS n FROM pg_roles r WHERE shobj_description(r.oid, 'pg_authid') = 'countersign ${clientToken}'`);
  return Number(row?.['n']);
}

/** The SQLSTATE that a use is refused with; `works` if it is not. */
export async function refusal(database: Database, login: Login, sql: string): Promise<string> {
  const use = await database.use(login, sql);
  return use.ok ? 'works' : use.code;
}
