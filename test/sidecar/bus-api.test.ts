/** The API as it is answered over the bus: the same app, the same tokens, and only what people do and read. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiCall } from '../../src/protocol/api-call.ts';
import { answererOf, BUS_OPERATIONS } from '../../src/sidecar/bus-api.ts';
import { ROUTES, type OperationId } from '../../src/sidecar/routes.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, tokenOf, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openTestSidecar();
});
afterAll(() => sidecar.close());

const ask = (by: string | null, method: ApiCall['method'], path: string, body: object | null = null, edit: Partial<ApiCall> = {}): Promise<Response> =>
  answererOf((request, env) => sidecar.app.fetch(request, env))({
    v: 1, log: sidecar.log.logId, id: '0'.repeat(32), expiresAt: '2026-11-23T19:05:00.000Z', answerTo: `age1${'q'.repeat(58)}`, method, path, query: '',
    headers: { ...(by === null ? {} : { authorization: `Bearer ${tokenOf(by)}` }), ...(body === null ? {} : { 'content-type': 'application/json' }) },
    body: body === null ? null : Buffer.from(JSON.stringify(body)).toString('base64'), ...edit,
  });
const codeOf = async (answered: Promise<Response>): Promise<unknown> => ((await (await answered).json()) as { code: unknown }).code;

describe('a call over the bus', () => {
  it('is whoever its token says, and without one nobody', async () => {
    expect(await (await ask('person:wei', 'GET', '/v1/me')).json()).toMatchObject({ principal: 'person:wei' });
    expect(await codeOf(ask(null, 'GET', '/v1/me'))).toBe('unauthenticated');
    expect(await codeOf(ask(null, 'GET', '/v1/me', null, { headers: { authorization: 'Bearer cst_made-up' } }))).toBe('unauthenticated');
    expect((await ask(null, 'GET', '/readyz')).status).toBe(200);
  });

  it('is held to what HTTP is held to: roles, queries, bodies, sizes', async () => {
    const change = await sidecar.change(CALLER, GRANT);
    const approvals = `/v1/changes/${change.id}/approvals`;
    const verdict = { verdict: 'approve', planDigest: change.planDigest };
    expect(await codeOf(ask('person:sam', 'POST', approvals, verdict))).toBe('role-required');
    expect(await codeOf(ask('person:wei', 'POST', approvals, { ...verdict, as: 'person:ana' }))).toBe('invalid-request');
    expect(await codeOf(ask('person:wei', 'POST', approvals, verdict, { headers: { authorization: `Bearer ${tokenOf('person:wei')}` } }))).toBe('unsupported-media-type');
    expect(await codeOf(ask('person:wei', 'POST', approvals, { ...verdict, comment: 'x'.repeat(65_536) }))).toBe('body-too-large');
    expect(await codeOf(ask('person:wei', 'GET', '/v1/changes', null, { query: 'limit=1&limit=2' }))).toBe('malformed-query');
    expect(((await (await ask('person:wei', 'GET', '/v1/changes', null, { query: 'limit=1' })).json()) as { changes: ChangeView[] }).changes).toHaveLength(1);
    expect(await (await ask('person:wei', 'POST', approvals, verdict)).json()).toMatchObject({ id: change.id, approvals: [{ approver: 'person:wei' }] });
  });

  it.each([
    ['what a caller asks for', 'POST', '/v1/changes'], ['a sealed secret', 'GET', '/v1/changes/chg_x/delivery'], ['a ticket', 'GET', '/v1/changes/chg_x/ticket'], ['what is counted', 'GET', '/metrics'],
    ['erasing', 'POST', '/v1/erasures'], ['comparing', 'POST', '/v1/reconciliations'], ['a verdict for another log', 'POST', '/v1/verdicts'], ['AuthZEN', 'POST', '/access/v1/evaluation'], ['Slack', 'POST', '/channels/slack'],
    ['the page for approvers', 'GET', '/approve'], ['what is not there', 'GET', '/v1/nothing'], ['another method', 'POST', '/v1/me'],
    ['another spelling', 'GET', '/v1/changes/../me'], ['another spelling', 'GET', '/v1//me'], ['another spelling', 'GET', '/v1/%6de'], ['another host', 'GET', '//elsewhere.example/v1/me'], ['a backslash', 'GET', String.raw`/\elsewhere.example`],
    ['what is there by another way', 'GET', '/ledger/tile/../../v1/changes/chg_x/delivery'], ['what is there by another way', 'GET', '/ledger/tile/%2e%2e/%2E./metrics'],
  ] as const)('is no way to %s', async (_what, method, path) => {
    const answered = await ask('person:olga', method, path, method === 'POST' ? {} : null);
    expect([answered.status, await answered.json()]).toMatchObject([404, { code: 'not-found' }]);
  });

  it('is for what people do and read: what a route is for that is not there says why', () => {
    const left = (Object.keys(ROUTES) as OperationId[]).filter((operation) => !(BUS_OPERATIONS as readonly string[]).includes(operation));
    expect(left.sort()).toEqual([
      // Of callers: their requests, secrets and runs.
      'acknowledgeDelivery', 'confirmConsumer', 'extendChange', 'getDelivery', 'getTicket', 'postReport', 'requestChange', 'reviseChange',
      // Of operators and other sidecars, or of nobody who signs in.
      'erase', 'getApprovePage', 'getHealth', 'getMetrics', 'getOpenApi', 'reconcile', 'relayVerdict',
    ].sort());
  });
});
