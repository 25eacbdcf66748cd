/** A recursive-descent parser for I-JSON that says where a text went wrong; see `jcs.ts` for what it refuses and why. */
import { hasLoneSurrogate, JSON_DEPTH_MAX, JsonError, pointerTo, type JsonErrorCode, type JsonValue } from './json.ts';

interface Cursor {
  readonly text: string;
  readonly maxDepth: number;
  readonly numbers: 'integers' | 'any';
  at: number;
}

/** The value of the whole of `text`. @throws JsonError. */
export function parseText(text: string, maxDepth = JSON_DEPTH_MAX, numbers: Cursor['numbers'] = 'integers'): JsonValue {
  const cursor: Cursor = { text, maxDepth, numbers, at: 0 };
  const value = parseValue(cursor, '', 0);
  skipSpace(cursor);
  if (cursor.at < text.length) fail('syntax', '', `more text after the value, at offset ${cursor.at}`);
  return value;
}

function fail(code: JsonErrorCode, pointer: string, message: string): never {
  throw new JsonError(code, pointer, message);
}

function skipSpace(cursor: Cursor): void {
  for (;;) {
    const c = cursor.text.charCodeAt(cursor.at);
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
    cursor.at++;
  }
}

function parseValue(cursor: Cursor, pointer: string, depth: number): JsonValue {
  skipSpace(cursor);
  const { text } = cursor;
  switch (text[cursor.at]) {
    case '{':
      return parseObject(cursor, pointer, depth);
    case '[':
      return parseArray(cursor, pointer, depth);
    case '"':
      return parseString(cursor, pointer);
    case 't':
      return parseWord(cursor, pointer, 'true', true);
    case 'f':
      return parseWord(cursor, pointer, 'false', false);
    case 'n':
      return parseWord(cursor, pointer, 'null', null);
    default:
      return parseNumber(cursor, pointer);
  }
}

function parseWord(cursor: Cursor, pointer: string, word: string, value: JsonValue): JsonValue {
  if (!cursor.text.startsWith(word, cursor.at)) fail('syntax', pointer, `not JSON, at offset ${cursor.at}`);
  cursor.at += word.length;
  return value;
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;

function parseNumber(cursor: Cursor, pointer: string): number {
  NUMBER.lastIndex = cursor.at;
  const spelled = NUMBER.exec(cursor.text)?.[0];
  if (spelled === undefined) fail('syntax', pointer, `not JSON, at offset ${cursor.at}`);
  cursor.at += spelled.length;
  const value = Number(spelled);
  if (cursor.numbers === 'any') {
    if (!Number.isFinite(value)) fail('not-integer', pointer, 'a number beyond IEEE 754');
    return value;
  }
  if (!INTEGER.test(spelled) || !Number.isSafeInteger(value)) fail('not-integer', pointer, 'a number that is not a safe integer');
  return value;
}

const STRING = /"([^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*)"/y;

function parseString(cursor: Cursor, pointer: string): string {
  STRING.lastIndex = cursor.at;
  const match = STRING.exec(cursor.text);
  if (match === null) fail('syntax', pointer, `a string that is not JSON, at offset ${cursor.at}`);
  cursor.at += match[0].length;
  const inner = match[1]!;
  const value = inner.includes('\\') ? (JSON.parse(match[0]) as string) : inner;
  if (hasLoneSurrogate(value)) fail('lone-surrogate', pointer, 'a surrogate without its other half');
  return value;
}

function parseArray(cursor: Cursor, pointer: string, depth: number): JsonValue {
  if (depth >= cursor.maxDepth) fail('too-deep', pointer, `nested deeper than ${cursor.maxDepth}`);
  cursor.at++;
  const items: JsonValue[] = [];
  skipSpace(cursor);
  if (cursor.text[cursor.at] === ']') {
    cursor.at++;
    return items;
  }
  for (;;) {
    items.push(parseValue(cursor, pointerTo(pointer, items.length), depth + 1));
    if (endOrComma(cursor, pointer, ']')) return items;
  }
}

function parseObject(cursor: Cursor, pointer: string, depth: number): JsonValue {
  if (depth >= cursor.maxDepth) fail('too-deep', pointer, `nested deeper than ${cursor.maxDepth}`);
  cursor.at++;
  const members: Record<string, JsonValue> = {};
  skipSpace(cursor);
  if (cursor.text[cursor.at] === '}') {
    cursor.at++;
    return members;
  }
  for (;;) {
    skipSpace(cursor);
    if (cursor.text[cursor.at] !== '"') fail('syntax', pointer, `a key is due at offset ${cursor.at}`);
    const key = parseString(cursor, pointer);
    const at = pointerTo(pointer, key);
    if (key === '__proto__') fail('forbidden-key', at, 'the key __proto__');
    if (Object.hasOwn(members, key)) fail('duplicate-key', at, 'a key that is there twice');
    skipSpace(cursor);
    if (cursor.text[cursor.at] !== ':') fail('syntax', at, `a colon is due at offset ${cursor.at}`);
    cursor.at++;
    members[key] = parseValue(cursor, at, depth + 1);
    if (endOrComma(cursor, pointer, '}')) return members;
  }
}

function endOrComma(cursor: Cursor, pointer: string, end: string): boolean {
  skipSpace(cursor);
  const c = cursor.text[cursor.at];
  cursor.at++;
  if (c === end) return true;
  if (c !== ',') fail('syntax', pointer, `a comma or ${end} is due at offset ${cursor.at - 1}`);
  return false;
}
