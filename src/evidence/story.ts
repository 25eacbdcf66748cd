/** The records of one change, each as a plain sentence: what a person wants to know who asks why. */
import { changeEventBodies, type ChangeEventType, type NewEvent } from '../change/events.ts';
import type { ApproverExpression } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import {
  approvalStatementSchema, reportSchema, revokeOrderSchema, ticketSchema, type Dsse, type Report, type Ticket,
} from '../protocol/signed.ts';

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

/** A line for each record. One whose body cannot be read says so instead of ending the story. */
export function tellStory(records: readonly StoryRecord[]): StoryLine[] {
  return records.map(({ seq, type, at, actor, body }) => ({ record: seq, at, text: sentence(type, actor, body) }));
}

function sentence(type: string, actor: string, body: unknown): string {
  if (!Object.hasOwn(changeEventBodies, type)) return `${actor} recorded a ${type}, which this build does not know.`;
  const parsed = changeEventBodies[type as ChangeEventType].safeParse(body);
  if (!parsed.success) return `${actor} recorded a ${type} whose body is not what it should be.`;
  try {
    return tell({ type, actor, body: parsed.data } as NewEvent);
  } catch {
    return `${actor} recorded a ${type} whose signed content cannot be read.`;
  }
}

function tell(event: NewEvent): string {
  const { actor } = event;
  switch (event.type) {
    case 'change.requested': {
      const { request, requester } = event.body;
      const rest = requester.length > 1 ? ` for ${requester.slice(1).join(' for ')}` : '';
      const time = request.kind === 'revoke' || request.duration === undefined ? '' : ` for ${request.duration}`;
      return `${actor}${rest} asked to ${request.kind} ${access(request.entitlements)} ${request.kind === 'revoke' ? 'of' : 'to'} ${request.subject}${time}, for ${request.purpose}: “${request.reason}”.`;
    }
    case 'change.revised':
      return `${actor} changed the request, which is now revision ${event.body.revision}, asking for ${access(event.body.request.entitlements)}. Every approval before is void.`;
    case 'change.withdrawn':
      return `${actor} withdrew the change${because(event.body.comment)}.`;
    case 'change.expired':
      return event.body.cause === 'approval' ? 'Nobody decided in time: the change expired.' : 'The time for the access was over before it began: the change expired.';
    case 'policy.decided':
      return decided(event.body);
    case 'approval.recorded':
    case 'approval.rejected': {
      const statement = readPayload(event.body.approval.envelope, approvalStatementSchema);
      return `${statement.approver} ${event.type === 'approval.recorded' ? 'approved' : 'rejected'} plan ${short(statement.planDigest)} of revision ${statement.revision}${because(event.body.comment)}.`;
    }
    case 'step.authorised':
      return authorised(event.body, actor);
    case 'state.read':
      return `${actor} read the target.`;
    case 'step.claimed':
      return `${actor} took the step up; nothing was touched yet.`;
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
    case 'step.ambiguous':
      return reported(event.body.report, actor);
    case 'lease.armed':
      return `The order that takes the access back (${short(event.body.order)}) is held where it works without the sidecar.`;
    case 'lease.activated':
      return `The access is in use, until ${event.body.endsAt}.`;
    case 'lease.ended': {
      const order = readPayload(event.body.order, revokeOrderSchema);
      const cause = order.cause === 'leaseEnd' ? 'the lease was over' : order.cause === 'early' ? `${order.orderedBy} ordered it` : 'what was given had to be undone';
      return `${ended(readPayload(event.body.report, reportSchema))}, because ${cause}.`;
    }
    case 'entitlement.verified':
      return event.body.verification.effect === 'allow' ? 'What was read after the effect is what was decided.'
        : `What was read after the effect is not what was decided: ${reasons(event.body.verification.reasons)}.`;
    case 'delivery.sealed':
      return `${actor} made a new secret and sealed it to ${event.body.seal.recipient}, before applying it.`;
    case 'delivery.acknowledged':
      return `${actor} has opened the secret.`;
    case 'delivery.undeliverable':
      return `The secret could not be delivered: ${event.body.reason}.`;
    case 'finding.opened':
      return `Something needs a person${event.body.owner === null ? '' : ` (${event.body.owner})`}: ${event.body.code}, ${event.body.message}.`;
    case 'finding.closed':
      return `${event.body.code} is settled.`;
  }
}

