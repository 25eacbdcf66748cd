/**
 * Every route of the sidecar, as data. A route that is not here does not exist: the app registers this table, `openapi.ts` describes it,
 * and `docs/surface.md` is tested against it.
 */
import type { z } from 'zod';
import type { Role } from '../identity/tokens.ts';
import { changeRequestSchema } from '../protocol/request.ts';
import type { ErrorCode } from './errors.ts';
import {
  acknowledgeBodySchema, approvalBodySchema, changeListSchema, changeViewSchema, commentBodySchema, confirmationBodySchema, deliverySchema, discoverySchema,
  eraseBodySchema, erasureViewSchema, evidenceSchema, extendBodySchema, findingListSchema, getQuerySchema, healthSchema, confirmHeldBodySchema, heldAnswerSchema, heldViewSchema, leaseListSchema, liftBodySchema, listQuerySchema, lockBodySchema, lockListSchema,
  lockViewSchema, meSchema, proposalStatementAnswerSchema, proposalVerdictBodySchema, proposalViewSchema, proposedViewSchema, reductionBodySchema, nhiListSchema, nhiViewSchema, noQuerySchema, packBodySchema, readinessSchema, reconcileBodySchema, reconciliationListSchema, relayAnswerSchema, relayBodySchema,
  reportMessageSchema, revokeAllAnswerSchema, revokeAnswerSchema, standingApprovalBodySchema, standingApprovalListSchema, standingApprovalViewSchema, standingQuerySchema, standingRevocationBodySchema,
  breakGlassAnswerSchema, breakGlassBodySchema, breakGlassReviewAnswerSchema, breakGlassReviewBodySchema, statementAnswerSchema, statementQuerySchema, stepEnvelopeSchema, leaseQuerySchema, nhiQuerySchema, findingQuerySchema, ticketQuerySchema, waitQuerySchema,
} from './schemas.ts';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** OpenAPI form: `{name}` is one segment, `{name...}` the rest of the path. */
  readonly path: string;
  /** One sentence: what is true afterwards, or what is answered. */
  readonly summary: string;
  /** Whose tokens are taken: `public` needs none, `any` takes all. */
  readonly roles: 'public' | 'any' | readonly [Role, ...Role[]];
  /** Needs no token where `ledgerReaders` is `anyone`. */
  readonly openToAnyone?: true;
  readonly query: z.ZodType;
  /** null: the request has no body. */
  readonly body: z.ZodType | null;
  readonly takesIdempotencyKey?: true;
  readonly status: number;
  /** A schema for JSON, or the media type of what is served as it is. */
  readonly answer: z.ZodType | string;
  /** The problems that are this route's own; those of every route are added. */
  readonly problems: readonly ErrorCode[];
}

const LEDGER_FILE = { method: 'GET', roles: ['auditor'], query: noQuerySchema, body: null, status: 200, problems: ['not-found', 'archived'] } as const;

