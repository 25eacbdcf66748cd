/** How each record of a change is told in OCSF. The change itself is a managed entity; what was done at a target is done to a user. */
import type { JsonObject } from '../../../ledger/index.ts';
import type { FindingCode } from '../../change/events.ts';
import { readPayload } from '../../protocol/dsse.ts';
import type { Decision } from '../../protocol/decision.ts';
import { revokeOrderSchema, ticketSchema } from '../../protocol/signed.ts';
import type { RecordType, Said } from '../body-of.ts';
import { told, type Severity, type Told } from './event.ts';
import type { KnownChange } from './known.ts';
import { actorOf, authorizations, disposed, entityOf } from './objects.ts';
import { endTold, stepTold } from './of-step.ts';

type Of<T extends RecordType> = Extract<Said, { type: T }>;
export interface Stored {
  readonly change: string;
  readonly actor: string;
  /** The log's id. */
  readonly log: string;
}

/** What somebody has to look at now. */
const GRAVE: ReadonlySet<FindingCode> = new Set(['revoke-overdue', 'revoke-failed', 'revoke-mismatch', 'verification-failed', 'log-rolled-back', 'review-overdue', 'rotation-overdue']);

/** null for what is told of by another record, or is no matter of security: `docs/ocsf.md` lists both. @throws ProtocolError for what no record should hold */
export function changeTold(said: Said, { change, actor, log }: Stored, known: KnownChange | null): Told | null {
  const entity = entityOf('access change', change, known === null ? {} : { kind: known.request.kind, subject: known.request.subject });
  const by = actorOf(actor);
  const update = (more: JsonObject = {}, rest: Parameters<typeof told>[3] = {}): Told => told('Entity Management', 'Update', { entity, ...by, ...more }, rest);
  switch (said.type) {
    case 'change.requested': {
      const { request, requester, authentication, parent } = said.body;
      const [, ...actingFor] = requester;
      const unmapped = { ...(actingFor.length === 0 ? {} : { actingFor }), ...(parent === undefined ? {} : { parent }) };
      return told('Entity Management', 'Create', { entity: { ...entity, data: asked(request) }, ...actorOf(requester[0]!, authentication) }, { unmapped });
    }
    case 'change.revised':
      return update({ entity: { ...entity, data: asked(said.body.request) } }, { unmapped: { revision: said.body.revision, ...(said.body.cause === undefined ? {} : { cause: said.body.cause }) } });
    case 'change.withdrawn':
      return update();
    case 'change.expired':
      return update({ status_code: said.body.cause }, { status: 'Failure' });
    case 'change.adopted':
      return told('Entity Management', 'Move', { entity, ...by }, { unmapped: { from: said.body.log, records: said.body.records, head: said.body.head } });
    case 'policy.decided':
      return decided(said, update);
    case 'approval.judged': {
      const { approver, acceptance, provenance } = said.body;
      return update(authorizations(acceptance.effect, provenance), { unmapped: { approver, ...whyOf(acceptance) }, ...(acceptance.effect === 'refuse' ? { severity: 'Low' as const } : {}) });
    }
    case 'approval.recorded':
    case 'approval.rejected': {
      const { approval: { approvalId, proofClass, use }, authentication, channel } = said.body;
      // Where more than one person must reject, the change may go on.
      const outcome = said.type === 'approval.rejected' && said.body.outcome !== undefined ? { outcome: said.body.outcome } : {};
      const verdict = said.type === 'approval.recorded' ? disposed('Allowed', 'Approved') : disposed('Denied', 'Rejected');
      // She gave it before, and did nothing now: what was given beforehand the sidecar finds to fit.
      if (use !== undefined) return update({ ...actorOf(`sidecar:${log}`), ...disposed('Allowed', 'Allowed') }, { unmapped: { approvalId, proofClass, use, approver: actor } });
      return update({ ...actorOf(actor, authentication), ...verdict }, { unmapped: { approvalId, proofClass, ...(channel === undefined ? {} : { channel }), ...outcome } });
    }
    case 'approval.escalated':
      return update({}, { unmapped: { to: said.body.to, dueAt: said.body.dueAt } });
    case 'breakglass.used':
      return update({ is_alert: true, ...disposed('Allowed', 'Allowed') }, { severity: 'High', unmapped: { reviewBy: said.body.reviewBy } });
    case 'breakglass.reviewed':
      return update({ status_code: said.body.verdict }, { severity: said.body.verdict === 'unjustified' ? 'High' : 'Informational' });
    case 'breakglass.rotated':
      return update({}, { unmapped: { rotatedBy: said.body.change } });
    case 'step.authorised':
      return authorised(said, update);
    case 'step.succeeded':
    case 'step.failed':
    case 'step.refused':
      return stepTold(said.body.report, actor, known, update);
    case 'step.ambiguous':
      return 'report' in said.body ? stepTold(said.body.report, actor, known, update) : update({ status_code: said.body.cause }, { status: 'Unknown', unmapped: { stepId: said.body.stepId } });
    case 'lease.activated':
      return told('Entity Management', 'Activate', { entity: entityOf('lease', said.body.leaseId, { endsAt: said.body.endsAt, epoch: said.body.epoch }), ...by });
    case 'lease.extended':
      return told('Entity Management', 'Update', { entity: entityOf('lease', said.body.leaseId, { endsAt: said.body.endsAt, epoch: said.body.epoch }), ...by }, { unmapped: { extendedBy: said.body.change } });
    case 'lease.redecided': {
      const { leaseId, redecision, provenance, held } = said.body;
      return told('Entity Management', 'Update', { entity: entityOf('lease', leaseId), ...by, ...authorizations(redecision.effect, provenance) }, { severity: redecision.effect === 'keep' ? 'Informational' : 'Medium', unmapped: { ...whyOf(redecision), ...(held === null ? {} : { held }) } });
    }
    case 'lease.ended':
      return endTold(said.body, actor, known);
    case 'entitlement.verified':
      return verified(said, change, actor);
    case 'delivery.sealed': {
      const { recipient, ciphertext } = said.body.seal;
      return told('Entity Management', 'Create', { entity: entityOf('sealed secret', ciphertext), ...by }, { unmapped: { recipient, stepId: said.body.stepId } });
    }
    case 'delivery.acknowledged':
      return told('Entity Management', 'Read', { entity: entityOf('sealed secret', said.body.ciphertext), ...by });
    case 'delivery.undeliverable':
      return told('Entity Management', 'Delete', { entity: entityOf('sealed secret', said.body.ciphertext), ...by, status_detail: said.body.reason }, { severity: 'Medium', status: 'Failure' });
    case 'finding.opened': {
      const { code, message, owner } = said.body;
      return told('Detection Finding', 'Create', { finding_info: { uid: `${change}/${code}`, title: code, desc: message }, is_alert: true }, { severity: GRAVE.has(code) ? 'High' : 'Medium', unmapped: { actor, ...(owner === null ? {} : { owner }) } });
    }
    case 'finding.closed':
      return told('Detection Finding', 'Close', { finding_info: { uid: `${change}/${said.body.code}`, title: said.body.code } }, { status: 'Resolved', unmapped: { actor } });
    case 'item.settled': {
      const { item, outcome, owner, detail } = said.body;
      return update({ status_detail: detail }, { ...(outcome === 'gone' ? {} : { status: 'Failure' as const, severity: 'Medium' as const }), unmapped: { item, outcome, ...(owner === null ? {} : { owner }) } });
    }
    default:
      return null;
  }
}

