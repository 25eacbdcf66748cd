/**
 * What a ledger on disk knows of one credential, found by the keyed fingerprint in its seal: whose it is, which change made it, and what it
 * opens. Like {@link readHeld} it verifies nothing: it is for finding what to take back, and an order too many does no harm.
 */
import type { Disk, LedgerRecord } from '../../ledger/index.ts';
import { changeEventBodies } from '../change/events.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { PlanStep, StepAction } from '../protocol/plan.ts';
import { actedReportSchema, ticketSchema } from '../protocol/signed.ts';
import { readEvery, takeHeld, type Held, type HeldReading } from './held.ts';

export interface Credential {
  /** The change that made it. */
  readonly changeId: string;
  readonly subject: string;
  readonly executor: string;
  /** What made it: `provision`, `stage` or `replace`. */
  readonly action: StepAction;
  readonly connector: string;
  readonly target: string;
  readonly account: string;
  readonly sealedAt: string;
  /** The change that has shut it out since, or taken it back; null where it may still work. */
  readonly endedBy: string | null;
  /** What it opens beyond itself, or as itself, that an order takes back. */
  readonly opens: readonly Held[];
}

export interface CredentialReading extends Pick<HeldReading, 'records' | 'unreadable'> {
  /** Newest first: a secret that was sealed twice is of two changes. */
  readonly credentials: readonly Credential[];
}

interface Sealed {
  readonly changeId: string;
  readonly executor: string;
  readonly step: PlanStep;
  readonly sealedAt: string;
  endedBy: string | null;
}

/**
 * @param directory the folder that holds `checkpoint` and `tile/`
 * @param fingerprint HMAC of the secret under its executor's key, hex
 */
export async function readCredential(disk: Disk, directory: string, fingerprint: string): Promise<CredentialReading> {
  const subjects = new Map<string, string>();
  const held = new Map<string, Held>();
  const steps = new Map<string, { readonly step: PlanStep; readonly executor: string }>();
  const sealed: Sealed[] = [];
  /** Changes whose old login is shut out, or may be. */
  const retiring = new Set<string>();
  const end = (changeId: string, isIt: (one: Sealed) => boolean): void => {
    for (const one of sealed) if (one.endedBy === null && isIt(one)) one.endedBy = changeId;
  };
  const take = (record: LedgerRecord): void => {
    takeHeld(record, subjects, held);
    const { change, type, body, at } = record;
    if (change === null) return;
    if (type === 'step.authorised') {
      const authorised = changeEventBodies['step.authorised'].parse(body);
      if (authorised.kind !== 'act') return;
      const ticket = readPayload(authorised.ticket, ticketSchema);
      if (ticket.kind === 'act') steps.set(ticket.stepId, { step: ticket.step, executor: ticket.audience });
      if (ticket.kind === 'act' && ticket.step.action === 'retire') retiring.add(change);
    }
    if (type === 'delivery.sealed') {
      const { stepId, seal } = changeEventBodies['delivery.sealed'].parse(body);
      const made = steps.get(stepId);
      if (seal.fingerprint === fingerprint && made !== undefined) sealed.push({ changeId: change, ...made, sealedAt: at, endedBy: null });
    }
    if (type === 'lease.ended') end(change, (one) => one.changeId === change);
    if (type === 'step.succeeded') {
      const report = readPayload(changeEventBodies['step.succeeded'].parse(body).report, actedReportSchema);
      const done = steps.get(report.stepId)?.step;
      if (done !== undefined) end(change, ({ changeId, step }) => isShutOutBy(step, done, changeId === change));
    }
  };
  const reading = await readEvery(disk, directory, take);
  const credentials = sealed.map(({ step, ...rest }): Credential => {
    const subject = subjects.get(rest.changeId) ?? '';
    const { action, connector, target, account } = step;
    return { ...rest, subject, action, connector, target, account, opens: [...held.values()].filter((one) => isOpenTo({ ...rest, step }, subject, one, retiring)) };
  });
  return { ...reading, credentials: credentials.reverse() };
}

/** Whether a step that was made leaves this credential without use: its login is shut out, or has another secret. */
export function isShutOutBy(made: PlanStep, done: PlanStep, isSameChange: boolean): boolean {
  if (done.connector !== made.connector || done.target !== made.target || done.account !== made.account) return false;
  return done.action === 'retire' || done.action === 'disable' || (done.action === 'replace' && !isSameChange);
}

/**
 * Whether what is held can be used with it: the account is its own, or it is a login of the account that the privileges were lent to. The
 * new login of a rotation is not taken back by an order once the old one may be gone: nobody would be left who gets in.
 */
export function isOpenTo({ changeId, step }: Pick<Sealed, 'changeId' | 'step'>, subject: string, { changeId: of, subject: whose, order }: Held, retiring: ReadonlySet<string>): boolean {
  if (of === changeId) return !retiring.has(changeId);
  if (order.connector !== step.connector || order.target !== step.target || order.action === 'stage') return false;
  return order.account === step.account || (order.action === 'grant' && whose === subject && step.action !== 'provision');
}
