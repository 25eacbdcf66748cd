/**
 * Which record may follow which: the closed set of events that each state of a change allows. It restates, for somebody else's ledger,
 * what `decide` made sure of for one's own.
 */
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState, StateName } from '../change/state.ts';
import { readPayload } from '../protocol/dsse.ts';
import { reportSchema } from '../protocol/signed.ts';
import { fault, type Fault } from './violation.ts';

/** What may still be recorded about a change that is closed. None of it gives, or says that something was given. */
export const AFTER_END: ReadonlySet<ChangeEvent['type']> = new Set([
  'finding.opened', 'finding.closed', 'delivery.acknowledged', 'delivery.undeliverable', 'step.claimed', 'step.ambiguous', 'step.refused', 'step.failed',
] as const);

/** The fault of `event` coming when the change was `state`, or null where it is in its place. */
export function outOfOrder(state: ChangeState | null, event: ChangeEvent): Fault | null {
  if (state === null) return event.type === 'change.requested' ? null : misplaced(event, 'a change that nobody requested');
  const inOneOf = (...names: StateName[]): Fault | null => (names.includes(state.name) ? null : misplaced(event, `a change that was ${state.name}`));
  const when = (holds: boolean, why: string): Fault | null => (holds ? null : misplaced(event, why));
  switch (event.type) {
    case 'change.requested':
      return misplaced(event, 'a change that had been requested already');
    case 'change.revised':
      return inOneOf('requested', 'pending', 'scheduled') ?? when(event.body.revision === state.revision + 1, `revision ${state.revision}`);
    case 'change.withdrawn':
      return inOneOf('requested', 'pending', 'scheduled', 'authorised', 'executing');
    case 'change.expired':
      return event.body.cause === 'approval' ? inOneOf('pending') : inOneOf('scheduled');
    case 'policy.decided': {
      const due = event.body.phase === 'request' ? inOneOf('requested') : inOneOf('scheduled', 'authorised', 'executing');
      return due ?? when(event.body.revision === state.revision, `revision ${state.revision}`);
    }
    case 'approval.recorded':
    case 'approval.rejected':
      return inOneOf('pending');
    case 'step.authorised':
      if (event.body.kind === 'read') return inOneOf('requested');
      if (event.body.kind === 'act') return inOneOf('scheduled', 'authorised', 'executing');
      return when(state.act !== null && state.ended === null, 'a change that had given nothing, or had given it back');
    case 'state.read':
      return inOneOf('requested') ?? when(state.read !== null && state.before === null, 'a change whose target nobody was to read');
    case 'step.claimed':
    case 'step.ambiguous':
      return state.act === null ? fault('not-authorised', `${event.type} without a step that was authorised`) : null;
    case 'step.failed':
    case 'step.refused': {
      const { kind } = readPayload(event.body.report, reportSchema);
      if (kind === 'read') return when(state.read !== null, 'a change whose target nobody was to read');
      return state.act === null ? fault('not-authorised', `${event.type} without a step that was authorised`) : null;
    }
    case 'step.succeeded':
      if (state.act === null) return fault('not-authorised', 'an effect without a step that was authorised');
      if (state.result !== null) return fault('second-effect', 'a second effect of a step that has had its effect');
      if (state.lease !== null && !state.lease.armed) return fault('not-armed', 'a lease was given before the order that ends it was armed');
      return null;
    case 'lease.armed':
      return when(state.lease !== null && !state.lease.armed, 'a change with no lease to arm');
    case 'lease.activated':
      if (state.verification?.effect !== 'allow') return fault('not-verified', 'a lease became active without a verification that allows it');
      return inOneOf('verifying') ?? when(state.lease !== null, 'a change without a lease');
    case 'lease.ended':
      if (state.act === null) return fault('not-authorised', 'something was taken back that no step was authorised to give');
      return when(state.ended === null, 'a change whose access had ended');
    case 'entitlement.verified':
      return inOneOf('verifying') ?? when(state.verification === null && state.result?.stepId === event.body.stepId, 'a step that was verified, or not done');
    case 'delivery.sealed':
      return state.act?.stepId === event.body.stepId ? null : fault('not-authorised', 'a secret was made without a step that was authorised');
    case 'delivery.acknowledged':
    case 'delivery.undeliverable':
      return when(state.delivery?.seal.ciphertext === event.body.ciphertext, 'a change that has no such delivery');
    case 'finding.opened':
      return null;
    case 'finding.closed':
      return when(state.findings.has(event.body.code), 'a change without such a finding');
  }
}

function misplaced(event: ChangeEvent, where: string): Fault {
  return fault('wrong-order', `${event.type} in ${where}`);
}
