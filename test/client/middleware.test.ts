import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { Hono, type Context } from 'hono';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type ChangeView, type Client, type LeasedRequest } from '../../src/client/index.ts';
import { access, accessOf } from '../../src/client/middleware/hono.ts';
import type { RequestAccess } from '../../src/client/middleware/hold.ts';
import { sealSecret } from '../../src/executor/seal.ts';
import { FRAMEWORKS, type Guarded, type Guarding, type Work } from '../support/guarded.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, GRANT, PROVISION } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const LEASED = GRANT as LeasedRequest & { kind: 'grant' };
const READ: LeasedRequest & { kind: 'grant' } = { ...LEASED, subject: 'nhi:dev/report-preview', entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }] };
const { recipient: _recipient, ...SECRET } = { ...PROVISION, duration: 'PT15M' };
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe.each(FRAMEWORKS)('a route of %s that runs inside an access change', (_name, open) => {
  let sidecar: ServedSidecar;
  let client: Client;
  let server: Guarded | null = null;
  beforeEach(async () => {
    // What the deployer asks for needs Wei; the previewer’s is allowed; the exporter’s is denied where it says so.
    sidecar = await serveTestSidecar({ decide: ({ change }) => (change.subject === 'nhi:dev/report-preview' || change.kind === 'provision' ? answerOf('allow') : change.purpose === 'nightly-billing' ? answerOf('deny') : answerOf('needsApproval', 'person:wei')) });
    client = sidecar.client(CALLER);
  });
  afterEach(async () => {
    await server?.close();
    server = null;
    await sidecar.close();
  });
  const guard = async (guarding: Partial<Guarding>, work: Work = async ({ account }) => account): Promise<string> => {
    server = await open({ client, change: () => READ, ...guarding }, work);
    return `${server.url}/guarded`;
  };
  const only = async (): Promise<ChangeView> => {
    const { changes } = await sidecar.client('person:sam').list();
    expect(changes).toHaveLength(1);
    return changes[0]!;
  };
  /** The one change, once it has come to that; it must. */
  const came = async (to: ChangeView['state']): Promise<ChangeView> => {
    const change = await sidecar.client('person:sam').wait((await only()).id, { until: ({ state }) => state === to, timeoutMs: 10_000 });
    expect(change.state).toBe(to);
    return change;
  };
  const ended = (): Promise<ChangeView> => came('revoked');
  const never = (): never => expect.unreachable('the handler ran');

  it('has the access while its handler runs, and gives it back once the response is over', async () => {
    let during: ChangeView | null = null;
    let given: RequestAccess | null = null;
    const url = await guard({}, async (access) => {
      given = access;
      during = await sidecar.client('person:sam').get(access.changeId);
      return access.account;
    });
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([200, 'report_preview']);
    expect(during).toMatchObject({ state: 'active', lease: { leaseId: given!.leaseId, endsAt: given!.endsAt, active: true } });
    expect(given).toMatchObject({ account: 'report_preview', connector: 'pg-dev', target: 'app_dev', secret: null });
    await ended();
    expect(given!.signal.aborted).toBe(true);
  });

  it('asks anew for each request', async () => {
    const url = await guard({});
    for (let n = 0; n < 3; n += 1) expect((await fetch(url)).status).toBe(200);
    expect((await sidecar.client('person:sam').list()).changes).toHaveLength(3);
  });

  it('waits for approval', async () => {
    const url = await guard({ change: () => LEASED });
    const response = fetch(url);
    await pending(sidecar, async ({ id, planDigest }) => sidecar.client('person:wei').approve(id, planDigest!));
    expect((await response).status).toBe(200);
    expect((await ended()).approvals).toHaveLength(1);
  });

  it('keeps the access until the last byte of a stream is taken', async () => {
    let started: (controller: ReadableStreamDefaultController<Uint8Array>) => void;
    const running = new Promise<ReadableStreamDefaultController<Uint8Array>>((resolve) => void (started = resolve));
    const url = await guard({}, async () => new ReadableStream({ start: started }));
    const response = fetch(url);
    const push = await running;
    push.enqueue(bytes('first '));
    const reader = (await response).body!.getReader();
    expect(Buffer.from((await reader.read()).value).toString()).toBe('first ');
    expect(await only()).toMatchObject({ state: 'active', ended: null });
    push.enqueue(bytes('last'));
    push.close();
    expect(Buffer.from((await reader.read()).value).toString()).toBe('last');
    expect((await reader.read()).done).toBe(true);
    await ended();
  });

  it('gives it back when nobody waits for the rest of the answer, and tells the handler', async () => {
    let given: RequestAccess | null = null;
    const url = await guard({}, async (access) => {
      given = access;
      return new ReadableStream({ pull: (controller) => controller.enqueue(bytes('x'.repeat(65_536))) });
    });
    await new Promise<void>((resolve, reject) => {
      const request = get(url, (response) => response.once('data', () => {
        request.destroy();
        resolve();
      }));
      request.once('error', reject);
    });
    await ended();
    expect(given!.signal.aborted).toBe(true);
  });

  it('gives it back after an answer that has no body', async () => {
    const url = await guard({});
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    await ended();
  });

  it('gives it back when its handler throws, whose error is the framework’s', async () => {
    const url = await guard({}, async () => Promise.reject(new Error('mine')));
    const response = await fetch(url);
    expect(response.status).toBe(500);
    expect(await response.text()).toContain('mine');
    await ended();
  });

  it('does not run what is denied: 403, with the reasons', async () => {
    const url = await guard({ change: () => ({ ...LEASED, purpose: 'nightly-billing' }) }, never);
    const response = await fetch(url);
    expect([response.status, response.headers.get('content-type')]).toEqual([403, expect.stringMatching(/^application\/problem\+json/) as string]);
    expect(await response.json()).toMatchObject({ status: 403, code: 'denied', change: (await only()).id, reasons: [{ code: 'exceeds-purpose' }] });
  });

  it('does not run what is rejected: 403', async () => {
    const url = await guard({ change: () => LEASED }, never);
    const response = fetch(url);
    await pending(sidecar, async ({ id, planDigest }) => sidecar.client('person:wei').reject(id, planDigest!, 'not tonight'));
    expect((await response).status).toBe(403);
    expect(await (await response).json()).toMatchObject({ code: 'rejected' });
  });

  it('does not run what nobody decides in time: 503, and it is withdrawn', async () => {
    const url = await guard({ change: () => LEASED, timeoutMs: 200 }, never);
    const response = await fetch(url);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '30']);
    expect(await response.json()).toMatchObject({ code: 'still-pending' });
    expect(await only()).toMatchObject({ state: 'withdrawn' });
  });

  it('does not run for whom it waits for nothing: the request is withdrawn', async () => {
    const url = await guard({ change: () => LEASED }, never);
    const request = get(url);
    request.once('error', () => undefined);
    await pending(sidecar, () => request.destroy());
    await came('withdrawn');
  });

  it('does not run while nobody can be asked: 503, without a word of where the sidecar is', async () => {
    const url = await guard({ client: connect({ socket: join(sidecar.directory, 'nobody'), token: 'x' }), timeoutMs: 100 }, never);
    const response = await fetch(url);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '30']);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'unavailable' });
    expect(text).not.toContain(sidecar.directory);
  });

  it('a question that the sidecar calls wrong is a mistake of ours: the framework’s 500', async () => {
    const url = await guard({ change: () => ({ ...LEASED, subject: 'nobody' }) }, never);
    expect((await fetch(url)).status).toBe(500);
    expect((await sidecar.client('person:sam').list()).changes).toEqual([]);
  });

  it('what the change is made from may throw: the framework’s 500, and nothing is asked', async () => {
    const url = await guard({ change: () => Promise.reject(new Error('no such tenant')) }, never);
    expect((await fetch(url)).status).toBe(500);
    expect((await sidecar.client('person:sam').list()).changes).toEqual([]);
  });

  it('hands over the secret of a new account, which nobody else can open, and says that it was received', async () => {
    const recipients: string[] = [];
    sidecar.executor.seal = async (recipient) => {
      recipients.push(recipient);
      return sealSecret('correct horse', recipient);
    };
    client = sidecar.client('nhi:prod/billing-export');
    const url = await guard({ change: () => SECRET }, async ({ secret, account }) => `${account} ${secret!}`);
    expect(await (await fetch(url)).text()).toMatch(/^billing_export_\w+ correct horse$/);
    await fetch(url);
    expect(new Set(recipients).size).toBe(2);
    for (const change of (await sidecar.client('person:sam').list()).changes) expect(change.delivery).toMatchObject({ status: 'acknowledged' });
  });

  it('does not run with a secret that it cannot open, and gives the access back', async () => {
    client = sidecar.client('nhi:prod/billing-export');
    const url = await guard({ change: () => SECRET }, never);
    expect((await fetch(url)).status).toBe(500);
    await ended();
  });

  it('says so where the access could not be given back, and the answer stands', async () => {
    const told: unknown[] = [];
    const url = await guard({ client: { ...client, revoke: () => Promise.reject(new Error('no')) }, onNotReleased: (error) => void told.push(error) });
    expect((await fetch(url)).status).toBe(200);
    await expect.poll(() => told.length, { timeout: 10_000, interval: 5 }).toBe(1);
    expect(told).toMatchObject([{ code: 'not-released', ran: true }]);
  });

  it('has no access that was not asked for', async () => {
    await guard({});
    const response = await fetch(`${server!.url}/open`);
    expect([response.status, await response.text()]).toEqual([500, expect.stringContaining('no access is held') as string]);
  });
});

