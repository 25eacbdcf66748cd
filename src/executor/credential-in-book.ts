/**
 * What a lease book knows of one credential: for where the ledger is out of reach. It has what this executor made, and no owner.
 *
 * @see readCredential for the same of a ledger
 */
import type { Disk } from '../../ledger/index.ts';
import { leaseIdOf } from '../change/derive.ts';
import { isOpenTo, isShutOutBy, type Credential, type CredentialReading } from '../evidence/credential.ts';
import type { Held } from '../evidence/held.ts';
import { isUndoable } from '../protocol/plan.ts';
import type { BookState, Claim, StepState } from './book-entries.ts';
import { peekLeaseBook } from './lease-book.ts';

type Claimed = StepState & { readonly claim: Claim };

/** @param disk of the state directory, which the executor may have open */
export async function readCredentialInBook(disk: Disk, fingerprint: string): Promise<CredentialReading> {
  const book = await peekLeaseBook(disk);
  const steps = [...book.steps.values()].filter((step): step is Claimed => step.claim !== null && step.attempts.some(({ status }) => status !== 'cleared'));
  const held = steps.flatMap((step) => heldBy(book, step));
  const retiring = new Set(steps.filter(({ claim }) => claim.ticket.step.action === 'retire').map(({ claim }) => claim.ticket.changeId));
  const credentials = steps.flatMap((made, index): Credential[] => {
    if (!made.attempts.some(({ seal }) => seal?.fingerprint === fingerprint)) return [];
    const { ticket: { changeId, audience, step, notBefore }, plan: { subject } } = made.claim;
    const { action, connector, target, account } = step;
    const later = steps.slice(index + 1).find(({ claim, resolved }) => resolved?.outcome === 'done' && isShutOutBy(step, claim.ticket.step, claim.ticket.changeId === changeId));
    const endedBy = book.ended.has(leaseIdOf(changeId)) ? changeId : (later?.claim.ticket.changeId ?? null);
    return [{ changeId, subject, executor: audience, action, connector, target, account, sealedAt: notBefore, endedBy, opens: held.filter((one) => isOpenTo({ changeId, step }, subject, one, retiring)) }];
  });
  return { credentials: credentials.reverse(), records: book.steps.size, unreadable: 0 };
}

/** The order that takes back what the step gave, where that has not been done. */
function heldBy(book: BookState, { claim: { ticket, plan } }: Claimed): Held[] {
  const { log, changeId, audience, step: { action, connector, target, account, privileges, clientToken } } = ticket;
  const leaseId = leaseIdOf(changeId);
  if (!isUndoable(action) || book.ended.has(leaseId)) return [];
  const epoch = Math.max(1, ...(book.ordersOfLease.get(leaseId) ?? []).map(({ order }) => order.epoch));
  return [{ changeId, subject: plan.subject, order: { v: 1, log, changeId, leaseId, epoch, audience, action, connector, target, account, privileges, clientToken } }];
}
