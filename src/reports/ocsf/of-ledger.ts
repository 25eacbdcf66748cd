/** How records of no change are told in OCSF: policy, locks, standing approvals, what was found outside, and the ledger itself. */
import type { JsonObject } from '../../../ledger/index.ts';
import { readPayload } from '../../protocol/dsse.ts';
import { revokeOrderSchema } from '../../protocol/signed.ts';
import type { Said } from '../body-of.ts';
import { told, type Told } from './event.ts';
import { accountOf, actorOf, bundleEntity, disposed, entityOf, resourceOf, userOf } from './objects.ts';

type Lock = Extract<Said, { type: 'lock.set' }>['body'];
type Found = Extract<Said, { type: 'reconcile.found' }>['body'];

/** What is open and is named by its id alone once it is over. */
export interface OpenThings {
  readonly locks: Map<string, Lock>;
  readonly found: Map<string, Found>;
}

/** null for what is told of by another record, or is no matter of security: `docs/ocsf.md` lists both. @throws ProtocolError for what no record should hold */
export function ledgerTold(said: Said, actor: string, log: string, { locks, found }: OpenThings): Told | null {
  const by = actorOf(actor);
  const ofLog = (severity: 'Informational' | 'Medium', unmapped: JsonObject): Told => told('Entity Management', 'Update', { entity: entityOf('ledger', log), ...by }, { severity, unmapped });
  switch (said.type) {
    case 'ledger.opened':
      return told('Application Lifecycle', 'Start', { app: { name: 'Countersign', vendor_name: 'Countersign', uid: actor, version: said.body.version } }, { unmapped: { epoch: said.body.epoch } });
    case 'ledger.recovered':
      return ofLog('Medium', { bytesCut: said.body.bytesCut, size: said.body.size });
    case 'ledger.restored':
      return ofLog('Medium', { size: said.body.size, root: said.body.root, had: said.body.had, source: said.body.source });
    case 'ledger.adopted':
      return ofLog('Medium', { changes: said.body.changes, records: said.body.records });
    case 'key.rotated':
      return ofLog('Medium', { old: said.body.old, new: said.body.new });
    case 'erasure':
      return told('Entity Management', 'Delete', { entity: entityOf('objects', log, { erased: said.body.erased }), ...by }, { severity: 'Low' });
    case 'facts.loaded':
      return told('Entity Management', 'Activate', { entity: entityOf('facts', said.body.facts), ...by });
    case 'bundle.activated': {
      const { bundle, revision, proposal, approvals } = said.body;
      if (bundle === null) return told('Entity Management', 'Deactivate', { entity: { type_id: 5, type: 'Policy', name: 'policy bundle' }, ...by }, { severity: 'Medium' });
      return told('Entity Management', 'Activate', { entity: bundleEntity(bundle, revision), ...by }, { unmapped: { ...(proposal === undefined ? {} : { proposal }), ...(approvals === undefined ? {} : { approvals }) } });
    }
    case 'bundle.proposed':
      return told('Entity Management', 'Create', { entity: bundleEntity(said.body.bundle, said.body.revision), ...by }, { unmapped: { proposal: said.body.proposalId } });
    case 'proposal.approved':
    case 'proposal.rejected': {
      const { approvalId, proofClass } = said.type === 'proposal.approved' ? said.body.approval : said.body.rejection;
      const verdict = said.type === 'proposal.approved' ? disposed('Allowed', 'Approved') : disposed('Denied', 'Rejected');
      return told('Entity Management', 'Update', { entity: entityOf('policy proposal', said.body.proposalId), ...by, ...verdict }, { unmapped: { approvalId, proofClass } });
    }
    case 'lock.set':
      return lockTold('set', said.body, by, said.body.lockId);
    case 'lock.lifted':
      return lockTold('lifted', locks.get(said.body.lockId) ?? null, by, said.body.lockId);
    case 'standing.approved':
      return told('Entity Management', 'Create', { entity: entityOf('standing approval', said.body.approvalId), ...by, ...disposed('Allowed', 'Approved') });
    case 'standing.revoked':
      return told('Entity Management', 'Disable', { entity: entityOf('standing approval', said.body.approvalId), ...by });
    case 'messages.refused':
      return told('Detection Finding', 'Create', { finding_info: { uid: `${log}/refused/${said.body.executor}`, title: 'messages-refused' }, count: said.body.refused.reduce((sum, { count }) => sum + count, 0), is_alert: true }, { severity: 'Medium', unmapped: { actor, executor: said.body.executor, codes: [...new Set(said.body.refused.map(({ code }) => code))] } });
    case 'outbox.refilled':
      return told('Detection Finding', 'Create', { finding_info: { uid: `${log}/refilled/${said.body.stream}`, title: 'outbox-refilled' }, count: said.body.missing }, { severity: 'Low', status: 'Resolved', unmapped: { actor, stream: said.body.stream } });
    case 'redecision.failed':
      return told('Detection Finding', 'Create', { finding_info: { uid: `${log}/redecision`, title: 'redecision-failed' }, count: said.body.unanswered, is_alert: true }, { severity: 'Medium', unmapped: { actor, code: said.body.code, ...(said.body.owner === null ? {} : { owner: said.body.owner }) } });
    case 'reconcile.found':
      return told('Detection Finding', 'Create', { ...findingOf(said.body), is_alert: true }, { severity: ['access-past-end', 'access-returned'].includes(said.body.code) ? 'High' : 'Medium', unmapped: { actor, ...(said.body.owner === null ? {} : { owner: said.body.owner }), ...(said.body.privileges.length === 0 ? {} : { privileges: said.body.privileges }), ...(said.body.change === null ? {} : { change: said.body.change }) } });
    case 'reconcile.ordered': {
      const { leaseId, connector, target, account, privileges, cause, orderedBy } = readPayload(said.body.order, revokeOrderSchema);
      return told('Detection Finding', 'Update', nowOf(found, said.body.findingId), { severity: 'Medium', status: 'In Progress', unmapped: { actor, order: { leaseId, connector, target, account, privileges, cause, orderedBy } } });
    }
    case 'reconcile.proposed':
      return told('Detection Finding', 'Update', nowOf(found, said.body.findingId), { severity: 'Medium', status: 'In Progress', unmapped: { actor, change: said.body.change, reasons: said.body.reasons.map(({ code }) => code) } });
    case 'reconcile.cleared':
      return told('Detection Finding', 'Close', nowOf(found, said.body.findingId), { status: 'Resolved', unmapped: { actor } });
    default:
      return null;
  }
}

