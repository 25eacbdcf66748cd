/** What an approver is to know beside a plan: read off the fold and the facts in force, as far as whoever looks may see it. */
import { LedgerError } from '../../ledger/index.ts';
import type { ChangeState } from '../change/state.ts';
import type { Engine } from '../engine/engine.ts';
import type { Facts } from '../facts/load.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { approversNamed } from '../protocol/decision.ts';
import { LISTED_MAX, type Bearing } from '../protocol/plan-as-seen.ts';
import { formatTime } from '../protocol/values.ts';
import { maySeeChange, maySeeNhi } from './visibility.ts';

/** How many earlier changes are read to find the last that did something there: whoever looks waits for it. */
const READ_MAX = 16;

/** States of a change by which nothing came about, or not for good. */
const IN_VAIN: ReadonlySet<ChangeState['name']> = new Set(['denied', 'rejected', 'expired', 'withdrawn', 'failed']);

/** null where there is no plan to look at. @throws LedgerError */
export async function bearingOf(engine: Pick<Engine, 'find' | 'index'>, state: ChangeState, by: Authenticated, facts: Facts): Promise<Bearing | null> {
  const { plan, before } = state;
  if (plan === null) return null;
  const isToKnow = mayKnow(by, state, facts);
  const nhi = isToKnow ? facts.inventory.get(plan.subject) : undefined;
  const planned = new Set(plan.entitlements.map(({ privilege }) => privilege));
  return {
    identity: nhi === undefined ? null : { environment: nhi.environment, riskTier: nhi.riskTier, consumers: [...nhi.consumers] },
    held: before === null ? null : heldOf(before.held, planned, isToKnow),
    last: await lastOf(engine, state, by, facts),
  };
}

function heldOf(held: readonly string[], planned: ReadonlySet<string>, isToKnow: boolean): NonNullable<Bearing['held']> {
  const others = held.filter((one) => !planned.has(one)).sort();
  return { privileges: held.filter((one) => planned.has(one)), others: others.length, ...(isToKnow ? { otherNames: others.slice(0, LISTED_MAX) } : {}) };
}

/** Whoever decides is to know what it bears on; anybody else only what she could look up: to name an identity in a request is nobody's way to be told of it. */
function mayKnow(by: Authenticated, { escalated, request, requirement }: ChangeState, facts: Facts): boolean {
  return approversNamed(requirement.approvers).includes(by.principal) || escalated?.to.includes(by.principal) === true || maySeeNhi(by, request.subject, facts);
}

/** What was moved to an archive that cannot be read now is not looked up: the change itself can be looked at all the same. */
function whereArchived(error: unknown): undefined {
  if (error instanceof LedgerError && error.code === 'archived') return undefined;
  throw error;
}

async function lastOf(engine: Pick<Engine, 'find' | 'index'>, { changeId, plan, request }: ChangeState, by: Authenticated, facts: Facts): Promise<Bearing['last']> {
  let read = 0;
  const place = { connector: plan!.connector, target: plan!.target };
  for (const earlier of engine.index.newest(changeId, { kind: request.kind, subject: request.subject, place })) {
    const rest = engine.index.atRest(earlier);
    if (rest !== null && IN_VAIN.has(rest.name as ChangeState['name'])) continue;
    if ((read += 1) > READ_MAX) return null;
    const last = await engine.find(earlier).catch(whereArchived);
    if (last?.plan == null || last.firstActAtMs === null || IN_VAIN.has(last.name) || !maySeeChange(by, last, facts)) continue;
    if (last.plan.connector !== plan!.connector || last.plan.target !== plan!.target) continue;
    return { change: earlier, at: formatTime(last.firstActAtMs), leaseSeconds: last.plan.lease?.leaseSeconds ?? null, entitlements: [...last.plan.entitlements], recipient: last.plan.recipient };
  }
  return null;
}
