/** What a standing approval of plans like one that is looked at would be: as far as that plan goes, and no further. */
import type { ChangeView } from '../client/index.ts';
import type { Plan } from '../protocol/plan.ts';
import { STANDING_KINDS, type StandingStatement } from '../protocol/standing-approval.ts';

/** All that follows from the plan; null where nothing like it can be approved once for many times. */
export type Bounds = Pick<StandingStatement, 'subject' | 'kinds' | 'connector' | 'target' | 'accounts' | 'privileges' | 'recipients' | 'maxLeaseSeconds'>;

export function boundsOf({ plan }: Pick<ChangeView, 'plan'>): Bounds | null {
  if (plan === null) return null;
  const { kind, mode, steps, entitlements, subject, connector, target, recipient, lease } = plan;
  const kinds = STANDING_KINDS.filter((one) => one === kind);
  const isBounded = mode === 'executor' && steps.length > 0 && (kind === 'rotate') === (lease === null) && entitlements.every(({ scope }) => scope === undefined);
  if (kinds.length === 0 || !isBounded) return null;
  return {
    subject, kinds, connector, target, recipients: recipient === null ? [] : [recipient], maxLeaseSeconds: lease?.leaseSeconds ?? null,
    privileges: distinct([...entitlements.map(({ privilege }) => privilege), ...steps.flatMap(({ privileges }) => privileges)]),
    accounts: kind === 'provision' ? [] : accountsOf(steps),
  };
}

const accountsOf = (steps: Plan['steps']): string[] => distinct(steps.flatMap(({ account, other }) => (other === undefined ? [account] : [account, other])));
const distinct = (values: readonly string[]): string[] => [...new Set(values)].sort();
