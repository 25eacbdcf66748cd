/**
 * Ledgers that tell a story: real records and real signatures, made by the same `decide` as in production, then edited at will. A clean story
 * verifies; a test changes one thing and says what must be found.
 */
import { digestOf, canonicalBytes, generateSignerKey, logIdOf, nodeDisk, openLog, parseSigner, type Signer } from '../../ledger/index.ts';
import { decide, type Command } from '../../src/change/decide.ts';
import { deriveActTicket, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs } from '../../src/change/derive.ts';
import type { NewEvent } from '../../src/change/events.ts';
import { evolve, stepOf, type ChangeState } from '../../src/change/state.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { Decision, ProofClass, Provenance } from '../../src/protocol/decision.ts';
import { payloadDigest, readPayload, signDsse } from '../../src/protocol/dsse.ts';
import type { Plan, TargetState } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import {
  APPROVAL_TYPE, REPORT_TYPE, REVOKE_ORDER_TYPE, revokeOrderSchema, ticketSchema, TICKET_TYPE,
  type Approval, type ApprovalStatement, type Dsse, type Report, type RevokeOrder, type Seal, type Ticket,
} from '../../src/protocol/signed.ts';
import { parseTrust, type Trust } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { draftOf } from './drafts.ts';

export const ORIGIN = 'story.example/ledger';
export const START_MS = Date.parse('2026-11-23T19:00:00.000Z');
export const EXECUTOR = 'executor:main';
export const RECIPIENT = `age1${'q'.repeat(58)}`;

const signer = (name: string, seed: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(seed)).skey);

/** Everyone's keys, and a trust folder that knows them. */
export const keys = {
  log: signer(ORIGIN, 1),
  ticket: signer(`${ORIGIN}/ticket`, 2),
  executor: signer(EXECUTOR, 3),
  otherExecutor: signer('executor:other', 4),
  revoker: signer('person:sam', 5),
  stranger: signer(`${ORIGIN}/ticket`, 6),
} as const;

export const logId = logIdOf(ORIGIN);
export const sidecar = `sidecar:${logId}`;

export interface TrustEdit {
  readonly quorum?: number;
  readonly approvers?: readonly string[] | null;
  readonly maxLeaseSeconds?: number | null;
  readonly executorConnectors?: readonly string[];
  readonly noSidecar?: boolean;
  readonly proofClass?: ProofClass;
  /** The file `allowed_signers`. */
  readonly signers?: string;
  /** The file `passkeys.json`. */
  readonly passkeys?: string;
  readonly policyActivation?: object;
  readonly exceptionGrants?: object;
  /** Who may break the glass. */
  readonly breakGlass?: readonly object[];
  /** Whether the floor counts standing approvals. */
  readonly standing?: boolean;
}

/** The texts of a trust folder's files, by name. */
export function trustFiles(edit: TrustEdit = {}): Record<'trust.policy' | 'sidecars.json' | 'executors.json' | 'requirements.json', string> {
  const floor = { connector: '*', target: '*', privilege: '*', quorum: edit.quorum ?? 1, proofClass: edit.proofClass ?? 'session', approvers: edit.approvers ?? null, maxLeaseSeconds: edit.maxLeaseSeconds ?? null, ...(edit.standing === undefined ? {} : { standing: edit.standing }) };
  return {
    'trust.policy': `log ${keys.log.vkey}\nquorum none\n`,
    'sidecars.json': JSON.stringify(edit.noSidecar === true ? [] : [{ origin: ORIGIN, key: keys.ticket.vkey }]),
    'executors.json': JSON.stringify([
      { id: EXECUTOR, key: keys.executor.vkey, connectors: edit.executorConnectors ?? ['pg-main'] },
      { id: 'executor:other', key: keys.otherExecutor.vkey, connectors: ['pg-other'] },
    ]),
    'requirements.json': JSON.stringify({ v: 1, floors: [floor], revokers: [{ principal: 'person:sam', key: keys.revoker.vkey }], clockSkewMs: 1_000, ...(edit.policyActivation === undefined ? {} : { policyActivation: edit.policyActivation }), ...(edit.exceptionGrants === undefined ? {} : { exceptionGrants: edit.exceptionGrants }), ...(edit.breakGlass === undefined ? {} : { breakGlass: edit.breakGlass }) }),
  };
}

