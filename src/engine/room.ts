/**
 * What policy answers, and what a floor asks for, are parts of records, which have 60 KiB for everything. Either is made of facts, and so as large as whoever writes
 * those will have it: what a record has no room for is no answer, before anything is written.
 */
import { canonicalBytes, RECORD_BYTES_MAX } from '../../ledger/index.ts';
import { decide, type Command } from '../change/decide.ts';
import type { ChangeState } from '../change/state.ts';
import { EngineFault } from '../pdp/fault.ts';

/** An answer that is recorded as it is. */
export const ANSWER_BYTES_MAX = 45_000;
/** Who must approve is in each `step.authorised` as well, beside a ticket and an order that may have sixteen of the longest privileges each. */
export const REQUIREMENT_BYTES_MAX = 20_000;
/** Everything but the body: ids, links, and the digests of a plan and a question. */
const AROUND_BYTES_MAX = 1_024;

/** The answer. @throws EngineFault `result-too-large` */
export function recordable<T extends object>(answer: T): T {
  const bytes = canonicalBytes(answer).length;
  if (bytes > ANSWER_BYTES_MAX) throw new EngineFault('result-too-large', `policy’s answer takes ${bytes} bytes of a record, which has room for ${ANSWER_BYTES_MAX}`);
  return answer;
}

/** Why the decision cannot be recorded; null where it can. A requirement that was recorded has room as it is: nothing that is under way is held up for it. */
export function noRoomFor(state: ChangeState, command: Extract<Command, { type: 'recordDecision' }>, atMs: number): EngineFault | null {
  const decided = decide(state, command, atMs);
  const [event] = decided.ok ? decided.events : [];
  if (event?.type !== 'policy.decided') return null;
  const due = canonicalBytes(event.body.requirement).length;
  if (due > REQUIREMENT_BYTES_MAX && due > canonicalBytes(state.requirement).length) {
    return new EngineFault('result-too-large', `who must approve takes ${due} bytes of a record, which has room for ${REQUIREMENT_BYTES_MAX}: fewer people are to be asked, or by fewer of their ids`);
  }
  const bytes = canonicalBytes(event.body).length;
  const most = RECORD_BYTES_MAX - AROUND_BYTES_MAX;
  return bytes <= most ? null : new EngineFault('result-too-large', `the decision and who must approve take ${bytes} bytes of a record, which has room for ${most}`);
}
