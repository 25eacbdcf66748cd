/** What policy would decide about a request, from facts alone: the question that a sidecar would ask, with what it would have read assumed. */
import { systemOf } from '../change/derive.ts';
import { accountsOf } from './accounts.ts';
import type { Facts } from '../facts/facts.ts';
import { NOTHING_RECENT } from '../change/recent.ts';
import { buildChangeInput } from '../pdp/build-input.ts';
import type { Pdp } from '../pdp/engine.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { ChangeInput } from '../pdp/policy-input.ts';
import type { Decision } from '../protocol/decision.ts';
import type { Plan, PlanWindow } from '../protocol/plan.ts';
import { purposeOf, type ChangeRequest } from '../protocol/request.ts';
import { formatTime } from '../protocol/values.ts';

export interface Simulation {
  readonly request: ChangeRequest;
  /** Who would ask, and for whom. */
  readonly requester: readonly string[];
  readonly facts: Facts;
  readonly nowMs: number;
  /** Connectors that there would be. */
  readonly connectors: readonly string[];
  /** What the account would be seen to hold; null: it cannot be read. */
  readonly held: readonly string[] | null;
  /** How a rotation would go at the target. */
  readonly overlap?: 'twin' | 'none';
}

export type Simulated =
  | { readonly ok: true; readonly decision: Decision; readonly window: { readonly calendar: string; readonly opensAt: string; readonly closesAt: string } | null }
  | { readonly ok: false; readonly fault: EngineFault };

const LOG = '0'.repeat(16);
const CHANGE_ID = `chg_${LOG}_${'0'.repeat(26)}`;

/** A decision and its window, or the fault: for a sidecar, nothing given. */
export async function simulate(pdp: Pick<Pdp, 'decide' | 'schedule'>, simulation: Simulation): Promise<Simulated> {
  try {
    const window = simulation.facts.calendar === null ? null : (await pdp.schedule(questionOf(simulation, null))).window;
    const planned = window === null ? null : { calendar: window.calendar, opensAt: formatTime(window.opensAtMs), closesAt: formatTime(window.closesAtMs) };
    const decision = await pdp.decide(questionOf(simulation, planFor(simulation, planned)));
    return { ok: true, decision, window: planned };
  } catch (fault) {
    if (!(fault instanceof EngineFault)) throw fault;
    return { ok: false, fault };
  }
}

function questionOf({ connectors, facts, held, nowMs, overlap, request, requester }: Simulation, plan: Plan | null): ChangeInput {
  const system = systemOf(request);
  return buildChangeInput({
    phase: 'request', nowMs, state: { changeId: CHANGE_ID, revision: 1, request, requester }, plan, step: null,
    before: held === null ? null : { held: [...held], touched: overlap === undefined ? {} : { overlap } },
    account: request.kind === 'provision' || system === null ? null : (facts.inventory.get(request.subject)?.accounts[system.connector] ?? null),
    facts, connectors, locks: [], parent: null, extended: null, recent: NOTHING_RECENT,
  });
}

/** A stand-in: policy is told of a plan its digest, its window, and how many items an offboarding has. */
function planFor({ facts, request, requester }: Simulation, window: Omit<PlanWindow, 'onMissed' | 'consumers'> | null): Plan {
  const system = systemOf(request) ?? { connector: '-', target: '-' };
  const items = request.kind !== 'offboard' ? [] : accountsOf(facts, request.subject);
  return {
    v: 1, salt: 'A'.repeat(22), log: LOG, changeId: CHANGE_ID, revision: 1, kind: request.kind, requester: [...requester], subject: request.subject, purpose: purposeOf(request),
    ...system, mode: 'executor', entitlements: [], steps: [], before: {}, lease: null, recipient: null,
    ...(window === null ? {} : { window: { ...window, onMissed: 'expire' as const, consumers: [] } }),
    ...(request.kind === 'offboard' ? { items: items.map(({ connector, account, nhi }) => ({ connector, account, nhi })) as unknown as NonNullable<Plan['items']> } : {}),
  };
}
