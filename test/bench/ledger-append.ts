/** Durable appends: against Tessera on the same file system and the same core, and against the raw write and sync. */
import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from '../support/arms.ts';
import { appendOne, openAt, type Appended } from './append-ours.ts';
import type { Row } from './ledger.ts';

const BYTES = 1_024;
/** Records before those that are counted, one at a time. */
const WARM_UP = 3_000;
/** What Tessera is tried with: entries that are integrated together, by how many are in flight, and how long one waits for others. */
const BATCHES = [1, 1 / 2, 1 / 4];
const AGES = ['1ms', '5ms', '10ms', '50ms'];

interface Batching {
  readonly batch: number;
  readonly age: string;
}

interface Asked {
  readonly inFlight: number;
  readonly records: number;
  /** Records a second in an open loop; 0: a closed one. */
  readonly rate: number;
}

interface Bench {
  readonly directory: string;
  readonly tessera: string;
  readonly pinned: readonly string[];
}

/** Both sides have one core, and the same: a line of words that comes before a command. Nothing where that cannot be had. */
function pinnedWords(): readonly string[] {
  try {
    execFileSync('taskset', ['-c', '0', 'true']);
    return ['taskset', '-c', '0'];
  } catch {
    return [];
  }
}

let runs = 0;

function run({ directory, pinned }: Bench, command: (place: string) => readonly string[]): Appended {
  const place = join(directory, `append-${runs += 1}`);
  const [program, ...args] = [...pinned, ...command(place)] as [string, ...string[]];
  const seen = execFileSync(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  rmSync(place, { recursive: true, force: true });
  return JSON.parse(seen.toString()) as Appended;
}

const ours = (bench: Bench, { inFlight, records, rate }: Asked): Appended =>
  run(bench, (place) => [process.execPath, fileURLToPath(new URL('append-ours.js', import.meta.url)), place, ...[inFlight, records, BYTES, rate].map(String)]);

const theirs = (bench: Bench, { inFlight, records, rate }: Asked, { batch, age }: Batching): Appended =>
  run(bench, (place) => [
    bench.tessera, '-dir', place, '-in-flight', `${inFlight}`, '-records', `${records}`, '-bytes', `${BYTES}`, '-batch', `${batch}`, '-age', age, '-rate', `${rate}`,
  ]);

/** The batching that suits Tessera best, by what is asked of it. */
function bestBatching(bench: Bench, asked: Asked, by: (seen: Appended) => number): Batching {
  const tried = BATCHES.flatMap((share) => AGES.map((age): Batching => ({ batch: Math.ceil(asked.inFlight * share), age })));
  const scored = tried.map((batching) => ({ batching, score: by(theirs(bench, asked, batching)) }));
  return scored.reduce((best, one) => (one.score > best.score ? one : best)).batching;
}

export function measureAppends(directory: string, tessera: string | null, rounds: number, records: number): Row[] {
  if (tessera === null) return [{ what: 'durable appends: Tessera is not here (no Go)', ratios: [], goal: '≥ 4', told: 'not measured' }];
  const bench: Bench = { directory, tessera, pinned: pinnedWords() };
  return [256, 1_024].flatMap((inFlight) => measureAt(bench, { inFlight, records, rate: 0 }, rounds));
}

function measureAt(bench: Bench, asked: Asked, rounds: number): Row[] {
  const byTurns = (of: Asked, batching: Batching): { ours: Appended; theirs: Appended }[] =>
    Array.from({ length: rounds }, () => ({ ours: ours(bench, of), theirs: theirs(bench, of, batching) }));
  const middle = (seen: readonly Appended[], of: keyof Appended): number => quantile(seen.map((one) => one[of]), 0.5);
  const spelled = ({ batch, age }: Batching): string => `batches of ${batch}, ${age}`;

  const fast = bestBatching(bench, asked, ({ perSecond }) => perSecond);
  const peak = byTurns(asked, fast);
  const [mine, other] = [peak.map((seen) => seen.ours), peak.map((seen) => seen.theirs)];
  const half = { ...asked, rate: Math.round(Math.min(middle(mine, 'perSecond'), middle(other, 'perSecond')) / 2) };
  const prompt = bestBatching(bench, half, ({ p99Ms }) => -p99Ms);
  const calm = byTurns(half, prompt);
  const p99 = (side: 'ours' | 'theirs', seen: typeof calm): string => `${middle(seen.map((one) => one[side]), 'p99Ms').toFixed(1)} ms`;
  const core = bench.pinned.length > 0 ? 'one core' : 'all cores';
  return [
    {
      what: `durable appends/s, 1 KiB, ${asked.inFlight} in flight, ${core}`, ratios: peak.map((seen) => seen.ours.perSecond / seen.theirs.perSecond), goal: '≥ 4',
      told: `${Math.round(middle(mine, 'perSecond'))}/s, p99 ${p99('ours', peak)}; Tessera ${Math.round(middle(other, 'perSecond'))}/s, p99 ${p99('theirs', peak)} (${spelled(fast)})`,
    },
    {
      what: `p99 at ${half.rate}/s, half of the lesser peak, open loop`, ratios: calm.map((seen) => seen.ours.p99Ms / seen.theirs.p99Ms), goal: '≤ 0.1',
      told: `${p99('ours', calm)}; Tessera ${p99('theirs', calm)} (${spelled(prompt)})`,
    },
  ];
}

/** One writer, one at a time, against a raw append of as many bytes and its fdatasync. */
export async function measureOneByOne(directory: string, rounds: number, each: number): Promise<Row[]> {
  const log = await openAt(join(directory, 'one'));
  const fd = openSync(join(directory, 'raw'), 'a');
  const bytes = Buffer.alloc(BYTES, 'x');
  const ratios: number[] = [];
  const all = { ours: [] as number[], raw: [] as number[] };
  // The engine compiles what runs often.
  for (let n = 0; n < WARM_UP; n += 1) await appendOne(log, n, BYTES);
  for (let round = 0; round < rounds; round += 1) {
    const [mine, raw]: [number[], number[]] = [[], []];
    for (let n = 0; n < each; n += 1) {
      const appendMs = performance.now();
      await appendOne(log, WARM_UP + round * each + n, BYTES);
      mine.push(performance.now() - appendMs);
      const startMs = performance.now();
      writeSync(fd, bytes);
      fdatasyncSync(fd);
      raw.push(performance.now() - startMs);
    }
    ratios.push(quantile(mine, 0.5) / quantile(raw, 0.5));
    all.ours.push(...mine);
    all.raw.push(...raw);
  }
  closeSync(fd);
  await log.close();
  return [{ what: 'one at a time: p50, by raw write + fdatasync', ratios, goal: '≤ 2', told: `${quantile(all.ours, 0.5).toFixed(2)} ms; raw ${quantile(all.raw, 0.5).toFixed(2)} ms` }];
}
