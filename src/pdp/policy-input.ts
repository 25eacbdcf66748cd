/**
 * What policy is asked, one shape per entrypoint. Times are epoch milliseconds, durations seconds; absent things are null, never missing,
 * because an undefined reference in Rego is not a denial.
 */
import { z } from 'zod';
import { absenceAskedSchema, delegationAskedSchema } from '../facts/delegations.ts';
import { EXCEPTIONS_ASKED_MAX, exceptionAskedSchema } from '../facts/exceptions.ts';
import { observeAskedSchema, SCOPES_MAX } from '../facts/observe.ts';
import { inventoryFactSchema, catalogueSchema, directorySchema } from '../facts/schemas.ts';
import { controlSchema, reasonSchema, requirementSchema } from '../protocol/decision.ts';
import { stepActionSchema } from '../protocol/plan.ts';
import { calendarIdSchema } from '../protocol/request.ts';
import { entitlementSchema, personIdSchema, plainTextSchema, principalSchema, subjectSchema } from '../protocol/values.ts';

/** UTF-8 bytes of JSON. Above this, a question is not asked. */
export const INPUT_BYTES_MAX = 1_048_576;

const kind = z.enum(['provision', 'grant', 'extend', 'revoke', 'rotate', 'disable', 'offboard']);
const windowMs = z.strictObject({ calendar: calendarIdSchema, opensAtMs: z.int(), closesAtMs: z.int() });

/** Where people log in is nothing that policy decides by. */
const policyDirectorySchema = directorySchema.extend({
  people: z.array(directorySchema.shape.people.element.omit({ logins: true })).max(10_000),
  /** Of those above, and not over. Absent: nobody stands in for anybody. */
  delegations: z.array(delegationAskedSchema).optional(),
  /** Of those above, and not over. Absent: nobody is away. */
  away: z.array(absenceAskedSchema).optional(),
});

const counts = z.strictObject({ hour: z.int().min(0), day: z.int().min(0) });
/** Changes that give access and were asked for before this one, in the hour and the day up to its request: of the identity those that were authorised, of whoever asks all that did not come to nothing. Counts end at 5,000. */
const recentSchema = z.strictObject({
  /** Of the identity. */
  subject: counts,
  /** Of whoever of the act chain asked most. */
  requester: counts,
  /** Of the identity: those that make a credential. */
  newCredentials: z.strictObject({ day: z.int().min(0) }),
});

/** Entrypoint `access/decide`: may this change go ahead, and who must approve? */
export const changeInputSchema = z.strictObject({
  v: z.literal(1),
  /** `request` when the plan is derived, `dispatch` just before the step is authorised; `lease`, to `access/redecide` alone, while what was given runs. */
  phase: z.enum(['request', 'dispatch', 'lease']),
  nowMs: z.int(),
  change: z.strictObject({
    changeId: z.string(),
    revision: z.int(),
    kind,
    /** `caller`: the caller's own code makes the change. */
    mode: z.enum(['executor', 'caller']),
    /** The caller first, then whoever it acts for. */
    requester: z.array(principalSchema).min(1),
    subject: subjectSchema,
    purpose: z.string(),
    entitlements: z.array(entitlementSchema),
    /** null: standing access is asked for. */
    leaseSeconds: z.int().nullable(),
    /** null while the request has no plan (an unknown connector cannot be read). */
    planDigest: z.string().nullable(),
    /** The connector and target that are touched; null for an offboarding. */
    system: z.strictObject({ connector: z.string(), target: z.string() }).nullable(),
    /** Waits for no window and no freeze, and needs more approvals. */
    emergency: z.boolean(),
    /** The calendar that the request names; null where it names none. */
    calendar: calendarIdSchema.nullable(),
    /** The plan's window; null where it has none, and before there is a plan. */
    window: windowMs.nullable(),
    /** How a rotation goes; null for anything else, and before the target was read. */
    overlap: z.enum(['twin', 'none']).nullable(),
    /** The step that is to be dispatched; null at the request. */
    step: z.strictObject({ action: stepActionSchema, number: z.int().min(1) }).nullable(),
    /** The offboarding that this is part of, once it has been decided and approved; null otherwise. */
    parent: z.strictObject({ changeId: z.string(), requester: z.array(principalSchema).min(1) }).nullable(),
    /** What an offboarding takes back; null for anything else. */
    items: z.int().nullable(),
    /** Of an `extend`: the change whose lease it is, as it is now; null where this ledger has none of that id, and for any other kind. */
    extends: z
      .strictObject({
        changeId: z.string(),
        /** What that change was asked for. */
        subject: subjectSchema,
        purpose: z.string(),
        entitlements: z.array(entitlementSchema),
        /** Whether its lease is in use and not to be taken back. */
        running: z.boolean(),
        /** When it ends, and when it would by this; null for what has no end. */
        endsAtMs: z.int().nullable(),
        extendedToMs: z.int().nullable(),
        /** The epoch of the lease, and the one that the plan raises it to; null before there is a plan. */
        epoch: z.int().min(1),
        nextEpoch: z.int().min(2).nullable(),
      })
      .nullable(),
    /** In phase `lease`, of one that was given under observe; left out otherwise. */
    observed: z.literal(true).optional(),
  }),
  /** What the account holds at the target, as read; null where it could not be read. */
  held: z.array(plainTextSchema(256)).nullable(),
  /** Privileges observed in use, and how old that observation is; null where nothing is known. */
  used: z.strictObject({ privileges: z.array(plainTextSchema(256)), ageMs: z.int() }).nullable(),
  /** Left out of questions that were recorded before there were counts, and of no other. */
  recent: recentSchema.optional(),
  facts: z.strictObject({
    /** The inventory's entry for the subject; null if it has none. */
    nhi: inventoryFactSchema.nullable(),
    catalogue: catalogueSchema,
    directory: policyDirectorySchema,
    /** Connectors this sidecar can reach, by id. */
    connectors: z.array(z.string()),
    /** Age of the oldest fact above. */
    ageMs: z.int(),
    /** Maintenance of the system that is touched, from now on: occurrences in the order in which they open. null: no calendar is kept, or no one system is touched. */
    calendar: z
      .strictObject({
        windows: z.array(windowMs).max(64),
        freezes: z.array(z.strictObject({ id: calendarIdSchema, fromMs: z.int(), untilMs: z.int() })).max(64),
      })
      .nullable(),
    /** Locks that cover the identity or the connector now. */
    locks: z.array(z.strictObject({ lockId: z.string(), reason: plainTextSchema(500) })).max(64),
    /** Those for the subject, whether they hold or not. Absent: none are kept. */
    exceptions: z.array(exceptionAskedSchema).max(EXCEPTIONS_ASKED_MAX).optional(),
    /** All scopes that are kept, whether they hold and are about this or not. Absent: none are. */
    observe: z.array(observeAskedSchema).max(SCOPES_MAX).optional(),
  }),
});
export type ChangeInput = z.infer<typeof changeInputSchema>;

