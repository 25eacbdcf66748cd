/** `POST /v1/changes/{id}/extend`, from its body to the lease that it moves, against a scripted executor. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { payloadDigest, readPayload } from '../../src/protocol/dsse.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { revokeOrderSchema } from '../../src/protocol/signed.ts';
import { changeViewSchema, evidenceSchema, leaseListSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, PROVISION, usualPolicy, type Answered, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const BODY = { duration: 'PT1H', reason: 'it takes longer' };
let sidecar: TestSidecar;
let asked: ChangeInput[] = [];
let verdict: 'allow' | 'deny' = 'allow';
beforeEach(async () => {
  asked = [];
  verdict = 'allow';
  sidecar = await openTestSidecar({
    decide(input) {
      asked.push(input);
      return usualPolicy(input);
    },
  });
});
afterEach(() => sidecar.close());

const extend = (id: string, body: object = BODY, by = CALLER, headers: Record<string, string> = {}): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/extend?wait=PT10S`, body, headers);
const seen = async (id: string): Promise<ChangeView> => changeViewSchema.parse((await sidecar.send('person:sam', 'GET', `/v1/changes/${id}`)).body);
const until = async (id: string, reached: (change: ChangeView) => boolean): Promise<ChangeView> => {
  let view = await seen(id);
  while (!reached(view)) view = changeViewSchema.parse((await sidecar.send('person:sam', 'GET', `/v1/changes/${id}?wait=PT10S&since=${view.length}`)).body);
  return view;
};
const approve = (change: ChangeView): Promise<Answered> => sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest });
/** Access that was asked for, approved and given. */
const active = async (request: ChangeRequest = GRANT, by = CALLER): Promise<ChangeView> => {
  const change = await sidecar.change(by, request);
  if (change.state === 'pending') expect((await approve(change)).status).toBe(200);
  return until(change.id, ({ state }) => state === 'active');
};
const typesOf = async (id: string): Promise<string[]> => evidenceSchema.parse((await sidecar.send('person:sam', 'GET', `/v1/changes/${id}/evidence`)).body).records.map(({ type }) => type);

