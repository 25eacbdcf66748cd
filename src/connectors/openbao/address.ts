/** Where a server is, and as whom to speak to it. */
import { isIP } from 'node:net';

export interface OpenBaoAddress {
  /** `https://host:port`; `http` only for loopback, and only where `allowHttp` says so. */
  readonly address: string;
  /** Asked at each operation, for a token that rotates. */
  readonly token: () => string | Promise<string>;
  /** PEM of the authorities to trust; Node's own list otherwise. */
  readonly ca?: string;
  readonly namespace?: string;
  readonly allowHttp?: boolean;
}

/**
 * The address as a URL without a path.
 * @throws RangeError on anything else, as on `http` to another machine: tokens and secrets would be readable on the way
 */
export function parseAddress({ address, allowHttp = false }: Pick<OpenBaoAddress, 'address' | 'allowHttp'>): URL {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw new RangeError('not an address: expected https://host:port');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || url.pathname !== '/') {
    throw new RangeError('an address has a scheme, a host and a port, and nothing else');
  }
  if (url.protocol === 'https:') return url;
  if (url.protocol !== 'http:') throw new RangeError(`not an address of OpenBao: ${url.protocol}`);
  if (!isLoopback(url.hostname)) throw new RangeError('http is for loopback addresses alone: elsewhere tokens could be read on the way');
  if (!allowHttp) throw new RangeError('http must be allowed expressly, with allowHttp: true');
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

/** A mount or namespace as it stands in a path, each of its parts escaped. @throws RangeError on a part that would lead elsewhere */
export function pathOf(name: string): string {
  const parts = name.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) throw new RangeError(`not a path: ${JSON.stringify(name)}`);
  return parts.map(encodeURIComponent).join('/');
}
