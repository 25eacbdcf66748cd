/** Where a server is, and as whom to speak to it. */
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

export type SslMode = 'disable' | 'require' | 'verify-full';

export interface PostgresAddress {
  /** A name, an address, or the directory of a unix socket (`/run/postgresql`). */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Or a function asked at each connection, for a password that rotates. */
  readonly password: string | (() => string | Promise<string>);
  /**
   * `verify-full` unless said otherwise; `disable` for loopback addresses and unix sockets.
   * `require` encrypts but trusts any certificate, as in libpq.
   */
  readonly sslmode?: SslMode;
  /** PEM of the authorities to trust for `verify-full`; Node's own list otherwise. */
  readonly ca?: string;
}

/**
 * The address in `postgresql://user:password@host:port/database?sslmode=…`.
 * @throws RangeError on another scheme, a missing part or an unknown parameter: a misspelt `sslmode` must not be ignored.
 *   The message does not repeat the text, which holds a password.
 */
export function parseConnectionString(text: string): PostgresAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new RangeError('not a connection string: expected postgresql://user:password@host:port/database');
  }
  if (url.protocol !== 'postgresql:' && url.protocol !== 'postgres:') throw new RangeError(`not a PostgreSQL URL: ${url.protocol}`);
  let sslmode: SslMode | undefined;
  let host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
  for (const [key, value] of url.searchParams) {
    if (key === 'sslmode' && (value === 'disable' || value === 'require' || value === 'verify-full')) sslmode = value;
    else if (key === 'host' && value.startsWith('/')) host = value;
    else throw new RangeError(`unknown connection parameter: ${key}`);
  }
  const database = decodeURIComponent(url.pathname.slice(1));
  if (host === '' || database === '' || url.username === '') throw new RangeError('a connection string names a host, a database and a user');
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    database,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    ...(sslmode === undefined ? {} : { sslmode }),
  };
}

/** TLS options for `address`; false for none. */
export function tlsOptions(address: PostgresAddress): ConnectionOptions | false {
  const mode = address.sslmode ?? (isLocal(address.host) ? 'disable' : 'verify-full');
  switch (mode) {
    case 'disable':
      return false;
    case 'require':
      return { rejectUnauthorized: false };
    case 'verify-full':
      // SNI names hosts only (RFC 6066 §3); an IP address is checked against the certificate all the same.
      return { rejectUnauthorized: true, ...(isIP(address.host) === 0 ? { servername: address.host } : {}), ...(address.ca === undefined ? {} : { ca: address.ca }) };
  }
}

function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
