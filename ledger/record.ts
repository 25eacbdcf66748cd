/**
 * Records: what one log entry says, and the one way to spell it in bytes.
 *
 * The bytes are RFC 8785 JSON of at most 60 KiB with exactly the keys of {@link LedgerRecord}. They hold the leaf hash of
 * the record before (`prev`) and of the change's own record before (`changePrev`), so the chain and the tree are over
 * the same bytes: there is no second structure that could tell another story.
 */
import { LedgerError } from './errors.ts';
import { isDigest } from './hash.ts';
import { canonicalString, canonicalText, parseCanonical } from './jcs.ts';
import { JsonError, type JsonObject, type JsonValue } from './json.ts';

export const RECORD_BYTES_MAX = 61_440;
export const RECORD_OBJECTS_MAX = 256;

/** What a caller gives; everything else about its record the log assigns. */
export interface RecordDraft {
  /** The version of this record type's body. */
  readonly v: number;
  /** Id of the change that the record belongs to; null for the ledger's own. */
  readonly change: string | null;
  readonly type: string;
  /** RFC 3339, UTC, with milliseconds. */
  readonly at: string;
  readonly actor: string;
  readonly body: JsonObject;
  /** Digests of the objects that the record names. */
  readonly objects: readonly string[];
}

export interface LedgerRecord extends RecordDraft {
  readonly seq: number;
  /** Digest spelling of the leaf hash of record seq-1; null for record 0. */
  readonly prev: string | null;
  /** 0, 1, … within the change; null where `change` is. */
  readonly changeSeq: number | null;
  /** Digest spelling of the leaf hash of the change's record before; null for its first. */
  readonly changePrev: string | null;
}

const TYPE = /^[a-z]+(?:\.[a-zA-Z]+)?$/;
const NAME = /^[\x21-\x7e]{1,256}$/;

const [DASH, COLON, DOT, T, Z] = [0x2d, 0x3a, 0x2e, 0x54, 0x5a];

/** Whether what is not digits in `2026-11-23T19:05:00.123Z` stands in its place. */
function isSpacedAsTime(at: string): boolean {
  return at.length === 24 && at.charCodeAt(4) === DASH && at.charCodeAt(7) === DASH && at.charCodeAt(10) === T
    && at.charCodeAt(13) === COLON && at.charCodeAt(16) === COLON && at.charCodeAt(19) === DOT && at.charCodeAt(23) === Z;
}

/** The number that the characters from one place to before another spell; NaN where one of them is no digit. */
function digits(text: string, from: number, to: number): number {
  let n = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    n = digit >= 0 && digit <= 9 ? n * 10 + digit : NaN;
  }
  return n;
}

const DAY_LENGTH = '2026-11-23'.length;
/** The day that was asked about last: most records are of the day of the one before. */
let lastDay = '1970-01-01';
let lastDayMs = 0;

/** Epoch milliseconds of a record's `at`; NaN for text that is not a real UTC time with milliseconds. */
export function timeOf(at: string): number {
  // Date.parse takes February 30 for March 2, and a round trip through toISOString costs more than hashing the record.
  if (!isSpacedAsTime(at)) return NaN;
  if (!at.startsWith(lastDay)) {
    lastDay = at.slice(0, DAY_LENGTH);
    lastDayMs = dayOf(at);
  }
  const hour = digits(at, 11, 13);
  const minute = digits(at, 14, 16);
  const second = digits(at, 17, 19);
  return hour <= 23 && minute <= 59 && second <= 59 ? lastDayMs + ((hour * 60 + minute) * 60 + second) * 1_000 + digits(at, 20, 23) : NaN;
}

/** When the day begins that a time is of; NaN where there is no such day. */
function dayOf(at: string): number {
  const year = digits(at, 0, 4);
  const month = digits(at, 5, 7);
  const day = digits(at, 8, 10);
  return year >= 1000 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) ? Date.UTC(year, month - 1, day) : NaN;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Why these parts can't be a record's, or null. */
function faultOf(record: RecordDraft): string | null {
  if (!Number.isSafeInteger(record.v) || record.v < 1) return 'v is not a version';
  if (record.change !== null && (typeof record.change !== 'string' || !NAME.test(record.change))) return 'change is not an id';
  if (typeof record.type !== 'string' || record.type.length > 64 || !TYPE.test(record.type)) return 'type is not the name of a record type';
  if (typeof record.at !== 'string' || Number.isNaN(timeOf(record.at))) return 'at is not a UTC time with milliseconds';
  if (typeof record.actor !== 'string' || !NAME.test(record.actor)) return 'actor is not an id';
  if (typeof record.body !== 'object' || (record.body as JsonObject | null) === null || Array.isArray(record.body)) return 'body is not an object';
  if (!Array.isArray(record.objects) || record.objects.length > RECORD_OBJECTS_MAX) return `objects is not a list of at most ${RECORD_OBJECTS_MAX}`;
  if (!record.objects.every((digest: unknown) => typeof digest === 'string' && isDigest(digest))) return 'objects holds something that is not a digest';
  return record.objects.length < 2 || new Set(record.objects).size === record.objects.length ? null : 'objects names one object twice';
}

