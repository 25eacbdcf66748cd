/** The records of one change, each as a plain sentence: what a person wants to know who asks why. */
import type { Authentication } from '../protocol/authentication.ts';
import type { JsonObject } from '../../ledger/index.ts';
import { changeEventBodies, type ChangeEventType, type EventBody, type NewEvent } from '../change/events.ts';
import type { ApproverExpression } from '../protocol/decision.ts';
import { isCommitment, type Commitment, type Prose } from '../protocol/disclosure.ts';
import { readBreakGlass } from '../protocol/break-glass.ts';
import { readPayload } from '../protocol/dsse.ts';
import { floorText } from '../protocol/floor-part.ts';
import type { PlanStep } from '../protocol/plan.ts';
import { callerOf, placeOf, type RecordedRequest } from '../protocol/request.ts';
import { relayedVerdictSchema } from '../protocol/relayed-verdict.ts';
import {
  approvalStatementSchema, reportSchema, revokeOrderSchema, ticketSchema, type ActedReport, type Approval, type Dsse, type Report, type Ticket,
} from '../protocol/signed.ts';
import { readStanding } from '../protocol/standing-approval.ts';
import { commitmentIn, withText } from './prose.ts';

/** What of a record a sentence needs. */
export interface StoryRecord {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly actor: string;
  readonly body: unknown;
}

export interface StoryLine {
  readonly record: number;
  readonly at: string;
  readonly text: string;
}

/** What became of the text that a record is committed to. */
export interface ToldDisclosure {
  readonly commitment: string;
  /** null: it is gone. */
  readonly text: string | null;
  /** The record under which it was erased; null where none says so. */
  readonly erasedUnder: number | null;
}

/** A line for each record, with what people wrote while that is there. One whose body cannot be read says so instead of ending the story. */
export function tellStory(records: readonly StoryRecord[], disclosures: readonly ToldDisclosure[] = []): StoryLine[] {
  const told = new Map(disclosures.map((one) => [one.commitment, one]));
  return records.map(({ seq, type, at, actor, body }) => ({ record: seq, at, text: sentence(type, actor, body, told) }));
}

function sentence(type: string, actor: string, body: unknown, told: ReadonlyMap<string, ToldDisclosure>): string {
  if (!Object.hasOwn(changeEventBodies, type)) return `${actor} recorded a ${type}, which this build does not know.`;
  const committed = commitmentIn({ type, body: body as JsonObject });
  const disclosed = committed === null ? undefined : told.get(committed.commitment);
  const parsed = changeEventBodies[type as ChangeEventType].safeParse(disclosed?.text == null ? body : withText(type, body as JsonObject, disclosed.text));
  if (!parsed.success) return `${actor} recorded a ${type} whose body is not what it should be.`;
  try {
    return tell({ type, actor, body: parsed.data } as NewEvent, disclosed?.erasedUnder ?? null);
  } catch {
    return `${actor} recorded a ${type} whose signed content cannot be read.`;
  }
}

/** Whose token it was, where it was none of the sidecar's own, which leaves it unsaid. */
function byWordOf({ authentication }: { readonly authentication?: Authentication | undefined }): string {
  return authentication === undefined ? '' : `, by the word of ${authentication.issuer},`;
}

/** Where somebody decided, where that was no request with a token. */
function whereOf({ channel, relayed }: EventBody<'approval.rejected'>): string {
  if (channel === 'slack') return ' in Slack';
  return relayed === undefined ? '' : ` at the sidecar of log ${readPayload(relayed, relayedVerdictSchema).relayedBy}`;
}

/** What proves it, where that is more than the sidecar's word on whose session it was. */
function provenBy({ proofClass }: Approval): string {
  return { session: '', ssh: ', by an SSH key of their own', passkey: ', by a passkey of their own' }[proofClass];
}

/** `A standing approval of person:ana (use 3 of 10, until …)`. */
function standingWords({ approvalId, envelope, use }: Approval): string {
  const { approver, uses, expiresAt } = readStanding(envelope);
  return `Standing approval ${approvalId} of ${approver} (use ${use} of ${uses}, until ${expiresAt})`;
}

