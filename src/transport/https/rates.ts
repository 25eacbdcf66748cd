/**
 * How much of what is not to be believed one address may bring to the door: whoever rattles at it is soon not heard. What is signed is not
 * counted: behind a proxy everybody has one address.
 */
import type { Clock } from '../../engine/ports.ts';

export interface Rates {
  /** Whether another connection from this address is kept; it counts until it is {@link disconnected}. */
  mayConnect(from: string): boolean;
  disconnected(from: string): void;
  /** Whether a request from this address is looked at; it is counted. */
  mayAsk(from: string): boolean;
  /** What came from there was not an order to believe. */
  mistook(from: string): void;
}

const BURST = 60;
const EACH_SECOND = 10;
const MISTAKE = 12;
/** As many orders as the command line has on their way at a time, and some more. */
const CONNECTIONS_MAX = 32;
/** Addresses that are remembered; the one heard longest ago is forgotten, which only ever lets more in. */
const ADDRESSES_MAX = 4_096;

export function createRates(clock: Pick<Clock, 'nowMs'>): Rates {
  const buckets = new Map<string, { left: number; atMs: number }>();
  const bucketOf = (from: string): { left: number; atMs: number } => {
    const key = networkOf(from);
    const nowMs = clock.nowMs();
    const known = buckets.get(key) ?? { left: BURST, atMs: nowMs };
    known.left = Math.min(BURST, known.left + (Math.max(0, nowMs - known.atMs) / 1000) * EACH_SECOND);
    known.atMs = nowMs;
    buckets.delete(key);
    buckets.set(key, known);
    const [oldest] = buckets.keys();
    if (buckets.size > ADDRESSES_MAX && oldest !== undefined) buckets.delete(oldest);
    return known;
  };
  const connections = new Map<string, number>();
  return {
    mayConnect(from) {
      const key = networkOf(from);
      const open = connections.get(key) ?? 0;
      if (open >= CONNECTIONS_MAX) return false;
      connections.set(key, open + 1);
      return true;
    },
    disconnected(from) {
      const key = networkOf(from);
      const open = (connections.get(key) ?? 1) - 1;
      if (open > 0) connections.set(key, open);
      else connections.delete(key);
    },
    mayAsk(from) {
      const bucket = bucketOf(from);
      if (bucket.left < 1) return false;
      bucket.left -= 1;
      return true;
    },
    mistook(from) {
      const bucket = bucketOf(from);
      bucket.left = Math.max(bucket.left - MISTAKE, -BURST);
    },
  };
}

/** An IPv4 address, or the half of an IPv6 one that a host cannot choose for itself. */
function networkOf(from: string): string {
  const plain = from.replace(/^::ffff:(?=[0-9.]+$)/, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const first = head === '' ? [] : head.split(':');
  const left = tail === undefined ? 0 : 8 - first.length - (tail === '' ? 0 : tail.split(':').length);
  return [...first, ...Array.from({ length: left }, () => '0'), ...(tail ?? '').split(':')].slice(0, 4).join(':');
}
