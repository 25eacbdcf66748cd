/**
 * The oracle's part about changes of several steps and of several changes. Numbers go on where the design's invariants end:
 *
 * 10. a rotation leaves at every moment a login that works, from its cutover on the new one, and at its end exactly the one it was to leave;
 * 11. nothing is given, and no login takes over, outside the planned window or under a lock, be it the sidecar's or one that its executor holds;
 * 12. a caller's code runs once at most, and only after its claim is durable;
 * 13. an offboarding that is done has left nothing, and one that is not says what is open and whose it is.
 */
import type { LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../../src/change/events.ts';
import { clientTokenOf } from '../../src/change/derive.ts';
import { isPastCutover, type ChangeState } from '../../src/change/state.ts';
import { occupiesTarget } from '../../src/change/work.ts';
import { locksOn, type Lock } from '../../src/engine/locks.ts';
import { occurrences } from '../../src/facts/calendar.ts';
import { disclosedBy, isCommitment, type Prose } from '../../src/protocol/disclosure.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { givesAccess, takesAway, type Plan, type PlanStep, type PlanWindow } from '../../src/protocol/plan.ts';
import { reportSchema, revokeOrderSchema, type Dsse } from '../../src/protocol/signed.ts';
import type { LockStatement } from '../../src/protocol/lock.ts';
import { EXECUTORS } from './fixtures.ts';
import type { LedgerView } from './ledger-view.ts';
import type { SimTarget } from './sim-target.ts';
import type { World } from './world.ts';

export interface WorkflowOracle {
  /** A step took effect that was authorised by this record. `sentAtMs`: true time at which the executor sent it. */
  effected(plan: Plan, step: PlanStep, authorised: LedgerRecord, sentAtMs: number): void;
  /** An executor has said that it holds the lock. */
  lockHeld(audience: string, lock: Extract<LockStatement, { op: 'set' }>): void;
  /** From now on it may be lifted anywhere. */
  lockLifted(lockId: string): void;
  /** A run's code runs now. */
  codeRan(changeId: string): void;
  /** Somebody was told that this is being taken back, though the ledger cannot say so. */
  revokeSent(changeId: string): void;
  /** After every event. */
  check(): void;
  /** Whether a change may stay as it is, at the end: somebody owns what keeps it. */
  isOwned(state: ChangeState): boolean;
  finish(): void;
}

/** How far clocks may be off, together: the executor's, the sidecar's, and what the trust folder tolerates. */
const CLOCKS_MS = 3_500;
const ROTATED = 'nhi:prod/orders-api';
const OWNED_FINDINGS = ['caller-silent', 'rotation-stalled', 'offboarding-open', 'verification-failed'] as const;

export function createWorkflowOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): WorkflowOracle {
  const ran = new Map<string, number>();
  const sent = new Set<string>();
  const offboarded = new Set<string>();
  const effects = new Map<string, number>();
  /** Records that were looked at for a person's order, and whether one was found: what is durable stays. */
  let looked = 0;
  let isOrderedBack = false;
  /** Rotations that have taken over, and the login that did so last. */
  const takeovers = new Set<string>();
  let tookOver: string | null = null;
  /** Locks that executors hold, and since when. */
  const heldLocks: { readonly audience: string; readonly lock: Extract<LockStatement, { op: 'set' }>; readonly sinceMs: number }[] = [];
  const main = (): SimTarget => world.targets.get('pg-main')!;

  /** A person ordered back what a rotation made: then nobody may be left who gets in. A lock is not such an order. */
  const isPersonsOrder = (record: LedgerRecord): boolean => {
    if (record.type !== 'step.authorised' || record.body['kind'] !== 'revoke') return false;
    const body = changeEventBodies['step.authorised'].parse(record.body);
    if (body.kind !== 'revoke' || writtenIn(record, body.comment)?.startsWith('locked:') === true) return false;
    const { action, cause } = readPayload(body.order, revokeOrderSchema);
    return action === 'stage' && cause === 'early';
  };
  const writtenIn = ({ objects: [digest] }: LedgerRecord, comment: Prose | null): string | null => {
    const object = digest === undefined ? undefined : view.object(digest);
    return object === undefined || !isCommitment(comment) ? null : disclosedBy(object, 'comment', comment);
  };
  const mayLeaveNone = (): boolean => {
    const records = view.records();
    for (; !isOrderedBack && looked < records.length; looked += 1) isOrderedBack = isPersonsOrder(records[looked]!);
    return isOrderedBack || sent.size > 0;
  };

  /** The locks that stood when a record was made. */
  const locksAt = (seq: number): Lock[] => {
    const locks = new Map<string, Lock>();
    for (const { type, body, actor } of view.records().slice(0, seq)) {
      const { lockId } = body as unknown as Lock;
      if (type === 'lock.set') locks.set(lockId, { ...(body as unknown as Lock), by: actor, atMs: 0 });
      if (type === 'lock.lifted') locks.delete(lockId);
    }
    return [...locks.values()];
  };

  const isKept = ({ connector, target, subject }: Plan, { calendar, opensAt, closesAt }: PlanWindow): boolean => {
    const { facts } = world;
    const scope = { connector, target, environment: facts.inventory.get(subject)?.environment ?? null };
    const opens = facts.calendar === null ? [] : occurrences(facts.calendar, scope, Date.parse(opensAt), 1);
    return opens.some((one) => one.calendar === calendar && one.opensAtMs === Date.parse(opensAt) && one.closesAtMs === Date.parse(closesAt));
  };
  /** Invariant 6 for plans of several steps: each has one effect, after those before it, and nothing is switched over to what nobody has. */
  const judgeTurn = (plan: Plan, { stepId, action }: PlanStep): void => {
    const records = view.recordsOf(plan.changeId);
    const times = (effects.get(stepId) ?? 0) + 1;
    effects.set(stepId, times);
    // A cutover is a look, which may be taken again; what a grant or a new login left behind was looked at when it appeared.
    if (times > 1 && ['replace', 'retire', 'disable'].includes(action)) broken(6, `${stepId} has had its effect ${times} times`);
    const done = new Set(records.flatMap(({ type, body }) => (type === 'step.succeeded' ? [stepOfReport(changeEventBodies['step.succeeded'].parse(body).report)] : [])));
    const early = plan.steps.slice(0, plan.steps.findIndex((one) => one.stepId === stepId)).filter((one) => !done.has(one.stepId));
    if (early.length > 0) broken(6, `${stepId} had its effect, and ${early[0]!.stepId} is not in the ledger as done`);
    if ((action === 'cutover' || action === 'retire') && !records.some(({ type }) => type === 'delivery.acknowledged')) broken(10, `${stepId}: the new secret has not been fetched, and the old one is given up`);
  };
  const noteTakeover = ({ changeId, plan, finished }: ChangeState): void => {
    if (takeovers.has(changeId) || plan?.steps[finished.length - 1]?.action !== 'cutover') return;
    takeovers.add(changeId);
    tookOver = plan.steps[0]!.account;
  };

  const judgeDone = (state: ChangeState): void => {
    for (const item of state.plan?.items ?? []) {
      if (item.kind === 'lease') {
        const token = clientTokenOf(item.change);
        for (const target of world.targets.values()) if (target.live(token).length > 0 && !world.resurrected.has(token)) broken(13, `${state.changeId} is done, and ${item.nhi} still has access by ${item.change}`);
      } else if (world.targets.get(item.connector)?.logins.working(item.account).length !== 0) broken(13, `${state.changeId} is done, and ${item.account} still works at ${item.connector}`);
    }
  };
  const judgeOpen = (state: ChangeState): void => {
    for (const [number, item] of state.items) {
      if (item.outcome === 'open' && item.owner === null && !state.findings.has('offboarding-open')) broken(13, `item ${number} of ${state.changeId} is open, and nobody answers for it`);
    }
  };

  /** Which login is the one that works, when all is done. */
  const judgeLogins = (states: readonly ChangeState[]): void => {
    const rotations = states.filter(({ request, plan, act }) => request.kind === 'rotate' && request.subject === ROTATED && plan?.rotation?.overlap === 'twin' && act !== null);
    const isSettled = ({ name, ended, findings, plan, finished }: ChangeState): boolean =>
      name === 'done' || ((['failed', 'withdrawn'].includes(name) && (ended !== null || !isPastCutover({ plan, finished }))) && !findings.has('rotation-stalled'));
    if (mayLeaveNone() || !rotations.every(isSettled)) return;
    const done = rotations.filter(({ name }) => name === 'done').sort((a, b) => a.firstActAtMs! - b.firstActAtMs!);
    const expected = done.at(-1)?.plan?.steps[0]?.account ?? 'orders_a';
    const working = main().logins.working('orders');
    if (working.length !== 1 || working[0] !== expected) broken(10, `${rotations.map(({ changeId, name }) => `${changeId} is ${name}`).join(', ')}; ${expected} should work, and it is ${working.join(', ') || 'none'}`);
  };

  /** A rotation of which nothing came, and whose name for the next login another one has given out since: that is left alone, and who owns the overdue end sees why. */
  const isKeptByAnother = ({ changeId, plan, findings }: ChangeState): boolean => {
    const [staged] = plan?.steps ?? [];
    if (!findings.has('revoke-mismatch') || !findings.has('revoke-overdue') || staged?.action !== 'stage') return false;
    const { token } = main().logins.all().find(({ name, canLogin }) => name === staged.account && canLogin) ?? { token: null };
    return [...(world.engine()?.all() ?? [])].some((other) => other.changeId !== changeId && other.plan?.steps.some(({ action, clientToken }) => action === 'stage' && clientToken === token) === true);
  };

  return {
    effected(plan, step, authorised, sentAtMs) {
      const { window } = plan;
      judgeTurn(plan, step);
      if (window !== undefined && !isKept(plan, window)) broken(11, `${step.stepId} has a window from ${window.opensAt} to ${window.closesAt}, which no calendar has`);
      if (window !== undefined && !takesAway(step.action) && !world.wildClock && (sentAtMs < Date.parse(window.opensAt) - CLOCKS_MS || sentAtMs > Date.parse(window.closesAt) + CLOCKS_MS)) {
        broken(11, `${step.stepId} was sent at ${new Date(sentAtMs).toISOString()}, outside its window from ${window.opensAt} to ${window.closesAt}`);
      }
      if (givesAccess(step.action) && locksOn(locksAt(authorised.seq), plan.subject, plan.connector).length > 0) broken(11, `${step.stepId} was authorised under a lock`);
      const audience = EXECUTORS.find((one) => one.connector === plan.connector)?.audience;
      const held = heldLocks.find((one) => one.audience === audience && sentAtMs > one.sinceMs && (one.lock.nhi ?? plan.subject) === plan.subject && (one.lock.connector ?? plan.connector) === plan.connector);
      if (givesAccess(step.action) && held !== undefined) broken(11, `${step.stepId} was made by an executor that held ${held.lock.lockId}`);
      const inNeed = !takesAway(step.action) && world.hasCalendar && plan.kind === 'rotate' && plan.window === undefined;
      const request = view.recordsOf(plan.changeId)[0]?.body['request'] as { urgency?: string } | undefined;
      if (inNeed && request?.urgency !== 'emergency') broken(11, `${step.stepId} needs a window and its plan has none`);
    },
    lockHeld(audience, lock) {
      heldLocks.push({ audience, lock, sinceMs: world.scheduler.nowMs() });
    },
    lockLifted(lockId) {
      for (let at = heldLocks.length - 1; at >= 0; at -= 1) if (heldLocks[at]!.lock.lockId === lockId) heldLocks.splice(at, 1);
    },
    codeRan(changeId) {
      const times = (ran.get(changeId) ?? 0) + 1;
      ran.set(changeId, times);
      if (times > 1) broken(12, `the code of ${changeId} ran ${times} times`);
      if (!view.recordsOf(changeId).some(({ type }) => type === 'step.claimed')) broken(12, `the code of ${changeId} ran before its claim was durable`);
    },
    revokeSent: (changeId) => void sent.add(changeId),
    check() {
      if (main().logins.working('orders').length === 0 && !mayLeaveNone()) broken(10, 'no login of orders works, and nobody ordered that');
      for (const state of world.engine()?.all() ?? []) {
        noteTakeover(state);
        if (state.plan?.kind !== 'offboard' || state.name !== 'done' || offboarded.has(state.changeId)) continue;
        offboarded.add(state.changeId);
        judgeDone(state);
      }
      if (tookOver !== null && !main().logins.working('orders').includes(tookOver) && !mayLeaveNone()) {
        broken(10, `${tookOver} has taken over, and it was taken from those who use it`);
        tookOver = null;
      }
    },
    isOwned(state) {
      if (OWNED_FINDINGS.some((code) => state.findings.has(code)) || isKeptByAnother(state)) return true;
      // One that waits for its turn behind another that somebody owns.
      return [...(world.engine()?.all() ?? [])].some((other) => other.changeId !== state.changeId && occupiesTarget(other) && other.plan?.connector === state.plan?.connector
        && ['scheduled', 'staged'].includes(state.name) && OWNED_FINDINGS.some((code) => other.findings.has(code)));
    },
    finish() {
      const states = [...(world.engine()?.all() ?? [])];
      for (const state of states) {
        judgeOpen(state);
        if (state.plan?.kind === 'offboard' && state.name === 'done') judgeDone(state);
      }
      judgeLogins(states);
    },
  };
}

function stepOfReport(envelope: Dsse): string | null {
  const report = readPayload(envelope, reportSchema);
  return 'stepId' in report ? report.stepId : null;
}
