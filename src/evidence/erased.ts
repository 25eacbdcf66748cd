/**
 * What stands in for a plan that was erased, so that the rest of the change can be followed: only what the request and the tickets say,
 * which are never erased. Nothing is compared with it that only the plan could tell.
 */
import { actStepId, logOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { OffboardItem, Plan, PlanStep } from '../protocol/plan.ts';
import { readReport } from '../protocol/report.ts';
import { callerOf, entitlementsOf, purposeOf } from '../protocol/request.ts';
import { ticketSchema, type ActTicket } from '../protocol/signed.ts';

const NO_SALT = 'A'.repeat(22);

/** How many states the report in `event` names that are gone: nothing was compared with them. */
export function erasedStatesOf(event: ChangeEvent): number {
  const gone = (digest: string | null, attached: object | undefined): number => (digest !== null && attached === undefined ? 1 : 0);
  switch (event.type) {
    case 'state.read':
      return gone(readReport(event.body.report, 'read').state, event.attached?.before);
    case 'step.succeeded': {
      const { before, after } = readReport(event.body.report, 'acted');
      return gone(before, event.attached?.before) + (after === before ? 0 : gone(after, event.attached?.after));
    }
    case 'lease.ended':
      return gone(readReport(event.body.report, 'revoked').after, event.attached?.after);
    default:
      return 0;
  }
}

/** What was erased that had to be looked at; null where nothing was. */
export function uncheckedFor({ erasedPlans, uncheckedPlans }: { readonly erasedPlans: number; readonly uncheckedPlans: number }): string | null {
  const plans = (count: number): string => `${count} plan${count === 1 ? '' : 's'}`;
  const found = [
    ...(erasedPlans === 0 ? [] : [`${plans(erasedPlans)} erased: what their digests stand for cannot be checked`]),
    ...(uncheckedPlans === 0 ? [] : [`${plans(uncheckedPlans)} made from states that were erased: whether they follow from those cannot be checked`]),
  ];
  return found.length === 0 ? null : found.join('; ');
}

/** How many items there were is not known: as many as there can be, so that no number is out of place and the last never comes. */
const UNKNOWN_ITEMS: readonly OffboardItem[] = Object.freeze(
  Array.from({ length: 512 }, (): OffboardItem => ({ kind: 'account', nhi: 'nhi:erased/erased', connector: 'erased', target: 'erased', account: 'erased' })),
);

/** The change after `event`, with a stand-in where its plan was erased and what else tells of its steps has been recorded. */
export function withStandIn(state: ChangeState, event: ChangeEvent): ChangeState {
  if (state.plan !== null) return state;
  if (state.request.kind === 'offboard') return { ...state, plan: standInForItems(state) };
  if (event.type !== 'step.authorised' || event.body.kind !== 'act') return state;
  const ticket = readPayload(event.body.ticket, ticketSchema);
  return ticket.kind === 'act' ? { ...state, plan: standInFor(state, ticket) } : state;
}

/** The stand-in once the first ticket has told which step comes first; a rotation's other steps follow from it. */
function standInFor(state: ChangeState, ticket: ActTicket): Plan {
  const { step } = ticket;
  return { ...nothingOf(state), connector: step.connector, target: step.target, steps: step.action === 'stage' ? rotationFrom(state, step) : [step] };
}

/** The stand-in for the plan of an offboarding. */
function standInForItems(state: ChangeState): Plan {
  return { ...nothingOf(state), items: UNKNOWN_ITEMS as OffboardItem[] };
}

function nothingOf(state: ChangeState): Plan {
  const { changeId, revision, request, requester } = state;
  return {
    v: 1, salt: NO_SALT, log: logOf(changeId), changeId, revision, kind: request.kind, requester: [...requester], subject: request.subject, purpose: purposeOf(request),
    connector: '-', target: '-', mode: callerOf(request) === null ? 'executor' : 'caller', entitlements: entitlementsOf(request), steps: [], before: {},
    lease: null, recipient: null,
  };
}

function rotationFrom({ changeId, revision }: ChangeState, stage: PlanStep): PlanStep[] {
  const { account: next, other: current = stage.account } = stage;
  return [
    stage,
    { ...stage, stepId: actStepId(changeId, revision, 2), action: 'cutover' },
    { ...stage, stepId: actStepId(changeId, revision, 3), action: 'retire', account: current, other: next },
  ];
}
