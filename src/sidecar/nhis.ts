/** `/v1/nhis` and `/v1/leases`: who the machine identities are, and what each of them holds by this ledger. */
import type { ChangeState } from '../change/state.ts';
import type { Facts } from '../facts/load.ts';
import type { InventoryFact } from '../facts/schemas.ts';
import type { Authenticated } from '../identity/tokens.ts';
import type { Handlers } from './call.ts';
import { unwrap, type SidecarContext } from './context.ts';
import { formatTime } from '../protocol/values.ts';
import { Problem } from './errors.ts';
import { privilegesBy } from './nhi-privileges.ts';
import type { LeaseView, NhiView } from './schemas.ts';
import { leaseViewOf } from './view.ts';
import { maySeeChange, maySeeNhi } from './visibility.ts';

type NhiOperation = 'listNhis' | 'getNhi' | 'revokeNhi' | 'listLeases';

export function nhiHandlers(context: SidecarContext): Handlers<NhiOperation> {
  const { engine } = context;

  /** Leases by identity, each soonest to end first. None is of a change at rest. */
  const leases = (wanted: (state: ChangeState) => boolean): Map<string, LeaseView[]> => {
    const held = new Map<string, LeaseView[]>();
    for (const state of engine.open()) {
      if (state.lease === null || !wanted(state)) continue;
      const lease = leaseViewOf(state);
      if (lease !== null) held.set(lease.subject, [...(held.get(lease.subject) ?? []), lease]);
    }
    for (const list of held.values()) list.sort(bySoonestEnd);
    return held;
  };
  const requireVisible = (by: Authenticated, id: string): void => {
    if (!maySeeNhi(by, id, context.facts())) throw new Problem('no-such-nhi', 'no machine identity of this id');
  };

  const views = (facts: Facts, held: ReadonlyMap<string, LeaseView[]>): ((nhi: InventoryFact) => NhiView) => {
    const privileges = privilegesBy(facts);
    const useObservedAt = facts.usage === null ? null : formatTime(facts.usage.observedAtMs);
    return (nhi) => ({ ...nhi, leases: held.get(nhi.id) ?? [], privileges: privileges(nhi), useObservedAt });
  };

  return {
    async listNhis({ by }) {
      const facts = context.facts();
      const seen = [...facts.inventory.values()].filter((nhi) => maySeeNhi(by, nhi.id, facts));
      return { status: 200, body: { nhis: seen.map(views(facts, leases(() => true))) } };
    },
    async getNhi({ by, params }) {
      const id = params['id']!;
      requireVisible(by, id);
      const facts = context.facts();
      const nhi = facts.inventory.get(id);
      if (nhi === undefined) throw new Problem('no-such-nhi', 'no machine identity of this id');
      return { status: 200, body: views(facts, leases((state) => state.request.subject === id))(nhi) };
    },
    async revokeNhi({ by, params, body }) {
      const id = params['id']!;
      requireVisible(by, id);
      const known = context.facts().inventory.has(id) || engine.index.knowsSubject(id);
      if (!known) throw new Problem('no-such-nhi', 'no machine identity of this id');
      const revokes = unwrap(await engine.revokeAll(by.principal, id, body.comment ?? null));
      return { status: 202, body: { nhi: id, revokes: [...revokes] } };
    },
    async listLeases({ by, query }) {
      const facts = context.facts();
      const held = leases((state) => (query.subject === undefined || state.request.subject === query.subject) && maySeeChange(by, state, facts));
      return { status: 200, body: { leases: [...held.values()].flat().sort(bySoonestEnd) } };
    },
  };
}

function bySoonestEnd(a: LeaseView, b: LeaseView): number {
  return a.endsAt === b.endsAt ? (a.leaseId < b.leaseId ? -1 : 1) : a.endsAt < b.endsAt ? -1 : 1;
}
