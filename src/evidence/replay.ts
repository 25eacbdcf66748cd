/**
 * REPLAY: every decision in a ledger is what the recorded policy says to the recorded question, and the question is the one that the records
 * lead to. Shown by asking again.
 *
 * Only a bundle that a policy signer of the verifier's own trust folder has signed is run, and where it runs it can be killed: how is for the
 * {@link Replayer}, which comes in from outside. One pass; memory is that of one bundle, two sets of facts and a few questions.
 */
import { canonicalText, JsonError, type LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import type { Facts } from '../facts/facts.ts';
import { isEngineFaultCode } from '../pdp/fault.ts';
import { asEnforced, type Decision, type Provenance } from '../protocol/decision.ts';
import { bundleDigest, bundleSigner, listedDigest, policySignersOf, type BundleListing } from '../protocol/policy-bundle.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';
import { openCountedAgain } from './counted-again.ts';
import { systemRecordBodies, type ReadObject, type SystemRecordBody } from './record.ts';
import { checkAcceptInput, checkDecideInput, checkReconcileInput, checkRedecideInput, checkVerifyInput, factsIn, FalseQuestion, valueOf, type Recount } from './replay-input.ts';
import { openUnreplayed, type Erasable, type Unreplayed } from './unreplayed.ts';
import { upcast } from './upcast.ts';

export type ReplayEntrypoint = 'access/decide' | 'access/verify' | 'access/reconcile' | 'access/redecide' | 'workflow/accept';

/** A bundle as the ledger keeps it. */
export interface ReplayBundle {
  readonly listing: BundleListing;
  readonly wasm: Uint8Array;
  readonly data: Uint8Array;
}

/** `stopped`: it was given up before it said anything, which says nothing of the policy. */
export type ReplayAnswer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly stopped: boolean; readonly message: string };

export interface ReplayedPolicy {
  /** What the policy answers, in the shape that the entrypoint owes. Never rejects, and always resolves in bounded time. */
  ask(entrypoint: ReplayEntrypoint, input: string): Promise<ReplayAnswer>;
  close(): Promise<void>;
}

/** Runs policy where it can be killed. */
export interface Replayer {
  /** null where the bundle is not one that can be run. */
  open(bundle: ReplayBundle): Promise<ReplayedPolicy | null>;
}

export interface ReplayFindings {
  readonly decisions: number;
  /** Asked again, with the same answer. */
  readonly same: number;
  /** Denials of the engine's own, where policy gave no answer: nothing was given by them. */
  readonly engineDenied: number;
  readonly differing: number;
  /** What policy was told of how often was asked before is what the records lead to. */
  readonly counted: boolean;
  readonly kept: readonly { readonly seq: number; readonly changeId: string | null; readonly message: string }[];
  readonly unreplayed: readonly Unreplayed[];
}

export interface Replay {
  /** Takes the next record, in the ledger's order, after {@link followed} was told of its event. Never throws for what a ledger may hold. */
  record(record: LedgerRecord, readObject: ReadObject): Promise<void>;
  /** The event of the record that comes next, the change before it, and where that one’s first record is. */
  followed(event: ChangeEvent, before: ChangeState | null, firstSeq: number | null): void;
  finish(): Promise<ReplayFindings>;
  /** Once resolved, nothing runs any more. Safe to call twice. */
  close(): Promise<void>;
}

const AT_ONCE = 16;
/** Answers that a bundle may fail to give in time before no more is asked of it. */
const STOPS_MAX = 3;
const KEPT_MAX = 100;
/** A question names the facts that it was composed of, and waits for its answer at most eleven seconds; meanwhile others may be loaded. */
const UNDER_WAY_MS = 60_000;
const FACTS_KEPT = 2;
/** Codes of denials that the engine makes of another answer of policy's. */
const ENGINE_DENIALS: ReadonlySet<string> = new Set(['no-account', 'too-many-items', 'lease-not-running', 'glass-void', 'below-floor']);
const ENGINE_RULE = 'engine';

type InForce =
  | { readonly is: 'none' | 'unsigned' | 'notKept' | 'unrunnable' }
  | { readonly is: 'erased'; readonly digest: string }
  | { readonly is: 'policy'; readonly policy: ReplayedPolicy; stops: number };

interface Question {
  readonly record: LedgerRecord;
  readonly entrypoint: ReplayEntrypoint;
  readonly provenance: Provenance;
  readonly check: (value: unknown, facts: Facts) => void;
  /** Null where the answer is what is recorded. */
  readonly compare: (answer: unknown) => string | null;
}

