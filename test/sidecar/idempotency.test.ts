import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeViewSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ limits: { openChangesPerRequester: 3 } });
});
afterEach(() => sidecar.close());

const ask = (key: string | null, request: object = GRANT, by = CALLER): Promise<Answered> =>
  sidecar.send(by, 'POST', '/v1/changes', request, key === null ? {} : { 'idempotency-key': key });
const idOf = (answered: Answered): string => changeViewSchema.parse(answered.body).id;
/** Record types of the ledger, in order. */
const recorded = async (): Promise<string[]> => {
  await sidecar.log.sync();
  const types: string[] = [];
  for await (const { record } of sidecar.log.entries(0)) types.push(record.type);
  return types;
};

describe('an Idempotency-Key', () => {
  it('makes the same request the same change, with the same status, quoted or bare', async () => {
    const [first, second, third] = [await ask('"run-1"'), await ask('"run-1"'), await ask('run-1')];
    expect([first.status, second.status, third.status]).toEqual([201, 201, 201]);
    expect(new Set([idOf(first), idOf(second), idOf(third)]).size).toBe(1);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect((await recorded()).filter((type) => type === 'change.requested')).toHaveLength(1);
  });

  it('makes one change of fifty requests at the same moment', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('"run-2"')));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    expect(new Set(answers.map(idOf)).size).toBe(1);
    expect((await recorded()).filter((type) => type === 'change.requested')).toHaveLength(1);
  });

  it('is refused with another request, and keeps the first', async () => {
    const first = await ask('"run-3"');
    expect(problemIn(await ask('"run-3"', { ...GRANT, reason: 'another' }))).toMatchObject({ status: 422, code: 'idempotency-key-reused' });
    expect(idOf(await ask('"run-3"'))).toBe(idOf(first));
  });

  it('belongs to its caller: another one with the same key gets a change of its own', async () => {
    expect(idOf(await ask('"run-4"'))).not.toBe(idOf(await ask('"run-4"', GRANT, 'person:wei')));
  });

  it('is not needed: then every request is a new change', async () => {
    expect(idOf(await ask(null))).not.toBe(idOf(await ask(null)));
  });

  it.each(['', '""', '"a', 'a b', '"a" "b"', '"a", "b"', '"ä"', `"${'k'.repeat(256)}"`, '"tab\\t"', 'a;p=1'])('%j is 400, and nothing is recorded', async (key) => {
    const size = sidecar.log.size;
    expect(problemIn(await ask(Buffer.from(key).toString('latin1')))).toMatchObject({ status: 400, code: 'malformed-header' });
    expect(sidecar.log.size).toBe(size);
  });

  it('may hold escaped quotes, which are not part of it', async () => {
    expect(idOf(await ask('"a\\"b"'))).toBe(idOf(await ask('"a\\"b"')));
    expect(idOf(await ask('"a\\"b"'))).not.toBe(idOf(await ask('"ab"')));
  });
});

describe('many at once', () => {
  it('records one approval of fifty by the same approver', async () => {
    const change = await sidecar.change(CALLER, GRANT);
    const approve = (): Promise<Answered> => sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest });
    const answers = await Promise.all(Array.from({ length: 50 }, approve));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    expect((await recorded()).filter((type) => type === 'approval.recorded')).toHaveLength(1);
  });

  it('lets exactly one of approve, reject and withdraw win', async () => {
    for (let round = 0; round < 5; round += 1) {
      const change = await sidecar.change(CALLER, { ...GRANT, reason: `round ${round}` });
      const at = `/v1/changes/${change.id}`;
      const racers = [
        sidecar.send('person:wei', 'POST', `${at}/approvals`, { verdict: 'approve', planDigest: change.planDigest }),
        sidecar.send('person:ana', 'POST', `${at}/approvals`, { verdict: 'reject', planDigest: change.planDigest, comment: 'no' }),
        sidecar.send('person:ana', 'POST', `${at}/approvals`, { verdict: 'reject', planDigest: change.planDigest, comment: 'no' }),
      ].sort(() => (round % 2 === 0 ? 1 : -1));
      const statuses = (await Promise.all(racers)).map((answer) => answer.status).sort();
      expect(statuses).toEqual([200, 409, 409]);
      await sidecar.send(CALLER, 'POST', `${at}/withdraw`, {});
    }
  });

  it('refuses a caller who has too many waiting, says when to come back, and serves others', async () => {
    for (let n = 0; n < 3; n += 1) await sidecar.change(CALLER, { ...GRANT, reason: `n ${n}` });
    const refused = await ask(null);
    expect(problemIn(refused)).toMatchObject({ status: 429, code: 'too-many-open' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await ask(null, GRANT, 'person:wei')).status).toBe(201);
  });

  it('never shows a change in a state that the ledger does not hold', async () => {
    const change = await sidecar.change(CALLER, GRANT);
    const views: Promise<Answered>[] = [];
    const approving = sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest });
    for (let n = 0; n < 20; n += 1) {
      views.push(sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}`).then((answered) => {
        expect((answered.body as ChangeView).lastRecord).toBeLessThan(sidecar.log.durableSize);
        return answered;
      }));
    }
    await Promise.all([approving, ...views]);
  });
});
