/**
 * Admission: whether an envelope is to be acted on. Pure, and the reason why a stolen sidecar key, a forged message or a forked log gives
 * nothing: the executor looks only at the envelope, at its own trust folder, and at the newest checkpoint that it has seen itself.
 */
import { canonicalBytes, canonicalText, digestOf, JsonError, type Verifier } from '../../ledger/index.ts';
import { clientTokenOf, logOf, readStepId } from '../change/derive.ts';
import { leaseChangeOf } from '../change/extension.ts';
import type { EventBody } from '../change/events.ts';
import { openUse } from '../change/standing-approval.ts';
import { openApproval, type ProofContext } from '../protocol/approval-proof.ts';
import type { BreakGlassStatement } from '../protocol/break-glass.ts';
import { anyTicketSchema, logOfDiscovery, onlyTakesAway, type AnyTicket, type DiscoverTicket } from '../protocol/discovery.ts';
import { openDsse, payloadDigest, readPayload } from '../protocol/dsse.ts';
import { stepEnvelopeSchema, type StepEnvelope } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import {
  revokeOrderSchema, REVOKE_ORDER_TYPE, TICKET_SECONDS_MAX, TICKET_TYPE,
  type ActTicket, type Approval, type ApprovalStatement, type ReadTicket, type Refusal,
} from '../protocol/signed.ts';
import { shortfallOf, type CountedApproval } from '../protocol/sufficiency.ts';
import { floorOf, type Trust } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';
import { checkGlass, openRecordedGlass } from './break-glass.ts';
import { holdOrder, type HeldOrder } from './orders.ts';
import { isCaller, openPlan, refuse } from './plan-check.ts';
import { checkDiscoveryAuthorised, openAuthorisation, openReceiptCheckpoint, type Authorisation, type Head } from './receipt.ts';

export interface AdmissionContext {
  readonly trust: Trust;
  /** Who is to act: an executor, or one run of a caller. */
  readonly executorId: string;
  readonly nowMs: number;
  /** The newest checkpoint believed so far, by log id. */
  readonly head: (log: string) => Head | null;
  /** Connectors that this executor has. */
  readonly connectors: ReadonlySet<string>;
  /** When the first step under the ticket's very plan was authorised, in epoch ms, if it was carried out here; null for a change that has not begun. */
  readonly beganAtMs: (ticket: ActTicket) => number | null;
}

interface Passed {
  readonly ok: true;
  /** To be kept from now on; null where the head stays. */
  readonly head: Head | null;
}
export type Admission =
  | (Passed & { readonly kind: 'act'; readonly ticket: ActTicket; readonly plan: Plan; readonly order: HeldOrder | null })
  | (Passed & { readonly kind: 'read'; readonly ticket: ReadTicket })
  | (Passed & { readonly kind: 'discover'; readonly ticket: DiscoverTicket })
  | {
      readonly ok: false;
      readonly code: Refusal;
      readonly message: string;
      /** Set where what is wrong is the doing of a trusted sidecar, as opposed to somebody on the way: only then is a signed answer due. */
      readonly ticket: AnyTicket | null;
      /** A checkpoint that was believed although the envelope was not. */
      readonly head: Head | null;
    };

/** What is established on the way, for the answer to a refusal. */
interface Progress {
  ticket: AnyTicket | null;
  head: Head | null;
  /** What came beside the ticket is what its record says. */
  isAsRecorded: boolean;
}

/**
 * Refusals that a ticket's sidecar hears of in any case: they are about the ticket itself, or another issue mends them. Before it is known
 * that plan, approvals and order are as recorded, any other no would let whoever changes an envelope on its way put an end to the change.
 */
const ANSWERED: ReadonlySet<Refusal> = new Set(['outside-window', 'wrong-step', 'unknown-connector', 'untrusted-checkpoint', 'inconsistent-checkpoint', 'no-receipt']);

/** Pure: the same envelope, trust, time and head give the same answer. */
export function admit(envelope: unknown, context: AdmissionContext): Admission {
  const progress: Progress = { ticket: null, head: null, isAsRecorded: false };
  try {
    return check(envelope, context, progress);
  } catch (error) {
    // Numbers, keys or texts that no canonical form has: whoever wrote this computed no digest of it.
    const code = error instanceof JsonError ? 'malformed' : error instanceof ProtocolError ? error.code : null;
    if (code === null) throw error;
    const { head, isAsRecorded } = progress;
    const ticket = isAsRecorded || ANSWERED.has(code) ? progress.ticket : null;
    return { ok: false, code, message: error instanceof Error ? error.message : '', ticket, head };
  }
}

