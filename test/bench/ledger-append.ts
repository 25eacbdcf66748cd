/** Durable appends: against Tessera on the same file system, and against the raw write and sync. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk, openLog, type Log } from '../../ledger/index.ts';
import { quantile } from '../support/arms.ts';
import { keys, ORIGIN } from '../support/story.ts';
import type { Row } from './ledger.ts';

/** What a record of 1 KiB has beside its body's text. */
const FRAME_BYTES = 470;
const BYTES = 1_024;

interface Appended {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const openAt = (directory: string): Promise<Log> =>
  openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => Date.now() });

async function appendOne(log: Log, n: number): Promise<number> {
  const startMs = performance.now();
  await log.append([{
    v: 1, change: `chg_${Math.floor(n / 10)}`, type: 'policy.decided', at: new Date().toISOString(), actor: 'sidecar:bench',
    body: { text: randomBytes((BYTES - FRAME_BYTES) / 2).toString('hex') }, objects: [],
  }]).durable;
  return performance.now() - startMs;
}

/** So many in flight: each appends again once its record is durable. */
async function appendOurs(directory: string, inFlight: number, records: number): Promise<Appended> {
  const log = await openAt(directory);
  const took: number[] = [];
  let next = 0;
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < records) took.push(await appendOne(log, next++));
  }));
  const seconds = (performance.now() - startMs) / 1000;
  await log.close();
  return { perSecond: records / seconds, p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99) };
}

export async function measureAppends(directory: string, tessera: string | null, rounds: number, records: number): Promise<Row[]> {
  if (tessera === null) return [{ what: 'durable appends: Tessera is not here (no Go)', ratios: [], goal: '≥ 4', told: 'not measured' }];
  const rows: Row[] = [];
  // The engine compiles what runs often: a Go program comes compiled.
  await appendOurs(join(directory, 'warm'), 256, records);
  for (const inFlight of [256, 1_024]) {
    const seen: { ours: Appended; theirs: Appended }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const [mine, other] = [join(directory, `ours-${inFlight}-${round}`), join(directory, `tessera-${inFlight}-${round}`)];
      const ours = await appendOurs(mine, inFlight, records);
      const run = execFileSync(tessera, ['-dir', other, '-in-flight', `${inFlight}`, '-records', `${records}`, '-bytes', `${BYTES}`, '-batch', `${inFlight}`], { stdio: ['ignore', 'pipe', 'ignore'] });
      seen.push({ ours, theirs: JSON.parse(run.toString()) as Appended });
      for (const path of [mine, other]) rmSync(path, { recursive: true, force: true });
    }
    const told = (of: 'ours' | 'theirs'): string => `${Math.round(quantile(seen.map((one) => one[of].perSecond), 0.5))}/s, p99 ${quantile(seen.map((one) => one[of].p99Ms), 0.5).toFixed(1)} ms`;
    rows.push(
      { what: `durable appends/s, 1 KiB, ${inFlight} in flight, by Tessera's`, ratios: seen.map(({ ours, theirs }) => ours.perSecond / theirs.perSecond), goal: '≥ 4', told: `${told('ours')}; Tessera ${told('theirs')}` },
      { what: `p99 of them, by Tessera's`, ratios: seen.map(({ ours, theirs }) => ours.p99Ms / theirs.p99Ms), goal: '≤ 0.1', told: '' },
    );
  }
  return rows;
}

/** One writer, one at a time, against a raw append of as many bytes and its fdatasync. */
export async function measureOneByOne(directory: string, rounds: number, each: number): Promise<Row[]> {
  const log = await openAt(join(directory, 'one'));
  const fd = openSync(join(directory, 'raw'), 'a');
  const bytes = Buffer.alloc(BYTES, 'x');
  const ratios: number[] = [];
  const all = { ours: [] as number[], raw: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const [ours, raw]: [number[], number[]] = [[], []];
    for (let n = 0; n < each; n += 1) {
      ours.push(await appendOne(log, round * each + n));
      const startMs = performance.now();
      writeSync(fd, bytes);
      fdatasyncSync(fd);
      raw.push(performance.now() - startMs);
    }
    ratios.push(quantile(ours, 0.5) / quantile(raw, 0.5));
    all.ours.push(...ours);
    all.raw.push(...raw);
  }
  closeSync(fd);
  await log.close();
  return [{ what: 'one at a time: p50, by raw write + fdatasync', ratios, goal: '≤ 2', told: `${quantile(all.ours, 0.5).toFixed(2)} ms; raw ${quantile(all.raw, 0.5).toFixed(2)} ms` }];
}
