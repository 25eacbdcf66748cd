/**
 * A typed client of the sidecar, over its unix socket or HTTP. Needs nothing but Node.
 *
 * ```ts
 * const client = connect({ socket: '/run/countersign.sock', token });
 * const { id } = await client.request(change, { idempotencyKey: runId });
 * const settled = await client.wait(id, { until: isSettled, timeoutMs: 600_000 });
 * ```
 */
import type { ReportMessage, StepEnvelope } from '../protocol/envelope.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import type { EvaluationRequest, EvaluationResponse } from '../sidecar/authzen/schemas.ts';
import type {
  BreakGlassAnswer, BreakGlassBody, BreakGlassReviewAnswer, BreakGlassReviewBody, ChangeList, ChangeView, Delivery, Discovery, EraseBody, ErasureView, Evidence, ExtendBody, FindingList, HeldAnswer, HeldView, LeaseList, LockBody, LockList, LockView, Me, NhiList, NhiMatter, NhiView, PackBody, PasskeyProof, ProposalStatementAnswer, ProposalVerdictBody, ProposalView, ProposedView, Readiness, ReconcileBody,
  ReconciliationList, ReductionBody, RevokeAllAnswer, RevokeAnswer, SshProof, StandingApprovalBody, StandingApprovalList, StandingApprovalView, StatementAnswer,
} from '../sidecar/schemas.ts';
import { ClientError } from './errors.ts';
import { openWire, type WireOptions } from './wire.ts';

export type { Carried, Carry } from './wire.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export { AccessError, WorkError, type AccessErrorCode } from './access-error.ts';
export { withAccess, type Access, type AccessOptions, type AccessOutcome, type CalledRequest, type LeasedRequest } from './with-access.ts';
export type { ReportMessage, StepEnvelope } from '../protocol/envelope.ts';
export type { ChangeRequest } from '../protocol/request.ts';
export { formatEntitlementId, formatTargetId } from '../protocol/resource-id.ts';
export type { EvaluationRequest, EvaluationResponse } from '../sidecar/authzen/schemas.ts';
export type {
  BreakGlassAnswer, BreakGlassBody, BreakGlassReviewAnswer, BreakGlassReviewBody, ChangeList, ChangeView, Delivery, Discovery, EraseBody, ErasureView, Evidence, ExtendBody, FindingList, FindingView, HeldAnswer, HeldView, LeaseList, LeaseView, LockBody, LockList, LockView, Me, NhiList, NhiMatter, NhiView, PackBody, PasskeyProof, ProposalStatementAnswer, ProposalVerdictBody, ProposalView, ProposedView, Readiness,
  ReconcileBody, ReconciliationList, ReconciliationView, ReductionBody, RevokeAllAnswer, RevokeAnswer, SshProof, StandingApprovalBody, StandingApprovalList, StandingApprovalView, StatementAnswer,
} from '../sidecar/schemas.ts';

export type ConnectOptions = WireOptions;

/** A pack is looked for in the whole ledger before its first byte comes. */
const PACK_TIMEOUT_MS = 900_000;
/** Evaluations of one request take turns. */
const BATCH_TIMEOUT_MS = 20_000;

export interface ListOptions {
  readonly state?: ChangeView['state'];
  readonly subject?: string;
  readonly kind?: ChangeView['kind'];
  /** Only those that wait for the decision of whoever asks. */
  readonly waitingForMe?: true;
  /** 1 to 200. */
  readonly limit?: number;
  readonly cursor?: string;
  /** With `waitingForMe`: soonest to end first, and the first page alone. */
  readonly order?: 'soonest';
}

/** A page of a long list; left out: all of it. */
export interface PageOptions {
  /** 1 to 200. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly cursor?: string;
  /** Words, every one of which is somewhere in it. */
  readonly q?: string;
}

export interface NhiListOptions extends PageOptions {
  readonly environment?: string;
  readonly riskTier?: NhiView['riskTier'];
  readonly with?: NhiMatter;
}

/** An approver's own signature of what {@link Client.statement} answers: with her SSH key, or by her passkey. */
export type ApprovalProof = { readonly ssh: SshProof } | { readonly passkey: PasskeyProof };

export interface WaitOptions {
  /** Returns once this holds. Default: {@link isSettled}. */
  readonly until?: (change: ChangeView) => boolean;
  /** Gives up after this long and returns the change as it is then. Default: never. */
  readonly timeoutMs?: number;
  /** Called for every state that is seen on the way, the first included. */
  readonly seen?: (change: ChangeView) => void;
  readonly signal?: AbortSignal;
}