function check(raw: unknown, context: AdmissionContext, progress: Progress): Admission {
  const parsed = stepEnvelopeSchema.safeParse(raw);
  if (!parsed.success) return refuse('malformed', parsed.error.issues.map((issue) => `/${issue.path.join('/')}: ${issue.message}`).join('; ').slice(0, 500));
  const envelope = parsed.data;
  const { keys, ticket } = openTicket(envelope, context.trust);
  if (ticket.audience !== context.executorId) refuse('wrong-audience', `a ticket for ${ticket.audience}`);
  progress.ticket = ticket;
  if (!isInWindow(ticket, context.nowMs, context.trust.requirements.clockSkewMs)) refuse('outside-window', `the ticket is good from ${ticket.notBefore} to ${ticket.notAfter}`);
  if ((ticket.kind === 'discover' ? logOfDiscovery(ticket.discoveryId) : logOf(ticket.changeId)) !== ticket.log) refuse('wrong-step', 'the change is of another log');
  if (ticket.kind === 'act') openPlan(ticket, envelope.plan, context.executorId);
  else if (ticket.kind === 'read') checkQuery(ticket, envelope, context.executorId);
  else checkDiscovery(ticket, envelope);
  const connector = ticket.kind === 'act' ? ticket.step.connector : ticket.query.connector;
  if (!context.connectors.has(connector)) refuse('unknown-connector', `no connector ${connector} here`);

  const known = context.head(ticket.log);
  // What only takes away is sent before any witness or copy of the ledger has its record: a head that it raised could be more than can be restored.
  const keepsNothing = onlyTakesAway(ticket);
  const checkpoint = openReceiptCheckpoint(envelope.receipt, ticket.log, context.trust, known, { witnessed: !keepsNothing });
  if (checkpoint.size !== known?.size && !keepsNothing) progress.head = { size: checkpoint.size, root: Buffer.from(checkpoint.root).toString('base64') };
  const { head } = progress;
  if (ticket.kind === 'discover') {
    checkDiscoveryAuthorised(envelope.receipt, checkpoint, envelope.ticket, ticket);
    return { ok: true, kind: 'discover', ticket, head };
  }
  const authorisation = openAuthorisation(envelope.receipt, checkpoint, envelope.ticket, ticket);
  if (ticket.kind === 'read' || envelope.plan === null || authorisation.body.kind !== 'act') {
    if (ticket.kind !== 'read') return refuse('receipt-mismatch', 'the record does not authorise an effect');
    return { ok: true, kind: 'read', ticket, head };
  }
  if (authorisation.body.planDigest !== ticket.planDigest) refuse('receipt-mismatch', 'the record authorises another plan');
  // What was begun under approvals goes on under them: half a rotation must not be left standing because a day has passed.
  const asOfMs = Math.min(authorisedAtMs(authorisation, context), context.beganAtMs(ticket) ?? Infinity);
  const statements = openApprovals(envelope.approvals, authorisation.body, envelope.plan, { sidecarKeys: keys, signers: context.trust.signers, passkeys: context.trust.passkeys, atMs: asOfMs }, context.trust.requirements.clockSkewMs);
  const glass = openRecordedGlass(envelope, authorisation.body, context.trust, asOfMs);
  const held = openRecordedOrder(envelope.order, authorisation.body, keys);
  progress.isAsRecorded = true;
  checkApprovals(ticket, envelope.plan, statements, glass, asOfMs, authorisation.body, context);
  const order = checkOrder(ticket, envelope.plan, held, authorisation, authorisation.body, context);
  return { ok: true, kind: 'act', ticket, plan: envelope.plan, order, head };
}

/** Whether a ticket may be acted on at `nowMs`, give or take the difference of clocks that the trust folder tolerates. */
export function isInWindow(ticket: Pick<AnyTicket, 'notBefore' | 'notAfter'>, nowMs: number, clockSkewMs: number): boolean {
  return nowMs >= parseTime(ticket.notBefore) - clockSkewMs && nowMs < parseTime(ticket.notAfter) + clockSkewMs;
}

