/** A scope under observe lets nothing past a floor, nor past its end: where this sidecar's own trust folder asks people, or its records are of a later time, policy's word is enforced. */
import { approvedBy, type ChangeState } from '../change/state.ts';
import { asEnforced, proofClassSchema, type Decision } from '../protocol/decision.ts';
import type { Plan } from '../protocol/plan.ts';
import { shortfallOf, type CountedApproval } from '../protocol/sufficiency.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';

interface Judging extends Pick<EngineContext, 'trust'> {
  readonly store: Pick<EngineContext['store'], 'nextAtMs'>;
}

/** The decision, enforced where executors would turn it down otherwise: what was authorised below a floor is on record for good, though nothing comes of it. */
export function unlessFloorAsks({ trust, store }: Judging, state: ChangeState, plan: Plan | null, decision: Decision): Decision {
  if (decision.observed === undefined || plan === null) return decision;
  const approvals = countedOf(state, decision, store.nextAtMs());
  const asks = plan.steps.some((step) => shortfallOf(NOBODY, floorOf(trust.requirements, step), approvals, state.requester, plan.lease?.leaseSeconds ?? null) !== null);
  return asks ? asEnforced(decision) : decision;
}

const NOBODY = { approvers: null, proofClass: 'session' } as const;

/** The decision without the standing approvals that our own floor counts no more, where the plan is below it without them: then it waits for people again. */
export function unlessFloorCountsNone({ trust, store }: Judging, state: ChangeState, plan: Plan | null, decision: Decision): Decision {
  const { standingApproval, ...obligations } = decision.obligations;
  if (plan === null || standingApproval === undefined || !state.approvals.some(({ approval }) => approval.use !== undefined)) return decision;
  const approvals = countedOf(state, decision, store.nextAtMs());
  const isBelow = plan.steps.slice(state.finished.length).map((step) => floorOf(trust.requirements, step))
    .some((floor) => floor !== null && floor.standing !== true && shortfallOf(NOBODY, floor, approvals, state.requester, plan.lease?.leaseSeconds ?? null) !== null);
  return isBelow ? { ...decision, obligations } : decision;
}

/** The approvals as executors and verifiers count them for a floor: by each class that they are of, and whether somebody has seen the plan. */
function countedOf(state: ChangeState, decision: Decision, nowMs: number): CountedApproval[] {
  return [true, false].flatMap((standing) => {
    const alike = { ...state, approvals: state.approvals.filter(({ approval }) => (approval.use !== undefined) === standing) };
    return proofClassSchema.options.flatMap((proofClass) => [...approvedBy(alike, nowMs, proofClass, decision)].map((approver) => ({ approver, proofClass, standing })));
  });
}

/** The decision, enforced where its record would be of a time at which the scope is over: a clock that is set back takes back none. */
export function unlessScopeIsOver({ store }: Pick<Judging, 'store'>, decision: Decision): Decision {
  const { observed } = decision;
  return observed !== undefined && store.nextAtMs() >= parseTime(observed.until) ? asEnforced(decision) : decision;
}
