/** Who may review that the glass was broken: one answer, for who is told, who is shown it, and whose review is taken. */
import { reviewersOf, type BrokenGlass } from '../change/break-glass.ts';
import type { ChangeState } from '../change/state.ts';
import { isSamePerson } from '../identity/canonical-person.ts';
import { reviewersAt } from '../protocol/break-glass.ts';
import type { EngineContext } from './engine.ts';

type Knowing = Pick<EngineContext, 'facts' | 'trust'>;

export interface GlassReviewers {
  /** Whose review counts now, by directory and floor. */
  readonly people: readonly string[];
  /** Nobody who was asked is left of those whom the floor counts, so they are of security. */
  readonly standIn: boolean;
  /** Whose review alone the floor counts; undefined where it names nobody. */
  readonly named: readonly string[] | undefined;
}

/** @param glass who breaks it, or has, and where */
export function glassReviewers(context: Knowing, state: Pick<ChangeState, 'requirement' | 'requester'>, { usedBy, at }: { readonly usedBy: string; readonly at: BrokenGlass['at'] }): GlassReviewers {
  const named = reviewersAt(context.trust.requirements, at);
  const counts = (person: string): boolean => (named?.includes(person) ?? true) && isThere(context, person) && !isOneOf(context, person, [usedBy, ...state.requester]);
  const asked = reviewersOf(state, usedBy).filter(counts);
  if (asked.length > 0) return { people: asked, standIn: false, named };
  return { people: (context.facts().directory.teams.find(({ id }) => id === 'security')?.members ?? []).filter(counts), standIn: true, named };
}

/** Of a glass that is broken; null where none is. */
export function reviewersNow(context: Knowing, state: Pick<ChangeState, 'breakGlass' | 'requirement' | 'requester'>): GlassReviewers | null {
  const { breakGlass } = state;
  return breakGlass === null ? null : glassReviewers(context, state, { usedBy: breakGlass.statement.usedBy, at: breakGlass.at });
}

export function isThere({ facts }: Pick<Knowing, 'facts'>, person: string): boolean {
  return facts().directory.people.some(({ id, active }) => id === person && active);
}

export function isOneOf({ facts }: Pick<Knowing, 'facts'>, person: string, others: readonly string[]): boolean {
  const { directory } = facts();
  return others.some((other) => isSamePerson(directory, person, other));
}
