/**
 * `npm run bench:open [-- RECORDS [DIRECTORY]]`: a ledger of so many records (1,000,000) of whole lives of changes, and how long a sidecar on it takes
 * until it listens, and in how much memory: first with nothing but the ledger, then again, as after any start before it. A DIRECTORY is kept, and one that
 * is there is opened as it is. Exits 0 only if the second start keeps to {@link READY_MS_MAX} and {@link RSS_MAX}.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeInstallation } from '../support/installation.ts';
import { GRANT, toldUntilActive, toldUntilArmed, toldUntilDecided, type Telling } from '../support/story.ts';
import { livesThatAreOver, writeLives, type Life } from './lives.ts';

const READY_MS_MAX = 2_000;
const RSS_MAX = 300 * 1024 ** 2;
const TICK_MS = 10;
/** Leases that run when the sidecar starts. */
const ACTIVE = 500;

const count = Number(process.argv[2] ?? 1_000_000);
const kept = process.argv[3];
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

/** Lives that are over, in about the numbers in which they come. */
function lives(): Life[] {
  const { provision, grant, denied, rotated } = livesThatAreOver();
  return [provision, grant, provision, denied, provision, grant, rotated, provision, grant, denied];
}

/** Leases of eight hours, given a moment ago. */
function running(): Telling[] {
  return Array.from({ length: ACTIVE }, (_, n) => toldUntilActive(toldUntilArmed(toldUntilDecided({ ...GRANT, duration: 'PT8H' } as typeof GRANT, Date.now() - 100_000 + n))));
}

function memoryOf(pid: number): { rss: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
  return { rss: bytes('VmRSS'), most: bytes('VmHWM') };
}

interface Started {
  readonly readyMs: number;
  /** Of one core, until then: what is left of the time where nothing else runs. */
  readonly cpuMs: number;
  readonly atReady: { rss: number; most: number };
  readonly later: { rss: number; most: number };
}

/** Starts a sidecar, looks at it, and ends it as `signal` does. */
async function start(directory: string, signal: NodeJS.Signals): Promise<Started> {
  const from = performance.now();
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '../../src/main.js'), 'serve', '--config', join(directory, 'countersign.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout! })) if (line.startsWith('listening')) break;
  const readyMs = performance.now() - from;
  if (child.exitCode !== null) throw new Error(`the sidecar ended with ${child.exitCode}`);
  const ticks = readFileSync(`/proc/${child.pid!}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13);
  const cpuMs = ticks.reduce((sum, text) => sum + Number(text) * TICK_MS, 0);
  const atReady = memoryOf(child.pid!);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const later = memoryOf(child.pid!);
  child.kill(signal);
  await exited;
  return { readyMs, cpuMs, atReady, later };
}

const report = (what: string, { readyMs, cpuMs, atReady, later }: Started): void =>
  say(`${what}: ready in ${readyMs.toFixed(0)} ms (${cpuMs} ms of a core); RSS ${megabytes(atReady.rss)} then, ${megabytes(later.rss)} after 5 s, ${megabytes(later.most)} at most`);

const installation = await makeInstallation();
const directory = kept ?? `${installation.directory}/kept`;
try {
  if (!existsSync(directory)) {
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(installation.directory)) if (name !== 'kept') await rename(join(installation.directory, name), join(directory, name));
    const path = join(directory, 'countersign.yaml');
    const config = readFileSync(path, 'utf8').replaceAll(/[^ ]*\/examples\/facts/g, join(process.cwd(), 'examples/facts'));
    await writeFile(path, `${config}policy: ${join(process.cwd(), 'policy/bundle')}\n`);
    await writeLives(directory, { over: lives(), open: running(), done: (size) => size / (count - ACTIVE * 12), say });
  }
  report('first start', await start(directory, 'SIGTERM'));
  const second = await start(directory, 'SIGKILL');
  report('second start', second);
  report('after a kill', await start(directory, 'SIGTERM'));
  const holds = second.readyMs <= READY_MS_MAX && second.later.most <= RSS_MAX;
  say(holds ? 'holds' : 'DOES NOT HOLD');
  process.exitCode = holds ? 0 : 1;
} finally {
  await installation.remove();
}
