/**
 * What is looked at before anybody is asked who they are: is this request for us, from a program, and spelled in the one way?
 *
 * A web page on the same machine can reach loopback. It cannot read a token, but DNS rebinding and cross-site requests are refused here
 * all the same, before authentication.
 */
import type { IncomingMessage } from 'node:http';
import { Problem } from './errors.ts';

/** Names that are always this sidecar's. Others are added by configuration. */
export const OWN_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** What the page for approvers sends, beside what it only reads: verdicts on changes, on a broken glass, and on a policy bundle; and that a standing approval is over. */
const FROM_THE_PAGE = /^\/v1\/(?:changes\/[^/]+\/(?:approvals|break-glass\/review)|policy\/proposed|standing-approvals\/[^/]+\/revoke)$/;

/** Whether the sidecar's own page may ask this. */
export function isForThePage(method: string, path: string): boolean {
  return method === 'POST' && FROM_THE_PAGE.test(path);
}

/** Headers of which a second one would be another request to another reader. */
const SINGLE_HEADERS: readonly string[] = ['host', 'authorization', 'content-type', 'content-length', 'idempotency-key'];

/** @throws Problem `misdirected`: the Host is not one of `hosts` (names or addresses, without a port) */
export function requireHost(host: string | undefined, hosts: ReadonlySet<string>): void {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?$/i.exec(host ?? '');
  if (match === null || !hosts.has(match[1]!.toLowerCase())) throw new Problem('misdirected', 'this sidecar does not answer to that name');
}

/**
 * @param own the origin of the page that this request may come from; undefined: of none
 * @throws Problem `origin-refused`: only browsers send Origin, and no other page has business here
 */
export function requireNoOrigin(headers: Headers, own?: string): void {
  const origin = headers.get('origin');
  if (origin !== null && origin !== own) throw new Problem('origin-refused', 'requests that a web page makes are refused');
}

/** @throws Problem `malformed-header` when a header that must be single came twice */
export function requireSingleHeaders(incoming: Pick<IncomingMessage, 'rawHeaders'>): void {
  const seen = new Set<string>();
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index]!.toLowerCase();
    if (SINGLE_HEADERS.includes(name) && seen.has(name)) throw new Problem('malformed-header', `${name} came twice`);
    seen.add(name);
  }
}

/**
 * Whether a path is in its one spelling: no empty, `.` or `..` segment, no escape of what needs none, no trailing slash. Two spellings
 * of a path are two answers to the question of who may use it.
 */
export function isCanonicalPath(path: string): boolean {
  if (!path.startsWith('/') || path.length > 2048) return false;
  return path.slice(1).split('/').every(isCanonicalSegment);
}

function isCanonicalSegment(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false;
  let text: string;
  try {
    text = decodeURIComponent(segment);
  } catch {
    return false;
  }
  // `:` needs no escape in a path (RFC 3986 §3.3) but encodeURIComponent writes one; both are usual for `nhi:prod/x`.
  return encodeURIComponent(text).replaceAll('%3A', ':') === segment.replaceAll('%3A', ':') && !text.includes('\0');
}

/** The key without its quotes; null where there is none. @see draft-ietf-httpapi-idempotency-key-header-07 §2.1 */
export function readIdempotencyKey(headers: Headers): string | null {
  const value = headers.get('idempotency-key');
  if (value === null) return null;
  const quoted = /^"((?:[ !#-[\]-~]|\\["\\]){1,255})"$/.exec(value);
  const key = quoted === null ? /^[A-Za-z0-9._~:*/+=-]{1,255}$/.exec(value)?.[0] : quoted[1]!.replaceAll(/\\(["\\])/g, '$1');
  if (key === undefined) throw new Problem('malformed-header', 'Idempotency-Key is a string of 1 to 255 printable characters in double quotes');
  return key;
}