/** Keeps what is open in mind, once it is told. */
export function keptOpen(said: Said, { locks, found }: OpenThings): void {
  if (said.type === 'lock.set') locks.set(said.body.lockId, said.body);
  else if (said.type === 'lock.lifted') locks.delete(said.body.lockId);
  else if (said.type === 'reconcile.found') found.set(said.body.findingId, said.body);
  else if (said.type === 'reconcile.cleared') found.delete(said.body.findingId);
}

const LOCK_ACTIVITIES = { set: { identity: 'Lock', entity: 'Suspend' }, lifted: { identity: 'Unlock', entity: 'Resume' } } as const;

/** Of an identity, a user is locked; of a connector, or of it there, the connector is suspended. Whom a lock is on that was set where this does not reach, nobody says. */
function lockTold(op: 'set' | 'lifted', lock: Lock | null, by: JsonObject, lockId: string): Told {
  const severity = op === 'set' ? 'Medium' : 'Informational';
  const { identity: ofIdentity, entity } = LOCK_ACTIVITIES[op];
  if (lock === null) return told('Entity Management', entity, { entity: entityOf('lock', lockId), ...by }, { severity });
  const unmapped = { lockId };
  if (lock.nhi !== null) return told('User Management', ofIdentity, { user: userOf(lock.nhi), ...by, ...(lock.connector === null ? {} : { resources: [{ uid: lock.connector, type: 'connector' }] }) }, { severity, unmapped });
  return told('Entity Management', entity, { entity: entityOf('connector', lock.connector ?? '*'), ...by }, { severity, unmapped });
}

function findingOf({ findingId, code, message, nhi, account, connector, target }: Found): JsonObject {
  const at = { connector, target };
  return {
    finding_info: { uid: findingId, title: code, desc: message, types: [code] }, resources: [resourceOf(at)],
    evidences: [{ actor: { user: accountOf(nhi, account, at) } }],
  };
}

const nowOf = (found: ReadonlyMap<string, Found>, findingId: string): JsonObject => {
  const open = found.get(findingId);
  return open === undefined ? { finding_info: { uid: findingId } } : { finding_info: { uid: findingId, title: open.code } };
};
