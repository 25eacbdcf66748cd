/** What a broken glass leaves owed, as the core decides it. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/change/decide.ts';
import { deriveReadTicket } from '../../src/change/derive.ts';
import { debtsOf, isRotationOf } from '../../src/change/glass-debts.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { nextWork } from '../../src/change/work.ts';
import type { BreakGlassLimits } from '../../src/protocol/break-glass.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { ticketSchema, type Query } from '../../src/protocol/signed.ts';
import { GLASS, glassOf, GLASS_SALT, glassStatement, letting, REASON, reviewBy, toldUntilBroken, toldUntilGiven } from '../support/break-glass.ts';
import { ROTATE, toldUntilPlanned, toldUntilStep } from '../support/step-stories.ts';
import { EXECUTOR, GRANT, sidecar, sign, START_MS, Telling, toldUntilActive, toldUntilDecided, toldUntilEnded } from '../support/story.ts';

const HOUR = 3_600_000;
const LIMITS = { overdueAfterMs: 30_000, deliveryMs: HOUR, stalledAfterMs: HOUR };
const over = (): Telling => {
  const telling = toldUntilActive(toldUntilGiven(toldUntilBroken()));
  return toldUntilEnded(telling, telling.now.lease!.order);
};
const rotation = (afterMs = HOUR): Telling => toldUntilStep(toldUntilPlanned({ ...ROTATE, subject: 'nhi:prod/ci-deployer' }, START_MS + afterMs, { overlap: 'none' }));

describe('the time for a rotation', () => {
  const broken = (lets: Partial<NonNullable<Decision['obligations']['breakGlass']>>, limits: Partial<BreakGlassLimits>): unknown => {
    const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS), letting({ maxLeaseSeconds: 3_600, reviewWithinSeconds: 7_200, ...lets }));
    telling.do({ type: 'breakGlass', statement: glassOf(glassStatement(telling)), reason: REASON, salt: GLASS_SALT, limits: { ...GLASS, ...limits }, owed: null });
    return telling.now.breakGlass!.rotateWithinSeconds;
  };
  it.each([
    [{}, {}, 7_200], [{ rotateWithinSeconds: 100 }, {}, 100], [{}, { rotateWithinSeconds: 100 }, 100], [{ rotateWithinSeconds: 99 }, { rotateWithinSeconds: 100 }, 99], [{ rotateWithinSeconds: 100 }, { rotateWithinSeconds: 99 }, 99],
    [{ rotateWithinSeconds: 86_400 }, {}, 86_400],
  ])('is the sooner of policy’s %j and the floor’s %j, or that for the review', (lets, limits, seconds) => expect(broken(lets, limits)).toBe(seconds));
});

it('is owed from the lease’s end on, and said once it is due, after the review where that was due before', () => {
  const running = toldUntilActive(toldUntilGiven(toldUntilBroken()));
  expect(debtsOf(running.now).map(({ what }) => what)).toEqual(['review']);
  const { now } = toldUntilEnded(running, running.now.lease!.order);
  const [review, rotating] = debtsOf(now);
  expect([review?.what, rotating?.what]).toEqual(['review', 'rotation']);
  expect(rotating!.byMs - running.atMs).toBe(86_400_000);
  expect(nextWork(now, rotating!.byMs, LIMITS)).toMatchObject({ work: { do: 'debtOverdue', debt: { what: 'review' } } });
  running.do(reviewBy());
  expect(nextWork(running.now, rotating!.byMs - 1, LIMITS)).toEqual({ work: null, wakeAtMs: rotating!.byMs });
  expect(nextWork(running.now, rotating!.byMs, LIMITS)).toMatchObject({ work: { do: 'debtOverdue', debt: { what: 'rotation' } } });
});

it('is met by a rotation of the very login that was lent more, and of no other', () => {
  const glass = over().now;
  const { now } = rotation();
  expect(isRotationOf(glass, now)).toBe(true);
  const asking = (edit: Partial<Query>): ChangeState => {
    const ticket = readPayload(now.read!.ticket, ticketSchema);
    if (ticket.kind !== 'read') throw new Error('not a read');
    return { ...now, read: { ...now.read!, ticket: sign.ticket(deriveReadTicket(now, { ...ticket.query, ...edit }, EXECUTOR, START_MS, 300)) } };
  };
  expect(isRotationOf(glass, asking({}))).toBe(true);
  for (const edit of [{ account: 'ci_deployer_2' }, { connector: 'pg-other' }, { target: 'another' }]) expect(isRotationOf(glass, asking(edit))).toBe(false);
  for (const edit of [{ name: 'withdrawn' }, { name: 'staged' }, { read: null }, { firstActAtMs: glass.breakGlass!.rotation!.sinceMs }, { request: { ...now.request, subject: 'nhi:prod/another' } }]) expect(isRotationOf(glass, { ...now, ...edit } as ChangeState)).toBe(false);
});

it('is not recorded of one that did not make it, nor where none is owed', () => {
  const telling = over();
  const record = (made: Telling): ReturnType<typeof decide> => decide(telling.now, { type: 'recordRotated', by: sidecar, rotation: made.now }, telling.atMs);
  expect(record(rotation(600_000))).toMatchObject({ ok: false, code: 'not-expected' });
  expect(record(rotation())).toMatchObject({ ok: true, events: [{ type: 'breakglass.rotated' }] });
  telling.do({ type: 'recordRotated', by: sidecar, rotation: rotation().now });
  expect(debtsOf(telling.now).map(({ what }) => what)).toEqual(['review']);
  expect(record(rotation())).toMatchObject({ ok: false, code: 'not-expected' });
  expect(decide(telling.now, reviewBy({ rotation: 'notNeeded' }), telling.atMs)).toMatchObject({ ok: false, code: 'not-expected' });
});
