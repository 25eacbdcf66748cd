/** What a stored record says, in its newest version's words. */
import type { z } from 'zod';
import type { LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../change/events.ts';
import { systemRecordBodies } from '../evidence/record.ts';
import { upcast } from '../evidence/upcast.ts';
import { parseBy } from '../protocol/compiled.ts';

const bodies = { ...changeEventBodies, ...systemRecordBodies };
type Bodies = typeof bodies;
export type RecordType = keyof Bodies;
/** Which type it is, with the body of that type. */
export type Said = { [T in RecordType]: { readonly type: T; readonly body: z.infer<Bodies[T]> } }[RecordType];

export const RECORD_TYPES = Object.keys(bodies) as readonly RecordType[];

/** null for what is no record that this build knows: WORKFLOW names it. */
export function bodyOf(stored: LedgerRecord): Said | null {
  const { type } = stored;
  if (!Object.hasOwn(bodies, type)) return null;
  try {
    const parsed = parseBy<unknown>(bodies[type as RecordType], upcast(stored).body);
    return parsed.success ? ({ type, body: parsed.data } as Said) : null;
  } catch (error) {
    // A version that this build does not know.
    if (error instanceof RangeError) return null;
    throw error;
  }
}
