/** Each a way to say of an adopted change what its log did not, or to give by it what it had not. */
import { cpSync } from 'node:fs';
import { canonicalBytes, digestOf, formatDigest, leafHash, nodeDisk, openLog, parseStrict } from '../../ledger/index.ts';
import { deriveActTicket, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs, revokeStepId } from '../../src/change/derive.ts';
import type { NewEvent } from '../../src/change/events.ts';
import { lentBy } from '../../src/change/extension.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import { adoptedPartSchema, type AdoptedPart } from '../../src/evidence/adoption.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { ViolationCode } from '../../src/evidence/violation.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { adoptionsFrom } from '../../src/sidecar/adoptions.ts';
import { newLogId, newSidecar, type Place } from '../support/adopted-story.ts';
import { extendRequest } from '../support/extension-story.ts';
import { ANA, decision, EXECUTOR, keys, ORIGIN, provenance, report, salt, sign, START_MS, statementOf, targetState, Telling } from '../support/story.ts';
import { draftOf } from '../support/drafts.ts';
import { otherId } from '../support/ids.ts';

interface Told {
  readonly active: Telling;
  readonly onItsWay: Telling;
}

export interface AdoptionCase {
  readonly title: string;
  readonly code: ViolationCode;
  readonly lie: (place: Place, told: Told) => Promise<void>;
}

const isAdoption = ({ draft }: DraftWithObjects): boolean => draft.type === 'change.adopted';
/** Edits the first adoption. */
const adoption = (edit: (one: DraftWithObjects) => DraftWithObjects) => (place: Place): Promise<void> =>
  place.rewrite((drafts) => drafts.map((one, i) => (i === drafts.findIndex(isAdoption) ? edit(one) : one)));

