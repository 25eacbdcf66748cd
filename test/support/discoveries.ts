/** Discoveries as a sidecar asks them and an executor answers: real tickets, records and reports; any part can be changed before it is signed. */
import { canonicalBytes, digestOf, type RecordDraft, type Signer } from '../../ledger/index.ts';
import type { DiscrepancyCode } from '../../src/change/compare.ts';
import { newDiscoveryId } from '../../src/engine/ids.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { pageStepId, type DiscoveredPage, type DiscoveredReport, type DiscoverTicket } from '../../src/protocol/discovery.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { REPORT_TYPE, TICKET_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { someLog } from './envelopes.ts';
import type { PaperLog } from './paper-log.ts';
import { EXECUTOR, keys, logId, salt, sidecar, START_MS } from './story.ts';

let made = 0;
export function freshDiscoveryId(log = logId): string {
  made += 1;
  return newDiscoveryId(log, START_MS, (length) => new Uint8Array(length).fill(made % 32));
}

export interface DiscoveryEdits {
  readonly ticket?: (ticket: DiscoverTicket) => DiscoverTicket;
  readonly signer?: Signer;
  readonly draft?: (draft: RecordDraft) => RecordDraft;
  readonly envelope?: (envelope: StepEnvelope) => StepEnvelope;
  readonly after?: string;
  readonly log?: PaperLog;
  /** Of the checkpoint that the receipt continues. */
  readonly fromSize?: number;
}

export function makeDiscovery(edits: DiscoveryEdits = {}): { readonly envelope: StepEnvelope; readonly ticket: DiscoverTicket; readonly log: PaperLog } {
  const { log = someLog(), fromSize = null } = edits;
  const discoveryId = freshDiscoveryId();
  const query = { connector: 'pg-main', after: edits.after ?? null };
  const asked: DiscoverTicket = {
    kind: 'discover', v: 1, log: logId, discoveryId, stepId: pageStepId(discoveryId, 1), issue: 1, audience: EXECUTOR, notBefore: formatTime(START_MS), notAfter: formatTime(START_MS + 300_000),
    queryDigest: digestOf(canonicalBytes(query)), query,
  };
  const ticket = edits.ticket?.(asked) ?? asked;
  const signed = signDsse(TICKET_TYPE, ticket, edits.signer ?? keys.ticket);
  const { draft } = systemDraft('discovery.authorised', { discoveryId: ticket.discoveryId, connector: ticket.query.connector, stepId: ticket.stepId, ticket: signed }, sidecar, START_MS);
  const index = log.append(edits.draft?.(draft) ?? draft);
  const envelope: StepEnvelope = { v: 1, ticket: signed, plan: null, order: null, approvals: [], receipt: log.receipt(index, { fromSize }) };
  return { envelope: edits.envelope?.(envelope) ?? envelope, ticket, log };
}

export interface ReconciliationEdits {
  readonly ticketSigner?: Signer;
  readonly ticket?: (ticket: DiscoverTicket) => DiscoverTicket;
  readonly authorisedBy?: string;
  readonly report?: (report: DiscoveredReport) => DiscoveredReport;
  readonly reportSigner?: Signer;
  readonly reportedBy?: string;
  readonly withoutPage?: true;
  readonly evidence?: readonly string[];
  readonly pages?: readonly string[];
  readonly comparedBy?: string;
}

export const COUNTS = { accounts: 1, unknownAccounts: 1, held: 0, explained: 0, unexplained: 0, pastEnd: 0, undecided: 0, standing: 0, recorded: 0, missing: 0 };
export const FINDING = `fnd_${'a'.repeat(32)}`;

/** One reconciliation as records: asked, answered, a login of nobody found, compared. */
export function reconciliation(edits: ReconciliationEdits = {}, about: { readonly code?: DiscrepancyCode; readonly change?: string } = {}): { readonly drafts: readonly DraftWithObjects[]; readonly discoveryId: string; readonly page: string } {
  const discoveryId = freshDiscoveryId();
  const query = { connector: 'pg-main', after: null };
  const stepId = pageStepId(discoveryId, 1);
  const page: DiscoveredPage = { v: 1, salt: salt(9), connector: 'pg-main', target: 'app', after: null, next: null, entries: [] };
  const bytes = canonicalBytes(page);
  const digest = digestOf(bytes);
  const asked: DiscoverTicket = {
    kind: 'discover', v: 1, log: logId, discoveryId, stepId, issue: 1, audience: EXECUTOR, notBefore: formatTime(START_MS), notAfter: formatTime(START_MS + 300_000),
    queryDigest: digestOf(canonicalBytes(query)), query,
  };
  const ticket: Dsse = signDsse(TICKET_TYPE, edits.ticket?.(asked) ?? asked, edits.ticketSigner ?? keys.ticket);
  const answered: DiscoveredReport = {
    kind: 'discovered', v: 1, executor: EXECUTOR, log: logId, discoveryId, at: formatTime(START_MS), stepId, issue: 1, outcome: 'done', code: null, detail: null, page: digest,
  };
  const report = signDsse(REPORT_TYPE, edits.report?.(answered) ?? answered, edits.reportSigner ?? keys.executor);
  const atMs = START_MS + 8_000_000;
  const by = edits.comparedBy ?? sidecar;
  return {
    discoveryId, page: digest,
    drafts: [
      systemDraft('discovery.authorised', { discoveryId, connector: 'pg-main', stepId, ticket }, edits.authorisedBy ?? sidecar, atMs),
      systemDraft('discovery.read', { discoveryId, connector: 'pg-main', report }, edits.reportedBy ?? EXECUTOR, atMs + 10, edits.withoutPage === true ? [] : [bytes]),
      systemDraft('reconcile.found', {
        findingId: FINDING, discoveryId, code: about.code ?? 'account-unknown', connector: 'pg-main', target: 'app', account: 'planted', nhi: null, change: about.change ?? null, owner: 'person:sam', privileges: [],
        message: 'planted can log in', evidence: [...(edits.evidence ?? [digest])],
      }, by, atMs + 20),
      systemDraft('reconcile.compared', { discoveryId, connector: 'pg-main', target: 'app', complete: true, pages: [...(edits.pages ?? [digest])], counts: COUNTS, found: 1, cleared: 0 }, by, atMs + 20),
    ],
  };
}
