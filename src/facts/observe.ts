/**
 * Scopes under observe: where policy decides, its decision is on record, and what gives a lease goes ahead whatever it says, until a date. What of
 * it that can touch is policy's to say; the floor of executors and verifiers holds all the same.
 */
import { z } from 'zod';
import { connectorIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { checkDates, dayInUtc, dayStartMs } from './dated.ts';
import { grantSignaturesSchema } from './grant-statement.ts';

export const OBSERVE_DAYS_MAX = 90;
/** Of an estate: policy is told all of them. */
export const SCOPES_MAX = 32;
const NAMED_MAX = 64;

export const scopeIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
const prefixSchema = z.string().max(133).regex(/^nhi:[a-z0-9._/-]*$/, 'the beginning of an id such as nhi:prod/billing-');

/** What a scope is about: all that is named must fit, and what is left out is not limited. */
const about = {
  environments: z.array(plainTextSchema(64)).min(1).max(NAMED_MAX).optional(),
  connectors: z.array(connectorIdSchema).min(1).max(NAMED_MAX).optional(),
  /** How the ids of the identities begin; `nhi:` is all. */
  prefixes: z.array(prefixSchema).min(1).max(NAMED_MAX).optional(),
};

export const observeScopeSchema = z
  .strictObject({
    id: scopeIdSchema,
    ...about,
    /** Why, and what becomes of it. */
    reason: plainTextSchema(500),
    owner: personIdSchema,
    /** It holds from the first moment of `from` until, and not on, `until`: days in UTC. */
    from: dayInUtc,
    until: dayInUtc,
    /** Who has granted it, by her own signature; where people are asked (`exceptionGrants`) it holds only by enough of these. */
    signatures: grantSignaturesSchema,
  })
  .superRefine((scope, context) => {
    checkDates(scope, OBSERVE_DAYS_MAX, context);
    const { environments, connectors, prefixes } = scope;
    if (environments === undefined && connectors === undefined && prefixes === undefined) context.addIssue({ code: 'custom', path: [], message: 'names no environments, connectors or prefixes: it would be everything' });
  });
export type ObserveScope = z.infer<typeof observeScopeSchema>;

/** What policy is told of one: no prose, and null for what is not limited. */
export const observeAskedSchema = z.strictObject({
  id: scopeIdSchema, owner: personIdSchema, fromMs: z.int(), untilMs: z.int(),
  environments: about.environments.unwrap().nullable(), connectors: about.connectors.unwrap().nullable(), prefixes: about.prefixes.unwrap().nullable(),
});
export type ObserveAsked = z.infer<typeof observeAskedSchema>;

/** All scopes by id, over and to come as well: which of them holds, and for what, is policy's to say. */
export function observeAsked(scopes: readonly ObserveScope[]): ObserveAsked[] {
  return [...scopes]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, owner, from, until, environments = null, connectors = null, prefixes = null }) => ({ id, owner, fromMs: dayStartMs(from), untilMs: dayStartMs(until), environments, connectors, prefixes }));
}

/** Those that have begun at `nowMs` and are not over, by id. */
export function scopesAt(scopes: readonly ObserveScope[], nowMs: number): ObserveScope[] {
  return scopes.filter(({ from, until }) => dayStartMs(from) <= nowMs && nowMs < dayStartMs(until)).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Whether a scope is about such an identity and connectors. */
export function covers({ environments, connectors, prefixes }: ObserveScope, { subject, environment, connectors: touched }: { readonly subject: string; readonly environment: string; readonly connectors: readonly string[] }): boolean {
  return (environments?.includes(environment) ?? true)
    && (connectors === undefined || (touched.length > 0 && touched.every((one) => connectors.includes(one))))
    && (prefixes?.some((prefix) => subject.startsWith(prefix)) ?? true);
}

/** `environments dev, test; connectors pg-dev`. */
export function describeScope({ environments, connectors, prefixes }: ObserveScope): string {
  return [['environments', environments], ['connectors', connectors], ['identities', prefixes?.map((prefix) => `${prefix}*`)]]
    .flatMap(([what, named]) => (named === undefined ? [] : [`${what as string} ${(named as readonly string[]).join(', ')}`])).join('; ');
}
