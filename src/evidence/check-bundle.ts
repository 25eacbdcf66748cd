/**
 * Whether each answer of policy's is by the bundle that the log says was in force. What else is held to a bundle (who let it come into force,
 * whether it has a say in approvals) is worth nothing for one whose coming into force is not shown.
 */
import type { ChangeEvent } from '../change/events.ts';
import { fault, type Fault } from './violation.ts';

export interface Bundles {
  /** It is in force from then on; null: none is. */
  activated(bundle: string | null): void;
  /** @param event of this log: what was adopted was decided under others */
  check(event: ChangeEvent): Fault | null;
  /** Answers by a bundle of which no record that is shown says that it was in force. */
  unshown(): number;
}

/**
 * @param isPartial not every record of the log is shown: others may have come into force
 * @param isFloored the auditor's floor says who must let a bundle come into force: one whose coming into force is nowhere has nobody's word
 */
export function openBundles(isPartial: boolean, isFloored: boolean): Bundles {
  let inForce: string | null | undefined;
  let unshown = 0;
  return {
    activated: (bundle) => void (inForce = bundle),
    check(event) {
      const bundle = bundleOf(event);
      if (bundle === undefined || bundle === inForce) return null;
      if (isPartial || (isFloored && inForce === undefined)) unshown += 1;
      // Otherwise a log that names no bundle at all is held to none.
      if (isPartial || inForce === undefined) return null;
      return fault('bundle-mismatch', `policy answered by bundle ${bundle ?? 'none'}, and in force was ${inForce ?? 'none'}`);
    },
    unshown: () => unshown,
  };
}

/** What policy answered by; undefined where it was not asked, and where there was nothing to ask and nothing is given. */
function bundleOf(event: ChangeEvent): string | null | undefined {
  if (event.type !== 'policy.decided' && event.type !== 'approval.judged') return undefined;
  const { bundle } = event.body.provenance;
  const gives = event.type === 'policy.decided' ? event.body.decision.effect !== 'deny' : event.body.acceptance.effect === 'accept';
  return bundle === null && !gives ? undefined : bundle;
}
