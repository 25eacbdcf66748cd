/**
 * Which records may use the room that is kept on a full disk: what takes access back or sees to it, what was seen to have happened to a target, and what
 * somebody has to look at. All of it is bounded by what was given before.
 */
import type { RecordDraft } from '../../ledger/index.ts';

const RESERVED: ReadonlySet<string> = new Set([
  'ledger.opened', 'ledger.recovered', 'ledger.restored', 'bundle.activated',
  'change.withdrawn', 'change.expired', 'lease.ended', 'lease.disarmed', 'lease.activated', 'item.started', 'item.settled', 'window.closed', 'lock.set', 'standing.revoked', 'reconcile.ordered', 'erasure',
  'step.claimed', 'step.succeeded', 'step.failed', 'step.refused', 'step.ambiguous', 'entitlement.verified', 'delivery.sealed', 'delivery.undeliverable', 'messages.refused',
  'finding.opened', 'finding.closed',
]);

/** Whether all of them are such. */
export function takesBack(drafts: readonly RecordDraft[]): boolean {
  return drafts.every(({ type, body }) => RESERVED.has(type) || (type === 'step.authorised' && body['kind'] === 'revoke'));
}
