/** What a command may touch of the world outside its files: streams, environment, time, randomness. `main.ts` gives the real one. */
import type { Output, Stream } from './output.ts';

export interface World {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly nowMs: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Aborts at SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Calls back at each of them, and keeps the second from ending the process; the returned function ends that. */
  readonly onSignal: (callback: (signal: 'SIGINT' | 'SIGTERM') => void) => () => void;
  /** Calls back at SIGHUP; the returned function ends that. */
  readonly onReload: (callback: () => void) => () => void;
  /** Whether somebody can answer a question. */
  readonly interactive: boolean;
  /** Asks on the terminal; resolves with the answer, trimmed. */
  readonly ask: (question: string) => Promise<string>;
  /** The whole of standard input. */
  readonly readStdin: () => Promise<Uint8Array>;
}

/** A command at work: the world, and where its output goes. */
export interface Session extends World {
  readonly out: Output;
}
