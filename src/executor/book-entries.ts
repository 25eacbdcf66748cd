/**
 * What a lease book says, entry by entry, and what it comes to: the fold that a worker acts on.
 *
 *     opened   whose book it is
 *     head     the newest checkpoint of a log that was believed
 *     order    access to take back, and when
 *     claim    a step was admitted; nothing has been touched
 *     attempt  about to be applied: the state before, and the sealed secret
 *     cleared  that attempt had no effect, and can have none any more
 *     applied  that attempt had its effect; of an extension: lease-end orders of earlier epochs are void from here on
 *     sealed   the secret that the target chose for it, sealed
 *     resolved what was reported of a step; a refused one may be issued again
 *     ended    taken back: a tombstone, whatever the epoch
 *     withdrawing what sinks have of a lease that was taken back is to be withdrawn; withdrawn: it is
 *     told     the executor's other workers can know that the lease is over
 *     lock     a lock that was set or lifted: what it covers is not given to
 *     sent     a report was acknowledged and may be forgotten
 */
import { z } from 'zod';
import { leaseIdOf } from '../change/derive.ts';
import { leaseChangeOf } from '../change/extension.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { reportMessageSchema, type ReportMessage } from '../protocol/envelope.ts';
import { emptyLocks, foldLock, holdLock, type LockTable } from '../protocol/lock.ts';
import { planSchema, type Plan } from '../protocol/plan.ts';
import { ACT_OUTCOMES, actTicketSchema, dsseSchema, revokedReportSchema, sealSchema, type ActTicket, type Seal } from '../protocol/signed.ts';
import { digestSchema, executorIdSchema, leaseIdSchema, logIdSchema, stepIdSchema } from '../protocol/values.ts';
import { workerIdSchema } from './claims.ts';
import { holdOrder, type HeldOrder } from './orders.ts';
import type { Head } from './receipt.ts';

const attempt = z.int().min(1);

export const bookEntrySchema = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('opened'), v: z.literal(1), executor: executorIdSchema, /** Which of the executor's workers; missing where there was only one. */ worker: workerIdSchema.optional() }),
  z.strictObject({ t: z.literal('head'), log: logIdSchema, size: z.int().min(0), root: z.base64() }),
  z.strictObject({ t: z.literal('order'), order: dsseSchema }),
  z.strictObject({ t: z.literal('claim'), ticket: actTicketSchema, plan: planSchema, /** Digest of the order that ends it. */ order: digestSchema.nullable() }),
  z.strictObject({
    t: z.literal('attempt'), stepId: stepIdSchema, attempt, /** RFC 8785 text of the state that was read just before. */ before: z.string(),
    seal: sealSchema.nullable(), ciphertext: z.base64().nullable(),
  }),
  z.strictObject({ t: z.literal('cleared'), stepId: stepIdSchema, attempt }),
  z.strictObject({ t: z.literal('applied'), stepId: stepIdSchema, attempt }),
  z.strictObject({ t: z.literal('sealed'), stepId: stepIdSchema, attempt, seal: sealSchema, ciphertext: z.base64() }),
  z.strictObject({ t: z.literal('resolved'), stepId: stepIdSchema, issue: z.int().min(1), outcome: z.enum(ACT_OUTCOMES), report: reportMessageSchema }),
  z.strictObject({ t: z.literal('ended'), leaseId: leaseIdSchema, /** Keys of the effects that were undone. */ effects: z.array(digestSchema), report: reportMessageSchema }),
  z.strictObject({ t: z.enum(['withdrawing', 'withdrawn']), leaseId: leaseIdSchema }),
  z.strictObject({ t: z.literal('told'), leaseId: leaseIdSchema }),
  z.strictObject({ t: z.literal('lock'), lock: dsseSchema }),
  z.strictObject({ t: z.literal('sent'), report: digestSchema }),
]);
export type BookEntry = z.infer<typeof bookEntrySchema>;

export interface Attempt {
  readonly attempt: number;
  readonly before: string;
  readonly seal: Seal | null;
  readonly ciphertext: string | null;
  /** `open`: it may or may not have had an effect. */
  readonly status: 'open' | 'cleared' | 'applied';
}

export interface Claim {
  readonly ticket: ActTicket;
  readonly plan: Plan;
  readonly order: string | null;
}

export interface StepState {
  /** The newest issue that was admitted; null where every issue was refused. */
  readonly claim: Claim | null;
  readonly attempts: readonly Attempt[];
  /** Set once a report was made of the newest issue. */
  readonly resolved: { readonly issue: number; readonly outcome: (typeof ACT_OUTCOMES)[number]; readonly report: ReportMessage } | null;
}

export interface LeaseEnd {
  readonly effects: ReadonlySet<string>;
  /** Digests of the orders that were carried out. */
  readonly orders: ReadonlySet<string>;
  readonly report: ReportMessage;
}

