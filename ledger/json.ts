/** What a JSON value is here, how large one may be, and how one that is not is refused. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

export type JsonErrorCode =
  | 'duplicate-key' | 'bad-utf8' | 'too-deep' | 'too-large' | 'not-integer' | 'syntax' | 'lone-surrogate' | 'forbidden-key'
  | 'not-json' | 'not-canonical';

/** Why a text or value is not one of ours, and where: `pointer` is a JSON pointer (RFC 6901). */
export class JsonError extends Error {
  readonly code: JsonErrorCode;
  readonly pointer: string;

  constructor(code: JsonErrorCode, pointer: string, message: string) {
    super(`${message} at ${pointer === '' ? 'the top' : pointer}`);
    this.name = 'JsonError';
    this.code = code;
    this.pointer = pointer;
  }
}

export const JSON_DEPTH_MAX = 32;
export const JSON_BYTES_MAX = 1_048_576;

export interface JsonLimits {
  readonly maxBytes?: number;
  readonly maxDepth?: number;
  /** `any` takes every finite number of JSON, as I-JSON does, for documents that are read and neither hashed nor written again. Default: safe integers. */
  readonly numbers?: 'integers' | 'any';
}

export function pointerTo(parent: string, key: string | number): string {
  return `${parent}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

export function hasLoneSurrogate(text: string): boolean {
  return LONE_SURROGATE.test(text);
}
