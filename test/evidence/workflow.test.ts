import { describe, expect, it } from 'vitest';
import { derivePlan } from '../../src/change/derive.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { VIOLATIONS } from '../../src/evidence/violation.ts';
import type { Requirement } from '../../src/protocol/decision.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema, ticketSchema } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { activated } from '../support/proposals.ts';
import { digest, editing, following, rereported, restated, twice, withBody, without } from '../support/edit-story.ts';
import {
  cleanStory, decision, GRANT, keys, ORIGIN, PROVISION, sidecar, sign, START_MS, statementOf, targetState, Telling, toldUntilActive, toldUntilArmed,
  toldUntilDecided, toldUntilEnded, toldUntilOrdered, type Beat,
} from '../support/story.ts';
import { BREAK_GLASS_CASES } from './break-glass-cases.ts';
import { ROTATION_CASES, SIGNED_CASES } from './glass-debts-cases.ts';
import { ADOPTION_CASES, HIDDEN_CASES } from './adoption-cases.ts';
import { DISCLOSURE_CASES } from './disclosure-cases.ts';
import { ESCALATION_CASES } from './escalation-cases.ts';
import { OBSERVE_CASES } from './observe-cases.ts';
import { EXTENSION_CASES } from './extension-cases.ts';
import { REDUCTION_CASES } from './reduction-cases.ts';
import { STAGE_CASES } from './stage-cases.ts';
import { STANDING_CASES } from './standing-cases.ts';
import { STEP_CASES } from './step-cases.ts';
import { expectCaught, verified, workflowOf, type Case, type Change } from './verified.ts';

const otherDigest = `sha256:${'0'.repeat(64)}`;
const reticketed = (edit: object, by = keys.ticket): Change => editing('step.authorised', (event) => {
  if (event.body.kind !== 'act') throw new Error('not the act');
  return withBody(event, { ticket: sign.ticket({ ...readPayload(event.body.ticket, ticketSchema), ...edit }, by) });
}, 1);
const reordered = (edit: object, by = keys.ticket, lease: object = {}): Change => editing('step.authorised', (event) => {
  if (event.body.kind !== 'act' || event.body.lease === null) throw new Error('not the act');
  return withBody(event, { lease: { ...event.body.lease, ...lease, order: sign.order({ ...readPayload(event.body.lease.order, revokeOrderSchema), ...edit }, by) } });
}, 1);
/** As long as the story is about the first change only: what follows an edit would not fit. */
const upTo = (type: Beat['event']['type'], nth: number, then: Change): Change => (beats) => {
  const at = beats.map((beat, i) => [beat, i] as const).filter(([beat]) => beat.event.type === type)[nth]![1];
  return then(beats.slice(0, at + 1));
};
const shift = (ms: number) => (_event: unknown, beat: Beat): Partial<Beat> => ({ atMs: beat.atMs + ms });