/**
 * When the step was authorised: its record says it, and by this clock it cannot have been longer ago than a ticket lives. The sidecar writes the
 * record: were it believed, whoever stole its keys would date one back, to when approvals and keys that are over were good.
 */
function authorisedAtMs({ record }: Authorisation, { nowMs, trust }: AdmissionContext): number {
  return Math.max(parseTime(record.at), nowMs - trust.requirements.clockSkewMs - TICKET_SECONDS_MAX * 1000);
}

function openTicket(envelope: StepEnvelope, trust: Trust): { readonly keys: readonly Verifier[]; readonly ticket: AnyTicket } {
  const claimed = readPayload(envelope.ticket, anyTicketSchema);
  const keys = trust.sidecars.get(claimed.log) ?? [];
  const keyid = envelope.ticket.signatures[0]?.keyid;
  if (!keys.some((key) => key.keyName === keyid)) refuse('unknown-sidecar', `${keyid ?? 'nobody'} is no ticket key of log ${claimed.log}`);
  return { keys, ticket: openDsse(envelope.ticket, TICKET_TYPE, anyTicketSchema, keys) };
}

function checkQuery(ticket: ReadTicket, envelope: StepEnvelope, actor: string): void {
  const due = readStepId(ticket.changeId, ticket.revision);
  if (ticket.stepId !== due) refuse('wrong-step', `step ${ticket.stepId} where ${due} is due`);
  // What an extension is about was given under another change's token; a read gives nothing.
  if (ticket.query.action !== 'extend' && ticket.query.clientToken !== clientTokenOf(ticket.changeId)) refuse('wrong-step', 'the client token is of another change');
  if (isCaller(actor)) refuse('wrong-step', 'a caller reads nothing for others');
  if (digestOf(canonicalBytes(ticket.query)) !== ticket.queryDigest) refuse('plan-digest-mismatch', 'the query is not the one of the digest');
  if (envelope.plan !== null || envelope.order !== null || envelope.approvals.length > 0 || envelope.breakGlass !== undefined) refuse('malformed', 'a read has no plan, order or approvals');
}

function checkDiscovery(ticket: DiscoverTicket, envelope: StepEnvelope): void {
  // Its audience is an executor by its schema, and this is its audience: no caller gets here.
  if (!ticket.stepId.startsWith(`stp_${ticket.discoveryId.slice('dsc_'.length)}_p`)) refuse('wrong-step', `step ${ticket.stepId} is of another discovery`);
  if (digestOf(canonicalBytes(ticket.query)) !== ticket.queryDigest) refuse('plan-digest-mismatch', 'the query is not the one of the digest');
  if (envelope.plan !== null || envelope.order !== null || envelope.approvals.length > 0 || envelope.breakGlass !== undefined) refuse('malformed', 'a discovery has no plan, order or approvals');
}

type ActBody = Extract<EventBody<'step.authorised'>, { kind: 'act' }>;

interface OpenedApproval extends Approval {
  readonly statement: ApprovalStatement;
}

/** The approvals that the record names, all of them and no others, each proven as it says. */
function openApprovals(approvals: readonly Approval[], body: ActBody, plan: Plan, proofs: ProofContext, skewMs: number): OpenedApproval[] {
  const missing = body.approvals.find((recorded) => !approvals.some(({ approvalId }) => approvalId === recorded));
  if (missing !== undefined) refuse('approvals-insufficient', `${missing} is in the record and did not come`);
  return approvals.map((approval) => {
    const { approvalId } = approval;
    if (!body.approvals.includes(approvalId)) refuse('approval-invalid', `${approvalId} is not in the record`);
    return { ...approval, statement: approval.use === undefined ? openApproval(approval, proofs) : openUse(approval, plan, body.planDigest, { signers: proofs.signers, passkeys: proofs.passkeys, atMs: proofs.atMs, skewMs }) };
  });
}

