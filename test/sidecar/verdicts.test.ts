/** What a person decides here on a change of another log: asked over HTTP, handed over to whoever owns it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TransportError } from '../../src/engine/ports.ts';
import type { Authenticated } from '../../src/identity/tokens.ts';
import type { Verdict } from '../../src/sidecar/relay.ts';
import { relayBodySchema } from '../../src/sidecar/schemas.ts';
import { verdictHandlers } from '../../src/sidecar/verdicts.ts';
import type { VerdictAnswer } from '../../src/transport/nats/verdicts.ts';
import { GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

const ELSEWHERE = 'chg_0123456789abcdef_01M8571XRWJ2028CSGVGJ3QSF9';
const DIGEST = `sha256:${'0'.repeat(64)}`;
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar();
});
afterEach(() => sidecar.close());

describe('POST /v1/verdicts', () => {
  const post = (by: string, body: object) => sidecar.send(by, 'POST', '/v1/verdicts', body);
  const good = { changeId: ELSEWHERE, planDigest: DIGEST, verdict: 'approve' };

  it('is for people, about another log, and says why it rejects', async () => {
    expect(problemIn(await post('nhi:prod/billing-export', good)).code).toBe('nhi-cannot-approve');
    expect(problemIn(await post('person:sam', good)).code).toBe('role-required');
    expect(problemIn(await post('person:wei', { ...good, verdict: 'reject' })).code).toBe('invalid-request');
    const own = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    expect(problemIn(await post('person:wei', { ...good, changeId: own.id })).code).toBe('invalid-request');
  });

  it('is unreachable where there is no bus', async () => {
    expect(problemIn(await post('person:wei', good))).toMatchObject({ code: 'unreachable', status: 503 });
  });

  /** As the app calls it, with somebody at the other end. */
  const relayed = (relay: (verdict: Verdict) => Promise<VerdictAnswer>, body: object = good): Promise<unknown> => {
    const { engine, log, facts } = sidecar;
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const context = { engine, log, published: () => log.sync(), facts: () => facts, clock: { nowMs: () => Date.now() }, logger: quiet, readLedgerFile: () => Promise.resolve(null), connectors: [], executors: [], draining: sidecar.draining.signal, relay };
    const by: Authenticated = { principal: 'person:wei', roles: new Set(['approver']) };
    return verdictHandlers(context).relayVerdict({ by, params: {}, query: {}, body: relayBodySchema.parse(body), idempotencyKey: null });
  };

  it('hands over who decided what, and answers with what came of it', async () => {
    const handed: Verdict[] = [];
    const taken = (verdict: Verdict): Promise<VerdictAnswer> => {
      handed.push(verdict);
      return Promise.resolve({ v: 1, ok: true, state: 'scheduled' });
    };
    expect(await relayed(taken, { ...good, comment: 'seen' })).toEqual({ status: 200, body: { changeId: ELSEWHERE, state: 'scheduled' } });
    expect(handed).toEqual([{ changeId: ELSEWHERE, planDigest: DIGEST, verdict: 'approve', approver: 'person:wei', comment: 'seen' }]);
  });

  it('says no in the words of the other log, or that it takes no verdict from here', async () => {
    const no = (code: string) => (): Promise<VerdictAnswer> => Promise.resolve({ v: 1, ok: false, code, message: 'no' });
    await expect(relayed(no('plan-changed'))).rejects.toMatchObject({ code: 'plan-changed' });
    await expect(relayed(no('unknown-sidecar'))).rejects.toMatchObject({ code: 'not-relayed' });
    await expect(relayed(() => Promise.reject(new TransportError('unreachable', 'nobody answers')))).rejects.toMatchObject({ code: 'unreachable' });
  });
});
