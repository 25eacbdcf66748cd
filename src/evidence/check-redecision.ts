/** Checks of what policy said of leases that run, and of what is taken back for it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import type { RevokeOrder } from '../protocol/signed.ts';
import type { Audited } from './audited.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

export function checkRedecided({ state }: Audited, { body }: Of<'lease.redecided'>, record: LedgerRecord): Fault | null {
  if (body.leaseId !== state.lease?.leaseId) return fault('redecision-mismatch', 'policy was asked about another lease than this change’s');
  if (!record.objects.includes(body.provenance.input)) return fault('redecision-mismatch', 'the record does not name what policy was asked among its objects');
  return body.held === null || body.redecision.effect === 'revoke' ? null : fault('redecision-mismatch', 'what takes nothing back is said to wait for a person');
}

/**
 * The fault of a revoke before the lease's end that no person ordered: it rests on an answer of policy's, the last on record about this lease,
 * that takes it back and waits for nobody. One that a person ordered needs none.
 */
export function checkRests({ redecision }: ChangeState, event: ChangeEvent, body: { readonly redecision?: string | undefined }, order: RevokeOrder): Fault | null {
  const isByPolicy = event.actor.startsWith('sidecar:') && order.cause === 'early';
  if (!isByPolicy) return body.redecision === undefined ? null : fault('redecision-mismatch', 'an order that policy did not give is said to rest on its answer');
  const rests = redecision?.effect === 'revoke' && !redecision.isHeld && redecision.input === body.redecision;
  return rests ? null : fault('redecision-mismatch', 'the sidecar took access back early, and no answer of policy’s on record says so');
}
