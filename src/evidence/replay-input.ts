/**
 * Whether what policy was asked is what the ledger tells: the question is composed again from the change and the recorded facts, with the code
 * that composed it. A sidecar that asks about another requester, target or fact than is recorded gets an honest answer to a false question.
 *
 * Taken from the question, since nothing else says it: the time, the age of the facts, which connectors there were, what calendars, locks and the
 * extended change were at that moment, whether the floor names an approver who is asked for it, and whether the offboarding that the change is part of was
 * at work. WORKFLOW holds what is done to those. How much was asked for before it is counted once more where all records are there.
 */
import { z } from 'zod';
import { canonicalText, OBJECT_BYTES_MAX, parseStrict } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { RecentChanges } from '../change/recent.ts';
import { stepOf, type ChangeState } from '../change/state.ts';
import { exceptionsFileSchema } from '../facts/exceptions.ts';
import { factsOf, type Facts } from '../facts/facts.ts';
import { calendarSchema, catalogueSchema, directorySchema, inventoryFileSchema, usageFileSchema } from '../facts/schemas.ts';
import { buildAcceptInput, buildChangeInput, buildLeaseInput, buildReconcileInput, buildVerificationInput } from '../pdp/build-input.ts';
import { acceptInputSchema, changeInputSchema, INPUT_BYTES_MAX, reconcileInputSchema, verificationInputSchema } from '../pdp/policy-input.ts';
import { approversNamed } from '../protocol/decision.ts';
import { saltedObjectSchema, type SystemRecordBody } from './record.ts';

/** What is not the question that the records lead to. */
export class FalseQuestion extends Error {}

/** Beside the value: `{"kind":"policyInput","salt":"…","v":1,"value":…}`. */
const AROUND_BYTES_MAX = 128;
/** Larger ones no sidecar asks, and the facts of one may come from several files as large as an object. */
const BYTES_MAX = { policyInput: INPUT_BYTES_MAX + AROUND_BYTES_MAX, facts: OBJECT_BYTES_MAX } as const;
/** What is inside is JSON already, and has a schema of its own. */
const saltedSchema = saltedObjectSchema.extend({ value: z.record(z.string(), z.unknown()) });

/** The value of a salted object. @throws FalseQuestion for bytes that are none of that kind, or more than such a one has */
export function valueOf(bytes: Uint8Array, kind: 'policyInput' | 'facts'): Members {
  if (bytes.byteLength > BYTES_MAX[kind]) throw new FalseQuestion(`its ${kind === 'facts' ? 'facts are' : 'input is'} larger than a sidecar takes`);
  const object = saltedSchema.safeParse(parseStrict(bytes, { maxBytes: BYTES_MAX[kind] }));
  if (!object.success || object.data.kind !== kind) throw new FalseQuestion(`its ${kind === 'facts' ? 'facts are' : 'input is'} no object of that kind`);
  return object.data.value;
}

/** The facts in an object, as if they were loaded at 0. @throws FalseQuestion */
export function factsIn(bytes: Uint8Array): Facts {
  const value = valueOf(bytes, 'facts');
  const parsed = {
    inventory: inventoryFileSchema.safeParse(value['inventory']), catalogue: catalogueSchema.safeParse(value['catalogue']), directory: directorySchema.safeParse(value['directory']),
    usage: usageFileSchema.nullable().safeParse(value['usage']), calendar: calendarSchema.nullable().safeParse(value['calendar']),
    exceptions: exceptionsFileSchema.optional().safeParse(value['exceptions']),
  };
  if (Object.values(parsed).some(({ success }) => !success)) throw new FalseQuestion('its facts are not such as a sidecar loads');
  const exceptions = parsed.exceptions.data;
  return factsOf({
    inventory: parsed.inventory.data!, catalogue: parsed.catalogue.data!, directory: parsed.directory.data!, usage: parsed.usage.data ?? null, calendar: parsed.calendar.data ?? null,
    ...(exceptions === undefined ? {} : { exceptions }),
  }, 0);
}

/** Why these counts are not those that the records lead to; null where they may be, and where that is not known. */
export type Recount = (given: RecentChanges, nowMs: number) => string | null;