const CASES: readonly Case[] = [
  { title: 'a body that is not what its type says', code: 'malformed-record', change: editing('policy.decided', (event) => withBody(event, { revision: 'one' })) , amongOthers: true },
  { title: 'an approval after the change was scheduled', code: 'wrong-order', change: twice('approval.recorded') },
  { title: 'a change that is requested twice', code: 'wrong-order', change: upTo('change.requested', 0, twice('change.requested')) },
  { title: 'a decision in the name of a person', code: 'wrong-actor', change: editing('policy.decided', (event) => ({ ...event, actor: 'person:ana' })) },
  { title: 'a request recorded for somebody else', code: 'wrong-actor', change: editing('change.requested', (event) => ({ ...event, actor: 'person:mallory' })) },
  { title: 'an approval recorded under another name', code: 'wrong-actor', change: editing('approval.recorded', (event) => ({ ...event, actor: 'person:ben' })) },
  { title: 'an early revoke recorded under another name', code: 'wrong-actor', change: editing('step.authorised', (event) => ({ ...event, actor: 'person:mallory' }), 4) },
  { title: 'a person’s revoke that is said to rest on an answer of policy’s', code: 'redecision-mismatch', change: editing('step.authorised', (event) => withBody(event, { redecision: otherDigest }), 4) },
  ...([
    ['ledger.restored', { size: 1, root: otherDigest, had: 0, source: 'the bus' }], ['outbox.refilled', { stream: 'CS_STEPS', missing: 1, from: null, changes: [] }],
    ['messages.refused', { executor: 'executor:pg-1', refused: [{ run: null, code: 'malformed', count: 3 }] }],
    ['ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }], ['facts.loaded', { facts: otherDigest }],
  ] as const).map(([type, body]): Case => ({ title: `${type} in the name of a person`, code: 'wrong-actor', extra: [systemDraft(type, body as never, 'person:mallory', START_MS + 9_000_000)] })),
  { title: 'a start of another log', code: 'wrong-log', extra: [systemDraft('ledger.opened', { origin: 'other.example', epoch: 2, version: '0.1.0' }, sidecar, START_MS + 9_000_000)] },
  {
    title: 'a change that goes on after its end', code: 'record-after-end',
    change: following('lease.ended', (beat) => ({ type: 'lease.activated', actor: sidecar, body: { leaseId: beat.changeId.replace('chg', 'lse'), epoch: 1, endsAt: formatTime(START_MS) } })),
  },
  {
    title: 'a change that is asked for again after its end', code: 'record-after-end',
    change: (beats) => [...beats, { ...beats.find(({ event }) => event.type === 'change.requested')!, atMs: beats.at(-1)!.atMs }],
  },
  { title: 'a decision whose plan is not with it', code: 'plan-missing', change: upTo('policy.decided', 0, editing('policy.decided', ({ attached: _plan, ...event }) => event as never)) },
  { title: 'a decision before dispatch about another plan', code: 'plan-digest-mismatch', change: upTo('policy.decided', 1, editing('policy.decided', (event) => withBody(event, { planDigest: otherDigest }), 1)) },
  { title: 'a plan that gives more than was asked for', code: 'plan-not-requested', beats: () => widerPlan().beats },
  { title: 'a requirement that forgot its approvers', code: 'requirement-shrunk', change: upTo('policy.decided', 0, editing('policy.decided', (event) => withBody(event, { requirement: { approvers: null, proofClass: 'session' } }))) },
  { title: 'a decision by another bundle than was in force', code: 'bundle-mismatch', first: [activated(2, null)] },
  {
    title: 'a policy bundle that nobody has let come into force', code: 'activation-unapproved', trust: { policyActivation: { quorum: 1, approvers: ['person:ana'] } }, extra: [activated(1, null, {}, 10_000_000)],
  },
  {
    title: 'a decision that an exception alone allows', code: 'exception-unapproved',
    change: upTo('policy.decided', 0, editing('policy.decided', (event) => withBody(event, {
      decision: { ...event.body.decision, effect: 'allow', exceptions: [{ id: 'billing', rule: 'exceeds-purpose', owner: 'person:wei', until: formatTime(START_MS + 60_000) }] },
    }))),
  },
  { title: 'a step that was authorised under less than was decided', code: 'requirement-shrunk', change: editing('step.authorised', (event) => withBody(event, { requirement: { approvers: null, proofClass: 'session' } }), 1) },
  { title: 'a step without a decision right before it', code: 'not-decided', change: without('policy.decided', 1) },
  { title: 'a step long after its decision', code: 'stale-decision', change: upTo('step.authorised', 1, editing('step.authorised', shift(31_000), 1)) },
  { title: 'an approval that somebody else signed', code: 'approval-signature', change: editing('approval.recorded', (event) => restated(event, {}, keys.stranger)) },
  { title: 'an approval of another plan', code: 'approval-mismatch', change: upTo('approval.recorded', 0, editing('approval.recorded', (event) => restated(event, { planDigest: otherDigest }))) },
  { title: 'a rejection recorded as an approval', code: 'approval-mismatch', change: editing('approval.recorded', (event) => restated(event, { verdict: 'reject' })) },
  { title: 'an approval of an earlier revision', code: 'approval-mismatch', change: upTo('approval.recorded', 0, editing('approval.recorded', (event) => restated(event, { revision: 7 }))) },
  { title: 'an approval after its time', code: 'approval-expired', change: upTo('approval.recorded', 0, editing('approval.recorded', (event) => restated(event, { expiresAt: formatTime(START_MS) }))) },
  { title: 'an approval that is said to rest on an answer of policy’s', code: 'acceptance-mismatch', change: upTo('approval.recorded', 0, editing('approval.recorded', (event) => withBody(event, { acceptance: otherDigest }))) },
  { title: 'an approval by a person in the chain of requesters', code: 'self-approval', beats: () => selfApproved().beats },
  { title: 'an approval by somebody who was not asked', code: 'not-an-approver', change: upTo('approval.recorded', 0, editing('approval.recorded', (event) => restated(event, { approver: 'person:mallory' }))) },
  { title: 'a step that nobody approved', code: 'approvals-insufficient', change: without('approval.recorded'), amongOthers: true },
  { title: 'one approval where the floor asks for two', code: 'below-floor', trust: { quorum: 2 } },
  { title: 'an approval by somebody whom the floor does not count', code: 'below-floor', trust: { approvers: ['person:ben'] } },
  { title: 'a lease longer than the floor allows', code: 'below-floor', trust: { maxLeaseSeconds: 60 } },
  { title: 'a ticket that somebody else signed', code: 'ticket-signature', change: reticketed({}, keys.stranger) },
  { title: 'a ticket for another plan', code: 'ticket-mismatch', change: reticketed({ planDigest: otherDigest }) },
  { title: 'a ticket whose step is not the plan’s', code: 'ticket-mismatch', change: upTo('step.authorised', 1, (beats) => reticketed({ step: widened(beats) })(beats)) },
  { title: 'a lease that ends later than the plan allows', code: 'lease-mismatch', change: upTo('step.authorised', 1, reordered({ notBefore: formatTime(START_MS + 5_000_000) }, keys.ticket, { endsAt: formatTime(START_MS + 5_000_000) })) },
  { title: 'another order armed than was authorised', code: 'lease-mismatch', change: editing('lease.armed', (event) => withBody(event, { order: otherDigest })) },
  { title: 'another lease in use than was authorised', code: 'lease-mismatch', change: editing('lease.activated', (event) => withBody(event, { endsAt: formatTime(START_MS) })) },
  { title: 'an order that somebody else signed', code: 'order-signature', change: upTo('step.authorised', 1, reordered({}, keys.stranger)) },
  { title: 'an order for later than the lease ends', code: 'order-mismatch', change: upTo('step.authorised', 1, reordered({ notBefore: formatTime(START_MS + 5_000_000) })) },
  { title: 'an order that takes back another account’s access', code: 'order-mismatch', change: upTo('step.authorised', 1, reordered({ account: 'somebody_else' })) },
  { title: 'a report of an executor nobody knows', code: 'unknown-executor', change: editing('step.claimed', (event) => ({ ...rereported(event, () => ({ executor: 'executor:ghost' })), actor: 'executor:ghost' })) },
  { title: 'an executor that may not speak for the connector', code: 'executor-not-entitled', trust: { executorConnectors: ['pg-other'] } },
  { title: 'a report that its executor did not sign', code: 'report-signature', change: editing('step.succeeded', (event) => rereported(event, () => ({}), keys.otherExecutor)) },
  { title: 'a report about another change', code: 'report-mismatch', change: editing('step.succeeded', (event) => rereported(event, () => ({ changeId: `chg_${'0'.repeat(16)}_${'0'.repeat(26)}` }))) },
  { title: 'a failure recorded as a success', code: 'report-mismatch', change: upTo('step.succeeded', 0, editing('step.succeeded', (event) => rereported(event, () => ({ outcome: 'failed' })))) },
  { title: 'an end whose report names another order', code: 'report-mismatch', change: editing('lease.ended', (event) => rereported(event, () => ({ order: otherDigest }))) },
  { title: 'an effect that no step authorised', code: 'not-authorised', change: (beats) => without('lease.armed')(without('step.claimed')(without('step.authorised', 1)(beats))) , amongOthers: true },
  { title: 'an effect from before its authorisation', code: 'effect-before-evidence', change: editing('step.succeeded', (event) => rereported(event, () => ({ at: formatTime(START_MS) }))) },
  { title: 'a lease given before its end was armed', code: 'not-armed', change: upTo('step.succeeded', 0, without('lease.armed')) },
  { title: 'a second effect of one step', code: 'second-effect', change: twice('step.succeeded') },
  { title: 'a secret sealed to somebody else', code: 'seal-mismatch', change: editing('step.succeeded', (event) => rereported(event, () => ({ seal: { recipient: `age1${'p'.repeat(58)}`, ciphertext: otherDigest, fingerprint: 'ab'.repeat(32), replaces: null } }))) },
  { title: 'a secret whose seal was not recorded first', code: 'seal-mismatch', change: upTo('step.succeeded', 0, without('delivery.sealed')) },
  { title: 'an effect that was not read back', code: 'state-missing', change: editing('step.succeeded', (event) => rereported(event, () => ({ after: null }))) },
  { title: 'a state that is not with its record', code: 'state-missing', change: editing('step.succeeded', ({ attached: _states, ...event }) => event as never) },
  { title: 'a state of another account', code: 'state-mismatch', change: editing('step.succeeded', (event) => rereported(event, () => ({ after: digest(STRANGE) }), keys.executor, { after: STRANGE })) },
  { title: 'a lease in use that nobody verified', code: 'not-verified', change: upTo('lease.activated', 0, without('entitlement.verified')) },
  { title: 'a grant that ended long after its lease', code: 'ended-late', beats: () => endedAfter(45_000) },
  { title: 'a grant that nobody took back', code: 'lease-overdue', change: upTo('lease.activated', 0, (beats) => [...beats]), asOfMs: START_MS + 10_000_000 },
];

const STRANGE = targetState('somebody_else', [], true, 9);

function widened(beats: readonly Beat[]): object {
  const authorised = beats.filter(({ event }) => event.type === 'step.authorised')[1]!.event;
  if (authorised.type !== 'step.authorised' || authorised.body.kind !== 'act') throw new Error('not the act');
  const ticket = readPayload(authorised.body.ticket, ticketSchema);
  if (ticket.kind !== 'act') throw new Error('not the act');
  return { ...ticket.step, privileges: ['role:app_owner'] };
}

function widerPlan(): Telling {
  const honest = toldUntilDecided(PROVISION, START_MS);
  const decided = honest.beats.at(-1)!.event;
  if (decided.type !== 'policy.decided') throw new Error('not decided');
  const ticket = readPayload(honest.now.read!.ticket, ticketSchema);
  if (ticket.kind !== 'read') throw new Error('not read');
  const plan = derivePlan(honest.now, { ...ticket.query, privileges: ['role:app_owner'] }, honest.now.before!, { salt: honest.now.plan!.salt, window: null, consumers: [], parent: null })!;
  honest.beats[honest.beats.length - 1] = { ...honest.beats.at(-1)!, event: { ...decided, body: { ...decided.body, planDigest: digest(plan as never) }, attached: { plan } } };
  return honest;
}

function selfApproved(): Telling {
  const telling = toldUntilDecided(GRANT, START_MS);
  const requested = telling.beats[0]!.event;
  if (requested.type !== 'change.requested') throw new Error('not requested');
  const requester = [GRANT.subject, 'person:ana'];
  // Told anew from the start: the plan names who asked.
  const again = new Telling(START_MS);
  again.do({ type: 'request', by: GRANT.subject, request: GRANT, requester, idempotency: null });
  const rest = toldUntilDecidedFrom(again);
  rest.force({ type: 'approval.recorded', actor: 'person:ana', body: { approval: sign.approval(statementOf(rest, 'person:ana')), comment: null } });
  return rest;
}

function toldUntilDecidedFrom(telling: Telling): Telling {
  return toldUntilDecided(GRANT, telling.atMs, 'needsApproval', telling);
}

function endedAfter(lateMs: number): readonly Beat[] {
  const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
  return toldUntilEnded(telling, telling.now.lease!.order, lateMs).beats;
}

describe('a clean story', () => {
  it('holds with what is demanded in the words of versions before, which put one demand into the next', async () => {
    const wordy = (requirement: Requirement): Requirement => ({ ...requirement, approvers: requirement.approvers === null ? null : { allOf: [{ allOf: [requirement.approvers, requirement.approvers] }, requirement.approvers] } });
    const beats = cleanStory().beats.map((beat): Beat => {
      const { event } = beat;
      if (event.type === 'policy.decided') return { ...beat, event: withBody(event, { requirement: wordy(event.body.requirement) }) };
      return event.type === 'step.authorised' && event.body.kind === 'act' ? { ...beat, event: withBody(event, { requirement: wordy(event.body.requirement) }) } : beat;
    });
    expect(workflowOf(await verified(beats))).toMatchObject({ status: 'holds' });
  });

  it('holds, with its counts', async () => {
    const verification = await verified(cleanStory().beats);
    expect(verification.workflow?.violations).toEqual([]);
    expect(workflowOf(verification)).toEqual({ name: 'WORKFLOW', status: 'holds', message: '3 changes: 3 closed, 0 open; 2 grants: 2 taken back (the latest 0.4 s after its end)' });
    expect(verification.verdicts.filter(({ name }) => ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'].includes(name)).map(({ status }) => status)).toEqual(['holds', 'holds', 'holds']);
  });

  it('counts a lease that is running as open, not as overdue', async () => {
    const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const verification = await verified(telling.beats);
    expect(workflowOf(verification)).toMatchObject({ status: 'holds', message: '1 change: 0 closed, 1 open; 1 grant: 0 taken back, 1 running' });
  });

  it('believes a revoke that a revoker of the floor ordered with the sidecar dead', async () => {
    const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const armed = readPayload(telling.now.lease!.order, revokeOrderSchema);
    const order = sign.order({ ...armed, notBefore: formatTime(telling.atMs), cause: 'early', orderedBy: 'person:sam' }, keys.revoker);
    toldUntilEnded(telling, order, 100);
    expect(workflowOf(await verified(telling.beats))).toMatchObject({ status: 'holds' });
  });

  it('does not believe a revoker in somebody else’s name', async () => {
    const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const armed = readPayload(telling.now.lease!.order, revokeOrderSchema);
    toldUntilEnded(telling, sign.order({ ...armed, cause: 'early', orderedBy: 'person:olga' }, keys.revoker), 100);
    expect((await verified(telling.beats)).workflow?.violations.map(({ code }) => code)).toEqual(['order-signature']);
  });

  it('follows a ticket that was issued twice', async () => {
    const telling = toldUntilArmed(toldUntilDecided(PROVISION, START_MS));
    const [order] = [telling.now.lease!.order];
    telling.later(301_000);
    toldUntilArmedAgain(telling);
    toldUntilEnded(toldUntilActive(telling), order);
    expect((await verified(telling.beats)).workflow?.violations).toEqual([]);
  });

  it('follows a revised request, whose earlier approvals are void', async () => {
    const telling = toldUntilDecided(PROVISION, START_MS);
    telling.later(1_000).do({ type: 'revise', by: PROVISION.subject, request: { ...PROVISION, reason: 'the nightly export, corrected' } });
    toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, telling.atMs, 'needsApproval', telling)));
    toldUntilEnded(telling, telling.now.lease!.order);
    expect((await verified(telling.beats)).workflow?.violations).toEqual([]);
  });
});

