import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalBytes, canonicalText, JsonError, parseCanonical, parseStrict, type JsonErrorCode } from '../../ledger/index.ts';

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.constantFrom('10', '9', '', '\u2028', 'é', '\ufb33', '\u{1f600}', '"\\', '\u0000', '\u007f'));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null), fc.boolean(), fc.maxSafeInteger().map((n) => n + 0), text,
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(text.filter((key) => key !== '__proto__'), tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
}));
const wellFormed = (v: unknown): boolean => !/\\ud[89a-f]/.test(JSON.stringify(v));
const json = value.filter(wellFormed);
const hasMinusZero = (v: unknown): boolean => Object.is(v, -0) || (typeof v === 'object' && v !== null && Object.values(v).some(hasMinusZero));

function codeOf(run: () => unknown): { code: JsonErrorCode; pointer: string } | null {
  try {
    run();
    return null;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { code: error.code, pointer: error.pointer };
  }
}

describe('canonical text', () => {
  it('is what another implementation of RFC 8785 writes', () => {
    fc.assert(fc.property(json.filter((v) => !hasMinusZero(v)), (v) => {
      expect(canonicalText(v)).toBe(canonicalize(v));
    }), { numRuns: 2_000 });
  });

  it('is that of an object with many members too, in whatever order they come', () => {
    const wide = fc.uniqueArray(fc.oneof(text, fc.stringMatching(/^[a-c]{0,3}$/)).filter((key) => key !== '__proto__' && wellFormed(key)), { minLength: 25, maxLength: 60 });
    fc.assert(fc.property(wide, (keys) => {
      const members = Object.fromEntries(keys.map((key, n) => [key, n]));
      expect(canonicalText(members)).toBe(canonicalize(members));
    }), { numRuns: 300 });
  });

  it('reads back as the same value, by both parsers', () => {
    fc.assert(fc.property(json.filter((v) => !hasMinusZero(v)), (v) => {
      const bytes = canonicalBytes(v);
      expect(parseStrict(bytes)).toEqual(v);
      expect(parseCanonical(bytes)).toEqual(v);
      expect(Buffer.from(canonicalBytes(parseCanonical(bytes))).equals(bytes)).toBe(true);
    }), { numRuns: 1_000 });
  });

  it('is refused in any other spacing, and read strictly all the same', () => {
    fc.assert(fc.property(json.filter((v) => typeof v === 'object' && v !== null && Object.keys(v).length > 0 && !hasMinusZero(v)), (v) => {
      const spaced = Buffer.from(JSON.stringify(v, null, 1));
      expect(parseStrict(spaced)).toEqual(v);
      expect(codeOf(() => parseCanonical(spaced))?.code).toBe('not-canonical');
    }), { numRuns: 300 });
  });

  it('is accepted by both parsers or by neither, whatever byte is changed', () => {
    fc.assert(fc.property(json, fc.nat(), fc.integer({ min: 0, max: 255 }), (v, at, byte) => {
      if (hasMinusZero(v)) return;
      const bytes = Buffer.from(canonicalBytes(v));
      bytes[at % bytes.length] = byte;
      const canonical = codeOf(() => parseCanonical(bytes));
      const strict = codeOf(() => parseStrict(bytes));
      if (canonical === null) {
        expect(strict).toBeNull();
        expect(Buffer.from(canonicalBytes(parseStrict(bytes))).equals(bytes)).toBe(true);
      } else if (strict === null) {
        expect(Buffer.from(canonicalBytes(parseStrict(bytes))).equals(bytes)).toBe(false);
      }
    }), { numRuns: 3_000 });
  });
});

