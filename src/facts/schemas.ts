/** The facts files, as a person writes them in YAML or JSON. Unknown fields are refused: a typo must not become a missing limit. */
import { z } from 'zod';
import { calendarIdSchema, purposeIdSchema } from '../protocol/request.ts';
import { connectorIdSchema, durationSchema, entitlementSchema, nhiIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { calendarProblems } from './check-calendar.ts';
import { absencesSchema, delegationsSchema } from './delegations.ts';

/** The teams that policy knows. */
export const teamIdSchema = z.enum(['security', 'onCall', 'platform']);

/** One machine identity as the file has it: who answers for it, what it is for, where it has accounts. */
export const inventoryEntrySchema = z.strictObject({
  id: nhiIdSchema,
  description: plainTextSchema(500).optional(),
  /** Left out only where a rule of `fallbackOwners` covers the id. */
  owner: personIdSchema.optional(),
  backupOwner: personIdSchema.optional(),
  environment: plainTextSchema(64),
  /** Purposes it may claim. */
  purposes: z.array(purposeIdSchema).max(64),
  riskTier: z.enum(['low', 'medium', 'high', 'critical']),
  custody: z.enum(['workload', 'vault', 'human', 'thirdParty']),
  humanUse: z.boolean(),
  thirdParty: plainTextSchema(128).optional(),
  consumers: z.array(plainTextSchema(128)).max(256),
  /** Its account at each connector, by connector id. */
  accounts: z.record(connectorIdSchema, plainTextSchema(128)),
});
export type InventoryEntry = z.infer<typeof inventoryEntrySchema>;

/** The same as it is in force, with the owner that a rule gave. */
export const inventoryFactSchema = z.strictObject({
  ...inventoryEntrySchema.shape,
  /** There where the owner is not the entry's own but that of a rule: somebody who answers, and perhaps does not know it. */
  ownerIsFallback: z.literal(true).optional(),
});
export type InventoryFact = z.infer<typeof inventoryFactSchema>;

/** Who answers for identities without an owner of their own: `owner` and perhaps `backupOwner`, or a `team`. The longest prefix counts. */
export const fallbackOwnerSchema = z.strictObject({
  /** How the ids begin: `nhi:prod/billing-`; `nhi:` is all. */
  prefix: z.string().max(133).regex(/^nhi:[a-z0-9._/-]*$/, 'the beginning of an id such as nhi:prod/billing-'),
  owner: personIdSchema.optional(),
  backupOwner: personIdSchema.optional(),
  team: teamIdSchema.optional(),
});
export type FallbackOwner = z.infer<typeof fallbackOwnerSchema>;

export const inventoryFileSchema = z
  .strictObject({ v: z.literal(1), nhis: z.array(inventoryEntrySchema).max(10_000), fallbackOwners: z.array(fallbackOwnerSchema).max(256).optional() })
  .superRefine(({ nhis, fallbackOwners = [] }, context) => {
    const say = (path: (string | number)[], message: string): void => context.addIssue({ code: 'custom', path, message });
    fallbackOwners.forEach(({ owner, backupOwner, team }, index) => {
      if ((owner === undefined) === (team === undefined)) say(['fallbackOwners', index], 'names an owner, or a team, and not both');
      if (backupOwner !== undefined && owner === undefined) say(['fallbackOwners', index, 'backupOwner'], 'a team has its own backup: its next active member');
    });
    nhis.forEach(({ id, owner }, index) => {
      if (owner === undefined && !fallbackOwners.some(({ prefix }) => id.startsWith(prefix))) say(['nhis', index], `${id} has no owner, and no rule of fallbackOwners covers it`);
    });
  });

/** The entitlement catalogue: every privilege that may be asked for, ranked, and what each purpose needs. */
export const catalogueSchema = z.strictObject({
  v: z.literal(1),
  entitlements: z
    .array(
      z.strictObject({
        ...entitlementSchema.shape,
        /** 0 harmless … 100 owns the system. */
        rank: z.int().min(0).max(100),
        environment: plainTextSchema(64),
        /** Privileges that come with it at the target, such as a role's own; absent: none. */
        conveys: z.array(plainTextSchema(256)).max(256).optional(),
        /** What whoever holds it can change of how access is decided: who approves, what policy says, or the records of it; absent: none. */
        governs: z.enum(['approvers', 'policy', 'ledger']).optional(),
        description: plainTextSchema(500).optional(),
      }),
    )
    .max(10_000),
  purposes: z
    .array(
      z.strictObject({
        id: purposeIdSchema,
        description: plainTextSchema(500).optional(),
        needs: z.array(entitlementSchema).max(256),
        /** The longest lease this purpose can need, in seconds; null where it may stand (services that run all the time). */
        maxLeaseSeconds: z.int().min(1).nullable(),
      }),
    )
    .max(1_000),
}).superRefine(({ entitlements }, { addIssue }) => {
  const governing = new Set(entitlements.filter(({ governs }) => governs !== undefined).map((entry) => JSON.stringify([entry.connector, entry.target, entry.privilege])));
  entitlements.forEach(({ connector, target, privilege, conveys = [], governs }, index) => {
    const conveyed = governs === undefined ? conveys.find((one) => governing.has(JSON.stringify([connector, target, one]))) : undefined;
    if (conveyed !== undefined) addIssue({ code: 'custom', path: ['entitlements', index], message: `${privilege} conveys ${conveyed}, which governs approvals: then so does ${privilege}, and must say what` });
  });
});
export type Catalogue = z.infer<typeof catalogueSchema>;

export const directorySchema = z.strictObject({
  v: z.literal(1),
  people: z
    .array(
      z.strictObject({
        id: personIdSchema,
        name: plainTextSchema(128),
        /** Disabled people neither request nor approve. */
        active: z.boolean(),
        /** Other ids of the same person: approvals by any of them count once, and as self-approval for all. */
        linked: z.array(personIdSchema).max(16),
        /** Her accounts at issuers of tokens: the value of the claim that the configuration names for the issuer. */
        logins: z.array(z.strictObject({ issuer: plainTextSchema(512), value: plainTextSchema(512) })).max(16).optional(),
      }),
    )
    .max(10_000),
  teams: z.array(z.strictObject({ id: teamIdSchema, members: z.array(personIdSchema).max(256) })).max(16),
  /** Who stands in for whom, for what and until when. Absent: nobody. */
  delegations: delegationsSchema.optional(),
  /** Who is away, and until when. Absent: nobody. */
  away: absencesSchema.optional(),
});
export type Directory = z.infer<typeof directorySchema>;

/** Observed usage: which privileges an account was seen to use. */
export const usageFileSchema = z.strictObject({
  v: z.literal(1),
  observedAtMs: z.int(),
  usage: z.array(z.strictObject({ connector: connectorIdSchema, account: plainTextSchema(128), privileges: z.array(plainTextSchema(256)).max(1024) })).max(50_000),
});
export type UsageFile = z.infer<typeof usageFileSchema>;

/** `2026-12-24T22:00`: a local time in a calendar's own time zone. */
const localTime = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/, 'a local time such as 2026-12-24T22:00');
/** What a window or freeze is about; what is left out is not limited. */
const scope = {
  connectors: z.array(connectorIdSchema).min(1).max(64).optional(),
  targets: z.array(plainTextSchema(128)).min(1).max(64).optional(),
  environments: z.array(plainTextSchema(64)).min(1).max(64).optional(),
};

