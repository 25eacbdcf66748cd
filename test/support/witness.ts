/** `countersign witness`, run as a function, and the one POST that asks it. */
import { runCli } from '../../src/cli/program.ts';
import { ADD_CHECKPOINT_BYTES_MAX, type HttpAnswer } from '../../ledger/index.ts';

export interface RunningWitness {
  readonly url: string;
  /** The line for a trust policy, without its first word. */
  readonly policy: string;
  /** What it has logged so far, each line read as JSON. */
  logged(): Record<string, unknown>[];
  reload(): void;
  /** Stops it; resolves with its exit code. */
  stop(): Promise<number>;
}

/** Listening. Rejects with what it said, where it did not come to that. */
export async function startWitness(cwd: string, ...argv: string[]): Promise<RunningWitness> {
  const stopping = new AbortController();
  const reloads: (() => void)[] = [];
  const written = { stdout: '', stderr: '' };
  let listening: () => void = () => undefined;
  const listens = new Promise<void>((resolve) => (listening = resolve));
  const ended = runCli(['witness', '--listen', '127.0.0.1:0', ...argv], {
    stdout: {
      write(text) {
        written.stdout += text;
        if (written.stdout.includes('policy ')) listening();
      },
    },
    stderr: { write: (text) => (written.stderr += text) },
    env: {}, cwd, nowMs: () => Date.now(), randomBytes: (length) => new Uint8Array(length), signal: stopping.signal, onSignal: () => () => undefined,
    onReload(callback) {
      reloads.push(callback);
      return () => undefined;
    },
    interactive: false, ask: () => Promise.resolve(''), readStdin: () => Promise.resolve(new Uint8Array()),
  });
  await Promise.race([listens, ended.then((exit) => Promise.reject(new Error(`exit ${exit}: ${written.stderr}`)))]);
  return {
    url: /^listening (.*)$/m.exec(written.stdout)![1]!,
    policy: /^policy witness (.*)$/m.exec(written.stdout)![1]!,
    logged: () => written.stderr.trimEnd().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>),
    reload: () => reloads.forEach((callback) => callback()),
    async stop() {
      stopping.abort();
      return ended;
    },
  };
}

/** The port that {@link addCheckpoint} asks through, over the network. */
export async function post(url: string, body: string): Promise<HttpAnswer> {
  const response = await fetch(url, { method: 'POST', body, redirect: 'manual' });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, contentType: response.headers.get('content-type'), body: bytes.subarray(0, ADD_CHECKPOINT_BYTES_MAX + 1) };
}
