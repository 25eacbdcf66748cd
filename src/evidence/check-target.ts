/** One change at a time is between its first ticket and its last verification at one target: two would each see what the other had left half done. */
import { systemOf } from '../change/derive.ts';
import { occupiesTarget } from '../change/work.ts';
import { takesAway, type PlanStep } from '../protocol/plan.ts';
import type { Audited } from './audited.ts';
import { fault, type Fault } from './violation.ts';

export interface Targets {
  /** `step` of the change is authorised, and it did not have its target before. */
  check(before: Audited, step: PlanStep): Fault | null;
  /** To be told of every change after each of its records. */
  follow(after: Audited): void;
}

export function openTargets(): Targets {
  /** Who has each target. More than one where the ledger is not as it should be. */
  const occupied = new Map<string, Set<string>>();
  const keyOf = ({ request }: Audited['state']): string | null => {
    const system = systemOf(request);
    return system === null ? null : `${system.connector} ${system.target}`;
  };
  return {
    check({ state }, step) {
      if (takesAway(step.action) || occupiesTarget(state)) return null;
      const key = keyOf(state);
      // The first, or the one after it: no more are looked at, however many there are.
      for (const rival of occupied.get(key ?? '') ?? []) if (rival !== state.changeId) return fault('target-taken', `a step was authorised while ${rival} had the target`);
      return null;
    },
    follow({ state, planErased }) {
      const key = keyOf(state);
      if (key === null) return;
      // How far a change has got whose plan was erased cannot be told.
      if (!planErased && occupiesTarget(state)) {
        const those = occupied.get(key) ?? new Set();
        occupied.set(key, those.add(state.changeId));
        return;
      }
      const those = occupied.get(key);
      those?.delete(state.changeId);
      if (those?.size === 0) occupied.delete(key);
    },
  };
}
