import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientError, connect, formatEntitlementId } from '../../src/client/index.ts';
import { ALLOWED, compiled, DENIED, DEPLOYER, DEV, NEEDS_APPROVAL } from '../support/authzen.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';

let sidecar: ServedSidecar;
beforeAll(async () => {
  sidecar = await serveTestSidecar({ pdp: await compiled() });
});
afterAll(() => sidecar.close());

describe('an evaluation', () => {
  it('is answered over the socket', async () => {
    expect(await sidecar.client(DEV).evaluate(ALLOWED)).toMatchObject({ decision: true });
    expect(await sidecar.client(DEPLOYER).evaluate(NEEDS_APPROVAL)).toMatchObject({ decision: false, context: { code: 'needs-approval' } });
    const id = formatEntitlementId({ connector: 'pg-main', target: 'app', privilege: 'role:app_owner' });
    expect(await sidecar.client(DEPLOYER).evaluate({ ...NEEDS_APPROVAL, resource: { type: 'entitlement', id } })).toMatchObject({ decision: false, context: { code: 'denied' } });
  });

  it('is one of several, in their order and as far as the semantic goes', async () => {
    const client = sidecar.client(DEV);
    expect((await client.evaluateAll([ALLOWED, DENIED, ALLOWED])).map(({ decision }) => decision)).toEqual([true, false, true]);
    expect((await client.evaluateAll([ALLOWED, DENIED, ALLOWED], 'deny_on_first_deny')).map(({ decision }) => decision)).toEqual([true, false]);
    expect(await client.evaluateAll([])).toEqual([]);
  });

  it('that is none rejects with the code', async () => {
    const error = await sidecar.client(DEV).evaluate({ ...ALLOWED, action: {} } as never).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'invalid-request', status: 400, message: expect.stringContaining('/action/name') as string });
    expect(await connect({ socket: sidecar.socket, token: 'made-up' }).evaluate(ALLOWED).catch((thrown: unknown) => thrown)).toMatchObject({ code: 'unauthenticated', status: 401 });
  });

  it.each(['{}', 'null', '{"decision":"true"}', '{"decision":1}', '{"evaluations":[{"decision":"true"}]}', '[]'])('answered by %s is no answer', async (text) => {
    const socket = join(sidecar.directory, 'other');
    const server = await new Promise<Server>((resolve) => {
      const made = createServer((_request, response) => void response.setHeader('content-type', 'application/json').end(text)).listen(socket, () => resolve(made));
    });
    const client = connect({ socket, token: 'x' });
    for (const asked of [client.evaluate(ALLOWED), client.evaluateAll([ALLOWED])]) expect(await asked.catch((thrown: unknown) => thrown)).toMatchObject({ code: 'unexpected-answer' });
    await new Promise((resolve) => server.close(resolve));
  });
});