describe('a later end', () => {
  it('is a change of its own, decided and approved, and moves the end of the other’s lease; only then is the earlier order disarmed', async () => {
    const change = await active();
    const answered = await extend(change.id);
    expect(answered.status).toBe(201);
    const pending = changeViewSchema.parse(answered.body);
    expect(answered.headers.get('location')).toBe(`/v1/changes/${pending.id}`);
    expect(pending).toMatchObject({
      kind: 'extend', state: 'pending', subject: GRANT.subject, purpose: GRANT.purpose, entitlements: GRANT.entitlements, duration: 'PT1H', extends: { change: change.id, endsAt: null },
      plan: { extends: { change: change.id, epoch: 2 }, steps: [{ action: 'extend', gave: 'grant', clientToken: change.plan!.steps[0]!.clientToken }] }, lease: null,
    });
    expect((await seen(change.id)).lease).toEqual(change.lease);
    expect(asked.at(-1)?.change.extends).toMatchObject({ changeId: change.id, subject: GRANT.subject, running: true, epoch: 1, nextEpoch: 2, endsAtMs: Date.parse(change.lease!.endsAt) });

    expect((await approve(pending)).status).toBe(200);
    const done = await until(pending.id, ({ state }) => state === 'done');
    await vi.waitFor(() => expect(sidecar.executor.disarmed).toHaveLength(1), 10_000);
    const extended = await until(change.id, ({ length }) => length === change.length + 2);
    expect(extended).toMatchObject({ state: 'active', lease: { endsAt: done.extends!.endsAt, armed: true, active: true } });
    expect(Date.parse(extended.lease!.endsAt)).toBeGreaterThan(Date.parse(change.lease!.endsAt));
    expect((await typesOf(change.id)).slice(-2)).toEqual(['lease.extended', 'lease.disarmed']);
    const order = sidecar.executor.armed.map((one) => readPayload(one, revokeOrderSchema)).at(-1);
    expect(order).toMatchObject({ changeId: change.id, epoch: 2, cause: 'leaseEnd', action: 'grant', notBefore: extended.lease!.endsAt });
    expect(payloadDigest(sidecar.executor.disarmed[0]!)).toBe(payloadDigest(sidecar.executor.armed[0]!));
    const { leases } = leaseListSchema.parse((await sidecar.send(CALLER, 'GET', '/v1/leases')).body);
    expect(leases).toMatchObject([{ changeId: change.id, endsAt: extended.lease!.endsAt }]);
  });

  it('is asked for by a request of that kind as well, and again', async () => {
    const change = await active();
    const request: ChangeRequest = { kind: 'extend', change: change.id, subject: GRANT.subject, purpose: GRANT.purpose, entitlements: GRANT.entitlements, duration: 'PT2H', reason: 'by request' };
    for (const epoch of [2, 3]) {
      const extension = await sidecar.change(CALLER, epoch === 2 ? request : { ...request, duration: 'PT3H' });
      await approve(extension);
      await until(extension.id, ({ state }) => state === 'done');
      expect((await seen(extension.id)).plan?.extends).toEqual({ change: change.id, epoch });
    }
    expect(readPayload(sidecar.executor.armed.at(-1)!, revokeOrderSchema).epoch).toBe(3);
  });

  it('is recorded once for one Idempotency-Key', async () => {
    const change = await active();
    const first = changeViewSchema.parse((await extend(change.id, BODY, CALLER, { 'idempotency-key': '"k"' })).body);
    const again = changeViewSchema.parse((await extend(change.id, BODY, CALLER, { 'idempotency-key': '"k"' })).body);
    expect(again.id).toBe(first.id);
    expect(problemIn(await extend(change.id, { ...BODY, duration: 'PT2H' }, CALLER, { 'idempotency-key': '"k"' }))).toMatchObject({ status: 422, code: 'idempotency-key-reused' });
  });

  it('that policy refuses leaves the end, and says why', async () => {
    const change = await active(PROVISION, 'nhi:prod/billing-export');
    await sidecar.close();
    sidecar = await openTestSidecar({ decide: (input) => (input.change.kind === 'extend' ? answerOf('deny') : answerOf('allow')) });
    const again = await active(PROVISION, 'nhi:prod/billing-export');
    const denied = changeViewSchema.parse((await extend(again.id, BODY, 'nhi:prod/billing-export')).body);
    expect(denied.state).toBe('denied');
    expect((await seen(again.id)).lease).toEqual(again.lease);
    expect(change.state).toBe('active');
  });

  it('leaves no earlier order disarmed while the transport cannot be reached, and tries again', async () => {
    const change = await active();
    let failures = 0;
    const disarm = sidecar.executor.disarm.bind(sidecar.executor);
    sidecar.executor.disarm = (audience, order) => {
      failures += 1;
      return failures < 3 ? Promise.reject(new Error('not there')) : disarm(audience, order);
    };
    const pending = changeViewSchema.parse((await extend(change.id)).body);
    await approve(pending);
    await vi.waitFor(() => expect(sidecar.executor.disarmed).toHaveLength(1), 20_000);
    expect(await typesOf(change.id)).toContain('lease.disarmed');
    expect(failures).toBe(3);
  });
});

