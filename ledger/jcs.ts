/**
 * One JSON text for one value: RFC 8785 (JCS) within I-JSON, integers only.
 *
 * Numbers are integers of at most 2^53-1 in size and never -0. Lone surrogates, duplicate keys (also when one is
 * spelled with escapes) and the key `__proto__` are refused everywhere, so that two readers can't see two documents.
 *
 * @see RFC 8785 (JCS), RFC 7493 (I-JSON)
 */
import { parseText } from './json-parser.ts';
import { hasLoneSurrogate, JSON_BYTES_MAX, JSON_DEPTH_MAX, JsonError, pointerTo, type JsonLimits, type JsonObject, type JsonValue } from './json.ts';

/**
 * The canonical text of `value`. A member whose value is `undefined` is refused, not dropped: it is a mistake of the caller's.
 *
 * @throws JsonError `not-json`, `not-integer`, `lone-surrogate`, `forbidden-key` or `too-deep`.
 */
export function canonicalText(value: unknown): string {
  // Pointers cost more than the text itself, so they are only built once something is known to be wrong.
  return write(value, 0) ?? refuse(value, '', 0);
}

/** {@link canonicalText} in UTF-8: the bytes that are hashed and signed. */
export function canonicalBytes(value: unknown): Uint8Array {
  return Buffer.from(canonicalText(value), 'utf8');
}