function toldUntilArmedAgain(telling: Telling): void {
  const { plan } = telling.now;
  telling.do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan, decision: decision('needsApproval', { anyOf: ['person:ana', 'person:ben'] }), provenance: PROVENANCE, approvalSeconds: 3600 });
  const ticket = readPayload(telling.now.act!.ticket, ticketSchema);
  telling.do({
    type: 'authoriseAct', by: sidecar, order: telling.now.lease!.order,
    ticket: sign.ticket({ ...ticket, issue: ticket.issue + 1, notBefore: formatTime(telling.atMs), notAfter: formatTime(telling.atMs + 300_000) }),
  });
}
const PROVENANCE = { bundle: otherDigest, input: otherDigest, facts: [] };

describe('a story with one thing wrong', () => {
  it.each(CASES)('is caught: $title ($code)', (one) => expectCaught(one, () => cleanStory().beats));

  it('has a case for every violation there is', () => {
    expect([...new Set([...CASES, ...STEP_CASES, ...EXTENSION_CASES, ...ESCALATION_CASES, ...DISCLOSURE_CASES, ...ADOPTION_CASES, ...OBSERVE_CASES, ...REDUCTION_CASES, ...HIDDEN_CASES, ...BREAK_GLASS_CASES, ...STAGE_CASES, ...ROTATION_CASES, ...SIGNED_CASES, ...STANDING_CASES].map(({ code }) => code))].sort()).toEqual([...VIOLATIONS].sort());
  });

  it('says how many more there are', async () => {
    const verification = await verified(cleanStory().beats, { executorConnectors: ['pg-other'] });
    expect(workflowOf(verification).message).toMatch(/\(executor-not-entitled\), in chg_\S+, and \d+ more violations$/);
  });
});

