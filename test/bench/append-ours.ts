/** One side of the appends of `npm run bench:ledger`, in a process of its own: appends records to a new log, and prints how it went. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { nodeDisk, openLog, type Log } from '../../ledger/index.ts';
import { quantile } from '../support/arms.ts';
import { keys, ORIGIN } from '../support/story.ts';

/** What a record has beside its body's text. */
const FRAME_BYTES = 470;
const TEXT_POOL = randomBytes(1 << 19).toString('hex');

export interface Appended {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export const openAt = (directory: string): Promise<Log> =>
  openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => Date.now() });

/** Resolves once record `n`, of `bytes` bytes, is durable. */
export function appendOne(log: Log, n: number, bytes: number): Promise<void> {
  const from = (n * 577) % (TEXT_POOL.length - bytes);
  return log.append([{
    v: 1, change: `chg_${Math.floor(n / 10)}`, type: 'policy.decided', at: new Date().toISOString(), actor: 'sidecar:bench',
    body: { text: TEXT_POOL.slice(from, from + bytes - FRAME_BYTES) }, objects: [],
  }]).durable;
}

/** So many in flight: each appends again once its record is durable. */
async function closedLoop(log: Log, records: number, bytes: number, inFlight: number): Promise<number[]> {
  const took: number[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < records) {
      const startMs = performance.now();
      await appendOne(log, next++, bytes);
      took.push(performance.now() - startMs);
    }
  }));
  return took;
}

/** So many a second, whatever has come of those before: counted from when each was due. */
async function openLoop(log: Log, records: number, bytes: number, perSecond: number): Promise<number[]> {
  const took: number[] = [];
  const appending: Promise<void>[] = [];
  const startMs = performance.now();
  for (let n = 0; n < records;) {
    for (const due = Math.min(records, Math.ceil(((performance.now() - startMs) * perSecond) / 1_000)); n < due; n += 1) {
      const dueMs = startMs + (n * 1_000) / perSecond;
      appending.push(appendOne(log, n, bytes).then(() => void took.push(performance.now() - dueMs)));
    }
    await nextTurn();
  }
  await Promise.all(appending);
  return took;
}

async function appended(directory: string, records: number, run: (log: Log) => Promise<number[]>): Promise<Appended> {
  const log = await openAt(directory);
  const startMs = performance.now();
  const took = await run(log);
  const seconds = (performance.now() - startMs) / 1_000;
  await log.close();
  return { perSecond: records / seconds, p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [directory, ...numbers] = process.argv.slice(2) as [string, ...string[]];
  const [inFlight = 256, records = 10_000, bytes = 1_024, rate = 0] = numbers.map(Number);
  // The engine compiles what runs often; the peer comes compiled.
  await appended(`${directory}-warm`, 60_000, (log) => closedLoop(log, 60_000, bytes, inFlight));
  rmSync(`${directory}-warm`, { recursive: true, force: true });
  const seen = await appended(directory, records, (log) => (rate === 0 ? closedLoop(log, records, bytes, inFlight) : openLoop(log, records, bytes, rate)));
  process.stdout.write(JSON.stringify(seen));
}