export function storyTrust(edit: TrustEdit = {}): Trust {
  const files = trustFiles(edit);
  return parseTrust({ policy: files['trust.policy'], rest: { sidecars: files['sidecars.json'], executors: files['executors.json'], requirements: files['requirements.json'], signers: edit.signers ?? null, passkeys: edit.passkeys ?? null } });
}

export interface Beat {
  readonly changeId: string;
  readonly event: NewEvent;
  readonly atMs: number;
}

export const sign = {
  ticket: (ticket: Ticket, by: Signer = keys.ticket): Dsse => signDsse(TICKET_TYPE, ticket, by),
  order: (order: RevokeOrder, by: Signer = keys.ticket): Dsse => signDsse(REVOKE_ORDER_TYPE, order, by),
  report: (report: Report, by: Signer = keys.executor): Dsse => signDsse(REPORT_TYPE, report, by),
  approval(statement: ApprovalStatement, by: Signer = keys.ticket): Approval {
    return { approvalId: `apr_${digestOf(canonicalBytes(statement)).slice(7, 39)}`, proofClass: 'session', envelope: signDsse(APPROVAL_TYPE, statement, by) };
  },
};

let ids = 0;
/** Tells one change, event by event, each as `decide` makes it. */
export class Telling {
  readonly beats: Beat[] = [];
  readonly changeId: string;
  atMs: number;
  state: ChangeState | null = null;
  /** Tells its salts from those of other tellings. */
  readonly seed: number;
  private readonly ledger: Beat[];

  /** @param ledger the beats of everything that is told beside it, in the order in which it happens */
  constructor(atMs: number, ledger: Beat[] = [], seed = 0) {
    ids += 1;
    this.ledger = ledger;
    this.seed = seed;
    this.changeId = newChangeId(logId, atMs, (length) => new Uint8Array(length).fill(ids % 31));
    this.atMs = atMs;
  }

  get now(): ChangeState {
    if (this.state === null) throw new Error('nothing was requested yet');
    return this.state;
  }

  later(ms: number): this {
    this.atMs += ms;
    return this;
  }

  do(command: Command): this {
    const decided = decide(this.state, command, this.atMs);
    if (!decided.ok) throw new Error(`the story cannot go on: ${command.type}: ${decided.code}: ${decided.message}`);
    for (const event of decided.events) this.force(event);
    return this;
  }

  /** Adds an event whatever `decide` thinks of it. */
  force(event: NewEvent): this {
    const beat = { changeId: this.changeId, event, atMs: this.atMs };
    this.beats.push(beat);
    this.ledger.push(beat);
    this.state = evolve(this.state, { ...event, changeId: this.changeId, seq: this.beats.length, atMs: this.atMs });
    return this;
  }
}

export function salt(n: number, seed = 0): string {
  const bytes = Buffer.alloc(16, n);
  if (seed > 0) bytes.writeUInt32BE(seed, 12);
  return bytes.toString('base64url');
}
export const provenance: Provenance = { bundle: digestOf(Buffer.from('bundle 1')), input: digestOf(Buffer.from('input')), facts: [] };

export function targetState(account: string, held: readonly string[], exists: boolean, n: number, seed = 0): TargetState {
  return { v: 1, salt: salt(n, seed), connector: 'pg-main', target: 'app', account, exists, touched: { account: exists ? 'present' : 'absent' }, held: [...held] };
}

