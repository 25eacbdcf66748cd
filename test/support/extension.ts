/** Envelopes that extend what another one gave, as a sidecar makes them. */
import { actStepId, leaseIdOf } from '../../src/change/derive.ts';
import type { LentAction, Plan } from '../../src/protocol/plan.ts';
import { freshChangeId, makeStep, type Edits, type Made } from './envelopes.ts';

export interface ExtensionEdits extends Edits {
  /** Of the lease from then on; 2 unless told otherwise. */
  readonly epoch?: number;
}

/** The plan of a change that extends the lease of `given`. */
export function extensionPlan(planned: Plan, given: Plan, epoch: number, leaseSeconds: number): Plan {
  const [step] = given.steps;
  if (step === undefined) throw new Error('nothing was given');
  const { changeId } = planned;
  return {
    ...planned, kind: 'extend', recipient: null, before: { lent: `id-${step.account}` },
    steps: [{ ...step, stepId: actStepId(changeId, 1, 1), action: 'extend', gave: step.action as LentAction }],
    lease: { leaseId: leaseIdOf(given.changeId), leaseSeconds, endsBy: null }, extends: { change: given.changeId, epoch },
  };
}

/** An approved extension of what `given` gave, for `leaseSeconds` from `nowMs` on. */
export function makeExtension(given: Made, edits: ExtensionEdits): Made {
  const { epoch = 2, leaseSeconds = 7_200, plan, ...rest } = edits;
  const changeId = edits.changeId ?? freshChangeId(edits.nowMs);
  const extended = (planned: Plan): Plan => extensionPlan(planned, given.plan, epoch, leaseSeconds ?? 7_200);
  return makeStep({ ...rest, changeId, leaseSeconds, plan: (planned) => plan?.(extended(planned)) ?? extended(planned) });
}
