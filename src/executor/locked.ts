/** What a lock keeps from being done: every step that may leave more access than there was. What takes away, no lock holds up. */
import { lockOn } from '../protocol/lock.ts';
import { givesAccess, type Plan } from '../protocol/plan.ts';
import type { ActTicket, Refusal } from '../protocol/signed.ts';
import type { BookState } from './book-entries.ts';

/** Why the ticket's step is not done while a lock stands; null where none does that covers it. */
export function locked({ book }: { readonly book: { readonly state: Pick<BookState, 'locks'> } }, plan: Plan, { step }: ActTicket): { readonly code: Refusal; readonly message: string } | null {
  if (!givesAccess(step.action)) return null;
  const lock = lockOn(book.state.locks, plan.subject, step.connector);
  return lock === null ? null : { code: 'locked', message: `locked by ${lock.by} (${lock.lockId})` };
}
