/** A change told as events: given what happened, when a command comes, then these events follow. Real keys, real digests. */
import { canonicalBytes, digestOf, generateSignerKey, parseSigner, type Signer } from '../../ledger/index.ts';
import { decide, type Command } from '../../src/change/decide.ts';
import type { Decided } from '../../src/change/outcome.ts';
import { deriveActTicket, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs, leaseIdOf } from '../../src/change/derive.ts';
import type { ChangeEvent, NewEvent } from '../../src/change/events.ts';
import { evolve, stepOf, type ChangeState } from '../../src/change/state.ts';
import type { Decision, Requirement } from '../../src/protocol/decision.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';
import type { Plan, PlanWindow, TargetState } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import {
  APPROVAL_TYPE, REPORT_TYPE, REVOKE_ORDER_TYPE, TICKET_TYPE, type ActedReport, type Approval, type Dsse, type RevokedReport,
} from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';

export const T0 = Date.parse('2026-11-23T19:00:00.000Z');
export const CHANGE = 'chg_0123456789abcdef_01KAVQ0000000000000000000A';
export const SIDECAR = 'sidecar:0123456789abcdef';
export const EXECUTOR = 'executor:pg-1';
const signer = (name: string, fill: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(fill)).skey);
export const ticketSigner = signer('ticket.example', 1);
export const executorSigner = signer('executor.example', 2);
const salt = 'AAAAAAAAAAAAAAAAAAAAAA';

export const GRANT: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 42', duration: 'PT15M',
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};
export const STATE_BEFORE: TargetState = { v: 1, salt, connector: 'pg-main', target: 'app', account: 'ci_deployer', exists: true, touched: { account: 16401 }, held: [] };

/** A login whose secret is rotated with an overlap: `orders_a` is in use, `orders_b` is next. */
export const ROTATE: ChangeRequest = {
  kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'ninety days old',
  recipient: `age1${'q'.repeat(58)}`, grace: 'PT10M',
};
export const TWINS: TargetState = {
  v: 1, salt, connector: 'pg-main', target: 'app', account: 'orders', exists: true, held: ['role:deploy'],
  touched: { overlap: 'twin', role: 1, currentName: 'orders_a', current: 2, currentCanLogin: true, nextName: 'orders_b', next: null, privilege: 'role:orders' },
};
export const SINGLE: TargetState = { ...TWINS, touched: { overlap: 'none', account: 1, canLogin: true } };
export const RUN_KEY = Buffer.alloc(32, 7).toString('base64');
export const CALLED: ChangeRequest = {
  kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'our own script', caller: { key: RUN_KEY, timeout: 'PT2M' },
};

