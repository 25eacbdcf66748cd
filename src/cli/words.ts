/** The small words that many documents use, so that each is defined once and named everywhere else. */
import { z } from 'zod';
import { approverExpressionSchema, controlSchema, decisionSchema, provenanceSchema, reasonSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import { disclosureSchema, proseSchema } from '../protocol/disclosure.ts';
import { findingIdSchema } from '../evidence/reconciled.ts';
import { discoveryIdSchema } from '../protocol/discovery.ts';
import { clientTokenSchema } from '../protocol/plan.ts';
import { calendarIdSchema, purposeIdSchema, recipientSchema, recordedRequestSchema, runKeySchema } from '../protocol/request.ts';
import { approvalSchema, dsseSchema, sealSchema } from '../protocol/signed.ts';
import {
  actorIdSchema, approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, durationSchema, entitlementSchema, executorIdSchema,
  leaseIdSchema, lockIdSchema, logIdSchema, nhiIdSchema, personIdSchema, principalSchema, saltSchema, stepIdSchema, subjectSchema, timeSchema,
} from '../protocol/values.ts';

/** A scalar, with what it stands for. */
export const SCALARS = {
  changeId: [changeIdSchema, 'a change: `chg_<log>_<ulid>`'],
  stepId: [stepIdSchema, 'a step of a change'],
  leaseId: [leaseIdSchema, 'a lease: the change’s id with another prefix'],
  approvalId: [approvalIdSchema, 'an approval: `apr_` and 32 hex characters of its statement’s digest'],
  logId: [logIdSchema, 'a log: the first 16 hex characters of SHA-256(origin)'],
  nhiId: [nhiIdSchema, 'a machine identity: `nhi:<environment>/<name>`'],
  personId: [personIdSchema, 'a person: `person:<id>`'],
  executorId: [executorIdSchema, 'an executor: `executor:<id>`'],
  lockId: [lockIdSchema, 'a lock: `lck_<ulid>`'],
  discoveryId: [discoveryIdSchema, 'a look at everything at a target: `dsc_<log>_<ulid>`'],
  findingId: [findingIdSchema, 'something at a target that is not as it is recorded: `fnd_` and 32 hex characters, the same for the same thing'],
  actorId: [actorIdSchema, 'whom a ticket is for and who reports: an executor, or `caller:` and 32 hex characters of the SHA-256 of a run’s key'],
  principal: [principalSchema, 'whoever acts: a machine identity, a person, `sidecar:…`, `executor:…` or `caller:…`'],
  subject: [subjectSchema, 'what a change is about: a machine identity; to offboard also `person:<id>` or `thirdParty:<name>`'],
  connectorId: [connectorIdSchema, 'a connector of the configuration'],
  purposeId: [purposeIdSchema, 'a purpose of the entitlement catalogue'],
  calendarId: [calendarIdSchema, 'a maintenance window of the calendar'],
  runKey: [runKeySchema, 'the public key of a caller’s run: raw Ed25519, base64'],
  digest: [digestSchema, '`sha256:<hex>`'],
  time: [timeSchema, 'RFC 3339, UTC, with milliseconds'],
  duration: [durationSchema, 'ISO 8601, of days, hours, minutes and seconds'],
  recipient: [recipientSchema, 'an age X25519 recipient, or kv:<sink>/<path>'],
  salt: [saltSchema, '16 random bytes, base64url'],
  clientToken: [clientTokenSchema, 'what a credential is found again by at its target'],
} as const satisfies Record<string, readonly [z.ZodType, string]>;

/** Documents that others hold. */
export const PARTS = {
  recordedRequest: recordedRequestSchema,
  prose: proseSchema,
  disclosure: disclosureSchema,
  entitlement: entitlementSchema,
  decision: decisionSchema,
  verification: verificationSchema,
  requirement: requirementSchema,
  approverExpression: approverExpressionSchema,
  reason: reasonSchema,
  control: controlSchema,
  provenance: provenanceSchema,
  approval: approvalSchema,
  seal: sealSchema,
  dsse: dsseSchema,
} as const satisfies Record<string, z.ZodType>;

/** Both, for `z.toJSONSchema`: what is in here becomes a `$ref`. */
export const WORDS = z.registry<{ id: string }>();
for (const [id, [schema]] of Object.entries(SCALARS)) WORDS.add(schema, { id });
for (const [id, schema] of Object.entries<z.ZodType>(PARTS)) WORDS.add(schema, { id });
