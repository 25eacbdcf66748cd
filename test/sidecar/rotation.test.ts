import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { changeViewSchema, deliverySchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, openTestSidecar, problemIn, RECIPIENT, type Answered, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
/** A consumer that is itself a machine identity, and so can confirm for itself. */
const CONSUMER = 'nhi:dev/report-preview';
const ROTATION: ChangeRequest = {
  kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'quarterly', recipient: RECIPIENT, grace: 'PT1H',
};
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({
    decide: () => answerOf('allow'),
    facts: (facts) => ({
      ...facts, inventory: new Map([...facts.inventory].map(([id, nhi]) => [id, id === CALLER ? { ...nhi, consumers: ['deploy-pipeline', CONSUMER] } : nhi])),
    }),
  });
});
afterEach(() => sidecar.close());

const path = (change: ChangeView, rest = ''): string => `/v1/changes/${change.id}${rest}`;
const seen = async (change: ChangeView, by: string): Promise<ChangeView> => changeViewSchema.parse((await sidecar.send(by, 'GET', path(change))).body);
const until = async (change: ChangeView, by: string, ...states: ChangeView['state'][]): Promise<ChangeView> => {
  let view = await seen(change, by);
  while (!states.includes(view.state)) view = changeViewSchema.parse((await sidecar.send(by, 'GET', path(view, `?wait=PT10S&since=${view.length}`))).body);
  return view;
};
const confirm = (change: ChangeView, by: string, consumer: string): Promise<Answered> => sidecar.send(by, 'POST', path(change, '/confirmations'), { consumer });
/** A rotation whose new credential is there and fetched. */
const staged = async (): Promise<ChangeView> => {
  const change = await sidecar.change(CALLER, ROTATION);
  const { digest } = deliverySchema.parse((await sidecar.send(CALLER, 'GET', path(change, '/delivery'))).body);
  return changeViewSchema.parse((await sidecar.send(CALLER, 'POST', path(change, '/delivery'), { digest })).body);
};

describe('a rotation with overlap', () => {
  it('is staged, waits for its secret to be fetched and its consumers to confirm, switches over, and retires the old login', async () => {
    const change = await sidecar.change(CALLER, ROTATION);
    expect(change).toMatchObject({
      state: 'staged', kind: 'rotate', mode: 'executor', entitlements: [], duration: null, delivery: { status: 'sealed' },
      steps: [
        { action: 'stage', account: 'ci_deployer_b', state: 'done' }, { action: 'cutover', account: 'ci_deployer_b', state: 'waiting' },
        { action: 'retire', account: 'ci_deployer_a', state: 'waiting' },
      ],
      rotation: { overlap: 'twin', retire: 'whenUnused', oldCredential: 'valid', consumers: [{ consumer: 'deploy-pipeline', confirmed: false }, { consumer: CONSUMER, confirmed: false }] },
      waitingFor: 'the new secret has not been fetched and acknowledged yet',
    });
    expect(Date.parse(change.rotation!.graceEndsAt!) - Date.parse(change.updatedAt)).toBeGreaterThan(3_500_000);

    const { digest } = deliverySchema.parse((await sidecar.send(CALLER, 'GET', path(change, '/delivery'))).body);
    const fetched = changeViewSchema.parse((await sidecar.send(CALLER, 'POST', path(change, '/delivery'), { digest })).body);
    expect(fetched.waitingFor).toContain(`deploy-pipeline, ${CONSUMER} confirm`);

    // The consumer for itself, and for the other one who asked.
    expect((await confirm(change, CONSUMER, CONSUMER)).status).toBe(200);
    expect((await seen(change, CALLER)).rotation?.consumers).toEqual([{ consumer: 'deploy-pipeline', confirmed: false }, { consumer: CONSUMER, confirmed: true }]);
    expect((await confirm(change, CALLER, 'deploy-pipeline')).status).toBe(200);
    expect(await until(change, CALLER, 'done')).toMatchObject({ rotation: { oldCredential: 'gone' }, waitingFor: null, steps: [{ state: 'done' }, { state: 'done' }, { state: 'done' }] });
  });

  it('is confirmed by the consumer itself, who asked, or an owner, and by nobody else', async () => {
    const change = await staged();
    expect(problemIn(await confirm(change, 'person:mallory', 'deploy-pipeline'))).toMatchObject({ status: 404, code: 'no-such-change' });
    expect(problemIn(await confirm(change, 'nhi:prod/billing-export', 'deploy-pipeline'))).toMatchObject({ status: 404, code: 'no-such-change' });
    expect(problemIn(await confirm(change, 'person:kim', 'deploy-pipeline'))).toMatchObject({ status: 403, code: 'not-a-consumer' });
    expect(problemIn(await confirm(change, CONSUMER, 'deploy-pipeline'))).toMatchObject({ status: 403, code: 'not-a-consumer' });
    expect((await confirm(change, 'person:wei', 'deploy-pipeline')).status).toBe(200);
  });

  it('is confirmed by those whom the plan names, once there is something to confirm, and as often as they like', async () => {
    const change = await staged();
    expect(problemIn(await confirm(change, CALLER, 'somebody-else'))).toMatchObject({ status: 409, code: 'not-expected' });
    const first = changeViewSchema.parse((await confirm(change, CALLER, 'deploy-pipeline')).body);
    expect(changeViewSchema.parse((await confirm(change, CALLER, 'deploy-pipeline')).body).length).toBe(first.length);
    sidecar.executor.acting = false;
    const waiting = changeViewSchema.parse((await sidecar.send(CALLER, 'POST', '/v1/changes', { ...ROTATION, reason: 'again' })).body);
    expect(problemIn(await confirm(waiting, CALLER, 'deploy-pipeline'))).toMatchObject({ status: 409, code: 'not-expected' });
  });

  it.each([[{}], [{ consumer: '' }], [{ consumer: 'a\nb' }], [{ consumer: 'x'.repeat(129) }], [{ consumer: 'deploy-pipeline', by: 'person:wei' }], [null]])('%j confirms nothing', async (body) => {
    const change = await staged();
    expect(problemIn(await sidecar.send(CALLER, 'POST', path(change, '/confirmations'), body)).code).toBe('invalid-request');
  });

  it('lets its consumers see the change, and never its secret', async () => {
    const change = await sidecar.change(CALLER, ROTATION);
    expect((await seen(change, CONSUMER)).state).toBe('staged');
    expect((await sidecar.send(CONSUMER, 'GET', path(change, '/delivery'))).status).toBe(404);
  });

  it('is one at a time at its target: the next one says what it waits for', async () => {
    const first = await staged();
    const second = changeViewSchema.parse((await sidecar.send(CALLER, 'POST', '/v1/changes', { ...ROTATION, reason: 'too soon' })).body);
    const waiting = await until(second, CALLER, 'scheduled');
    expect((await seen(waiting, CALLER)).waitingFor).toBe(`${first.id} has the target app at pg-main`);
  });
});

