/**
 * `npm run cluster`: the topology of `docker-compose.yml` as processes of this machine, until Ctrl-C. What a run that was killed has left is
 * ended by the next.
 *
 *     npm run cluster -- --directory DIR   instead of .countersign/cluster; what is there is replaced
 */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { until } from '../demo/check.ts';
import { packageRoot } from '../demo/processes.ts';
import { bold, green, red, say } from '../demo/say.ts';
import { openCluster, type Cluster, type Component } from './cluster.ts';

/** What a shell says of a program that Ctrl-C ended. */
const INTERRUPTED = 130;
const HEALTHY_MS = 60_000;
const LOOK_MS = 2_000;

function readDirectory(args: readonly string[]): string | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { directory: { type: 'string' } } });
    return resolve(values.directory ?? join(packageRoot(import.meta.dirname), '.countersign', 'cluster'));
  } catch {
    return null;
  }
}

/** Resolves with the exit code, everything that it started ended. */
async function run(directory: string): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  process.stdout.on('error', () => interrupted.abort());
  const { signal } = interrupted;
  let isUp = false;
  let cluster: Cluster | null = null;
  try {
    cluster = await openCluster(packageRoot(import.meta.dirname), directory, (what) => {
      // Between one part and the next: what is half started cannot be ended.
      signal.throwIfAborted();
      process.stderr.write(`· starting ${what}\n`);
    });
    if (cluster.ended.length > 0) process.stderr.write(`· ended what an earlier run left: ${cluster.ended.join(', ')}\n`);
    await allHealthy(cluster, signal);
    isUp = true;
    tell(cluster);
    await watch(cluster.components, signal);
    return 0;
  } catch (error) {
    if (signal.aborted) return isUp ? 0 : INTERRUPTED;
    process.stderr.write(`${red(error instanceof Error ? error.message : String(error))}\n`);
    return 1;
  } finally {
    process.stderr.write('· ending what was started\n');
    await cluster?.close();
  }
}

async function allHealthy({ components }: Cluster, signal: AbortSignal): Promise<void> {
  for (const { name, isHealthy } of components) {
    await until(`${name} is healthy`, async () => {
      signal.throwIfAborted();
      return (await isHealthy()) ? true : undefined;
    }, { timeoutMs: HEALTHY_MS });
  }
}

function tell({ components, paths }: Cluster): void {
  const width = Math.max(...components.map(({ name }) => name.length));
  say(bold('Everything is healthy'));
  for (const { name, where } of components) say(`   ${green('up')}  ${name.padEnd(width)}  ${where}`);
  say();
  say(`installation  ${paths.directory}/   (countersign.yaml, tokens.txt, trust/, ledger/, logs/)`);
  say(`NATS, OpenBao ${join(paths.directory, '..', 'logs')}/`);
  say();
  say('Running until Ctrl-C. Ask it something as person:ana:');
  // The token goes by standard input: arguments are seen by every process of the machine.
  say(`  awk '$1 == "person:ana" {print "Authorization: Bearer " $2}' ${paths.tokens} | curl -s -H @- --unix-socket ${paths.socket} http://localhost/v1/changes`);
}

/** Says of each component when it goes down and when it is back, until it is told to stop. */
async function watch(components: readonly Component[], signal: AbortSignal): Promise<void> {
  const down = new Set<string>();
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    for (const { name, isHealthy } of components) {
      if (isOver()) return;
      const isNow = await isHealthy();
      if (isNow === !down.has(name)) continue;
      if (isNow) down.delete(name);
      else down.add(name);
      say(`   ${isNow ? green('up') : red('down')}  ${name}`);
    }
  }
}

const directory = readDirectory(process.argv.slice(2));
if (directory === null) {
  process.stderr.write('usage: npm run cluster -- [--directory DIR]\n');
  process.exitCode = 2;
} else process.exitCode = await run(directory);
