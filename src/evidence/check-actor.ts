/** Who may be the actor of a record that carries no signature of theirs: people and identities as the sidecar authenticated them, or the sidecar. */
import type { ChangeEvent } from '../change/events.ts';
import type { Audited } from './audited.ts';
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
    case 'change.withdrawn':
    case 'delivery.acknowledged':
      return by(requester.includes(event.actor), 'the requester');
    case 'step.authorised':
      return event.body.kind === 'revoke' ? null : by(event.actor === sidecar, 'the sidecar of this log');
    case 'change.expired':
    case 'policy.decided':
    case 'lease.armed':
    case 'lease.activated':
    case 'entitlement.verified':
    case 'delivery.undeliverable':
      return by(event.actor === sidecar, 'the sidecar of this log');
    case 'delivery.sealed':
      return by(audited?.audiences.has(event.actor) ?? false, 'the executor of the step');
    case 'finding.opened':
    case 'finding.closed':
      return by(event.actor === sidecar || event.actor.startsWith('executor:'), 'the sidecar or an executor');
    case 'approval.recorded':
    case 'approval.rejected':
    case 'state.read':
    case 'step.claimed':
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
    case 'step.ambiguous':
    case 'lease.ended':
      return null;
  }
}
