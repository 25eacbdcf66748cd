/**
 * Whether what everybody was told of one change agrees with its ledger, and whether the ledger tells of one outcome. It asks the fold alone, and what may
 * follow upon what is written down here once more: the program's own decisions are what is doubted.
 */
import type { LedgerRecord } from '../../ledger/index.ts';
import { evolve, shownState, type ChangeState } from '../../src/change/state.ts';
import type { ChangeEventType } from '../../src/change/events.ts';
import { toEvent, type ReadObject } from '../../src/evidence/record.ts';
import { approversNamed, isSatisfied } from '../../src/protocol/decision.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval } from '../../src/protocol/signed.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import type { ProblemBody } from '../../src/sidecar/errors.ts';
import { viewOf } from '../../src/sidecar/view.ts';
import { comparable } from './comparable.ts';
import { isEarly } from './early.ts';
import type { HttpAnswer } from './http-door.ts';
import type { Process } from './scheduler.ts';

/** What one of them asked, and was told. */
export interface Told {
  readonly act: 'request' | 'approve' | 'reject' | 'withdraw' | 'revise' | 'stop' | 'revoke' | 'look';
  readonly by: string;
  readonly planDigest: string | null;
  /** By which the reason of a revision is known. */
  readonly marker: string | null;
  /** Records that were durable when it was asked. */
  readonly durableAtSend: number;
  readonly process: Process | null;
  /** `durable`: records that were, when it came. */
  answer: (HttpAnswer & { readonly durable: number }) | null;
}

export interface RaceHistory {
  readonly records: readonly LedgerRecord[];
  readonly readObject: ReadObject;
  /** Records of the whole ledger that are certain. */
  readonly durable: number;
  readonly told: readonly Told[];
  /** As the sidecar has it in the end; undefined where it does not run. */
  readonly now: ChangeState | undefined;
}

type Names = readonly ChangeState['name'][];
/** In which states each of these may happen. */
const HAPPENS_IN: Partial<Record<ChangeEventType, Names>> = {
  'approval.judged': ['pending'], 'approval.recorded': ['pending'], 'approval.rejected': ['pending'], 'approval.escalated': ['pending'],
  'change.revised': ['requested', 'pending', 'scheduled'], 'change.expired': ['pending', 'scheduled', 'authorised', 'executing'],
  'change.withdrawn': ['requested', 'pending', 'scheduled', 'authorised', 'executing', 'staged', 'verifying'],
};
/** Each of these ends it. */
const OUTCOMES: ReadonlySet<string> = new Set(['approval.rejected', 'change.expired', 'change.withdrawn']);
/** Whoever comes after those is too late. */
const OVER: ReadonlySet<string> = new Set(['denied', 'rejected', 'expired', 'withdrawn', 'revoked', 'failed']);

