/**
 * The questions that a ledger keeps, one by one, with what was recorded of the answers. Each entry is the checkpoint's, byte for byte; whose the
 * checkpoint is, and whether the questions are those that the changes lead to, is for `countersign verify`.
 */
import { canonicalText, JsonError, LedgerError, type DirectoryReading, type JsonObject, type LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../change/events.ts';
import { systemRecordBodies } from '../evidence/record.ts';
import { FalseQuestion, valueOf } from '../evidence/replay-input.ts';
import { compareDecision, isFaultDecision, type ReplayEntrypoint } from '../evidence/replay.ts';
import { upcast } from '../evidence/upcast.ts';
import type { Decision, Provenance } from '../protocol/decision.ts';
import { parseTime } from '../protocol/values.ts';

export interface RecordedQuestion {
  readonly seq: number;
  readonly atMs: number;
  readonly changeId: string | null;
  readonly entrypoint: ReplayEntrypoint;
  /** The bundle that is said to have answered. */
  readonly bundle: string | null;
  readonly input: JsonObject;
  /** Null where that answer is what is recorded; else how it differs. */
  readonly compare: (answer: unknown) => string | null;
}

/** Why a recorded decision cannot be asked again. */
export type NotAsked = 'engine' | 'erased' | 'notKept' | 'malformed';
export type Recorded = { readonly is: 'question'; readonly question: RecordedQuestion } | { readonly is: NotAsked; readonly seq: number; readonly changeId: string | null };

export interface Span {
  readonly fromMs: number | null;
  /** Not included. */
  readonly toMs: number | null;
}

/** Every decision of policy's in the span, in the ledger's order. @throws LedgerError `corrupt` naming the record whose stored bytes are altered */
export async function* recordedQuestions(reading: DirectoryReading, { fromMs, toMs }: Span, progress: (done: number, size: number) => void = () => undefined): AsyncGenerator<Recorded> {
  const { size } = reading.head;
  let requested: { readonly changeId: string | null; readonly kind: string } | null = null;
  for await (const { record: stored } of reading.entries(0, size)) {
    progress(stored.seq + 1, size);
    const atMs = parseTime(stored.at);
    if (stored.type === 'change.requested') requested = { changeId: stored.change, kind: kindOf(stored) };
    if ((fromMs !== null && atMs < fromMs) || (toMs !== null && atMs >= toMs)) continue;
    const asked = askedIn(stored, requested);
    if (asked === null) continue;
    yield asked === 'malformed' || asked === 'engine' ? { is: asked, seq: stored.seq, changeId: stored.change } : await withInput(reading, stored, atMs, asked);
  }
}

type Asked = Pick<RecordedQuestion, 'entrypoint' | 'compare'> & { readonly provenance: Provenance };

async function withInput(reading: DirectoryReading, { change: changeId, objects, seq }: LedgerRecord, atMs: number, { compare, entrypoint, provenance }: Asked): Promise<Recorded> {
  if (!objects.includes(provenance.input)) return { is: 'notKept', seq, changeId };
  try {
    const bytes = await reading.object(provenance.input);
    if (bytes === null) return { is: 'erased', seq, changeId };
    return { is: 'question', question: { seq, atMs, changeId, entrypoint, bundle: provenance.bundle, input: valueOf(bytes, 'policyInput') as JsonObject, compare } };
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'not-found') return { is: 'notKept', seq, changeId };
    if (error instanceof FalseQuestion || error instanceof JsonError) return { is: 'malformed', seq, changeId };
    throw error;
  }
}

/** What a record says that policy answered; null for one that says nothing of it. */
function askedIn(stored: LedgerRecord, requested: { readonly changeId: string | null; readonly kind: string } | null): Asked | 'engine' | 'malformed' | null {
  const { body, type } = upcast(stored);
  if (type === 'policy.decided') {
    const parsed = changeEventBodies['policy.decided'].safeParse(body);
    if (!parsed.success) return 'malformed';
    const { decision, provenance } = parsed.data;
    return isFaultDecision(decision) ? 'engine' : { entrypoint: 'access/decide', provenance, compare: (answer) => compareDecision(decision, answer as Decision) };
  }
  if (type === 'entitlement.verified') {
    const parsed = changeEventBodies['entitlement.verified'].safeParse(body);
    if (!parsed.success) return 'malformed';
    const { provenance, verification } = parsed.data;
    return { entrypoint: 'access/verify', provenance, compare: (answer) => differing(answer, verification) };
  }
  if (type === 'lease.redecided') {
    const parsed = changeEventBodies['lease.redecided'].safeParse(body);
    if (!parsed.success) return 'malformed';
    const { provenance, redecision } = parsed.data;
    return { entrypoint: 'access/redecide', provenance, compare: (answer) => differing(answer, redecision) };
  }
  if (type === 'approval.judged') {
    const parsed = changeEventBodies['approval.judged'].safeParse(body);
    if (!parsed.success) return 'malformed';
    const { acceptance, provenance } = parsed.data;
    return { entrypoint: 'workflow/accept', provenance, compare: (answer) => differing(answer, acceptance) };
  }
  if (type !== 'reconcile.proposed') return null;
  const parsed = systemRecordBodies['reconcile.proposed'].safeParse(body);
  if (!parsed.success) return 'malformed';
  const { change, provenance, reasons } = parsed.data;
  if (requested?.changeId !== change) return 'malformed';
  const { kind } = requested;
  return { entrypoint: 'access/reconcile', provenance, compare: (answer) => differing(partOf(answer), { propose: kind, reasons }) };
}

function kindOf({ body }: LedgerRecord): string {
  const { request } = body as { readonly request?: { readonly kind?: unknown } | null };
  return typeof request?.kind === 'string' ? request.kind : '';
}

function partOf(answer: unknown): unknown {
  const { propose, reasons } = answer as { readonly propose: unknown; readonly reasons: unknown };
  return { propose, reasons };
}

function differing(answer: unknown, recorded: unknown): string | null {
  return canonicalText(answer) === canonicalText(recorded) ? null : 'policy says otherwise than is recorded';
}