/** The fold of a lease book. */
export interface BookState {
  /** What the worker is called; null until it is said. */
  worker: string | null;
  readonly heads: Map<string, Head>;
  /** Every order ever held, by digest. */
  readonly orders: Map<string, HeldOrder>;
  readonly ordersOfLease: Map<string, readonly HeldOrder[]>;
  readonly steps: Map<string, StepState>;
  readonly stepsOfLease: Map<string, ReadonlySet<string>>;
  /** The epoch that an applied extension has raised a lease to; missing for one that is at its first. An order raises none. */
  readonly epochs: Map<string, number>;
  readonly ended: Map<string, LeaseEnd>;
  /** Leases that were taken back, and whose secrets sinks may still have. */
  readonly withdrawing: Set<string>;
  /** Leases whose end the executor's other workers can know of. */
  readonly told: Set<string>;
  readonly locks: LockTable;
  /** Stored reports that nobody has acknowledged, by the digest of the report, oldest first. */
  readonly unsent: Map<string, ReportMessage>;
}

export function emptyBookState(): BookState {
  return {
    worker: null, heads: new Map(), orders: new Map(), ordersOfLease: new Map(), steps: new Map(), stepsOfLease: new Map(), epochs: new Map(), ended: new Map(), withdrawing: new Set(), told: new Set(),
    locks: emptyLocks(), unsent: new Map(),
  };
}

/** Only an extension that was admitted, with its proof, and applied. */
function raiseEpoch({ epochs }: BookState, { change, epoch }: NonNullable<Plan['extends']>): void {
  const leaseId = leaseIdOf(change);
  epochs.set(leaseId, Math.max(epochs.get(leaseId) ?? 1, epoch));
}

const NO_STEP: StepState = { claim: null, attempts: [], resolved: null };

/** Brings `state` up to `entry`, in place. */
export function foldEntry(state: BookState, entry: BookEntry): void {
  switch (entry.t) {
    case 'opened':
      state.worker = entry.worker ?? state.worker;
      return;
    case 'head':
      state.heads.set(entry.log, { size: entry.size, root: entry.root });
      return;
    case 'order': {
      const held = holdOrder(entry.order);
      if (state.orders.has(held.digest)) return;
      const { leaseId } = held.order;
      state.orders.set(held.digest, held);
      state.ordersOfLease.set(leaseId, [...(state.ordersOfLease.get(leaseId) ?? []), held]);
      return;
    }
    case 'claim': {
      const { ticket, plan, order } = entry;
      const before = state.steps.get(ticket.stepId) ?? NO_STEP;
      const leaseId = leaseIdOf(leaseChangeOf(plan));
      state.steps.set(ticket.stepId, { ...before, claim: { ticket, plan, order }, resolved: null });
      state.stepsOfLease.set(leaseId, new Set([...(state.stepsOfLease.get(leaseId) ?? []), ticket.stepId]));
      return;
    }
    case 'attempt': {
      const step = state.steps.get(entry.stepId) ?? NO_STEP;
      const { attempt: number, before, seal, ciphertext } = entry;
      state.steps.set(entry.stepId, { ...step, attempts: [...step.attempts, { attempt: number, before, seal, ciphertext, status: 'open' }] });
      return;
    }
    case 'cleared':
    case 'applied': {
      const step = state.steps.get(entry.stepId) ?? NO_STEP;
      const attempts = step.attempts.map((one) => (one.attempt === entry.attempt ? { ...one, status: entry.t } : one));
      state.steps.set(entry.stepId, { ...step, attempts });
      if (entry.t === 'applied' && step.claim?.plan.extends !== undefined) raiseEpoch(state, step.claim.plan.extends);
      return;
    }
    case 'sealed': {
      const step = state.steps.get(entry.stepId) ?? NO_STEP;
      const { seal, ciphertext } = entry;
      state.steps.set(entry.stepId, { ...step, attempts: step.attempts.map((one) => (one.attempt === entry.attempt ? { ...one, seal, ciphertext } : one)) });
      return;
    }
    case 'resolved': {
      const step = state.steps.get(entry.stepId) ?? NO_STEP;
      const { issue, outcome, report } = entry;
      state.steps.set(entry.stepId, { ...step, resolved: { issue, outcome, report } });
      state.unsent.set(payloadDigest(report.report), report);
      return;
    }
    case 'ended': {
      const known = state.ended.get(entry.leaseId);
      const { order } = readPayload(entry.report.report, revokedReportSchema);
      state.ended.set(entry.leaseId, { effects: new Set([...(known?.effects ?? []), ...entry.effects]), orders: new Set([...(known?.orders ?? []), order]), report: entry.report });
      state.unsent.set(payloadDigest(entry.report.report), entry.report);
      return;
    }
    case 'withdrawing':
      state.withdrawing.add(entry.leaseId);
      return;
    case 'withdrawn':
      state.withdrawing.delete(entry.leaseId);
      return;
    case 'told':
      state.told.add(entry.leaseId);
      return;
    case 'lock':
      foldLock(state.locks, holdLock(entry.lock));
      return;
    case 'sent':
      state.unsent.delete(entry.report);
      return;
  }
}
