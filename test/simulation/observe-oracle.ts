/**
 * The oracle's part about what is under observe:
 *
 * 21. policy's word is set aside by a scope that the facts had then and that is not over, and by nothing else; what is given so is a lease that is over
 *     with it, and no executor's floor is let off; and no verifier says that everything was approved.
 */
import type { RecordDraft } from '../../ledger/index.ts';
import { covers } from '../../src/facts/observe.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import type { LedgerView } from './ledger-view.ts';
import type { World } from './world.ts';

type Observed = NonNullable<Decision['observed']>;

export interface ObserveOracle {
  /** A record, as it is sequenced. */
  appended(record: Pick<RecordDraft, 'type' | 'body' | 'change' | 'at'> & { readonly seq: number }): void;
  /** Access was given, or a later end, by a decision that was not enforced. @param authorisedAtMs by the sidecar's clock @param lacksFloor whether fewer have approved than the executor's floor asks */
  given(token: string, observed: Observed, authorisedAtMs: number, endsAtMs: number | null, lacksFloor: boolean): void;
  /** How many changes have had a step authorised that was not enforced, by the records. */
  changes(): number;
  readonly seen: Record<string, number>;
}

/** A question that was composed just before may be on record a moment later. */
const UNDER_WAY_MS = 10_000;

export function createObserveOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): ObserveOracle {
  const seen: Record<string, number> = {};
  const count = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  return {
    seen,
    appended({ type, body, change, at, seq }) {
      if (type !== 'policy.decided') return;
      const { observed, effect, obligations } = body['decision'] as Decision;
      if (observed === undefined) return;
      const nowMs = world.scheduler.nowMs();
      if (effect !== 'allow' || obligations.approvers !== null) broken(21, `record ${seq} says that nothing is enforced, and asks for something`);
      if (Date.parse(at) >= Date.parse(observed.until)) broken(21, `record ${seq} is of ${at}, and the scope was over at ${observed.until}`);
      const scope = world.observedSince(nowMs - UNDER_WAY_MS).find(({ id, owner, until }) => id === observed.scope && owner === observed.owner && Date.parse(until) === Date.parse(observed.until));
      if (scope === undefined) return broken(21, `record ${seq} names scope ${observed.scope} until ${observed.until}, and there was none like it`);
      const state = world.engine()?.get(change ?? '');
      const system = state?.request.kind === 'extend' || state === undefined ? null : (('entitlements' in state.request ? state.request.entitlements[0]?.connector : undefined) ?? null);
      if (state === undefined || system === null) return;
      const { subject } = state.request;
      if (!covers(scope, { subject, environment: world.facts.inventory.get(subject)!.environment, connectors: [system] })) broken(21, `record ${seq} names scope ${scope.id}, which is not about ${subject} at ${system}`);
    },
    given(token, observed, authorisedAtMs, endsAtMs, lacksFloor) {
      count('given under observe');
      const untilMs = Date.parse(observed.until);
      if (endsAtMs === null) broken(21, `${token}: access that stands was given under observe`);
      else if (endsAtMs > untilMs) broken(21, `${token}: given under observe until ${observed.until}, and it ends later`);
      if (authorisedAtMs >= untilMs) broken(21, `${token}: given under observe, which was over at ${observed.until}`);
      if (lacksFloor) broken(21, `${token}: given under observe below the floor of its executor`);
    },
    changes() {
      const latest = new Map<string, Observed | undefined>();
      const authorised = new Set<string>();
      for (const { type, change, body } of view.records()) {
        if (change === null) continue;
        if (type === 'policy.decided') latest.set(change, (body['decision'] as Decision).observed);
        if (type === 'step.authorised' && body['kind'] === 'act' && latest.get(change) !== undefined) authorised.add(change);
      }
      return authorised.size;
    },
  };
}