describe('a document in any spelling', () => {
  const space = fc.oneof({ weight: 12, arbitrary: fc.constant('') }, fc.constantFrom(' ', '\n', '\t'));
  const digits = fc.oneof(fc.nat({ max: 120 }), fc.constantFrom(0, 100, 1_000, 15_000, 900_000, Number.MAX_SAFE_INTEGER)).map(String);
  const number = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('', '-'), digits).map((parts) => parts.join('')) },
    fc.tuple(fc.constantFrom('', '-'), digits, fc.constantFrom('', '.0', '.5', '.25'), fc.constantFrom('', 'e', 'E', 'e+', 'e-'), fc.nat({ max: 4 })).map(([sign, whole, part, e, power]) => `${sign}${whole}${part}${e}${e === '' ? '' : power}`),
  );
  const string = fc.oneof({ weight: 4, arbitrary: text.map((one) => JSON.stringify(one)) }, fc.constantFrom('"\\u0061"', '"a\\/"', '"\\u00e9"', '"\\ud800"', '":1e2,"', '" 1e2]"', '"é"', '"\u{1f600}"'));
  const key = fc.constantFrom('"a"', '"b"', '"c"', '"\\u0061"', '"1"', '"10"', '"9"', '"1e2"', '""', '"é"', '"__proto__"');
  const { spelled } = fc.letrec<{ spelled: string }>((tie) => ({
    spelled: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('null', 'true', 'false'), number, string,
      fc.tuple(space, fc.array(fc.tuple(tie('spelled'), space), { maxLength: 4 })).map(([before, items]) => `[${before}${items.map(([item, after]) => item + after).join(',')}]`),
      fc.tuple(space, fc.array(fc.tuple(key, space, tie('spelled'), space), { maxLength: 4 })).map(([before, members]) => `{${before}${members.map(([name, between, member, after]) => `${name}${between}:${member}${after}`).join(',')}}`),
    ),
  }));

  it('is taken for canonical only where it is what is written of its value', () => {
    const [seen, taken] = [new Set<string>(), new Set<string>()];
    fc.assert(fc.property(spelled, (document) => {
      // The engine keeps the last of a key's members: then what is written is shorter than what was read.
      let written: string | null = null;
      try {
        written = canonicalText(JSON.parse(document));
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
      }
      const isCanonical = codeOf(() => parseCanonical(Buffer.from(document))) === null;
      expect(isCanonical).toBe(written === document);
      seen.add(document);
      if (isCanonical) taken.add(document);
    }), { numRuns: 20_000 });
    expect(taken.size).toBeGreaterThan(500);
    expect(seen.size - taken.size).toBeGreaterThan(500);
  });

  it.each(['[1e2]', '[1e2 ]', '[ 1e3]', '[1.5e3 ]', '{"b":1,"1":2}', '{"10":1,"9":2} ', '{"a":1,"a":1}', '[-0]', '[0e0]', '[100,1E2]', '[":100,"] ', '{"a":3600,"b":1e2}', '[9007199254740992]', '[9007199254740991.4]'])('%s is refused', (document) => {
    expect(codeOf(() => parseCanonical(Buffer.from(document)))).not.toBeNull();
  });
  it.each(['[100]', '{"1":2,"b":1}', '{"10":1,"9":2}', '[":1e2,"]', '{"a":3600,"b":[":3e5,"]}', '[9007199254740991,-9007199254740991]', '{"a":"sha256:3e5","b":100}', '[]', '{}', '[[],{}]', '""'])('%s is taken', (document) => {
    expect(parseCanonical(Buffer.from(document))).toEqual(JSON.parse(document));
  });
});

describe('a value that has no canonical text', () => {
  const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)]);
  it.each<[string, unknown, JsonErrorCode, string]>([
    ['undefined', undefined, 'not-json', ''],
    ['an undefined member', { a: { b: undefined } }, 'not-json', '/a/b'],
    ['a hole in an array', [1, , 2], 'not-json', '/1'],
    ['a float', { a: [0, 1.5] }, 'not-integer', '/a/1'],
    ['minus zero', [-0], 'not-integer', '/0'],
    ['NaN', { 'a/b~': NaN }, 'not-integer', '/a~1b~0'],
    ['2^53', [2 ** 53], 'not-integer', '/0'],
    ['a bigint', [1n], 'not-json', '/0'],
    ['a date', { at: new Date(0) }, 'not-json', '/at'],
    ['bytes', { b: Buffer.from('x') }, 'not-json', '/b'],
    ['a function', [(): void => undefined], 'not-json', '/0'],
    ['half a surrogate pair', { a: '\ud83d' }, 'lone-surrogate', '/a'],
    ['a key that is half a pair', { '\ude00': 1 }, 'lone-surrogate', '/\ude00'],
    ['the key __proto__', JSON.parse('{"a":{"__proto__":1}}'), 'forbidden-key', '/a/__proto__'],
    ['33 levels', nested(32), 'too-deep', '/0'.repeat(32)],
  ])('%s is refused, and where it stands is said', (_name, refused, code, pointer) => {
    expect(codeOf(() => canonicalText(refused))).toEqual({ code, pointer });
  });

  it('does not include 32 levels', () => {
    expect(canonicalText(nested(31))).toBe('['.repeat(32) + ']'.repeat(32));
    expect(parseStrict(Buffer.from('['.repeat(32) + ']'.repeat(32)))).toBeDefined();
  });
});