describe('an offboarding', () => {
  it('of a third party shuts out its accounts, item by item, each a change of its own', async () => {
    const change = await sidecar.change('person:wei', { kind: 'offboard', subject: 'thirdParty:northwind-analytics', reason: 'the contract is over' });
    const done = await until(change, 'person:wei', 'done');
    expect(done).toMatchObject({ kind: 'offboard', purpose: 'offboarding', steps: [], executor: null, items: [{ kind: 'account', nhi: 'nhi:prod/warehouse-sync', account: 'warehouse_sync', outcome: 'gone' }] });
    const child = changeViewSchema.parse((await sidecar.send('person:wei', 'GET', `/v1/changes/${done.items[0]!.change!}`)).body);
    expect(child).toMatchObject({ kind: 'disable', parent: change.id, state: 'done', steps: [{ action: 'disable', account: 'warehouse_sync', state: 'done' }] });
    const listed = (await sidecar.send('person:wei', 'GET', '/v1/changes?kind=disable')).body as { changes: ChangeView[] };
    expect(listed.changes.map(({ id }) => id)).toEqual([child.id]);
  });

  it('shows what is not gone yet, and is seen by those who answer for it, not by who is offboarded', async () => {
    sidecar.executor.acting = false;
    const change = changeViewSchema.parse((await sidecar.send('person:wei', 'POST', '/v1/changes', { kind: 'offboard', subject: 'person:ben', reason: 'leaves' })).body);
    const view = await until(change, 'person:wei', 'executing');
    expect(view.items.find((item) => item.kind === 'account')).toMatchObject({ nhi: 'nhi:prod/warehouse-sync', outcome: null });
    // Ana stands in for Ben's identity; Olga is in security.
    for (const by of ['person:ana', 'person:olga']) expect((await seen(change, by)).id).toBe(change.id);
    expect((await sidecar.send('person:mallory', 'GET', path(change))).status).toBe(404);
  });

  it.each(['team:x', 'thirdParty:', 'thirdParty:Northwind', 'ben', 'nhi:prod'])('of %s is none', async (subject) => {
    const answered = await sidecar.send('person:wei', 'POST', '/v1/changes', { kind: 'offboard', subject, reason: 'x' });
    expect(problemIn(answered)).toMatchObject({ code: 'invalid-request', errors: [{ pointer: '/subject' }] });
  });
});
