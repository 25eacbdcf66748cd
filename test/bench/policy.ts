/**
 * `npm run bench:policy [-- SIZE [PART…]]`: what decisions cost, each against what it is held to, by turns in one run. docs/benchmarks.md says what is
 * counted, and why. `quick`: a tenth of everything. What goes on is told on stderr, a line for each figure on stdout.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureDiff, measureSimulate } from './policy-durations.ts';
import { measureEvidence, measureHttp, measureRest, measureRunaway, type Bench } from './policy-http.ts';
import { measureInside } from './policy-inside.ts';
import { HEAD, lineOf, type Row } from './rows.ts';

const [size = 'whole', ...parts] = process.argv.slice(2);
const isQuick = size === 'quick';
const scale = isQuick ? 0.1 : 1;
const rounds = isQuick ? 1 : 3;
const directory = mkdtempSync(join(process.env['BENCH_DIRECTORY'] ?? tmpdir(), 'cs-bench-'));
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const bench: Bench = { directory, rounds, seconds: isQuick ? 2 : 10, say };

/** Whether a command can be run at all. */
function isHere(...[program, ...args]: [string, ...string[]]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const SERVED = ['http', 'evidence', 'runaway', 'rest'];
const MEASURED: Readonly<Record<string, () => Promise<Row[]>>> = {
  diff: () => measureDiff(directory, Math.round(10_000 * scale), rounds, say),
  simulate: () => measureSimulate(directory, Math.round(2_000 * scale), rounds),
  http: () => measureHttp(bench),
  runaway: () => measureRunaway(bench),
  evidence: () => measureEvidence(bench),
  inside: () => measureInside(rounds, Math.round(20_000 * scale)),
  rest: () => measureRest(bench),
};

const unknown = parts.filter((part) => !(part in MEASURED));
if (unknown.length > 0 || !['whole', 'quick'].includes(size)) {
  say(`usage: bench:policy [-- whole|quick [${Object.keys(MEASURED).join('|')} …]]`);
  process.exit(2);
}
const without = [isHere('taskset', '-c', '0,1', 'true') ? null : 'two cores and taskset', isHere('opa', 'version') ? null : 'opa'].filter((one) => one !== null);

try {
  const rows: Row[] = [];
  for (const [part, measured] of Object.entries(MEASURED)) {
    if (parts.length > 0 && !parts.includes(part)) continue;
    say(`${part} …`);
    if (SERVED.includes(part) && without.length > 0) rows.push({ what: `${part}: without ${without.join(' and ')}`, figures: [], goal: '-', told: 'not measured' });
    else rows.push(...(await measured()));
  }
  process.stdout.write(`${[HEAD, ...rows.map(lineOf)].join('\n')}\n`);
  const out = process.env['BENCH_JSON'];
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
