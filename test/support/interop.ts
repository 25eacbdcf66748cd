/** The program in `test/interop/go`: clients, a witness and a log that others have written, behind one command line. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const INTEROP_SOURCES = join(process.cwd(), 'test', 'interop', 'go');

/** Where it is once it is built: another source is another program. */
export function interopPath(): string {
  const sources = createHash('sha256');
  for (const name of readdirSync(INTEROP_SOURCES).sort()) sources.update(name).update('\0').update(readFileSync(join(INTEROP_SOURCES, name)));
  return join(process.cwd(), '.cache', 'bin', `interop-${sources.digest('hex').slice(0, 12)}`);
}

export function hasInterop(): boolean {
  return existsSync(interopPath());
}

/** What it says, once it has ended. Rejects with what it complained of. */
export function interop(...args: string[]): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    execFile(interopPath(), args, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as Record<string, unknown>);
      else reject(new Error(stderr.trim() === '' ? error.message : stderr.trim()));
    });
  });
}

export interface InteropServer {
  readonly url: string;
  /** Of the witness. */
  readonly vkey: string;
  stop(): void;
}

/** One of its servers, listening. */
export async function interopServer(...args: string[]): Promise<InteropServer> {
  const child = spawn(interopPath(), args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`it ended with ${code} before it listened`)));
  });
  const { url, vkey = '' } = JSON.parse(line) as { url: string; vkey?: string };
  return { url, vkey, stop: () => void child.kill('SIGKILL') };
}