/** Every method rejects with {@link ClientError}, whose `code` is the server's, or says why there was no answer. */
export interface Client {
  /** The recorded change. The same `idempotencyKey` and request give the same change again. */
  request(change: ChangeRequest, options?: { idempotencyKey?: string; waitSeconds?: number }): Promise<ChangeView>;
  /** Whether a change would go ahead now with nobody's approval, as AuthZEN asks it: `decision` true is a yes, and nothing else is. Records nothing. */
  evaluate(evaluation: EvaluationRequest): Promise<EvaluationResponse>;
  /** The same of up to 50 of them, in their order; fewer answers where `semantic` stops before the end. */
  evaluateAll(evaluations: readonly EvaluationRequest[], semantic?: 'execute_all' | 'deny_on_first_deny' | 'permit_on_first_permit'): Promise<readonly EvaluationResponse[]>;
  get(changeId: string): Promise<ChangeView>;
  list(options?: ListOptions): Promise<ChangeList>;
  /** The change once `until` holds, or as it is when the time is over: the caller looks at `state`. */
  wait(changeId: string, options?: WaitOptions): Promise<ChangeView>;
  revise(changeId: string, change: ChangeRequest): Promise<ChangeView>;
  /** Takes something off what is asked for, as one who is asked to approve exactly the plan of this digest: a new revision, and every approval is void. */
  reduce(changeId: string, planDigest: string, reduction: Omit<ReductionBody, 'planDigest'>): Promise<ChangeView>;
  /** Approves exactly the plan of this digest. Without `proof` the token is what proves whose approval it is, which counts where a session does. */
  approve(changeId: string, planDigest: string, comment?: string, proof?: ApprovalProof): Promise<ChangeView>;
  reject(changeId: string, planDigest: string, comment: string, proof?: ApprovalProof): Promise<ChangeView>;
  /** What whoever asks would sign to decide on the change as it is planned now, and the weakest proof that counts. Look at it before you sign it. */
  statement(changeId: string, verdict: 'approve' | 'reject'): Promise<StatementAnswer>;
  /** What whoever asks would sign to break the glass, but for the reason. */
  breakGlassStatement(changeId: string): Promise<BreakGlassAnswer>;
  /** Stands for the approvals of exactly this plan, and is owed a review. */
  breakGlass(changeId: string, body: BreakGlassBody): Promise<ChangeView>;
  /** What whoever asks would sign to review that, but for what they say. */
  breakGlassReviewStatement(changeId: string): Promise<BreakGlassReviewAnswer>;
  reviewBreakGlass(changeId: string, review: BreakGlassReviewBody): Promise<ChangeView>;
  /** The recorded change that asks for a later end of what `changeId` gave; until it is `done`, the end is as it was. */
  extend(changeId: string, extension: ExtendBody, options?: { idempotencyKey?: string; waitSeconds?: number }): Promise<ChangeView>;
  withdraw(changeId: string, comment?: string): Promise<ChangeView>;
  revoke(changeId: string, comment?: string): Promise<RevokeAnswer>;
  revokeAll(nhi: string, comment?: string): Promise<RevokeAllAnswer>;
  /** The sealed secret: an age file for the recipient that the request named. */
  delivery(changeId: string): Promise<Delivery>;
  /** The secret was opened and is in use: the sidecar forgets the ciphertext. */
  acknowledge(changeId: string, digest: string): Promise<ChangeView>;
  /** The consumer uses the new credential of a rotation. The same again changes nothing. */
  confirm(changeId: string, consumer: string): Promise<ChangeView>;
  /** Mode `caller`: the ticket to be checked, see {@link withAccess}. `fromSize`: of the newest checkpoint that the caller has seen. */
  callerTicket(changeId: string, fromSize?: number): Promise<StepEnvelope>;
  /** Mode `caller`: resolves once what the run has signed is durable. The same again changes nothing. */
  report(changeId: string, message: ReportMessage): Promise<ChangeView>;
  evidence(changeId: string): Promise<Evidence>;
  /** An evidence pack, as it comes: a file for `countersign verify`. */
  pack(asked: PackBody, options?: { signal?: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;
  /** The proof that a record is in the ledger, as a `.tlog-proof`. */
  proof(seq: number): Promise<AsyncIterable<Uint8Array>>;
  /** A file of the ledger, as it comes: `checkpoint`, a tile or an entry bundle (C2SP tlog-tiles). */
  ledgerFile(path: string): Promise<AsyncIterable<Uint8Array>>;
  /** Whom the token stands for. */
  me(): Promise<Me>;
  /** The locks in force on what you may see. */
  locks(): Promise<LockList>;
  /** Nothing is gained there until it is lifted. */
  lock(scope: Omit<LockBody, 'reason'>, reason: string): Promise<LockView>;
  unlock(lockId: string, reason: string): Promise<LockView>;
  standingApprovals(options?: PageOptions & { state?: 'inForce' | 'over'; order?: 'newest' }): Promise<StandingApprovalList>;
  /** The same again changes nothing. */
  giveStandingApproval(body: StandingApprovalBody): Promise<StandingApprovalView>;
  revokeStandingApproval(approvalId: string, reason: string): Promise<StandingApprovalView>;
  /** Objects are forgotten, on record. */
  erase(body: EraseBody): Promise<ErasureView>;
  /** What is there at the connector, or at all, compared with what is recorded. Waits at most so long; what is still running then says so. */
  reconcile(body: ReconcileBody, options?: { waitSeconds?: number }): Promise<ReconciliationList>;
  /** When each connector was last compared, and what came of it. */
  reconciliations(): Promise<ReconciliationList>;
  findings(options?: { nhi?: string }): Promise<FindingList>;
  /** What was there at the last comparison. */
  discovery(connector: string): Promise<Discovery>;
  nhis(options?: NhiListOptions): Promise<NhiList>;
  nhi(id: string): Promise<NhiView>;
  leases(options?: PageOptions & { subject?: string; order?: 'identity' }): Promise<LeaseList>;
  /** What policy would take back of the leases that run, and waits for a person. */
  heldRevokes(): Promise<HeldView>;
  /** The policy bundle that was proposed last, and who must let it come into force. */
  proposedPolicy(): Promise<ProposedView>;
  /** A verdict on exactly this bundle: what the person saw. */
  decideProposedPolicy(verdict: ProposalVerdictBody): Promise<ProposalView>;
  /** What the caller would sign to decide on the bundle that was proposed last, and the weakest proof that counts. Nothing is recorded. */
  proposedPolicyStatement(verdict: 'approve' | 'reject'): Promise<ProposalStatementAnswer>;
  /** Takes back exactly what `digest` stands for. */
  confirmHeldRevokes(digest: string, comment?: string): Promise<HeldAnswer>;
  /** Whether the sidecar can do its work, check by check. Does not reject when it is not ready. */
  ready(): Promise<Readiness>;
}

/** Seconds that one long poll asks for: well below what proxies and the server allow. */
const POLL_SECONDS = 20;

/** Whether the change waits for a person, or for nothing any more. */
export function isSettled(change: ChangeView): boolean {
  // A caller's run that has a ticket has the next move itself.
  if (change.state === 'authorised') return change.mode === 'caller';
  return !['requested', 'scheduled', 'executing', 'verifying', 'revoking', 'withdrawing'].includes(change.state);
}

/** A client of the sidecar at `socket` or `url`. Connects when it is used. */
export function connect(options: ConnectOptions): Client {
  const wire = openWire(options);
  const change = (changeId: string, rest = ''): string => `/v1/changes/${encodeURIComponent(changeId)}${rest}`;
  const withComment = (comment: string | undefined): object => (comment === undefined ? {} : { comment });
  const decideOn = (changeId: string, verdict: 'approve' | 'reject', planDigest: string, comment: string | undefined, proof: ApprovalProof | undefined): Promise<ChangeView> =>
    wire.send<ChangeView>('POST', change(changeId, '/approvals'), { body: { verdict, planDigest, ...withComment(comment), ...proof } });
  const ask = (path: string, body: object, { idempotencyKey, waitSeconds }: { idempotencyKey?: string; waitSeconds?: number } = {}): Promise<ChangeView> =>
    wire.send<ChangeView>('POST', `${path}${query({ wait: waitSeconds === undefined ? undefined : `PT${waitSeconds}S` })}`, {
      body, headers: idempotencyKey === undefined ? {} : { 'idempotency-key': quoted(idempotencyKey) }, timeoutMs: wire.timeoutMs + (waitSeconds ?? 0) * 1000,
    });

  return {
    request: (request, options) => ask('/v1/changes', request, options),
    extend: (changeId, extension, options) => ask(change(changeId, '/extend'), extension, options),
    async evaluate(evaluation) {
      const answered = await wire.send<EvaluationResponse>('POST', '/access/v1/evaluation', { body: evaluation });
      return asDecided(answered);
    },
    async evaluateAll(evaluations, semantic = 'execute_all') {
      // An empty list is another question to the standard.
      if (evaluations.length === 0) return [];
      const answered = await wire.send<{ evaluations?: unknown } | null>('POST', '/access/v1/evaluations', { body: { evaluations, options: { evaluations_semantic: semantic } }, timeoutMs: wire.timeoutMs + BATCH_TIMEOUT_MS });
      if (!Array.isArray(answered?.evaluations)) throw new ClientError('unexpected-answer', 'an answer without decisions', { body: answered });
      return (answered.evaluations as EvaluationResponse[]).map(asDecided);
    },
    get: (changeId) => wire.send<ChangeView>('GET', change(changeId)),
    list: (filter = {}) =>
      wire.send<ChangeList>('GET', `/v1/changes${query({ state: filter.state, subject: filter.subject, kind: filter.kind, waitingForMe: filter.waitingForMe?.toString(), limit: filter.limit?.toString(), cursor: filter.cursor, order: filter.order })}`),
    async wait(changeId, { until = isSettled, timeoutMs = Infinity, seen, signal } = {}) {
      const deadline = performance.now() + timeoutMs;
      let view = await wire.send<ChangeView>('GET', change(changeId), signal === undefined ? {} : { signal });
      for (;;) {
        seen?.(view);
        if (until(view)) return view;
        const leftSeconds = Math.ceil((deadline - performance.now()) / 1000);
        if (leftSeconds <= 0) return view;
        const waitSeconds = Math.min(POLL_SECONDS, leftSeconds);
        view = await wire.send<ChangeView>('GET', `${change(changeId)}${query({ wait: `PT${waitSeconds}S`, since: String(view.length) })}`, {
          timeoutMs: wire.timeoutMs + waitSeconds * 1000,
          ...(signal === undefined ? {} : { signal }),
        });
      }
    },
    revise: (changeId, request) => wire.send<ChangeView>('POST', change(changeId, '/revisions'), { body: request }),
    reduce: (changeId, planDigest, reduction) => wire.send<ChangeView>('POST', change(changeId, '/reductions'), { body: { planDigest, ...reduction } }),
    approve: (changeId, planDigest, comment, proof) => decideOn(changeId, 'approve', planDigest, comment, proof),
    reject: (changeId, planDigest, comment, proof) => decideOn(changeId, 'reject', planDigest, comment, proof),
    statement: (changeId, verdict) => wire.send<StatementAnswer>('GET', `${change(changeId, '/statement')}?verdict=${verdict}`),
    breakGlassStatement: (changeId) => wire.send<BreakGlassAnswer>('GET', change(changeId, '/break-glass')),
    breakGlass: (changeId, body) => wire.send<ChangeView>('POST', change(changeId, '/break-glass'), { body }),
    breakGlassReviewStatement: (changeId) => wire.send<BreakGlassReviewAnswer>('GET', change(changeId, '/break-glass/review')),
    reviewBreakGlass: (changeId, body) => wire.send<ChangeView>('POST', change(changeId, '/break-glass/review'), { body }),
    withdraw: (changeId, comment) => wire.send<ChangeView>('POST', change(changeId, '/withdraw'), { body: withComment(comment) }),
    revoke: (changeId, comment) => wire.send<RevokeAnswer>('POST', change(changeId, '/revoke'), { body: withComment(comment) }),
    revokeAll: (nhi, comment) => wire.send<RevokeAllAnswer>('POST', `/v1/nhis/${encodeURIComponent(nhi)}/revoke`, { body: withComment(comment) }),
    delivery: (changeId) => wire.send<Delivery>('GET', change(changeId, '/delivery')),
    acknowledge: (changeId, digest) => wire.send<ChangeView>('POST', change(changeId, '/delivery'), { body: { digest } }),
    confirm: (changeId, consumer) => wire.send<ChangeView>('POST', change(changeId, '/confirmations'), { body: { consumer } }),
    callerTicket: (changeId, fromSize) => wire.send<StepEnvelope>('GET', change(changeId, `/ticket${query({ from: fromSize?.toString() })}`)),
    report: (changeId, message) => wire.send<ChangeView>('POST', change(changeId, '/reports'), { body: message }),
    me: () => wire.send<Me>('GET', '/v1/me'),
    locks: () => wire.send<LockList>('GET', '/v1/locks'),
    lock: (scope, reason) => wire.send<LockView>('POST', '/v1/locks', { body: { ...scope, reason } }),
    erase: (body) => wire.send<ErasureView>('POST', '/v1/erasures', { body }),
    standingApprovals: ({ limit, ...options } = {}) => wire.send<StandingApprovalList>('GET', `/v1/standing-approvals${query({ limit: limit?.toString(), ...options })}`),
    giveStandingApproval: (body) => wire.send<StandingApprovalView>('POST', '/v1/standing-approvals', { body }),
    revokeStandingApproval: (approvalId, reason) => wire.send<StandingApprovalView>('POST', `/v1/standing-approvals/${encodeURIComponent(approvalId)}/revoke`, { body: { reason } }),
    unlock: (lockId, reason) => wire.send<LockView>('POST', `/v1/locks/${encodeURIComponent(lockId)}/lift`, { body: { reason } }),
    pack: (asked, { signal } = {}) => wire.receive('POST', '/v1/evidence', { body: asked, timeoutMs: PACK_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) }),
    proof: (seq) => wire.receive('GET', `/v1/evidence/proofs/${seq}`),
    ledgerFile: (path) => wire.receive('GET', `/ledger/${path}`),
    evidence: (changeId) => wire.send<Evidence>('GET', change(changeId, '/evidence')),
    reconcile: (body, { waitSeconds = 50 } = {}) =>
      wire.send<ReconciliationList>('POST', `/v1/reconciliations${query({ wait: waitSeconds === 0 ? undefined : `PT${waitSeconds}S` })}`, { body, timeoutMs: wire.timeoutMs + waitSeconds * 1000 }),
    reconciliations: () => wire.send<ReconciliationList>('GET', '/v1/reconciliations'),
    findings: ({ nhi } = {}) => wire.send<FindingList>('GET', `/v1/findings${query({ nhi })}`),
    discovery: (connector) => wire.send<Discovery>('GET', `/v1/discoveries/${encodeURIComponent(connector)}`),
    nhis: ({ limit, ...options } = {}) => wire.send<NhiList>('GET', `/v1/nhis${query({ limit: limit?.toString(), ...options })}`),
    nhi: (id) => wire.send<NhiView>('GET', `/v1/nhis/${encodeURIComponent(id)}`),
    leases: ({ limit, ...options } = {}) => wire.send<LeaseList>('GET', `/v1/leases${query({ limit: limit?.toString(), ...options })}`),
    proposedPolicy: () => wire.send<ProposedView>('GET', '/v1/policy/proposed'),
    proposedPolicyStatement: (verdict) => wire.send<ProposalStatementAnswer>('GET', `/v1/policy/proposed/statement?verdict=${verdict}`),
    decideProposedPolicy: (verdict) => wire.send<ProposalView>('POST', '/v1/policy/proposed', { body: verdict }),
    heldRevokes: () => wire.send<HeldView>('GET', '/v1/leases/held'),
    confirmHeldRevokes: (digest, comment) => wire.send<HeldAnswer>('POST', '/v1/leases/held', { body: { digest, ...(comment === undefined ? {} : { comment }) } }),
    async ready() {
      try {
        return await wire.send<Readiness>('GET', '/readyz');
      } catch (error) {
        if (error instanceof ClientError && error.status === 503 && isReadiness(error.body)) return error.body;
        throw error;
      }
    },
  };
}

/** A decision that is no boolean is none. */
function asDecided(answered: EvaluationResponse | null): EvaluationResponse {
  if (typeof answered?.decision !== 'boolean') throw new ClientError('unexpected-answer', 'an answer without a decision', { body: answered });
  return answered;
}

function isReadiness(body: unknown): body is Readiness {
  return typeof body === 'object' && body !== null && 'checks' in body;
}

/** The header's value as a structured-field string. @see draft-ietf-httpapi-idempotency-key-header §2.1 */
function quoted(key: string): string {
  return `"${key.replaceAll(/["\\]/g, (character) => `\\${character}`)}"`;
}

function query(parameters: Record<string, string | undefined>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}
