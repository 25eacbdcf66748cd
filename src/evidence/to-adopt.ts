/** What a log takes over from the one that it goes on for: the changes that something can still happen to, and those which their records speak of. */
import { stillGives, type ChangeState } from '../change/state.ts';
import { isOpen } from '../change/work.ts';

/** The ids of those of all the changes of a log. */
export function changesToAdopt(all: readonly ChangeState[]): ReadonlySet<string> {
  const wanted = new Set(all.filter(isOfConcern).map(({ changeId }) => changeId));
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size;
    for (const state of all) {
      const { changeId, request, parent, extension, breakGlass } = state;
      // A lease ends later by its extension's records, and an item of an offboarding is gone by those of what took it back.
      const isPart = (parent !== null && wanted.has(parent)) || (extension !== null && wanted.has(extension.change));
      if (isPart) wanted.add(changeId);
      if (!wanted.has(changeId)) continue;
      if (parent !== null) wanted.add(parent);
      if (request.kind === 'extend') wanted.add(request.change);
      for (const { change } of state.items.values()) wanted.add(change);
      // That it was made is believed by its own records alone.
      const settled = breakGlass?.rotation?.settled;
      if (settled != null && 'change' in settled) wanted.add(settled.change);
      for (const item of state.plan?.items ?? []) if (item.kind === 'lease') wanted.add(item.change);
    }
  }
  return wanted;
}

/** Whether anything can still come of it. What is done, has nothing that an order takes back and no secret to fetch stays in the old ledger. */
function isOfConcern(state: ChangeState): boolean {
  return isOpen(state) && (state.name !== 'done' || stillGives(state) || state.delivery?.status === 'sealed' || state.window === 'opened');
}