function checkApprovals(
  ticket: ActTicket, plan: Plan, approvals: readonly OpenedApproval[], glass: BreakGlassStatement | null, asOfMs: number, body: ActBody, context: AdmissionContext,
): void {
  const counted: CountedApproval[] = [];
  for (const { approvalId, proofClass, statement, use } of approvals) {
    const about = statement.log === ticket.log && statement.changeId === ticket.changeId && statement.revision === ticket.revision && statement.planDigest === ticket.planDigest;
    if (!about) refuse('approval-invalid', `${approvalId} is of another plan`);
    if (statement.verdict !== 'approve') refuse('approval-invalid', `${approvalId} is a rejection`);
    if (plan.requester.includes(statement.approver)) refuse('approval-invalid', `${statement.approver} asked for the change`);
    // One that had expired is no lie, it just no longer counts.
    if (parseTime(statement.expiresAt) > asOfMs) counted.push({ approver: statement.approver, proofClass, standing: use !== undefined });
  }
  if (glass !== null) return checkGlass(ticket, plan, glass, asOfMs, context.trust);
  const floor = floorOf(context.trust.requirements, ticket.step);
  const shortfall = shortfallOf(body.requirement, floor, counted, plan.requester, plan.lease?.leaseSeconds ?? null);
  if (shortfall !== null) refuse(shortfall.code, shortfall.message);
}

/** The very order that the record has; null where it has none. */
function openRecordedOrder(envelope: StepEnvelope['order'], { lease }: ActBody, keys: readonly Verifier[]): HeldOrder | null {
  if (lease === null && envelope !== null) refuse('order-mismatch', 'an order to end what the record says stands');
  if (lease === null || envelope === null) return lease === null ? null : refuse('order-mismatch', 'no order to end the lease');
  const held = openOrder(envelope, keys);
  if (held.digest !== payloadDigest(lease.order)) refuse('order-mismatch', 'the order is not the recorded one');
  return held;
}

/** The order takes back exactly this effect, no later than the plan allows. */
function checkOrder(
  ticket: ActTicket, plan: Plan, held: HeldOrder | null, { record }: Authorisation, body: ActBody, context: AdmissionContext,
): HeldOrder | null {
  const { lease } = plan;
  if (lease === null) return held === null ? null : refuse('order-mismatch', 'an order to end what the plan says stands');
  if (held === null || body.lease === null) return refuse('order-mismatch', 'no order to end the lease');
  const { order, dueMs } = held;
  const { step } = ticket;
  if (order.notBefore !== body.lease.endsAt || body.lease.leaseId !== lease.leaseId || body.lease.epoch !== order.epoch || order.cause !== 'leaseEnd') refuse('order-mismatch', 'the order does not end the recorded lease');
  if (order.epoch !== (plan.extends?.epoch ?? 1)) refuse('order-mismatch', `the order is of epoch ${order.epoch}`);
  const { gave, ...undone } = step;
  const undoes = canonicalText({ ...undone, action: gave ?? step.action, stepId: null }) === canonicalText({
    stepId: null, action: order.action, connector: order.connector, target: order.target, account: order.account, privileges: order.privileges, clientToken: order.clientToken,
  });
  if (!undoes) refuse('order-mismatch', 'the order does not undo the step');
  if (order.log !== ticket.log || order.changeId !== leaseChangeOf(plan) || order.leaseId !== lease.leaseId) refuse('order-mismatch', 'the order is of another lease');
  if (order.audience !== context.executorId) refuse('order-mismatch', `the order is to ${order.audience}`);
  // A record from the future would make a lease longer than the plan allows.
  const fromMs = Math.min(parseTime(record.at), context.nowMs + context.trust.requirements.clockSkewMs);
  if (dueMs > fromMs + lease.leaseSeconds * 1000) refuse('order-mismatch', `the order ends the lease after more than ${lease.leaseSeconds} s`);
  if (lease.endsBy !== null && dueMs > parseTime(lease.endsBy)) refuse('order-mismatch', `the order ends the lease after ${lease.endsBy}`);
  if (dueMs <= context.nowMs) refuse('lease-ended', `the access would have ended at ${order.notBefore}`);
  return held;
}

function openOrder(envelope: NonNullable<StepEnvelope['order']>, keys: readonly Verifier[]): HeldOrder {
  try {
    return holdOrder(envelope, openDsse(envelope, REVOKE_ORDER_TYPE, revokeOrderSchema, keys));
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new ProtocolError('order-mismatch', `the order: ${cause.message}`, { cause });
    throw cause;
  }
}