/** Edits the part of the first adoption, and lets its record, and the first of the log, say what comes of that. */
const part = (edit: (part: AdoptedPart) => AdoptedPart, body: (body: Record<string, unknown>, part: AdoptedPart) => object = (same) => same) => (place: Place): Promise<void> => place.rewrite((drafts) => {
  const at = drafts.findIndex(isAdoption);
  const edited = withPart(drafts[at]!, edit, body);
  const [first] = drafts;
  const count = (first!.draft.body['records'] as number) + (edited.draft.body['records'] as number) - (drafts[at]!.draft.body['records'] as number);
  return [{ ...first!, draft: { ...first!.draft, body: { ...first!.draft.body, records: count } } }, ...drafts.slice(1, at), edited, ...drafts.slice(at + 1)];
});
function withPart({ draft, objects }: DraftWithObjects, edit: (part: AdoptedPart) => AdoptedPart, body: (body: Record<string, unknown>, part: AdoptedPart) => object): DraftWithObjects {
  const [old] = draft.body['parts'] as string[];
  const at = objects.findIndex((bytes) => digestOf(bytes) === old);
  const edited = edit(adoptedPartSchema.parse(parseStrict(objects[at]!, { maxBytes: 1e8 })));
  const bytes = canonicalBytes(edited);
  return {
    draft: { ...draft, body: { ...body(draft.body, edited), parts: [digestOf(bytes)] }, objects: draft.objects.map((digest) => (digest === old ? digestOf(bytes) : digest)) },
    objects: objects.map((one, i) => (i === at ? bytes : one)),
  };
}
/** What it carries in two parts, of which the first has a proof that is wrong. */
export function inTwoParts(one: DraftWithObjects): DraftWithObjects {
  let second: Uint8Array = new Uint8Array();
  const first = withPart(one, (whole) => {
    second = canonicalBytes({ ...whole, records: whole.records.slice(1) });
    return { ...whole, records: [{ ...whole.records[0]!, inclusion: whole.records[1]!.inclusion }] };
  }, (same) => same);
  const parts = [...(first.draft.body['parts'] as string[]), digestOf(second)];
  return { draft: { ...first.draft, body: { ...first.draft.body, parts }, objects: [...first.draft.objects, digestOf(second)] }, objects: [...first.objects, second] };
}
/** With a first record that is none. */
export const withGarbledFirst = (one: DraftWithObjects): DraftWithObjects => withPart(one, (whole) => ({ ...whole, records: whole.records.map((entry, i) => (i === 0 ? { ...entry, record: '{}' } : entry)) }), (same) => same);
const endingThere = (body: Record<string, unknown>, { records }: AdoptedPart): object => ({ ...body, records: records.length, head: formatDigest(leafHash(Buffer.from(records.at(-1)!.record))) });
/** What only the old ledger can tell: everything here is proven, and something is not here. */
export const HIDDEN_CASES: readonly AdoptionCase[] = [
  {
    title: 'a change', code: 'adoption-incomplete',
    lie: (place) => place.rewrite(([first, ...rest]) => {
      const at = rest.findIndex(isAdoption);
      const { changes, records } = first!.draft.body as { changes: number; records: number };
      const body = { ...first!.draft.body, changes: changes - 1, records: records - (rest[at]!.draft.body['records'] as number) };
      return [{ ...first!, draft: { ...first!.draft, body } }, ...rest.filter((_, i) => i !== at)];
    }),
  },
  {
    title: 'the last record of a change', code: 'adoption-incomplete',
    lie: (place) => part((one) => ({ ...one, records: one.records.slice(0, -1) }), endingThere)(place),
  },
];
/** Adopts beside the rest a change that the old log had closed, with no more than its first records. */
export async function reopen(place: Place, over: ChangeState, keep: number): Promise<void> {
  const copy = `${place.old}-copy`;
  cpSync(place.old, copy, { recursive: true });
  const old = await openLog({ origin: ORIGIN, disk: nodeDisk(copy), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => START_MS, acceptCopy: true });
  const asIfOpen = new Map([[over.changeId, { ...over, name: 'active' as const, ended: null }]]);
  const { adoptions } = await adoptionsFrom(old, asIfOpen, place.adopted.size, (bytes) => new Uint8Array(bytes));
  const forged: DraftWithObjects[] = [];
  for await (const { change, body, objects, digests } of adoptions) {
    const whole: DraftWithObjects = { draft: { v: 1, change, type: 'change.adopted', at: formatTime(START_MS + 900_000), actor: newSidecar, body, objects: [...digests] }, objects: [...objects] };
    forged.push(withPart(whole, (one) => ({ ...one, records: one.records.slice(0, keep) }), endingThere));
  }
  await old.close();
  await place.rewrite(([first, ...rest]) => {
    const { changes, records } = first!.draft.body as { changes: number; records: number };
    return [{ ...first!, draft: { ...first!.draft, body: { ...first!.draft.body, changes: changes + forged.length, records: records + keep } } }, ...forged, ...rest];
  });
}
/** An extension of an adopted lease, asked for and carried out under the new log as if the lease were its own. */
export function extendedHere(held: ChangeState, atMs: number): Telling {
  const told = new Telling(atMs);
  Object.assign(told, { changeId: newChangeId(newLogId, atMs, (bytes) => new Uint8Array(bytes).fill(3)) });
  const request = extendRequest(held.changeId);
  told.do({ type: 'request', by: request.subject, request, requester: [request.subject], idempotency: null });
  const query = deriveQuery(told.changeId, request, 'ci_deployer', 'grant');
  told.later(5).do({ type: 'authoriseRead', by: newSidecar, ticket: sign.ticket(deriveReadTicket(told.now, query, EXECUTOR, told.atMs, 300)) });
  const before = targetState('ci_deployer', ['role:deploy'], true, 6);
  const read = { kind: 'read' as const, v: 1 as const, executor: EXECUTOR, log: newLogId, changeId: told.changeId, stepId: told.now.read!.stepId, issue: 1 };
  report(told.later(20), { ...read, at: formatTime(told.atMs), outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(before)) }, [before]);
  const plan = derivePlan(told.now, query, before, { salt: salt(7), window: null, consumers: [], parent: null, extended: { ...lentBy(held)!, nextEpoch: 2 } })!;
  const decided = { type: 'recordDecision' as const, by: newSidecar, plan, decision: decision('needsApproval', ANA), provenance, approvalSeconds: 3600 };
  told.later(5).do({ ...decided, phase: 'request' });
  told.later(10_000).do({ type: 'approve', approval: sign.approval({ ...statementOf(told, 'person:ana'), log: newLogId }), comment: 'x' });
  told.later(10).do({ ...decided, phase: 'dispatch' });
  const ticket = sign.ticket(deriveActTicket(told.now, plan, plan.steps[0]!, EXECUTOR, told.atMs, 300));
  const order = sign.order(deriveRevokeOrder(plan, EXECUTOR, leaseEndMs(plan, told.atMs)!, 'leaseEnd', newSidecar)!);
  return told.do({ type: 'authoriseAct', by: newSidecar, ticket, order, extended: { ...held, adoptedFrom: null } });
}
const counted = (body: Record<string, unknown>, { records }: AdoptedPart): object => ({ ...body, records: records.length });
const following = (event: (told: Told) => NewEvent, whose: keyof Told = 'active') => (place: Place, told: Told): Promise<void> =>
  place.tell([{ changeId: told[whose].changeId, event: event(told), atMs: START_MS + 501_000 }]);
