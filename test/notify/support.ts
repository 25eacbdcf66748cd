/** Changes in short, a ledger of them in memory, and receivers that listen on a port of their own. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { canonicalBytes } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { ChangeEvent, NewEvent } from '../../src/change/events.ts';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import type { Logger } from '../../src/engine/ports.ts';
import type { Told } from '../../src/notify/derive.ts';
import type { NotificationEnd } from '../../src/notify/queue.ts';
import type { Decision, Provenance } from '../../src/protocol/decision.ts';
import { planDigest, type Plan } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { APPROVAL_TYPE, REVOKE_ORDER_TYPE } from '../../src/protocol/signed.ts';

export const LOG_ID = '0123456789abcdef';
export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
export const changeIdOf = (n: number): string => `chg_${LOG_ID}_01M8571XRWJ2028CSGVGJ3Q${String(n).padStart(3, '0')}`;
const SELF = `sidecar:${LOG_ID}`;

export const ROTATE: ChangeRequest = {
  kind: 'rotate', subject: 'nhi:prod/orders', connector: 'pg-main', target: 'app', purpose: 'nightly-billing', reason: '</script>"; rm -rf / ; é', recipient: `age1${'q'.repeat(58)}`,
};
export const OFFBOARD: ChangeRequest = { kind: 'offboard', subject: 'thirdParty:acme', reason: 'the contract is over' };

export function planOf(changeId: string, request: ChangeRequest, more: Partial<Plan> = {}): Plan {
  const stem = changeId.slice('chg_'.length);
  const step = { connector: 'pg-main', target: 'app', privileges: ['role:orders'], clientToken: `cs_${stem.slice(17).toLowerCase()}` };
  const plan: Plan = {
    v: 1, salt: 'A'.repeat(22), log: LOG_ID, changeId, revision: 1, kind: request.kind, requester: ['person:ana'], subject: request.subject, purpose: 'nightly-billing',
    connector: 'pg-main', target: 'app', mode: 'executor', entitlements: [], steps: [], before: {}, lease: null, recipient: null,
  };
  if (request.kind === 'rotate') {
    const logins = { account: 'orders_b', other: 'orders_a' };
    return {
      ...plan,
      steps: [
        { ...step, ...logins, stepId: `stp_${stem}_r1_1`, action: 'stage' },
        { ...step, ...logins, stepId: `stp_${stem}_r1_2`, action: 'cutover' },
        { ...step, account: 'orders_a', other: 'orders_b', stepId: `stp_${stem}_r1_3`, action: 'retire' },
      ],
      rotation: { overlap: 'twin', graceSeconds: 600, retire: 'whenUnused', consumers: ['shop', 'billing'] }, ...more,
    };
  }
  const items: Plan['items'] = [
    { kind: 'lease', nhi: 'nhi:prod/acme-sync', change: changeIdOf(900) },
    { kind: 'account', nhi: 'nhi:prod/acme-sync', connector: 'pg-main', target: 'app', account: 'acme_sync' },
  ];
  return { ...plan, connector: '-', target: '-', items, ...more };
}

const provenance: Provenance = { bundle: null, input: `sha256:${'1'.repeat(64)}`, facts: [] };
export const reasons: Decision['reasons'] = [{ code: 'low-risk', message: 'as the test says', rule: 'access' }];

export const requested = (request: ChangeRequest): NewEvent => ({ type: 'change.requested', actor: 'person:ana', body: { request, requester: ['person:ana'], idempotency: null } });

/** Somebody's verdict on the plan, as it is recorded. */
export function verdictOf(plan: Plan, approver: string, verdict: 'approve' | 'reject'): NewEvent {
  const statement = { v: 1 as const, log: LOG_ID, changeId: plan.changeId, revision: plan.revision, planDigest: planDigest(plan), verdict, approver, expiresAt: '2026-11-24T19:00:00.000Z' };
  const envelope = { payloadType: APPROVAL_TYPE, payload: Buffer.from(canonicalBytes(statement)).toString('base64'), signatures: [{ keyid: 'sidecar+00000000', sig: 'AA==' }] };
  return { type: verdict === 'approve' ? 'approval.recorded' : 'approval.rejected', actor: approver, body: { approval: { approvalId: `apr_${'0'.repeat(32)}`, proofClass: 'session', envelope }, comment: 'as it was said to me; </script>' } };
}

