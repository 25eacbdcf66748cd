import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { factsOf } from '../../src/facts/facts.ts';
import { heldAnswerSchema, heldViewSchema, type HeldView, type LeaseList } from '../../src/sidecar/schemas.ts';
import { PREVIEW, settled } from '../support/replayed.ts';
import { answerOf, openTestSidecar, problemIn, scriptedPdp, type TestSidecar } from '../support/sidecar.ts';

const PATH = '/v1/leases/held';
let effect: 'keep' | 'revoke' = 'keep';
let sidecar: TestSidecar;
const changes: string[] = [];

beforeEach(async () => {
  effect = 'keep';
  changes.length = 0;
  const pdp = { ...scriptedPdp(() => answerOf('allow')), redecide: async () => ({ effect, reasons: answerOf('deny').reasons, controls: [] }) };
  sidecar = await openTestSidecar({ pdp, redecision: { everyMs: 5, confirmAbove: { percent: 20, leases: 1 } } });
  for (let n = 0; n < 2; n += 1) changes.push((await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active')).id);
});
afterEach(() => sidecar.close());

const seen = async (): Promise<HeldView> => heldViewSchema.parse((await sidecar.send('person:sam', 'GET', PATH)).body);

it('what waits for a person is shown to who answers for all identities, and taken back at the word of who has seen it', async () => {
  expect(await seen()).toEqual({ held: [], digest: null, leases: 2, failed: null });
  effect = 'revoke';
  sidecar.load(factsOf({ ...sidecar.facts.value, directory: { ...sidecar.facts.value.directory, people: [...sidecar.facts.value.directory.people].reverse() } }, Date.now()));
  await vi.waitFor(async () => expect((await seen()).held).toHaveLength(2), { timeout: 10_000, interval: 10 });
  const listed = async (by: string): Promise<(readonly string[] | undefined)[]> => ((await sidecar.send(by, 'GET', '/v1/leases')).body as LeaseList).leases.map((lease) => lease.held);
  expect([await listed('person:sam'), await listed(PREVIEW.subject)]).toEqual([[['exceeds-purpose'], ['exceeds-purpose']], [undefined, undefined]]);
  const { held, digest } = await seen();
  expect(held).toEqual(changes.map((changeId) => ({ changeId, subject: PREVIEW.subject, owner: 'person:ana', codes: ['exceeds-purpose'] })));
  expect(problemIn(await sidecar.send(PREVIEW.subject, 'GET', PATH)).code).toBe('not-allowed');
  expect(problemIn(await sidecar.send('person:mallory', 'POST', PATH, { digest: `sha256:${'0'.repeat(64)}` })).code).toBe('not-allowed');
  expect(problemIn(await sidecar.send('person:ana', 'POST', PATH, { digest: `sha256:${'0'.repeat(64)}` })).code).toBe('held-changed');
  const answered = await sidecar.send('person:ana', 'POST', PATH, { digest, comment: 'the partner has left' });
  expect(answered.status).toBe(202);
  expect(heldAnswerSchema.parse(answered.body).revokes.map(({ changeId }) => changeId)).toEqual(changes);
  for (const changeId of changes) await vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).toBe('revoked'), { timeout: 10_000, interval: 10 });
  expect(problemIn(await sidecar.send('person:ana', 'POST', PATH, { digest })).code).toBe('held-changed');
});
