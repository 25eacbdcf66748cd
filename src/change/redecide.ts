/**
 * What becomes of a lease that runs, now that policy was asked about it again. Pure.
 *
 * An answer is an event where it differs from the last on record: a lease that was kept and is kept is not told of. What is taken back for it is
 * ordered in the same breath, so that no order by policy is on record without the answer that it rests on.
 */
import type { Provenance, Redecision } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { revokeOrderSchema, type Dsse } from '../protocol/signed.ts';
import { revokeStepId } from './derive.ts';
import type { FindingCode, NewEvent } from './events.ts';
import { isLent } from './extension.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import { REDECISION_FINDINGS, type ChangeState } from './state.ts';

export interface Redecided {
  readonly by: string;
  readonly redecision: Redecision;
  readonly provenance: Provenance;
  /** Of a `revoke`: what takes it back now; null where it waits for a person. */
  readonly order: Dsse | null;
  /** Why it waits. */
  readonly held: Held | null;
  readonly owner: string | null;
}

/** So many leases would be taken back at once, of so many that run. */
export interface Held {
  readonly revokes: number;
  readonly leases: number;
}

/** Above both nothing is taken back at once. */
export interface ConfirmAbove {
  /** Of the leases that run. */
  readonly percent: number;
  readonly leases: number;
}

/**
 * Why the revokes of one redecision wait for a person; null where they do not.
 *
 * @param revokes that are new, and those that wait already: or each time a few more would go
 * @param leases that run
 */
export function heldBy(revokes: number, leases: number, above: ConfirmAbove): Held | null {
  return revokes > above.leases && revokes * 100 > leases * above.percent ? { revokes, leases } : null;
}

export function decideRedecision(state: ChangeState, { by, redecision, provenance, order, held, owner }: Redecided, nowMs: number): Decided {
  if (!isLent(state, nowMs) || state.lease === null) return no('not-expected', `no lease runs in a change that is ${state.name}`);
  const { effect } = redecision;
  const codes = codesOf(redecision);
  if (effect === 'keep' && state.redecision === null) return ALREADY;
  if (effect !== 'keep' && order === null && isOnRecord(state, effect, codes, held !== null)) return ALREADY;
  const events: NewEvent[] = [
    { type: 'lease.redecided', actor: by, body: { leaseId: state.lease.leaseId, redecision, provenance, held } },
    ...REDECISION_FINDINGS.filter((code) => state.findings.has(code)).map((code): NewEvent => ({ type: 'finding.closed', actor: by, body: { code } })),
  ];
  if (effect === 'keep') return yes(...events);
  const opened = (code: FindingCode, message: string): NewEvent => ({ type: 'finding.opened', actor: by, body: { code, message: message.slice(0, 500), owner } });
  if (effect === 'finding') return yes(...events, opened('lease-denied', `policy would not give this again: ${codes.join(', ')}`));
  if (held !== null) return yes(...events, opened('lease-revoke-held', `policy would take this back, and ${held.revokes} of ${held.leases} leases at once, so it waits for a person: ${codes.join(', ')}`));
  if (order === null || !isOf(order, state, by)) return no('not-expected', 'the order takes back something else, or not now');
  return yes(...events, { type: 'step.authorised', actor: by, body: { kind: 'revoke', stepId: revokeStepId(state.changeId), order, comment: null, redecision: provenance.input } });
}

/** The codes of its reasons, each once, in a fixed order. */
export function codesOf({ reasons }: Redecision): string[] {
  return [...new Set(reasons.map(({ code }) => code))].sort();
}

function isOnRecord({ redecision }: ChangeState, effect: Redecision['effect'], codes: readonly string[], isHeld: boolean): boolean {
  return redecision?.effect === effect && redecision.isHeld === isHeld && redecision.codes.join() === codes.join();
}

function isOf(envelope: Dsse, { changeId }: ChangeState, by: string): boolean {
  const order = readPayload(envelope, revokeOrderSchema);
  return order.changeId === changeId && order.cause === 'early' && order.orderedBy === by;
}
