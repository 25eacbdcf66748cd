/** Whom a token stands for, by the sidecar's own word. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openTestSidecar();
});
afterAll(() => sidecar.close());

describe('GET /v1/me', () => {
  it('says who somebody is, and which roles the token has', async () => {
    expect((await sidecar.send('person:wei', 'GET', '/v1/me')).body).toEqual({ principal: 'person:wei', actsFor: [], roles: ['caller', 'approver'] });
    expect((await sidecar.send('person:kim', 'GET', '/v1/me')).body).toEqual({ principal: 'person:kim', actsFor: [], roles: ['auditor'] });
  });

  it('tells nobody anything', async () => {
    expect(problemIn(await sidecar.send(null, 'GET', '/v1/me')).code).toBe('unauthenticated');
  });
});