type Decided = Extract<NewEvent, { type: 'policy.decided' }>['body'];
function decided({ phase, revision, decision, requirement, provenance, approvalsBy }: Decided): string {
  const when = phase === 'request' ? `about revision ${revision}` : 'once more, just before the step';
  const bundle = provenance.bundle === null ? 'no bundle loaded' : `bundle ${short(provenance.bundle)}`;
  const head = `Policy (${bundle}) decided ${when}:`;
  if (decision.effect === 'deny') {
    const excess = decision.entitlements.excess.length === 0 ? '' : ` Beyond the purpose: ${access(decision.entitlements.excess)}.`;
    const offer = decision.entitlements.counterOffer === null ? '' : ` It offers ${access(decision.entitlements.counterOffer.entitlements)} instead.`;
    return `${head} denied, ${reasons(decision.reasons)}.${excess}${offer}`;
  }
  const asked = requirement.approvers === null ? 'nobody need approve' : `to be approved by ${approvers(requirement.approvers)}${approvalsBy === null ? '' : ` by ${approvalsBy}`}`;
  return `${head} ${decision.effect === 'allow' ? 'allowed' : 'not without approval'}, ${reasons(decision.reasons)}; ${asked}.`;
}

type Authorised = Extract<NewEvent, { type: 'step.authorised' }>['body'];
function authorised(body: Authorised, actor: string): string {
  if (body.kind === 'revoke') {
    const order = readPayload(body.order, revokeOrderSchema);
    return `${actor} ordered the access back now${because(body.comment)}: ${order.audience} is to undo the ${order.action} of ${order.account}.`;
  }
  const ticket: Ticket = readPayload(body.ticket, ticketSchema);
  const until = `Its ticket is good until ${ticket.notAfter}.`;
  if (ticket.kind === 'read') return `${actor} authorised ${ticket.audience} to read ${ticket.query.account} at ${ticket.query.connector}/${ticket.query.target}. ${until}`;
  const lease = body.kind === 'act' && body.lease !== null ? ` The access ends at ${body.lease.endsAt}.` : '';
  const again = ticket.issue === 1 ? '' : ` (issue ${ticket.issue})`;
  return `${actor} authorised ${ticket.audience}${again} to ${ticket.step.action} ${ticket.step.privileges.join(', ')} for ${ticket.step.account}, by plan ${short(ticket.planDigest)}.${lease} ${until}`;
}

function reported(envelope: Dsse, actor: string): string {
  const report = readPayload(envelope, reportSchema);
  if (report.kind === 'claimed') return `${actor} took the step up; nothing was touched yet.`;
  if (report.kind === 'revoked') return `${ended(report)}.`;
  const why = report.code === null ? '' : ` (${report.code}${report.detail === null ? '' : `: ${report.detail}`})`;
  if (report.kind === 'read') return `${actor} could not read the target${why}.`;
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

function ended(report: Report): string {
  if (report.kind !== 'revoked') return 'The access ended';
  return report.outcome === 'already-absent' ? `${report.executor} found at ${report.at} that the access was gone` : `${report.executor} took the access back at ${report.at}`;
}

function access(entitlements: readonly { connector: string; target: string; privilege: string }[]): string {
  return entitlements.map(({ connector, target, privilege }) => `${privilege} at ${connector}/${target}`).join(', ');
}

function approvers(expression: ApproverExpression): string {
  if (typeof expression === 'string') return expression;
  if ('allOf' in expression) return expression.allOf.map(approvers).join(' and ') || 'somebody who does not exist';
  if ('anyOf' in expression) return expression.anyOf.map(approvers).join(' or ') || 'somebody who does not exist';
  return `${expression.atLeast} of ${expression.of.map(approvers).join(', ')}`;
}

const reasons = (given: readonly { code: string; message: string }[]): string => given.map(({ code, message }) => `${code} (${message})`).join('; ');
const because = (comment: string | null): string => (comment === null ? '' : `: “${comment}”`);
const short = (digest: string): string => `${digest.slice(0, 'sha256:'.length + 12)}…`;
