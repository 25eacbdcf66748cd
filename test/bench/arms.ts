/**
 * `npm run bench:arms [-- COUNT]`: so many orders (10,000) armed on a cluster of three servers, due within a minute. Exits 0 only if every one came
 * once, 99 of 100 within a second, and the servers' memory was flat while the second half of them fired.
 */
import { fireArms, quantile } from '../support/arms.ts';
import { testNats } from '../support/nats.ts';
import { EXECUTOR } from '../support/story.ts';

const WINDOW_MS = 60_000;
const LATE_MS_MAX = 1_000;
/** What the second half may add: the heap of a Go program first grows to where its collector begins, whatever it does. */
const GROWTH_MAX = 1.1;

const count = Number(process.argv[2] ?? 10_000);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

const nats = await testNats([EXECUTOR], 3);
try {
  // Arming at the slowest rate that was seen, and as long again.
  const { times, lateMs, armedPerSecond, rss } = await fireArms({ nats, count, windowMs: WINDOW_MS, armingMs: 5_000 + count * 3 });
  const [missing, twice] = [times.filter((n) => n === 0).length, times.filter((n) => n > 1).length];
  const late = [0.5, 0.99, 1].map((share) => quantile(lateMs, share));
  say(`${count} orders armed, ${armedPerSecond} a second; due within ${WINDOW_MS / 1000} s`);
  say(`missing ${missing}, twice ${twice}, early ${lateMs.filter((ms) => ms < 0).length}`);
  say(`late, ms: p50 ${late[0]!}, p99 ${late[1]!}, most ${late[2]!}`);
  say(`memory of the three servers: before ${megabytes(rss.before)}, all armed ${megabytes(rss.armed)}, as each tenth had fired ${rss.tenths.map(megabytes).join(', ')}`);
  const holds = missing === 0 && twice === 0 && lateMs.every((ms) => ms >= 0) && late[1]! <= LATE_MS_MAX && Math.max(...rss.tenths.slice(5)) <= rss.tenths[4]! * GROWTH_MAX;
  say(holds ? 'holds' : 'DOES NOT HOLD');
  process.exitCode = holds ? 0 : 1;
} finally {
  await nats.close();
}
