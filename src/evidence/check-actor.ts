/** Who may be the actor of a record that carries no signature of theirs: people and identities as the sidecar authenticated them, or the sidecar. */
import type { ChangeEvent } from '../change/events.ts';
import { placeOf } from '../protocol/request.ts';
import type { Audited } from './audited.ts';
import { mayReduce } from './check-reduced.ts';
import { fault, type Fault } from './violation.ts';

/** Records with a signed document inside are checked against it elsewhere; here are the others. */
export function checkActorOf(event: ChangeEvent, audited: Audited | null, logId: string): Fault | null {
  const sidecar = `sidecar:${logId}`;
  const by = (allowed: boolean, who: string): Fault | null => (allowed ? null : fault('wrong-actor', `${event.type} by ${event.actor}, where ${who} is due`));
  const requester = audited?.state.requester ?? [];
  switch (event.type) {
    case 'change.requested':
      return by(event.actor === event.body.requester[0], 'the requester');
    case 'change.revised':
      if (event.body.reduced !== undefined) return by(mayReduce(audited, event.actor), 'one of those who are asked to approve,');
      return event.body.cause === undefined ? by(requester.includes(event.actor), 'the requester') : by(event.actor === sidecar, 'the sidecar of this log');
    case 'change.withdrawn':
      // Who may revoke may keep something from being given. What takes away is its requester's alone to stop.
      return by(requester.includes(event.actor) || (isSomebody(event.actor) && isGaining(audited)), 'the requester, or who may revoke,');
    case 'delivery.acknowledged':
      return by(requester.includes(event.actor) || keeps(audited, event.actor), 'the requester, or the executor that keeps it,');
    case 'step.authorised':
      return event.body.kind === 'revoke' ? null : by(event.actor === sidecar, 'the sidecar of this log');
    case 'change.expired':
    case 'change.adopted':
    case 'policy.decided':
    case 'approval.judged':
    case 'approval.escalated':
    case 'lease.armed':
    case 'lease.activated':
    case 'lease.extended':
    case 'lease.disarmed':
    case 'lease.redecided':
    case 'breakglass.rotated':
    case 'entitlement.verified':
    case 'delivery.undeliverable':
    case 'item.started':
    case 'item.settled':
    case 'notification.delivered':
    case 'notification.failed':
    case 'window.opened':
      return by(event.actor === sidecar, 'the sidecar of this log');
    case 'window.closed':
      // Who revises or withdraws the change closes its window with it.
      return by(event.actor === sidecar || (event.body.cause === 'finished' && isSomebody(event.actor)), 'the sidecar of this log');
    case 'consumer.confirmed':
      // Owners are people; the facts would tell which. A machine identity answers for itself, or for what it asked for.
      return by(event.actor === event.body.consumer || requester.includes(event.actor) || event.actor.startsWith('person:'), 'the consumer, the requester or an owner');
    case 'delivery.sealed':
      return by(audited?.audiences.has(event.actor) ?? false, 'the executor of the step');
    case 'finding.opened':
    case 'finding.closed':
      return by(event.actor === sidecar || event.actor.startsWith('executor:'), 'the sidecar or an executor');
    case 'step.ambiguous':
      return 'report' in event.body ? null : by(event.actor === sidecar, 'the sidecar of this log');
    case 'breakglass.reviewed':
      return by(event.actor.startsWith('person:'), 'a person');
    case 'breakglass.used':
    case 'approval.recorded':
    case 'approval.rejected':
    case 'state.read':
    case 'step.claimed':
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
    case 'lease.ended':
      return null;
  }
}

/** Whether it is the executor that has kept the secret where its users look for it. */
function keeps(audited: Audited | null, actor: string): boolean {
  const seal = audited?.state.delivery?.seal;
  return seal !== undefined && placeOf(seal.recipient) !== null && (audited?.audiences.has(actor) ?? false);
}

function isGaining(audited: Audited | null): boolean {
  return audited !== null && ['provision', 'grant', 'extend', 'rotate'].includes(audited.state.request.kind);
}

/** A person or a machine identity, and no part of the control plane. */
export function isSomebody(actor: string): boolean {
  return actor.startsWith('person:') || actor.startsWith('nhi:');
}
