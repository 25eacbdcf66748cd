/** A state as the ledger has it, once what somebody wrote in it is erased. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { commitmentIn } from '../../src/evidence/prose.ts';
import { isCommitment, type Prose } from '../../src/protocol/disclosure.ts';

/**
 * `known`, in which no word is erased, without those words that `state` has no more: where its commitment is that of a record whose disclosure was erased on record.
 *
 * @param own the records of the change
 */
export function asDisclosed(known: ChangeState, state: ChangeState, own: readonly LedgerRecord[], all: readonly LedgerRecord[]): ChangeState {
  const isErased = ({ objects: [digest] }: LedgerRecord): boolean => all.some(({ type, body }) => type === 'erasure' && (body['erased'] as readonly string[]).includes(digest ?? ''));
  const left = (words: Prose, now: Prose): Prose => (isCommitment(now) && own.some((record) => commitmentIn(record)?.commitment === now.commitment && isErased(record)) ? now : words);
  const { request, idempotency } = known;
  return {
    ...known, request: { ...request, reason: left(request.reason, state.request.reason) },
    idempotency: idempotency === null || state.idempotency === null ? idempotency : { ...idempotency, reason: left(idempotency.reason, state.idempotency.reason) },
  };
}
