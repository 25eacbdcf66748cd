/** What every record spells, times and digests, is looked at by hand. It must be what the machine's own ways, which take longer, find. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDigest } from '../../ledger/index.ts';
import { timeOf } from '../../ledger/record.ts';

const replaced = (text: string, at: number, by: string): string => text.slice(0, at) + by + text.slice(at + by.length);

/** `text`, and some that are it but for a character. */
const near = (text: fc.Arbitrary<string>, characters: string): fc.Arbitrary<string> => fc.oneof(
  text,
  fc.tuple(text, fc.nat(100), fc.nat(characters.length - 1)).map(([of, at, by]) => replaced(of, at % of.length, characters[by]!)),
  fc.tuple(text, fc.nat(100)).map(([of, at]) => of.slice(0, at)),
  text.map((of) => `${of}0`),
);

describe('a time', () => {
  const DAYS = ['2026-02-28', '2026-02-29', '2024-02-29', '2026-02-30', '2026-03-01', '2026-11-31', '1969-12-31', '1970-01-01', '0999-01-01', '2026-00-10', '2026-13-10'];
  const time = fc.tuple(fc.constantFrom(...DAYS), fc.constantFrom('T00:00:00.000Z', 'T23:59:59.999Z', 'T24:00:00.000Z', 'T19:60:00.123Z', 'T19:05:60.123Z', 'T19:05:07.123Z')).map(([day, rest]) => day + rest);
  const due = (at: string): number => {
    const ms = /^[1-9][0-9]{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(at) ? Date.parse(at) : NaN;
    return Number.isNaN(ms) || new Date(ms).toISOString() !== at ? NaN : ms;
  };

  it('is what Date makes of it, whichever were asked about before', () => {
    fc.assert(fc.property(fc.array(near(time, '0123456789-:.TZ /aé'), { minLength: 1, maxLength: 20 }), (times) => {
      for (const at of times) expect(timeOf(at), at).toBe(due(at));
    }), { numRuns: 2_000 });
  });
});

describe('a digest', () => {
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `sha256:${Buffer.from(bytes).toString('hex')}`);

  it('is 64 lower-case hex digits behind its name', () => {
    fc.assert(fc.property(near(digest, '09afgAF/:`@sx \u0130'), (text) => {
      expect(isDigest(text), text).toBe(/^sha256:[0-9a-f]{64}$/.test(text) && text.length === 71);
    }), { numRuns: 2_000 });
  });
});
