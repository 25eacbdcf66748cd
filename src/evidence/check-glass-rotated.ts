/** That a rotation which a broken glass left owed was made: by a change of this ledger that came to its end after the lease had. */
import type { ChangeEvent } from '../change/events.ts';
import { isRotationOf, owesRotation } from '../change/glass-debts.ts';
import type { Audited } from './audited.ts';
import { fault, type Fault } from './violation.ts';

export interface GlassRotations {
  check(event: Extract<ChangeEvent, { type: 'breakglass.rotated' }>): Fault | null;
  /** Takes in a change as it is after a record. */
  follow(after: Audited): void;
}

/** @param open the changes that are not closed, as they are followed */
export function openGlassRotations(open: ReadonlyMap<string, Audited>): GlassRotations {
  /** Changes that owe a rotation, what had begun by then, and what has made it. */
  const owing = new Map<string, { readonly glass: Audited; readonly tooEarly: ReadonlySet<string>; readonly madeBy: Set<string> }>();
  // By the order of the records: their times are those that whoever writes them says.
  const begunBy = ({ state: { request: { subject } } }: Audited): Set<string> =>
    new Set([...open.values()].flatMap(({ state: { changeId, request, firstActAtMs } }) => (request.kind === 'rotate' && request.subject === subject && firstActAtMs !== null ? [changeId] : [])));
  return {
    check: ({ changeId, body: { change } }) => (owing.get(changeId)?.madeBy.has(change) === true ? null : fault('rotation-mismatch', `a login is said to have been rotated by ${change}, which did not, or began before the lease had ended`)),
    follow(after) {
      const { state } = after;
      const known = owing.get(state.changeId);
      if (known !== undefined && !owesRotation(state)) owing.delete(state.changeId);
      else if (known === undefined && owesRotation(state)) owing.set(state.changeId, { glass: after, tooEarly: begunBy(after), madeBy: new Set() });
      if (state.request.kind !== 'rotate' || state.name !== 'done') return;
      for (const { glass, tooEarly, madeBy } of owing.values()) if (!tooEarly.has(state.changeId) && isRotationOf(glass.state, state)) madeBy.add(state.changeId);
    },
  };
}
