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
import { isAbout, pageOf } from './paged.ts';
import type { LeaseView, NhiMatter, NhiQuery, NhiView } from './schemas.ts';
import { leaseViewOf } from './view.ts';
import { maySeeChange, maySeeFinding, maySeeNhi, maySeeTargets } from './visibility.ts';

type NhiOperation = 'listNhis' | 'getNhi' | 'revokeNhi' | 'listLeases';

export function nhiHandlers(context: SidecarContext): Handlers<NhiOperation> {
  const { engine } = context;

  /** Leases that run; none is of a change at rest. */
  const leases = (by: Authenticated, wanted: (state: ChangeState) => boolean): LeaseView[] => {
    const facts = context.facts();
    const mayKnowHeld = maySeeTargets(by, facts);
    return [...engine.open()].flatMap((state): LeaseView[] => {
      const lease = state.lease === null || !wanted(state) ? null : leaseViewOf(state);
      const held = mayKnowHeld && state.redecision?.isHeld === true ? [...state.redecision.codes] : null;
      return lease === null ? [] : [held === null ? lease : { ...lease, held }];
    });
  };
  const requireVisible = (by: Authenticated, id: string): void => {
    if (!maySeeNhi(by, id, context.facts())) throw new Problem('no-such-nhi', 'no machine identity of this id');
  };
  /** By identity, as far as the caller may see them. */
  const findings = (by: Authenticated, facts: Facts): Map<string, number> => {
    const open = new Map<string, number>();
    for (const finding of engine.reconciled().findings.values()) if (finding.nhi !== null && maySeeFinding(by, finding, facts)) open.set(finding.nhi, (open.get(finding.nhi) ?? 0) + 1);
    return open;
  };

  /** Of one moment. `held`: leases, soonest to end first. */
  const views = (by: Authenticated, facts: Facts, held: readonly LeaseView[]): ((nhi: InventoryFact) => NhiView) => {
    const [privileges, open, own] = [privilegesBy(facts), findings(by, facts), bySubject(held)];
    const useObservedAt = facts.usage === null ? null : formatTime(facts.usage.observedAtMs);
    return (nhi) => ({ ...nhi, leases: own.get(nhi.id) ?? [], privileges: privileges(nhi), useObservedAt, openFindings: open.get(nhi.id) ?? 0 });
  };

  return {
    async listNhis({ by, query }) {
      const facts = context.facts();
      const seen = [...facts.inventory.values()].filter((nhi) => maySeeNhi(by, nhi.id, facts)).sort((a, b) => (a.id < b.id ? -1 : 1));
      const view = views(by, facts, leases(by, () => true).sort(bySoonestEnd));
      const wanted = seen.filter((nhi) => isWanted(nhi, query) && (query.with === undefined || MATTERS[query.with](view(nhi))));
      const { page, next } = pageOf(wanted, ({ id }) => id, query);
      return { status: 200, body: { nhis: page.map(view), next, count: wanted.length, all: seen.length, environments: [...new Set(seen.map(({ environment }) => environment))].sort() } };
    },
    async getNhi({ by, params }) {
      const id = params['id']!;
      requireVisible(by, id);
      const facts = context.facts();
      const nhi = facts.inventory.get(id);
      if (nhi === undefined) throw new Problem('no-such-nhi', 'no machine identity of this id');
      return { status: 200, body: views(by, facts, leases(by, (state) => state.request.subject === id).sort(bySoonestEnd))(nhi) };
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
      const seen = leases(by, (state) => (query.subject === undefined || state.request.subject === query.subject) && maySeeChange(by, state, facts));
      const wanted = seen.filter(({ subject, connector, target, account, changeId, privileges }) => isAbout(query.q, [subject, connector, target, account, changeId, ...privileges]));
      const keyOf = query.order === 'identity' ? (lease: LeaseView): string => `${lease.subject} ${endOf(lease)}` : endOf;
      const { page, next } = pageOf(wanted.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)), keyOf, query);
      return { status: 200, body: { leases: [...page], next, count: wanted.length, all: seen.length } };
    },
  };
}

const endOf = ({ endsAt, leaseId }: LeaseView): string => `${endsAt} ${leaseId}`;
const bySoonestEnd = (a: LeaseView, b: LeaseView): number => (endOf(a) < endOf(b) ? -1 : 1);

function bySubject(leases: readonly LeaseView[]): Map<string, LeaseView[]> {
  const by = new Map<string, LeaseView[]>();
  for (const lease of leases) {
    const own = by.get(lease.subject);
    if (own === undefined) by.set(lease.subject, [lease]);
    else own.push(lease);
  }
  return by;
}

function isWanted(nhi: InventoryFact, { q, environment, riskTier }: NhiQuery): boolean {
  return (environment === undefined || nhi.environment === environment) && (riskTier === undefined || nhi.riskTier === riskTier)
    && isAbout(q, [nhi.id, nhi.description, nhi.owner, nhi.backupOwner, nhi.thirdParty, ...nhi.purposes, ...Object.values(nhi.accounts)]);
}

const MATTERS: Readonly<Record<NhiMatter, (nhi: NhiView) => boolean>> = {
  findings: ({ openFindings = 0 }) => openFindings > 0,
  leases: ({ leases }) => leases.length > 0,
  fallback: ({ ownerIsFallback }) => ownerIsFallback === true,
  unused: ({ privileges = [] }) => privileges.some(({ declared, used }) => used !== null && declared.some((one) => !used.includes(one))),
};