describe('without a trust folder', () => {
  it('WORKFLOW is not established, and the ledger’s own verdicts are', async () => {
    const { verdicts } = await verified(cleanStory().beats, {}, { wholeFolder: false });
    expect(verdicts.find(({ name }) => name === 'WORKFLOW')).toEqual({ name: 'WORKFLOW', status: 'notEstablished', message: 'no trust folder' });
    expect(verdicts.find(({ name }) => name === 'SIGNATURE')?.status).toBe('holds');
  });

  it('a folder that lists no ticket key of the log establishes nothing either', async () => {
    expect(workflowOf(await verified(cleanStory().beats, { noSidecar: true }))).toMatchObject({ status: 'notEstablished' });
  });
});

describe('an early revoke', () => {
  it('that is recorded but not carried out leaves the lease to its own end', async () => {
    const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    toldUntilOrdered(telling, 'person:olga');
    expect(workflowOf(await verified(telling.beats))).toMatchObject({ status: 'holds' });
    expect((await verified(telling.beats, {}, { asOfMs: telling.beats.at(-1)!.atMs + 60_000 })).workflow?.violations.map(({ code }) => code)).toEqual(['lease-overdue']);
    expect((await verified(telling.beats, {}, { asOfMs: telling.now.lease!.endsAtMs + 60_000 })).workflow?.violations.map(({ code }) => code)).toEqual(['lease-overdue']);
  });
});

describe('a refusal of a ticket that was issued again since', () => {
  it('says nothing about the newer one: what that gave is still looked for', async () => {
    const telling = toldUntilArmed(toldUntilDecided(PROVISION, START_MS));
    const first = readPayload(telling.now.act!.ticket, ticketSchema);
    telling.later(301_000);
    toldUntilArmedAgain(telling);
    const stale = sign.report({
      kind: 'acted', v: 1, executor: first.audience, log: first.log, changeId: first.changeId, at: formatTime(telling.atMs), stepId: first.stepId, issue: first.issue, attempt: 0,
      outcome: 'refused', code: 'drifted', detail: null, before: null, after: null, byUse: 'notTried', seal: null,
    });
    telling.later(10).force({ type: 'step.refused', actor: first.audience, body: { report: stale } });
    const asOfMs = telling.now.lease!.endsAtMs + 60_000;
    expect((await verified(telling.beats, {}, { asOfMs })).workflow?.violations.map(({ code }) => code)).toContain('lease-overdue');
  });
});
