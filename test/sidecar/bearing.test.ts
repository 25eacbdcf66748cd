/** What `GET /v1/changes/{id}` says beside a plan. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bearingOf } from '../../src/sidecar/bearing.ts';
import { changeViewSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let effect: 'allow' | 'needsApproval' | 'deny';
beforeEach(async () => {
  effect = 'allow';
  sidecar = await openTestSidecar({ decide: () => answerOf(effect, effect === 'needsApproval' ? { anyOf: ['person:wei', 'person:mallory'] } : null) });
});
afterEach(() => sidecar.close());

const ask = (edit: object, by = DEPLOYER): Promise<ChangeView> => sidecar.change(by, { ...GRANT, ...edit });
const seen = async (change: ChangeView, by = 'person:wei'): Promise<ChangeView> => changeViewSchema.parse((await sidecar.send(by, 'GET', `/v1/changes/${change.id}`)).body);

it('has what the identity is, what it held of the plan, and the last change of the same kind and system', async () => {
  const first = await ask({ reason: 'first', duration: 'PT1H' });
  expect(first.state).toBe('active');
  expect((await seen(first)).bearing!.last).toBeNull();
  effect = 'deny';
  await ask({ reason: 'never' });
  effect = 'allow';
  const second = await ask({ reason: 'second', duration: 'PT8H' });
  expect((await seen(second)).bearing).toEqual({
    identity: { environment: 'prod', riskTier: sidecar.facts.inventory.get(DEPLOYER)!.riskTier, consumers: sidecar.facts.inventory.get(DEPLOYER)!.consumers }, held: { privileges: [], others: 0, otherNames: [] },
    last: { change: first.id, at: expect.any(String) as string, leaseSeconds: 3600, entitlements: GRANT.entitlements, recipient: null },
  });
  // The one before it, not the one after it.
  expect((await seen(first)).bearing!.last).toBeNull();
});

it('is of changes that did something, of this identity and kind alone', async () => {
  effect = 'needsApproval';
  const waiting = await ask({ reason: 'waits' });
  expect(waiting.state).toBe('pending');
  effect = 'deny';
  await ask({ reason: 'never' });
  effect = 'allow';
  // Another identity's, and another kind: both came to something at the same system.
  const others = [await ask({ subject: 'nhi:prod/orders-api', reason: 'another identity' }), await sidecar.change(DEPLOYER, { ...PROVISION, subject: DEPLOYER, purpose: 'deploy-orders' })];
  expect(others.map(({ state }) => state)).toEqual(['active', 'active']);
  const next = await ask({ reason: 'next' });
  expect((await seen(next)).bearing!.last).toBeNull();
});

it('tells nobody of a change that she may not see', async () => {
  const first = await ask({ reason: 'first' });
  effect = 'needsApproval';
  const second = await ask({ reason: 'second' });
  expect((await seen(second)).bearing!.last?.change).toBe(first.id);
  expect((await sidecar.send('person:mallory', 'GET', `/v1/changes/${first.id}`)).status).toBe(404);
  expect((await seen(second, 'person:mallory')).bearing!.last).toBeNull();
});

it('names what else the account holds to those who are asked and may see it, and only counts it for whoever names the identity in a request', async () => {
  effect = 'needsApproval';
  const state = sidecar.engine.get((await ask({}, 'nhi:dev/report-preview')).id)!;
  const held = ['role:z', 'role:a', 'role:deploy', ...Array.from({ length: 8 }, (_, n) => `role:m${n}`)];
  const by = async (principal: string): Promise<unknown> => (await bearingOf(sidecar.engine, { ...state, before: { ...state.before!, held } }, { principal, roles: new Set(['caller']) }, sidecar.facts))?.held;
  expect(await by('person:wei')).toEqual({ privileges: ['role:deploy'], others: 10, otherNames: ['role:a', ...Array.from({ length: 7 }, (_, n) => `role:m${n}`)] });
  expect(await by('nhi:dev/report-preview')).toEqual({ privileges: ['role:deploy'], others: 10 });
});

it('is null without a plan, and left out where changes are listed', async () => {
  const denied = await ask({ entitlements: [{ connector: 'nowhere', target: 'app', privilege: 'role:deploy' }] });
  expect((await seen(denied)).bearing).toBeNull();
  const { changes } = (await sidecar.send('person:wei', 'GET', '/v1/changes')).body as { changes: ChangeView[] };
  expect(changes.every((one) => !('bearing' in one))).toBe(true);
});

it('tells the inventory’s word on an identity to those who are asked and those who may see it, and not to whoever names it in a request', async () => {
  effect = 'needsApproval';
  const asked = await ask({}, 'nhi:dev/report-preview');
  expect((await sidecar.send('nhi:dev/report-preview', 'GET', `/v1/nhis/${DEPLOYER}`)).status).toBe(404);
  expect((await seen(asked, 'nhi:dev/report-preview')).bearing).toMatchObject({ identity: null, held: { privileges: [] } });
  for (const by of ['person:mallory', 'person:olga', 'person:kim', DEPLOYER]) expect((await seen(asked, by)).bearing?.identity, by).toMatchObject({ environment: 'prod' });
});
