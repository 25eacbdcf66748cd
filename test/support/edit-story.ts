/** Editing a story's beats: one record changed, re-signed, left out or told twice. */
import { canonicalBytes, digestOf, type Signer } from '../../ledger/index.ts';
import type { NewEvent } from '../../src/change/events.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { TargetState } from '../../src/protocol/plan.ts';
import { approvalStatementSchema, reportSchema, type ApprovalStatement, type Report } from '../../src/protocol/signed.ts';
import { keys, sign, type Beat } from './story.ts';

type Type = NewEvent['type'];
export type Of<T extends Type> = Extract<NewEvent, { type: T }>;

/** The n-th beat of that type, changed. */
export function editing<T extends Type>(type: T, edit: (event: Of<T>, beat: Beat) => NewEvent | Partial<Beat>, nth = 0): (beats: readonly Beat[]) => Beat[] {
  return (beats) => {
    const at = indexOf(beats, type, nth);
    const beat = beats[at]!;
    const edited = edit(beat.event as Of<T>, beat);
    return beats.map((one, i) => (i !== at ? one : 'type' in edited ? { ...beat, event: edited } : { ...beat, ...edited }));
  };
}

/** The body with some of it replaced. */
export function withBody<T extends Type>(event: Of<T>, body: Record<string, unknown>): NewEvent {
  return { ...event, body: { ...event.body, ...body } };
}

export function without(type: Type, nth = 0): (beats: readonly Beat[]) => Beat[] {
  return (beats) => beats.filter((_, i) => i !== indexOf(beats, type, nth));
}

export function twice(type: Type, nth = 0): (beats: readonly Beat[]) => Beat[] {
  return (beats) => {
    const at = indexOf(beats, type, nth);
    return [...beats.slice(0, at + 1), beats[at]!, ...beats.slice(at + 1)];
  };
}

/** Adds an event to the change of the n-th beat of that type, right after it. */
export function following(type: Type, make: (beat: Beat) => NewEvent, nth = 0): (beats: readonly Beat[]) => Beat[] {
  return (beats) => {
    const at = indexOf(beats, type, nth);
    const beat = beats[at]!;
    return [...beats.slice(0, at + 1), { ...beat, event: make(beat) }, ...beats.slice(at + 1)];
  };
}

function indexOf(beats: readonly Beat[], type: Type, nth: number): number {
  const found = beats.map((beat, i) => [beat, i] as const).filter(([beat]) => beat.event.type === type)[nth];
  if (found === undefined) throw new Error(`the story has no ${type} ${nth}`);
  return found[1];
}

/** The report in the event changed and signed again; states it should name are attached anew. */
export function rereported(event: NewEvent, edit: (report: Report) => object, by: Signer = keys.executor, attached: { before?: TargetState; after?: TargetState } = {}): NewEvent {
  const { report } = event.body as { report: Parameters<typeof readPayload>[0] };
  const edited = { ...readPayload(report, reportSchema) } as Report;
  return { ...event, body: { ...event.body, report: sign.report({ ...edited, ...edit(edited) }, by) }, ...(event.attached === undefined ? {} : { attached: { ...event.attached, ...attached } }) } as NewEvent;
}

/** The approval's statement changed and signed again. */
export function restated(event: Of<'approval.recorded'>, edit: Partial<ApprovalStatement>, by: Signer = keys.ticket): NewEvent {
  const statement = { ...readPayload(event.body.approval.envelope, approvalStatementSchema), ...edit };
  return { ...event, actor: statement.approver, body: { ...event.body, approval: sign.approval(statement, by) } };
}

export const digest = (state: TargetState): string => digestOf(canonicalBytes(state));
