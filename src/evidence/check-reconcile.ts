/** Looks at targets and what came of them: each asked by the sidecar first, answered by an executor that may, and found where its pages say. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { openDsse } from '../protocol/dsse.ts';
import { anyReportSchema, anyTicketSchema, type DiscoveredReport } from '../protocol/discovery.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { REPORT_TYPE, TICKET_TYPE } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import { afterReconcileRecord, NOTHING_RECONCILED, reconcileRecordBodies, type Reconciled, type ReconcileRecordType } from './reconciled.ts';
import { openOrder, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

export interface Reconciliations {
  /** @throws ZodError for a body that is not what its type says */
  check(type: ReconcileRecordType, record: LedgerRecord): Fault | null;
  readonly reconciled: Reconciled;
}

/** @param believedOf what is believed of a change, which may be one of a log that was adopted */
export function openReconciliations(believed: Believed, believedOf: (changeId: string) => Believed): Reconciliations {
  /** Pages that were authorised and not answered yet, of the newest discovery of each connector. */
  const asked = new Map<string, { readonly discoveryId: string; readonly steps: Set<string>; readonly pages: Set<string> }>();
  let reconciled = NOTHING_RECONCILED;
  const sidecar = `sidecar:${believed.logId}`;

  const authorised = (record: LedgerRecord): Fault | null => {
    const body = reconcileRecordBodies['discovery.authorised'].parse(record.body);
    try {
      const ticket = openDsse(body.ticket, TICKET_TYPE, anyTicketSchema, believed.sidecarKeys);
      if (ticket.kind !== 'discover' || ticket.log !== believed.logId || ticket.discoveryId !== body.discoveryId || ticket.stepId !== body.stepId || ticket.query.connector !== body.connector) {
        return fault('ticket-mismatch', 'the ticket is not for the page that the record names');
      }
    } catch (error) {
      if (error instanceof ProtocolError) return fault('ticket-signature', `the ticket: ${error.message}`);
      throw error;
    }
    const known = asked.get(body.connector);
    if (known?.discoveryId === body.discoveryId) known.steps.add(body.stepId);
    else asked.set(body.connector, { discoveryId: body.discoveryId, steps: new Set([body.stepId]), pages: new Set() });
    return null;
  };
  const read = (record: LedgerRecord): Fault | null => {
    const body = reconcileRecordBodies['discovery.read'].parse(record.body);
    const executor = believed.trust.executors.get(record.actor);
    if (executor === undefined) return fault('unknown-executor', `a report of ${record.actor}, which the trust folder does not list`);
    if (!executor.connectors.includes(body.connector)) return fault('executor-not-entitled', `${record.actor} may not speak for connector ${body.connector}`);
    let report: DiscoveredReport;
    try {
      const opened = openDsse(body.report, REPORT_TYPE, anyReportSchema, [executor.key]);
      if (opened.kind !== 'discovered' || opened.log !== believed.logId || opened.discoveryId !== body.discoveryId) return fault('report-mismatch', 'the report is about something else');
      if (opened.executor !== record.actor) return fault('wrong-actor', `a record by ${record.actor} of a report by ${opened.executor}`);
      report = opened;
    } catch (error) {
      if (error instanceof ProtocolError) return fault('report-signature', `the report of ${record.actor}: ${error.message}`);
      throw error;
    }
    const known = asked.get(body.connector);
    if (known?.discoveryId !== body.discoveryId || !known.steps.delete(report.stepId)) return fault('not-authorised', `${report.stepId} was answered, and nobody had asked`);
    if (report.page !== null && !record.objects.includes(report.page)) return fault('state-missing', 'the page that the report names is not with the record');
    if (report.page !== null) known.pages.add(report.page);
    return null;
  };
  const arePagesOf = (connector: string, discoveryId: string, pages: readonly string[]): boolean => {
    const known = asked.get(connector);
    return known?.discoveryId === discoveryId && pages.every((page) => known.pages.has(page));
  };
  const compared = (type: Exclude<ReconcileRecordType, 'discovery.authorised' | 'discovery.read'>, record: LedgerRecord): Fault | null => {
    if (record.actor !== sidecar) return fault('wrong-actor', `${type} by ${record.actor}, where the sidecar of this log is due`);
    if (type === 'reconcile.compared') {
      const { connector, discoveryId, pages } = reconcileRecordBodies[type].parse(record.body);
      return arePagesOf(connector, discoveryId, pages) ? null : fault('state-mismatch', 'what was compared is not what was read');
    }
    if (type === 'reconcile.found') {
      const { findingId, connector, discoveryId, evidence } = reconcileRecordBodies[type].parse(record.body);
      if (reconciled.findings.has(findingId)) return fault('wrong-order', `${findingId} is found again, and was not cleared`);
      return arePagesOf(connector, discoveryId, evidence) ? null : fault('state-mismatch', 'a finding whose pages were not read');
    }
    const { findingId } = reconcileRecordBodies[type].parse(record.body);
    const finding = reconciled.findings.get(findingId);
    if (finding === undefined) return fault('wrong-order', `${type} of ${findingId}, which is not open`);
    if (type === 'reconcile.cleared') {
      const { discoveryId, evidence } = reconcileRecordBodies[type].parse(record.body);
      return arePagesOf(finding.connector, discoveryId, evidence) ? null : fault('state-mismatch', 'a finding cleared by pages that were not read');
    }
    if (type === 'reconcile.proposed') return null;
    if (finding.code !== 'access-past-end') return fault('order-mismatch', `what is ${finding.code} is ordered back by nobody: people decide`);
    const gave = finding.change === null ? believed : believedOf(finding.change);
    const order = openOrder(gave, reconcileRecordBodies[type].parse(record.body).order);
    if (!order.ok) return order.fault;
    const fits = order.value.cause === 'reconcile' && order.value.log === gave.logId && order.value.changeId === finding.change && order.value.connector === finding.connector;
    return fits ? null : fault('order-mismatch', 'the order does not take back what was found');
  };

  return {
    check(type, record) {
      const found = type === 'discovery.authorised'
        ? (record.actor === sidecar ? authorised(record) : fault('wrong-actor', `${type} by ${record.actor}, where the sidecar of this log is due`))
        : type === 'discovery.read' ? read(record) : compared(type, record);
      reconciled = afterReconcileRecord(reconciled, type, record.body, parseTime(record.at));
      return found;
    },
    get reconciled() {
      return reconciled;
    },
  };
}
