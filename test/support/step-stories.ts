/** Stories of changes that have several steps, a window, a caller or items, told like those in `story.ts`: each event as `decide` makes it. */
import { canonicalBytes, digestOf, generateSignerKey, parseSigner, type Signer } from '../../ledger/index.ts';
import { callerOfPlan, deriveActTicket, deriveOffboarding, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder } from '../../src/change/derive.ts';
import { stepOf } from '../../src/change/state.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { payloadDigest } from '../../src/protocol/dsse.ts';
import { makesSecret, type OffboardItem, type PlanWindow, type TargetState } from '../../src/protocol/plan.ts';
import type { ChangeRequest, RotateRequest } from '../../src/protocol/request.ts';
import type { ActedReport, ActTicket, Seal } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { actOf, ANA, decision, EXECUTOR, logId, provenance, RECIPIENT, report, salt, sidecar, sign, START_MS, statementOf, type Beat, Telling } from './story.ts';

const ORDERS = 'nhi:prod/orders-api';
export const CONSUMER = 'nhi:prod/orders-web';

/** Old login `orders_a`, new login `orders_b`. */
export const ROTATE: RotateRequest = {
  kind: 'rotate', subject: ORDERS, connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'ninety days old', recipient: RECIPIENT, grace: 'PT2H',
};
export const DISABLE: Extract<ChangeRequest, { kind: 'disable' }> = { kind: 'disable', subject: ORDERS, connector: 'pg-main', target: 'app', reason: 'not used any more' };
export const OFFBOARD: ChangeRequest = { kind: 'offboard', subject: 'nhi:prod/ci-deployer', reason: 'the contract has ended' };

const TWIN = { overlap: 'twin', role: 1, currentName: 'orders_a', current: 2, currentCanLogin: true, nextName: 'orders_b', next: null, privilege: 'role:orders' };
const ALONE = { overlap: 'none', account: 1, canLogin: true };

/** The key of one caller's run. */
const runKey = Buffer.from(parseSigner(generateSignerKey('run', new Uint8Array(32).fill(7)).skey).vkey.split('+').at(-1)!, 'base64').subarray(1).toString('base64');
export const runSigner: Signer = parseSigner(generateSignerKey(callerIdOf(runKey), new Uint8Array(32).fill(7)).skey);
export const strangersRun: Signer = parseSigner(generateSignerKey(callerIdOf(runKey), new Uint8Array(32).fill(8)).skey);
export const CALLED = {
  kind: 'rotate', subject: ORDERS, connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'by our own script', caller: { key: runKey, timeout: 'PT2M' },
} satisfies ChangeRequest;

export interface Planned {
  readonly overlap?: 'twin' | 'none';
  readonly window?: PlanWindow | null;
  readonly consumers?: readonly string[];
  /** Nobody can look at the target, so nobody does. */
  readonly unread?: boolean;
  readonly effect?: Decision['effect'];
  /** Of the first decision, beside who approves. */
  readonly obligations?: Partial<Decision['obligations']>;
  readonly ledger?: Beat[];
  readonly parent?: Telling;
}

/** A window from `opensMs` to `closesMs` after the start of all stories. */
export function windowAt(opensMs: number, closesMs: number, onMissed: PlanWindow['onMissed'] = 'expire'): PlanWindow {
  return { calendar: 'nights', opensAt: formatTime(START_MS + opensMs), closesAt: formatTime(START_MS + closesMs), onMissed, consumers: [CONSUMER] };
}

export function seen(account: string, touched: TargetState['touched'], n: number): TargetState {
  return { v: 1, salt: salt(n), connector: 'pg-main', target: 'app', account, exists: true, touched, held: [] };
}

/** Requested, read, planned and decided. */
export function toldUntilPlanned(request: ChangeRequest, atMs: number, planned: Planned = {}, telling = new Telling(atMs, planned.ledger)): Telling {
  const requester = planned.parent?.now.requester ?? [request.subject.startsWith('nhi:') ? request.subject : 'person:olga'];
  if (telling.state === null) {
    telling.do({ type: 'request', by: requester[0]!, request, requester, idempotency: null, ...(planned.parent === undefined ? {} : { parent: planned.parent.changeId }) });
  }
  const account = request.subject === ORDERS ? 'orders' : 'ci_deployer';
  const query = deriveQuery(telling.changeId, request, account);
  const touched = request.kind === 'disable' || planned.overlap === 'none' ? ALONE : TWIN;
  if (planned.unread !== true) toldUntilRead(telling, seen(account, touched, 11), query);
  const plan = derivePlan(telling.now, query, telling.now.before ?? { touched: {} }, {
    salt: salt(12), window: planned.window ?? null, consumers: planned.consumers ?? [], parent: telling.now.parent,
  });
  return telling.later(5).do({ type: 'recordDecision', by: sidecar, phase: 'request', plan, ...answer(planned.effect ?? 'needsApproval', planned.obligations) });
}