describe('a text that is not strict I-JSON', () => {
  it.each<[string, string | number[], JsonErrorCode, string]>([
    ['nothing', '', 'syntax', ''],
    ['more after the value', '{} {}', 'syntax', ''],
    ['a trailing comma', '{"a":[1,]}', 'syntax', '/a/1'],
    ['a comment', '{/**/}', 'syntax', ''],
    ['single quotes', "{'a':1}", 'syntax', ''],
    ['a leading zero', '[01]', 'syntax', ''],
    ['a plus sign', '[+1]', 'syntax', '/0'],
    ['NaN', '[NaN]', 'syntax', '/0'],
    ['a raw newline in a string', '["a\nb"]', 'syntax', '/0'],
    ['a bad escape', '["\\x41"]', 'syntax', '/0'],
    ['a byte order mark', '\ufeff{}', 'syntax', ''],
    ['a key twice', '{"a":1,"b":{"c":1,"c":2}}', 'duplicate-key', '/b/c'],
    ['a key twice, once escaped', '{"ab":1,"a\\u0062":2}', 'duplicate-key', '/ab'],
    ['the key __proto__', '{"a":[{"__proto__":{}}]}', 'forbidden-key', '/a/0/__proto__'],
    ['the key __proto__, escaped', '{"__pr\\u006fto__":{}}', 'forbidden-key', '/__proto__'],
    ['1.0', '{"n":1.0}', 'not-integer', '/n'],
    ['1e3', '{"n":1e3}', 'not-integer', '/n'],
    ['-0', '[-0]', 'not-integer', '/0'],
    ['2^53', '[9007199254740992]', 'not-integer', '/0'],
    ['an escaped lone surrogate', '["\\ud800"]', 'lone-surrogate', '/0'],
    ['escaped surrogates the wrong way round', '["\\udc00\\ud800"]', 'lone-surrogate', '/0'],
    ['an overlong byte', [0x22, 0xc0, 0xaf, 0x22], 'bad-utf8', ''],
    ['a surrogate in UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22], 'bad-utf8', ''],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22], 'bad-utf8', ''],
    ['33 levels', '['.repeat(33) + ']'.repeat(33), 'too-deep', '/0'.repeat(32)],
  ])('%s is refused, and where it stands is said', (_name, refused, code, pointer) => {
    const bytes = typeof refused === 'string' ? Buffer.from(refused) : Buffer.from(refused);
    expect(codeOf(() => parseStrict(bytes))).toEqual({ code, pointer });
    expect(codeOf(() => parseCanonical(bytes))).not.toBeNull();
  });

  it('is refused past the size and depth that the caller allows', () => {
    expect(codeOf(() => parseStrict(Buffer.from('[1,2,3]'), { maxBytes: 6 }))?.code).toBe('too-large');
    expect(codeOf(() => parseStrict(Buffer.from('[[[]]]'), { maxDepth: 2 }))?.code).toBe('too-deep');
    expect(codeOf(() => parseCanonical(Buffer.from('[[[]]]'), { maxDepth: 2 }))?.code).toBe('too-deep');
    expect(codeOf(() => parseStrict(Buffer.alloc(1_048_577, 0x20)))?.code).toBe('too-large');
  });

  it('does not stop a parser that meets a megabyte of it', () => {
    expect(codeOf(() => parseStrict(Buffer.from('['.repeat(1_048_576))))?.code).toBe('too-deep');
    expect(parseStrict(Buffer.from(JSON.stringify('\\'.repeat(500_000))))).toBe('\\'.repeat(500_000));
    expect(parseStrict(Buffer.from(JSON.stringify('x'.repeat(1_000_000))))).toBe('x'.repeat(1_000_000));
  });
});
