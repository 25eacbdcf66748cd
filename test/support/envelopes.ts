/** Step envelopes as a sidecar makes them, with real signatures and receipts; any part can be changed before what follows is signed over it. */
import { digestOf, canonicalBytes, parseSigner, generateSignerKey, type RecordDraft, type Signer } from '../../ledger/index.ts';
import { clientTokenOf, deriveRevokeOrder, deriveSteps, leaseIdOf, readStepId } from '../../src/change/derive.ts';
import type { EventBody } from '../../src/change/events.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';
import { makesSecret, planDigest, type Plan, type StepAction } from '../../src/protocol/plan.ts';
import type { ActTicket, Approval, ApprovalStatement, Dsse, Query, ReadTicket, RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { paperLog, type PaperLog } from './paper-log.ts';
import { EXECUTOR, keys, logId, RECIPIENT, salt, sidecar, sign, START_MS } from './story.ts';

export const APPROVER = 'person:anna';
/** A key that nobody trusts, under the name of one that is. */
export const forger = parseSigner(generateSignerKey(keys.ticket.name, new Uint8Array(32).fill(99)).skey);

export interface Edits {
  /** Which step is due. For a step of a rotation the plan is the whole rotation; the same `changeId` gives the same plan. */
  readonly action?: StepAction;
  /** What a caller's own code changes; a rotation unless told otherwise. */
  readonly called?: 'rotate' | 'revoke' | 'disable';
  /** Public key of the run that a `call` is for. */
  readonly runKey?: string;
  readonly nowMs?: number;
  /** Seconds; null for standing access. */
  readonly leaseSeconds?: number | null;
  readonly issue?: number;
  readonly changeId?: string;
  readonly plan?: (plan: Plan) => Plan;
  readonly ticket?: (ticket: ActTicket) => ActTicket;
  readonly ticketSigner?: Signer;
  readonly statements?: (statement: ApprovalStatement) => readonly ApprovalStatement[];
  readonly approvals?: (approvals: readonly Approval[]) => readonly Approval[];
  readonly order?: (order: RevokeOrder) => RevokeOrder;
  readonly orderSigner?: Signer;
  readonly body?: (body: ActBody) => ActBody | EventBody<'step.authorised'>;
  readonly draft?: (draft: RecordDraft) => RecordDraft;
  readonly envelope?: (envelope: StepEnvelope, log: PaperLog, index: number) => StepEnvelope;
  readonly log?: PaperLog;
  readonly fromSize?: number | null;
}
export type ActBody = Extract<EventBody<'step.authorised'>, { kind: 'act' }>;

export interface Made {
  readonly envelope: StepEnvelope;
  readonly plan: Plan;
  readonly ticket: ActTicket;
  readonly order: Dsse | null;
  readonly orderContent: RevokeOrder | null;
  readonly log: PaperLog;
  /** Of the record that is the receipt. */
  readonly index: number;
}

/** The raw public key, standard base64. */
export function publicKeyOf({ vkey }: Signer): string {
  return Buffer.from(Buffer.from(vkey.split('+').at(-1)!, 'base64').subarray(1)).toString('base64');
}

let made = 0;
export function freshChangeId(atMs = START_MS): string {
  made += 1;
  return newChangeId(logId, atMs, (length) => Uint8Array.from({ length }, (_, i) => (made >> (8 * (i % 3))) & 0xff));
}

const filler = (n: number): RecordDraft => ({ v: 1, change: null, type: 'facts.loaded', at: formatTime(START_MS), actor: sidecar, body: { n }, objects: [] });

/** A log with `size` records that mean nothing here. */
export function someLog(size = 5, signer: Signer = keys.log): PaperLog {
  return paperLog(signer, Array.from({ length: size }, (_, n) => filler(n)));
}

export const BEFORE = { account: 'absent' } as const;
/** The account of a rotation, its two logins, and what a read for the whole rotation tells of them. */
export const ROLE = 'orders';
export const OLD = 'orders_a';
export const NEW = 'orders_b';
export const TWIN_BEFORE = {
  overlap: 'twin', role: 'id-orders', currentName: OLD, current: `id-${OLD}`, currentCanLogin: true, nextName: NEW, next: null, privilege: `role:${ROLE}`,
} as const;
export const ALONE_BEFORE = { overlap: 'none', account: `id-${ROLE}`, canLogin: true } as const;
export const ACCOUNT_BEFORE = { account: `id-${ROLE}`, canLogin: true } as const;

const PRIVILEGE = 'table:public.orders:SELECT';
const IN_ROTATION: Partial<Record<StepAction, number>> = { stage: 0, cutover: 1, retire: 2, replace: 0 };

/** The plan that the step of `action` is part of, as the server derives it. */
function planFor(action: StepAction, changeId: string, edits: Edits): Plan {
  const kind = action === 'call' ? (edits.called ?? 'rotate') : action === 'stage' || action === 'cutover' || action === 'retire' || action === 'replace' ? 'rotate' : action;
  const names = kind === 'rotate' || kind === 'disable' ? [] : [PRIVILEGE];
  const twin = kind === 'rotate' && action !== 'replace' && action !== 'call';
  const before = twin ? TWIN_BEFORE : action === 'replace' ? ALONE_BEFORE : action === 'disable' || action === 'call' ? ACCOUNT_BEFORE : BEFORE;
  const account = before === BEFORE ? `deploy_${changeId.slice(-6).toLowerCase()}` : ROLE;
  const query: Query = { connector: 'pg-main', target: 'app', action: kind, account, privileges: names, clientToken: clientTokenOf(changeId) };
  const steps = deriveSteps(changeId, 1, query, before, action === 'call')!;
  const leased = kind === 'provision' || kind === 'grant';
  const leaseSeconds = leased && edits.leaseSeconds !== null ? (edits.leaseSeconds ?? 900) : null;
  return {
    v: 1, salt: salt(7), log: logId, changeId, revision: 1, kind, requester: ['nhi:prod/deployer', 'person:rita'], subject: 'nhi:prod/deployer',
    purpose: 'deploy', connector: 'pg-main', target: 'app', mode: action === 'call' ? 'caller' : 'executor',
    entitlements: names.map((privilege) => ({ connector: 'pg-main', target: 'app', privilege })), steps, before: { ...before },
    lease: leaseSeconds === null ? null : { leaseId: leaseIdOf(changeId), leaseSeconds, endsBy: null },
    recipient: steps.some((step) => makesSecret(step.action)) ? RECIPIENT : null,
    ...(kind === 'rotate' && action !== 'call' ? { rotation: { overlap: twin ? 'twin' : 'none', graceSeconds: 900, retire: 'whenUnused', consumers: [] } } : {}),
    ...(action === 'call' ? { caller: { key: edits.runKey ?? publicKeyOf(keys.executor), timeoutSeconds: 600 } } : {}),
  };
}

/** An approved step that does what `action` says, recorded in `log` at `nowMs`, with its envelope. */
export function makeStep(edits: Edits = {}): Made {
  const { action = 'provision', nowMs = START_MS, issue = 1, log = someLog() } = edits;
  const changeId = edits.changeId ?? freshChangeId(nowMs);
  const planned = planFor(action, changeId, edits);
  const plan = edits.plan?.(planned) ?? planned;
  const step = plan.steps[IN_ROTATION[action] ?? 0]!;
  const authorised: ActTicket = {
    kind: 'act', v: 1, log: logId, changeId, revision: 1, stepId: step.stepId, issue, audience: plan.caller === undefined ? EXECUTOR : callerIdOf(plan.caller.key),
    notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + 300_000), planDigest: planDigest(plan), step,
  };
  const ticket = edits.ticket?.(authorised) ?? authorised;
  const ticketDsse = sign.ticket(ticket, edits.ticketSigner);
  const statement: ApprovalStatement = {
    v: 1, log: logId, changeId, revision: 1, planDigest: ticket.planDigest, verdict: 'approve', approver: APPROVER, expiresAt: formatTime(nowMs + 3_600_000),
  };
  const signed = (edits.statements?.(statement) ?? [statement]).map((one) => sign.approval(one));
  const approvals = [...(edits.approvals?.(signed) ?? signed)];
  const endsMs = plan.lease === null ? null : nowMs + plan.lease.leaseSeconds * 1000;
  const derived = endsMs === null ? null : deriveRevokeOrder(plan, EXECUTOR, endsMs, 'leaseEnd', sidecar);
  const orderContent = derived === null ? null : (edits.order?.(derived) ?? derived);
  const order = orderContent === null ? null : sign.order(orderContent, edits.orderSigner);
  const body: ActBody = {
    kind: 'act', revision: 1, stepId: ticket.stepId, issue: ticket.issue, ticket: ticketDsse, planDigest: ticket.planDigest,
    requirement: { approvers: APPROVER, proofClass: 'session' }, approvals: approvals.map(({ approvalId }) => approvalId),
    lease: order === null || orderContent === null ? null : { leaseId: orderContent.leaseId, epoch: orderContent.epoch, endsAt: orderContent.notBefore, order },
  };
  const draft: RecordDraft = { v: 1, change: changeId, type: 'step.authorised', at: formatTime(nowMs), actor: sidecar, body: JSON.parse(JSON.stringify(edits.body?.(body) ?? body)) as RecordDraft['body'], objects: [] };
  const index = log.append(edits.draft?.(draft) ?? draft);
  const envelope: StepEnvelope = { v: 1, ticket: ticketDsse, plan, order, approvals, receipt: log.receipt(index, { fromSize: edits.fromSize ?? null }) };
  return { envelope: edits.envelope?.(envelope, log, index) ?? envelope, plan, ticket, order, orderContent, log, index };
}

