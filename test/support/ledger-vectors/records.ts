/** Records and objects: FORMAT.md rules 1 to 3, 10 and 12. */
import { encodeRecord, RECORD_BYTES_MAX, type LedgerRecord } from '../../../ledger/index.ts';
import { encodeObject } from '../../../ledger/objects.ts';
import { formatDigest, sha256 } from '../../../ledger/hash.ts';
import { base64, bytes, replaced, type Vector } from './vector.ts';

const RECORD: LedgerRecord = {
  v: 1, seq: 7, prev: `sha256:${'a'.repeat(64)}`, change: 'chg_1', changeSeq: 0, changePrev: null, type: 'policy.decided', at: '2026-11-23T19:05:00.123Z',
  actor: 'person:alice', body: { z: 1, a: ['é', { b: null }] }, objects: [`sha256:${'c'.repeat(64)}`],
};

export function recordVectors(): Vector[] {
  const good = (path: string, title: string, change: Partial<LedgerRecord>): Vector => {
    const record = { ...RECORD, ...change };
    return { path: `records/${path}`, content: { title, entry: bytes(encodeRecord(record)), expect: { record } } };
  };
  const text = Buffer.from(encodeRecord(RECORD)).toString();
  const bad = (path: string, title: string, of: string | Uint8Array): Vector => ({ path: `records/refused-${path}`, content: { title, entry: bytes(Buffer.from(of)), expect: { refused: 'malformed' } } });
  const body = (of: string): string => replaced(text, '"body":{"a":["é",{"b":null}],"z":1}', `"body":${of}`);
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const digest = `sha256:${'c'.repeat(64)}`;
  return [
    good('of-a-change', 'a record of a change', {}),
    good('first', 'the first record of a log, about the log itself', { seq: 0, prev: null, change: null, changeSeq: null, changePrev: null, objects: [] }),
    good('later-of-a-change', 'a later record of a change', { changeSeq: 3, changePrev: `sha256:${'b'.repeat(64)}` }),
    good('largest-numbers', 'numbers as large as they may be', { seq: Number.MAX_SAFE_INTEGER, body: { least: -Number.MAX_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER } }),
    good('key-order', 'keys in the order of UTF-16 code units, as RFC 8785 has it', { body: { '\u20ac': 1, '\r': 2, '1': 4, '\u0080': 5, '\ud83d\ude00': 6, '\ufb33': 7, '\u00f6': 8 } }),
    good('escapes', 'the escapes that RFC 8785 writes', { body: { text: '\u0000\b\t\n\u000b\f\r\u001f"\\/\u007f\u2028' } }),
    good('leap-day', 'the last day of a February in a leap year', { at: '2028-02-29T23:59:59.999Z' }),
    bad('space', 'a space after a comma', replaced(text, ',', ', ')),
    bad('newline', 'a newline after it', `${text}\n`),
    bad('byte-order-mark', 'a byte order mark before it', `\ufeff${text}`),
    bad('not-utf8', 'bytes that are not UTF-8', Buffer.from(text, 'latin1')),
    bad('overlong', 'a letter spelled in two bytes', Buffer.concat([Buffer.from(text.slice(0, text.indexOf('alice'))), Buffer.from([0xc1, 0xa1]), Buffer.from(text.slice(text.indexOf('lice')))])),
    bad('surrogate-bytes', 'half a surrogate pair, spelled as three bytes', Buffer.concat([Buffer.from(text.slice(0, text.indexOf('é'))), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(text.slice(text.indexOf('é') + 1))])),
    bad('lone-surrogate', 'half a surrogate pair, as an escape', replaced(text, 'é', '\\ud800')),
    bad('key-order', 'keys in another order', replaced(text, '"a":["é",{"b":null}],"z":1', '"z":1,"a":["é",{"b":null}]')),
    bad('key-order-utf8', 'keys in the order of their bytes in UTF-8', body('{"\ufb33":1,"\ud83d\ude00":2}')),
    bad('escape-for-a-letter', 'an escape for a letter', replaced(text, 'é', '\\u00e9')),
    bad('escape-in-capitals', 'an escape in capitals', body('{"a":"\\u001F"}')),
    bad('escaped-slash', 'an escaped slash', body('{"a":"\\/"}')),
    bad('key-twice', 'a key twice', replaced(text, '"seq":7', '"seq":7,"seq":7')),
    bad('key-twice-escaped', 'a key twice, once with an escape', body('{"a":1,"\\u0061":2}')),
    bad('key-twice-nested', 'a key twice, further in', body('{"a":{"b":1,"b":1}}')),
    bad('proto', 'the key __proto__', body('{"__proto__":1}')),
    bad('key-more', 'a key more', replaced(text, '"v":1', '"v":1,"w":1')),
    bad('key-less', 'a key less', replaced(text, ',"v":1', '')),
    bad('fraction', 'a fraction', replaced(text, '"seq":7', '"seq":7.5')),
    bad('point-zero', 'an integer with a point', replaced(text, '"seq":7', '"seq":7.0')),
    bad('exponent', 'an exponent', replaced(text, '"seq":7', '"seq":7e0')),
    bad('minus-zero', 'minus nothing', body('{"a":-0}')),
    bad('past-2-53', 'a number of 2^53', body('{"a":9007199254740992}')),
    bad('depth', 'more than 32 levels', body(nested(32))),
    bad('body-list', 'a body that is a list', body('[]')),
    bad('body-null', 'no body', body('null')),
    bad('comment', 'a comment', body('{/*a*/}')),
    bad('trailing-comma', 'a comma before the end', body('{"a":1,}')),
    bad('two', 'two records', text + text),
    bad('list', 'a list of one record', `[${text}]`),
    bad('no-prev', 'no prev where one is due', replaced(text, /"prev":"[^"]*"/, '"prev":null')),
    bad('first-with-prev', 'a prev for the first record', replaced(text, '"seq":7', '"seq":0')),
    bad('capital-digest', 'a digest in capitals', replaced(text, 'aaaa', 'AAAA')),
    bad('short-digest', 'a digest of 63 digits', replaced(text, 'aaaa', 'aaa')),
    bad('change-prev-of-first', 'a changePrev for the first record of a change', replaced(text, '"changePrev":null', `"changePrev":"sha256:${'b'.repeat(64)}"`)),
    bad('no-change-prev', 'no changePrev for a later one', replaced(text, '"changeSeq":0', '"changeSeq":1')),
    bad('change-seq-without-change', 'a changeSeq and no change', replaced(text, '"change":"chg_1"', '"change":null')),
    bad('negative-seq', 'a negative seq', replaced(text, '"seq":7', '"seq":-7')),
    bad('version-zero', 'a version of nothing', replaced(text, '"v":1', '"v":0')),
    bad('no-such-day', 'a day that is none', replaced(text, '2026-11-23', '2026-11-31')),
    bad('no-leap-day', 'the 29th of a February that has 28', replaced(text, '2026-11-23', '2026-02-29')),
    bad('leap-second', 'a leap second', replaced(text, '19:05:00', '23:59:60')),
    bad('hour-24', 'an hour that is none', replaced(text, '19:05:00', '24:00:00')),
    bad('offset', 'a time with an offset', replaced(text, '.123Z', '.123+00:00')),
    bad('no-milliseconds', 'a time without milliseconds', replaced(text, '.123Z', 'Z')),
    bad('small-t', 'a time with a small t', replaced(text, '23T19', '23t19')),
    bad('type-spelling', 'a type of another shape', replaced(text, 'policy.decided', 'Policy Decided')),
    bad('type-three-words', 'a type of three words', replaced(text, 'policy.decided', 'policy.was.decided')),
    bad('actor-empty', 'nobody did it', replaced(text, 'person:alice', '')),
    bad('actor-space', 'a space in the actor', replaced(text, 'person:alice', 'person alice')),
    bad('actor-not-ascii', 'an actor that is not ASCII', replaced(text, 'person:alice', 'person:ålice')),
    bad('object-twice', 'an object twice', replaced(text, `["${digest}"]`, `["${digest}","${digest}"]`)),
    bad('object-no-digest', 'an object that is no digest', replaced(text, digest, 'x')),
    bad('257-objects', 'more objects than a record may name', replaced(text, `["${digest}"]`, `[${Array.from({ length: 257 }, (_, i) => `"sha256:${String(i).padStart(64, '0')}"`).join(',')}]`)),
    bad('nothing', 'nothing at all', ''),
    { path: 'records/refused-too-large', content: { title: `more than ${RECORD_BYTES_MAX} bytes`, entry: bytes(Buffer.from(body(`{"a":"${'x'.repeat(RECORD_BYTES_MAX - text.length + 40)}"}`))), expect: { refused: 'too-large' } } },
  ];
}

export function objectVectors(): Vector[] {
  const payload = Buffer.from('{"salt":"kY3bQ0x1","window":"nightly"}');
  const digest = formatDigest(sha256(payload));
  const live = Buffer.from(encodeObject({ digest, erased: false, payload }));
  const erased = Buffer.from(encodeObject({ digest, erased: true, payload: Buffer.alloc(payload.length) }));
  const with_ = (of: Buffer, at: number, byte: number): Buffer => {
    const changed = Buffer.from(of);
    changed[at] = byte;
    return changed;
  };
  const good = (path: string, title: string, of: Buffer, expect: object): Vector => ({ path: `objects/${path}`, content: { title, base64: base64(of), expect } });
  const bad = (path: string, title: string, of: Uint8Array): Vector => ({ path: `objects/refused-${path}`, content: { title, base64: base64(of), expect: { refused: 'malformed' } } });
  return [
    good('live', 'a live object', live, { digest, erased: false, payload: bytes(payload) }),
    good('erased', 'an erased object: its length and digest are left', erased, { digest, erased: true, payload: bytes(Buffer.alloc(payload.length)) }),
    bad('altered', 'a payload that is not what the digest says', with_(live, 40, 0x20)),
    bad('other-digest', 'the digest of another', with_(live, 5, live[5]! ^ 1)),
    bad('state', 'a state that is none', with_(live, 4, 2)),
    bad('erased-with-payload', 'marked erased, with its payload left', with_(live, 4, 0)),
    bad('erased-with-a-byte', 'marked erased, with one byte left', with_(erased, erased.length - 1, 1)),
    bad('live-and-zero', 'marked live, and zero', with_(erased, 4, 1)),
    bad('empty', 'an object of no bytes', Buffer.concat([Buffer.alloc(4), Uint8Array.of(1), sha256()])),
    bad('too-long', 'a length of more than 16 MiB', with_(live, 0, 0x01)),
    bad('cut', 'cut short', live.subarray(0, -1)),
    bad('cut-in-header', 'cut short in its header', live.subarray(0, 20)),
    bad('length-more', 'a length that is one too many', with_(live, 3, payload.length + 1)),
    bad('length-less', 'a length that is one too few', with_(live, 3, payload.length - 1)),
  ];
}
