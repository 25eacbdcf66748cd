/**
 * The oracle's part about policy that is asked again:
 *
 * 19. what policy takes back of the leases that run is asked about once facts are others, and is gone soon after it says so; an engine that gives no
 *     answer takes nothing back; nobody approves who answers for nothing by the facts of that moment;
 * 20. what is on record as policy's answer is the answer of the bundle that the ledger says is in force.
 */
import type { RecordDraft } from '../../ledger/index.ts';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { Facts } from '../../src/facts/load.ts';
import type { ChangeState } from '../../src/change/state.ts';
import type { Decision, Provenance } from '../../src/protocol/decision.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import { markOf } from './sim-policy.ts';
import { approvedIn } from './standing-oracle.ts';
import { APPLY_TIMEOUT_MS, type World } from './world.ts';

export interface PolicyOracle {
  /** A record, as it is sequenced. */
  appended(record: Pick<RecordDraft, 'type' | 'body' | 'change'> & { readonly seq: number }): void;
  /** After every event. */
  check(): void;
}

/** How long after other facts were loaded a sidecar that runs may take to have asked about a lease. */
const ASKED_WITHIN_MS = 12_000;
/** How long after policy said so, with all in between well, access may still be there: retries that had backed off, deadlines. */
const GONE_WITHIN_MS = 12_000 + APPLY_TIMEOUT_MS;
/** What was answered just before may be recorded a moment later. */
const UNDER_WAY_MS = 3_000;
const GIVING: ReadonlySet<string> = new Set(['provision', 'grant', 'rotate', 'extend']);

export function createPolicyOracle(world: World, broken: (invariant: number, message: string) => void): PolicyOracle {
  /** Since when this could have been asked about on these facts; Infinity while it could not. */
  let askableSinceMs = Infinity;
  let incarnation = -1;
  /** Which bundle came into force with which record. */
  const activated: { readonly seq: number; readonly bundle: string | null }[] = [];
  let facts: Facts | null = null;
  /** When a lease was first seen to run, and when its executor could last not be told. */
  const runsSinceMs = new Map<string, number>();
  const reachedSinceMs = new Map<string, number>();
  const takenBack = new Map<string, { readonly state: ChangeState; readonly atMs: number }>();

  const look = (nowMs: number): void => {
    const engine = world.engine();
    const runs = engine === null || engine.troubles().length > 0 ? -1 : world.sidecar.process!.incarnation;
    if (runs === -1) askableSinceMs = Infinity;
    else if (runs !== incarnation || world.factsNow() !== facts) askableSinceMs = nowMs;
    // Ever more slowly it is asked again, until facts are others.
    if (world.policyFaulty) askableSinceMs = Infinity;
    [incarnation, facts] = [runs, world.factsNow()];
    for (const audience of world.executors.keys()) if (runs === -1 || world.network.isTroubled(audience) || world.worker(audience) === null) reachedSinceMs.set(audience, nowMs);
  };

  /** Answers say which bundle gave them, where one did. */
  const judgeBundle = (seq: number, body: Readonly<Record<string, unknown>>): void => {
    const provenance = body['provenance'] as Provenance | undefined;
    if (provenance === undefined) return;
    const answer = (body['decision'] ?? body['verification'] ?? body['redecision'] ?? body['acceptance']) as Pick<Decision, 'controls'> | undefined;
    const mark = markOf(answer?.controls ?? []);
    const inForce = activated.at(-1)?.bundle ?? null;
    if (provenance.bundle !== inForce) broken(20, `record ${seq} names an answer of ${provenance.bundle ?? 'no bundle'}, and in force is ${inForce ?? 'none'}`);
    else if (mark !== null && !provenance.bundle?.startsWith(`sha256:${mark}`)) broken(20, `record ${seq} names ${provenance.bundle ?? 'no bundle'}, and another answered`);
  };

  return {
    appended({ type, body, change, seq }) {
      if (type === 'lease.redecided' && world.policyFaulty && world.scheduler.nowMs() > world.policyFaultySinceMs + UNDER_WAY_MS) {
        const { effect } = body['redecision'] as { readonly effect: string };
        if (effect !== 'keep') broken(19, `record ${seq} says ${effect} of a lease while the policy engine gives no answer`);
      }
      // What was sequenced and was not durable is gone with a crash, and the next record has its number.
      while ((activated.at(-1)?.seq ?? -1) >= seq) activated.pop();
      if (type === 'bundle.activated') activated.push({ seq, bundle: body['bundle'] as string | null });
      judgeBundle(seq, body);
      if (type !== 'approval.recorded') return;
      const state = world.engine()?.get(change ?? '');
      if (state === undefined || !GIVING.has(state.request.kind)) return;
      const { approver } = approvedIn(body['approval'] as Approval);
      const facts = world.factsNow();
      const nhi = facts.inventory.get(state.request.subject);
      if (nhi?.owner !== approver && nhi?.backupOwner !== approver && !facts.directory.teams.some(({ members }) => members.includes(approver))) broken(19, `record ${seq}: ${approver} approves, who answers for nothing by the facts of now`);
    },
    check() {
      const nowMs = world.scheduler.nowMs();
      look(nowMs);
      for (const state of world.engine()?.open() ?? []) {
        const { changeId, lease, redecision } = state;
        if (state.name !== 'active' || lease === null) continue;
        if (!runsSinceMs.has(changeId)) runsSinceMs.set(changeId, nowMs);
        const since = Math.max(askableSinceMs, runsSinceMs.get(changeId)!);
        const isAsked = redecision?.effect === 'revoke' || state.revokes.length > 0;
        // What was given under observe is kept as long as a scope holds.
        const isKept = state.decision?.observed !== undefined && world.observedSince(nowMs).length > 0;
        if (world.redecides && world.strictFacts && !isKept && !isAsked && nowMs > since + ASKED_WITHIN_MS && nowMs + ASKED_WITHIN_MS < lease.endsAtMs) broken(19, `${changeId} runs ${nowMs - since} ms after its purpose was withdrawn, and policy was not asked or would leave it`);
      }
      for (const state of world.engine()?.open() ?? []) {
        const order = state.revokes.find(({ content }) => content.orderedBy.startsWith('sidecar:'));
        if (order !== undefined && state.redecision?.effect === 'revoke' && state.ended === null && !takenBack.has(state.changeId)) takenBack.set(state.changeId, { state, atMs: nowMs });
      }
      for (const [changeId, { state, atMs }] of takenBack) {
        const token = clientTokenOf(changeId);
        const { connector } = state.plan!.steps[0]!;
        if (world.resurrected.has(token) || world.targets.get(connector)?.live(token).length === 0) {
          takenBack.delete(changeId);
          continue;
        }
        const { audience } = state.act!;
        const since = Math.max(atMs, reachedSinceMs.get(audience) ?? 0, world.executors.get(audience)!.impededMs);
        if (nowMs <= since + GONE_WITHIN_MS) continue;
        broken(19, `${changeId} was taken back by policy ${nowMs - since} ms ago, and the access is there`);
        takenBack.delete(changeId);
      }
    },
  };
}
