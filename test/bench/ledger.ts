/**
 * `npm run bench:ledger [-- QUICK]`: what appending, verifying and opening a ledger cost, each against what it is held to, by turns in one run.
 * docs/benchmarks.md says what is counted, and why. `quick`: a tenth of everything; `large`: memory of 10⁷ records as well.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureAppends, measureOneByOne } from './ledger-append.ts';
import { measureMemory, measureOpen, measureVerify } from './ledger-verify.ts';

export interface Row {
  readonly what: string;
  /** Ours by theirs, a ratio a round. */
  readonly ratios: readonly number[];
  readonly goal: string;
  readonly told: string;
}

const [size = 'whole', only] = process.argv.slice(2);
const scale = size === 'quick' ? 0.1 : 1;
const rounds = size === 'quick' ? 2 : 5;
const directory = mkdtempSync(join(process.env['BENCH_DIRECTORY'] ?? tmpdir(), 'cs-bench-'));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The peer, built from the Go module proxy; null where there is no Go. */
function tessera(): string | null {
  const source = new URL('../../../test/bench/tessera/', import.meta.url).pathname;
  const built = join(directory, 'tessera');
  try {
    execFileSync('go', ['build', '-o', built, '.'], { cwd: source, stdio: 'inherit' });
  } catch {
    return null;
  }
  return existsSync(built) ? built : null;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

function tell({ what, ratios, goal, told }: Row): void {
  const figure = ratios.length === 0 ? '' : `${Math.min(...ratios).toFixed(2)} / ${median(ratios).toFixed(2)} / ${Math.max(...ratios).toFixed(2)}`;
  say(`${what.padEnd(58)} ${figure.padEnd(24)} ${goal.padEnd(10)} ${told}`);
}

try {
  mkdirSync(directory, { recursive: true });
  say(`${'what'.padEnd(58)} ${'ratio min / median / max'.padEnd(24)} ${'goal'.padEnd(10)} seen`);
  const rows: Row[] = [];
  const take = async (name: string, measured: () => Promise<readonly Row[]>): Promise<void> => {
    if (only !== undefined && only !== name) return;
    for (const row of await measured()) {
      rows.push(row);
      tell(row);
    }
  };
  await take('append', async () => measureAppends(directory, tessera(), rounds, Math.round(20_000 * scale)));
  await take('one', () => measureOneByOne(directory, rounds, Math.round(500 * scale)));
  await take('verify', () => measureVerify(directory, rounds, Math.round(100_000 * scale)));
  await take('open', () => measureOpen(directory, Math.round(1_000_000 * scale)));
  await take('memory', () => measureMemory(directory, size === 'large' ? [1e4, 1e5, 1e6, 1e7] : size === 'quick' ? [1e4, 1e5] : [1e4, 1e5, 1e6]));
  const out = process.env['BENCH_JSON'];
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
