/** Whether what a view says beside a plan is what the plan says: whoever signs the plan's digest has read the view, and a sidecar may write anything there. */
import { planDigest, type OffboardItem, type PlanWindow } from '../protocol/plan.ts';
import { isSameJson } from '../protocol/same-json.ts';
import { durationSeconds } from '../protocol/values.ts';
import type { ChangeView } from '../client/index.ts';

const occurrence = ({ calendar, opensAt, closesAt, onMissed }: PlanWindow | NonNullable<ChangeView['window']>): object => ({ calendar, opensAt, closesAt, onMissed });

/** What is taken back, without what became of it. */
function toTakeBack(item: OffboardItem | ChangeView['items'][number]): object {
  return item.kind === 'lease' ? { nhi: item.nhi, change: item.change } : { nhi: item.nhi, connector: item.connector, target: item.target, account: item.account };
}

/** The name of the first field that says something else than the plan, `planDigest` where the digest is that of another plan; null where all of it is as planned. */
export function differingField(change: ChangeView): string | null {
  const { plan } = change;
  if (plan === null || planDigest(plan) !== change.planDigest) return 'planDigest';
  const { lease, window, rotation, items = [] } = plan;
  const planned: Partial<Record<keyof ChangeView, unknown>> = {
    id: plan.changeId, revision: plan.revision, kind: plan.kind, mode: plan.mode, subject: plan.subject, requester: plan.requester, purpose: plan.purpose, entitlements: plan.entitlements,
    system: plan.connector === '-' ? null : { connector: plan.connector, target: plan.target },
    duration: lease?.leaseSeconds ?? null, endsBy: lease?.endsBy ?? null, extends: plan.extends?.change ?? null, parent: plan.parent ?? null,
    window: window === undefined ? null : occurrence(window), rotation: rotation === undefined ? null : { overlap: rotation.overlap, consumers: rotation.consumers }, items: items.map(toTakeBack),
  };
  const shown: typeof planned = {
    id: change.id, revision: change.revision, kind: change.kind, mode: change.mode, subject: change.subject, requester: change.requester, purpose: change.purpose, entitlements: change.entitlements,
    system: change.system, duration: change.duration === null ? null : durationSeconds(change.duration), endsBy: change.endsBy, extends: change.extends?.change ?? null, parent: change.parent,
    window: change.window === null ? null : occurrence(change.window),
    rotation: change.rotation === null ? null : { overlap: change.rotation.overlap, consumers: change.rotation.consumers.map(({ consumer }) => consumer) },
    items: change.items.map(toTakeBack),
  };
  return (Object.keys(planned) as (keyof ChangeView)[]).find((name) => !isSameJson(planned[name], shown[name])) ?? null;
}