/** @param before the change before the decision @throws FalseQuestion */
export function checkDecideInput(value: unknown, event: Extract<ChangeEvent, { type: 'policy.decided' }>, before: ChangeState, facts: Facts, recount: Recount = () => null): void {
  const parsed = changeInputSchema.safeParse(value);
  if (!parsed.success) throw new FalseQuestion('its input is none of access/decide');
  const given = parsed.data;
  const { phase } = event.body;
  // No plan at the request: then a decision was made before there was one, whatever is planned later.
  const plan = phase === 'dispatch' ? before.plan : (event.attached?.plan ?? null);
  const step = phase === 'dispatch' ? stepOf(before) : null;
  // Known to be the requester's of the change: WORKFLOW holds each part of an offboarding to who asked for the whole. None is told once that is over.
  const parent = before.parent === null || given.change.parent === null ? null : { changeId: before.parent, requester: before.requester };
  const built = buildChangeInput({
    phase, nowMs: given.nowMs, state: before, plan, before: before.before,
    step: step === null ? null : { action: step.action, number: before.finished.length + 1 },
    account: plan?.steps[0]?.account ?? null, facts, factsAgeMs: given.facts.ageMs, connectors: given.facts.connectors, locks: given.facts.locks,
    parent, extended: null, ...(given.recent === undefined ? {} : { recent: given.recent }),
  });
  hold({ ...built, change: { ...built.change, extends: given.change.extends }, facts: { ...built.facts, calendar: given.facts.calendar } }, given);
  const miscounted = given.recent === undefined ? null : recount(given.recent, given.nowMs);
  if (miscounted !== null) throw new FalseQuestion(miscounted);
}

/** @throws FalseQuestion */
export function checkVerifyInput(value: unknown, before: ChangeState, facts: Facts): void {
  const parsed = verificationInputSchema.safeParse(value);
  if (!parsed.success) throw new FalseQuestion('its input is none of access/verify');
  const built = buildVerificationInput(before, facts, parsed.data.nowMs);
  if (built === null) throw new FalseQuestion('nothing was carried out that could be verified');
  hold(built, parsed.data);
}

/** @param before the change while its lease runs @throws FalseQuestion */
export function checkRedecideInput(value: unknown, before: ChangeState, facts: Facts): void {
  const parsed = changeInputSchema.safeParse(value);
  if (!parsed.success) throw new FalseQuestion('its input is none of access/redecide');
  const { nowMs, facts: { ageMs, calendar, connectors, locks } } = parsed.data;
  const built = buildLeaseInput(before, { nowMs, facts, factsAgeMs: ageMs, connectors, locks });
  hold({ ...built, facts: { ...built.facts, calendar } }, parsed.data);
}

/** @param before the change while it waits for the approval @throws FalseQuestion */
export function checkAcceptInput(value: unknown, approver: string, before: ChangeState, facts: Facts): void {
  const parsed = acceptInputSchema.safeParse(value);
  if (!parsed.success) throw new FalseQuestion('its input is none of workflow/accept');
  const { approval: { namedByFloor = false }, change: { extends: extended }, nowMs, facts: { ageMs, calendar, connectors, locks } } = parsed.data;
  // Whom the sidecar's floor names its records do not say; whom it asks for they do.
  const isAsked = approversNamed(before.floor?.approvers ?? null).includes(approver);
  const built = buildAcceptInput(before, approver, { nowMs, facts, factsAgeMs: ageMs, connectors, locks, extended: null, namedByFloor: namedByFloor && isAsked });
  hold({ ...built, change: { ...built.change, extends: extended }, facts: { ...built.facts, calendar } }, parsed.data);
}

/** @throws FalseQuestion */
export function checkReconcileInput(value: unknown, finding: SystemRecordBody<'reconcile.found'>, facts: Facts): void {
  const parsed = reconcileInputSchema.safeParse(value);
  if (!parsed.success) throw new FalseQuestion('its input is none of access/reconcile');
  hold(buildReconcileInput(finding, facts, parsed.data.nowMs), parsed.data);
}

function hold(due: object, given: object): void {
  const differing = differences(due as Members, given as Members);
  if (differing.length > 0) throw new FalseQuestion(`policy was told another ${differing.slice(0, 3).join(', ')} than the records tell`);
}

type Members = Readonly<Record<string, unknown>>;

/** The members that differ, two levels deep: `change.requester`. */
function differences(due: Members, given: Members, within = ''): string[] {
  const names = [...new Set([...Object.keys(due), ...Object.keys(given)])].sort();
  return names.flatMap((name) => {
    const [a, b] = [due[name], given[name]];
    if (a !== undefined && b !== undefined && canonicalText(a) === canonicalText(b)) return [];
    const isGroup = within === '' && [a, b].every((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
    return isGroup ? differences(a as Members, b as Members, `${name}.`) : [`${within}${name}`];
  });
}
