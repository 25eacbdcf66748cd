/**
 * `npm run bench:arms [-- COUNT]`: so many orders (10,000) armed on a cluster of three servers, due within a minute. Exits 0 only if every one came
 * once, 99 of 100 within a second, the servers' memory stayed what it was with everything armed, and nothing spent was left in the stream.
 */
import { fireArms, quantile } from '../support/arms.ts';
import { testNats } from '../support/nats.ts';
import { EXECUTOR } from '../support/story.ts';

const WINDOW_MS = 60_000;
const LATE_MS_MAX = 1_000;
/** Of what is in memory with everything armed. */
const GROWTH_MAX = 1.2;

const count = Number(process.argv[2] ?? 10_000);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

// A Go program's heap grows to twice what it needs before it looks; told to keep within about what it has when all is armed, it shows what it needs.
process.env['GOMEMLIMIT'] ??= '56MiB';
const nats = await testNats([EXECUTOR], 3);
try {
  // Arming at the slowest rate that was seen, and as long again.
  const { times, lateMs, left, armedPerSecond, rss } = await fireArms({ nats, count, windowMs: WINDOW_MS, armingMs: 5_000 + count * 3 });
  const [missing, twice] = [times.filter((n) => n === 0).length, times.filter((n) => n > 1).length];
  const late = [0.5, 0.99, 1].map((share) => quantile(lateMs, share));
  say(`${count} orders armed, ${armedPerSecond} a second; due within ${WINDOW_MS / 1000} s`);
  say(`missing ${missing}, twice ${twice}, early ${lateMs.filter((ms) => ms < 0).length}`);
  say(`late, ms: p50 ${late[0]!}, p99 ${late[1]!}, most ${late[2]!}`);
  say(`memory of the three servers: before ${megabytes(rss.before)}, all armed ${megabytes(rss.armed)}, as each tenth had fired ${rss.tenths.map(megabytes).join(', ')}`);
  const growth = Math.max(...rss.tenths) / rss.armed;
  say(`at most ${growth.toFixed(2)} times what it was with all armed; ${left} messages left in the stream`);
  const holds = missing === 0 && twice === 0 && lateMs.every((ms) => ms >= 0) && late[1]! <= LATE_MS_MAX && growth <= GROWTH_MAX && left === 0;
  say(holds ? 'holds' : 'DOES NOT HOLD');
  process.exitCode = holds ? 0 : 1;
} finally {
  await nats.close();
}
