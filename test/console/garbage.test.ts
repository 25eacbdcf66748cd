/** What a sidecar that is stolen or broken answers: it is named, breaks no page, and keeps nobody from what is at the others. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, type ChangeView } from '../../src/client/index.ts';
import { openTestConsole, placeOf, type TestBrowser } from '../support/console.ts';
import { lyingSidecar } from '../support/lying-sidecar.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { GRANT, tokenOf } from '../support/sidecar.ts';

let honest: ServedSidecar;
let stolen: ServedSidecar;
let liar: { readonly url: string; close(): void };
let there: ChangeView;
let here: ChangeView;
let wei: TestBrowser;
/** An auditor. */
let kim: TestBrowser;
let lie: (path: string, body: string) => string = (_path, body) => body;
let statusOf = (_path: string, answered: number): number => answered;
beforeAll(async () => {
  [honest, stolen] = [await serveTestSidecar(), await serveTestSidecar()];
  liar = await lyingSidecar(stolen.socket, (path, body) => lie(path, body), (path, answered) => statusOf(path, answered));
  const console = openTestConsole([placeOf('eu', honest), { name: 'us', open: (token) => connect({ url: liar.url, token, timeoutMs: 5_000 }) }]);
  [here, there] = [await honest.change('nhi:prod/ci-deployer', GRANT), await stolen.change('nhi:prod/ci-deployer', GRANT)];
  [wei, kim] = [console.browser(), console.browser()];
  await wei.signIn(tokenOf('person:wei'));
  await kim.signIn(tokenOf('person:kim'));
});
afterAll(async () => {
  liar.close();
  await Promise.all([honest.close(), stolen.close()]);
});

const NOT_UNDERSTOOD = 'Sidecar us answered what this console does not understand.';
const GARBAGE = ['{}', 'null', '[]', '"yes"', '<html>', '{"changes":[{}],"next":null}', '{"leases":[null]}', '{"nhis":[{"id":"nhi:prod/x"}]}', '{"ready":true,"checks":[null]}'];

it.each(['/', '/changes', '/leases', '/inventory'])('lists at %s name it, and have what is at the others', async (path) => {
  lie = (_path, body) => body;
  const before = (await kim.get(path)).text;
  expect(before).not.toContain('id="troubles"><p');
  for (const garbage of GARBAGE) {
    lie = () => garbage;
    const { status, text } = await kim.get(path);
    expect([garbage, status, text.includes(NOT_UNDERSTOOD)]).toEqual([garbage, 200, true]);
    if (path === '/changes') expect(text).toContain(here.id);
  }
});

it('its own pages say so, and nothing else', async () => {
  const pages = [`/changes/us/${there.id}`, `/changes/us/${there.id}/evidence`, '/inventory/us/nhi:prod/ci-deployer', '/ledger?at=us', '/ledger/us/records/1'];
  for (const garbage of GARBAGE) {
    lie = () => garbage;
    for (const path of pages) {
      const { status, text } = await kim.get(path);
      expect([path, garbage, status]).toEqual([path, garbage, 502]);
      expect(text).toMatch(/answered what this console does not understand|cannot be read/);
    }
  }
});

it('a refusal that does not hold together decides nothing, and breaks nothing', async () => {
  lie = (path, body) => (path.endsWith('/approvals') ? '{"code":"plan-changed","detail":"no","errors":[null],"change":null}' : body);
  const { status, text } = await wei.post(`/changes/us/${there.id}/reject`, { formKey: wei.formKey(), planDigest: `sha256:${'0'.repeat(64)}`, comment: 'typed with care' });
  expect(status).not.toBe(500);
  expect(text).toContain('value="typed with care"');
});

it.each([['an answer that is none', 200, '{}'], ['what is no JSON', 200, '<html>'], ['an error of its own', 500, '{"code":"internal","detail":"x"}'], ['an answer of what is before it', 502, '<html>'], ['nothing', 0, '']])('a decision that may have been taken is not said to be none, for %s', async (_what, status, garbage) => {
  const change = await stolen.change('nhi:prod/ci-deployer', GRANT);
  lie = (path, body) => (path.endsWith('/approvals') ? garbage : body);
  statusOf = (path, answered) => (path.endsWith('/approvals') ? status : answered);
  const { text } = await wei.post(`/changes/us/${change.id}/reject`, { formKey: wei.formKey(), planDigest: change.planDigest!, comment: 'typed with care' });
  statusOf = (_path, answered) => answered;
  expect((await stolen.client('person:wei').get(change.id)).state).toBe('rejected');
  expect(text).not.toContain('Nothing was decided');
  expect(text).toContain('It may have been taken all the same');
});

it('what is new in an answer is left unread; but a plan of which something could not be shown is not shown', async () => {
  const page = `/changes/us/${there.id}`;
  lie = (path, body) => (path.includes('/v1/changes/') && body.includes('"planDigest"') ? JSON.stringify({ ...(JSON.parse(body) as object), news: { of: 'tomorrow' } }) : body);
  expect((await kim.get(page)).status).toBe(200);
  lie = (path, body) => {
    if (!path.includes('/v1/changes/') || !body.includes('"planDigest"')) return body;
    const change = JSON.parse(body) as ChangeView;
    return JSON.stringify({ ...change, plan: { ...change.plan, news: 'more access' } });
  };
  const { status, text } = await kim.get(page);
  expect([status, text.includes(NOT_UNDERSTOOD)]).toEqual([502, true]);
});

it('its own word of what ends soonest keeps nobody from what waits at the others', async () => {
  lie = (path, body) => {
    if (!path.includes('waitingForMe')) return body;
    const [one] = (JSON.parse(body) as { changes: ChangeView[] }).changes;
    const changes = Array.from({ length: 40 }, (_, n) => ({ ...one!, id: `${one!.id.slice(0, -2)}${String(n).padStart(2, '0')}`, approvalsBy: '2026-01-01T00:00:00.000Z' }));
    return JSON.stringify({ changes, next: null, count: 40 });
  };
  expect((await wei.get('/')).text).toContain(`/changes/eu/${here.id}`);
});

it('a comparison that is too long to be had leaves the rest of an identity’s page', async () => {
  lie = (_path, body) => body;
  statusOf = (path, answered) => (path.startsWith('/v1/discoveries/') ? 0 : answered);
  const { status, text } = await kim.get('/inventory/us/nhi:prod/ci-deployer');
  statusOf = (_path, answered) => answered;
  expect([status, text.includes('What it holds at the target is not known here')]).toEqual([200, true]);
  expect(text).toContain(there.id);
});

it('a file of its ledger that does not end is not read to its end', async () => {
  lie = (path, body) => (path.startsWith('/ledger/') ? 'x'.repeat(20_000_000) : body);
  const { status, text } = await kim.get('/ledger?at=us');
  expect([status, text.includes('cannot be read: a file of more than')]).toEqual([502, true]);
});
