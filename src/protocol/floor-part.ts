/** What a floor asks of people beyond a requirement, in the form of one: so that whoever keeps the floor waits for it, and does not authorise what nobody carries out. Pure. */
import { approversNamed, isSatisfied, meets, partsOf, PEOPLE_MAX, type ApproverExpression, type ProofClass, type Requirement } from './decision.ts';
import type { FloorDemand } from './sufficiency.ts';

export interface People {
  /** Who is asked where the floor names nobody, and policy fewer than it asks for. */
  readonly answerable: readonly string[];
  /** Whether both are ids of one person, who counts once. */
  isSame(one: string, other: string): boolean;
}

/** The part that is to hold beside `requirement`; null where that asks for as much. Who asked, by whichever of their ids, does not count. */
export function floorPart(requirement: Requirement, { quorum, proofClass, approvers: listed }: FloorDemand, requester: readonly string[], { answerable, isSame }: People): Requirement | null {
  if (quorum === 0) return null;
  const counts = (person: string): boolean => listed?.includes(person) ?? true;
  const isEnough = leastOf(requirement.approvers, counts) >= quorum;
  if (isEnough && meets(requirement.proofClass, proofClass)) return null;
  if (isEnough) return { approvers: null, proofClass };
  const others = (people: readonly string[]): string[][] => personsOf(people.filter((one) => !requester.some((other) => isSame(one, other))), isSame);
  const asked = others(approversNamed(requirement.approvers).filter(counts));
  const all = listed === null && asked.length >= quorum ? asked : others([...asked.flat(), ...(listed ?? answerable)]);
  // Whom it names are never more. Where it names nobody, so many of those who answer for the identity are enough for any quorum.
  return { approvers: { atLeast: quorum, of: all.slice(0, PEOPLE_MAX).map((ids) => (ids.length === 1 ? ids[0]! : { anyOf: ids.slice(0, PEOPLE_MAX) })) }, proofClass };
}

/** The ids of each person, in order of first mention. */
function personsOf(ids: readonly string[], isSame: People['isSame']): string[][] {
  const persons: string[][] = [];
  for (const id of new Set(ids)) {
    const known = persons.find(([first]) => isSame(first!, id));
    if (known === undefined) persons.push([id]);
    else known.push(id);
  }
  return persons;
}

/** How many different people who count have approved for certain once the expression is satisfied: never more than it says, and fewer only where its parts share somebody. Infinite where it cannot be satisfied. */
export function leastOf(expression: ApproverExpression | null, counts: (person: string) => boolean): number {
  if (expression === null) return 0;
  if (typeof expression === 'string') return counts(expression) ? 1 : 0;
  const parts = partsOf(expression).map((part) => ({ least: leastOf(part, counts), people: approversNamed(part) })).sort((a, b) => a.least - b.least);
  if ('anyOf' in expression) return parts[0]?.least ?? Infinity;
  const due = 'of' in expression ? Math.max(1, expression.atLeast) : Math.max(1, parts.length);
  if (parts.length < due) return Infinity;
  const least = parts.slice(0, due).map((part) => part.least);
  const named = parts.flatMap(({ people }) => people);
  const isApart = new Set(named).size === named.length;
  return isApart ? least.reduce((sum, one) => sum + one, 0) : Math.max(...least);
}

/** How many people a floor's part asks for; null where it asks for a proof alone. */
export function quorumsIn({ approvers }: Requirement): { readonly quorum: number; readonly part: ApproverExpression }[] {
  if (approvers === null) return [];
  if (typeof approvers !== 'string' && 'allOf' in approvers) return approvers.allOf.flatMap((part) => quorumsIn({ approvers: part, proofClass: 'session' }));
  return [{ quorum: typeof approvers !== 'string' && 'of' in approvers ? approvers.atLeast : 1, part: approvers }];
}

/** Why nobody can meet the part, in a phrase; null where somebody can. */
export function whyUnreachable({ approvers }: Requirement): string | null {
  const unmet = quorumsIn({ approvers, proofClass: 'session' }).find(({ part }) => !isSatisfied(part, new Set(approversNamed(part))));
  if (unmet === undefined) return null;
  const people = typeof unmet.part === 'string' ? 1 : partsOf(unmet.part).length;
  return `the floor asks for ${approvalsText(unmet.quorum)}, and ${people === 0 ? 'nobody is' : people === 1 ? 'one person is' : `${people} people are`} asked whose approval counts there`;
}

const PROVEN: Readonly<Record<ProofClass, string>> = { session: '', ssh: ' by an SSH key or a passkey', passkey: ' with a passkey' };

/** `2 approvals with a passkey`. */
export function approvalsText(quorum: number | null, proofClass: ProofClass = 'session'): string {
  return `${quorum === null ? 'approvals' : quorum === 1 ? '1 approval' : `${quorum} approvals`}${PROVEN[proofClass]}`;
}

/** `2 approvals with a passkey, of person:ana, person:olga`. */
export function floorText(floor: Requirement, listed: (people: readonly string[]) => string = (people) => people.join(', ')): string {
  const quorums = quorumsIn(floor);
  if (quorums.length === 0) return approvalsText(null, floor.proofClass);
  return quorums.map(({ quorum, part }) => `${approvalsText(quorum, floor.proofClass)}, of ${listed(approversNamed(part)) || 'nobody'}`).join('; and ');
}