/** @param erasedUnder the record under which its text was erased, where it was */
function tell(event: NewEvent, erasedUnder: number | null): string {
  const because = (comment: Prose | null): string => (comment === null ? '' : written('comment', comment, erasedUnder));
  const { actor } = event;
  switch (event.type) {
    case 'change.requested': {
      const { request, requester, parent } = event.body;
      const rest = requester.length > 1 ? ` for ${requester.slice(1).join(' for ')}` : '';
      const part = parent === undefined ? '' : `, as part of ${parent}`;
      return `${actor}${rest}${byWordOf(event.body)} asked to ${asked(request)}${part}${written('reason', request.reason, erasedUnder)}.`;
    }
    case 'change.revised':
      if (event.body.cause === 'windowMissed') return `The window was missed: the change is planned anew, as revision ${event.body.revision}. Every approval before is void.`;
      if (event.body.reduced !== undefined) return `${actor}, who is asked to approve it, reduced the request, which is now revision ${event.body.revision}: ${asked(event.body.request)}. Every approval before is void.`;
      return `${actor} changed the request, which is now revision ${event.body.revision}: ${asked(event.body.request)}. Every approval before is void.`;
    case 'change.withdrawn':
      return `${actor} withdrew the change${because(event.body.comment)}.`;
    case 'change.expired':
      return expired(event.body.cause);
    case 'change.adopted':
      return `This log carries the change on, which log ${event.body.log} had begun or carried on: what is told before has its numbers there. Nothing is gained by it any more.`;
    case 'policy.decided':
      return decided(event.body);
    case 'approval.judged':
      return `Policy was asked whether ${event.body.approver} may approve the plan, and ${event.body.acceptance.effect === 'accept' ? 'accepts' : 'refuses'} it: ${reasons(event.body.acceptance.reasons)}.`;
    case 'approval.recorded':
    case 'approval.rejected': {
      if (event.body.approval.use !== undefined) return `${standingWords(event.body.approval)} approved the plan${provenBy(event.body.approval)}.`;
      const statement = readPayload(event.body.approval.envelope, approvalStatementSchema);
      return `${statement.approver}${byWordOf(event.body)} ${event.type === 'approval.recorded' ? 'approved' : 'rejected'} plan ${short(statement.planDigest)} of revision ${statement.revision}${provenBy(event.body.approval)}${whereOf(event.body)}${because(event.body.comment)}.${event.type === 'approval.rejected' ? comesTo(event.body.outcome) : ''}`;
    }
    case 'breakglass.used': {
      const { usedBy, planDigest } = readBreakGlass(event.body.statement);
      return `${usedBy} broke the glass for plan ${short(planDigest)}, with a signature of their own in place of the approvals; somebody else reviews it by ${event.body.reviewBy}${written('reason', event.body.reason, erasedUnder)}.`;
    }
    case 'breakglass.reviewed':
      return `${actor} reviewed that the glass was broken${event.body.statement === undefined ? '' : ', with a signature of their own'}: ${event.body.verdict}${event.body.rotation === undefined ? '' : '; a new credential is not needed'}${because(event.body.comment)}.${event.body.standsIn === undefined ? '' : ' Nobody who was asked could any more, so security did.'}`;
    case 'breakglass.rotated':
      return `The login that was lent more has a new credential, made after the lease by ${event.body.change}.`;
    case 'approval.escalated':
      return `It still waited for approvals at ${event.body.dueAt}: ${event.body.to.join(', ')} ${event.body.to.length === 1 ? 'is' : 'are'} told as well. Who may approve has not changed.`;
    case 'step.authorised':
      return authorised(event.body, actor, because);
    case 'state.read':
      return `${actor} read the target.`;
    case 'step.claimed':
      return `${actor} took the step up; nothing was touched yet.`;
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
      return reported(event.body.report, actor);
    case 'step.ambiguous':
      return 'report' in event.body ? reported(event.body.report, actor) : 'The caller has said nothing by its deadline: what its code did is not known.';
    case 'lease.armed':
      return `The order that takes the access back (${short(event.body.order)}) is held where it works without the sidecar.`;
    case 'lease.activated':
      return `The access is in use, until ${event.body.endsAt}.`;
    case 'lease.extended':
      return `The access ends later: at ${event.body.endsAt}, by ${event.body.change}.`;
    case 'lease.disarmed':
      return `The order of the earlier end (${short(event.body.order)}) is armed no more.`;
    case 'lease.redecided': {
      const { redecision: { effect, reasons: why }, held } = event.body;
      if (effect === 'keep') return `Policy was asked again while the access was in use, and keeps it: ${reasons(why)}.`;
      if (effect === 'finding') return `Policy was asked again while the access was in use, and would not give it any more, which a person is to look at: ${reasons(why)}.`;
      return `Policy was asked again while the access was in use, and takes it back${held === null ? '' : ` once a person confirms, since it would be ${held.revokes} of ${held.leases} leases at once`}: ${reasons(why)}.`;
    }
    case 'lease.ended': {
      const order = readPayload(event.body.order, revokeOrderSchema);
      const cause = order.cause === 'leaseEnd' ? 'the lease was over' : order.cause === 'early' ? `${order.orderedBy} ordered it` : 'what was given had to be undone';
      return `${ended(readPayload(event.body.report, reportSchema))}, because ${cause}.`;
    }
    case 'entitlement.verified':
      if (event.body.verification.effect === 'allow') {
        return event.body.verification.reasons.some(({ code }) => code === 'self-reported')
          ? 'Nobody but the caller saw the state after its code ran; its report is believed.' : 'What was read after the effect is what was decided.';
      }
      return `What was read after the effect is not what was decided: ${reasons(event.body.verification.reasons)}.`;
    case 'delivery.sealed':
      return placeOf(event.body.seal.recipient) === null ? `${actor} made a new secret and sealed it to ${event.body.seal.recipient}, before applying it.`
        : `${actor} made a new secret for ${event.body.seal.recipient} and kept it there, where nobody looks yet, before applying it.`;
    case 'delivery.acknowledged':
      return event.actor.startsWith('executor:') ? `${actor} has put the secret where its users look for it.` : `${actor} has opened the secret.`;
    case 'delivery.undeliverable':
      return `The secret could not be delivered: ${event.body.reason}.`;
    case 'finding.opened':
      return `Something needs a person${event.body.owner === null ? '' : ` (${event.body.owner})`}: ${event.body.code}, ${event.body.message}.`;
    case 'finding.closed':
      return `${event.body.code} is settled.`;
    case 'window.opened':
      return `The window ${event.body.calendar} is open, until ${event.body.closesAt}${event.body.consumers.length === 0 ? '' : `; ${event.body.consumers.join(', ')} ${event.body.consumers.length === 1 ? 'is' : 'are'} told`}.`;
    case 'window.closed':
      return { over: `The window ${event.body.calendar} is over.`, finished: `Nothing needs the window ${event.body.calendar} any more: it is closed.`, missed: `The window ${event.body.calendar} was missed.` }[event.body.cause];
    case 'consumer.confirmed':
      return `${event.body.consumer} uses the new credential${actor === event.body.consumer ? '' : `, says ${actor}`}.`;
    case 'item.started':
      return `Item ${event.body.item + 1} is being taken back, by ${event.body.change}.`;
    case 'item.settled':
      return event.body.outcome === 'gone' ? `Item ${event.body.item + 1} is gone: ${event.body.detail}.`
        : `Item ${event.body.item + 1} is open${event.body.owner === null ? '' : `, and ${event.body.owner}’s to look at`}: ${event.body.detail}.`;
    case 'notification.delivered':
      return `${event.body.webhook} was told of record ${event.body.about} (${event.body.event})${event.body.message === undefined ? '' : ', in one message with others'}.`;
    case 'notification.failed':
      return `${event.body.webhook} could not be told of record ${event.body.about} (${event.body.event}): ${event.body.reason}.`;
  }
}