/** Quotes, backslashes, control characters and any surrogate: what can't simply be put between quotes. */
const NEEDS_CARE = /["\\\u0000-\u001f\ud800-\udfff]/;
/** Canonical spelling of one string. @throws JsonError `lone-surrogate`. */
export function canonicalString(text: string): string {
  return writeString(text) ?? refuse(text, '', 0);
}

function writeString(text: string): string | undefined {
  if (!NEEDS_CARE.test(text)) return `"${text}"`;
  return hasLoneSurrogate(text) ? undefined : JSON.stringify(text);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function write(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'number':
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : undefined;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      break;
    default:
      return undefined;
  }
  if (value === null) return 'null';
  if (depth >= JSON_DEPTH_MAX) return undefined;
  if (Array.isArray(value)) {
    let text = '[';
    for (let i = 0; i < value.length; i++) {
      const item = write(value[i], depth + 1);
      if (item === undefined) return undefined;
      text += i === 0 ? item : `,${item}`;
    }
    return `${text}]`;
  }
  return isPlainObject(value) ? writeObject(value as Record<string, unknown>, depth) : undefined;
}

function writeObject(members: Record<string, unknown>, depth: number): string | undefined {
  let text = '';
  for (const key of inOrderOfUnits(Object.keys(members))) {
    const name = spelledNames.get(key) ?? spellName(key);
    const member = write(members[key], depth + 1);
    if (name === undefined || member === undefined) return undefined;
    text += text === '' ? `{${name}${member}` : `,${name}${member}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

/** `keys`, sorted as RFC 8785 §3.2.3 asks for: by UTF-16 code units, as `<` compares. By hand where they are few, which takes half as long. */
function inOrderOfUnits(keys: string[]): string[] {
  if (keys.length > 32) return keys.sort();
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i]!;
    let at = i;
    for (; at > 0 && key < keys[at - 1]!; at--) keys[at] = keys[at - 1]!;
    keys[at] = key;
  }
  return keys;
}

/** How the names of members are spelled: there are a few hundred of them, in every record again. */
const spelledNames = new Map<string, string>();
const SPELLED_MAX = 1_024;

function spellName(key: string): string | undefined {
  const name = key === '__proto__' ? undefined : writeString(key);
  if (name === undefined) return undefined;
  if (spelledNames.size < SPELLED_MAX && key.length <= 32) spelledNames.set(key, `${name}:`);
  return `${name}:`;
}

/** Throws what is wrong with a value that {@link write} gave up on. */
function refuse(value: unknown, pointer: string, depth: number): never {
  if (typeof value === 'string' && hasLoneSurrogate(value)) throw new JsonError('lone-surrogate', pointer, 'a surrogate without its other half');
  if (typeof value === 'number') throw new JsonError('not-integer', pointer, 'a number that is not a safe integer');
  if (typeof value !== 'object' || value === null) throw new JsonError('not-json', pointer, `a value of type ${typeof value}`);
  if (depth >= JSON_DEPTH_MAX) throw new JsonError('too-deep', pointer, `nested deeper than ${JSON_DEPTH_MAX}`);
  if (!Array.isArray(value) && !isPlainObject(value)) throw new JsonError('not-json', pointer, 'an object that is not a plain one');
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value).sort()) {
    const at = pointerTo(pointer, key);
    if (key === '__proto__') throw new JsonError('forbidden-key', at, 'the key __proto__');
    if (typeof key === 'string' && hasLoneSurrogate(key)) throw new JsonError('lone-surrogate', at, 'a surrogate without its other half');
    const member = (value as Record<string | number, unknown>)[key];
    if (write(member, depth + 1) === undefined) refuse(member, at, depth + 1);
  }
  throw new JsonError('not-json', pointer, 'a value that changes while it is read');
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of strict UTF-8. A byte order mark stays in the text, where the grammar refuses it. @throws JsonError `bad-utf8`. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new JsonError('bad-utf8', '', 'bytes that are not UTF-8');
  }
}

/**
 * The value of an I-JSON text in any spacing, key order and escaping.
 *
 * @param limits `maxBytes` (default 1 MiB), `maxDepth` (default and at most 32), and `numbers` (default: safe integers alone).
 * @throws JsonError with a JSON pointer to the first fault.
 */
export function parseStrict(bytes: Uint8Array, limits: JsonLimits = {}): JsonValue {
  const maxBytes = limits.maxBytes ?? JSON_BYTES_MAX;
  if (bytes.byteLength > maxBytes) throw new JsonError('too-large', '', `more than ${maxBytes} bytes`);
  const text = decodeUtf8(bytes);
  const maxDepth = Math.min(limits.maxDepth ?? JSON_DEPTH_MAX, JSON_DEPTH_MAX);
  return parseIfPlainlyCanonical(text, maxDepth) ?? parseText(text, maxDepth, limits.numbers);
}

/**
 * The value of bytes that are exactly their own canonical form: no second spelling of the document exists.
 *
 * @throws JsonError as {@link parseStrict} does, and `not-canonical` when the bytes are a good document spelled another way.
 */
export function parseCanonical(bytes: Uint8Array, limits: JsonLimits = {}): JsonValue {
  const maxBytes = limits.maxBytes ?? JSON_BYTES_MAX;
  if (bytes.byteLength > maxBytes) throw new JsonError('too-large', '', `more than ${maxBytes} bytes`);
  const text = decodeUtf8(bytes);
  const maxDepth = Math.min(limits.maxDepth ?? JSON_DEPTH_MAX, JSON_DEPTH_MAX);
  const fast = parseIfPlainlyCanonical(text, maxDepth);
  if (fast !== undefined) return fast;
  const value = parseText(text, maxDepth);
  if (canonicalText(value) !== text) throw new JsonError('not-canonical', '', 'JSON that is not in canonical form');
  return value;
}

/**
 * The engine's own parser is ten times faster than ours and agrees with RFC 8785 but for spelling, key order, numbers and lone surrogates. So: if those
 * are right, the text is canonical. `undefined` says only that the slow way must decide.
 */
function parseIfPlainlyCanonical(text: string, maxDepth: number): JsonValue | undefined {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
  if (!text.includes('\\')) {
    const seen = { hundreds: false };
    if (plainLength(value, maxDepth, seen) === text.length && !(seen.hundreds && EXPONENT.test(text))) return value;
  }
  // The depth first: a writer that recurses must not be given what is nested without end.
  if (!inOrder(value, maxDepth) || JSON.stringify(value) !== text) return undefined;
  // A lone surrogate can come only from an escape, and survives the round trip as one.
  return text.includes('\\ud') ? undefined : value;
}

/** A number with an exponent, wherever one can stand; also what looks like one inside of a string. */
const EXPONENT = /(?:^|[:,[\s])-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+(?:[,\]}\s]|$)/;
/** No length: {@link plainLength} cannot tell, or there is no canonical text of the value. */
const UNTOLD = -1;

/**
 * How long the canonical text of `value` is, which was read from a text without a backslash. Where that is the length of the text, it *is* the text:
 * a string without escapes is spelled in one way; white space and members that a later one has replaced only make a text longer; and so does every other
 * spelling of an integer, but for one with an exponent, which can be as short only where the integer is a multiple of 100. Where there is one of those, no
 * length tells anything of a text that has exponents.
 *
 * @param seen is told of a multiple of 100, but for 0
 * @returns also {@link UNTOLD} where keys are not in order, and where one is an array index: the engine puts those first wherever they stand in the text
 */
function plainLength(value: JsonValue, depthLeft: number, seen: { hundreds: boolean }): number {
  switch (typeof value) {
    case 'string':
      return value.length + 2;
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) return UNTOLD;
      if (value !== 0 && value % 100 === 0) seen.hundreds = true;
      return digitsOf(value);
    case 'boolean':
      return value ? 4 : 5;
    default:
  }
  if (value === null) return 4;
  if (depthLeft === 0) return UNTOLD;
  let length = 1;
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) {
      const within = plainLength(item, depthLeft - 1, seen);
      if (within === UNTOLD) return UNTOLD;
      length += within + 1;
    }
    return length === 1 ? 2 : length;
  }
  let last = '';
  const members = value as JsonObject;
  for (const key in members) {
    const first = key.charCodeAt(0);
    if (key < last || (first >= 0x30 && first <= 0x39) || key === '__proto__') return UNTOLD;
    const within = plainLength(members[key]!, depthLeft - 1, seen);
    if (within === UNTOLD) return UNTOLD;
    length += key.length + within + 4;
    last = key;
  }
  return length === 1 ? 2 : length;
}

/** Characters of an integer. */
function digitsOf(n: number): number {
  let digits = n < 0 ? 2 : 1;
  for (let rest = Math.abs(n); rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}

function inOrder(value: JsonValue, depthLeft: number): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft === 0) return false;
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) if (!inOrder(item, depthLeft - 1)) return false;
    return true;
  }
  let last = '';
  const members = value as JsonObject;
  for (const key in members) {
    if (key < last || key === '__proto__' || !inOrder(members[key]!, depthLeft - 1)) return false;
    last = key;
  }
  return true;
}
