/**
 * Which addresses a webhook may go to. A receiver's name is somebody else's to resolve: whatever it resolves to is looked at here, at the
 * moment of connecting, so that a name cannot be one address when checked and another when used.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

/** IPv4 that is not on the public internet, and may be a network of one's own. RFC 1918, 6598, 1122. */
const PRIVATE_V4 = listOf('ipv4', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8']);

/** IPv4 that is nobody's receiver: unspecified, link-local (there live the clouds' metadata services), multicast, reserved. IANA special-purpose registry. */
const NEVER_V4 = listOf('ipv4', [
  '0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4',
]);

const PRIVATE_V6 = listOf('ipv6', ['::1/128', 'fc00::/7']);

/** Only this is global unicast: mapped IPv4 (::ffff/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), link-local and multicast are all outside it. */
const GLOBAL_V6 = listOf('ipv6', ['2000::/3']);

/** Parts of it that are for protocols, examples, or hold an IPv4 address of their own (Teredo, 6to4). */
const NEVER_V6 = listOf('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);

/**
 * Whether a webhook may connect to the address.
 *
 * @param allowPrivate lets it reach loopback and private networks; never link-local, multicast, unspecified or translated addresses
 */
export function mayConnect(address: string, allowPrivate: boolean): boolean {
  // With a zone (`fe80::1%eth0`) it is link-local, whatever else.
  if (isIP(address) === 0 || address.includes('%')) return false;
  if (isIPv4(address)) {
    if (NEVER_V4.check(address)) return false;
    return allowPrivate || !PRIVATE_V4.check(address);
  }
  if (PRIVATE_V6.check(address, 'ipv6')) return allowPrivate;
  return GLOBAL_V6.check(address, 'ipv6') && !NEVER_V6.check(address, 'ipv6');
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether the address is this machine itself: what is sent there crosses no network. */
export function isLoopback(address: string): boolean {
  if (isIP(address) === 0 || address.includes('%')) return false;
  return LOOPBACK.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

function listOf(family: 'ipv4' | 'ipv6', networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}