function toldUntilRead(telling: Telling, state: TargetState, query = deriveQuery(telling.changeId, telling.now.request, state.account)): Telling {
  const ticket = deriveReadTicket(telling.now, query, EXECUTOR, telling.atMs + 5, 300);
  telling.later(5).do({ type: 'authoriseRead', by: sidecar, ticket: sign.ticket(ticket) });
  report(telling.later(20), {
    kind: 'read', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: ticket.stepId, issue: ticket.issue,
    outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(state)),
  }, [state]);
  return telling;
}

const answer = (effect: Decision['effect'], obligations: Partial<Decision['obligations']> = {}): { decision: Decision; provenance: typeof provenance; approvalSeconds: number } => {
  const decided = decision(effect, effect === 'needsApproval' ? ANA : null);
  return { decision: { ...decided, obligations: { ...decided.obligations, ...obligations } }, provenance, approvalSeconds: 3600 };
};

export function toldUntilApproved(telling: Telling): Telling {
  if (telling.now.name !== 'pending') return telling;
  return telling.later(60_000).do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana')), comment: null });
}

/** @param uncounted approvals that count no more */
export function toldUntilDispatched(telling: Telling, obligations: Partial<Decision['obligations']> = {}, uncounted: readonly string[] = []): Telling {
  toldUntilApproved(telling);
  const effect = telling.now.requirement.approvers === null ? 'allow' : 'needsApproval';
  // As many as before: the fewest hold.
  const rejections = (telling.now.rejectionsDue ?? 1) === 1 ? {} : { rejections: telling.now.rejectionsDue! };
  return telling.later(10).do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan: telling.now.plan, ...answer(effect, { ...rejections, ...obligations }), uncounted });
}

/** The step that is due has its ticket. */
export function toldUntilAuthorised(telling: Telling): Telling {
  toldUntilDispatched(telling);
  const plan = telling.now.plan!;
  const ticket = deriveActTicket(telling.now, plan, stepOf(telling.now)!, callerOfPlan(plan) ?? EXECUTOR, telling.atMs, 300);
  return telling.do({ type: 'authoriseAct', by: sidecar, ticket: sign.ticket(ticket), order: null });
}

/** What whoever has the ticket says of it, at the story's time. */
export function acted(telling: Telling, edit: Partial<ActedReport> = {}): { content: ActedReport; states: readonly TargetState[] } {
  const { step, issue } = actOf(telling);
  const isCalled = telling.now.plan?.mode === 'caller';
  const before = seen(step.account, {}, 13);
  const after = seen(step.account, {}, 14);
  const seal: Seal | null = makesSecret(step.action) ? { recipient: telling.now.plan?.recipient ?? RECIPIENT, ciphertext: digestOf(Buffer.from(step.stepId)), fingerprint: 'ab'.repeat(32), replaces: null } : null;
  const content: ActedReport = {
    kind: 'acted', v: 1, executor: telling.now.act!.audience, log: logId, changeId: telling.changeId, stepId: step.stepId, issue, at: formatTime(telling.atMs - 2), attempt: 1,
    outcome: 'done', code: isCalled ? 'exit-0' : null, detail: null, before: isCalled ? null : digestOf(canonicalBytes(before)), after: isCalled ? null : digestOf(canonicalBytes(after)),
    byUse: 'notTried', seal, ...edit,
  };
  return { content, states: isCalled ? [] : [before, after] };
}

const reporter = (telling: Telling): Signer | undefined => (telling.now.plan?.mode === 'caller' ? runSigner : undefined);

export function toldUntilClaimed(telling: Telling): Telling {
  const { step, issue } = actOf(telling);
  report(telling.later(4), { kind: 'claimed', v: 1, executor: telling.now.act!.audience, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: step.stepId, issue }, [], null, reporter(telling));
  return telling;
}

export function toldUntilActed(telling: Telling, edit: Partial<ActedReport> = {}): Telling {
  const { content, states } = acted(telling.later(30), edit);
  report(telling, content, edit.outcome === undefined || edit.outcome === 'done' ? states : [], null, reporter(telling));
  return telling;
}