export function decision(effect: Decision['effect'], approvers: Decision['obligations']['approvers'] = null): Decision {
  return {
    effect, reasons: [{ code: effect === 'deny' ? 'exceeds-purpose' : 'owner-approves', message: 'as the rule says', rule: 'access' }],
    obligations: { approvers, proofClass: 'session', maxLeaseSeconds: 3600, verification: 'readBack' },
    entitlements: { requested: [], held: [], used: [], excess: [], counterOffer: null }, controls: [],
  };
}

export const PROVISION: ChangeRequest = {
  kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'the nightly export', duration: 'PT15M', recipient: RECIPIENT,
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
};
export const GRANT: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'deploy 42', duration: 'PT30M',
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};

export const ANA = { anyOf: ['person:ana', 'person:ben'] };

/** Requested, read, planned and decided. */
export function toldUntilDecided(request: ChangeRequest, atMs: number, effect: Decision['effect'] = 'needsApproval', telling = new Telling(atMs), said?: Decision, facts: readonly string[] = []): Telling {
  const account = request.kind === 'provision' ? 'billing_export_1' : 'ci_deployer';
  if (telling.state === null) telling.do({ type: 'request', by: request.subject, request, requester: [request.subject], idempotency: null });
  const query = deriveQuery(telling.changeId, request, account);
  telling.later(5).do({ type: 'authoriseRead', by: sidecar, ticket: sign.ticket(deriveReadTicket(telling.now, query, EXECUTOR, telling.atMs, 300)) });
  const before = targetState(account, [], request.kind !== 'provision', 1, telling.seed);
  report(telling.later(20), {
    kind: 'read', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: telling.now.read!.stepId, issue: 1,
    outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(before)),
  }, [before]);
  const plan = derivePlan(telling.now, query, before, { salt: salt(2, telling.seed), window: null, consumers: [], parent: null });
  return telling.later(5).do({
    type: 'recordDecision', by: sidecar, phase: 'request', plan, decision: said ?? decision(effect, effect === 'needsApproval' ? ANA : null), provenance: { ...provenance, facts: [...facts] }, approvalSeconds: 3600,
  });
}

export function statementOf(telling: Telling, approver: string, verdict: 'approve' | 'reject' = 'approve'): ApprovalStatement {
  const { revision, planDigest } = telling.now;
  return { v: 1, log: logId, changeId: telling.changeId, revision, planDigest: planDigest!, verdict, approver, expiresAt: formatTime(telling.atMs + 3_600_000) };
}

/** Approved, decided again, authorised, armed. */
export function toldUntilArmed(telling: Telling, said: Decision = decision('needsApproval', ANA), facts: readonly string[] = []): Telling {
  if (telling.now.name === 'pending') telling.later(60_000).do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana')), comment: 'as agreed' });
  const plan = telling.now.plan!;
  telling.later(10).do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan, decision: said, provenance: { ...provenance, facts: [...facts] }, approvalSeconds: 3600 });
  const endsAtMs = leaseEndMs(plan, telling.atMs);
  telling.do({
    type: 'authoriseAct', by: sidecar, ticket: sign.ticket(deriveActTicket(telling.now, plan, stepOf(telling.now)!, EXECUTOR, telling.atMs, 300)),
    order: endsAtMs === null ? null : sign.order(deriveRevokeOrder(plan, EXECUTOR, endsAtMs, 'leaseEnd', sidecar)!),
  });
  return telling.later(3).do({ type: 'recordArmed', by: sidecar, orderDigest: telling.now.lease!.orderDigest });
}

