/** Whether exceptions that policy let through, and scopes that it did not enforce, were granted by those whom the auditor's own trust folder names. */
import type { ChangeEvent } from '../change/events.ts';
import type { Estate } from '../facts/beneficiaries.ts';
import { dayStartMs } from '../facts/dated.ts';
import type { ExceptionsFile } from '../facts/exceptions.ts';
import { grantShortfall } from '../facts/granted.ts';
import { scopesAt } from '../facts/observe.ts';
import { isAskedAt } from '../protocol/activation.ts';
import type { AllowedSigners } from '../protocol/allowed-signers.ts';
import type { Passkeys } from '../protocol/passkeys.ts';
import type { ExceptionFloor } from '../protocol/trust.ts';
import { parseTime } from '../protocol/values.ts';
import { fault, type Fault } from './violation.ts';

type Decided = Extract<ChangeEvent, { type: 'policy.decided' }>;

/** What the auditor's own trust folder asks, and as of when. */
export interface Granting {
  /** Of the log that is read. */
  readonly logId: string;
  readonly floor: ExceptionFloor;
  readonly signers: AllowedSigners;
  readonly passkeys: Passkeys;
  /** The latest time of any record so far. */
  readonly latestMs: () => number;
  /** As of when a record of that time is judged. */
  readonly judgedMs: (atMs: number) => number;
}

/** A sidecar composes its question before it records the answer: a key may end in between. */
const UNDER_WAY_MS = 60_000;

/** Whether access rests on an entry of the facts by this decision, and the auditor asks who granted it. */
export function restsOnGrant({ floor, latestMs }: Granting, { body: { decision: { effect, exceptions, observed } } }: Decided): boolean {
  return effect !== 'deny' && (exceptions !== undefined || observed !== undefined) && isAskedAt(floor, latestMs());
}

/**
 * @param file the exceptions among the facts that the decision was made on
 * @param subject the identity that the change is about
 * @param logId the log that the decision was made in
 */
export function ungranted({ floor, signers, passkeys, judgedMs }: Granting, { file, estate }: { readonly file: ExceptionsFile; readonly estate: Estate }, subject: string, logId: string, { atMs, body: { decision: { exceptions = [], observed } } }: Decided): Fault | null {
  const judged = judgedMs(atMs);
  const asking = { floors: [floor], signers, passkeys, logId, atMs: [judged, judged - UNDER_WAY_MS] };
  for (const { id, rule, owner, until } of exceptions) {
    const entry = file.exceptions.find((one) => one.id === id);
    const isIt = entry?.rule === rule && entry.owner === owner && entry.subject === subject && dayStartMs(entry.until) === parseTime(until);
    if (!isIt || atMs < dayStartMs(entry.from) || atMs - UNDER_WAY_MS >= dayStartMs(entry.until)) return ungrantedFault(`policy let exception ${id} of ${owner} through, and no such exception held then by the facts on record`);
    const lacks = grantShortfall('exception', entry, estate, asking);
    if (lacks !== null) return ungrantedFault(`policy let exception ${id} through, which was ${lacks}`);
  }
  const scope = observed === undefined ? undefined : scopesAt(file.observe ?? [], atMs).find(({ id }) => id === observed.scope);
  const lacks = scope === undefined ? null : grantShortfall('observe', scope, estate, asking);
  return lacks === null ? null : ungrantedFault(`policy was not enforced for scope ${scope!.id}, which was ${lacks}`);
}

export const ungrantedFault = (message: string): Fault => fault('exception-ungranted', message);
