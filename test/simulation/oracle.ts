/**
 * The oracle: the invariants of the design, checked against the world itself: what the targets really hold, and what the disks would
 * really keep. It asks no process how it is doing, except to compare its memory with the ledger.
 */
import { canonicalText, digestOf, MerkleTree, leafHash, parseStrict, readCheckpoint, type LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../../src/change/events.ts';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { isSatisfied, strictest, type Decision, type Requirement } from '../../src/protocol/decision.ts';
import { openApproval } from '../../src/protocol/approval-proof.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { planSchema, type Plan, type PlanStep } from '../../src/protocol/plan.ts';
import { approvalStatementSchema, reportSchema, revokeOrderSchema, type Approval, type Dsse } from '../../src/protocol/signed.ts';
import { comparable } from './comparable.ts';
import { isEarly } from './early.ts';
import { createEscalationOracle, type EscalationOracle } from './escalation-oracle.ts';
import { createGlassOracle, type GlassOracle } from './glass-oracle.ts';
import { createKeysOracle, type KeysOracle } from './keys-oracle.ts';
import { createLedgerView, type LedgerView } from './ledger-view.ts';
import { createObserveOracle, type ObserveOracle } from './observe-oracle.ts';
import { createPolicyOracle, type PolicyOracle } from './policy-oracle.ts';
import type { Access } from './sim-target.ts';
import { approvedIn, createStandingOracle, type StandingOracle } from './standing-oracle.ts';
import { EXECUTORS } from './fixtures.ts';
import { createWorkflowOracle, type WorkflowOracle } from './workflow-oracle.ts';
import { APPLY_TIMEOUT_MS, type Watchers, type World } from './world.ts';

export interface Violation {
  /** 1 to 9: the invariant of the design; from 10 on see `workflow-oracle.ts`, 14 `reconcile-actors.ts`, 15 `escalation-oracle.ts`, 16, no access without a quorum of witnesses, `world.ts`, 17 `erasure-actors.ts`, 18 `race-judge.ts`, 19 and 20 `policy-oracle.ts`, 21 `observe-oracle.ts`, 22 `standing-oracle.ts`, 23 `glass-oracle.ts`, 24 `keys-oracle.ts`. 0: liveness, or a program that fell over. */
  readonly invariant: number;
  readonly atMs: number;
  readonly message: string;
}

export interface Oracle {
  readonly violations: readonly Violation[];
  readonly watchers: Watchers;
  readonly view: LedgerView;
  /** Must be called once the world is there. */
  watch(world: World): void;
  /** After every event. */
  check(): Promise<void> | void;
  /** At the end of the run. */
  finish(): Promise<void>;
  /** What the recipient found when it opened a sealed secret that the sidecar handed out. */
  opened(changeId: string, secret: string | null): void;
  /** A person who may revoke asked for it, and got this. */
  revokeRefused(changeId: string, message: string): void;
  /** The sidecar said that an executor has the order to revoke now, though the ledger cannot be written. */
  revokeSent(changeId: string): void;
  /** From now on parts of it may be gone from memory or not yet: it is not compared any more. */
  erasing(changeId: string): void;
  broken(invariant: number, message: string): void;
  readonly workflow: WorkflowOracle;
  readonly observing: ObserveOracle;
  readonly standing: StandingOracle;
  readonly glass: GlassOracle;
  readonly signing: KeysOracle;
}

/** How long after an end, with executor and target well, access may still be there: clocks off, retries that had backed off, deadlines. */
const END_BOUND_MS = 12_000;
/** Why an executor may turn down what an honest sidecar sent. */
const HONEST_REFUSALS: ReadonlySet<string> = new Set(['outside-window', 'drifted', 'lease-ended', 'below-floor', 'not-yet', 'locked']);
/** And what the orders and approvals of a sidecar look like whose clock is wrong. */
const WRONG_TIME_REFUSALS: ReadonlySet<string> = new Set(['order-mismatch', 'approvals-insufficient']);
/** Memory is compared with the ledger once in so many events. */
const COMPARE_EVERY = 64;

interface Leased {
  readonly access: Access;
  readonly connector: string;
  readonly audience: string;
  readonly endsAtMs: number;
}

export function createOracle(): Oracle {
  const violations: Violation[] = [];
  const leased: Leased[] = [];
  const secrets: string[] = [];
  const ciphertexts: { readonly secret: string; readonly digest: string; readonly bytes: Buffer }[] = [];
  const endedTokens = new Map<string, string>();
  const seenEnded = new Set<string>();
  /** Later ends that extensions have had at a target, by client token. */
  const extendedTo = new Map<string, number>();
  /** Those that a target has said are there, though nothing of them may have reached it. */
  const seen = new Map<string, readonly { readonly stepId: string; readonly endsAtMs: number }[]>();
  const mustEnd = new Map<string, number>();
  let world: World;
  let view: LedgerView;
  let workflow: WorkflowOracle;
  let escalations: EscalationOracle;
  let policies: PolicyOracle;
  let observing: ObserveOracle;
  let standing: StandingOracle;
  let glass: GlassOracle;
  let signing: KeysOracle;
  let checks = 0;
  let comparedIncarnation = -1;
  /** States that were found equal to the ledger's: they don't change, so once is enough. */
  const compared = new Map<string, ChangeState>();
  const erasing = new Set<string>();

  const broken = (invariant: number, message: string): void => {
    const atMs = world.scheduler.nowMs();
    world.scheduler.trace(`VIOLATION of ${invariant}: ${message}`);
    if (violations.length < 20) violations.push({ invariant, atMs, message });
  };
  const bodyOf = <T extends keyof typeof changeEventBodies>(record: LedgerRecord, type: T): (typeof changeEventBodies)[T]['_output'] | null =>
    record.type === type ? (changeEventBodies[type].parse(record.body)) : null;
  const changeOf = (token: string): string => `chg_${logId()}_${token.slice(3).toUpperCase()}`;
  const logId = (): string => [...world.trust.sidecars.keys()][0]!;

  const authorisedIn = (records: readonly LedgerRecord[], stepId: string): LedgerRecord | undefined => records.findLast((record) => {
    const body = bodyOf(record, 'step.authorised');
    return body?.kind === 'act' && body.stepId === stepId;
  });
  /** A step that gives nothing was done: it is in the ledger before, and in its turn and time. */
  const done = (connector: string, step: PlanStep, sentAtMs: number): void => {
    const records = view.recordsOf(changeOf(step.clientToken));
    const authorised = authorisedIn(records, step.stepId);
    if (authorised === undefined) {
      broken(1, `${connector} did a ${step.action} to ${step.account} under ${step.stepId}, and no durable record authorises it`);
      return;
    }
    const body = bodyOf(authorised, 'step.authorised')!;
    const plan = body.kind === 'act' ? planOf(body.planDigest, records) : null;
    if (plan === null || !plan.steps.some((one) => canonicalText(one) === canonicalText(step))) broken(2, `${connector} was made to ${step.action} ${step.account}, and its plan does not say so`);
    else workflow.effected(plan, step, authorised, sentAtMs);
  };

  /** Invariants 1, 2, 3, 6, 7 and 9 at the moment in which access appears. */
  const given = (connector: string, access: Access): void => {
    const records = view.recordsOf(changeOf(access.token));
    const audience = EXECUTORS.find((one) => one.connector === connector)!.audience;
    if (world.rogueTokens.has(access.token)) {
      broken(9, `${connector} gave ${access.account} access by a sidecar key alone: nobody approved it`);
      return;
    }
    const authorised = authorisedIn(records, access.stepId);
    if (authorised === undefined) {
      broken(1, `${connector} gave ${access.account} access under ${access.stepId}, and no durable record authorises it`);
      return;
    }
    const body = bodyOf(authorised, 'step.authorised')!;
    if (body.kind !== 'act') return;
    const before = records.filter((record) => record.seq < authorised.seq);
    const plan = planOf(body.planDigest, before);
    if (plan === null) broken(2, `the plan ${body.planDigest} is not in the ledger`);
    else {
      judgeEffect(plan, access, connector);
      const step = plan.steps.find(({ stepId }) => stepId === access.stepId);
      if (step !== undefined) workflow.effected(plan, step, authorised, access.sentAtMs);
      judgeApprovals(plan, body.planDigest, body.revision, before, authorised);
    }
    leased.push({ access, connector, audience, endsAtMs: body.lease === null ? Infinity : Date.parse(body.lease.endsAt) });
    if (body.lease !== null) {
      if (!records.some((record) => record.type === 'lease.armed')) broken(3, `${access.token} gave access before its revoke was recorded as armed`);
      if (!isOnDisk(audience, Buffer.from(body.lease.order.payload))) broken(3, `${access.token} gave access before ${audience} had the revoke order in its lease book`);
    }
    const live = world.targets.get(connector)!.live(access.token);
    if (live.length > 1) broken(6, `${access.stepId} has ${live.length} live effects`);
    if (access.secret !== null) {
      const sealed = ciphertexts.find(({ secret }) => secret === access.secret);
      if (sealed === undefined) broken(7, `the secret of ${access.account} was not sealed before it was applied`);
      else if (!isOnDisk(audience, Buffer.from(sealed.bytes.toString('base64'))) && !isOnDisk(audience, sealed.bytes)) {
        broken(7, `the sealed secret of ${access.account} was not durable before it was applied`);
      }
    }
  };

  /** The same of a later end: whoever asks for it has a change of its own, and the access has another. */
  const extended = (connector: string, access: Access, step: PlanStep, sentAtMs: number): void => {
    const audience = EXECUTORS.find((one) => one.connector === connector)!.audience;
    const changeId = `chg_${step.stepId.slice('stp_'.length, 'stp_'.length + 43)}`;
    const records = view.recordsOf(changeId);
    const authorised = authorisedIn(records, step.stepId);
    const body = authorised === undefined ? null : bodyOf(authorised, 'step.authorised');
    if (authorised === undefined || body?.kind !== 'act' || body.lease === null) {
      broken(1, `${connector} gave ${access.account} a later end under ${step.stepId}, and no durable record authorises it`);
      return;
    }
    const before = records.filter((record) => record.seq < authorised.seq);
    const plan = planOf(body.planDigest, before);
    if (plan === null || !plan.steps.some((one) => canonicalText(one) === canonicalText(step))) broken(2, `${connector} was made to extend ${access.account}, and its plan does not say so`);
    else {
      judgeApprovals(plan, body.planDigest, body.revision, before, authorised);
      workflow.effected(plan, step, authorised, sentAtMs);
    }
    if (!records.some((record) => record.type === 'lease.armed')) broken(3, `${access.token} was extended before its later revoke was recorded as armed`);
    if (!isOnDisk(audience, Buffer.from(body.lease.order.payload))) broken(3, `${access.token} was extended before ${audience} had the later order in its lease book`);
    laterEnd(access, Date.parse(body.lease.endsAt));
  };
  const laterEnd = (access: Access, endsAtMs: number): void => void extendedTo.set(access.token, Math.max(extendedTo.get(access.token) ?? 0, endsAtMs));
  /** Where a target ends nothing itself, an extension whose request was lost on its way is there all the same, once its executor has that in its book. */
  const seenExtended = (access: Access, { stepId }: Pick<PlanStep, 'stepId'>): void => {
    const authorised = authorisedIn(view.recordsOf(`chg_${stepId.slice('stp_'.length, 'stp_'.length + 43)}`), stepId);
    const body = authorised === undefined ? null : bodyOf(authorised, 'step.authorised');
    if (body?.kind === 'act' && body.lease !== null) seen.set(access.token, [...(seen.get(access.token) ?? []), { stepId, endsAtMs: Date.parse(body.lease.endsAt) }]);
  };
  const isBooked = (audience: string, stepId: string): boolean => isOnDisk(audience, Buffer.from(`{"t":"applied","stepId":"${stepId}"`));
  /** An order acts no more only once the ledger says by what it was superseded. */
  const disarmed = (order: Dsse): void => {
    const { changeId, epoch } = readPayload(order, revokeOrderSchema);
    const superseded = view.recordsOf(changeId).some((record) => (bodyOf(record, 'lease.extended')?.epoch ?? 0) > epoch);
    if (!superseded) broken(3, `the order of epoch ${epoch} of ${changeId} was disarmed, and the ledger has no extension that supersedes it`);
  };

  const planOf = (digest: string, records: readonly LedgerRecord[]): Plan | null => {
    if (!records.some((record) => record.objects.includes(digest))) return null;
    const bytes = view.object(digest);
    if (bytes === undefined || digestOf(bytes) !== digest) return null;
    return planSchema.parse(parseStrict(bytes));
  };
  const judgeEffect = (plan: Plan, access: Access, connector: string): void => {
    const step = plan.steps.find(({ stepId }) => stepId === access.stepId);
    if (step === undefined) {
      broken(2, `${connector} gave ${access.account} access under ${access.stepId}, which is no step of its plan`);
      return;
    }
    const same = step.action === access.kind && step.connector === connector && step.target === access.target
      && step.account === access.account && step.clientToken === access.token && canonicalText(step.privileges) === canonicalText(access.privileges);
    if (!same) broken(2, `${connector} was made to give ${access.privileges.join(', ')} to ${access.account}; approved was ${step.privileges.join(', ')} for ${step.account}`);
  };
  const judgeApprovals = (plan: Plan, digest: string, revision: number, before: readonly LedgerRecord[], authorised: LedgerRecord): void => {
    let current = 1;
    let requirement: Requirement = { approvers: null, proofClass: 'session' };
    let dispatched: string | null = null;
    let observed: Decision['observed'];
    /** Who approves, by what. */
    let approved = new Map<string, Approval>();
    /** Who approves by which standing approval. */
    let standingBy = new Map<string, string>();
    let isStandingAllowed = false;
    /** Who has said so by which approval, and by when it is over, whatever counts in the end. */
    let said = new Map<string, { readonly who: string; readonly untilMs: number }>();
    for (const record of before) {
      const revised = bodyOf(record, 'change.revised');
      if (revised !== null) {
        current = revised.revision;
        approved = new Map();
        standingBy = new Map();
        said = new Map();
        dispatched = null;
      }
      const decided = bodyOf(record, 'policy.decided');
      if (decided !== null) {
        const { approvers, proofClass } = decided.decision.obligations;
        observed = decided.decision.observed;
        isStandingAllowed = decided.decision.obligations.standingApproval !== undefined;
        // What policy would ask for counts once the scope is over.
        requirement = strictest(requirement, { approvers: observed === undefined ? approvers : observed.approvers, proofClass });
        dispatched = decided.phase === 'dispatch' && decided.planDigest === digest ? decided.decision.effect : null;
        for (const id of decided.uncounted ?? []) {
          for (const [who, { approvalId }] of approved) if (approvalId === id) approved.delete(who);
          for (const [who, approvalId] of standingBy) if (approvalId === id) standingBy.delete(who);
          said.delete(id);
        }
      }
      const rejection = bodyOf(record, 'approval.rejected');
      if (rejection !== null) {
        const { approver } = readPayload(rejection.approval.envelope, approvalStatementSchema);
        for (const people of [approved, standingBy]) people.delete(approver);
        for (const [id, { who }] of said) if (who === approver) said.delete(id);
      }
      const approval = bodyOf(record, 'approval.recorded');
      if (approval === null) continue;
      const { approvalId, use } = approval.approval;
      const { approver, expiresAt } = approvedIn(approval.approval);
      const proofs = { sidecarKeys: [...world.trust.sidecars.get(logId())!], signers: world.trust.signers, passkeys: world.trust.passkeys, atMs: Date.parse(record.at) };
      const statement = use === undefined ? openApproval(approval.approval, proofs) : null;
      const isOfPlan = statement === null || (statement.changeId === plan.changeId && statement.revision === revision && statement.planDigest === digest && statement.verdict === 'approve');
      const counts = isOfPlan && Date.parse(expiresAt) > Date.parse(authorised.at) && !plan.requester.includes(approver);
      if (isEarly(requirement.approvers, approver, new Set([...said.values()].filter(({ untilMs }) => untilMs > Date.parse(record.at)).map(({ who }) => who)))) broken(1, `${plan.changeId}: ${approver} approved before those who are asked first`);
      said.set(approvalId, { who: approver, untilMs: Date.parse(expiresAt) });
      if (!counts) continue;
      if (use === undefined) approved.set(approver, approval.approval);
      else standingBy.set(approver, approvalId);
    }
    const token = plan.steps[0]!.clientToken;
    const began = [...before, authorised].find((record) => bodyOf(record, 'step.authorised')?.kind === 'act')!;
    // Nobody has approved by a key that had ended; what has begun goes on under its approvals.
    const { stepId } = bodyOf(authorised, 'step.authorised') as { readonly stepId: string };
    const asOfMs = Date.parse((stepId === plan.steps[0]!.stepId ? authorised : began).at);
    for (const [who, { proofClass, envelope }] of approved) if (proofClass !== 'session' && asOfMs >= world.signing.endOf(envelope)) approved.delete(who);
    if (current !== revision || plan.revision !== revision) broken(2, `${token}: revision ${revision} was carried out while ${current} was in force`);
    if (dispatched === null) broken(2, `${token}: policy was not asked again before dispatch`);
    if (dispatched === 'deny') broken(2, `${token}: carried out though policy denied it at dispatch`);
    // Where policy lets none count, nobody has approved by one.
    const needed = [...standingBy].filter(([who]) => isStandingAllowed && !approved.has(who));
    const alone = new Set(approved.keys());
    const all = new Set([...alone, ...needed.map(([who]) => who)]);
    const under = bodyOf(authorised, 'step.authorised') as { readonly breakGlass?: string };
    if (under.breakGlass !== undefined && observed === undefined) return glass.given(token, under.breakGlass, plan, digest, authorised);
    if (requirement.approvers !== null && observed === undefined && !isSatisfied(requirement.approvers, all)) broken(1, `${token}: carried out with approvals by ${[...all].join(', ') || 'nobody'}`);
    const floors = plan.steps[0]!.privileges.map((one) => world.trust.requirements.floors.find(({ connector, privilege }) => connector === plan.connector && privilege === one) ?? { quorum: 1, standing: false });
    const quorum = Math.max(...floors.map((floor) => floor.quorum));
    const isCounted = floors.every((floor) => floor.standing === true);
    const lacksFloor = (isCounted ? all : alone).size < quorum;
    if (observed === undefined && requirement.approvers !== null && !isSatisfied(requirement.approvers, alone)) for (const [, approvalId] of needed) standing.given(token, approvalId, plan, began.seq);
    if (observed === undefined && lacksFloor && all.size >= quorum) return standing.givenUncounted(token);
    const { lease } = bodyOf(authorised, 'step.authorised') as { readonly lease: { readonly endsAt: string } | null };
    if (observed !== undefined) observing.given(token, observed, Date.parse(authorised.at), lease === null ? null : Date.parse(lease.endsAt), lacksFloor);
    else if (lacksFloor) broken(9, `${token}: carried out below the floor`);
  };

  const isOnDisk = (node: string, needle: Buffer): boolean => {
    for (const bytes of world.executors.get(node)!.disk.image('synced').values()) if (bytes.includes(needle)) return true;
    return false;
  };

  /** Invariant 4, as records are made. */
  const appended: Watchers['appended'] = (record) => {
    policies.appended(record);
    observing.appended(record);
    standing.appended(record);
    if (record.type === 'step.refused') {
      const { code } = readPayload(bodyOf(record as LedgerRecord, 'step.refused')!.report, reportSchema) as { code?: string | null };
      // This sidecar makes no such envelopes: a thief did, and the change must not die of it.
      // A thief may put a receipt beside it that no quorum was needed for: it is tried again.
      if (code === 'untrusted-checkpoint' && world.witnessed) return;
      if (!HONEST_REFUSALS.has(code ?? '') && !((world.wildClock || world.isSetBack) && WRONG_TIME_REFUSALS.has(code ?? ''))) broken(0, `record ${record.seq}: a step was refused for ${code ?? 'no reason'}, which is none of its sidecar's doing`);
    }
    // What was answered just before may be recorded a moment later.
    if (record.type !== 'policy.decided' || !world.policyFaulty || world.scheduler.nowMs() < world.policyFaultySinceMs + 3_000) return;
    if ((record.body['decision'] as { effect: string }).effect !== 'deny') broken(4, `record ${record.seq} decides in favour while the policy engine gives no answer`);
  };

  const checkEnds = (): void => {
    const nowMs = world.scheduler.nowMs();
    for (let at = leased.length - 1; at >= 0; at -= 1) {
      const { access, connector, audience, endsAtMs } = leased[at]!;
      if (access.endedAtMs !== null) {
        leased.splice(at, 1);
        continue;
      }
      const said = endedTokens.get(access.token);
      if (said !== undefined) {
        broken(3, `${said}, and ${access.account} still has access by ${access.token}`);
        leased.splice(at, 1);
        continue;
      }
      for (const extension of seen.get(access.token) ?? []) if (nowMs > endsAtMs && isBooked(audience, extension.stepId)) laterEnd(access, extension.endsAtMs);
      const endsMs = Math.min(Math.max(endsAtMs, extendedTo.get(access.token) ?? 0), mustEnd.get(access.token) ?? Infinity);
      const since = Math.max(endsMs, world.executors.get(audience)!.impededMs);
      if (nowMs > since + END_BOUND_MS + APPLY_TIMEOUT_MS) {
        broken(3, `${access.account} at ${connector} has access by ${access.token}, ${nowMs - endsMs} ms after its end`);
        leased.splice(at, 1);
      }
    }
  };
  /** What the sidecar's memory says that is news: an end of access must be true when it is first said. */
  const checkSaid = (): void => {
    const engine = world.engine();
    if (engine === null) return;
    for (const state of engine.all()) {
      if (state.ended === null || seenEnded.has(state.changeId) || state.plan === null) continue;
      seenEnded.add(state.changeId);
      endedTokens.set(clientTokenOf(state.changeId), `lease.ended is recorded for ${state.changeId}`);
    }
  };

  /** Invariant 5: memory against the fold of what is certain. */
  const compare = async (): Promise<void> => {
    const engine = world.engine();
    const log = world.log();
    if (engine === null || log === null) return;
    standing.compare();
    const folded = await view.fold();
    const size = view.records().length;
    for (const state of engine.all()) {
      const known = folded.get(state.changeId);
      if (state.lastSeq >= size || erasing.has(state.changeId)) continue;
      if (known === undefined || known.lastSeq > state.lastSeq) {
        // A record may be synced and its sync not yet answered: memory can't be behind, since it is folded when sequenced.
        broken(5, `the sidecar has ${state.changeId} at record ${state.lastSeq}, the ledger at ${known?.lastSeq ?? 'none'}`);
      } else if (known.lastSeq === state.lastSeq && compared.get(state.changeId) !== state) {
        compared.set(state.changeId, state);
        if (comparable(known) !== comparable(state)) broken(5, `the sidecar has ${state.changeId} as ${state.name}, the ledger as ${known.name}, both at record ${state.lastSeq}`);
      }
    }
    for (const [changeId, known] of folded) if (engine.get(changeId) === undefined) broken(5, `the sidecar does not know ${changeId}, which is ${known.name} in the ledger`);
  };

  return {
    violations,
    get view() {
      return view;
    },
    get observing() {
      return observing;
    },
    get glass() {
      return glass;
    },
    get signing() {
      return signing;
    },
    get standing() {
      return standing;
    },
    get workflow() {
      return workflow;
    },
    watchers: {
      appended,
      given,
      extended, seenExtended,
      disarmed,
      done,
      sealed(secret, ciphertext) {
        secrets.push(secret);
        ciphertexts.push({ secret, digest: digestOf(ciphertext), bytes: Buffer.from(ciphertext) });
      },
      bytes(where, bytes) {
        if (secrets.length === 0) return;
        const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        for (const secret of secrets) {
          const raw = Buffer.from(secret);
          const hit = buffer.includes(raw) || buffer.includes(Buffer.from(raw.toString('base64').slice(0, 40))) || buffer.includes(raw.toString('hex'));
          if (hit) broken(7, `a secret is written to ${where}`);
        }
      },
      turnedAway: (audience, approvalIds) => standing.turnedAway(audience, approvalIds),
      thereAnew: (audience) => standing.thereAnew(audience),
      broken: (invariant, message) => broken(invariant, message),
    },
    watch(of) {
      world = of;
      view = createLedgerView(world.sidecar.disk, 'journal');
      workflow = createWorkflowOracle(world, view, broken);
      escalations = createEscalationOracle(world, view, broken);
      policies = createPolicyOracle(world, broken);
      observing = createObserveOracle(world, view, broken);
      standing = createStandingOracle(world, view, broken);
      glass = createGlassOracle(world, view, broken);
      signing = createKeysOracle(world, view, broken);
    },
    check() {
      checkSaid();
      checkEnds();
      workflow.check();
      escalations.check();
      policies.check();
      standing.check();
      glass.check();
      signing.check();
      checks += 1;
      const incarnation = world.engine() === null ? -1 : world.sidecar.process!.incarnation;
      if (incarnation === -1 || (incarnation === comparedIncarnation && checks % COMPARE_EVERY !== 0)) return;
      comparedIncarnation = incarnation;
      return compare();
    },
    async finish() {
      await compare();
      judgeRest();
      workflow.finish();
      judgeHeads();
    },
    opened(changeId, secret) {
      const state = world.engine()?.get(changeId);
      if (state === undefined || !['staged', 'active', 'done'].includes(state.name)) return;
      if (secret === null) return broken(7, `what was delivered for ${changeId} does not open`);
      const { connector, clientToken } = state.plan!.steps[0]!;
      const target = world.targets.get(connector)!;
      // An access that is over, by its own end or by someone else's hand, is no fault of the delivery.
      if (target.live(clientToken).length > 0 && !target.opens(secret)) broken(7, `the secret delivered for ${changeId} opens nothing`);
    },
    revokeRefused: (changeId, message) => broken(4, `a revoke of ${changeId} by somebody who may was not taken: ${message}`),
    revokeSent(changeId) {
      mustEnd.set(clientTokenOf(changeId), world.scheduler.nowMs());
      workflow.revokeSent(changeId);
    },
    erasing: (changeId) => void erasing.add(changeId),
    broken: (invariant, message) => broken(invariant, message),
  };

  /** What is over gives no access, and what stands does. */
  function judgeRest(): void {
    for (const state of world.engine()?.all() ?? []) {
      const step = state.plan?.steps[0];
      // Who gets in after a rotation, and who not after an offboarding, is judged for itself.
      if (step === undefined || !['provision', 'grant'].includes(step.action)) continue;
      const live = world.targets.get(step.connector)!.live(step.clientToken).length;
      if (state.name === 'done' && live === 0 && !world.foreignHands) broken(6, `${state.changeId} is done and gives nothing`);
      if (state.name !== 'done' && live > 0) broken(3, `${state.changeId} is ${state.name} and ${step.account} still has access by ${step.clientToken}`);
    }
  }

  /** No fork: every checkpoint that ever left the sidecar is a head of the one log there is. */
  function judgeHeads(): void {
    const tree = new MerkleTree();
    for (const entry of view.entryBytes()) tree.append(leafHash(entry));
    for (const { envelope } of world.network.seen) {
      const head = readCheckpoint(envelope.receipt.checkpoint);
      if (head.size > tree.size || !Buffer.from(tree.root(head.size)).equals(Buffer.from(head.root))) {
        broken(8, `the checkpoint of size ${head.size} that was sent to an executor is not a head of the log, which has ${tree.size}`);
        return;
      }
    }
  }
}
