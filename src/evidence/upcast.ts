/** Old versions of record bodies, read as the newest. Records are never rewritten: this file is where their history lives. */
import { canonicalBytes, digestOf, type JsonObject, type JsonValue, type LedgerRecord } from '../../ledger/index.ts';

/** Until version 2 what people wrote stood in the record itself: what is read of it is the same text, and there is no disclosure. */
const inClear = (body: JsonObject): JsonObject => body;

/** By type, how each older version is made into the one after it: the first entry takes version 1 to 2. */
const STEPS: Readonly<Record<string, readonly ((body: JsonObject) => JsonObject)[]>> = {
  // Version 1 named the bundle and kept nothing of it; until version 3 there were no revisions, and until version 4 nobody was asked.
  'bundle.activated': [(body) => ({ ...body, listing: null, signature: null }), (body) => body, (body) => body],
  'change.requested': [withoutReasonInDigest],
  // Until version 3 nobody but who asked changed a request.
  'change.revised': [inClear, (body) => body],
  'change.withdrawn': [inClear],
  // Until version 3 no record said where a person had decided.
  'approval.recorded': [inClear, (body) => body],
  'approval.rejected': [inClear, (body) => body],
  // Version 1 told of one record in each message.
  'notification.delivered': [(body) => body],
  'notification.failed': [(body) => body],
  'step.authorised': [inClear],
  erasure: [inClear],
};

/** The newest version of the type's body that this build reads, and the one that it writes. */
export function newestVersion(type: string): number {
  return (STEPS[type]?.length ?? 0) + 1;
}

/** The record with its body in the newest version's shape. @throws RangeError for a version that this build does not know */
export function upcast(record: LedgerRecord): LedgerRecord {
  const newest = newestVersion(record.type);
  if (record.v === newest) return record;
  if (record.v > newest) throw new RangeError(`record ${record.seq}: ${record.type} version ${record.v} is not known to this build`);
  return { ...record, v: newest, body: STEPS[record.type]!.slice(record.v - 1).reduce((body, step) => step(body), record.body) };
}

/** Version 1 had the digest of the whole request: of what may be guessed as well. What a body of another shape is, its schema says. */
function withoutReasonInDigest(body: JsonObject): JsonObject {
  const { request, idempotency } = body;
  if (!isObject(request) || !isObject(idempotency)) return body;
  const { reason: _reason, ...rest } = request;
  return { ...body, idempotency: { ...idempotency, request: digestOf(canonicalBytes(rest)) } };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