/** Entrypoint `workflow/accept`: may this person approve this plan? The question of the change as it waits for approvals, and who approves. */
export const acceptInputSchema = changeInputSchema.extend({
  phase: z.literal('approval'),
  approval: z.strictObject({
    /** Whoever is about to approve: asked for it, and not who asked for the change. */
    approver: personIdSchema,
    /** Who has approved this very plan already, and counts now. */
    approved: z.array(personIdSchema),
    /** The floor of the sidecar's own trust folder names whoever is about to approve, and asks for more than policy does. Left out: it does not. */
    namedByFloor: z.literal(true).optional(),
  }),
});
export type AcceptInput = z.infer<typeof acceptInputSchema>;

/** `touched`: attributes in the connector's own words, such as `canLogin`. */
const seenState = z.strictObject({ exists: z.boolean(), held: z.array(plainTextSchema(256)), touched: z.record(z.string(), z.json()) });

/** Entrypoint `access/verify`: is the state that was read after the effect what was decided? */
export const verificationInputSchema = z.strictObject({
  v: z.literal(1),
  nowMs: z.int(),
  kind,
  /** What the step did. */
  action: stepActionSchema,
  /** `selfReported`: nobody but the caller saw the state after its own code ran. */
  seenBy: z.enum(['executor', 'selfReported']),
  account: z.string(),
  /** What the plan's step was to give or take. */
  privileges: z.array(plainTextSchema(256)),
  /** What those privileges are catalogued to bring with them (a role's own): neither missed nor a surprise. */
  conveyed: z.array(plainTextSchema(256)).optional(),
  verification: z.enum(['readBack', 'byUse']),
  byUse: z.enum(['works', 'fails', 'notTried']),
  before: seenState,
  after: seenState,
});
export type VerificationInput = z.infer<typeof verificationInputSchema>;

/** Entrypoint `access/reconcile`: what is to be proposed where a target is not as it is recorded? */
export const reconcileInputSchema = z.strictObject({
  v: z.literal(1),
  nowMs: z.int(),
  finding: z.strictObject({
    code: z.string(), connector: z.string(), target: z.string(), account: z.string(), privileges: z.array(plainTextSchema(256)),
    /** Whose account it is; null where the inventory does not say. */
    nhi: z.string().nullable(),
    /** The change whose access it is; null where it is of none. */
    change: z.string().nullable(),
  }),
  facts: z.strictObject({ nhi: inventoryFactSchema.nullable(), catalogue: catalogueSchema }),
});
export type ReconcileInput = z.infer<typeof reconcileInputSchema>;
/** `propose`: the kind of change that would end what was found; null: people look at it. */
export const proposalSchema = z.strictObject({ propose: z.enum(['revoke', 'disable']).nullable(), reasons: z.array(reasonSchema).min(1).max(64), controls: z.array(controlSchema).max(128) });
export type Proposal = z.infer<typeof proposalSchema>;

/** Entrypoint `access/schedule`: which maintenance window must this change use? Asked with the change's input, before there is a plan. */
export const scheduleSchema = z.strictObject({ window: windowMs.nullable(), reasons: z.array(reasonSchema).min(1).max(64) });
export type Schedule = z.infer<typeof scheduleSchema>;
export type { Requirement } from '../protocol/decision.ts';
export { requirementSchema };