/** What a request asks for, after “asked to”. */
function asked(request: RecordedRequest): string {
  const self = callerOf(request) === null ? '' : ', by code of its own';
  switch (request.kind) {
    case 'provision':
    case 'grant':
      return `${request.kind} ${access(request.entitlements)} to ${request.subject}${request.duration === undefined ? '' : ` for ${request.duration}`}, for ${request.purpose}`;
    case 'extend':
      return `extend what ${request.change} gave, ${access(request.entitlements)} of ${request.subject}, for ${request.duration} from then on, for ${request.purpose}`;
    case 'revoke':
      return `revoke ${access(request.entitlements)} of ${request.subject}, for ${request.purpose}${self}`;
    case 'rotate':
      return `rotate the credential of ${request.subject} at ${request.connector}/${request.target}, for ${request.purpose}${self}`;
    case 'disable':
      return `shut out the account of ${request.subject} at ${request.connector}/${request.target}${self}`;
    case 'offboard':
      return `take back everything that ${request.subject} holds`;
  }
}

function expired(cause: Extract<NewEvent, { type: 'change.expired' }>['body']['cause']): string {
  switch (cause) {
    case 'approval':
      return 'Nobody decided in time: the change expired.';
    case 'window':
      return 'The time for the change was over before it began: the change expired.';
    case 'unclaimed':
      return 'The caller never took its ticket up: the change expired.';
    case 'adopted':
      return 'It was begun under an earlier log, and nothing had come of it: the change ended. Whoever needs it asks again.';
  }
}

