/**
 * Checks of extensions: a lease ends later only where an extension of it was decided, approved, authorised, applied and verified, and by the order
 * that this fixed. What is known of a verified one is kept until it is used, or until its lease is over.
 */
import { isOfSame, lentBy, type Extendable } from '../change/extension.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { Extension } from '../change/state.ts';
import { payloadDigest } from '../protocol/dsse.ts';
import type { Plan } from '../protocol/plan.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { same } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** An extension that was applied and verified. */
interface Verified {
  readonly extension: Extension;
  /** When its executor had applied it, by its own word. */
  readonly appliedAtMs: number;
}

export interface Extensions {
  /**
   * What a plan extends, with the epoch that the plan says; null where it is nothing that it could. `gone`: the lease was over when the plan was
   * recorded, or its own plan was erased; then nothing is compared, and what is over is extended by nobody.
   */
  extendedBy(plan: Plan): (Extendable & { readonly nextEpoch: number }) | 'gone' | null;
  /** A step of an extension is authorised. */
  checkAuthorised(audited: Audited, lease: { readonly endsAt: string; readonly epoch: number }): Fault | null;
  checkExtended(audited: Audited, event: Of<'lease.extended'>, graceMs: number): Fault | null;
  /** Takes in a change as it is after a record. */
  follow(after: Audited): void;
}

/** @param open the changes that are open, by id: the lease of another is not looked for among those that are over */
export function openExtensions(open: ReadonlyMap<string, Audited>): Extensions {
  const verified = new Map<string, Verified>();
  /** Those, by the change whose lease they extend. */
  const extending = new Map<string, Set<string>>();
  const forget = (changeId: string): void => {
    const of = verified.get(changeId)?.extension.change;
    if (of === undefined) return;
    verified.delete(changeId);
    const those = extending.get(of);
    those?.delete(changeId);
    if (those?.size === 0) extending.delete(of);
  };
  const running = (changeId: string): Audited | null => {
    const audited = open.get(changeId);
    return audited?.state.name === 'active' && audited.state.ended === null && audited.state.revokes.length === 0 ? audited : null;
  };
  return {
    extendedBy(plan) {
      const { extends: named } = plan;
      if (named === undefined) return null;
      const audited = open.get(named.change);
      if (audited === undefined || audited.planErased) return 'gone';
      const lent = lentBy(audited.state);
      return lent !== null && isOfSame(audited.state, plan) ? { ...lent, nextEpoch: named.epoch } : null;
    },
    checkAuthorised({ state: { request, plan } }, lease) {
      if (request.kind !== 'extend') return null;
      const extended = running(request.change);
      if (extended?.state.lease == null) return fault('extension-mismatch', `an extension was authorised of ${request.change}, whose lease did not run`);
      if (extended.state.adoptedFrom !== null) return fault('gained-after-adoption', `an extension was authorised of ${request.change}, which was begun under log ${extended.state.adoptedFrom}`);
      if (lease.epoch <= extended.state.lease.epoch || (plan?.extends !== undefined && lease.epoch !== plan.extends.epoch)) return fault('extension-mismatch', `an extension to epoch ${lease.epoch} of a lease that was at ${extended.state.lease.epoch}`);
      return parseTime(lease.endsAt) > extended.state.lease.endsAtMs ? null : fault('extension-mismatch', `an extension to ${lease.endsAt} of a lease that ended later`);
    },
    checkExtended({ state }, { body, changeId }, graceMs) {
      const found = verified.get(body.change);
      forget(body.change);
      if (found === undefined || found.extension.change !== changeId) return fault('not-extended', `a lease is said to end later by ${body.change}, which had not extended it`);
      const { extension, appliedAtMs } = found;
      const says = { leaseId: body.leaseId, epoch: body.epoch, endsAtMs: parseTime(body.endsAt), order: payloadDigest(body.order) };
      const { leaseId, epoch, endsAtMs, orderDigest: order } = extension;
      if (!same(says, { leaseId, epoch, endsAtMs, order }) || leaseId !== state.lease?.leaseId || epoch <= state.lease.epoch || endsAtMs <= state.lease.endsAtMs) {
        return fault('extension-mismatch', `a lease is said to end at ${body.endsAt}, at epoch ${body.epoch}, which is not what ${body.change} was authorised to do`);
      }
      if (appliedAtMs > state.lease.endsAtMs + graceMs) return fault('not-extended', `an extension was applied at ${formatTime(appliedAtMs)}, after its lease had ended`);
      return null;
    },
    follow({ state }) {
      const { extension, result, verification } = state;
      if (extension !== null && result?.outcome === 'done' && verification?.effect === 'allow' && open.get(extension.change) !== undefined) {
        forget(state.changeId);
        verified.set(state.changeId, { extension, appliedAtMs: parseTime(result.at) });
        extending.set(extension.change, (extending.get(extension.change) ?? new Set()).add(state.changeId));
      }
      if (state.ended !== null) for (const changeId of [...(extending.get(state.changeId) ?? [])]) forget(changeId);
    },
  };
}

/** Only what an extension superseded is disarmed, and only once that is on record. */
export function checkDisarmed({ state }: Audited, { body }: Of<'lease.disarmed'>): Fault | null {
  const earlier = state.superseded.find(({ orderDigest }) => orderDigest === body.order);
  const fits = earlier !== undefined && earlier.epoch === body.epoch && body.leaseId === state.lease?.leaseId;
  return fits ? null : fault('disarmed-early', 'an order was disarmed that no recorded extension had superseded');
}