/** @param isWhole all records of the log are given, so that what policy was told of how often was asked is counted once more */
export function openReplay(trust: Trust, replayer: Replayer, isWhole = false): Replay {
  const signers = policySignersOf(trust.requirements);
  const unreplayed = openUnreplayed();
  const counted = isWhole ? openCountedAgain() : null;
  const kept: { seq: number; changeId: string | null; message: string }[] = [];
  let factsInForce: string | null = null;
  /** Those before: by digest, until when. */
  const factsBefore = new Map<string, number>();
  const findings = new Map<string, SystemRecordBody<'reconcile.found'>>();
  /** Changes of which a state or plan was erased: what policy was told of it cannot be composed again. */
  const erasedOf = new Map<string, { readonly digest: string; readonly what: Erasable }>();
  const running = new Set<Promise<void>>();
  let [decisions, same, engineDenied, differing] = [0, 0, 0, 0];
  let activated: string | null = null;
  let inForce: InForce = { is: 'none' };
  /** Those that were read last: around a change of facts, decisions on the old and the new ones come in turn. */
  const facts = new Map<string, Facts>();
  let next: { readonly event: ChangeEvent; readonly before: ChangeState | null; readonly firstSeq: number | null } | null = null;
  let requested: { readonly changeId: string; readonly kind: string } | null = null;

  const differs = ({ seq, change }: LedgerRecord, message: string): void => {
    differing += 1;
    if (kept.length < KEPT_MAX) kept.push({ seq, changeId: change, message });
  };
  const closePolicy = async (): Promise<void> => {
    await Promise.all(running);
    if (inForce.is === 'policy') await inForce.policy.close();
    inForce = { is: 'none' };
  };

  const activate = async (record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    const { bundle, listing, signature } = systemRecordBodies['bundle.activated'].parse(record.body);
    await closePolicy();
    activated = bundle;
    if (bundle === null) return;
    inForce = { is: 'notKept' };
    if (listing === null) return;
    if (bundleDigest(listing) !== bundle) return differs(record, 'the bundle does not have the digest that the record names');
    inForce = { is: 'unsigned' };
    if (bundleSigner(signature, bundle, signers) === null) return;
    const [wasmDigest, dataDigest] = [listedDigest(listing, 'policy.wasm'), listedDigest(listing, 'data.json')];
    inForce = { is: 'notKept' };
    if (wasmDigest === null || dataDigest === null || ![wasmDigest, dataDigest].every((digest) => record.objects.includes(digest))) return;
    const [wasm, data] = [await readObject(wasmDigest), await readObject(dataDigest)];
    if (wasm === null || data === null) return void (inForce = { is: 'erased', digest: wasm === null ? wasmDigest : dataDigest });
    const policy = await replayer.open({ listing, wasm: wasm.slice(), data: data.slice() });
    inForce = policy === null ? { is: 'unrunnable' } : { is: 'policy', policy, stops: 0 };
  };

  const factsOfQuestion = async (digest: string, readObject: ReadObject): Promise<Facts | null> => {
    const known = facts.get(digest);
    if (known !== undefined) return known;
    const bytes = await readObject(digest);
    if (bytes === null) return null;
    const read = factsIn(bytes);
    facts.set(digest, read);
    if (facts.size > FACTS_KEPT) facts.delete(facts.keys().next().value!);
    return read;
  };

  /** Looks at the question at once, while its objects are at hand, and asks it while the records go on. */
  const replay = async ({ record, entrypoint, provenance, check, compare }: Question, readObject: ReadObject): Promise<void> => {
    if (provenance.bundle !== activated) return differs(record, 'it was decided by another bundle than was in force');
    if (inForce.is === 'none') return differs(record, 'policy is said to have decided it, and none was in force');
    if (inForce.is === 'erased') return unreplayed.erased(inForce.digest, 'bundle');
    if (inForce.is !== 'policy') return unreplayed.add(inForce.is);
    const current = inForce;
    if (!record.objects.includes(provenance.input)) return differs(record, 'its input is not among its objects');
    const [factsDigest] = provenance.facts;
    if (factsDigest === undefined || provenance.facts.length !== 1 || (factsDigest !== factsInForce && !factsBefore.has(factsDigest))) return differs(record, 'it was decided on facts that were not loaded');
    const wereInForce = factsDigest === factsInForce || parseTime(record.at) <= factsBefore.get(factsDigest)! + UNDER_WAY_MS;
    if (!wereInForce) return differs(record, 'it was decided on facts that were not in force any more');
    const bytes = await readObject(provenance.input);
    if (bytes === null) return unreplayed.erased(provenance.input, 'input');
    const known = await factsOfQuestion(factsDigest, readObject);
    if (known === null) return unreplayed.erased(factsDigest, 'facts');
    const erased = erasedOf.get(record.change ?? '');
    if (erased !== undefined) return unreplayed.erased(erased.digest, erased.what);
    const value = valueOf(bytes, 'policyInput');
    check(value, known);
    while (running.size >= AT_ONCE) await Promise.race(running);
    if (current.stops >= STOPS_MAX) return unreplayed.add('stopped');
    const asking = current.policy.ask(entrypoint, canonicalText(value)).then((answer) => {
      if (!answer.ok && answer.stopped) {
        current.stops += 1;
        return unreplayed.add('stopped');
      }
      const found = answer.ok ? compare(answer.value) : `policy gives no answer (${answer.message}) where one is recorded`;
      if (found === null) same += 1;
      else differs(record, found);
    }).finally(() => running.delete(asking));
    running.add(asking);
  };

  const recountOf = ({ atMs: recordedAtMs, body: { phase } }: Extract<ChangeEvent, { type: 'policy.decided' }>, change: ChangeState, firstSeq: number | null): Recount => (given, nowMs) => {
    // Nothing of a change that waits for its first decision is recorded while that is made, but what is no news of it.
    const afterMs = phase === 'request' ? change.lastAtMs : change.requestedAtMs;
    return firstSeq === null ? null : (counted?.differing(given, { firstSeq, change, nowMs, recordedAtMs, afterMs }) ?? null);
  };

  const questionOf = (record: LedgerRecord): Question | 'engine' | 'outOfPlace' | null => {
    const told = next?.event.seq === record.seq ? next : null;
    if (record.type === 'policy.decided' || record.type === 'entitlement.verified' || record.type === 'lease.redecided' || record.type === 'approval.judged') {
      if (told?.before == null) return 'outOfPlace';
      const { event, before, firstSeq } = told;
      if (event.type === 'policy.decided') {
        const { decision, provenance } = event.body;
        if (isFaultDecision(decision)) return 'engine';
        return { record, entrypoint: 'access/decide', provenance, check: (value, known) => checkDecideInput(value, event, before, known, recountOf(event, before, firstSeq)), compare: (answer) => compareDecision(decision, answer as Decision) };
      }
      if (event.type === 'lease.redecided') {
        const { redecision, provenance } = event.body;
        return {
          record, entrypoint: 'access/redecide', provenance, check: (value, known) => checkRedecideInput(value, before, known),
          compare: (answer) => (canonicalText(answer) === canonicalText(redecision) ? null : `policy says ${effectOf(answer)} of the lease where ${redecision.effect} is recorded`),
        };
      }
      if (event.type === 'approval.judged') {
        const { acceptance, approver, provenance } = event.body;
        return {
          record, entrypoint: 'workflow/accept', provenance, check: (value, known) => checkAcceptInput(value, approver, before, known),
          compare: (answer) => (canonicalText(answer) === canonicalText(acceptance) ? null : `policy says ${effectOf(answer)} of the approval where ${acceptance.effect} is recorded`),
        };
      }
      if (event.type !== 'entitlement.verified') return 'outOfPlace';
      const { verification, provenance } = event.body;
      return {
        record, entrypoint: 'access/verify', provenance, check: (value, known) => checkVerifyInput(value, before, known),
        compare: (answer) => (canonicalText(answer) === canonicalText(verification) ? null : `policy says ${effectOf(answer)} of the state where ${verification.effect} is recorded`),
      };
    }
    if (record.type !== 'reconcile.proposed') return null;
    const { findingId, change, reasons, provenance } = systemRecordBodies['reconcile.proposed'].parse(record.body);
    const [finding, kind] = [findings.get(findingId), requested?.changeId === change ? requested.kind : null];
    if (finding === undefined || kind === null) return 'outOfPlace';
    return {
      record, entrypoint: 'access/reconcile', provenance, check: (value, known) => checkReconcileInput(value, finding, known),
      compare(answer) {
        const proposal = answer as { readonly propose: unknown; readonly reasons: unknown };
        return proposal.propose === kind && canonicalText(proposal.reasons) === canonicalText(reasons) ? null : `policy proposes ${String(proposal.propose)} where ${kind} was asked for in its name`;
      },
    };
  };

  /** What later questions are held to. */
  const note = async (record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    if (record.type === 'erasure') return unreplayed.note(record);
    if (record.type === 'facts.loaded') {
      if (factsInForce !== null) factsBefore.set(factsInForce, parseTime(record.at));
      const { facts: loaded } = systemRecordBodies['facts.loaded'].parse(record.body);
      factsInForce = record.objects.includes(loaded) ? loaded : null;
    }
    if (record.type === 'bundle.activated') await activate(record, readObject);
    if (record.type === 'reconcile.found') {
      const found = systemRecordBodies['reconcile.found'].parse(record.body);
      findings.set(found.findingId, found);
    }
    if (record.type === 'reconcile.cleared') findings.delete(systemRecordBodies['reconcile.cleared'].parse(record.body).findingId);
    if (record.type === 'change.requested' && next?.event.seq === record.seq && next.event.type === 'change.requested') requested = { changeId: next.event.changeId, kind: next.event.body.request.kind };
    if (record.change === null) return;
    if (record.type === 'change.revised') erasedOf.delete(record.change);
    for (const { digest, what } of composedOf(record, next?.event)) if ((await readObject(digest)) === null) erasedOf.set(record.change, { digest, what });
  };

  const take = async (stored: LedgerRecord, readObject: ReadObject): Promise<void> => {
    const record = upcast(stored);
    if (record.type === 'change.adopted') {
      unreplayed.add('adopted');
      counted?.giveUp();
    }
    await note(record, readObject);
    const question = questionOf(record);
    if (question === null) return;
    decisions += 1;
    if (question === 'outOfPlace') unreplayed.add('outOfPlace');
    else if (question === 'engine') engineDenied += 1;
    else await replay(question, readObject);
  };

  return {
    followed(event, before, firstSeq) {
      next = { event, before, firstSeq };
      counted?.take(event, before, firstSeq);
    },
    async record(record, readObject) {
      try {
        await take(record, readObject);
      } catch (error) {
        if (!(error instanceof FalseQuestion) && !isMalformed(error)) throw error;
        differs(record, error.message);
      } finally {
        next = null;
      }
    },
    async finish() {
      await closePolicy();
      return { decisions, same, engineDenied, differing, counted: counted?.isWhole === true, kept: [...kept].sort((a, b) => a.seq - b.seq), unreplayed: unreplayed.finish() };
    },
    close: closePolicy,
  };
}