type Decided = Extract<NewEvent, { type: 'policy.decided' }>['body'];
function decided({ phase, revision, decision, requirement, floor, uncounted, provenance, approvalsBy }: Decided): string {
  const when = phase === 'request' ? `about revision ${revision}` : 'once more, just before the step';
  const bundle = provenance.bundle === null ? 'no bundle loaded' : `bundle ${short(provenance.bundle)}`;
  const head = `Policy (${bundle}) decided ${when}:`;
  if (decision.effect === 'deny') {
    const excess = decision.entitlements.excess.length === 0 ? '' : ` Beyond the purpose: ${access(decision.entitlements.excess)}.`;
    const offer = decision.entitlements.counterOffer === null ? '' : ` It offers ${access(decision.entitlements.counterOffer.entitlements)} instead.`;
    return `${head} denied, ${reasons(decision.reasons)}.${excess}${offer}${exceptions(decision.exceptions)}`;
  }
  const asked = decision.observed !== undefined ? 'nobody need approve' : requirement.approvers === null ? 'nobody need approve' : `to be approved by ${approvers(requirement.approvers)}${approvalsBy === null ? '' : ` by ${approvalsBy}`}`;
  const held = decision.obligations.notBefore === undefined ? '' : ` Nothing is done before ${decision.obligations.notBefore}.`;
  return `${head} ${decision.effect === 'allow' ? 'allowed' : 'not without approval'}, ${reasons(decision.reasons)}; ${asked}.${floor === undefined ? '' : ` The floor asks for ${floorText(floor)}.`}${uncounted === undefined ? '' : ` Of the approvals ${uncounted.length === 1 ? 'counts' : 'count'} no more, by a proof that is over or since the executor takes none such: ${uncounted.join(', ')}.`}${held}${exceptions(decision.exceptions)}${observed(decision.observed)}`;
}

function observed(said: Decided['decision']['observed']): string {
  if (said === undefined) return '';
  const what = said.effect === 'deny' ? 'denied' : `not without approval${said.approvers === null ? '' : ` (by ${approvers(said.approvers)})`}`;
  return ` Scope ${said.scope} of ${said.owner} is under observe until ${said.until}: policy says ${what}, ${reasons(said.reasons)}, and that was not enforced.`;
}

function exceptions(used: Decided['decision']['exceptions'] = []): string {
  return used.map(({ id, rule, owner, until }) => ` The exception ${id} of ${owner}, until ${until}, took ${rule} away.`).join('');
}

type Authorised = Extract<NewEvent, { type: 'step.authorised' }>['body'];
function authorised(body: Authorised, actor: string, because: (comment: Prose | null) => string): string {
  if (body.kind === 'revoke') {
    const order = readPayload(body.order, revokeOrderSchema);
    return `${actor} ordered the access back now${because(body.comment)}: ${order.audience} is to undo the ${order.action} of ${order.account}.`;
  }
  const ticket: Ticket = readPayload(body.ticket, ticketSchema);
  const until = `Its ticket is good until ${ticket.notAfter}.`;
  if (ticket.kind === 'read') return `${actor} authorised ${ticket.audience} to read ${ticket.query.account} at ${ticket.query.connector}/${ticket.query.target}. ${until}`;
  const lease = body.kind === 'act' && body.lease !== null ? ` The access ends at ${body.lease.endsAt}.` : '';
  const again = ticket.issue === 1 ? '' : ` (issue ${ticket.issue})`;
  return `${actor} authorised ${ticket.audience}${again} to ${doing(ticket.step)}, by plan ${short(ticket.planDigest)}.${lease} ${until}`;
}