describe('an extension that comes to nothing', () => {
  it('when its lease was revoked meanwhile: policy is told so before the step', async () => {
    const change = await active();
    const pending = changeViewSchema.parse((await extend(change.id)).body);
    await sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/revoke`, {});
    await until(change.id, ({ state }) => state === 'revoked');
    await approve(pending);
    await vi.waitFor(() => expect(asked.at(-1)).toMatchObject({ phase: 'dispatch', change: { extends: { running: false } } }), 10_000);
    // Even a policy that has nothing against it gives nothing.
    const denied = await until(pending.id, ({ state }) => state === 'denied');
    expect(denied.decision?.reasons).toMatchObject([{ code: 'lease-not-running', rule: 'engine' }]);
    expect(sidecar.executor.armed).toHaveLength(1);
  });

  it('because what was read is not what was decided: the earlier end is ordered in a form that no epoch voids', async () => {
    await sidecar.close();
    sidecar = await openTestSidecar({
      pdp: {
        bundle: `sha256:${'b'.repeat(64)}`, decide: async () => answerOf('allow'), schedule: async () => ({ window: null, reasons: answerOf('allow').reasons }),
        reconcile: async () => ({ propose: null, reasons: answerOf('allow').reasons, controls: [] }), redecide: async () => ({ effect: 'keep', reasons: answerOf('allow').reasons, controls: [] }), accept: async () => ({ effect: 'accept', reasons: answerOf('allow').reasons, controls: [] }),
        verify: async ({ kind }) => ({ effect: kind === 'extend' ? verdict : 'allow', reasons: answerOf('allow').reasons, controls: [] }), close: () => Promise.resolve(),
      },
    });
    verdict = 'deny';
    const change = await active();
    sidecar.executor.acting = true;
    const extension = changeViewSchema.parse((await extend(change.id)).body);
    const failed = await until(extension.id, ({ state }) => state === 'failed');
    expect(failed.findings.map(({ code }) => code)).toEqual(['verification-failed']);
    await vi.waitFor(() => expect(sidecar.executor.orders).toHaveLength(1), 10_000);
    expect(readPayload(sidecar.executor.orders[0]!, revokeOrderSchema)).toMatchObject({ changeId: change.id, cause: 'compensation', notBefore: change.lease!.endsAt, epoch: 2 });
    expect(sidecar.executor.disarmed).toEqual([]);
    expect(await typesOf(change.id)).not.toContain('lease.extended');
  });
});

describe('what cannot be extended', () => {
  it('is refused at once, with nothing recorded', async () => {
    const change = await sidecar.change(CALLER, GRANT);
    expect(problemIn(await extend(change.id))).toMatchObject({ status: 409, code: 'not-extendable', detail: expect.stringContaining('nothing that ends') as string });
    const given = await active();
    const extension = changeViewSchema.parse((await extend(given.id)).body);
    expect(problemIn(await extend(extension.id))).toMatchObject({ status: 409, code: 'not-extendable' });
    await sidecar.send('person:wei', 'POST', `/v1/changes/${given.id}/revoke`, {});
    await until(given.id, ({ state }) => state === 'revoked');
    expect(problemIn(await extend(given.id))).toMatchObject({ status: 409, code: 'not-extendable', detail: expect.stringContaining('does not run') as string });
    const disable = await sidecar.change(CALLER, { kind: 'disable', subject: CALLER, connector: 'pg-main', target: 'app', reason: 'over' });
    expect(problemIn(await extend(disable.id))).toMatchObject({ status: 409, code: 'not-extendable' });
  });

  it('is no one’s else: another identity’s lease is not there for it, and what is named beside must be what was given', async () => {
    const change = await active();
    expect(problemIn(await extend(change.id, BODY, 'nhi:dev/report-preview'))).toMatchObject({ status: 404, code: 'no-such-change' });
    const request = { kind: 'extend', change: change.id, subject: GRANT.subject, purpose: GRANT.purpose, entitlements: GRANT.entitlements, duration: 'PT1H', reason: 'mine' };
    const ask = (edit: object, by = CALLER): Promise<Answered> => sidecar.send(by, 'POST', '/v1/changes', { ...request, ...edit });
    expect(problemIn(await ask({ subject: 'nhi:prod/billing-export' }))).toMatchObject({ status: 409, code: 'not-extendable' });
    expect(problemIn(await ask({ entitlements: [{ ...GRANT.entitlements[0], privilege: 'role:admin' }] }))).toMatchObject({ status: 409, code: 'not-extendable' });
    expect(problemIn(await ask({}, 'nhi:dev/report-preview'))).toMatchObject({ status: 404, code: 'no-such-change' });
    expect(problemIn(await ask({ change: `chg_${'0'.repeat(16)}_${'0'.repeat(26)}` }))).toMatchObject({ status: 404, code: 'no-such-change' });
  });

  it('takes a duration and a reason, and nothing else', async () => {
    const change = await active();
    for (const body of [{}, { duration: 'PT1H' }, { reason: 'no end' }, { ...BODY, duration: 'an hour' }, { ...BODY, caller: { key: 'x', timeout: 'PT1M' } }, { ...BODY, subject: CALLER }, { ...BODY, endsBy: 'tomorrow' }]) {
      expect(problemIn(await extend(change.id, body)).status, JSON.stringify(body)).toBe(422);
    }
    expect((await sidecar.send('person:kim', 'POST', `/v1/changes/${change.id}/extend`, BODY)).status).toBe(403);
  });
});
