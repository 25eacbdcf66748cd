/** Which policy bundle is in force, on record; and that what comes from a source only goes forward. */
import { canonicalText } from '../../ledger/index.ts';
import { filesOf } from '../pdp/bundle-files.ts';
import { absentPdp, type Pdp } from '../pdp/engine.ts';
import { isLive } from '../pdp/live.ts';
import { notForward, type Revised } from '../pdp/revision.ts';
import { permissionFor, type Governing, type Permission } from './proposals.ts';
import type { Store } from './store.ts';

/**
 * The bundle and its signature, unless the ledger says that already; and its files, where the ledger does not have them yet.
 *
 * @param named who let it come into force; null where that is on record, or nobody is asked
 */
export function recordBundle({ bundle, evidence, revision }: Pick<Pdp, 'bundle' | 'evidence' | 'revision'>, store: Store, named: Extract<Permission, { may: true }>['named'] = null): void {
  const last = store.lastOf('bundle.activated');
  // While none is in force it is remembered what the last one was called: otherwise an older one could follow.
  const called = revision ?? (bundle === null ? revised(store)?.revision : undefined);
  const body = { bundle, listing: evidence?.listing ?? null, signature: evidence?.signature ?? null, ...(called === undefined ? {} : { revision: called }) };
  if (named === null && last !== undefined) {
    const { proposal: _proposal, approvals: _approvals, ...said } = last;
    if (canonicalText(said) === canonicalText(body)) return;
  }
  store.record('bundle.activated', { ...body, ...named }, filesOf(evidence));
}

/** What the last bundle on record was called; null where it came from no source that says. */
export function revised(store: Store): Revised | null {
  const last = store.lastOf('bundle.activated');
  const [revision, bundle] = [last?.['revision'], last?.['bundle']];
  return typeof revision === 'string' ? { revision, bundle: typeof bundle === 'string' ? bundle : null } : null;
}

/** A bundle that was kept and is behind what was in force is not in force any more: somebody put it back. */
export function holdForward(pdp: Pdp, store: Store): void {
  if (pdp.bundle === null || pdp.revision === undefined || !isLive(pdp)) return;
  const why = notForward(revised(store), { revision: pdp.revision, bundle: pdp.bundle });
  if (why !== null) pdp.replace(absentPdp(`the bundle that was kept is not taken: ${why}`));
}

/** Why this bundle may not come into force, in a phrase; null where it may. */
export function mayNotActivate(store: Store, { revision, bundle }: Pick<Pdp, 'revision' | 'bundle'>): string | null {
  if (revision === undefined || bundle === null) return 'it has no revision';
  return notForward(revised(store), { revision, bundle });
}

/**
 * From here on `next` answers, and the record says so. Called while no answer of policy is on its way from a question to its record, which is
 * at the beginning of a turn of the event loop: what is recorded after this is decided by what this names.
 *
 * @throws NotApproved, LedgerError `unwritable` or `full`: what was in force still is
 */
export function activate(context: Governing & { readonly pdp: Pdp }, next: Pdp): void {
  const { pdp, store } = context;
  if (!isLive(pdp)) throw new Error('the policy of this engine stays what it is');
  const permission = permissionFor(context, next);
  if (!permission.may) throw new NotApproved();
  recordBundle(next, store, permission.named);
  pdp.replace(next);
}

/** People must let the bundle come into force, and have not. */
export class NotApproved extends Error {
  constructor() {
    super('nobody, or not enough, has let this policy bundle come into force');
    this.name = 'NotApproved';
  }
}