function doing({ action, account, other, privileges }: PlanStep): string {
  switch (action) {
    case 'stage':
      return `make ${account} a login with ${privileges.join(', ')}, beside ${other ?? 'the old one'}`;
    case 'cutover':
      return `see whether ${account} can take over from ${other ?? 'the old one'}`;
    case 'retire':
      return `shut ${account} out, now that ${other ?? 'the new one'} has taken over`;
    case 'replace':
      return `give ${account} a new secret in place of its old one`;
    case 'disable':
      return `shut ${account} out`;
    case 'extend':
      return `give ${privileges.join(', ')} of ${account} a later end`;
    case 'call':
      return `run its own code for ${account}`;
    case 'provision':
    case 'grant':
    case 'revoke':
      return `${action} ${privileges.join(', ')} for ${account}`;
  }
}

function reported(envelope: Dsse, actor: string): string {
  const report = readPayload(envelope, reportSchema);
  if (report.kind === 'claimed') return `${actor} took the step up; nothing was touched yet.`;
  if (report.kind === 'revoked') return `${ended(report)}.`;
  const why = report.code === null ? '' : ` (${report.code}${report.detail === null ? '' : `: ${report.detail}`})`;
  if (report.kind === 'read') return `${actor} could not read the target${why}.`;
  if (report.executor.startsWith('caller:')) return reportedByCaller(report, actor, why);
  switch (report.outcome) {
    case 'done':
      return `${actor} did it at ${report.at}, and read it back${report.byUse === 'works' ? '; the credential was used and works' : ''}.`;
    case 'already-absent':
      return `${actor} found at ${report.at} that it was gone already.`;
    case 'ambiguous':
      return `${actor} does not know whether it happened${why}; it looks, and does not simply try again.`;
    case 'drifted':
      return `${actor} found the target other than the plan says, and did nothing${why}.`;
    case 'refused':
    case 'immutable':
      return `${actor} refused and did nothing${why}.`;
    case 'failed':
      return `The target refused; nothing was changed${why}.`;
  }
}

/** What a run says of its own code, which nobody else has seen so far. */
function reportedByCaller({ outcome, at }: ActedReport, actor: string, why: string): string {
  if (outcome === 'done' || outcome === 'already-absent') return `${actor} says that its code did it, by ${at}${why}.`;
  return outcome === 'ambiguous' ? `${actor} does not know what its code did${why}.` : `${actor} says that its code did not do it${why}.`;
}

function ended(report: Report): string {
  if (report.kind !== 'revoked') return 'The access ended';
  return report.outcome === 'already-absent' ? `${report.executor} found at ${report.at} that the access was gone` : `${report.executor} took the access back at ${report.at}`;
}

function access(entitlements: readonly { connector: string; target: string; privilege: string }[]): string {
  return entitlements.map(({ connector, target, privilege }) => `${privilege} at ${connector}/${target}`).join(', ');
}

function comesTo(outcome: EventBody<'approval.rejected'>['outcome']): string {
  if (outcome === undefined || outcome === 'enough') return '';
  return outcome === 'open' ? ' The change waits for others.' : ' Those who are left cannot approve it: the change is over.';
}

function approvers(expression: ApproverExpression): string {
  if (typeof expression === 'string') return expression;
  if ('stages' in expression) return expression.stages.map(approvers).join(', then ') || 'somebody who does not exist';
  if ('allOf' in expression) return expression.allOf.map(approvers).join(' and ') || 'somebody who does not exist';
  if ('anyOf' in expression) return expression.anyOf.map(approvers).join(' or ') || 'somebody who does not exist';
  return `${expression.atLeast} of ${expression.of.map(approvers).join(', ')}`;
}

const reasons = (given: readonly { code: string; message: string }[]): string => given.map(({ code, message }) => `${code} (${message})`).join('; ');
function written(what: string, prose: string | Commitment, erasedUnder: number | null): string {
  // What ends the quotation is ours to write, and nobody goes on in our words after it.
  if (!isCommitment(prose)) return `: “${prose.replaceAll('”', '\\u{201d}')}”`;
  return erasedUnder === null ? `; the ${what} is not there` : `; the ${what} was erased under seq ${erasedUnder}`;
}
const short = (digest: string): string => `${digest.slice(0, 'sha256:'.length + 12)}…`;
