/** A later end, as the pure core has it: the two changes of it, each by its own records. */
import { describe, expect, test } from 'vitest';
import { whyNotExtendable } from '../../src/change/extension.ts';
import { nextWork } from '../../src/change/work.ts';
import { decide } from '../../src/change/decide.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { deriveActTicket, deriveRevokeOrder } from '../../src/change/derive.ts';
import {
  extendAgain, extendedLease, extendRequest, extensionUntilArmed, extensionUntilDecided, extensionUntilDone, extensionUntilVerified, runningLease, VERIFIED,
} from '../support/extension-story.ts';
import { decision, EXECUTOR, provenance, report, sidecar, sign, START_MS, toldUntilDecided, PROVISION, toldUntilEnded, toldUntilOrdered, GRANT, type Beat } from '../support/story.ts';

const LIMITS = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const MINUTE = 60_000;

describe('the lease of a change that is extended', () => {
  test('ends later by the order of the next epoch, once the extension is verified, and stays in use', () => {
    const { lease, extension } = extendedLease(START_MS);
    expect(lease.now).toMatchObject({ name: 'active', lease: { epoch: 2, endsAtMs: extension.now.extension!.endsAtMs, orderDigest: extension.now.extension!.orderDigest } });
    expect(extension.now).toMatchObject({ name: 'done', lease: null });
    expect(lease.beats.map(({ event }) => event.type).slice(-2)).toEqual(['lease.extended', 'lease.disarmed']);
  });

  test('wants the earlier order disarmed from then on, and not before', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const extension = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
    expect(nextWork(lease.now, extension.atMs, LIMITS).work).toBeNull();
    extensionUntilVerified(extension, lease);
    expect(nextWork(lease.now, lease.atMs, LIMITS).work).toEqual({ do: 'disarm' });
    lease.do({ type: 'recordDisarmed', by: sidecar, orderDigest: lease.now.superseded[0]!.orderDigest });
    expect(nextWork(lease.now, lease.atMs, LIMITS)).toEqual({ work: null, wakeAtMs: lease.now.lease!.endsAtMs + 30_000 });
  });

  test('is over while the earlier order is being disarmed: nothing is said of a change that has ended', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    extensionUntilVerified(extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease)), lease);
    const [{ orderDigest }] = lease.now.superseded as [ChangeState['superseded'][number]];
    toldUntilEnded(lease, lease.now.lease!.order);
    expect(decide(lease.now, { type: 'recordDisarmed', by: sidecar, orderDigest }, lease.atMs)).toEqual({ ok: true, events: [] });
  });

  test('is extended again', () => {
    const told = extendedLease(START_MS);
    extendAgain(told, { duration: 'PT2H' });
    expect(told.lease.now.lease).toMatchObject({ epoch: 3 });
  });

  test('is overdue at the later end only', () => {
    const { lease } = extendedLease(START_MS);
    expect(nextWork(lease.now, START_MS + 31 * MINUTE, LIMITS).work).toBeNull();
    expect(nextWork(lease.now, lease.now.lease!.endsAtMs + 30_000, LIMITS).work).toEqual({ do: 'overdue' });
  });

  test('keeps its end where it was ended, or ordered back, before the extension was verified', () => {
    for (const over of ['ended', 'ordered'] as const) {
      const ledger: Beat[] = [];
      const lease = runningLease(START_MS, ledger);
      const extension = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
      lease.atMs = extension.atMs;
      const order = toldUntilOrdered(lease, 'person:olga');
      if (over === 'ended') toldUntilEnded(lease, order, 100);
      extension.do({ type: 'recordVerification', by: sidecar, verification: VERIFIED, provenance });
      expect(decide(lease.now, { type: 'extendLease', by: sidecar, extension: extension.now }, extension.atMs)).toMatchObject({ ok: false, code: 'too-late' });
      expect(lease.now.lease!.epoch).toBe(1);
    }
  });

  test('is not extended by what was not applied, not verified, or is another’s', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const extension = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
    const tried = (): unknown => decide(lease.now, { type: 'extendLease', by: sidecar, extension: extension.now }, extension.atMs);
    expect(tried()).toMatchObject({ ok: false, code: 'not-expected' });
    extensionUntilDone(extension);
    expect(tried()).toMatchObject({ ok: false, code: 'not-expected' });
    extension.do({ type: 'recordVerification', by: sidecar, verification: { ...VERIFIED, effect: 'deny' }, provenance });
    expect(tried()).toMatchObject({ ok: false, code: 'not-expected' });
    const other = extendedLease(START_MS);
    expect(decide(lease.now, { type: 'extendLease', by: sidecar, extension: other.extension.now }, extension.atMs)).toMatchObject({ ok: false, code: 'not-expected' });
  });
});