export const decision = (effect: Decision['effect'], approvers: Requirement['approvers'] = null): Decision => ({
  effect, reasons: [{ code: 'because', message: 'because', rule: 'access.test' }],
  obligations: { approvers, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
  entitlements: { requested: [], held: [], used: [], excess: [], counterOffer: null }, controls: [],
});
const provenance = { bundle: null, input: digestOf(canonicalBytes({ input: 1 })), facts: [] };

/** Applies commands to a growing change; a step that is refused throws, unless it is what the test asks about. */
export class Story {
  state: ChangeState | null = null;
  events: ChangeEvent[] = [];
  nowMs = T0;
  /** What is read at the target, and what the plan takes from facts and policy. */
  before: TargetState = STATE_BEFORE;
  window: PlanWindow | null = null;
  consumers: readonly string[] = [];

  try(command: Command): Decided {
    const decided = decide(this.state, command, this.nowMs);
    if (decided.ok) for (const event of decided.events) this.happen(event);
    return decided;
  }

  must(command: Command): readonly NewEvent[] {
    const decided = this.try(command);
    if (!decided.ok) throw new Error(`${command.type}: ${decided.code}: ${decided.message}`);
    return decided.events;
  }

  happen(event: NewEvent): void {
    const full: ChangeEvent = { ...event, changeId: CHANGE, seq: this.events.length, atMs: this.nowMs };
    this.events.push(full);
    this.state = evolve(this.state, full);
  }

  get now(): ChangeState {
    if (this.state === null) throw new Error('nothing has happened yet');
    return this.state;
  }

  requested(request: ChangeRequest = GRANT, requester: readonly string[] = ['nhi:prod/ci-deployer']): this {
    this.must({ type: 'request', by: requester[0]!, request, requester, idempotency: null });
    return this;
  }

  read(): this {
    const query = deriveQuery(CHANGE, this.now.request, 'ci_deployer');
    const ticket = deriveReadTicket(this.now, query, EXECUTOR, this.nowMs, 300);
    this.must({ type: 'authoriseRead', by: SIDECAR, ticket: signDsse(TICKET_TYPE, ticket, ticketSigner) });
    const digest = digestOf(canonicalBytes(this.before));
    const report = { kind: 'read' as const, v: 1 as const, executor: EXECUTOR, log: '0123456789abcdef', changeId: CHANGE, at: formatTime(this.nowMs), stepId: ticket.stepId, issue: 1, outcome: 'done' as const, code: null, detail: null, state: digest };
    this.must({ type: 'recordReport', report, envelope: signDsse(REPORT_TYPE, report, executorSigner), states: new Map([[digest, this.before]]), order: null });
    return this;
  }

  /** What follows from the request and from what was read. */
  plan(): Plan | null {
    return derivePlan(this.now, deriveQuery(CHANGE, this.now.request, 'ci_deployer'), this.before, { salt, window: this.window, consumers: this.consumers, parent: null });
  }

  decided(answer: Decision, phase: 'request' | 'dispatch' = 'request'): Decided {
    const plan = phase === 'request' ? this.plan() : this.now.plan;
    return this.try({ type: 'recordDecision', by: SIDECAR, phase, plan, decision: answer, provenance, approvalSeconds: 3600 });
  }

  approval(approver: string, change: Partial<{ revision: number; planDigest: string; verdict: 'approve' | 'reject'; expiresAt: string }> = {}): Approval {
    const statement = {
      v: 1 as const, log: '0123456789abcdef', changeId: CHANGE, revision: this.now.revision, planDigest: this.now.planDigest ?? digestOf(new Uint8Array()),
      verdict: 'approve' as const, approver, expiresAt: formatTime(this.nowMs + 3_600_000), ...change,
    };
    const approvalId = `apr_${digestOf(canonicalBytes(statement)).slice(7, 39)}`;
    return { approvalId, proofClass: 'session', envelope: signDsse(APPROVAL_TYPE, statement, ticketSigner) };
  }

  approve(approver: string): Decided {
    return this.try({ type: 'approve', approval: this.approval(approver), comment: null });
  }

  order(cause: 'leaseEnd' | 'early' = 'leaseEnd', notBeforeMs?: number): Dsse {
    const end = notBeforeMs ?? this.now.lease?.endsAtMs ?? leaseEndMs(this.now.plan!, this.nowMs)!;
    return signDsse(REVOKE_ORDER_TYPE, deriveRevokeOrder(this.now.plan!, EXECUTOR, end, cause, SIDECAR)!, ticketSigner);
  }

  /** What the sidecar signs to undo the change. */
  compensation(): Dsse {
    return signDsse(REVOKE_ORDER_TYPE, deriveRevokeOrder(this.now.plan!, EXECUTOR, this.nowMs, 'compensation', SIDECAR)!, ticketSigner);
  }

  /** @param clockMs by which the ticket is made; `endsAtMs`: by the order */
  authorise(clockMs = this.nowMs, endsAtMs?: number): Decided {
    const { plan } = this.now;
    const audience = plan!.caller === undefined ? EXECUTOR : callerIdOf(plan!.caller.key);
    const ticket = deriveActTicket(this.now, plan!, stepOf(this.now)!, audience, clockMs, 300);
    return this.try({ type: 'authoriseAct', by: SIDECAR, ticket: signDsse(TICKET_TYPE, ticket, ticketSigner), order: this.now.plan!.lease === null ? null : this.order('leaseEnd', endsAtMs) });
  }

  /** Up to a step that is authorised and armed. */
  armed(): this {
    this.requested().read();
    expectOk(this.decided(decision('needsApproval', 'person:wei')));
    expectOk(this.approve('person:wei'));
    expectOk(this.decided(decision('needsApproval', 'person:wei'), 'dispatch'));
    expectOk(this.authorise());
    this.must({ type: 'recordArmed', by: SIDECAR, orderDigest: this.now.lease!.orderDigest });
    return this;
  }

  /** A change that policy allows, up to its first ticket. */
  allowed(request: ChangeRequest, before: TargetState = this.before): this {
    this.before = before;
    this.requested(request).read();
    expectOk(this.decided(decision('allow')));
    return this;
  }

  /** Policy allows the step that is due, it is authorised, done and verified. */
  stepDone(seal: ActedReport['seal'] = null): this {
    expectOk(this.decided(decision('allow'), 'dispatch'));
    expectOk(this.authorise());
    expectOk(this.acted('done', null, seal));
    expectOk(this.verified());
    return this;
  }

  claimed(): Decided {
    const { stepId, issue, audience } = this.now.act!;
    const report = { kind: 'claimed' as const, v: 1 as const, executor: audience, log: '0123456789abcdef', changeId: CHANGE, at: formatTime(this.nowMs), stepId, issue };
    return this.try({ type: 'recordReport', report, envelope: signDsse(REPORT_TYPE, report, executorSigner), states: new Map(), order: null });
  }

  acted(outcome: ActedReport['outcome'], code: string | null = null, seal: ActedReport['seal'] = null, byUse: ActedReport['byUse'] = 'notTried'): Decided {
    const report: ActedReport = {
      kind: 'acted', v: 1, executor: this.now.act!.audience, log: '0123456789abcdef', changeId: CHANGE, at: formatTime(this.nowMs), stepId: this.now.act!.stepId, issue: this.now.act!.issue,
      attempt: 1, outcome, code, detail: null, before: null, after: null, byUse, seal,
    };
    return this.try({ type: 'recordReport', report, envelope: signDsse(REPORT_TYPE, report, executorSigner), states: new Map(), order: null });
  }

  verified(effect: 'allow' | 'deny' = 'allow'): Decided {
    return this.try({ type: 'recordVerification', by: SIDECAR, verification: { effect, reasons: decision('allow').reasons, controls: [] }, provenance });
  }

  revoked(outcome: RevokedReport['outcome'], order: Dsse = this.now.lease!.order): Decided {
    const report: RevokedReport = {
      kind: 'revoked', v: 1, executor: EXECUTOR, log: '0123456789abcdef', changeId: CHANGE, at: formatTime(this.nowMs), leaseId: leaseIdOf(CHANGE), epoch: 1,
      order: digestOf(Buffer.from(order.payload, 'base64')), outcome, code: null, detail: null, after: null, byUse: 'notTried', attempt: 1,
    };
    return this.try({ type: 'recordReport', report, envelope: signDsse(REPORT_TYPE, report, executorSigner), states: new Map(), order });
  }
}

export function expectOk(decided: Decided): void {
  if (!decided.ok) throw new Error(`${decided.code}: ${decided.message}`);
}
