import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeViewSchema, lockListSchema, lockViewSchema, type ChangeView, type LockView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ decide: () => answerOf('allow') });
});
afterEach(() => sidecar.close());

const set = async (by: string, body: object): Promise<LockView> => {
  const answered = await sidecar.send(by, 'POST', '/v1/locks', body);
  expect(answered.status, answered.text).toBe(201);
  return lockViewSchema.parse(answered.body);
};
const lift = (by: string, id: string, body: object = { reason: 'looked into' }): Promise<Answered> => sidecar.send(by, 'POST', `/v1/locks/${id}/lift`, body);
const listed = async (by: string): Promise<string[]> => lockListSchema.parse((await sidecar.send(by, 'GET', '/v1/locks')).body).locks.map(({ lockId }) => lockId);

describe('a lock', () => {
  it('keeps an identity from gaining anything until it is lifted, and the change says so', async () => {
    const lock = await set('person:wei', { nhi: CALLER, reason: 'its key was in a log' });
    expect(lock).toMatchObject({ nhi: CALLER, connector: null, by: 'person:wei', reason: 'its key was in a log' });
    const change = changeViewSchema.parse((await sidecar.send(CALLER, 'POST', '/v1/changes', GRANT)).body);
    let view: ChangeView = change;
    while (view.state !== 'scheduled') view = changeViewSchema.parse((await sidecar.send(CALLER, 'GET', `${change.links.self}?wait=PT10S&since=${view.length}`)).body);
    expect(view.waitingFor).toContain(lock.lockId);
    expect(sidecar.executor.steps.filter(({ plan }) => plan !== null)).toEqual([]);

    expect(lockViewSchema.parse((await lift('person:wei', lock.lockId)).body)).toEqual(lock);
    expect(await listed('person:wei')).toEqual([]);
    while (view.state !== 'active') view = changeViewSchema.parse((await sidecar.send(CALLER, 'GET', `${change.links.self}?wait=PT10S&since=${view.length}`)).body);
    expect(view.waitingFor).toBeNull();
  });

  it('is set and lifted by owners of the identity and by security and on call, and by nobody else', async () => {
    expect(problemIn(await sidecar.send('person:mallory', 'POST', '/v1/locks', { nhi: CALLER, reason: 'x' }))).toMatchObject({ status: 403, code: 'not-allowed' });
    expect(problemIn(await sidecar.send(CALLER, 'POST', '/v1/locks', { nhi: CALLER, reason: 'x' }))).toMatchObject({ status: 403, code: 'not-allowed' });
    // An owner stops her own; a whole connector is for security and on call.
    expect(problemIn(await sidecar.send('person:wei', 'POST', '/v1/locks', { connector: 'pg-main', reason: 'x' }))).toMatchObject({ status: 403, code: 'not-allowed' });
    const lock = await set('person:olga', { connector: 'pg-main', reason: 'the server is suspect' });
    // Wei sees it, since it holds up what she owns, and may not lift it; Mallory has nothing there.
    expect(await listed('person:wei')).toEqual([lock.lockId]);
    expect(problemIn(await lift('person:wei', lock.lockId))).toMatchObject({ status: 403, code: 'not-allowed' });
    expect((await lift('person:sam', lock.lockId)).status).toBe(200);
  });

  it('is none of a stranger’s business: it is answered for as one that is not there', async () => {
    const lock = await set('person:olga', { nhi: CALLER, reason: 'secret suspicion' });
    expect(await listed('person:mallory')).toEqual([]);
    const [there, notThere] = [await lift('person:mallory', lock.lockId), await lift('person:mallory', 'lck_01M8571XRWJ2028CSGVGJ3QSF9')];
    expect(problemIn(there)).toMatchObject({ status: 404, code: 'no-such-lock' });
    expect(there.text.replaceAll(lock.lockId, '')).toBe(notThere.text.replaceAll('lck_01M8571XRWJ2028CSGVGJ3QSF9', ''));
    expect(await listed('person:wei')).toEqual([lock.lockId]);
  });

  it('that is set again because the answer was lost is the same lock; another reason, or another person, is another', async () => {
    const lock = await set('person:olga', { nhi: CALLER, connector: 'pg-main', reason: 'x' });
    const { size } = sidecar.log;
    expect(await set('person:olga', { nhi: CALLER, connector: 'pg-main', reason: 'x' })).toEqual(lock);
    expect(sidecar.log.size).toBe(size);
    const others = [await set('person:olga', { nhi: CALLER, connector: 'pg-main', reason: 'y' }), await set('person:sam', { nhi: CALLER, connector: 'pg-main', reason: 'x' }), await set('person:olga', { nhi: CALLER, reason: 'x' })];
    expect(new Set([lock, ...others].map(({ lockId }) => lockId)).size).toBe(4);
    await lift('person:olga', lock.lockId);
    expect((await set('person:olga', { nhi: CALLER, connector: 'pg-main', reason: 'x' })).lockId).not.toBe(lock.lockId);
  });

  it('is lifted once', async () => {
    const lock = await set('person:olga', { nhi: CALLER, connector: 'pg-main', reason: 'x' });
    expect((await lift('person:olga', lock.lockId)).status).toBe(200);
    expect(problemIn(await lift('person:olga', lock.lockId)).code).toBe('no-such-lock');
  });

  it.each([[{ reason: 'x' }], [{ nhi: CALLER }], [{ nhi: 'person:wei', reason: 'x' }], [{ nhi: null, reason: 'x' }], [{ connector: 'PG MAIN', reason: 'x' }], [{ nhi: CALLER, reason: '' }], [{ nhi: CALLER, reason: 'x', until: 'x' }]])(
    '%j sets none',
    async (body) => {
      expect(problemIn(await sidecar.send('person:olga', 'POST', '/v1/locks', body)).code).toBe('invalid-request');
      expect(await listed('person:olga')).toEqual([]);
    },
  );

  it('is set whatever was pasted into its reason: a space stands for what is not seen', async () => {
    const lock = await set('person:olga', { nhi: CALLER, reason: 'a\u001b[2J' });
    expect(sidecar.engine.locks().find(({ lockId }) => lockId === lock.lockId)?.reason).toBe('a [2J');
  });

  it('is not lifted without a reason', async () => {
    const lock = await set('person:olga', { nhi: CALLER, reason: 'x' });
    expect(problemIn(await lift('person:olga', lock.lockId, {})).code).toBe('invalid-request');
    expect(await listed('person:olga')).toEqual([lock.lockId]);
  });
});
