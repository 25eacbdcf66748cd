/** The record of an event with a salt of its own that is the same each time: a story told twice is the same bytes. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import type { NewEvent } from '../../src/change/events.ts';
import { toDraft, type DraftWithObjects } from '../../src/evidence/record.ts';

export function draftOf(changeId: string, event: NewEvent, atMs: number, extra: readonly Uint8Array[] = []): DraftWithObjects {
  const salt = (): string => Buffer.from(digestOf(canonicalBytes({ changeId, atMs, type: event.type, body: event.body })).slice('sha256:'.length), 'hex').subarray(0, 16).toString('base64url');
  return toDraft(changeId, event, atMs, salt, extra);
}