const windowSchema = z.strictObject({
  id: calendarIdSchema,
  description: plainTextSchema(500).optional(),
  /** IANA name, such as Europe/Berlin. */
  timeZone: z.string().max(64),
  ...scope,
  /** Either: five fields of cron, and how long each occurrence lasts. A time that clocks skip does not take place; one that they show twice does once. */
  cron: z.string().max(128).optional(),
  duration: durationSchema.optional(),
  /** Or: the occurrences one by one. Of a local time that clocks show twice the first counts. */
  dates: z.array(z.strictObject({ from: localTime, until: localTime })).min(1).max(512).optional(),
  /** Local dates (`2026-12-24`) on which no occurrence of `cron` begins. */
  exceptions: z.array(z.string().regex(/^\d{4}-\d\d-\d\d$/, 'a local date such as 2026-12-24')).max(512).optional(),
  /** Who is told when it opens and closes, beside the consumers of the identity. */
  consumers: z.array(plainTextSchema(128)).max(256).optional(),
});

const freezeSchema = z.strictObject({
  id: calendarIdSchema,
  description: plainTextSchema(500).optional(),
  timeZone: z.string().max(64),
  ...scope,
  from: localTime,
  until: localTime,
});

/** Maintenance windows, in which changes of consequence are made, and freezes, in which none are. Nothing in it is impossible. */
export const calendarSchema = z
  .strictObject({ v: z.literal(1), windows: z.array(windowSchema).max(256), freezes: z.array(freezeSchema).max(256) })
  .superRefine((calendar, context) => {
    for (const { path, message } of calendarProblems(calendar)) context.addIssue({ code: 'custom', path: [...path], message });
  });
export type CalendarFile = z.infer<typeof calendarSchema>;
