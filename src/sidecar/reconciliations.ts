/** `/v1/reconciliations`, `/v1/findings`, `/v1/discoveries`: what is at targets, and where it is not as it is recorded. */
import type { Compared, OpenFinding } from '../evidence/reconciled.ts';
import type { Reconciliation } from '../engine/reconcile.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { durationSeconds, formatTime } from '../protocol/values.ts';
import type { Handlers } from './call.ts';
import type { SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import type { Discovery, FindingView, ReconciliationView } from './schemas.ts';
import { maySeeFinding, maySeeTargets } from './visibility.ts';

type ReconciliationOperation = 'reconcile' | 'listReconciliations' | 'listFindings' | 'getDiscovery';

/** What an attempt came to: `null` while it runs. */
type Outcome = { readonly done: Reconciliation } | { readonly failed: string } | null;

export function reconciliationHandlers(context: SidecarContext): Handlers<ReconciliationOperation> {
  const { engine, draining } = context;
  const requireSeesTargets = (by: Authenticated): void => {
    if (!maySeeTargets(by, context.facts())) throw new Problem('not-allowed', 'what is at targets is for operators, auditors, on call and security');
  };
  const findings = (by: Authenticated, connector?: string): FindingView[] =>
    [...engine.reconciled().findings.values()]
      .filter((finding) => (connector === undefined || finding.connector === connector) && maySeeFinding(by, finding, context.facts()))
      .sort((a, b) => a.sinceMs - b.sinceMs)
      .map(findingViewOf);

  /** The outcome, or null when the wait is over or the sidecar stops before there is one. */
  const attempt = async (connector: string, waitMs: number): Promise<Outcome> => {
    const running = engine.reconcile(connector).then((done): Outcome => ({ done }), (error: unknown): Outcome => {
      context.logger.warn({ connector, error: String(error) }, 'a connector could not be reconciled');
      return { failed: error instanceof Error ? error.message : String(error) };
    });
    const limit = AbortSignal.any([AbortSignal.timeout(waitMs), draining]);
    const over = new Promise<null>((resolve) => limit.addEventListener('abort', () => resolve(null), { once: true }));
    return Promise.race([running, over]);
  };

  return {
    async reconcile({ by, query, body }) {
      requireSeesTargets(by);
      const { connector } = body;
      if (connector !== undefined && !context.connectors.includes(connector)) throw new Problem('no-such-connector', 'no connector of this id');
      const waitMs = query.wait === undefined ? 0 : durationSeconds(query.wait) * 1000;
      const reconciliations = await Promise.all((connector === undefined ? context.connectors : [connector]).map(async (one) => {
        const outcome = await attempt(one, waitMs);
        return viewOf(one, engine.reconciled().compared.get(one), outcome);
      }));
      return { status: 200, body: { reconciliations, findings: findings(by, connector) } };
    },
    async listReconciliations({ by }) {
      requireSeesTargets(by);
      const { compared } = engine.reconciled();
      const all = [...new Set([...context.connectors, ...compared.keys()])].sort();
      return { status: 200, body: { reconciliations: all.map((one) => lastOf(one, compared.get(one))), findings: findings(by) } };
    },
    async listFindings({ by, query }) {
      return { status: 200, body: { findings: findings(by).filter(({ nhi }) => query.nhi === undefined || nhi === query.nhi) } };
    },
    async getDiscovery({ by, params }) {
      requireSeesTargets(by);
      const connector = params['connector']!;
      const compared = engine.reconciled().compared.get(connector);
      if (compared === undefined) throw new Problem('no-such-connector', 'no connector of this id has been reconciled');
      const pages = await engine.discovered(connector);
      if (pages === null) throw new Problem('erased', 'what was seen there was erased');
      const { target, discoveryId, complete, atMs } = compared;
      return { status: 200, body: { connector, target, discoveryId, at: formatTime(atMs), complete, entries: pages.flatMap(({ entries }) => entries) } satisfies Discovery };
    },
  };
}

function viewOf(connector: string, compared: Compared | undefined, outcome: Outcome): ReconciliationView {
  const last = lastOf(connector, compared);
  if (outcome === null) return { ...last, state: 'running' };
  if ('failed' in outcome) return { ...last, state: 'failed', reason: outcome.failed.slice(0, 500) };
  return { ...last, state: 'done', found: outcome.done.found.length, cleared: outcome.done.cleared.length };
}

function lastOf(connector: string, compared: Compared | undefined): ReconciliationView {
  if (compared === undefined) return { connector, state: 'never', discoveryId: null, target: null, at: null, complete: null, counts: null, found: 0, cleared: 0, reason: null };
  const { discoveryId, target, atMs, complete, counts, found, cleared } = compared;
  return { connector, state: 'done', discoveryId, target, at: formatTime(atMs), complete, counts, found, cleared, reason: null };
}

function findingViewOf({ findingId, code, connector, target, account, nhi, change, owner, privileges, message, sinceMs, orderedAtMs, proposed }: OpenFinding): FindingView {
  return {
    id: findingId, code, connector, target, account, nhi, changeId: change, owner, privileges: [...privileges], message, since: formatTime(sinceMs),
    orderedAt: orderedAtMs === null ? null : formatTime(orderedAtMs), proposed,
  };
}