/** A read of one account, recorded in `log`, with its envelope. */
export function makeRead(edits: { readonly log?: PaperLog; readonly nowMs?: number; readonly issue?: number; readonly fromSize?: number | null; readonly changeId?: string; readonly ticket?: (ticket: ReadTicket) => ReadTicket } = {}): { readonly envelope: StepEnvelope; readonly ticket: ReadTicket; readonly log: PaperLog } {
  const { log = someLog(), nowMs = START_MS, issue = 1 } = edits;
  const changeId = edits.changeId ?? freshChangeId(nowMs);
  const query: Query = {
    connector: 'pg-main', target: 'app', action: 'provision', account: 'deploy', privileges: ['table:public.orders:SELECT'], clientToken: clientTokenOf(changeId),
  };
  const asked: ReadTicket = {
    kind: 'read', v: 1, log: logId, changeId, revision: 1, stepId: readStepId(changeId, 1), issue, audience: EXECUTOR, notBefore: formatTime(nowMs),
    notAfter: formatTime(nowMs + 300_000), queryDigest: digestOf(canonicalBytes(query)), query,
  };
  const ticket = edits.ticket?.(asked) ?? asked;
  const dsse = sign.ticket(ticket);
  const body: EventBody<'step.authorised'> = { kind: 'read', revision: 1, stepId: ticket.stepId, issue: ticket.issue, ticket: dsse };
  const index = log.append({ v: 1, change: changeId, type: 'step.authorised', at: formatTime(nowMs), actor: sidecar, body: JSON.parse(JSON.stringify(body)) as RecordDraft['body'], objects: [] });
  return { envelope: { v: 1, ticket: dsse, plan: null, order: null, approvals: [], receipt: log.receipt(index, { fromSize: edits.fromSize ?? null }) }, ticket, log };
}
