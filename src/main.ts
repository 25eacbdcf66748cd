#!/usr/bin/env node
/** The process: the real streams, clock, randomness and signals, for one command line. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type * as Program from './cli/program.ts';
import type { World } from './cli/world.ts';

const stopping = new AbortController();
const listening = new Set<(signal: 'SIGINT' | 'SIGTERM') => void>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A second one does not wait, unless somebody else answers it.
    if (stopping.signal.aborted && listening.size === 0) process.exit(130);
    stopping.abort();
    for (const tell of listening) tell(signal);
  });
}
// `countersign … | head`: whoever reads has had enough. What is found out is told by the exit code all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    if (stream === process.stdout) process.stderr.write(`error (unwritable): standard output cannot be written: ${error.message}\n`);
    process.exit(4);
  });
}

const world: World = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  nowMs: () => Date.now(),
  randomBytes: (length) => randomBytes(length),
  signal: stopping.signal,
  onSignal(callback) {
    listening.add(callback);
    return () => void listening.delete(callback);
  },
  onReload(callback) {
    process.on('SIGHUP', callback);
    return () => void process.off('SIGHUP', callback);
  },
  interactive: process.stdin.isTTY && process.stderr.isTTY,
  async ask(question) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return (await terminal.question(question, { signal: stopping.signal })).trim();
    } finally {
      terminal.close();
    }
  },
  async readStdin() {
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) chunks.push(chunk);
    return Buffer.concat(chunks);
  },
};

const argv = process.argv.slice(2);
/** The same program in a few files, where they were made (`sidecar/build.mjs`): a sidecar is ready in little more than half of the time. */
const serveAlone = new URL('../serve/program.js', import.meta.url);
const isServe = argv.find((word) => !word.startsWith('-')) === 'serve' && existsSync(serveAlone);
const { runCli } = isServe ? ((await import(serveAlone.href)) as typeof Program) : await import('./cli/program.ts');
process.exitCode = await runCli(argv, world);