describe('an extension', () => {
  test('is authorised only for a lease that runs, to a later end, at an epoch above its own', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const first = extensionUntilDecided(lease, ledger);
    const second = extensionUntilDecided(lease, ledger);
    extensionUntilVerified(extensionUntilDone(extensionUntilArmed(first, lease)), lease);
    expect(() => extensionUntilArmed(second, lease)).toThrow('extended meanwhile');
    const shorter = extensionUntilDecided(lease, ledger, { duration: 'PT1S' });
    expect(() => extensionUntilArmed(shorter, lease)).toThrow('ends later already');
    const late = extensionUntilDecided(lease, ledger);
    toldUntilEnded(lease, lease.now.lease!.order);
    expect(() => extensionUntilArmed(late, lease)).toThrow('does not run');
  });

  test('fixes its end at the first authorisation: another issue has the same order', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const telling = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
    const { orderDigest } = telling.now.extension!;
    telling.later(301_000);
    const plan = telling.now.plan!;
    const again = (order: Parameters<typeof sign.order>[0]): void => void telling.do({
      type: 'authoriseAct', by: sidecar, ticket: sign.ticket(deriveActTicket(telling.now, plan, plan.steps[0]!, EXECUTOR, telling.atMs, 300)), order: sign.order(order), extended: lease.now,
    });
    telling.do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan, decision: decision('allow'), provenance, approvalSeconds: 3600 });
    again(deriveRevokeOrder(plan, EXECUTOR, telling.atMs + 3_600_000, 'leaseEnd', sidecar)!);
    expect(telling.now.extension).toMatchObject({ orderDigest, armed: true });
    expect(telling.now.act!.issue).toBe(2);
  });

  test('arms its order before its step goes out', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const telling = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
    const unarmed = { ...telling.now, extension: { ...telling.now.extension!, armed: false } };
    expect(nextWork(unarmed, telling.atMs, LIMITS).work).toEqual({ do: 'arm' });
    expect(nextWork(telling.now, telling.atMs, LIMITS).work).toEqual({ do: 'publishAct' });
  });

  test('that nobody was heard of is given up when the end that it was to give has passed', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const telling = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
    telling.atMs = telling.now.extension!.endsAtMs;
    expect(nextWork(telling.now, telling.atMs, LIMITS).work).toEqual({ do: 'expireExtension' });
    telling.do({ type: 'expire', by: sidecar, cause: 'window' });
    expect(telling.now.name).toBe('expired');
  });

  test('whose effect is not what was decided has failed, and its owner hears of it', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const telling = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
    telling.do({ type: 'recordVerification', by: sidecar, verification: { ...VERIFIED, effect: 'deny' }, provenance });
    expect(nextWork(telling.now, telling.atMs, LIMITS).work).toEqual({ do: 'compensate' });
  });

  test('stays about the lease that it was asked for', () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const telling = extensionUntilDecided(lease, ledger);
    const request = extendRequest(runningLease(START_MS).changeId);
    expect(decide(telling.now, { type: 'revise', by: GRANT.subject, request }, telling.atMs)).toMatchObject({ ok: false, code: 'not-expected' });
  });
});

describe('what cannot be extended', () => {
  test('says so', () => {
    const lease = runningLease(START_MS);
    const at = lease.atMs;
    const request = extendRequest(lease.changeId);
    expect(whyNotExtendable(lease.now, request, at)).toBeNull();
    expect(whyNotExtendable(lease.now, { ...request, subject: 'nhi:prod/other' }, at)).toContain('same identity');
    expect(whyNotExtendable(lease.now, { ...request, purpose: 'another' }, at)).toContain('same identity');
    expect(whyNotExtendable(lease.now, { ...request, entitlements: [{ ...request.entitlements[0]!, privilege: 'role:admin' }] }, at)).toContain('same identity');
    expect(whyNotExtendable(lease.now, request, lease.now.lease!.endsAtMs)).toContain('does not run');
    const { duration: _, ...standing } = PROVISION as Extract<typeof PROVISION, { kind: 'provision' }>;
    const pending = toldUntilDecided(standing, START_MS);
    expect(whyNotExtendable(pending.now, request, at)).toContain('nothing that ends');
    toldUntilOrdered(lease, 'person:olga');
    expect(whyNotExtendable(lease.now, request, at)).toContain('does not run');
    expect(whyNotExtendable(extendedLease(START_MS).extension.now, request, at)).toContain('no lease');
  });
});

test('a report of an extension is recorded once', () => {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  const extension = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
  const { length } = extension.now;
  report(extension, extension.now.result!, []);
  expect(extension.now.length).toBe(length);
});
