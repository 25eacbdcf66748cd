/** By which address somebody is counted who comes through proxies, or says so. */
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import type { ConsoleEnv } from '../../src/console/context.ts';
import { LOOPBACK_RANGES, openRanges, rangeTrouble, sourceOf } from '../../src/console/source.ts';

async function sourceFrom(trusted: readonly string[], remoteAddress: string, forwarded: string | null): Promise<string> {
  const app = new Hono<ConsoleEnv>();
  app.get('/', (c) => c.text(sourceOf(c, openRanges(trusted))));
  return (await app.request('/', { headers: forwarded === null ? {} : { 'x-forwarded-for': forwarded } }, { incoming: { socket: { remoteAddress } } })).text();
}

const PROXIES = ['10.1.0.0/16', '192.0.2.9', '2001:db8:1::/48'];
it.each<[what: string, trusted: readonly string[], peer: string, header: string | null, source: string]>([
  ['nothing is said', PROXIES, '10.1.0.1', null, '10.1.0.1'],
  ['somebody who is no proxy says it', PROXIES, '198.51.100.1', '203.0.113.1', '198.51.100.1'],
  ['a proxy says whom it hears from', PROXIES, '10.1.0.1', '203.0.113.1', '203.0.113.1'],
  ['somebody had written something before', PROXIES, '10.1.0.1', '198.51.100.66, 203.0.113.1', '203.0.113.1'],
  ['somebody had written a proxy before', PROXIES, '10.1.0.1', '198.51.100.66, 10.1.0.2, 203.0.113.1', '203.0.113.1'],
  ['two proxies stand one after the other', PROXIES, '10.1.0.1', '198.51.100.66, 203.0.113.1, 192.0.2.9', '203.0.113.1'],
  ['a proxy hears from a neighbour that is none', PROXIES, '192.0.2.8', '203.0.113.1', '192.0.2.8'],
  ['all of them are proxies', PROXIES, '10.1.0.1', '10.1.0.3, 10.1.0.2', '10.1.0.3'],
  ['a proxy of IPv6', PROXIES, '2001:db8:1::7', '2001:DB8:2:0::1', '2001:db8:2::1'],
  ['one that is not in the range', PROXIES, '2001:db8:2::7', '203.0.113.1', '2001:db8:2::7'],
  ['an IPv4 proxy on a socket of both', PROXIES, '::ffff:10.1.0.1', '203.0.113.1', '203.0.113.1'],
  ['IPv4 within IPv6 in the header, in digits and not', PROXIES, '10.1.0.1', '198.51.100.66, ::ffff:203.0.113.1, ::ffff:a01:2', '203.0.113.1'],
  ['with a port, as some write it', PROXIES, '10.1.0.1', '203.0.113.1:4711, [2001:db8:1::1]:443', '203.0.113.1'],
  ['what a proxy has put there cannot be read', PROXIES, '10.1.0.1', '203.0.113.1, unknown', '10.1.0.1'],
  ['what is before a proxy cannot be read', PROXIES, '10.1.0.1', '203.0.113.1, <script>, 192.0.2.9', '192.0.2.9'],
  ['empty places', PROXIES, '10.1.0.1', ', ,', '10.1.0.1'],
  ['an address with a zone', PROXIES, '10.1.0.1', 'fe80::1%eth0', '10.1.0.1'],
  ['an octet too great', PROXIES, '10.1.0.1', '203.0.113.256', '10.1.0.1'],
  ['this machine, where nothing else is said', LOOPBACK_RANGES, '127.0.0.1', '198.51.100.66, 203.0.113.1', '203.0.113.1'],
  ['this machine by IPv6', LOOPBACK_RANGES, '::1', '203.0.113.1', '203.0.113.1'],
  ['a proxy elsewhere, where nothing else is said', LOOPBACK_RANGES, '10.1.0.1', '203.0.113.1', '10.1.0.1'],
  ['this machine, where others are named', PROXIES, '127.0.0.1', '203.0.113.1', '127.0.0.1'],
  ['nobody is trusted', [], '127.0.0.1', '203.0.113.1', '127.0.0.1'],
  ['no connection at all', LOOPBACK_RANGES, '', '203.0.113.1', ''],
])('%s', async (_what, trusted, peer, header, source) => {
  expect(await sourceFrom(trusted, peer, header)).toBe(source);
});

it.each(['10.1.0.0/16', '192.0.2.9', '::1', '2001:db8::/32', '0.0.0.0/1'])('%s can be trusted', (range) => expect(rangeTrouble(range)).toBeNull());