export function toldUntilVerified(telling: Telling): Telling {
  const verification = { effect: 'allow' as const, reasons: [{ code: 'as-planned', message: 'nothing more, nothing less', rule: 'access' }], controls: [] };
  return telling.later(5).do({ type: 'recordVerification', by: sidecar, verification, provenance });
}

/** One step of the plan, from its decision to its verification. */
export function toldUntilStep(telling: Telling): Telling {
  return toldUntilVerified(toldUntilActed(toldUntilClaimed(toldUntilAuthorised(telling))));
}

export function acknowledge(telling: Telling): Telling {
  return telling.later(50).do({ type: 'acknowledgeDelivery', by: telling.now.requester[0]!, ciphertext: telling.now.delivery!.seal.ciphertext });
}

export function confirm(telling: Telling): Telling {
  return telling.later(50).do({ type: 'confirmConsumer', by: CONSUMER, consumer: CONSUMER });
}

/** A rotation whose new login is there, its secret fetched and its consumer on it. */
export function stagedRotation(planned: Planned = {}, atMs = START_MS): Telling {
  return confirm(fetchedRotation(planned, atMs));
}

/** A rotation whose new login is there and its secret fetched, and that nobody has moved over to yet. */
export function fetchedRotation(planned: Planned = {}, atMs = START_MS): Telling {
  return acknowledge(toldUntilStep(toldUntilPlanned(ROTATE, atMs, { consumers: [CONSUMER], ...planned })));
}

/** Whose secret its executor keeps in a sink: that it is there is its delivery. */
export function keptRotation(): Telling {
  const request = { ...ROTATE, recipient: 'kv:app-kv/orders/db' };
  return toldUntilStep(toldUntilStep(confirm(toldUntilStep(toldUntilPlanned(request, START_MS, { consumers: [CONSUMER] })))));
}

/** Staged, switched over, the old login retired. */
export function rotation(planned: Planned = {}): Telling {
  return toldUntilStep(toldUntilStep(stagedRotation(planned)));
}

/** The staged login is taken back, and its executor says so. */
export function toldUntilUndone(telling: Telling, cause: 'compensation' | 'early' = 'compensation', by = sidecar): Telling {
  const order = sign.order(deriveRevokeOrder(telling.now.plan!, EXECUTOR, telling.atMs, cause, by)!);
  telling.do({ type: 'orderRevoke', by, order, comment: null });
  const after = seen('orders_b', {}, 15);
  report(telling.later(200), {
    kind: 'revoked', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs - 10), leaseId: telling.changeId.replace('chg', 'lse'), epoch: 1,
    order: payloadDigest(order), outcome: 'done', code: null, detail: null, after: digestOf(canonicalBytes(after)), byUse: 'notTried', attempt: 1,
  }, [after], order);
  return telling;
}

/** A caller's change, from its request to the report of its run; an executor looks at the target afterwards unless nobody can. */
export function called(planned: Planned = {}, atMs = START_MS): Telling {
  const telling = toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, atMs, planned))));
  return toldUntilVerified(planned.unread === true ? telling : toldUntilRead(telling, seen('orders', ALONE, 16)));
}

/** An offboarding that was asked for, planned with `items`, approved and dispatched. */
export function offboarding(items: readonly OffboardItem[], ledger: Beat[], atMs: number): Telling {
  const telling = new Telling(atMs, ledger).do({ type: 'request', by: 'person:olga', request: OFFBOARD, requester: ['person:olga'], idempotency: null });
  const plan = deriveOffboarding(telling.now, items, salt(17));
  telling.later(5).do({ type: 'recordDecision', by: sidecar, phase: 'request', plan, ...answer('needsApproval') });
  return toldUntilDispatched(telling);
}

/** A ticket for any step of the plan at any time, recorded whatever `decide` thinks of it. */
export function forceAct(telling: Telling, n: number, edit: Partial<ActTicket> = {}): Telling {
  const plan = telling.now.plan!;
  const ticket = { ...deriveActTicket(telling.now, plan, plan.steps[n]!, callerOfPlan(plan) ?? EXECUTOR, telling.atMs, 300), ...edit };
  return telling.force({
    type: 'step.authorised', actor: sidecar,
    body: {
      kind: 'act', revision: ticket.revision, stepId: ticket.stepId, issue: ticket.issue, ticket: sign.ticket(ticket), planDigest: ticket.planDigest,
      requirement: telling.now.requirement, approvals: [], lease: null,
    },
  });
}