/** Done, verified, in use. */
export function toldUntilActive(telling: Telling, fingerprint = 'ab'.repeat(32)): Telling {
  const { step, issue } = actOf(telling);
  const common = { v: 1 as const, executor: EXECUTOR, log: logId, changeId: telling.changeId, stepId: step.stepId, issue };
  report(telling.later(4), { kind: 'claimed', ...common, at: formatTime(telling.atMs) }, []);
  const after = targetState(step.account, step.privileges, true, 3, telling.seed);
  const before = targetState(step.account, [], step.action !== 'provision', 4, telling.seed);
  const seal: Seal | null = step.action !== 'provision' ? null
    : { recipient: RECIPIENT, ciphertext: digestOf(Buffer.from('sealed')), fingerprint, replaces: null };
  report(telling.later(30), {
    kind: 'acted', ...common, at: formatTime(telling.atMs - 2), attempt: 1, outcome: 'done', code: null, detail: null, before: digestOf(canonicalBytes(before)),
    after: digestOf(canonicalBytes(after)), byUse: step.action === 'provision' ? 'works' : 'notTried', seal,
  }, [before, after]);
  const verification = { effect: 'allow' as const, reasons: [{ code: 'as-planned', message: 'nothing more, nothing less', rule: 'access' }], controls: [] };
  telling.later(5).do({ type: 'recordVerification', by: sidecar, verification, provenance });
  if (seal !== null) telling.later(50).do({ type: 'acknowledgeDelivery', by: telling.now.requester[0]!, ciphertext: seal.ciphertext });
  return telling;
}

/** The executor took it back under `order`, `lateMs` after it was due. */
export function toldUntilEnded(telling: Telling, order: Dsse, lateMs = 400): Telling {
  const content = readPayload(order, revokeOrderSchema);
  telling.atMs = Math.max(telling.atMs, Date.parse(content.notBefore) + lateMs);
  const after = targetState(content.account, [], false, 5, telling.seed);
  report(telling.later(10), {
    kind: 'revoked', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs - 10), leaseId: content.leaseId, epoch: content.epoch,
    order: payloadDigest(order), outcome: 'done', code: null, detail: null, after: digestOf(canonicalBytes(after)), byUse: 'notTried', attempt: 1,
  }, [after], order);
  return telling;
}

/** An early order by the person `by`, recorded. */
export function toldUntilOrdered(telling: Telling, by: string): Dsse {
  const order = sign.order(deriveRevokeOrder(telling.now.plan!, EXECUTOR, telling.atMs, 'early', by)!);
  telling.do({ type: 'orderRevoke', by, order, comment: 'no longer needed' });
  return order;
}

export function actOf(telling: Telling): { step: Plan['steps'][number]; issue: number } {
  const ticket = readPayload(telling.now.act!.ticket, ticketSchema);
  if (ticket.kind !== 'act') throw new Error('not an act ticket');
  return { step: ticket.step, issue: ticket.issue };
}

export function report(telling: Telling, content: Report, states: readonly TargetState[], order: Dsse | null = null, by: Signer = keys.executor): void {
  telling.do({ type: 'recordReport', report: content, envelope: sign.report(content, by), states: new Map(states.map((state) => [digestOf(canonicalBytes(state)), state])), order });
}

/** Three changes: one that ran its lease, one taken back early, one denied. */
export function cleanStory(): { beats: Beat[]; provision: Telling; grant: Telling; denied: Telling } {
  const provision = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
  toldUntilEnded(provision, provision.now.lease!.order);
  const grant = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 2_000_000)));
  toldUntilEnded(grant, toldUntilOrdered(grant.later(1_000), 'person:olga'), 200);
  const denied = toldUntilDecided(GRANT, START_MS + 4_000_000, 'deny');
  return { beats: [...provision.beats, ...grant.beats, ...denied.beats], provision, grant, denied };
}

/** Writes the beats, in their order, as the ledger of `directory`/ledger. `first`, `extra`: records of no change before and after them. */
export async function writeStory(directory: string, beats: readonly Beat[], extra: readonly DraftWithObjects[] = [], first: readonly DraftWithObjects[] = []): Promise<void> {
  let now = START_MS;
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => now });
  const opened = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS);
  for (const { draft, objects } of [opened, ...first, ...beats.map(({ changeId, event, atMs }) => draftOf(changeId, event, atMs)), ...extra]) {
    now = Date.parse(draft.at);
    log.append([draft], { objects });
  }
  await log.sync();
  await log.close();
}
