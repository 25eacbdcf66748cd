/** A transport whose far end plays an executor by script: it checks nothing and reports what it is told to. For tests of the sidecar's side. */
import { canonicalBytes, digestOf, type Signer } from '../../ledger/index.ts';
import type { Transport, TransportError } from '../../src/engine/ports.ts';
import { payloadDigest, readPayload, signDsse } from '../../src/protocol/dsse.ts';
import { anyTicketSchema, type Found } from '../../src/protocol/discovery.ts';
import type { ReportMessage, StepEnvelope } from '../../src/protocol/envelope.ts';
import { makesSecret, takesAway, type PlanStep, type TargetState } from '../../src/protocol/plan.ts';
import { REPORT_TYPE, revokeOrderSchema, type Dsse, type Query, type Report } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { workerKnows, type WorkerKnows } from '../../src/protocol/worker-knows.ts';
import type { WorkerState } from '../../src/protocol/worker-state.ts';

export interface ScriptedExecutor extends Transport {
  /** Steps and orders as they arrived. */
  readonly steps: readonly StepEnvelope[];
  readonly orders: readonly Dsse[];
  readonly armed: readonly Dsse[];
  readonly disarmed: readonly Dsse[];
  /** Locks that it was told of, set and lifted. */
  readonly locked: readonly Dsse[];
  /** Thrown in place of holding a lock. */
  lockFault: TransportError | null;
  /** Shows a lock that it has heard of. */
  showLock(lock: Dsse): void;
  /** Says how its worker is. */
  sayState(state: WorkerState): void;
  /** What its workers have said can be proven to them. */
  known: readonly WorkerKnows[];
  /** One of them says so, and those of before are gone. */
  sayKnows(knows: WorkerKnows): void;
  /** A report as it comes, whatever it is. @throws what the sidecar throws */
  report(message: ReportMessage): Promise<void>;
  /** It is there, by a line of its own. */
  connect(): void;
  /** While false, steps are accepted and nothing is done about them. */
  acting: boolean;
  /** While true, its targets turn down every step. */
  isRejected: boolean;
  /** Seals a secret of its own to a recipient; null: what it says it sealed is none. */
  seal: ((recipient: string) => Promise<Uint8Array>) | null;
  /** What is at the target, as it tells a discovery; null where it will not tell. */
  found: readonly Found[] | null;
}

/** Of a worker whose floors ask for nothing of their own. */
export const ASKS_NOTHING: WorkerKnows = workerKnows('0'.repeat(16), [{ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null }]);

const SALT = 'AAAAAAAAAAAAAAAAAAAAAA';

