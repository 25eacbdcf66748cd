/**
 * Where a request comes from, past what stands before the console. Each proxy puts the address that it hears from last in `X-Forwarded-For`; whatever
 * stands before what a trusted one has put there, anybody can write.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { Context } from 'hono';
import type { ConsoleEnv } from './context.ts';

/** What ends TLS on this machine. */
export const LOOPBACK_RANGES: readonly string[] = ['127.0.0.0/8', '::1'];

/** What is wrong with an address, or a range of them such as `10.1.0.0/16`; null where nothing is. */
export function rangeTrouble(text: string): string | null {
  const [address = '', bits, ...more] = text.split('/');
  if (isIP(address) === 0 || address.includes('%') || more.length > 0) return 'an address, or a range such as 10.1.0.0/16';
  if (!isIPv4(address) && isIPv4(canonical(address) ?? '')) return 'an IPv4 address as such, and not within an IPv6 one';
  if (bits === undefined) return null;
  // Nobody would be told from anybody by what everybody may write.
  return /^[1-9][0-9]{0,2}$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128) ? null : `a range of 1 to ${isIPv4(address) ? 32 : 128} bits: everybody cannot be trusted`;
}

/** Whether an address in its one spelling is in one of the ranges. @param ranges without {@link rangeTrouble} */
export function openRanges(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/**
 * The first address, from the connection backwards through what trusted proxies have put into the header, that is no trusted proxy's; or the last that can be
 * read, where what is before that cannot.
 */
export function sourceOf(c: Context<ConsoleEnv>, isTrusted: (address: string) => boolean): string {
  // Without a server there is nothing at all.
  const peer = (c.env as ConsoleEnv['Bindings'] | undefined)?.incoming?.socket.remoteAddress ?? '';
  const hops = (c.req.header('x-forwarded-for') ?? '').split(',').reverse();
  let source = canonical(peer);
  if (source === null) return peer;
  for (const hop of hops) {
    if (!isTrusted(source)) break;
    const before = canonical(hop.trim());
    if (before === null) break;
    source = before;
  }
  return source;
}

/** The one spelling of an address, an IPv4 one within an IPv6 one as such; null for what is none. A port is left out: some proxies put it there. */
function canonical(text: string): string | null {
  const address = /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text)?.[1] ?? /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/i.exec(text)?.[1] ?? text;
  if (isIPv4(address)) return address;
  if (isIP(address) === 0 || address.includes('%')) return null;
  const spelt = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(spelt) ?? [];
  if (high === undefined || low === undefined) return spelt;
  return [high, low].flatMap((half) => [Number.parseInt(half, 16) >> 8, Number.parseInt(half, 16) & 255]).join('.');
}