const revokeOrder = ({ now, changeId }: Telling, edit: object): NewEvent => {
  const order = { ...deriveRevokeOrder(now.plan!, EXECUTOR, START_MS + 501_000, 'compensation', newSidecar)!, ...edit };
  return { type: 'step.authorised', actor: newSidecar, body: { kind: 'revoke', stepId: revokeStepId(changeId), order: sign.order(order), comment: null } };
};

export const ADOPTION_CASES: readonly AdoptionCase[] = [
  {
    title: 'a record that the old log had otherwise', code: 'adoption-mismatch',
    lie: part((one) => ({ ...one, records: one.records.map((entry, i) => (i === 0 ? { ...entry, record: entry.record.replace('"commitment":"sha256:', '"commitment":"sha256:0').replace(/("commitment":"sha256:[0-9a-f]{64})[0-9a-f]/, '$1') } : entry)) })),
  },
  { title: 'a record left out', code: 'adoption-mismatch', lie: part((one) => ({ ...one, records: one.records.filter((_, i) => i !== 2) }), counted) },
  {
    title: 'one object that is named again and again', code: 'malformed-record',
    lie: adoption((one) => ({ ...one, draft: { ...one.draft, body: { ...one.draft.body, parts: [...(one.draft.body['parts'] as string[]), ...(one.draft.body['parts'] as string[])] } } })),
  },
  {
    title: 'more records than it says', code: 'malformed-record',
    lie: part((one) => ({ ...one, records: [...one.records, ...one.records] })),
  },
  { title: 'the beginning left out', code: 'adoption-mismatch', lie: part((one) => ({ ...one, records: one.records.slice(1) }), counted) },
  { title: 'a proof of another record', code: 'adoption-mismatch', lie: part((one) => ({ ...one, records: one.records.map((entry, i) => ({ ...entry, inclusion: one.records[i === 0 ? 1 : 0]!.inclusion })) })) },
  { title: 'an end that is not the last of what is carried', code: 'adoption-mismatch', lie: part((one) => ({ ...one, records: one.records.slice(0, -1) })) },
  { title: 'records of a log that was not adopted', code: 'adoption-mismatch', lie: part((one) => ({ ...one, log: '0'.repeat(16) })) },
  { title: 'another change’s records', code: 'adoption-mismatch', lie: adoption((one) => ({ ...one, draft: { ...one.draft, change: otherId(one.draft.change!) } })) },
  { title: 'a change that is left out of those that were to come', code: 'adoption-mismatch', lie: (place) => place.rewrite((drafts) => drafts.filter((_, i) => i !== drafts.findIndex(isAdoption))) },
  {
    title: 'somebody who is said to have seen more, and has seen less', code: 'adoption-mismatch',
    lie: (place) => place.rewrite(([first, ...rest]) => [{ ...first!, draft: { ...first!.draft, body: { ...first!.draft.body, ahead: [{ by: 'nobody', size: 1, root: `sha256:${'0'.repeat(64)}` }] } } }, ...rest]),
  },
  { title: 'a checkpoint that is none', code: 'adoption-mismatch', lie: (place) => place.rewrite(([first, ...rest]) => [{ ...first!, draft: { ...first!.draft, body: { ...first!.draft.body, checkpoint: 'none' } } }, ...rest]) },
  { title: 'a change that is adopted twice', code: 'wrong-order', lie: (place) => place.rewrite((drafts) => [...drafts, drafts.find(isAdoption)!]) },
  {
    title: 'a change that is adopted when the log had begun', code: 'adopted-late',
    lie: (place) => place.rewrite((drafts) => [drafts[0]!, systemDraft('ledger.opened', { origin: 'story.example/second', epoch: 1, version: '0.1.0' }, newSidecar, START_MS + 500_000), ...drafts.slice(1)]),
  },
  { title: 'a log that adopts another later on', code: 'adopted-late', lie: (place) => place.rewrite((drafts) => [systemDraft('bundle.activated', { bundle: null, listing: null, signature: null }, newSidecar, START_MS + 500_000), ...drafts]) },
  { title: 'a log that says twice what it adopts', code: 'adopted-late', lie: (place) => place.rewrite(([first, ...rest]) => [first!, first!, ...rest]) },
  { title: 'an adoption in the name of a person', code: 'wrong-actor', lie: adoption((one) => ({ ...one, draft: { ...one.draft, actor: 'person:mallory' } })) },
  {
    title: 'a decision on an adopted change', code: 'gained-after-adoption',
    lie: following(({ onItsWay: { now } }) => ({
      type: 'policy.decided', actor: newSidecar,
      body: { revision: 1, phase: 'dispatch', planDigest: now.planDigest, decision: decision('allow'), provenance, requirement: now.requirement, approvalsBy: null },
    }), 'onItsWay'),
  },
  {
    title: 'a ticket for an adopted change', code: 'gained-after-adoption',
    lie: following(({ onItsWay: { now } }) => {
      const ticket = deriveActTicket(now, now.plan!, now.plan!.steps[0]!, EXECUTOR, START_MS + 900_000, 300);
      return {
        type: 'step.authorised', actor: newSidecar,
        body: { kind: 'act', revision: 1, stepId: ticket.stepId, issue: ticket.issue, ticket: sign.ticket(ticket), planDigest: now.planDigest!, requirement: now.requirement, approvals: [], lease: null },
      };
    }, 'onItsWay'),
  },
  {
    title: 'a later end for an adopted lease', code: 'gained-after-adoption',
    lie: following(({ active: { now, changeId } }) => ({
      type: 'lease.extended', actor: newSidecar, body: { leaseId: now.lease!.leaseId, change: changeId, epoch: 2, endsAt: '2027-01-01T00:00:00.000Z', order: now.lease!.order },
    })),
  },
  {
    title: 'a change that is begun in the name of the old log', code: 'wrong-log',
    lie: (place, { active: { changeId } }) => place.tell([], [draftOf(otherId(changeId), {
      type: 'change.requested', actor: 'person:ana', body: { request: { kind: 'disable', subject: 'nhi:prod/x', connector: 'pg-main', target: 'app', reason: 'x' }, requester: ['person:ana'], idempotency: null },
    }, START_MS + 501_000)]),
  },
  { title: 'an order that names the new log', code: 'order-mismatch', lie: following(({ active }) => revokeOrder(active, { log: newLogId })) },
  { title: 'an order in the name of the old sidecar, recorded by the new', code: 'wrong-actor', lie: following(({ active }) => revokeOrder(active, { orderedBy: 'sidecar:0123456789abcdef' })) },
  { title: 'the end of a lease that runs, for no more than that it is adopted', code: 'wrong-order', lie: following(() => ({ type: 'change.expired', actor: newSidecar, body: { cause: 'adopted' } })) },
  {
    title: 'an end as if it were adopted, of a change of this log', code: 'wrong-order',
    lie: (place) => place.tell([], [
      draftOf(`chg_${newLogId}_${'0'.repeat(26)}`, { type: 'change.requested', actor: 'person:ana', body: { request: { kind: 'disable', subject: 'nhi:prod/x', connector: 'pg-main', target: 'app', reason: 'x' }, requester: ['person:ana'], idempotency: null } }, START_MS + 501_000),
      draftOf(`chg_${newLogId}_${'0'.repeat(26)}`, { type: 'change.expired', actor: newSidecar, body: { cause: 'adopted' } }, START_MS + 501_000),
    ]),
  },
];