export function scriptedExecutor(id: string, signer: Signer, nowMs: () => number): ScriptedExecutor {
  const steps: StepEnvelope[] = [];
  const orders: Dsse[] = [];
  const armed: Dsse[] = [];
  const disarmed: Dsse[] = [];
  const locked: Dsse[] = [];
  let said: WorkerState | null = null;
  let hearRefused: Parameters<Transport['onRefused']>[0] = () => undefined;
  let hearKnows: Parameters<Transport['onKnows']>[0] = () => undefined;
  let hearLock: (lock: Dsse) => void = () => undefined;
  const onConnected: ((audience: string) => void)[] = [];
  let receive: (audience: string, message: ReportMessage) => Promise<void> = () => Promise.resolve();

  const stateOf = (query: Omit<Query, 'clientToken'>, isDone: boolean): TargetState => ({
    v: 1, salt: SALT, connector: query.connector, target: query.target, account: query.account, exists: true, touched: touchedBy(query, isDone),
    held: query.action !== 'extend' && takesAway(query.action as PlanStep['action']) === isDone ? [] : [...query.privileges],
  });
  const textOf = (state: TargetState): string => Buffer.from(canonicalBytes(state)).toString();
  const send = (report: Record<string, unknown>, more: Partial<ReportMessage> = {}): void => {
    const full = { v: 1, executor: id, at: formatTime(nowMs()), ...report } as unknown as Report;
    const message: ReportMessage = { v: 1, report: signDsse(REPORT_TYPE, full, signer), objects: [], ciphertext: null, order: null, ...more };
    // What is refused stays with a real executor, which sends it again; none of these tests is about that.
    receive(id, message).catch(() => undefined);
  };

  const act = (envelope: StepEnvelope, sealed: Uint8Array | null = null): void => {
    const ticket = readPayload(envelope.ticket, anyTicketSchema);
    if (ticket.kind === 'discover') {
      const { log, discoveryId, stepId, issue, query } = ticket;
      const page = executor.found === null ? null : Buffer.from(canonicalBytes({ v: 1, salt: SALT, ...query, target: 'app', next: null, entries: [...executor.found] })).toString();
      const said = page === null ? { outcome: 'failed', code: 'target-rejected', detail: 'it will not tell', page: null } : { outcome: 'done', code: null, detail: null, page: digestOf(Buffer.from(page)) };
      send({ kind: 'discovered', log, discoveryId, stepId, issue, ...said }, { objects: page === null ? [] : [page] });
      return;
    }
    const common = { log: ticket.log, changeId: ticket.changeId, stepId: ticket.stepId, issue: ticket.issue };
    if (ticket.kind === 'read') {
      const text = textOf(stateOf(ticket.query, false));
      send({ kind: 'read', ...common, outcome: 'done', code: null, detail: null, state: digestOf(Buffer.from(text)) }, { objects: [text] });
      return;
    }
    if (makesSecret(ticket.step.action) && executor.seal !== null && sealed === null) {
      void executor.seal(envelope.plan!.recipient!).then((made) => act(envelope, made));
      return;
    }
    send({ kind: 'claimed', ...common });
    const [before, after] = [textOf(stateOf(ticket.step, false)), textOf(stateOf(ticket.step, true))];
    if (executor.isRejected) {
      const said = { outcome: 'failed', code: 'target-rejected', detail: 'not today', before: digestOf(Buffer.from(before)), after: digestOf(Buffer.from(before)) };
      send({ kind: 'acted', ...common, attempt: 1, ...said, byUse: 'notTried', seal: null }, { objects: [before] });
      return;
    }
    const ciphertext = makesSecret(ticket.step.action) ? Buffer.from(sealed ?? Buffer.from(`sealed for ${ticket.changeId}`)) : null;
    const seal = ciphertext === null ? null
      : { recipient: envelope.plan!.recipient!, ciphertext: digestOf(ciphertext), fingerprint: 'f'.repeat(64), replaces: null };
    send({
      kind: 'acted', ...common, attempt: 1, outcome: 'done', code: null, detail: null, before: digestOf(Buffer.from(before)), after: digestOf(Buffer.from(after)),
      byUse: seal === null ? 'notTried' : 'works', seal,
    }, { objects: [before, after], ciphertext: ciphertext?.toString('base64') ?? null });
  };

  const executor: ScriptedExecutor = {
    steps, orders, armed, disarmed, locked, acting: true, isRejected: false, seal: null, found: [], lockFault: null, known: [ASKS_NOTHING],
    knows: () => executor.known,
    onKnows(callback) {
      hearKnows = callback;
    },
    sayKnows(knows) {
      executor.known = [knows];
      hearKnows(id, knows.run);
    },
    showLock: (lock) => hearLock(lock),
    connect: () => onConnected.forEach((callback) => callback(id)),
    async arm(_audience, order) {
      armed.push(order);
    },
    async disarm(_audience, order) {
      disarmed.push(order);
    },
    async publishStep(_audience, envelope) {
      steps.push(envelope);
      if (executor.acting) queueMicrotask(() => act(envelope));
      return { accepted: true };
    },
    async publishLock(_audience, lock) {
      if (executor.lockFault !== null) throw executor.lockFault;
      locked.push(lock);
    },
    states: () => (said === null ? [] : [said]),
    onRefused(callback) {
      hearRefused = callback;
    },
    sayState(state) {
      said = state;
      hearRefused(id, state.run, state.refused ?? []);
    },
    report: (message) => receive(id, message),
    onLock(callback) {
      hearLock = callback;
    },
    async publishRevoke(_audience, order) {
      orders.push(order);
      const content = readPayload(order, revokeOrderSchema);
      if (!executor.acting) return;
      const { log, changeId, leaseId, epoch } = content;
      queueMicrotask(() => send({
        kind: 'revoked', log, changeId, leaseId, epoch, order: payloadDigest(order), outcome: 'done', code: null, detail: null, after: null, byUse: 'notTried', attempt: 1,
      }, { order }));
    },
    onReport(next) {
      receive = next;
    },
    onConnected: (callback) => void onConnected.push(callback),
    isConnected: () => executor.acting,
    close: () => Promise.resolve(),
  };
  return executor;
}

/** What a read tells of an account: for a rotation, of its two logins `<account>_a`, in use, and `<account>_b`, not there yet. */
function touchedBy({ action, account }: Pick<Query, 'action' | 'account'>, isDone: boolean): TargetState['touched'] {
  const logins = { role: 16_400, current: 16_401 };
  switch (action) {
    case 'rotate':
      return { ...logins, overlap: 'twin', currentName: `${account}_a`, currentCanLogin: true, nextName: `${account}_b`, next: null, privilege: `role:${account}` };
    case 'stage':
      return { ...logins, next: isDone ? 16_402 : null };
    case 'cutover':
      return logins;
    case 'retire':
      return { ...logins, currentCanLogin: !isDone };
    case 'replace':
    case 'disable':
    case 'call':
      return { account: 16_401, canLogin: action !== 'disable' || !isDone };
    default:
      return { account: 16_401 };
  }
}