function isLink(value: unknown): boolean {
  return value === null || (typeof value === 'string' && isDigest(value));
}

/** @param prev what `record.prev` may be without being looked at: a digest */
function chainFaultOf(record: LedgerRecord, prev: string | null = null): string | null {
  if (!Number.isSafeInteger(record.seq) || record.seq < 0) return 'seq is not a count';
  if ((record.seq === 0) !== (record.prev === null)) return 'prev is null for record 0, and only for it';
  if ((record.change === null) !== (record.changeSeq === null)) return 'changeSeq is null where change is, and only there';
  if (record.changeSeq !== null && (!Number.isSafeInteger(record.changeSeq) || record.changeSeq < 0)) return 'changeSeq is not a count';
  if (((record.changeSeq ?? 0) === 0) !== (record.changePrev === null)) return "changePrev is null for a change's first record, and only for it";
  return (record.prev === prev || isLink(record.prev)) && isLink(record.changePrev) ? null : 'prev or changePrev is not a digest';
}

/**
 * The bytes of a record.
 *
 * @throws LedgerError `malformed` (also for a body that JCS refuses) or `too-large`.
 */
export function encodeRecord(record: LedgerRecord): Uint8Array {
  const fault = chainFaultOf(record);
  if (fault !== null) throw new LedgerError('malformed', `record ${record.seq}: ${fault}`, { seq: record.seq });
  return encodeLinked(record);
}

/** The bytes of a record whose links the chains themselves gave: only what a caller gave is looked at. @throws LedgerError as {@link encodeRecord} does */
export function encodeLinked(record: LedgerRecord): Uint8Array {
  const fault = faultOf(record);
  if (fault !== null) throw new LedgerError('malformed', `record ${record.seq}: ${fault}`, { seq: record.seq });
  const digest = (d: string | null): string => (d === null ? 'null' : `"${d}"`);
  const change = record.change === null ? 'null' : canonicalString(record.change);
  const objects = record.objects.length === 0 ? '[]' : `["${record.objects.join('","')}"]`;
  // The keys in the order of RFC 8785, by hand: sorting them for every record costs more than writing them.
  const text =
    `{"actor":${canonicalString(record.actor)},"at":"${record.at}","body":${bodyText(record)},"change":${change},` +
    `"changePrev":${digest(record.changePrev)},"changeSeq":${record.changeSeq ?? 'null'},"objects":${objects},` +
    `"prev":${digest(record.prev)},"seq":${record.seq},"type":"${record.type}","v":${record.v}}`;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.byteLength > RECORD_BYTES_MAX) {
    throw new LedgerError('too-large', `record ${record.seq} is ${bytes.byteLength} bytes, more than ${RECORD_BYTES_MAX}`, { seq: record.seq });
  }
  return bytes;
}

function bodyText(record: LedgerRecord): string {
  try {
    return canonicalText(record.body);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new LedgerError('malformed', `record ${record.seq}: body: ${cause.message}`, { seq: record.seq, cause });
  }
}

const KEYS = ['actor', 'at', 'body', 'change', 'changePrev', 'changeSeq', 'objects', 'prev', 'seq', 'type', 'v'];

/** Whether the keys are a record's, no more and no fewer. They are in canonical order. */
function hasItsKeys(value: object): boolean {
  let at = 0;
  for (const key in value) if (KEYS[at++] !== key) return false;
  return at === KEYS.length;
}

/**
 * The record that `bytes` spell.
 *
 * @param prev the digest of the record before, where that is known: one spelling less to look at
 * @throws LedgerError `malformed` or `too-large` unless {@link encodeRecord} could have written exactly these bytes.
 */
export function decodeRecord(bytes: Uint8Array, prev: string | null = null): LedgerRecord {
  if (bytes.byteLength > RECORD_BYTES_MAX) throw new LedgerError('too-large', `a record of ${bytes.byteLength} bytes`);
  let value: JsonValue;
  try {
    value = parseCanonical(bytes);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new LedgerError('malformed', `not a record: ${cause.message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new LedgerError('malformed', 'not a record: not an object');
  if (!hasItsKeys(value)) throw new LedgerError('malformed', `not a record: its keys are ${Object.keys(value).join(', ').slice(0, 200)}`);
  const record = value as unknown as LedgerRecord;
  const fault = faultOf(record) ?? chainFaultOf(record, prev);
  if (fault !== null) throw new LedgerError('malformed', `not a record: ${fault}`);
  return record;
}
