/** What is less of a request, and what is not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isReductionOf, reduceRequest } from '../../src/protocol/reduction.ts';
import { entitlementsOf, type ChangeRequest, type RecordedRequest } from '../../src/protocol/request.ts';
import { isSameJson } from '../../src/protocol/same-json.ts';
import { durationSeconds } from '../../src/protocol/values.ts';
import { changeIdOf } from '../notify/support.ts';

const of = (...privileges: string[]): { connector: string; target: string; privilege: string }[] => privileges.map((privilege) => ({ connector: 'pg-main', target: 'app', privilege }));
const GRANT: Extract<ChangeRequest, { kind: 'grant' }> = { kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 42', duration: 'PT8H', entitlements: of('role:deploy', 'role:read', 'role:admin') };
const STANDING: ChangeRequest = { kind: 'provision', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'r', recipient: `age1${'q'.repeat(58)}`, entitlements: of('role:read') };
const EXTEND: ChangeRequest = { ...GRANT, kind: 'extend', change: changeIdOf(1) };
const account = { subject: GRANT.subject, connector: 'pg-main', target: 'app', reason: 'r' };

describe('a reduction', () => {
  it('leaves something out, shortens, or both, and touches nothing else', () => {
    expect(reduceRequest(GRANT, { without: of('role:admin'), duration: null })).toEqual({ ok: true, request: { ...GRANT, entitlements: of('role:deploy', 'role:read') } });
    expect(reduceRequest(GRANT, { without: [], duration: 'PT1H' })).toEqual({ ok: true, request: { ...GRANT, duration: 'PT1H' } });
    expect(reduceRequest(GRANT, { without: of('role:admin'), duration: 'PT1H' })).toMatchObject({ ok: true, request: { duration: 'PT1H', reason: 'release 42' } });
    expect(reduceRequest(EXTEND, { without: [], duration: 'PT1H' })).toMatchObject({ ok: true });
  });

  it('gives access that would stand an end', () => {
    expect(reduceRequest(STANDING, { without: [], duration: 'P1D' })).toMatchObject({ ok: true, request: { duration: 'P1D' } });
  });

  it.each<[string, RecordedRequest, { without?: object[]; duration?: string }, RegExp]>([
    ['nothing', GRANT, {}, /nothing is taken off/],
    ['a longer time', GRANT, { duration: 'PT9H' }, /not shorter/],
    ['the same time, spelt otherwise', GRANT, { duration: 'PT480M' }, /not shorter/],
    ['what nobody asked for', GRANT, { without: of('role:owner') }, /not asked for/],
    ['the same privilege elsewhere', GRANT, { without: [{ connector: 'pg-main', target: 'payroll', privilege: 'role:admin' }] }, /not asked for/],
    ['the same in another scope', GRANT, { without: [{ ...of('role:admin')[0]!, scope: 'eu' }] }, /not asked for/],
    ['all of it', GRANT, { without: of('role:deploy', 'role:read', 'role:admin') }, /reject it/],
    ['part of what a lease gives, in an extension', EXTEND, { without: of('role:admin') }, /only its duration/],
    ['less of what takes access away', { ...GRANT, kind: 'revoke' } as unknown as RecordedRequest, { without: of('role:admin') }, /revoke/],
    ['less of a rotation', { ...account, kind: 'rotate', purpose: 'p', recipient: `age1${'q'.repeat(58)}` }, { duration: 'PT1H' }, /rotate/],
    ['less of shutting somebody out', { ...account, kind: 'disable' }, { duration: 'PT1H' }, /disable/],
    ['less of an offboarding', { kind: 'offboard', subject: GRANT.subject, reason: 'r' }, { duration: 'PT1H' }, /offboard/],
  ])('is not %s', (_what, request, { without = [], duration = null }, why) => {
    expect(reduceRequest(request, { without: without as never, duration })).toEqual({ ok: false, message: expect.stringMatching(why) as string });
  });

  it('never adds, whatever is taken off', () => {
    const entitlement = fc.constantFrom(...of('a', 'b', 'c', 'd'));
    const hours = fc.integer({ min: 1, max: 48 });
    fc.assert(fc.property(fc.uniqueArray(entitlement, { minLength: 1, selector: ({ privilege }) => privilege }), hours, fc.array(entitlement, { maxLength: 4 }), fc.option(hours), (asked, had, without, left) => {
      const request = { ...GRANT, entitlements: asked, duration: `PT${had}H` };
      const reduced = reduceRequest(request, { without, duration: left === null ? null : `PT${left}H` });
      if (!reduced.ok) return;
      expect(isReductionOf(reduced.request, request)).toBe(true);
      expect(isReductionOf(request, reduced.request)).toBe(false);
      const kept = entitlementsOf(reduced.request);
      expect(kept.every((one) => asked.some((before) => isSameJson(before, one)))).toBe(true);
      const seconds = durationSeconds((reduced.request as typeof GRANT).duration);
      expect(seconds).toBeLessThanOrEqual(had * 3600);
      expect(kept.length < asked.length || seconds < had * 3600).toBe(true);
    }));
  });
});

describe('a request is the reduction of another', () => {
  const less = { ...GRANT, entitlements: of('role:deploy'), duration: 'PT1H' };
  it.each<[string, RecordedRequest, boolean]>([
    ['less access for a shorter time', less, true], ['itself', GRANT, false], ['more', { ...GRANT, entitlements: of('role:deploy', 'role:owner') }, false],
    ['some of it and something else', { ...less, entitlements: of('role:deploy', 'role:owner') }, false], ['the same twice', { ...less, entitlements: of('role:deploy', 'role:deploy') }, false],
    ['a longer time for less', { ...less, duration: 'PT9H' }, false], ['less, for somebody else', { ...less, subject: 'nhi:prod/other' }, false], ['less, for another purpose', { ...less, purpose: 'other' }, false],
    ['less, for another reason', { ...less, reason: 'another' }, false], ['less, by another kind', { ...less, kind: 'revoke' } as unknown as RecordedRequest, false],
    ['less, at once', { ...less, urgency: 'emergency' }, false], ['less, with another end', { ...less, endsBy: '2999-01-01T00:00:00.000Z' }, false],
    ['less, elsewhere', { ...less, entitlements: [{ connector: 'pg-main', target: 'payroll', privilege: 'role:deploy' }] }, false], ['less, standing', (({ duration: _, ...rest }) => rest)(less) as unknown as RecordedRequest, false],
  ])('%s: %s', (_what, smaller, is) => {
    expect(isReductionOf(smaller, GRANT)).toBe(is);
  });
});
