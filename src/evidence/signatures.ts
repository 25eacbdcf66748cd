/** Opens what a record carries, under keys of the verifier's own trust folder. A fault is an outcome here: somebody else's ledger may hold anything. */
import { canonicalText, LedgerError, type Verifier } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { callerIdOf, callerVerifier } from '../protocol/caller.ts';
import { approvalIdOf, openApproval as openProven } from '../protocol/approval-proof.ts';
import { openDsse, type Proven } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  reportSchema, REPORT_TYPE, revokeOrderSchema, REVOKE_ORDER_TYPE, ticketSchema, TICKET_TYPE,
  type Approval, type ApprovalStatement, type Dsse, type Report, type RevokeOrder, type Ticket,
} from '../protocol/signed.ts';
import { isSameJson } from '../protocol/same-json.ts';
import { revokerOf, type Trust } from '../protocol/trust-folder.ts';
import { fault, type Fault } from './violation.ts';

/** What is believed while one ledger is verified. */
export interface Believed {
  readonly trust: Trust;
  /** What is signed must name this log: that of the checkpoint under verification, or the adopted one that a change was begun under. */
  readonly logId: string;
  readonly sidecarKeys: readonly Verifier[];
  /** Signatures that other threads have checked. */
  readonly proven?: Proven | null;
}

export type Opened<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: Fault };

const failed = (code: Fault['code'], message: string): { readonly ok: false; readonly fault: Fault } => ({ ok: false, fault: fault(code, message) });

function guarded<T>(code: Fault['code'], what: string, open: () => T): Opened<T> {
  try {
    return { ok: true, value: open() };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return failed(code, `${what}: ${error.message}`);
  }
}

export function openTicket(believed: Believed, envelope: Dsse): Opened<Ticket> {
  return guarded('ticket-signature', 'the ticket', () => openDsse(envelope, TICKET_TYPE, ticketSchema, believed.sidecarKeys, believed.proven));
}

/** @param atMs when it was recorded */
export function openApproval(believed: Believed, approval: Approval, atMs: number): Opened<ApprovalStatement> {
  const { sidecarKeys, proven = null, trust: { signers, passkeys } } = believed;
  if (approval.approvalId !== approvalIdOf(approval.envelope)) return failed('approval-mismatch', 'the id of the approval is not that of its statement');
  return guarded('approval-signature', 'the approval', () => openProven(approval, { sidecarKeys, signers, passkeys, atMs, proven }));
}

/** By a sidecar of this log, or by one of the floor's revokers in their own name. */
export function openOrder(believed: Believed, envelope: Dsse): Opened<RevokeOrder> {
  const keyid = envelope.signatures[0]?.keyid;
  const revoker = keyid === undefined ? null : revokerOf(believed.trust.requirements, keyid);
  const keys = revoker === null ? believed.sidecarKeys : [revoker.key];
  const opened = guarded('order-signature', 'the revoke order', () => openDsse(envelope, REVOKE_ORDER_TYPE, revokeOrderSchema, keys, believed.proven));
  if (opened.ok && revoker !== null && opened.value.orderedBy !== revoker.principal) {
    return failed('order-signature', `an order in the name of ${opened.value.orderedBy}, signed by ${revoker.principal}`);
  }
  return opened;
}

/**
 * By the executor whose record it is, which must be one that may speak for `connector`; or by the caller's run, whose key `callerKey` the
 * request names.
 */
export function openReport(believed: Believed, event: ChangeEvent, envelope: Dsse, connector: string | null, callerKey: string | null): Opened<Report> {
  const { actor } = event;
  const key = callerKey !== null && actor === callerIdOf(callerKey) ? keyOfRun(callerKey) : keyOfExecutor(believed, actor, connector);
  if (!key.ok) return key;
  const opened = guarded('report-signature', `the report of ${actor}`, () => openDsse(envelope, REPORT_TYPE, reportSchema, [key.value], believed.proven));
  if (!opened.ok) return opened;
  if (opened.value.executor !== actor) return failed('wrong-actor', `a record by ${actor} of a report by ${opened.value.executor}`);
  if (opened.value.log !== believed.logId || opened.value.changeId !== event.changeId) return failed('report-mismatch', 'the report is about another change');
  return opened;
}

function keyOfExecutor(believed: Believed, actor: string, connector: string | null): Opened<Verifier> {
  const known = believed.trust.executors.get(actor);
  if (known === undefined) return failed('unknown-executor', `a report of ${actor}, which the trust folder does not list`);
  if (connector !== null && !known.connectors.includes(connector)) return failed('executor-not-entitled', `${actor} may not speak for connector ${connector}`);
  return { ok: true, value: known.key };
}

/** A caller is known by the key of its one run, which was requested, planned and approved with everything else. */
function keyOfRun(callerKey: string): Opened<Verifier> {
  try {
    return { ok: true, value: callerVerifier(callerKey) };
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return failed('report-signature', `the key of the caller’s run is none: ${error.message}`);
  }
}

/** Whether two values have the same RFC 8785 text. */
export function same(a: unknown, b: unknown): boolean {
  return isSameJson(a, b) || canonicalText(a) === canonicalText(b);
}
