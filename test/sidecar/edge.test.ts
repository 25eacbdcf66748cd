import { link, mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROUTES, type Route } from '../../src/sidecar/routes.ts';
import { isCanonicalPath } from '../../src/sidecar/edge.ts';
import { listenOnLoopback, listenOnSocket, type Listening } from '../../src/sidecar/listen.ts';
import { GRANT, openTestSidecar, problemIn, tokenOf, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let door: Listening;
let port: number;
beforeAll(async () => {
  sidecar = await openTestSidecar({ hosts: ['countersign.internal'] });
  door = await listenOnLoopback('127.0.0.1', 0, sidecar.app.fetch);
  port = Number(new URL(door.address).port);
});
afterAll(async () => {
  await door.close(1_000);
  await sidecar.close();
});

/** Sends bytes as they are and returns all that comes back until the server closes, or has answered and falls silent. */
function raw(text: string, silentMs = 400): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.setEncoding('latin1');
    // Before it has answered it is not silent, but slow.
    socket.setTimeout(silentMs, () => {
      if (received !== '') socket.destroy();
    });
    socket.on('data', (chunk: string) => {
      received += chunk;
    });
    socket.on('close', () => resolve(received));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(received) : reject(error)));
  });
}
const auth = `Authorization: Bearer ${tokenOf(CALLER)}\r\n`;
const statuses = (received: string): number[] => [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
const get = (target: string, headers = 'Host: localhost\r\n', method = 'GET'): Promise<string> => raw(`${method} ${target} HTTP/1.1\r\n${headers}${auth}Connection: close\r\n\r\n`);

describe('a name that is not this sidecar’s', () => {
  it.each([
    ['localhost', 200], ['localhost:8099', 200], ['LOCALHOST', 200], ['127.0.0.1', 200], ['[::1]:80', 200], ['countersign.internal', 200],
    ['localhost.evil', 421], ['evil.example', 421], ['localhost.', 421], ['127.0.0.1.nip.io', 421], ['localhost@evil', 421], ['127.0.0.2', 421],
    ['0.0.0.0', 421], ['0x7f000001', 421], ['2130706433', 421], ['countersign.internal.evil', 421], ['[::1', 421], ['localhost:abc', 421],
  ])('Host: %s is %i', async (host, status) => {
    // Asked without a token: the name is looked at first.
    expect((await sidecar.send(null, 'GET', '/healthz', undefined, { host })).status).toBe(status);
    if (status === 421) expect(problemIn(await sidecar.send(null, 'GET', '/v1/changes', undefined, { host })).code).toBe('misdirected');
  });

  it.each([['', 400], ['Host: localhost\r\nHost: evil.example\r\n', 400], ['Host: evil.example\r\nHost: localhost\r\n', 400], ['Host: evil.example\r\n', 421], ['Host:\r\n', 421]])(
    'over a real connection, %j is refused', async (headers, status) => {
      const [first] = statuses(await get('/healthz', headers));
      // An invalid Host may be refused by the HTTP library before it is looked at here.
      expect([status, 400]).toContain(first);
    },
  );
});

describe('a web page', () => {
  it.each(['https://evil.example', 'http://localhost', 'null', ''])('with Origin %j is refused, and gets no CORS header', async (origin) => {
    for (const path of ['/healthz', '/v1/changes']) {
      const answered = await sidecar.send(CALLER, 'GET', path, undefined, { origin });
      expect(problemIn(answered)).toMatchObject({ status: 403, code: 'origin-refused' });
      expect([...answered.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it('gets nothing from a preflight', async () => {
    const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    expect((await sidecar.send(null, 'OPTIONS', '/v1/changes', undefined, preflight)).status).toBe(403);
    const plain = await sidecar.send(CALLER, 'OPTIONS', '/v1/changes');
    expect(plain.status).toBe(405);
    expect([...plain.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('is told not to keep or to guess what it was given', async () => {
    const { headers } = await sidecar.send(CALLER, 'GET', '/v1/changes');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });
});

describe('another spelling of a path', () => {
  it.each([
    '//v1/changes', '/v1//changes', '/v1/changes/', '/v1/./changes', '/v1/../v1/changes', '/v1/%2e/changes', '/v1/%2E%2E/v1/changes', '/v1%2Fchanges', '/%761/changes',
    '/v1/changes;x=1', '/V1/changes', '/v1/Changes', '/v1/changes%20', '/v1/changes%00', '/v1/changes%', '/v1/changes%zz', '/v1/changes%c3%28', '/v1\\changes', '/v1/changes/%ff',
    'v1/changes', 'http://localhost/v1/changes', '*', '/v1/changes#x', '/ledger/../v1/changes', '/v1/nhis/nhi:prod%2fci-deployer', '/v1/nhis/nhi:prod/ci-deployer',
  ])('%s is not the resource', async (target) => {
    const [status] = statuses(await get(target));
    expect([400, 404]).toContain(status);
  });

  it('is the resource in its own', async () => {
    expect(statuses(await get('/v1/changes'))).toEqual([200]);
  });

  it.each([['/', false], ['/a', true], ['/a/', false], ['/a b', false], ['/a%20b', true], ['/a%2Fb', true], ['/a%2fb', false], ['/a:b', true], ['/a%3Ab', true], ['/%41', false], ['', false], ['/a//b', false], ['/..', false], ['/%252F', true]])(
    '%j is canonical: %s', (path, expected) => {
      expect(isCanonicalPath(path)).toBe(expected);
    },
  );
});

describe('another method', () => {
  const paths = [...new Set(Object.values<Route>(ROUTES).map((route) => route.path))];
  const allowed = (path: string): string[] => Object.values<Route>(ROUTES).filter((route) => route.path === path).map((route) => route.method);
  const concrete = (path: string): string => path.replace('/nhis/{id}', '/nhis/nhi:prod%2Fx').replace('{id}', 'x').replace('{tile...}', '0/000').replace('{segment}', '0');

  it.each(paths)('%s answers 405 and says what it takes', async (path) => {
    for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'POST', 'GET'].filter((candidate) => !allowed(path).includes(candidate))) {
      if (method === 'TRACE') continue;
      const answered = await sidecar.send(CALLER, method, concrete(path), method === 'POST' ? {} : undefined, { 'x-http-method-override': allowed(path)[0]! });
      expect(answered.status, `${method} ${path}`).toBe(405);
      for (const one of allowed(path)) expect(answered.headers.get('allow')).toContain(one);
    }
  });

  it('HEAD asks for the same rights as GET and gives no body', async () => {
    expect((await sidecar.send(null, 'HEAD', '/v1/changes')).status).toBe(401);
    const answered = await sidecar.send(CALLER, 'HEAD', '/v1/changes');
    expect([answered.status, answered.text]).toEqual([200, '']);
    expect((await sidecar.send(CALLER, 'HEAD', '/v1/changes/x/revoke')).status).toBe(405);
  });
});

describe('a request that two readers could read differently', () => {
  const body = JSON.stringify(GRANT);
  const start = `POST /v1/changes HTTP/1.1\r\nHost: localhost\r\n${auth}Content-Type: application/json\r\n`;
  const smuggled = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  it.each([
    ['two lengths', `${start}Content-Length: ${body.length}\r\nContent-Length: 0\r\n\r\n${body}${smuggled}`],
    ['a length and chunks', `${start}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunks and a length', `${start}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunked twice over', `${start}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a space before the colon', `${start}Content-Length : ${body.length}\r\n\r\n${body}${smuggled}`],
    ['a folded header', `${start}X-Fold: a\r\n b\r\nContent-Length: ${body.length}\r\n\r\n${body}${smuggled}`],
    ['a bare line feed', `POST /v1/changes HTTP/1.1\nHost: localhost\n${auth}Content-Length: ${body.length}\n\n${body}${smuggled}`],
    ['a NUL in a header', `${start}X-Nul: a\0b\r\nContent-Length: ${body.length}\r\n\r\n${body}${smuggled}`],
    ['a chunk size that is not one', `${start}Transfer-Encoding: chunked\r\n\r\nzz\r\n${smuggled}`],
    ['a negative length', `${start}Content-Length: -1\r\n\r\n${smuggled}`],
    ['two tokens', `${start}Authorization: Bearer ${tokenOf('person:wei')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
  ])('%s is refused, gets one answer at most, and nothing is recorded', async (_name, text) => {
    const size = sidecar.log.size;
    const got = statuses(await raw(text));
    expect(got.length).toBeLessThanOrEqual(1);
    for (const status of got) expect(status).toBe(400);
    expect(sidecar.log.size).toBe(size);
  });

  it('is refused once it is too long, though no length was said', async () => {
    const chunk = `${(4096).toString(16)}\r\n${'x'.repeat(4096)}\r\n`;
    const got = await raw(`${start}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}0\r\n\r\n`);
    expect(statuses(got)).toEqual([413]);
    expect(got.toLowerCase()).toContain('connection: close');
  });

  it('is taken up to the length that it says, and by a longer one is refused before it is read', async () => {
    const longest = body + ' '.repeat(65_536 - body.length);
    const last = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    expect(statuses(await raw(`${start}Content-Length: 65536\r\n\r\n${longest}${last}`, 10_000))).toEqual([201, 200]);
    // None of it is sent: whoever waited for it would not answer.
    expect(statuses(await raw(`${start}Content-Length: 65537\r\n\r\n`, 10_000))).toEqual([413]);
    const lied = await sidecar.send(CALLER, 'POST', '/v1/changes', `${longest} `, { 'content-length': '2' });
    expect(problemIn(lied).code).toBe('body-too-large');
  });

  it('is refused when its headers are too many', async () => {
    const got = await raw(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(statuses(got)).toEqual([431]);
  });
});

describe('the unix socket', () => {
  it('is its owner’s alone, replaces one that a dead process left, and goes when it is closed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'countersign-socket-'));
    const path = join(directory, 's.sock');
    const first = await listenOnSocket(path, sidecar.app.fetch);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(listenOnSocket(path, sidecar.app.fetch)).rejects.toMatchObject({ code: 'in-use' });
    await first.close(100);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });

    // A server that is gone without cleaning up: its file is still there and nobody answers.
    await leaveStaleSocket(path);
    const second = await listenOnSocket(path, sidecar.app.fetch);
    expect((await stat(path)).isSocket()).toBe(true);
    await second.close(100);
    await rm(directory, { recursive: true });
  });

  it('does not replace what is no socket', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'countersign-socket-'));
    await expect(listenOnSocket(directory, sidecar.app.fetch)).rejects.toMatchObject({ code: 'not-a-socket' });
    await rm(directory, { recursive: true });
  });
});

/** Binds a socket elsewhere and links it here, so that closing the server leaves the link behind. */
async function leaveStaleSocket(path: string): Promise<void> {
  const bound = `${path}.bound`;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  await link(bound, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
