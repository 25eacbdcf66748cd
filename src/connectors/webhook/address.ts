/** Where a receiver is. */
import { isIP } from 'node:net';
import { isLoopback, mayConnect } from '../../webhook/address.ts';

export interface WebhookAddress {
  /** `https://…`; `http` only for loopback, and only where `allowHttp` says so. */
  readonly url: string;
  readonly allowHttp?: boolean;
  /** Lets it be at a loopback or private address. */
  readonly allowPrivate?: boolean;
}

/** The address as a URL. @throws RangeError on anything else, as on `http` to another machine: secrets would be readable on the way */
export function parseAddress({ url: text, allowHttp = false, allowPrivate = false }: WebhookAddress): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new RangeError('not an address: expected https://host/path');
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '') throw new RangeError('an address holds no password and no fragment');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:') {
    if (host !== 'localhost' && !isLoopback(host)) throw new RangeError('http is for loopback addresses alone: elsewhere secrets could be read on the way');
    if (!allowHttp) throw new RangeError('http must be allowed expressly, with allowHttp: true');
    return url;
  }
  if (url.protocol !== 'https:') throw new RangeError(`not an address of a receiver: ${url.protocol}`);
  if (isIP(host) !== 0 && !mayConnect(host, allowPrivate)) throw new RangeError('the address is private, and must be allowed expressly, with allowPrivate: true');
  return url;
}

/** Which addresses may be connected to, asked at the moment of connecting: in clear only this machine's. */
export function mayReach({ protocol }: URL, allowPrivate: boolean): (address: string) => boolean {
  return protocol === 'http:' ? isLoopback : (address) => mayConnect(address, allowPrivate);
}
