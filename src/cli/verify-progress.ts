/** How far verification is, at what rate, and how long it will take yet: a bar on a terminal, and now and then a line where nobody watches one. */
import { formatSpan } from './output.ts';
import type { Session } from './world.ts';

/** Shown once there is something to wait for. */
const AFTER_MS = 500;
const EVERY_MS = 100;
/** Where there is no terminal: a log that is read later. */
const LINE_EVERY_MS = 10_000;
const BAR_WIDTH = 24;

export function progressOf({ out, nowMs, stderr }: Pick<Session, 'out' | 'nowMs' | 'stderr'>, what: 'records' | 'files'): (done: number, size: number) => void {
  const startedMs = nowMs();
  const isTerminal = stderr.isTTY === true;
  const everyMs = isTerminal ? EVERY_MS : LINE_EVERY_MS;
  let shownMs = startedMs + (isTerminal ? AFTER_MS - EVERY_MS : 0);
  return (done, size) => {
    const atMs = nowMs();
    if (atMs - shownMs < everyMs || size === 0) return;
    shownMs = atMs;
    const rate = done / Math.max(0.001, (atMs - startedMs) / 1000);
    const left = rate === 0 ? '' : `, ${formatSpan(((size - done) / rate) * 1000)} left`;
    const told = `${done}/${size} ${what}, ${Math.round(rate)}/s${left}`;
    if (!isTerminal) return out.say(told);
    const filled = Math.floor((done / size) * BAR_WIDTH);
    out.progress(`[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${told}`);
  };
}
