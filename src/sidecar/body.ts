/** A request's body: bytes first, then strict JSON, then the schema. What fails is refused before anything else looks at it. */
import type { z } from 'zod';
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { Problem, type FieldError } from './errors.ts';

export const BODY_BYTES_MAX = 65_536;
export const BODY_DEPTH_MAX = 32;
const ERRORS_MAX = 32;
const DETAIL_MAX = 200;

/**
 * The value of the request's body under `schema`.
 *
 * @throws Problem `unsupported-media-type`, `body-too-large`, `malformed-json` or `invalid-request`; the body was not looked at further
 */
export async function readBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  return check(await readJson(request), schema, 'invalid-request', 'the body is not what this resource takes');
}

/** The body as strict JSON. @param numbers which ones may be in it @throws Problem `unsupported-media-type`, `body-too-large` or `malformed-json` */
export async function readJson(request: Request, numbers: 'integers' | 'any' = 'integers'): Promise<unknown> {
  requireJson(request.headers);
  const bytes = await readBytes(request);
  try {
    return parseStrict(bytes, { maxBytes: BODY_BYTES_MAX, maxDepth: BODY_DEPTH_MAX, numbers });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const errors = [{ pointer: shorten(error.pointer), detail: error.code }];
    throw new Problem('malformed-json', `the body is refused before it is read: ${error.code}`, { errors, cause: error });
  }
}

/** `value` under `schema`. @throws Problem `code`, naming every field that is wrong */
export function check<T>(value: unknown, schema: z.ZodType<T>, code: 'invalid-request' | 'malformed-query', detail: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Problem(code, detail, { errors: parsed.error.issues.flatMap(fieldErrors).slice(0, ERRORS_MAX) });
}

function fieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ pointer: shorten(pointerTo([...issue.path, key])), detail: 'unknown field' }));
  return [{ pointer: shorten(pointerTo(issue.path)), detail: shorten(issue.message) }];
}

/** @see RFC 6901 §3 */
function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function shorten(text: string): string {
  return text.length <= DETAIL_MAX ? text : `${text.slice(0, DETAIL_MAX)}…`;
}

function requireJson(headers: Headers): void {
  const type = headers.get('content-type') ?? '';
  if (!/^application\/json[ \t]*(?:;[ \t]*charset="?utf-8"?)?$/i.test(type)) throw new Problem('unsupported-media-type', 'send application/json');
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') throw new Problem('unsupported-media-type', 'send the body as it is, without a content encoding');
}

/** A body that says how long it is, is as long as that; of one that does not, what comes is counted. @throws Problem `body-too-large` */
export async function readBytes(request: Request): Promise<Uint8Array> {
  const tooLarge = (): Problem => new Problem('body-too-large', `a body has at most ${BODY_BYTES_MAX} bytes`, { headers: { connection: 'close' } });
  const { headers } = request;
  const said = headers.get('content-length');
  if (Number(said ?? 0) > BODY_BYTES_MAX) throw tooLarge();
  // In one piece, without a stream around it: Node's parser gives exactly so many bytes, and refuses a request that is chunked as well.
  if (said !== null && !headers.has('transfer-encoding')) {
    const whole = new Uint8Array(await request.arrayBuffer());
    if (whole.byteLength > BODY_BYTES_MAX) throw tooLarge();
    return whole;
  }
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > BODY_BYTES_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