/** The request without what people wrote: that can be erased, and a copy of it elsewhere could not. */
function asked(request: KnownChange['request']): JsonObject {
  const { reason: _reason, ...rest } = request;
  return JSON.parse(JSON.stringify(rest)) as JsonObject;
}

type Update = (more?: JsonObject, rest?: Parameters<typeof told>[3]) => Told;

const WEIGHT: Readonly<Record<Decision['effect'], Severity>> = { allow: 'Informational', needsApproval: 'Informational', deny: 'Low' };

function decided({ body: { phase, revision, decision, provenance, uncounted } }: Of<'policy.decided'>, update: Update): Told {
  const { effect, observed, entitlements: { excess } } = decision;
  const outcome = effect === 'allow' ? disposed('Allowed', 'Allowed') : effect === 'deny' ? disposed('Denied', 'Blocked') : {};
  const unmapped = { phase, revision, ...whyOf(decision), ...(excess.length === 0 ? {} : { excess: excess.map(({ connector, target, privilege }) => `${connector}/${target} ${privilege}`) }), ...(observed === undefined ? {} : { observed: observed.effect, scope: observed.scope }), ...(uncounted === undefined ? {} : { uncounted }) };
  return update({ ...authorizations(effect, provenance), ...outcome }, { severity: observed === undefined ? WEIGHT[effect] : 'Medium', unmapped });
}

/** Why policy said so, by code; and which controls that is about. */
function whyOf({ reasons, controls }: Pick<Decision, 'reasons' | 'controls'>): JsonObject {
  return { ...(reasons.length === 0 ? {} : { reasons: reasons.map(({ code }) => code) }), ...(controls.length === 0 ? {} : { controls: [...new Set(controls.map(({ framework, id }) => `${framework} ${id}`))] }) };
}

/** Reads give nothing, and are not told. */
function authorised({ body }: Of<'step.authorised'>, update: Update): Told | null {
  if (body.kind === 'read') return null;
  if (body.kind === 'revoke') {
    const { leaseId, connector, target, account, privileges, cause, orderedBy } = readPayload(body.order, revokeOrderSchema);
    return update({}, { unmapped: { order: { leaseId, connector, target, account, privileges, cause, orderedBy } } });
  }
  const ticket = readPayload(body.ticket, ticketSchema);
  if (ticket.kind !== 'act') return null;
  const { stepId, action, connector, target, account, privileges } = ticket.step;
  const approvals = body.approvals.length === 0 ? {} : { approvals: body.approvals };
  return update({}, { unmapped: { step: { stepId, action, connector, target, account, privileges }, issue: body.issue, audience: ticket.audience, planDigest: body.planDigest, ...approvals, ...(body.lease === null ? {} : { leaseId: body.lease.leaseId, endsAt: body.lease.endsAt }) } });
}

/** Whether the state after the effect is what was decided: a check that passes or fails. */
function verified({ body: { stepId, verification } }: Of<'entitlement.verified'>, change: string, actor: string): Told {
  const passes = verification.effect === 'allow';
  const standards = [...new Set(verification.controls.map(({ framework }) => framework))];
  const controls = verification.controls.map(({ framework, id }) => `${framework} ${id}`);
  return told('Compliance Finding', 'Create', {
    finding_info: { uid: `${change}/${stepId}`, title: passes ? 'The entitlement is as decided' : 'The entitlement is not as decided' },
    compliance: { status_id: passes ? 1 : 3, status: passes ? 'Pass' : 'Fail', ...(standards.length === 0 ? {} : { standards }), ...(controls.length === 0 ? {} : { requirements: [...new Set(controls)] }) },
  }, { severity: passes ? 'Informational' : 'High', status: passes ? 'Resolved' : 'New', unmapped: { actor, ...whyOf({ reasons: verification.reasons, controls: [] }) } });
}
