/** A transport whose far end plays an executor by script: it checks nothing and reports what it is told to. For tests of the sidecar's side. */
import { canonicalBytes, digestOf, type Signer } from '../../ledger/index.ts';
import type { Transport } from '../../src/engine/ports.ts';
import { payloadDigest, readPayload, signDsse } from '../../src/protocol/dsse.ts';
import type { ReportMessage, StepEnvelope } from '../../src/protocol/envelope.ts';
import { makesSecret, type TargetState } from '../../src/protocol/plan.ts';
import { REPORT_TYPE, revokeOrderSchema, ticketSchema, type Dsse, type Query, type Report } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';

export interface ScriptedExecutor extends Transport {
  /** Steps and orders as they arrived. */
  readonly steps: readonly StepEnvelope[];
  readonly orders: readonly Dsse[];
  readonly armed: readonly Dsse[];
  /** While false, steps are accepted and nothing is done about them. */
  acting: boolean;
}

/** An account with two logins, of which `_a` is in use: how it can be rotated, as a connector would say. */
function twinOf(account: string): TargetState['touched'] {
  return {
    overlap: 'twin', privilege: `role:${account}`, role: 16_401, currentName: `${account}_a`, current: 16_402, currentCanLogin: true, nextName: `${account}_b`, next: null,
  };
}

const SALT = 'AAAAAAAAAAAAAAAAAAAAAA';

export function scriptedExecutor(id: string, signer: Signer, nowMs: () => number): ScriptedExecutor {
  const steps: StepEnvelope[] = [];
  const orders: Dsse[] = [];
  const armed: Dsse[] = [];
  let receive: (audience: string, message: ReportMessage) => Promise<void> = () => Promise.resolve();

  const stateOf = (query: Pick<Query, 'connector' | 'target' | 'account' | 'privileges' | 'action'>, holds: boolean): TargetState => ({
    v: 1, salt: SALT, connector: query.connector, target: query.target, account: query.account, exists: true,
    touched: query.action === 'rotate' ? twinOf(query.account) : { account: 16_401 }, held: holds ? [...query.privileges] : [],
  });
  const textOf = (state: TargetState): string => Buffer.from(canonicalBytes(state)).toString();
  const send = (report: Record<string, unknown>, more: Partial<ReportMessage> = {}): void => {
    const full = { v: 1, executor: id, at: formatTime(nowMs()), ...report } as unknown as Report;
    const message: ReportMessage = { v: 1, report: signDsse(REPORT_TYPE, full, signer), objects: [], ciphertext: null, order: null, ...more };
    // What is refused stays with a real executor, which sends it again; none of these tests is about that.
    receive(id, message).catch(() => undefined);
  };

  const act = (envelope: StepEnvelope): void => {
    const ticket = readPayload(envelope.ticket, ticketSchema);
    const common = { log: ticket.log, changeId: ticket.changeId, stepId: ticket.stepId, issue: ticket.issue };
    if (ticket.kind === 'read') {
      const text = textOf(stateOf(ticket.query, false));
      send({ kind: 'read', ...common, outcome: 'done', code: null, detail: null, state: digestOf(Buffer.from(text)) }, { objects: [text] });
      return;
    }
    send({ kind: 'claimed', ...common });
    const [before, after] = [textOf(stateOf(ticket.step, false)), textOf(stateOf(ticket.step, true))];
    const ciphertext = makesSecret(ticket.step.action) ? Buffer.from(`sealed for ${ticket.changeId}`) : null;
    const seal = ciphertext === null ? null
      : { recipient: envelope.plan!.recipient!, ciphertext: digestOf(ciphertext), fingerprint: 'f'.repeat(64), replaces: null };
    send({
      kind: 'acted', ...common, attempt: 1, outcome: 'done', code: null, detail: null, before: digestOf(Buffer.from(before)), after: digestOf(Buffer.from(after)),
      byUse: seal === null ? 'notTried' : 'works', seal,
    }, { objects: [before, after], ciphertext: ciphertext?.toString('base64') ?? null });
  };

  const executor: ScriptedExecutor = {
    steps, orders, armed, acting: true,
    async arm(_audience, order) {
      armed.push(order);
    },
    async publishStep(_audience, envelope) {
      steps.push(envelope);
      if (executor.acting) queueMicrotask(() => act(envelope));
      return { accepted: true };
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
    onConnected: () => undefined,
    isConnected: () => executor.acting,
    close: () => Promise.resolve(),
  };
  return executor;
}
