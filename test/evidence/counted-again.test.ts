import { describe, expect, test } from 'vitest';
import { NOTHING_RECENT, COUNTED_MAX, type RecentChanges } from '../../src/change/recent.ts';
import type { ChangeEvent } from '../../src/change/events.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { openCountedAgain, type CountedAgain } from '../../src/evidence/counted-again.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NHI = 'nhi:prod/billing-export';
const START = 1_800_000_000_000;

type Change = Pick<ChangeState, 'request' | 'requestedAtMs' | 'requester'>;
const change = (requestedAtMs: number, { kind = 'grant', subject = NHI, requester = [NHI] as readonly string[] } = {}): Change => ({ request: { kind, subject } as unknown as ChangeState['request'], requestedAtMs, requester });
const asked = (counted: CountedAgain, seq: number, one: Change): void => counted.take({ type: 'change.requested', seq, atMs: one.requestedAtMs, body: { request: one.request, requester: [...one.requester] } } as unknown as ChangeEvent, null, null);
const happened = (counted: CountedAgain, first: number, one: Change, atMs: number, event: object): void => counted.take({ ...event, seq: 999_999, atMs } as unknown as ChangeEvent, { ...one, firstActAtMs: null } as unknown as ChangeState, first);
const authorised = (counted: CountedAgain, first: number, one: Change, atMs: number): void => happened(counted, first, one, atMs, { type: 'step.authorised', body: { kind: 'act' } });
const denied = (counted: CountedAgain, first: number, one: Change, atMs: number): void => happened(counted, first, one, atMs, { type: 'policy.decided', body: { decision: { effect: 'deny' } } });
const told = (subject: number, requester: number, made = 0): RecentChanges => ({ subject: { hour: subject, day: subject }, requester: { hour: requester, day: requester }, newCredentials: { day: made } });
/** Asked about at the time of its request, recorded a second later. */
const about = (firstSeq: number, one: Change, recordedAtMs = one.requestedAtMs + 1_000, afterMs = one.requestedAtMs) => ({ firstSeq, change: one, nowMs: one.requestedAtMs, recordedAtMs, afterMs });

describe('counted once more', () => {
  test('what was given and asked for before it is what there was, in the hour and the day', () => {
    const counted = openCountedAgain();
    const [early, late] = [change(START, { kind: 'provision' }), change(START + 2 * HOUR)];
    for (const [seq, one] of [early, late].entries()) {
      asked(counted, seq, one);
      authorised(counted, seq, one, one.requestedAtMs + 100);
    }
    const now = change(START + 2 * HOUR + 5_000);
    const right: RecentChanges = { subject: { hour: 1, day: 2 }, requester: { hour: 1, day: 2 }, newCredentials: { day: 1 } };
    expect(counted.differing(right, about(2, now))).toBeNull();
    expect(counted.differing({ ...right, subject: { hour: 0, day: 2 } }, about(2, now))).toBe('policy was told of 0 as recent.subject.hour, where the records have 1');
    expect(counted.differing({ ...right, requester: { hour: 1, day: 3 } }, about(2, now))).toMatch(/3 as recent\.requester\.day, where the records have 2/);
    expect(counted.differing({ ...right, newCredentials: { day: 0 } }, about(2, now))).toMatch(/0 as recent\.newCredentials\.day/);
    // Of the first nothing came before it, whenever that is asked.
    expect(counted.differing(NOTHING_RECENT, about(0, early, START + 60_000))).toBeNull();
    expect(counted.differing(told(1, 0), about(0, early, START + 60_000))).not.toBeNull();
  });

  test('what went on while policy was asked may have counted, or not', () => {
    const counted = openCountedAgain();
    const [given, ended] = [change(START), change(START, { subject: 'nhi:prod/other', requester: ['person:ana'] })];
    asked(counted, 0, given);
    asked(counted, 1, ended);
    const now = change(START + 1_000, { requester: ['person:ana'] });
    authorised(counted, 0, given, START + 1_500);
    denied(counted, 1, ended, START + 1_500);
    for (const one of [told(0, 0), told(1, 0), told(0, 1), told(1, 1)]) expect(counted.differing(one, about(2, now, START + 2_000))).toBeNull();
    expect(counted.differing(told(2, 0), about(2, now, START + 2_000))).toMatch(/where the records have 0 to 1/);
    // Of a question that comes after it, it is known.
    expect(counted.differing(told(1, 0), about(2, now, START + 2_000, START + 1_600))).toBeNull();
    for (const one of [told(0, 0), told(1, 1)]) expect(counted.differing(one, about(2, now, START + 2_000, START + 1_600))).not.toBeNull();
  });

  test('taking back is not counted, nor what somebody else is given', () => {
    const counted = openCountedAgain();
    asked(counted, 0, change(START, { kind: 'revoke' }));
    authorised(counted, 0, change(START, { kind: 'revoke' }), START + 1);
    authorised(counted, 1, change(START, { subject: 'nhi:prod/other' }), START + 1);
    expect(counted.differing(told(0, 0), about(2, change(START + 100_000)))).toBeNull();
    expect(counted.differing(told(1, 0), about(2, change(START + 100_000)))).not.toBeNull();
  });

  test('what a sidecar may have forgotten, or cannot have kept, is held against nobody', () => {
    const counted = openCountedAgain();
    asked(counted, 0, change(START));
    const waiting = change(START + HOUR);
    for (const one of [told(0, 0), { ...told(0, 0), requester: { hour: 0, day: 1 } }]) expect(counted.differing(one, about(1, waiting, START + DAY + 1_000))).toBeNull();
    expect(counted.differing(told(0, 0), about(1, waiting, START + DAY - 1_000))).not.toBeNull();
    for (let n = 0; n <= COUNTED_MAX; n += 1) asked(counted, 2 + n, change(START + 2 * DAY));
    expect(counted.differing(told(0, 17), about(9_999, change(START + 2 * DAY)))).toBeNull();
  });

  test('nothing is said any more once something counts that is not told, nor of more than is remembered', () => {
    const counted = openCountedAgain();
    asked(counted, 0, change(START));
    counted.giveUp();
    expect([counted.isWhole, counted.differing(told(7, 7), about(1, change(START)))]).toEqual([false, null]);
    const ofMany = (atMs: (seq: number) => number): CountedAgain => {
      const many = openCountedAgain(40);
      for (let seq = 0; seq < 41; seq += 1) asked(many, seq, change(atMs(seq), { requester: [`person:p${seq}`] }));
      return many;
    };
    expect(ofMany(() => START).isWhole).toBe(false);
    expect(ofMany((seq) => START + (seq < 20 ? 0 : 3 * DAY)).isWhole).toBe(true);
  });
});
