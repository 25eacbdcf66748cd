/**
 * Delegations and absences, of the directory: who stands in for whom, for what and until when, and who is away. What a delegation is good for is policy's to
 * say; it makes nobody an approver whom a floor does not name.
 */
import { z } from 'zod';
import { connectorIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { checkDates, dayInUtc, dayStartMs } from './dated.ts';

/** More than a year is no absence: name another owner. Policy may take less (`delegationDaysMax`). */
export const DELEGATION_DAYS_MAX = 366;

const riskSchema = z.enum(['low', 'medium', 'high', 'critical']);
/** What a delegation is for; what is left out is not limited. */
const about = {
  connectors: z.array(connectorIdSchema).min(1).max(64).optional(),
  environments: z.array(plainTextSchema(64)).min(1).max(64).optional(),
  maxRisk: riskSchema.optional(),
};
/** It holds from the first moment of `since` until, and not on, `until`: days in UTC. */
const dates = { since: dayInUtc, until: dayInUtc };

export const delegationSchema = z
  .strictObject({ /** Who is asked. */ from: personIdSchema, /** Who may approve in her place. */ to: personIdSchema, ...dates, ...about, reason: plainTextSchema(500) })
  .superRefine(({ from, to, since, until }, context) => {
    if (from === to) context.addIssue({ code: 'custom', path: ['to'], message: `${to} stands in for nobody else` });
    checkDates({ since, until }, DELEGATION_DAYS_MAX, context);
  });
export type Delegation = z.infer<typeof delegationSchema>;

/** She is away: where nobody stands in for her others are told at once, and nobody approves for that. */
export const absenceSchema = z.strictObject({ person: personIdSchema, ...dates }).superRefine((absence, context) => checkDates(absence, DELEGATION_DAYS_MAX, context));
export type Absence = z.infer<typeof absenceSchema>;

/** What policy is told of one: no prose, and null for what is not limited. */
export const delegationAskedSchema = z.strictObject({
  from: personIdSchema, to: personIdSchema, sinceMs: z.int(), untilMs: z.int(),
  connectors: about.connectors.unwrap().nullable(), environments: about.environments.unwrap().nullable(), maxRisk: riskSchema.nullable(),
});
export type DelegationAsked = z.infer<typeof delegationAskedSchema>;

export const absenceAskedSchema = z.strictObject({ person: personIdSchema, sinceMs: z.int(), untilMs: z.int() });
export type AbsenceAsked = z.infer<typeof absenceAskedSchema>;

const KEPT_MAX = 2_000;
export const delegationsSchema = z.array(delegationSchema).max(KEPT_MAX);
export const absencesSchema = z.array(absenceSchema).max(KEPT_MAX);

/** As policy is told, in a fixed order. */
export function delegationsAsked(delegations: readonly Delegation[]): DelegationAsked[] {
  return delegations
    .map(({ from, to, since, until, connectors = null, environments = null, maxRisk = null }) => ({ from, to, sinceMs: dayStartMs(since), untilMs: dayStartMs(until), connectors, environments, maxRisk }))
    .sort((a, b) => inOrder([a.from, a.to], [b.from, b.to]) || a.sinceMs - b.sinceMs);
}

/** As policy is told, in a fixed order. */
export function absencesAsked(absences: readonly Absence[]): AbsenceAsked[] {
  return absences.map(({ person, since, until }) => ({ person, sinceMs: dayStartMs(since), untilMs: dayStartMs(until) })).sort((a, b) => inOrder([a.person], [b.person]) || a.sinceMs - b.sinceMs);
}

function inOrder(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1;
}
