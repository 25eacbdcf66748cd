/** The real worker at a real target: its own clock, a lease book on disk, and short deadlines. Its sidecar writes down what it hears. */
import { mkdtempSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk } from '../../ledger/index.ts';
import { clientTokenOf, deriveRevokeOrder, deriveSteps } from '../../src/change/derive.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type { WorkerLimits } from '../../src/executor/context.ts';
import { systemClock } from '../../src/executor/system-clock.ts';
import { openWorker, type Worker } from '../../src/executor/worker.ts';
import { openDsse } from '../../src/protocol/dsse.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import { REPORT_TYPE, reportSchema, type ActedReport, type Query, type Report, type RevokedReport } from '../../src/protocol/signed.ts';
import { freshChangeId, makeStep, someLog, type Made } from './envelopes.ts';
import { deliver } from './rotation.ts';
import { EXECUTOR, keys, sign, storyTrust } from './story.ts';
import { unsealed } from './worker-bench.ts';

export const LIVE_LIMITS = {
  applyTimeoutMs: 3_000, settleMs: 2_000, askTimeoutMs: 5_000, revokeTimeoutMs: 5_000, retryMs: { first: 50, longest: 500 }, revokeRetryMs: { first: 50, longest: 500 }, reportRetryMs: { first: 50, longest: 500 },
} as const satisfies Partial<WorkerLimits>;

export interface LiveWorker {
  readonly worker: Worker;
  /** An approved step that gives at this account, derived from what is read there now; for `stage` the first of a rotation. */
  plan(action: 'provision' | 'grant' | 'stage', account: string, privileges: readonly string[]): Promise<Made>;
  /** Delivers it and waits for its last word. */
  carryOut(made: Made): Promise<ActedReport>;
  /** The secret in the report of a step: what its recipient gets. */
  secretOf(report: ActedReport): string;
  /** Orders it back by hand and waits until it is said to be gone. */
  takeBack(made: Made): Promise<RevokedReport>;
  /** Everything that was reported of the step, in order. */
  outcomes(made: Made): string[];
  close(): Promise<void>;
}

export async function openLiveWorker(id: string, target: string, connector: Connector): Promise<LiveWorker> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-live-'));
  const heard: { readonly report: Report; readonly message: ReportMessage }[] = [];
  const trust = storyTrust({ executorConnectors: [id] });
  const log = someLog();
  const waiting = new Set<() => void>();
  const worker = await openWorker({
    executorId: EXECUTOR, signer: keys.executor, trust, connectors: new Map([[id, connector]]), disk: nodeDisk(directory), clock: systemClock, random: (length) => randomBytes(length),
    seal: (secret, recipient) => Promise.resolve(Buffer.from(JSON.stringify({ secret, recipient }))), fingerprintKey: Buffer.alloc(32, 1),
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined }, limits: LIVE_LIMITS,
    send(message) {
      heard.push({ message, report: openDsse(message.report, REPORT_TYPE, reportSchema, [trust.executors.get(EXECUTOR)!.key]) });
      for (const look of waiting) look();
      return Promise.resolve();
    },
  });
  /** Resolves with the first report that is meant. The runner's own timeout is the limit. */
  const reported = <T extends Report>(isMeant: (report: Report) => report is T): Promise<T> => new Promise((resolve) => {
    const look = (): void => {
      const found = heard.map(({ report }) => report).find(isMeant);
      if (found === undefined) return;
      waiting.delete(look);
      resolve(found);
    };
    waiting.add(look);
    look();
  });
  return {
    worker,
    async plan(action, account, privileges) {
      const changeId = freshChangeId(Date.now());
      const query: Query = { connector: id, target, action: action === 'stage' ? 'rotate' : action, account, privileges: [...privileges], clientToken: clientTokenOf(changeId) };
      const { touched } = await connector.read(query, AbortSignal.timeout(30_000));
      const steps: PlanStep[] | null = deriveSteps(changeId, 1, query, touched, false);
      if (steps === null) throw new Error('what was read allows no plan');
      return makeStep({
        action, changeId, log, nowMs: Date.now(), leaseSeconds: 3_600,
        plan: (plan) => ({ ...plan, connector: id, target, steps, before: touched, entitlements: privileges.map((privilege) => ({ connector: id, target, privilege })) }),
      });
    },
    async carryOut(made) {
      await deliver(worker, made);
      return reported((report): report is ActedReport => report.kind === 'acted' && report.stepId === made.ticket.stepId && report.outcome !== 'ambiguous');
    },
    secretOf(report) {
      const found = heard.find((one) => one.report === report)?.message.ciphertext;
      if (found === undefined || found === null) throw new Error('no secret came with the report');
      return unsealed(found).secret;
    },
    async takeBack(made) {
      const order = deriveRevokeOrder(made.plan, EXECUTOR, Date.now(), 'early', 'person:sam')!;
      await worker.revoke(sign.order(order, keys.revoker));
      return reported((report): report is RevokedReport => report.kind === 'revoked' && report.leaseId === order.leaseId && report.outcome !== 'failed' && report.outcome !== 'mismatch');
    },
    outcomes: (made) => heard.flatMap(({ report }) => (report.kind === 'acted' && report.stepId === made.ticket.stepId ? [report.outcome] : [])),
    async close() {
      await worker.close();
      await connector.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