export const ROUTES = {
  requestChange: {
    method: 'POST', path: '/v1/changes', roles: ['caller'], query: waitQuerySchema, body: changeRequestSchema, takesIdempotencyKey: true,
    summary: 'The request is recorded; policy decides it next. With `wait`, answers once the change waits for a person or for nothing.',
    status: 201, answer: changeViewSchema, problems: ['mixed-targets', 'lease-needs-executor', 'no-such-change', 'not-extendable', 'idempotency-key-reused', 'too-many-open', 'ledger-unwritable'],
  },
  listChanges: {
    method: 'GET', path: '/v1/changes', roles: 'any', query: listQuerySchema, body: null,
    summary: 'The changes that the caller may see, newest first; with `waitingForMe`, those that wait for the caller’s own decision, or for a review of a broken glass by her, on request soonest to end first.',
    status: 200, answer: changeListSchema, problems: ['archived', 'ledger-unwritable'],
  },
  getChange: {
    method: 'GET', path: '/v1/changes/{id}', roles: 'any', query: getQuerySchema, body: null,
    summary: 'The change. With `since` and `wait`, answers once it has other than `since` records or the wait is over.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'archived', 'ledger-unwritable'],
  },
  reviseChange: {
    method: 'POST', path: '/v1/changes/{id}/revisions', roles: ['caller'], query: noQuerySchema, body: changeRequestSchema,
    summary: 'The request is replaced: a new revision, and every approval is void.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'not-requester', 'mixed-targets', 'lease-needs-executor', 'not-extendable', 'too-late', 'not-expected', 'ledger-unwritable'],
  },
  reduceChange: {
    method: 'POST', path: '/v1/changes/{id}/reductions', roles: ['approver'], query: noQuerySchema, body: reductionBodySchema,
    summary: 'Who is asked to approve exactly this plan has made the request less: a new revision of it, every approval is void, and policy decides again.',
    status: 200, answer: changeViewSchema,
    problems: ['no-such-change', 'nhi-cannot-approve', 'self-approval', 'not-an-approver', 'plan-changed', 'already-decided', 'approval-expired', 'not-a-reduction', 'too-late', 'ledger-unwritable'],
  },
  decideApproval: {
    method: 'POST', path: '/v1/changes/{id}/approvals', roles: ['approver'], query: noQuerySchema, body: approvalBodySchema,
    summary: 'The verdict on exactly this plan is recorded. The same approval again changes nothing.',
    status: 200, answer: changeViewSchema,
    problems: ['no-such-change', 'nhi-cannot-approve', 'self-approval', 'not-an-approver', 'proof-too-weak', 'proof-invalid', 'plan-changed', 'already-decided', 'approval-expired', 'approval-out-of-stage', 'approval-refused', 'approval-not-judged', 'ledger-unwritable'],
  },
  getStatement: {
    method: 'GET', path: '/v1/changes/{id}/statement', roles: ['approver'], query: statementQuerySchema, body: null,
    summary: 'What the caller would sign to decide on the change as it is planned now, and the weakest proof that counts. Nothing is recorded.',
    status: 200, answer: statementAnswerSchema, problems: ['no-such-change', 'nhi-cannot-approve', 'plan-changed', 'ledger-unwritable'],
  },
  getBreakGlass: {
    method: 'GET', path: '/v1/changes/{id}/break-glass', roles: 'any', query: noQuerySchema, body: null,
    summary: 'What the caller would sign to break the glass for the change as it is planned now, but for the reason. Nothing is recorded.',
    status: 200, answer: breakGlassAnswerSchema, problems: ['no-such-change', 'nhi-cannot-approve', 'plan-changed', 'ledger-unwritable'],
  },
  breakGlass: {
    method: 'POST', path: '/v1/changes/{id}/break-glass', roles: 'any', query: noQuerySchema, body: breakGlassBodySchema,
    summary: 'The caller’s own signature stands for the approvals of exactly this plan, and is owed a review by one of those who were asked.',
    status: 200, answer: changeViewSchema,
    problems: ['no-such-change', 'nhi-cannot-approve', 'proof-invalid', 'break-glass-refused', 'plan-changed', 'already-decided', 'approval-expired', 'ledger-unwritable'],
  },
  getBreakGlassReview: {
    method: 'GET', path: '/v1/changes/{id}/break-glass/review', roles: ['approver'], query: noQuerySchema, body: null,
    summary: 'What the caller would sign to review that the glass was broken, but for what they say. Nothing is recorded.',
    status: 200, answer: breakGlassReviewAnswerSchema, problems: ['no-such-change', 'nhi-cannot-approve', 'not-expected', 'ledger-unwritable'],
  },
  reviewBreakGlass: {
    method: 'POST', path: '/v1/changes/{id}/break-glass/review', roles: ['approver'], query: noQuerySchema, body: breakGlassReviewBodySchema,
    summary: 'That the glass was broken has been reviewed, by one of those who were asked: neither who broke it nor who asked for the change; or, then or later, that the rotation that is owed is not needed.',
    status: 200, answer: changeViewSchema,
    problems: ['no-such-change', 'nhi-cannot-approve', 'self-approval', 'not-an-approver', 'already-decided', 'not-expected', 'proof-too-weak', 'proof-invalid', 'approval-expired', 'ledger-unwritable'],
  },
  relayVerdict: {
    method: 'POST', path: '/v1/verdicts', roles: ['approver'], query: noQuerySchema, body: relayBodySchema,
    summary: 'The verdict on a plan of another log is signed, and its sidecar has decided on it as on one of its own.',
    status: 200, answer: relayAnswerSchema,
    problems: ['no-such-change', 'nhi-cannot-approve', 'self-approval', 'not-an-approver', 'proof-too-weak', 'plan-changed', 'already-decided', 'approval-expired', 'approval-out-of-stage', 'approval-refused', 'approval-not-judged', 'not-relayed', 'unreachable', 'ledger-unwritable'],
  },
  withdrawChange: {
    method: 'POST', path: '/v1/changes/{id}/withdraw', roles: 'any', query: noQuerySchema, body: commentBodySchema,
    summary: 'The change will not be made, or is undone if its step is on the way: at the word of who asked, or of who may revoke.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'not-requester', 'too-late', 'ledger-unwritable'],
  },
  revokeChange: {
    method: 'POST', path: '/v1/changes/{id}/revoke', roles: 'any', query: noQuerySchema, body: commentBodySchema,
    summary: 'What the change gave is being taken back now, with or without policy and a writable ledger.',
    status: 202, answer: revokeAnswerSchema, problems: ['no-such-change', 'not-allowed', 'nothing-to-revoke'],
  },
  extendChange: {
    method: 'POST', path: '/v1/changes/{id}/extend', roles: ['caller'], query: waitQuerySchema, body: extendBodySchema, takesIdempotencyKey: true,
    summary: 'A change of its own is recorded that gives the lease of this one a later end, once it is decided and approved like a grant. Until then the end stays.',
    status: 201, answer: changeViewSchema, problems: ['no-such-change', 'not-extendable', 'idempotency-key-reused', 'too-many-open', 'ledger-unwritable'],
  },
  getDelivery: {
    method: 'GET', path: '/v1/changes/{id}/delivery', roles: ['caller'], query: noQuerySchema, body: null,
    summary: 'The secret, sealed to the recipient that the request named.',
    status: 200, answer: deliverySchema, problems: ['no-such-change', 'no-delivery'],
  },
  acknowledgeDelivery: {
    method: 'POST', path: '/v1/changes/{id}/delivery', roles: ['caller'], query: noQuerySchema, body: acknowledgeBodySchema,
    summary: 'The receipt of the secret is recorded and its ciphertext is gone.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'no-delivery', 'too-late', 'ledger-unwritable'],
  },
  confirmConsumer: {
    method: 'POST', path: '/v1/changes/{id}/confirmations', roles: 'any', query: noQuerySchema, body: confirmationBodySchema,
    summary: 'It is recorded that a consumer uses the new credential of a rotation. The same again changes nothing.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'not-a-consumer', 'not-expected', 'too-late', 'ledger-unwritable'],
  },
  getTicket: {
    method: 'GET', path: '/v1/changes/{id}/ticket', roles: ['caller'], query: ticketQuerySchema, body: null,
    summary: 'Mode `caller`: the ticket of the change with all that proves it, for the run whose key the plan names.',
    status: 200, answer: stepEnvelopeSchema, problems: ['no-such-change', 'not-requester', 'not-expected', 'not-copied', 'not-cosigned', 'ledger-unwritable'],
  },
  postReport: {
    method: 'POST', path: '/v1/changes/{id}/reports', roles: ['caller'], query: noQuerySchema, body: reportMessageSchema,
    summary: 'Mode `caller`: what the run has signed is recorded. Only once its claim is answered so may its code run.',
    status: 200, answer: changeViewSchema, problems: ['no-such-change', 'not-requester', 'not-allowed', 'too-late', 'not-expected', 'not-copied', 'not-cosigned', 'ledger-unwritable'],
  },
  getEvidence: {
    method: 'GET', path: '/v1/changes/{id}/evidence', roles: 'any', query: noQuerySchema, body: null,
    summary: 'The records of the change, and the proof that its last one is in the ledger.',
    status: 200, answer: evidenceSchema, problems: ['no-such-change', 'archived', 'ledger-unwritable'],
  },
  makePack: {
    method: 'POST', path: '/v1/evidence', roles: ['auditor'], query: noQuerySchema, body: packBodySchema,
    summary: 'An evidence pack of a change, of what there is about an identity, or of a time, which `countersign verify` takes offline. It is on record by then which record is the last of each change.',
    status: 200, answer: 'application/x-tar', problems: ['no-such-change', 'no-such-nhi', 'archived', 'pack-too-large', 'ledger-unwritable'],
  },
  proveRecord: {
    method: 'GET', path: '/v1/evidence/proofs/{seq}', roles: ['auditor'], query: noQuerySchema, body: null,
    summary: 'The proof that the record of that index is in the ledger (C2SP tlog-proof).',
    status: 200, answer: 'text/plain; charset=utf-8', problems: ['not-found', 'ledger-unwritable'],
  },
  getMe: {
    method: 'GET', path: '/v1/me', roles: 'any', query: noQuerySchema, body: null,
    summary: 'Whom the token stands for, whom it acts for, and which roles it has.',
    status: 200, answer: meSchema, problems: [],
  },
  listNhis: {
    method: 'GET', path: '/v1/nhis', roles: 'any', query: nhiQuerySchema, body: null,
    summary: 'The machine identities that the caller answers for or may see, with the leases that each holds; with `limit` by their ids, a page at a time.',
    status: 200, answer: nhiListSchema, problems: [],
  },
  getNhi: {
    method: 'GET', path: '/v1/nhis/{id}', roles: 'any', query: noQuerySchema, body: null,
    summary: 'One machine identity and the leases that it holds.',
    status: 200, answer: nhiViewSchema, problems: ['no-such-nhi'],
  },
  revokeNhi: {
    method: 'POST', path: '/v1/nhis/{id}/revoke', roles: 'any', query: noQuerySchema, body: commentBodySchema,
    summary: 'Everything that this ledger gave the identity is being taken back now.',
    status: 202, answer: revokeAllAnswerSchema, problems: ['no-such-nhi', 'not-allowed'],
  },
  listLeases: {
    method: 'GET', path: '/v1/leases', roles: 'any', query: leaseQuerySchema, body: null,
    summary: 'The access that has been given and not yet taken back, soonest to end first, or by identity; with `limit` a page at a time.',
    status: 200, answer: leaseListSchema, problems: [],
  },
  listHeldRevokes: {
    method: 'GET', path: '/v1/leases/held', roles: 'any', query: noQuerySchema, body: null,
    summary: 'What policy, asked again, would take back of the leases that run, so much at once that it waits for a person; and whether it gave an answer.',
    status: 200, answer: heldViewSchema, problems: ['not-allowed'],
  },
  confirmHeldRevokes: {
    method: 'POST', path: '/v1/leases/held', roles: 'any', query: noQuerySchema, body: confirmHeldBodySchema,
    summary: 'All of it is being taken back now, at the word of who may revoke each of it and has seen exactly that.',
    status: 202, answer: heldAnswerSchema, problems: ['not-allowed', 'held-changed'],
  },
  getProposedPolicy: {
    method: 'GET', path: '/v1/policy/proposed', roles: ['approver', 'operator', 'auditor'], query: noQuerySchema, body: null,
    summary: 'The policy bundle that was proposed last, what became of it, how its files differ from those of the one before, and who must let it come into force.',
    status: 200, answer: proposedViewSchema, problems: [],
  },
  decideProposedPolicy: {
    method: 'POST', path: '/v1/policy/proposed', roles: ['approver'], query: noQuerySchema, body: proposalVerdictBodySchema,
    summary: 'The verdict on exactly this bundle is recorded; where it was the last that was missing, the bundle is in force. The same again changes nothing.',
    status: 200, answer: proposalViewSchema, problems: ['nhi-cannot-approve', 'not-an-approver', 'no-such-proposal', 'held-changed', 'already-decided', 'proof-too-weak', 'proof-invalid', 'approval-expired', 'ledger-unwritable'],
  },
  getProposalStatement: {
    method: 'GET', path: '/v1/policy/proposed/statement', roles: ['approver'], query: statementQuerySchema, body: null,
    summary: 'What the caller would sign to decide on the policy bundle that was proposed last, and the weakest proof that counts. Nothing is recorded.',
    status: 200, answer: proposalStatementAnswerSchema, problems: ['nhi-cannot-approve', 'not-an-approver', 'no-such-proposal', 'already-decided'],
  },
  setLock: {
    method: 'POST', path: '/v1/locks', roles: 'any', query: noQuerySchema, body: lockBodySchema,
    summary: 'Nothing is gained by the identity, or at the connector, until the lock is lifted; what is on its way to being given is ordered back. The same again, while it is set, is the same lock.',
    status: 201, answer: lockViewSchema, problems: ['not-allowed', 'ledger-unwritable'],
  },
  listLocks: {
    method: 'GET', path: '/v1/locks', roles: 'any', query: noQuerySchema, body: null,
    summary: 'The locks in force on what the caller answers for or may see, oldest first.',
    status: 200, answer: lockListSchema, problems: [],
  },
  liftLock: {
    method: 'POST', path: '/v1/locks/{id}/lift', roles: 'any', query: noQuerySchema, body: liftBodySchema,
    summary: 'The lock is no more; the changes that waited for it go on.',
    status: 200, answer: lockViewSchema, problems: ['no-such-lock', 'not-allowed', 'ledger-unwritable'],
  },
  giveStandingApproval: {
    method: 'POST', path: '/v1/standing-approvals', roles: ['approver'], query: noQuerySchema, body: standingApprovalBodySchema,
    summary: 'The caller’s signed template is on record: plans within it are approved by it where the caller is asked and policy lets it count, those that wait now too. The same again changes nothing.',
    status: 201, answer: standingApprovalViewSchema, problems: ['nhi-cannot-approve', 'standing-refused', 'proof-invalid', 'ledger-unwritable'],
  },
  listStandingApprovals: {
    method: 'GET', path: '/v1/standing-approvals', roles: 'any', query: standingQuerySchema, body: null,
    summary: 'The standing approvals that the caller has given, or of an identity that the caller may see, oldest or newest first; with `limit` a page at a time.',
    status: 200, answer: standingApprovalListSchema, problems: [],
  },
  revokeStandingApproval: {
    method: 'POST', path: '/v1/standing-approvals/{id}/revoke', roles: 'any', query: noQuerySchema, body: standingRevocationBodySchema,
    summary: 'It approves nothing more, and what it has approved and nobody has begun is over: at the word of who gave it, or who may lock its identity.',
    status: 200, answer: standingApprovalViewSchema, problems: ['no-such-standing-approval', 'not-allowed', 'ledger-unwritable'],
  },
  erase: {
    method: 'POST', path: '/v1/erasures', roles: ['eraser'], query: noQuerySchema, body: eraseBodySchema,
    summary: 'The objects are forgotten: who asked and why is on record, and their bytes are zero wherever they were. The same again changes nothing.',
    status: 200, answer: erasureViewSchema, problems: ['no-such-change', 'no-such-object', 'archived', 'not-erasable', 'not-allowed', 'ledger-unwritable'],
  },
  reconcile: {
    method: 'POST', path: '/v1/reconciliations', roles: 'any', query: waitQuerySchema, body: reconcileBodySchema,
    summary: 'What is there at the connectors is compared with what is recorded; what differs is on record. Answers once all are compared, or after `wait`.',
    status: 200, answer: reconciliationListSchema, problems: ['not-allowed', 'no-such-connector'],
  },
  listReconciliations: {
    method: 'GET', path: '/v1/reconciliations', roles: 'any', query: noQuerySchema, body: null,
    summary: 'When each connector was last compared with what is recorded, and what came of it.',
    status: 200, answer: reconciliationListSchema, problems: ['not-allowed'],
  },
  listFindings: {
    method: 'GET', path: '/v1/findings', roles: 'any', query: findingQuerySchema, body: null,
    summary: 'What is not at its target as it is recorded, as far as the caller answers for it or may see it, oldest first.',
    status: 200, answer: findingListSchema, problems: [],
  },
  getDiscovery: {
    method: 'GET', path: '/v1/discoveries/{connector}', roles: 'any', query: noQuerySchema, body: null,
    summary: 'What was there when the connector was last compared: accounts, what they hold, their credentials and last use.',
    status: 200, answer: discoverySchema, problems: ['not-allowed', 'no-such-connector', 'erased'],
  },
  getCheckpoint: { ...LEDGER_FILE, openToAnyone: true, path: '/ledger/checkpoint', summary: 'The newest signed checkpoint (C2SP tlog-checkpoint).', answer: 'text/plain; charset=utf-8' },
  getTile: { ...LEDGER_FILE, openToAnyone: true, path: '/ledger/tile/{tile...}', summary: 'A tile or an entry bundle (C2SP tlog-tiles).', answer: 'application/octet-stream' },
  getObjects: { ...LEDGER_FILE, path: '/ledger/objects/{segment}', summary: 'A segment of objects, which records name by digest.', answer: 'application/octet-stream' },
  getMetrics: {
    method: 'GET', path: '/metrics', roles: ['monitor', 'operator', 'auditor'], query: noQuerySchema, body: null,
    summary: 'What the sidecar is doing, for Prometheus; where the configuration has metrics: prometheus.', status: 200, answer: 'text/plain; version=0.0.4; charset=utf-8', problems: [],
  },
  getHealth: {
    method: 'GET', path: '/healthz', roles: 'public', query: noQuerySchema, body: null,
    summary: 'The process runs.', status: 200, answer: healthSchema, problems: [],
  },
  getReadiness: {
    method: 'GET', path: '/readyz', roles: 'public', query: noQuerySchema, body: null,
    summary: 'Whether the sidecar can do its work, check by check: 200 when it can, 503 with the same body when not.',
    status: 200, answer: readinessSchema, problems: [],
  },
  getOpenApi: {
    method: 'GET', path: '/openapi.json', roles: 'public', query: noQuerySchema, body: null,
    summary: 'This description (OpenAPI 3.1).', status: 200, answer: 'application/json', problems: [],
  },
  getApprovePage: {
    method: 'GET', path: '/approve', roles: 'public', query: noQuerySchema, body: null,
    summary: 'The page on which approvers register a passkey and decide with it; `#chg_…` names the change. Only where `publicUrl` says where the sidecar is reached.',
    status: 200, answer: 'text/html; charset=utf-8', problems: ['not-found'],
  },
} as const satisfies Record<string, Route>;

export type Routes = typeof ROUTES;
export type OperationId = keyof Routes;

/** Problems that any route may answer with. */
export const COMMON_PROBLEMS: readonly ErrorCode[] = ['malformed-header', 'malformed-query', 'misdirected', 'origin-refused', 'internal'];
/** … where a token is needed. */
export const TOKEN_PROBLEMS: readonly ErrorCode[] = ['unauthenticated', 'role-required'];
/** … where there is a body. */
export const BODY_PROBLEMS: readonly ErrorCode[] = ['malformed-json', 'body-too-large', 'unsupported-media-type', 'invalid-request'];
