/** Looks for secrets wherever a connector may have left one: in what the process prints, in errors, in the arguments of programs it starts. */
import { AssertionError } from 'node:assert';
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';

export interface SecretWatch {
  /** From now on it is looked for. */
  add(secret: string): void;
  /** The error, which is looked through. */
  seen(error: unknown): void;
  /** Ends the watch. @throws AssertionError where a secret was found; it is not repeated */
  end(): void;
}

/** Every form in which a secret may turn up. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret, bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(secret), bytes.toString('utf16le'),
    JSON.stringify(secret).slice(1, -1),
  ].filter((spelling) => spelling !== '');
}

const STREAMS = ['stdout', 'stderr'] as const;
const LOUD = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const;

/** Begins a watch of this process. What it prints is printed all the same. */
export function watchSecrets(): SecretWatch {
  const secrets = new Set<string>();
  const heard: { readonly where: string; readonly text: string }[] = [];
  const restore: (() => void)[] = [];
  for (const name of STREAMS) {
    const stream = process[name];
    const write = stream.write;
    stream.write = ((chunk: unknown, ...rest: unknown[]) => {
      heard.push({ where: name, text: typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8') });
      return Reflect.apply(write, stream, [chunk, ...rest]) as boolean;
    });
    restore.push(() => (stream.write = write));
  }
  for (const name of LOUD) {
    // A test runner may have put its own console in place of the one that writes to the streams.
    const say = console[name];
    console[name] = (...values: unknown[]) => {
      heard.push({ where: `console.${name}`, text: values.map((value) => inspect(value, { depth: 10 })).join(' ') });
      Reflect.apply(say, console, values);
    };
    restore.push(() => (console[name] = say));
  }
  const started: ChildProcess[] = [];
  const onStart = (message: unknown): void => void started.push((message as { readonly process: ChildProcess }).process);
  subscribe('child_process', onStart);
  restore.push(() => void unsubscribe('child_process', onStart));
  return {
    add: (secret) => void secrets.add(secret),
    seen: (error) => void heard.push({ where: 'an error', text: `${inspect(error, { depth: 20, showHidden: true })}${error instanceof Error ? `${error.message}${error.stack ?? ''}` : ''}${JSON.stringify(error)}` }),
    end() {
      for (const undo of restore) undo();
      for (const { spawnargs } of started) heard.push({ where: 'the arguments of a process', text: spawnargs.join('\0') });
      for (const { where, text } of heard) {
        for (const secret of secrets) {
          if (spellings(secret).some((spelling) => text.includes(spelling))) throw new AssertionError({ message: `a secret is in ${where}` });
        }
      }
    },
  };
}
