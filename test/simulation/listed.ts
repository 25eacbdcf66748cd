/** Lists are found by an index, and nothing in it is believed: what it finds for whoever narrows a list is held to the changes themselves. */
import { isAtRest } from '../../src/change/at-rest.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { isPlanGone, type ChangeIndex, type Wanted } from '../../src/engine/change-index.ts';

interface Asked {
  readonly wanted: Wanted;
  /** Of a change at rest; null where that is not known any more. */
  readonly isOne: (state: ChangeState) => boolean | null;
}

/** What a list leaves out, or has that is not to be in it, in a sentence; null where all are as they should be. @param states of all changes that there are */
export function whatListsGetWrong(index: Pick<ChangeIndex, 'newest'>, states: readonly ChangeState[]): string | null {
  const all = states.toSorted((a, b) => (a.changeId > b.changeId ? -1 : 1));
  for (const asked of states.flatMap(questionsAbout)) {
    const { kind, subject } = asked.wanted;
    const found = new Set(index.newest(undefined, asked.wanted));
    if ([...found].join() !== all.filter(({ changeId }) => found.has(changeId)).map(({ changeId }) => changeId).join()) return 'a list is not in its order';
    for (const state of all) {
      const fits = (kind === undefined || state.request.kind === kind) && (subject === undefined || state.request.subject === subject);
      const isDue = fits && (!isAtRest(state) || asked.isOne(state));
      if (isDue !== null && isDue !== found.has(state.changeId)) return `a list by ${JSON.stringify(asked.wanted)} ${isDue ? 'leaves out' : 'has'} ${state.changeId}, which is ${state.name}`;
    }
  }
  return null;
}

function questionsAbout({ name, plan, requester: [asked = ''], request: { kind, subject } }: ChangeState): Asked[] {
  return [
    { wanted: { kind, subject }, isOne: () => true },
    { wanted: { subject, name }, isOne: (one) => one.name === name },
    { wanted: { about: (ofKind, of) => ofKind === kind && of === subject, people: (people) => people.includes(asked) }, isOne: (one) => (one.request.kind === kind && one.request.subject === subject) || one.requester.includes(asked) || null },
    { wanted: { about: () => false, people: () => false }, isOne: () => false },
    ...(plan === null ? [] : [{ wanted: { kind, place: plan }, isOne: (one: ChangeState) => (isPlanGone(one) ? null : one.plan?.connector === plan.connector && one.plan.target === plan.target) }]),
  ];
}
