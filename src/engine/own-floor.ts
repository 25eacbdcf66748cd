/** The floor of this sidecar's own trust folder, which is part of what it asks for from the decision on: what was authorised below it no executor carries out, and every auditor calls it out for good. */
import type { ChangeState } from '../change/state.ts';
import { isSamePerson } from '../identity/canonical-person.ts';
import { approversNamed, demandOf, enforcedUnder, strictest, type Decision, type Requirement } from '../protocol/decision.ts';
import { floorPart, whyUnreachable } from '../protocol/floor-part.ts';
import type { Plan } from '../protocol/plan.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import type { EngineContext } from './engine.ts';

export interface OwnFloor {
  /** What it asks for beyond the decision and all before it; null: nothing. */
  readonly floor: Requirement | null;
  /** Why the change can never come up to it, in a phrase; null where it can. */
  readonly refused: string | null;
}

const NOTHING: OwnFloor = { floor: null, refused: null };

/** A folder that has no floors at all adds nothing here: what executors ask for then is one approval of whatever gives access. */
export function ownFloor(context: Pick<EngineContext, 'trust' | 'facts'>, state: ChangeState, plan: Plan | null, decision: Decision): OwnFloor {
  const { requirements } = context.trust;
  // Under observe nobody is asked where the floor is met without: elsewhere policy's word was enforced before.
  if (plan === null || decision.effect === 'deny' || decision.observed !== undefined || requirements.floors.length === 0) return NOTHING;
  const { directory } = context.facts();
  const people = { answerable: answerableFor(context, plan.subject), isSame: (one: string, other: string) => isSamePerson(directory, one, other) };
  const leaseSeconds = plan.lease?.leaseSeconds ?? null;
  let due = strictest(state.requirement, demandOf(decision));
  let floor: Requirement | null = null;
  // What is done already was given as the floor was then: a rotation goes on to its end under it, and executors ask for no more.
  const demands = plan.steps.slice(state.finished.length).map((step) => floorOf(requirements, step)).filter((demand) => demand !== null);
  for (const demand of demands) {
    const { maxLeaseSeconds: longest } = demand;
    if (longest !== null && (leaseSeconds === null || leaseSeconds > longest)) return { floor: null, refused: `${leaseSeconds === null ? 'standing access' : `a lease of ${leaseSeconds} s`} where the floor allows ${longest} s` };
    const part = floorPart(enforcedUnder(decision, due), demand, state.requester, people);
    if (part === null) continue;
    floor = floor === null ? part : strictest(floor, part);
    due = strictest(due, part);
  }
  // Where somebody may break the glass, it may be met without them.
  return { floor, refused: floor === null || decision.obligations.breakGlass !== undefined ? null : whyUnreachable(floor) };
}

/** Whether the floor names this person for a step that is still to be done, and asks for more than policy does: she is asked whatever role the directory has for her. */
export function isNamedByFloor({ trust: { requirements } }: Pick<EngineContext, 'trust'>, { floor, plan, finished }: ChangeState, person: string): boolean {
  if (plan === null || !approversNamed(floor?.approvers ?? null).includes(person)) return false;
  return plan.steps.slice(finished.length).some((step) => floorOf(requirements, step)?.approvers?.includes(person) ?? false);
}

/** Who answers for the identity: its owners, and security. */
function answerableFor({ facts }: Pick<EngineContext, 'facts'>, subject: string): string[] {
  const { directory, inventory } = facts();
  const nhi = inventory.get(subject);
  const people = [nhi?.owner, nhi?.backupOwner, ...(directory.teams.find(({ id }) => id === 'security')?.members ?? [])];
  return people.filter((person) => person !== undefined).filter((person) => directory.people.some(({ id, active }) => id === person && active));
}