export async function judgeRace({ records, readObject, durable, told, now }: RaceHistory): Promise<{ readonly violations: { invariant: number; message: string }[]; readonly seen: Record<string, number> }> {
  const violations: { invariant: number; message: string }[] = [];
  const seen: Record<string, number> = {};
  const saw = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  const broken = (message: string): void => void violations.push({ invariant: 18, message });
  const states: ChangeState[] = [];

  /** People whose approval of the revision is on record. */
  let approved = new Set<string>();
  /** And those who have rejected it, of how many that end it. */
  let rejected = new Set<string>();
  let due = Infinity;
  let [escalations, outcomes] = [0, 0];
  for (const record of records) {
    const before = states.at(-1) ?? null;
    const event = await toEvent(record, readObject);
    const after = evolve(before, event);
    states.push(after);
    saw(record.type);
    const names = HAPPENS_IN[event.type];
    if (before !== null && names?.includes(before.name) === false) broken(`record ${record.seq}: ${record.type} in a change that is ${before.name}`);
    if (event.type === 'policy.decided' && event.body.decision.obligations.approvers !== null) due = Math.min(due, event.body.decision.obligations.rejections ?? 1);
    if (event.type === 'approval.rejected') {
      const { approver } = statementIn(event.body.approval);
      if (rejected.has(approver)) broken(`record ${record.seq}: ${approver} rejects it again`);
      rejected.add(approver);
      approved.delete(approver);
      const left = new Set(approversNamed(after.requirement.approvers).filter((one) => !rejected.has(one)));
      const isOver = rejected.size >= due || after.requirement.approvers === null || !isSatisfied(after.requirement.approvers, left);
      if (isOver !== (after.name === 'rejected')) broken(`record ${record.seq}: rejected by ${[...rejected].join(', ')} of ${due}, and it is ${after.name}`);
      if ((event.body.outcome === 'open') === isOver) broken(`record ${record.seq}: a rejection that comes to something else than it says`);
      if (!isOver) outcomes -= 1;
    }
    if (OUTCOMES.has(record.type)) outcomes += 1;
    if (outcomes > 1 && OUTCOMES.has(record.type)) broken(`record ${record.seq}: ${record.type} is another outcome of a change that has one`);
    if (event.type === 'change.revised') [approved, rejected, escalations] = [new Set(), new Set(), 0];
    if (event.type === 'approval.escalated' && (escalations += 1) > 1) broken(`record ${record.seq}: further people are told of one revision again`);
    if (event.type === 'approval.recorded') {
      const { approver, planDigest, revision } = statementIn(event.body.approval);
      if (approved.has(approver)) broken(`record ${record.seq}: ${approver} is counted twice`);
      if (rejected.has(approver)) broken(`record ${record.seq}: ${approver} approves what she has rejected`);
      if (isEarly(after.requirement.approvers, approver, approved)) broken(`record ${record.seq}: ${approver} approves before those who are asked first`);
      if (planDigest !== before?.planDigest || revision !== before.revision) broken(`record ${record.seq}: ${approver} approved another plan than there is`);
      approved.add(approver);
    }
    const { approvers } = after.requirement;
    if (before?.name === 'pending' && after.name === 'scheduled' && approvers !== null && !isSatisfied(approvers, approved)) broken(`record ${record.seq}: approved by ${[...approved].join(', ') || 'nobody'}, which is not enough`);
    if (after.name === 'pending' && approvers !== null && isSatisfied(approvers, approved)) broken(`record ${record.seq}: it waits for approvals that it has`);
  }
  const last = states.at(-1);
  if (last !== undefined) saw(`is ${last.name}`);
  if (last !== undefined && now !== undefined && (now.lastSeq !== last.lastSeq || now.name !== last.name)) broken(`the sidecar has it as ${now.name} at record ${now.lastSeq}, the ledger as ${last.name} at ${last.lastSeq}`);

  const rejecting = told.filter(({ act, answer }) => act === 'reject' && answer?.status === 200);
  if (rejecting.length > 1 && due === 1) broken(`${rejecting.length} have been told that they have rejected it`);
  for (const one of told) if (one.answer !== null) judgeAnswer(one, one.answer);
  return { violations, seen };

  function judgeAnswer(one: Told, answer: HttpAnswer & { readonly durable: number }): void {
    const wrong = (message: string): void => broken(`${one.by} (${one.act}) was told ${answer.status}, and ${message}: ${JSON.stringify(answer.body).slice(0, 300)}`);
    saw(`${one.act} ${answer.status}`);
    if (answer.status === 200 || answer.status === 202) {
      const view = (one.act === 'revoke' ? (answer.body as { change: ChangeView }).change : answer.body) as ChangeView;
      const state = states[view.length - 1];
      if (state === undefined || view.lastRecord >= durable) return wrong(`the ledger has ${states.length} records of it`);
      if (view.lastRecord >= answer.durable) return wrong(`record ${view.lastRecord} was not durable`);
      // What bears on it is told of the facts of that moment, and of other changes.
      const { bearing: _, ...own } = view;
      if (comparable(viewOf(state, { waitingFor: () => view.waitingFor, glassReviewers: () => view.breakGlass?.reviewers ?? [] })) !== comparable(own)) return wrong('the ledger says otherwise of that moment');
      if (isStale(state, one)) return wrong('later records were durable when it was asked');
      if (!hasHappened(one, state)) return wrong('nothing of the kind is on record by then');
      return;
    }
    if (one.act === 'revoke') {
      // It may have begun a moment later, and ended.
      if (answer.status !== 409 || !states.some((state) => !isStale(state, one) && state.lastSeq < answer.durable && (state.act === null || OVER.has(state.name)))) wrong('there was something to take back all the time');
      return;
    }
    if (last !== undefined && hasHappened(one, last) && !told.some((other) => other !== one && isSame(other, one))) return wrong('it is on record all the same');
    const { change, code } = answer.body as ProblemBody;
    // Neither decided nor refused: ask again. What policy refuses is nobody's race.
    if (code === 'approval-not-judged' || code === 'ledger-unwritable' || code === 'approval-refused') return saw(`${one.act} ${code}`);
    if (answer.status !== 409) return wrong('whoever takes part is told of it, and no more than too late');
    if (change === undefined) return wrong('not what it lost to');
    const state = states.find(({ lastSeq }) => lastSeq === change.lastRecord);
    if (state === undefined || shownState(state) !== change.state || state.revision !== change.revision) return wrong('the ledger says otherwise of that record');
    if (change.lastRecord >= answer.durable) return wrong('what it lost to was not durable');
    if (isStale(state, one)) return wrong('later records were durable when it was asked');
    if (!isLost(one, code, state)) return wrong(`a change that is ${state.name} at revision ${state.revision} is no reason`);
    saw(`${one.act} lost to ${state.name}`);
  }

  /** Whether more was durable of the change, when it was asked, than `state` has. */
  function isStale(state: ChangeState, { durableAtSend }: Told): boolean {
    const next = states[state.length];
    return next !== undefined && next.lastSeq < durableAtSend;
  }

  /** Whether what was asked is on record up to `state`. */
  function hasHappened({ act, by, planDigest, marker }: Told, state: ChangeState): boolean {
    const until = records.slice(0, state.length);
    switch (act) {
      case 'approve':
      case 'reject':
        return until.some(({ body, type }) => {
          if (type !== (act === 'approve' ? 'approval.recorded' : 'approval.rejected')) return false;
          const statement = statementIn(body['approval'] as Approval);
          return statement.approver === by && statement.planDigest === planDigest;
        });
      case 'withdraw':
      case 'stop':
        return until.some(({ type }) => type === 'change.withdrawn');
      case 'revise':
        return states.slice(0, state.length).some(({ request }) => request.reason === marker);
      case 'revoke':
        return until.some(({ type, body }) => type === 'lease.ended' || (type === 'step.authorised' && body['kind'] === 'revoke'));
      default:
        return true;
    }
  }
}

const isSame = (a: Told, b: Told): boolean => a.act === b.act && a.by === b.by && a.planDigest === b.planDigest && a.marker === b.marker;

/** Whether a change as it is in `state` says no for that reason. */
function isLost({ by, planDigest }: Told, code: string, state: ChangeState): boolean {
  switch (code) {
    case 'already-decided':
      return (state.name !== 'pending' && state.name !== 'requested') || state.rejections.some(({ statement }) => statement.approver === by);
    case 'approval-out-of-stage':
      return state.name === 'pending' && isEarly(state.requirement.approvers, by, new Set(state.approvals.map(({ statement }) => statement.approver)));
    case 'plan-changed':
      return state.name === 'requested' || state.planDigest !== planDigest;
    case 'approval-expired':
      return state.name === 'pending' && state.approvalsByMs !== null;
    case 'too-late':
      return OVER.has(state.name) || state.act !== null || state.plan !== null;
    default:
      return false;
  }
}

function statementIn({ envelope }: Approval): { readonly approver: string; readonly planDigest: string; readonly revision: number } {
  return readPayload(envelope, approvalStatementSchema);
}
