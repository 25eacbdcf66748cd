/** Mode `caller`: the run that asked takes its ticket up itself, and says what became of it. The key in the plan is who it is. */
import { logOf } from '../change/derive.ts';
import { stepOf, type ChangeState } from '../change/state.ts';
import { callerIdOf, callerVerifier } from '../protocol/caller.ts';
import { openDsse } from '../protocol/dsse.ts';
import type { ReportMessage, StepEnvelope } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { reportSchema, REPORT_TYPE, type Report } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { Answer, EngineContext } from './engine.ts';
import { isLocked } from './perform.ts';
import { headToShow, SHOWN_MS } from './publish.ts';
import { makeEnvelope } from './receipt.ts';

type No = Extract<Answer<never>, { readonly ok: false }>;

const NOT_COPIED: No = {
  ok: false, code: 'not-copied', message: 'the copy of the ledger does not hold it yet, so nothing may be done under it: ask again; the same again is harmless',
};

const NOT_COSIGNED: No = {
  ok: false, code: 'not-cosigned', message: 'no quorum of witnesses has cosigned it yet, so nothing may be done under it: ask again; the same again is harmless',
};

const LOCKED: No = { ok: false, code: 'too-late', message: 'a lock is set: nothing may be done under this ticket' };

/**
 * The ticket with its receipt, while it can be taken up, and once witnesses have cosigned and the copy of the ledger holds all that it shows.
 * `fromSize`: of the newest checkpoint that the caller has seen, for a consistency proof.
 */
export async function ticketForCaller(context: EngineContext, changeId: string, fromSize: number | null): Promise<Answer<StepEnvelope>> {
  const { store, log } = context;
  await context.othersLocks.heard;
  const state = await store.load(changeId);
  if (state === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
  const no = whyNoTicket(context, state);
  if (no !== null) return no;
  while (!store.isDurable((await store.load(changeId))!)) await store.durable();
  const seen = fromSize === null ? [] : [fromSize];
  const checkpoint = await headToShow(context, state.act!.seq, seen);
  if (checkpoint === null) return NOT_COSIGNED;
  const envelope = await makeEnvelope(log, state, state.act!, 'act', seen, checkpoint);
  if (!(await isCopied(context, checkpoint.size))) return NOT_COPIED;
  return whyNoTicket(context, (await store.load(changeId))!) ?? { ok: true, value: envelope };
}

function whyNoTicket(context: EngineContext, state: ChangeState): No | null {
  if (state.plan?.mode !== 'caller' || state.act === null || state.name !== 'authorised' || state.claimed || state.adoptedFrom !== null) {
    return { ok: false, code: 'not-expected', message: `no ticket is to be taken up while the change is ${state.name}` };
  }
  const step = stepOf(state);
  return step !== null && isLocked(context, state, step) ? { ok: false, code: 'not-expected', message: 'a lock is set: nothing may be done under this ticket' } : null;
}

/** A caller's code may do anything, so it waits for the copy as what gives access does. */
function isCopied({ copy }: EngineContext, size: number): Promise<boolean> {
  return copy === undefined ? Promise.resolve(true) : copy.holds(size, SHOWN_MS);
}

/**
 * Resolves once what the run says is durable, and a claim once witnesses and the copy of the ledger have it too: a claim that is answered so may be
 * acted on, any other may not.
 */
export async function receiveCallerReport(context: EngineContext, changeId: string, message: ReportMessage): Promise<Answer> {
  const { store } = context;
  const state = await store.load(changeId);
  const key = state?.plan?.caller?.key;
  if (state === undefined || key === undefined) return { ok: false, code: 'not-expected', message: 'nobody but an executor reports on this change' };
  const report = open(message, key);
  const isAlone = message.objects.length === 0 && message.ciphertext === null && message.order === null;
  if (report === null || !isAlone || report.executor !== callerIdOf(key) || report.changeId !== changeId || report.log !== logOf(changeId) || !isOfRun(report)) {
    return { ok: false, code: 'not-allowed', message: 'not a report that the run of this change has signed' };
  }
  if (!isPossible(state, report, context.trust.requirements.clockSkewMs)) {
    return { ok: false, code: 'not-allowed', message: `the run says that this was at ${report.at}, when it cannot have been: its clock is wrong` };
  }
  if (report.kind === 'claimed') await context.othersLocks.heard;
  const step = stepOf(state);
  if (report.kind === 'claimed' && !state.claimed && step !== null && isLocked(context, state, step)) {
    return LOCKED;
  }
  await store.load(changeId);
  const applied = store.apply(changeId, { type: 'recordReport', report, envelope: message.report, states: new Map(), order: null });
  if (!applied.ok) return applied;
  await store.durable();
  if (report.kind === 'claimed' && (context.copy !== undefined || context.witnesses !== undefined)) {
    const head = await headToShow(context, (await store.load(changeId))!.lastSeq, []);
    if (head === null) return NOT_COSIGNED;
    if (!(await isCopied(context, head.size))) return NOT_COPIED;
  }
  const latest = (await store.load(changeId))!;
  const claimedStep = report.kind === 'claimed' ? stepOf(latest) : null;
  // It may have been set since the claim was first made, or while this waited.
  if (claimedStep !== null && isLocked(context, latest, claimedStep)) return LOCKED;
  const taken = report.kind === 'acted' || (latest.claimed && latest.act?.issue === report.issue && latest.result === null);
  return taken ? { ok: true, value: latest } : { ok: false, code: 'too-late', message: `the change is ${latest.name}: nothing may be done under this ticket any more` };
}

/** What a run can say: that it begins, and how it ended. It seals no secret here, and what it saw of the target is no executor's word. */
function isOfRun(report: Report): report is Extract<Report, { kind: 'claimed' | 'acted' }> {
  if (report.kind === 'claimed') return true;
  return report.kind === 'acted' && ['done', 'failed', 'ambiguous'].includes(report.outcome) && report.seal === null && report.before === null && report.after === null;
}

/**
 * Whether it can have been then. Evidence keeps for good what is recorded here, and a verifier that finds code to have run before it was
 * claimed, or claimed when there was no ticket, finds that the whole ledger does not hold: that is no run's to bring about.
 */
function isPossible(state: ChangeState, report: Extract<Report, { kind: 'claimed' | 'acted' }>, skewMs: number): boolean {
  const atMs = parseTime(report.at);
  if (report.kind === 'claimed') return state.act === null || atMs <= state.act.notAfterMs + skewMs;
  return state.claimedAtMs === null || atMs >= state.claimedAtMs - skewMs;
}

function open(message: ReportMessage, key: string): Report | null {
  try {
    return openDsse(message.report, REPORT_TYPE, reportSchema, [callerVerifier(key)]);
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}