/** Does something with the one change, once it waits for approval. */
async function pending(sidecar: ServedSidecar, then: (change: ChangeView) => unknown): Promise<void> {
  const viewer = sidecar.client('person:sam');
  await expect.poll(async () => (await viewer.list()).changes[0]?.state, { timeout: 10_000, interval: 5 }).toBe('pending');
  await then((await viewer.list()).changes[0]!);
}

it('tells the handler when the lease ends before it does', async () => {
  const sidecar = await serveTestSidecar({ decide: () => answerOf('allow') });
  const app = new Hono().get('/guarded', access<Context>({ client: sidecar.client(CALLER), change: () => ({ ...READ, duration: 'PT1S' }) }), async (c) => {
    const { endsAt, signal } = accessOf(c);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return c.text(String(Date.now() >= Date.parse(endsAt) - 50));
  });
  expect(await (await app.request('/guarded')).text()).toBe('true');
  await sidecar.close();
});

it('a route of Hono gives it back after HEAD, whose body nobody takes, whatever serves it', async () => {
  const sidecar = await serveTestSidecar({ decide: () => answerOf('allow') });
  const app = new Hono().get('/guarded', access<Context>({ client: sidecar.client(CALLER), change: () => READ }), (c) => c.text(accessOf(c).account));
  expect((await app.request('/guarded', { method: 'HEAD' })).status).toBe(200);
  const { changes } = await sidecar.client('person:sam').list();
  expect((await sidecar.client('person:sam').wait(changes[0]!.id, { until: ({ state }) => state === 'revoked', timeoutMs: 10_000 })).state).toBe('revoked');
  await sidecar.close();
});

describe('the doors of the package', () => {
  it.each(['hono', 'express', 'fastify'])('countersign/%s is there, and needs no framework', (name) => {
    const root = join(import.meta.dirname, '../..');
    const { exports, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { default: string }>; dependencies: Record<string, string> };
    const source = readFileSync(join(root, exports[`./${name}`]!.default.replace('./dist/', '').replace(/\.js$/, '.ts')), 'utf8');
    expect(source).not.toMatch(/^import .* from '(?!\.)/m);
    expect(Object.keys(dependencies)).not.toContain(name === 'hono' ? 'express' : name);
  });
});
