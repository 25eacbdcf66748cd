/**
 * The oracle's part about standing approvals:
 *
 * 22. each use is of a template that somebody has signed and given, and that nobody has revoked; it is the next of so many as the template says, for a
 *     plan that is within it; nothing begins by one that is revoked, or is given by an executor whose floor counts none; none is used again, nor does anything
 *     begin by it, at an executor that has turned it away, being of before there were any: people are asked there.
 *
 * Uses are counted off the durable records, and what is wider than a template is asked of the template here once more.
 */
import type { LedgerRecord, RecordDraft } from '../../ledger/index.ts';
import type { ChangeEvent } from '../../src/change/events.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { Plan } from '../../src/protocol/plan.ts';
import { approvalStatementSchema, type Approval } from '../../src/protocol/signed.ts';
import { openStanding, readStanding, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { EXECUTORS } from './fixtures.ts';
import type { LedgerView } from './ledger-view.ts';
import type { World } from './world.ts';

type Body<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>['body'];

export interface StandingOracle {
  /** A record, as it is sequenced. */
  appended(record: Pick<RecordDraft, 'type' | 'body' | 'change'> & { readonly seq: number }): void;
  /** An executor of before has turned uses of these away, and the sidecar knows it. */
  turnedAway(audience: string, approvalIds: readonly string[]): void;
  /** The sidecar need not know any of that of the executor any more. */
  thereAnew(audience: string): void;
  /** After every event: what has become durable. */
  check(): void;
  /** Access was given, or a later end, and this approval was needed for it. @param beganSeq of the first step that was authorised under it */
  given(token: string, approvalId: string, plan: Plan, beganSeq: number): void;
  /** An executor whose floor counts none was the only one to stand in the way. */
  givenUncounted(token: string): void;
  /** The sidecar's memory against what is durable. */
  compare(): void;
  /** How many changes an executor has to turn down, since its floor does not count what approves them. */
  readonly seen: Record<string, number>;
}

/** What was composed just before may be on record a moment later. */
const UNDER_WAY_MS = 5_000;

interface Given {
  readonly template: StandingStatement;
  used: number;
  revokedSeq: number | null;
}

/** Who approves by it, and until when: a standing approval says it of each plan that is within it. */
export function approvedIn({ envelope, use }: Approval): { readonly approver: string; readonly expiresAt: string } {
  return use === undefined ? readPayload(envelope, approvalStatementSchema) : readStanding(envelope);
}

export function createStandingOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): StandingOracle {
  const seen: Record<string, number> = {};
  const count = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  const given = new Map<string, Given>();
  const approvedBy = new Map<string, Set<string>>();
  /** What executors are known to have turned away, and since when. */
  const turned = new Map<string, Map<string, number>>();
  let read = 0;

  const take = ({ type, body, seq, at, actor, change }: LedgerRecord): void => {
    const isOfRevoked = (): boolean => [...(approvedBy.get(change ?? '') ?? [])].some((id) => given.get(id)?.revokedSeq != null);
    switch (type) {
      case 'standing.approved': {
        const { approvalId, statement } = body as { readonly approvalId: string; readonly statement: Approval['envelope'] };
        const template = openStanding(statement, 'ssh', { signers: world.trust.signers, passkeys: world.trust.passkeys, atMs: Date.parse(at) });
        if (actor !== template.approver) broken(22, `record ${seq}: ${actor} gave a standing approval of ${template.approver}`);
        given.set(approvalId, { template, used: 0, revokedSeq: null });
        count('standing given');
        break;
      }
      case 'standing.revoked': {
        const known = given.get(body['approvalId'] as string);
        if (known === undefined) return broken(22, `record ${seq} revokes a standing approval that nobody has given`);
        known.revokedSeq ??= seq;
        count('standing revoked');
        break;
      }
      case 'approval.recorded': {
        const { approval: { approvalId, use } } = body as Body<'approval.recorded'>;
        if (use === undefined) return;
        takeUse(seq, at, approvalId, use);
        approvedBy.set(change!, new Set([...(approvedBy.get(change!) ?? []), approvalId]));
        break;
      }
      case 'approval.rejected':
      case 'change.withdrawn':
        if (isOfRevoked()) count('standing given up');
        break;
      case 'step.refused':
        if (world.isLax && approvedBy.has(change ?? '')) count('standing refused');
    }
  };
  const takeUse = (seq: number, at: string, approvalId: string, use: number): void => {
    const known = given.get(approvalId);
    if (known === undefined) return broken(22, `record ${seq} uses standing approval ${approvalId}, and nobody has given it`);
    const { template: { uses, expiresAt, notBefore }, revokedSeq } = known;
    known.used += 1;
    if (revokedSeq !== null) broken(22, `record ${seq} uses standing approval ${approvalId}, which record ${revokedSeq} revokes`);
    if (use !== known.used) broken(22, `record ${seq} is use ${use} of standing approval ${approvalId}, and ${known.used} is due`);
    if (known.used > uses) broken(22, `record ${seq} uses standing approval ${approvalId} once more than the ${uses} times that it says`);
    if (at >= expiresAt || at < notBefore) broken(22, `record ${seq} is of ${at}, and standing approval ${approvalId} is good from ${notBefore} to ${expiresAt}`);
    count('standing used');
    if (known.used === uses) count('standing used up');
  };
  const check = (): void => {
    const records = view.records();
    for (; read < records.length; read += 1) take(records[read]!);
  };

  /** What is recorded of the change now, or what a step rests on that is the first of its plan; null for another record. */
  const approvalsIn = ({ type, body }: Pick<RecordDraft, 'type' | 'body'>): readonly string[] | null => {
    if (type === 'approval.recorded') return [(body as Body<'approval.recorded'>).approval.approvalId];
    const authorised = body as Body<'step.authorised'>;
    return type === 'step.authorised' && authorised.kind === 'act' && authorised.stepId.endsWith('_1') ? authorised.approvals : null;
  };

  return {
    seen, check,
    appended(record) {
      const approvals = approvalsIn(record);
      const plan = approvals === null ? null : (world.engine()?.get(record.change ?? '')?.plan ?? null);
      const those = plan === null ? undefined : turned.get(EXECUTORS.find(({ connector }) => connector === plan.connector)?.audience ?? '');
      if (approvals === null || plan === null || those === undefined) return;
      const nowMs = world.scheduler.nowMs();
      for (const approvalId of approvals) if (nowMs > (those.get(approvalId) ?? Infinity) + UNDER_WAY_MS) broken(22, `record ${record.seq} rests on standing approval ${approvalId}, ${nowMs - those.get(approvalId)!} ms after the executor turned it away`);
      if (plan.kind === 'grant' && !approvals.some((approvalId) => given.has(approvalId))) count(record.type === 'step.authorised' ? 'given by people where standing is unknown' : 'people asked where standing is unknown');
    },
    turnedAway(audience, approvalIds) {
      count('standing turned away');
      const known = turned.get(audience) ?? new Map<string, number>();
      turned.set(audience, known);
      for (const approvalId of approvalIds) if (!known.has(approvalId)) known.set(approvalId, world.scheduler.nowMs());
    },
    thereAnew: (audience) => void turned.delete(audience),
    given(token, approvalId, plan, beganSeq) {
      check();
      count('given by standing');
      const known = given.get(approvalId);
      if (known === undefined) return broken(22, `${token}: given by standing approval ${approvalId}, which nobody has given`);
      const wider = widerThan(known.template, plan);
      if (wider !== null) broken(22, `${token}: given by standing approval ${approvalId} ${wider}`);
      if (known.revokedSeq !== null && known.revokedSeq < beganSeq) broken(22, `${token}: begun at record ${beganSeq} by standing approval ${approvalId}, which record ${known.revokedSeq} revokes`);
    },
    givenUncounted: (token) => broken(22, `${token}: given by an executor whose floor counts no standing approval`),
    compare() {
      const log = world.log();
      if (log?.size !== view.records().length) return;
      check();
      for (const { approvalId, used, revoked } of world.engine()?.standings() ?? []) {
        const known = given.get(approvalId);
        if (known?.used !== used || (known.revokedSeq === null) !== (revoked === null)) broken(5, `the sidecar has standing approval ${approvalId} as used ${used} times${revoked === null ? '' : ' and revoked'}, the ledger as ${known?.used ?? 'never given'}`);
      }
    },
  };
}

/** What a plan has that its template has not. */
function widerThan({ subject, kinds, connector, target, accounts, privileges, maxLeaseSeconds }: StandingStatement, plan: Plan): string | null {
  if (plan.subject !== subject || plan.connector !== connector || plan.target !== target || !(kinds as readonly string[]).includes(plan.kind)) return `to ${plan.kind} for ${plan.subject} at ${plan.connector}/${plan.target}`;
  for (const step of plan.steps) {
    if (!accounts.includes(step.account)) return `to ${step.account}`;
    const more = step.privileges.find((one) => !privileges.includes(one));
    if (more !== undefined) return `with ${more}`;
  }
  return plan.lease === null || plan.lease.leaseSeconds > maxLeaseSeconds! ? `for ${plan.lease?.leaseSeconds ?? 'ever'} s` : null;
}