function isMalformed(error: unknown): error is Error {
  return error instanceof JsonError || error instanceof RangeError || (error instanceof Error && error.name === 'ZodError');
}

/** Objects of the record that questions are composed of, from this one on. */
function composedOf({ type, objects }: LedgerRecord, event: ChangeEvent | undefined): readonly { readonly digest: string; readonly what: Erasable }[] {
  if (type === 'state.read' || type === 'step.succeeded' || type === 'step.failed') return objects.map((digest) => ({ digest, what: 'state' }));
  const digest = event?.type === 'policy.decided' && event.body.phase === 'request' ? event.body.planDigest : null;
  return type === 'policy.decided' && digest !== null && objects.includes(digest) ? [{ digest, what: 'plan' }] : [];
}

/** A denial of the engine's own, since policy gave no answer. */
export function isFaultDecision({ effect, reasons }: Decision): boolean {
  const [only] = reasons;
  return effect === 'deny' && reasons.length === 1 && only?.rule === ENGINE_RULE && isEngineFaultCode(only.code);
}

/** Null where the engine would have recorded `recorded` upon that answer. */
export function compareDecision(recorded: Decision, answer: Decision): string | null {
  const differing = differenceOf(recorded, answer);
  const { standingApproval, ...obligations } = answer.obligations;
  if (differing === null || standingApproval === undefined || recorded.obligations.standingApproval !== undefined) return differing;
  // Where a floor counts no standing approval any more, the engine lets none count.
  return differenceOf(recorded, { ...answer, obligations }) === null ? null : differing;
}

function differenceOf(recorded: Decision, answer: Decision): string | null {
  if (canonicalText(recorded) === canonicalText(answer)) return null;
  const [only] = recorded.reasons;
  const isEngines = recorded.effect === 'deny' && recorded.reasons.length === 1 && only?.rule === ENGINE_RULE && ENGINE_DENIALS.has(only.code);
  // Where a floor asks people, the engine has policy's word enforced.
  const enforced = asEnforced(answer);
  if (answer.observed !== undefined && canonicalText(recorded) === canonicalText(enforced)) return null;
  // What the engine denies is denied under observe too, and where policy's word was enforced.
  const { observed: _, ...rest } = answer;
  const isDenied = (from: Decision): boolean => from.effect !== 'deny' && canonicalText({ ...from, effect: 'deny', reasons: recorded.reasons }) === canonicalText(recorded);
  if (isEngines && (isDenied(rest) || isDenied(enforced))) return null;
  return recorded.effect === answer.effect ? `policy says ${answer.effect} with other reasons or obligations than are recorded` : `policy says ${answer.effect} where ${recorded.effect} is recorded`;
}

const effectOf = (answer: unknown): string => String((answer as { readonly effect?: unknown }).effect);
