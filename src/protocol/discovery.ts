/**
 * Discovery: what is there at a connector's target that is access of somebody, whether or not a record explains it. Asked page by page,
 * each page under a ticket of its own that was recorded first, and answered by a signed report that names the page by digest.
 *
 * A discovery changes nothing and is about no change; so its tickets, reports and ids are its own.
 */
import { z } from 'zod';
import { clientTokenSchema, takesAway } from './plan.ts';
import { actedReportSchema, actTicketSchema, claimedReportSchema, dsseSchema, readReportSchema, readTicketSchema, revokedReportSchema } from './signed.ts';
import { connectorIdSchema, digestSchema, executorIdSchema, logIdSchema, plainTextSchema, saltSchema, timeSchema, ULID } from './values.ts';

/** `dsc_<log>_<ulid>`: one look at one connector. */
export const discoveryIdSchema = z.string().regex(new RegExp(`^dsc_[0-9a-f]{16}_${ULID}$`));
/** `stp_<log>_<ulid of the discovery>_p<page>`. */
export const pageStepIdSchema = z.string().regex(new RegExp(`^stp_[0-9a-f]{16}_${ULID}_p[1-9][0-9]{0,2}$`));

/** Pages of one discovery. What comes after them is said to be cut off, never passed over in silence. */
export const PAGES_MAX = 256;
/** Privileges of one account that a page lists; of more, how many are left out. */
export const LISTED_MAX = 128;
/** Credentials of one account that a page lists. */
export const CREDENTIALS_MAX = 64;
/** UTF-8 bytes of a page's entries: a page is one object of a report. */
export const PAGE_BYTES_MAX = 196_608;

const name = plainTextSchema(128);
const privileges = z.array(plainTextSchema(256)).max(LISTED_MAX);
/** Where in the target's own order an entry stands: the next page begins after it. */
const key = plainTextSchema(256);

/** What a client token at the target says: its change `made` the account or login, or replaced the secret of, retired or disabled what was there before. */
export const markSchema = z.strictObject({ clientToken: clientTokenSchema, what: z.enum(['made', 'replaced', 'retired', 'disabled']) });
export type Mark = z.infer<typeof markSchema>;

export const credentialSchema = z.strictObject({
  /** The target's own id of it, never the secret. */
  id: name,
  createdAt: timeSchema.nullable(),
  /** null: it does not expire. */
  expiresAt: timeSchema.nullable(),
  /** null: it may be used any number of times. */
  usesLeft: z.int().min(0).nullable(),
  clientToken: clientTokenSchema.nullable(),
});

export const foundAccountSchema = z.strictObject({
  kind: z.literal('account'), key,
  account: name,
  /** Tells it from another of the same name. */
  nativeId: name,
  canLogin: z.boolean(),
  /** The connector's own. */
  isOwn: z.boolean(),
  /** When the target ends it by itself; null where it does not. */
  endsAt: timeSchema.nullable(),
  /** What it holds in its own name: not what grants of Countersign lend it, which are entries of their own. */
  held: privileges, heldLeftOut: z.int().min(0),
  marks: z.array(markSchema).max(64),
  credentials: z.array(credentialSchema).max(CREDENTIALS_MAX), credentialsLeftOut: z.int().min(0),
  /** Open sessions or tokens; null where the target does not tell. */
  sessions: z.int().min(0).nullable(),
  /** null where the target does not know. */
  lastUsedAt: timeSchema.nullable(),
});
export type FoundAccount = z.infer<typeof foundAccountSchema>;

/** A grant of Countersign, of this ledger or another: what it lends and to whom. */
export const foundGrantSchema = z.strictObject({
  kind: z.literal('grant'), key,
  clientToken: clientTokenSchema,
  nativeId: name,
  accounts: z.array(name).max(64), accountsLeftOut: z.int().min(0),
  held: privileges, heldLeftOut: z.int().min(0),
});
export type FoundGrant = z.infer<typeof foundGrantSchema>;

export const foundSchema = z.discriminatedUnion('kind', [foundAccountSchema, foundGrantSchema]);
export type Found = z.infer<typeof foundSchema>;

/** Which page: the one that begins after `after`. */
export const discoverQuerySchema = z.strictObject({ connector: connectorIdSchema, after: key.nullable() });
export type DiscoverQuery = z.infer<typeof discoverQuerySchema>;

export const discoveredPageSchema = z.strictObject({
  v: z.literal(1), salt: saltSchema,
  connector: connectorIdSchema, target: name,
  after: key.nullable(),
  /** Where the next page begins; null after the last. */
  next: key.nullable(),
  entries: z.array(foundSchema).max(512),
});
export type DiscoveredPage = z.infer<typeof discoveredPageSchema>;

export const discoverTicketSchema = z.strictObject({
  kind: z.literal('discover'), v: z.literal(1), log: logIdSchema, discoveryId: discoveryIdSchema, stepId: pageStepIdSchema, issue: z.literal(1), audience: executorIdSchema,
  notBefore: timeSchema, notAfter: timeSchema, queryDigest: digestSchema, query: discoverQuerySchema,
});
export type DiscoverTicket = z.infer<typeof discoverTicketSchema>;

/** The receipt of such a ticket: the body of the record that authorises it. */
export const discoveryAuthorisedSchema = z.strictObject({ discoveryId: discoveryIdSchema, connector: connectorIdSchema, stepId: pageStepIdSchema, ticket: dsseSchema });

/** Whatever an executor can be sent. */
export const anyTicketSchema = z.discriminatedUnion('kind', [actTicketSchema, readTicketSchema, discoverTicketSchema]);
export type AnyTicket = z.infer<typeof anyTicketSchema>;

/** Whether nothing is gained by it: it takes away, or looks at what is to be taken away. Its receipt waits for no witness and no copy, and is kept by nobody. */
export function onlyTakesAway(ticket: AnyTicket): boolean {
  const action = ticket.kind === 'act' ? ticket.step.action : ticket.kind === 'read' ? ticket.query.action : 'rotate';
  return action !== 'rotate' && takesAway(action);
}

export const discoveredReportSchema = z.strictObject({
  kind: z.literal('discovered'), v: z.literal(1), executor: executorIdSchema, log: logIdSchema, discoveryId: discoveryIdSchema, at: timeSchema,
  stepId: pageStepIdSchema, issue: z.literal(1),
  outcome: z.enum(['done', 'refused', 'failed']), code: plainTextSchema(64).nullable(), detail: plainTextSchema(500).nullable(),
  page: digestSchema.nullable(),
});
export type DiscoveredReport = z.infer<typeof discoveredReportSchema>;

/** Whatever an executor can report. */
export const anyReportSchema = z.discriminatedUnion('kind', [claimedReportSchema, readReportSchema, actedReportSchema, revokedReportSchema, discoveredReportSchema]);
export type AnyReport = z.infer<typeof anyReportSchema>;

export const pageStepId = (discoveryId: string, page: number): string => `stp_${discoveryId.slice('dsc_'.length)}_p${page}`;
/** `<log>` of a discovery. */
export const logOfDiscovery = (discoveryId: string): string => discoveryId.slice('dsc_'.length, 'dsc_'.length + 16);
