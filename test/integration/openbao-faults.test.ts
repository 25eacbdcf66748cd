import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openbaoConnector } from '../../src/connectors/openbao/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import { cutProxy, harmingProxy } from '../support/cut-proxy.ts';
import { connectorTo, CONNECTOR, existingRole, isAlive, login, mayRead, prepareSecrets, roleExists, rotateQuery, rotationSteps, stepOf } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao } from '../support/openbao.ts';
import type { TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, newToken, orderOf, SECRET } from '../support/postgres-cases.ts';

const program = openbaoProgram();

const failureOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no failure', (error: unknown) => error);

describe.skipIf(program === null)('an OpenBao that fails', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = connectorTo(bao);
  });
  afterAll(() => bao.remove());

  /** By the path of the request that is cut. */
  const throughCut = async (path: string, when: 'before' | 'after', use: (cut: Connector) => Promise<void>): Promise<void> => {
    const proxy = await cutProxy(bao.port, path, when);
    await use(connectorTo(bao, proxy.port));
    expect(proxy.cuts()).toBe(1);
    await proxy.close();
  };

  test.each([['before', 'absent'], ['after', 'applied']] as const)('an answer lost %s the server has the secret-id is ambiguous, and probed as %s', async (when, probed) => {
    const step = stepOf('provision', `lost-${when}`);
    await throughCut('/custom-secret-id', when, async (cut) => {
      expect(await failureOf(apply(cut, step))).toMatchObject({ kind: 'ambiguous' });
    });
    expect(await connector.probe(step, deadline())).toBe(probed);
    expect(await connector.tryUse(step, SECRET, deadline())).toBe(probed === 'applied' ? 'works' : 'fails');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect(await roleExists(bao, `lost-${when}`)).toBe(false);
  });

  test.each([['before', 'absent'], ['after', 'applied']] as const)('an answer lost %s the server has the group is ambiguous, and probed as %s', async (when, probed) => {
    const worker = await existingRole(bao, `lent-${when}`);
    const step = stepOf('grant', `lent-${when}`);
    await throughCut(`POST /v1/identity/group/name/`, when, async (cut) => {
      expect(await failureOf(apply(cut, step))).toMatchObject({ kind: 'ambiguous' });
    });
    expect(await connector.probe(step, deadline())).toBe(probed);
    expect(await mayRead(bao, worker.token, 'app')).toBe(probed === 'applied');
    expect(await connector.revoke(orderOf(step), deadline())).toBe(probed === 'applied' ? 'done' : 'already-absent');
    expect(await mayRead(bao, worker.token, 'app')).toBe(false);
  });

  const HALVES = ['POST /v1/identity/entity HTTP', 'POST /v1/identity/entity-alias', 'POST /v1/auth/approle/role/half HTTP', '/custom-secret-id'];

  test.each(HALVES)('a provision cut at %s leaves nothing usable, and a revoke removes what there is', async (path) => {
    for (const when of ['before', 'after'] as const) {
      const step = stepOf('provision', 'half');
      await throughCut(path, when, async (cut) => {
        expect(await failureOf(apply(cut, step))).toMatchObject({ name: 'TargetError', kind: expect.stringMatching(/^(unreachable|ambiguous)$/) as string });
      });
      if (path !== '/custom-secret-id') {
        expect(await connector.probe(step, deadline())).toBe('absent');
        expect((await login(bao, step.clientToken, SECRET)).auth).toBeNull();
      }
      expect(await connector.revoke(orderOf(step), deadline())).toMatch(/^(done|already-absent)$/);
      expect(await roleExists(bao, 'half')).toBe(false);
      expect((await bao.call('GET', `identity/entity/name/${step.clientToken}`)).status).toBe(404);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    }
  });

  test('a provision that is refused halfway is undone, and was refused', async () => {
    await bao.call('POST', 'sys/policies/acl/no-secret-ids', {
      policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }\npath "auth/approle/role/+/custom-secret-id" { capabilities = ["deny"] }',
    });
    const { auth } = await bao.call('POST', 'auth/token/create', { policies: ['no-secret-ids'] });
    const step = stepOf('provision', 'refused-halfway');
    expect(await failureOf(apply(connectorTo(bao, bao.port, auth!.client_token), step))).toMatchObject({ kind: 'rejected' });
    expect(await roleExists(bao, 'refused-halfway')).toBe(false);
    expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
  });

  test('a revoke that gets no further than its first change has already ended every login and token', async () => {
    const step = stepOf('provision', 'shut-out-first');
    await apply(connector, step);
    const { auth } = await login(bao, step.clientToken, SECRET);
    await throughCut('DELETE /v1/auth/approle/role/shut-out-first', 'before', async (cut) => {
      await failureOf(cut.revoke(orderOf(step), deadline()));
    });
    expect(await isAlive(bao, auth!.client_token)).toBe(false);
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
    expect(await roleExists(bao, 'shut-out-first')).toBe(true);
  });

  test.each(['POST /v1/auth/approle/role/half-shut HTTP', '/secret-id-accessor/destroy', '/revoke-accessor'])('a disable that is cut at %s is ambiguous, no drift, and finished by the next', async (path) => {
    const worker = await existingRole(bao, 'half-shut', ['read-app']);
    const step = stepOf('disable', 'half-shut', []);
    const { touched } = await connector.read(step, deadline());
    await throughCut(path, 'before', async (cut) => {
      expect(await failureOf(apply(cut, step))).toMatchObject({ kind: 'ambiguous' });
    });
    expect(await isAlive(bao, worker.token)).toBe(false);
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(touched).toMatchObject((await connector.read(step, deadline())).touched);
    await apply(connector, step);
    expect(await connector.probe(step, deadline())).toBe('applied');
    await bao.call('DELETE', 'auth/approle/role/half-shut');
  });

  test('an answer to a destroyed secret-id that is lost leaves a retire ambiguous, and it is finished by the next', async () => {
    const worker = await existingRole(bao, 'half-retired');
    const clientToken = newToken();
    const { stage, retire } = rotationSteps((await connector.read(rotateQuery('half-retired', clientToken), deadline())).touched, clientToken);
    await apply(connector, stage);
    await throughCut('/secret-id-accessor/destroy', 'after', async (cut) => {
      expect(await failureOf(apply(cut, retire, { endSessions: true }))).toMatchObject({ kind: 'ambiguous' });
    });
    expect(await connector.probe(retire, deadline())).toBe('absent');
    await apply(connector, retire, { endSessions: true });
    expect(await isAlive(bao, worker.token)).toBe(false);
    expect(await connector.probe(retire, deadline())).toBe('applied');
  });

  test('a token that is said to be denied while it is being revoked does not fail what goes over all tokens', async () => {
    await existingRole(bao, 'crowded');
    const body = JSON.stringify({ errors: ['1 error occurred:\n\t* permission denied\n\n'] });
    const denied = `HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\nconnection: close\r\n\r\n${body}`;
    const proxy = await harmingProxy(bao.port);
    const through = connectorTo(bao, proxy.port);
    proxy.arm('/lookup-accessor', { answer: denied, passOn: false });
    expect((await through.read(rotateQuery('crowded'), deadline())).seen).toEqual({ tokens: 1 });
    expect(proxy.cuts()).toBe(1);
    proxy.arm('/lookup-accessor', { answer: denied, passOn: false }, Infinity);
    expect(await failureOf(through.read(rotateQuery('crowded'), deadline()))).toMatchObject({ kind: 'rejected' });
    await proxy.close();
  });

  test('a token of the connector that is not good is refused, for every method', async () => {
    const stranger = connectorTo(bao, bao.port, 'not-a-token');
    const step = stepOf('grant', 'somebody');
    const calls = [() => stranger.read(step, deadline()), () => apply(stranger, step), () => stranger.probe(step, deadline()), () => stranger.revoke(orderOf(step), deadline())];
    for (const call of calls) expect(await failureOf(call())).toMatchObject({ kind: 'rejected' });
  });

  test('nobody listening is unreachable, for every method', async () => {
    const listener = createServer();
    await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
    const { port } = listener.address() as AddressInfo;
    await new Promise((closed) => listener.close(closed));
    const nowhere = connectorTo(bao, port);
    const step = stepOf('provision', 'nobody');
    const calls = [
      () => nowhere.read(step, deadline()), () => apply(nowhere, step), () => nowhere.probe(step, deadline()), () => nowhere.tryUse(step, SECRET, deadline()),
      () => nowhere.revoke(orderOf(step), deadline()),
    ];
    for (const call of calls) expect(await failureOf(call())).toMatchObject({ kind: 'unreachable' });
  });

  test('a server that accepts and says nothing is given up at the deadline, and what it was to change is ambiguous', async () => {
    const proxy = await cutProxy(bao.port, 'POST /v1/auth/approle/role/hushed', 'silent');
    const hushed = connectorTo(bao, proxy.port);
    const step = stepOf('provision', 'hushed');
    expect(await failureOf(hushed.apply({ step, validUntil: null, secret: SECRET, endSessions: false, signal: deadline(2_000) }))).toMatchObject({ kind: 'ambiguous' });
    expect(proxy.cuts()).toBe(1);
    await proxy.close();
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
  });

  test.each([429, 503, 307, 500, 502])('HTTP %i before anything was written is unreachable, and to a write it is ambiguous only where it may have been done', async (status) => {
    const refuse = `HTTP/1.1 ${String(status)} Odd\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n`;
    for (const path of ['GET /v1/sys/policies', 'POST /v1/identity/group/name/']) {
      await existingRole(bao, 'answered-oddly');
      const listener = createServer((client) => {
        client.on('error', () => undefined);
        client.on('data', (bytes) => {
          if (bytes.includes(path)) client.write(refuse);
          else void passOn(bao, bytes.toString('latin1')).then((answer) => client.write(answer));
        });
      });
      await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
      const odd = connectorTo(bao, (listener.address() as AddressInfo).port);
      const mayBeDone = path.startsWith('POST') && (status === 500 || status === 502);
      expect(await failureOf(apply(odd, stepOf('grant', 'answered-oddly')))).toMatchObject({ kind: mayBeDone ? 'ambiguous' : 'unreachable' });
      await new Promise<void>((closed) => listener.close(() => closed()));
    }
  });

  test('no secret is in any error, whatever fails and wherever', async () => {
    const failures: unknown[] = [];
    const collect = async (call: Promise<unknown>): Promise<void> => {
      failures.push(await failureOf(call));
    };
    for (const [index, path] of HALVES.entries()) {
      await throughCut(path, index % 2 === 0 ? 'before' : 'after', async (cut) => collect(apply(cut, stepOf('provision', 'half'))));
      for (const name of (await bao.call('LIST', 'auth/approle/role')).data['keys'] as string[]) if (name === 'half') await bao.call('DELETE', `auth/approle/role/${name}`);
    }
    await existingRole(bao, 'echoed');
    await collect(apply(connector, stepOf('provision', 'echoed')));
    await collect(apply(connectorTo(bao, bao.port, 'canary-token-of-nobody'), stepOf('provision', 'echo')));
    // A server that repeats in its complaint what it was sent, secret and token and all.
    const parrot = createServer((client) => {
      client.on('error', () => undefined);
      client.on('data', (bytes) => {
        const sent = bytes.toString('latin1');
        const body = JSON.stringify({ errors: [sent.slice(-200), sent] });
        if (sent.includes('/custom-secret-id')) client.end(`HTTP/1.1 400 Bad\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`);
        else void passOn(bao, sent).then((answer) => client.write(answer));
      });
    });
    await new Promise<void>((ready) => parrot.listen(0, '127.0.0.1', ready));
    const parroted = connectorTo(bao, (parrot.address() as AddressInfo).port);
    await collect(apply(parroted, stepOf('provision', 'echo')));
    expect(failures.at(-1)).toMatchObject({ message: expect.stringContaining('[redacted]') as string });
    await new Promise<void>((closed) => parrot.close(() => closed()));
    expect(failures).toHaveLength(7);
    for (const failure of failures) {
      expect(failure).toMatchObject({ kind: expect.stringMatching(/rejected|unreachable|ambiguous/) as string });
      const shown = inspect(failure, { depth: 20, showHidden: true }) + JSON.stringify(failure);
      for (const secret of [SECRET, bao.rootToken, 'canary-token-of-nobody']) expect(shown).not.toContain(secret);
    }
  });

  test('no secret is in the server’s log or its audit log, through a whole life', async () => {
    const step = stepOf('provision', 'logged');
    await apply(connector, step);
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
    await connector.revoke(orderOf(step), deadline());
    const logs = bao.logs();
    expect(logs).toContain(`auth/approle/role/logged/custom-secret-id`);
    for (const spelling of [SECRET, encodeURIComponent(SECRET), Buffer.from(SECRET).toString('base64')]) expect(logs).not.toContain(spelling);
  });

  test('https is spoken where the address says so, and to nobody whose certificate is not trusted', async () => {
    const heard: Buffer[] = [];
    const plain = createServer((client) => void client.on('error', () => undefined).on('data', (bytes) => {
      heard.push(bytes);
      client.destroy();
    }));
    await new Promise<void>((ready) => plain.listen(0, '127.0.0.1', ready));
    const address = `https://127.0.0.1:${String((plain.address() as AddressInfo).port)}`;
    const secure = openbaoConnector({ id: CONNECTOR, connection: { address, token: () => bao.rootToken } });
    expect(await failureOf(apply(secure, stepOf('provision', 'over-tls')))).toMatchObject({ kind: 'unreachable' });
    expect(Buffer.concat(heard).length).toBeGreaterThan(0);
    expect(Buffer.concat(heard).toString('latin1')).not.toContain(bao.rootToken);
    await new Promise<void>((closed) => plain.close(() => closed()));
  });

  test('a sealed server is unreachable, and nothing is given', async () => {
    const own = await testOpenBao(program!);
    await prepareSecrets(own);
    const sealed = connectorTo(own);
    const step = stepOf('provision', 'sealed');
    await own.call('POST', 'sys/seal', {});
    const calls = [
      () => sealed.read(step, deadline()), () => apply(sealed, step), () => sealed.probe(step, deadline()), () => sealed.tryUse(step, SECRET, deadline()),
      () => sealed.revoke(orderOf(step), deadline()),
    ];
    for (const call of calls) expect(await failureOf(call())).toMatchObject({ kind: 'unreachable' });
    await own.remove();
  });
});

/** The real server's answer to one request, as bytes. */
async function passOn(bao: TestOpenBao, request: string): Promise<string> {
  const [head = '', body = ''] = request.split('\r\n\r\n');
  const [method = 'GET', path = '/'] = head.split(' ');
  const response = await fetch(bao.address + path, { method, headers: { 'x-vault-token': bao.rootToken }, ...(method === 'GET' ? {} : { body }) });
  const text = await response.text();
  return `HTTP/1.1 ${String(response.status)} Real\r\ncontent-length: ${String(Buffer.byteLength(text))}\r\n\r\n${text}`;
}
