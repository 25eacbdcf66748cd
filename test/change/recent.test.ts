import { describe, expect, test } from 'vitest';
import { COUNTED_MAX, NOTHING_RECENT, Recent, wasInVain } from '../../src/change/recent.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NHI = 'nhi:prod/billing-export';
const asked = (atMs: number, kind = 'grant', subject = NHI, requester: readonly string[] = [NHI]): Parameters<Recent['asked']>[1] => ({ request: { kind, subject }, requestedAtMs: atMs, requester });
/** Asked for, and at once authorised. */
const give = (recent: Recent, seq: number, one: Parameters<Recent['asked']>[1]): void => {
  recent.asked(seq, one);
  recent.authorised(seq, one);
};
const after = (...all: Parameters<Recent['asked']>[1][]): Recent => {
  const recent = new Recent();
  for (const [seq, one] of all.entries()) give(recent, seq, one);
  return recent;
};

describe('what was asked for of late', () => {
  test('is counted within an hour and a day up to the request, and no further', () => {
    const recent = after(asked(0), asked(1), asked(DAY - HOUR), asked(DAY - HOUR + 1), asked(DAY));
    expect(recent.before(Infinity, DAY, NHI, [NHI]).subject).toEqual({ hour: 2, day: 4 });
    expect(recent.before(4, DAY, NHI, [NHI]).subject).toEqual({ hour: 1, day: 3 });
    expect(recent.before(4, DAY, 'nhi:prod/other', ['person:ana'])).toEqual(NOTHING_RECENT);
  });

  test('is for each the same, however many come after it', () => {
    const recent = after(...Array.from({ length: 20 }, () => asked(HOUR)));
    expect(Array.from({ length: 20 }, (_, seq) => recent.before(seq, HOUR, NHI, [NHI]).subject.hour)).toEqual(Array.from({ length: 20 }, (_, seq) => seq));
  });

  test('is of the identity, and of whoever of the act chain asked most', () => {
    const recent = after(asked(1, 'grant', NHI, ['person:ana', 'person:ben']), asked(2, 'grant', 'nhi:prod/other', ['person:ben']), asked(3, 'grant', 'nhi:prod/other', ['person:ben', 'person:ben']));
    expect(recent.before(9, 9, NHI, ['person:ana', 'person:ben'])).toMatchObject({ subject: { hour: 1 }, requester: { hour: 3, day: 3 } });
    expect(recent.before(9, 9, NHI, ['person:ana'])).toMatchObject({ requester: { hour: 1 } });
  });

  test('has no taking back in it, and new credentials apart', () => {
    const recent = after(...['provision', 'grant', 'extend', 'rotate', 'revoke', 'disable', 'offboard'].map((kind) => asked(1, kind)));
    expect(recent.before(9, 9, NHI, [NHI])).toEqual({ subject: { hour: 4, day: 4 }, requester: { hour: 4, day: 4 }, newCredentials: { day: 2 } });
  });

  test('is of the identity once it is authorised: nobody uses up what is another’s by asking', () => {
    const recent = after(asked(1), asked(3));
    const byMallory = asked(4, 'provision', NHI, ['person:mallory']);
    recent.asked(2, byMallory);
    expect(recent.before(9, 9, NHI, ['person:mallory'])).toEqual({ subject: { hour: 2, day: 2 }, requester: { hour: 1, day: 1 }, newCredentials: { day: 0 } });
    recent.authorised(2, byMallory);
    expect(recent.before(9, 9, NHI, ['person:mallory'])).toEqual({ subject: { hour: 3, day: 3 }, requester: { hour: 1, day: 1 }, newCredentials: { day: 1 } });
    // Two that were asked for together and authorised the other way round.
    expect(recent.before(2, 9, NHI, [NHI]).subject.hour).toBe(2);
  });

  test('is of whoever asked at once, but for what came to nothing', () => {
    const recent = after(asked(1), asked(3));
    recent.asked(2, asked(2, 'grant', NHI, ['person:mallory']));
    for (let twice = 0; twice < 2; twice += 1) recent.remove(2, asked(2, 'grant', NHI, ['person:mallory']));
    expect(recent.before(9, 9, NHI, ['person:mallory'])).toMatchObject({ subject: { hour: 2 }, requester: { hour: 0 } });
    expect(wasInVain({ name: 'denied', firstActAtMs: null })).toBe(true);
    expect(wasInVain({ name: 'withdrawn', firstActAtMs: 5 })).toBe(false);
    expect(wasInVain({ name: 'active', firstActAtMs: 5 })).toBe(false);
  });

  test('takes no more memory than a day of it, and so many of each', () => {
    const recent = new Recent();
    for (let seq = 0; seq < COUNTED_MAX + 100; seq += 1) give(recent, seq, asked(DAY + seq));
    expect(recent.before(Infinity, DAY + COUNTED_MAX + 100, NHI, [NHI]).subject.day).toBe(COUNTED_MAX);
    for (let n = 0; n < 3_000; n += 1) give(recent, COUNTED_MAX + 100 + n, asked(10 * DAY + n, 'grant', `nhi:prod/n${n}`, [`nhi:prod/n${n}`]));
    expect([...recent.dump(10 * DAY + 3_000).keys()]).toHaveLength(6_000);
    expect([...recent.dump(20 * DAY).keys()]).toEqual([]);
  });

  test('goes on from what was kept of it as if all had been counted', () => {
    const [whole, first] = [new Recent(), new Recent()];
    for (let seq = 0; seq < 40; seq += 1) for (const one of [whole, first]) give(one, seq, asked(seq * HOUR));
    const restored = new Recent(structuredClone(first.dump(39 * HOUR)));
    for (const one of [whole, restored]) {
      one.remove(38, asked(38 * HOUR));
      for (let seq = 40; seq < 60; seq += 1) give(one, seq, asked(seq * HOUR));
    }
    expect(restored.dump(59 * HOUR)).toEqual(whole.dump(59 * HOUR));
    // The 38th came to nothing.
    expect(whole.before(60, 59 * HOUR, NHI, [NHI]).requester.day).toBe(23);
    expect(restored.before(50, 49 * HOUR, NHI, [NHI])).toEqual(whole.before(50, 49 * HOUR, NHI, [NHI]));
  });
});