export function decided(plan: Plan, effect: Decision['effect'], options: { phase?: 'request' | 'dispatch'; approvers?: readonly string[]; approvalsBy?: string } = {}): NewEvent {
  const { phase = 'request', approvers, approvalsBy = null } = options;
  const expression = approvers === undefined ? null : { atLeast: 1, of: [...approvers] };
  return {
    type: 'policy.decided', actor: SELF, ...(phase === 'request' ? { attached: { plan } } : {}),
    body: {
      revision: 1, phase, planDigest: planDigest(plan), provenance, approvalsBy, requirement: { approvers: expression, proofClass: 'session' },
      decision: {
        effect, reasons, obligations: { approvers: expression, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
        entitlements: { requested: [], held: [], used: [], excess: [], counterOffer: null }, controls: [],
      },
    },
  };
}
export const verified = (stepId: string): NewEvent => ({ type: 'entitlement.verified', actor: SELF, body: { stepId, verification: { effect: 'allow', reasons, controls: [] }, provenance } });
export const found = (code: 'revoke-overdue' | 'policy-fault' | 'rotation-stalled', message = 'it does not get on'): NewEvent =>
  ({ type: 'finding.opened', actor: SELF, body: { code, message, owner: 'person:olga' } });

/** An order that takes back what the plan made; nobody has signed it. */
export function ordered(plan: Plan, notBefore: string): NewEvent {
  const order = deriveRevokeOrder(plan, 'executor:pg-1', Date.parse(notBefore), 'compensation', SELF)!;
  const dsse = { payloadType: REVOKE_ORDER_TYPE, payload: Buffer.from(canonicalBytes(order)).toString('base64'), signatures: [] };
  return { type: 'step.authorised', actor: SELF, body: { kind: 'revoke', stepId: plan.steps[0]!.stepId, order: dsse, comment: null } };
}

export interface MemoryLedger {
  readonly told: readonly Told[];
  /** Adds events of a change in one breath; what is returned is what `take` is given. */
  add(changeId: string, atMs: number, ...events: readonly NewEvent[]): { state: ChangeState; events: ChangeEvent[] };
  history(sinceMs: number): AsyncIterable<Told>;
  record(changeId: string, end: NotificationEnd): Promise<void>;
  ends(): NotificationEnd[];
  /** Set: nothing more can be recorded. */
  broken: boolean;
}

export function memoryLedger(nowMs: () => number): MemoryLedger {
  const told: Told[] = [];
  const states = new Map<string, ChangeState>();
  const ledger: MemoryLedger = {
    told, broken: false,
    add(changeId, atMs, ...events) {
      const added = events.map((event) => {
        const whole: ChangeEvent = { ...event, changeId, seq: told.length, atMs };
        const state = evolve(states.get(changeId) ?? null, whole);
        states.set(changeId, state);
        told.push({ event: whole, state });
        return whole;
      });
      return { state: states.get(changeId)!, events: added };
    },
    async *history(sinceMs) {
      const recent = new Set([...states.values()].filter((state) => state.lastAtMs > sinceMs).map((state) => state.changeId));
      for (const one of [...told]) {
        await Promise.resolve();
        if (recent.has(one.event.changeId)) yield one;
      }
    },
    record(changeId, end) {
      if (ledger.broken) return Promise.reject(new Error('the disk is full'));
      ledger.add(changeId, nowMs(), 'delivered' in end ? { type: 'notification.delivered', actor: SELF, body: end.delivered } : { type: 'notification.failed', actor: SELF, body: end.failed });
      return Promise.resolve();
    },
    ends: () => told.flatMap(({ event }): NotificationEnd[] =>
      event.type === 'notification.delivered' ? [{ delivered: event.body }] : event.type === 'notification.failed' ? [{ failed: event.body }] : []),
  };
  return ledger;
}

export interface Logged extends Logger {
  readonly lines: readonly { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }[];
}
export function memoryLogger(): Logged {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, message: string): void => void lines.push({ level, fields, message });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}

export interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}
export interface Listening {
  readonly port: number;
  readonly received: readonly Received[];
  /** Resolves once `count` requests have come in whole. */
  until(count: number): Promise<void>;
  close(): Promise<void>;
}

/** A receiver on 127.0.0.1 and a port that the system chose. */
export async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void, server: Server = createServer()): Promise<Listening> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      received.push({ headers: request.headers as Record<string, string>, body: Buffer.concat(parts).toString('utf8') });
      answer(request, response);
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port, received,
    until: (count) => new Promise((resolve) => {
      const look = (): void => {
        if (received.length < count) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    }),
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
