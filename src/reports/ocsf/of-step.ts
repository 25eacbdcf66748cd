/** What an executor, or a caller's run, did at a target: of which account, and what it gave or took. */
import type { JsonObject } from '../../../ledger/index.ts';
import type { EventBody } from '../../change/events.ts';
import { readPayload } from '../../protocol/dsse.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import { readReport } from '../../protocol/report.ts';
import { entitlementsOf } from '../../protocol/request.ts';
import { revokeOrderSchema, type Dsse, type Report } from '../../protocol/signed.ts';
import { parseTime } from '../../protocol/values.ts';
import { told, type Status, type Told } from './event.ts';
import type { KnownChange } from './known.ts';
import { accountOf, actorOf, resourceOf } from './objects.ts';

type Update = (more?: JsonObject, rest?: Parameters<typeof told>[3]) => Told;

/** What became of it is the signed report's to say, whatever sort of record holds the report: WORKFLOW finds where the two differ. */
function statusOf({ outcome }: Extract<Report, { outcome: unknown }>): Status {
  if (outcome === 'done' || outcome === 'already-absent') return 'Success';
  return outcome === 'ambiguous' ? 'Unknown' : 'Failure';
}

/** The result of a step as its report has it. What is not known to be a step of an account is told of the change. */
export function stepTold(envelope: Dsse, actor: string, known: KnownChange | null, update: Update): Told {
  const report = readReport(envelope, 'acted', 'read');
  const outcome = saidBy(report);
  const status = statusOf(report);
  const rest = { status, severity: status === 'Success' ? 'Informational' : 'Medium', atMs: parseTime(report.at), unmapped: { stepId: report.stepId, outcome: report.outcome } } as const;
  const step = known?.step?.stepId === report.stepId ? known.step : null;
  if (report.kind === 'read' || step === null) return update(outcome, rest);
  return doneBy(step, known!, { ...actorOf(actor), ...outcome, resources: [resourceOf(step)] }, { ...rest, unmapped: { ...rest.unmapped, action: step.action, byUse: report.byUse } }, update);
}

const saidBy = ({ code, detail }: Extract<Report, { code: unknown }>): JsonObject => ({ ...(code === null ? {} : { status_code: code }), ...(detail === null ? {} : { status_detail: detail }) });

function doneBy(step: PlanStep, { request }: KnownChange, more: JsonObject, rest: NonNullable<Parameters<typeof told>[3]>, update: Update): Told {
  const { subject } = request;
  const user = accountOf(subject, step.account, step);
  const withCredential = accountOf(subject, step.account, step, step.clientToken);
  const privileges = step.privileges.length === 0 ? {} : { privileges: step.privileges };
  switch (step.action) {
    case 'provision':
      return told('User Management', 'Create', { user: withCredential, ...privileges, ...more }, rest);
    case 'grant':
      return told('User Management', 'Assign Privileges', { user, ...privileges, ...more }, rest);
    case 'extend':
      return told('User Management', 'Update', { user, ...privileges, ...more }, rest);
    case 'revoke':
      return told('User Management', 'Remove Privileges', { user, ...privileges, ...more }, rest);
    case 'stage':
      return told('User Management', 'Add Programmatic Credentials', { user: withCredential, ...privileges, ...more }, rest);
    case 'retire':
      return told('User Management', 'Remove Programmatic Credentials', { user, ...more }, rest);
    case 'replace':
      return told('User Management', 'Password Change', { user, ...more }, rest);
    case 'disable':
      return told('User Management', 'Disable', { user, ...more }, rest);
    // It changes nothing at the target.
    case 'cutover':
      return update(outcomeOf(more), rest);
    // What the caller's code did is known by what was asked for, and no further.
    case 'call':
      if (request.kind === 'disable') return told('User Management', 'Disable', { user, ...more }, rest);
      if (request.kind === 'revoke') return told('User Management', 'Remove Privileges', { user, privileges: entitlementsOf(request).map(({ privilege }) => privilege), ...more }, rest);
      return told('User Management', 'Rotate', { user, ...more }, rest);
  }
}

const outcomeOf = ({ status_code, status_detail }: JsonObject): JsonObject => ({ ...(status_code === undefined ? {} : { status_code }), ...(status_detail === undefined ? {} : { status_detail }) });

/** Access is gone, as its executor has signed it: what was lent is taken back, and what was made for it no longer works. */
export function endTold({ report: envelope, order }: EventBody<'lease.ended'>, actor: string, known: KnownChange | null): Told {
  const report = readReport(envelope, 'revoked');
  const { action, connector, target, account, privileges, clientToken, cause, orderedBy, leaseId, notBefore } = readPayload(order, revokeOrderSchema);
  const at = { connector, target };
  const more = { ...actorOf(actor), ...saidBy(report), privileges, resources: [resourceOf(at)] };
  const status = statusOf(report);
  const rest = { status, severity: status === 'Success' ? 'Informational' : 'High', atMs: parseTime(report.at), unmapped: { leaseId, cause, orderedBy, notBefore, outcome: report.outcome, byUse: report.byUse } } as const;
  const subject = known?.request.subject ?? null;
  return action === 'grant'
    ? told('User Management', 'Remove Privileges', { user: accountOf(subject, account, at), ...more }, rest)
    : told('User Management', 'Remove Programmatic Credentials', { user: accountOf(subject, account, at, clientToken), ...more }, rest);
}
