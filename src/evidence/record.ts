/**
 * Event ⇄ record. A record is the event's body and, beside it, the objects that the body names by digest: the plan, states that were
 * read, policy inputs, facts, what people wrote. Objects carry a salt, so that a digest of an erased one gives nothing away.
 */
import { z } from 'zod';
import { canonicalBytes, digestOf, parseStrict, type JsonObject, type LedgerRecord, type RecordDraft } from '../../ledger/index.ts';
import { changeEventBodies, type Attached, type ChangeEvent, type ChangeEventType, type NewEvent } from '../change/events.ts';
import { proseSchema } from '../protocol/disclosure.ts';
import { bundleListingSchema } from '../protocol/policy-bundle.ts';
import { parseBy } from '../protocol/compiled.ts';
import { recordedClassSchema } from '../protocol/own-proof.ts';
import { planSchema, targetStateSchema } from '../protocol/plan.ts';
import { readReport } from '../protocol/report.ts';
import { dsseSchema, REFUSALS } from '../protocol/signed.ts';
import { approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, executorIdSchema, formatTime, lockIdSchema, nhiIdSchema, parseTime, plainTextSchema, principalSchema, saltSchema } from '../protocol/values.ts';
import { runSchema } from '../protocol/worker-state.ts';
import { ENGINE_FAULTS } from '../pdp/fault.ts';
import { ERASED_MAX } from './erasable.ts';
import { concealed, MisplacedProse, revealed, type Revealed } from './prose.ts';
import { activationApprovals, proposalRecordBodies } from './proposals.ts';
import { reconcileRecordBodies } from './reconciled.ts';
import { newestVersion, upcast } from './upcast.ts';

/** Bodies of records that belong to no change. */
export const systemRecordBodies = {
  /** A writer opened the log: the first record, and one for each start after it. */
  'ledger.opened': z.strictObject({ origin: plainTextSchema(255), epoch: z.int().min(1), version: plainTextSchema(32) }),
  /** A torn, unacknowledged end of the journal was cut. */
  'ledger.recovered': z.strictObject({ bytesCut: z.int().min(1), size: z.int().min(0) }),
  /** The ledger was made again from a copy, up to this head. `had`: records that were still there. */
  'ledger.restored': z.strictObject({ size: z.int().min(1), root: digestSchema, had: z.int().min(0), source: plainTextSchema(255) }),
  /** Which record was the last of each change before this one: how many changes there were, and the root of the change-head map. The ledger itself holds it to that. */
  'ledger.heads': z.strictObject({ size: z.int().min(0), changes: z.int().min(0), root: digestSchema }),
  /** The first record of a log that goes on for another: the open changes of that one follow, as `change.adopted`. */
  'ledger.adopted': z.strictObject({
    /** Of the old log, signed: its newest of which every record was there. */
    checkpoint: z.string().min(1).max(16_384),
    /** Of the logs that the old one had adopted itself, oldest first. */
    earlier: z.array(z.string().min(1).max(16_384)).max(8),
    changes: z.int().min(0), /** Of all these changes. */ records: z.int().min(0),
    /** Heads of the old log that somebody has seen, and whose records are lost. */
    ahead: z.array(z.strictObject({ by: plainTextSchema(255), size: z.int().min(1), root: digestSchema })).max(64),
  }),
  /** What the ledger says should be on the bus was missing there, and is there again: records of its copy from `from` on, or steps and orders of `changes`. */
  'outbox.refilled': z.strictObject({
    stream: z.enum(['CS_STEPS', 'CS_LEDGER']), missing: z.int().min(1), from: z.int().min(0).nullable(), /** The first of them. */ changes: z.array(changeIdSchema).max(256),
  }),
  /** What was set aside at an executor, or on its way from it, because nobody trusted had signed it; or it was no message. */
  'messages.refused': z.strictObject({
    executor: executorIdSchema,
    refused: z.array(z.strictObject({ /** The run of its worker that said so, unsigned; null: the sidecar set them aside. */ run: runSchema.nullable(), code: z.enum(REFUSALS), /** More than the records before say. */ count: z.int().min(1) })).min(1).max(256),
  }),
  /** These facts are in force from here on. The facts themselves are the object. */
  'facts.loaded': z.strictObject({ facts: digestSchema }),
  /** Policy was asked about every lease that ran, on these facts and by this bundle. What it said of one that differs from what it had said before is in that change. */
  'redecision.completed': z.strictObject({
    facts: digestSchema, bundle: digestSchema.nullable(), leases: z.int().min(1), kept: z.int().min(0), findings: z.int().min(0), revokes: z.int().min(0),
    /** None of the revokes was ordered: they wait for a person. */
    held: z.boolean(),
    /** The record's own index: what has records after it, and what was under way then, is asked about once it runs. */
    size: z.int().min(0),
  }),
  /** Of some of the leases that run policy gave no answer, so that nothing is taken back or looked at for what it said of the others. Tried again; over with the next `redecision.completed`. */
  'redecision.failed': z.strictObject({ facts: digestSchema, bundle: digestSchema.nullable(), code: z.enum(ENGINE_FAULTS), leases: z.int().min(1), unanswered: z.int().min(1), owner: principalSchema.nullable() }),
  /** Witnesses have cosigned this head: whatever follows was written after the times that they state. The ledger's own verifier holds it to the records (FORMAT.md). */
  'witness.anchored': z.strictObject({ /** The signed note, with cosignatures. */ checkpoint: z.string().min(1).max(16_384), size: z.int().min(1) }),
  /** From the next record on the log is signed with another key. Both have signed a text that names the log and this record's place: `ledger/FORMAT.md`. */
  'key.rotated': z.strictObject({ old: plainTextSchema(512), new: plainTextSchema(512), oldSignature: z.base64().max(128), newSignature: z.base64().max(128) }),
  'bundle.activated': z.strictObject({
    bundle: digestSchema.nullable(),
    /** What the digest is over. The files that it names are objects; null: they were not kept. */
    listing: bundleListingSchema.nullable(),
    /** As it came with the bundle. */
    signature: dsseSchema.nullable(),
    /** What its source calls it, where there is one: it begins with a number that only grows. While none is in force, what the last one was called. */
    revision: plainTextSchema(128).optional(),
    ...activationApprovals,
  }),
  ...proposalRecordBodies,
  /** What was asked to be forgotten is: these objects are zeroed in the ledger and its copies, and their digests stay. */
  'erasure': z.strictObject({ erased: z.array(digestSchema).min(1).max(ERASED_MAX).refine((digests) => new Set(digests).size === digests.length, 'an object is named twice').meta({ uniqueItems: true }), /** Why it may, or must, be. */ basis: proseSchema }),
  /** From here on nothing is gained by the identity, or at the connector, until the lock is lifted. */
  'lock.set': z.strictObject({ lockId: lockIdSchema, nhi: nhiIdSchema.nullable(), connector: connectorIdSchema.nullable(), reason: plainTextSchema(500), /** As it came, signed, where another sidecar or a revoker has set it. */ statement: dsseSchema.optional() }),
  'lock.lifted': z.strictObject({ lockId: lockIdSchema, reason: plainTextSchema(500).nullable(), /** As it came, where it was lifted elsewhere. */ statement: dsseSchema.optional() }),
  /** A person has signed a template: plans that are within it are approved by her, so often and so long as it says. What she signed commits to the reason, which is the object. */
  'standing.approved': z.strictObject({ approvalId: approvalIdSchema, statement: dsseSchema, reason: proseSchema, /** By what she has: left out, by an SSH key. */ proofClass: recordedClassSchema }),
  /** From here on it approves nothing more. */
  'standing.revoked': z.strictObject({ approvalId: approvalIdSchema, reason: plainTextSchema(500).nullable() }),
  ...reconcileRecordBodies,
} as const;
export type SystemRecordType = keyof typeof systemRecordBodies;
export type SystemRecordBody<T extends SystemRecordType> = z.infer<(typeof systemRecordBodies)[T]>;

/** The newest version of each record type's body. A change of shape raises its number and adds a step to `upcast.ts`. */
export const RECORD_VERSIONS: Readonly<Record<ChangeEventType | SystemRecordType, number>> = Object.freeze(
  Object.fromEntries([...Object.keys(changeEventBodies), ...Object.keys(systemRecordBodies)].map((type) => [type, newestVersion(type)])),
) as Readonly<Record<ChangeEventType | SystemRecordType, number>>;

/** An object that is not itself part of the protocol: what policy was asked, or the facts. */
export const saltedObjectSchema = z.strictObject({ v: z.literal(1), salt: saltSchema, kind: z.enum(['policyInput', 'facts']), value: z.json() });

export interface DraftWithObjects {
  readonly draft: RecordDraft;
  readonly objects: readonly Uint8Array[];
}

/** The record of a new event at `atMs`, with the bytes of what it names. `salt`: 16 random bytes each time. `extra`: objects that the body names beyond its attachments. */
export function toDraft(changeId: string, event: NewEvent, atMs: number, salt: () => string, extra: readonly Uint8Array[] = []): DraftWithObjects {
  const attached = event.attached ?? {};
  const { v, body, objects: disclosed } = concealed(event.type, event.body as unknown as JsonObject, () => attached.salt ?? salt());
  const all = [...disclosed, ...[attached.plan, attached.before, attached.after].filter((one) => one !== undefined).map((one) => canonicalBytes(one)), ...extra];
  // A step that changed nothing may come with one state as before and after: it is one object.
  const objects = new Map(all.map((bytes) => [digestOf(bytes), bytes]));
  return {
    draft: { v, change: changeId, type: event.type, at: formatTime(atMs), actor: event.actor, body, objects: [...objects.keys()] },
    objects: [...objects.values()],
  };
}

/** Which of a command's events names what came beside it: the one that policy answered, wherever it stands among them; else the first. */
export function namingExtra(events: readonly NewEvent[]): number {
  return Math.max(0, events.findIndex(({ body }) => 'provenance' in body));
}

export function systemDraft<T extends SystemRecordType>(type: T, body: SystemRecordBody<T>, actor: string, atMs: number, objects: readonly Uint8Array[] = []): DraftWithObjects {
  return {
    draft: { v: versionOf(type, body), change: null, type, at: formatTime(atMs), actor, body: body as unknown as JsonObject, objects: objects.map((bytes) => digestOf(bytes)) },
    objects,
  };
}

/** A ledger in which a body could not be read again would not be opened any more. @throws TypeError for such a one, of a change's event or of a record of none */
export function requireReadable(type: ChangeEventType | SystemRecordType, body: unknown): void {
  const schema: z.ZodType = isChangeEventType(type) ? changeEventBodies[type] : systemRecordBodies[type];
  const parsed = parseBy<unknown>(schema, body);
  if (!parsed.success) throw new TypeError(`${type} is not written: ${z.prettifyError(parsed.error)}`);
}

/** A bundle that nobody was asked about, or that comes from no source, is told as the version before told it, so that verifiers of that time read it. */
function versionOf<T extends SystemRecordType>(type: T, body: SystemRecordBody<T>): number {
  if (type !== 'bundle.activated' || 'proposal' in body) return RECORD_VERSIONS[type];
  return 'revision' in body ? 3 : 2;
}

export class MalformedRecord extends Error {
  readonly seq: number;
  constructor(seq: number, message: string, options?: ErrorOptions) {
    super(`record ${seq}: ${message}`, options);
    this.name = 'MalformedRecord';
    this.seq = seq;
  }
}

/** Reads an object by digest; null where it was erased. At once where it is at hand. */
export type ReadObject = (digest: string) => Promise<Uint8Array | null> | Uint8Array | null;

/**
 * The event that a change's record tells, upcast to the newest version, with what the fold needs attached: at once where all of it is at hand.
 *
 * @throws MalformedRecord when the body is not what its type says, or an object is not what its place says.
 */
export function toEvent(stored: LedgerRecord, readObject: ReadObject): ChangeEvent | Promise<ChangeEvent> {
  const record = upcast(stored);
  if (record.change === null || !isChangeEventType(record.type)) throw new MalformedRecord(record.seq, `${record.type} is not an event of a change`);
  if (!parseBy(principalSchema, record.actor).success) throw new MalformedRecord(record.seq, 'the actor is not a principal');
  const disclosed = disclosedIn(record, stored.v, readObject);
  return disclosed instanceof Promise ? disclosed.then((one) => eventOf(record, one, readObject)) : eventOf(record, disclosed, readObject);
}

/** {@link revealed} of an upcast record. @throws MalformedRecord where the prose is not where this version has it */
export function disclosedIn(record: LedgerRecord, stored: number, readObject: ReadObject): Revealed | Promise<Revealed> {
  try {
    return revealed(record, stored, readObject);
  } catch (error) {
    if (error instanceof MisplacedProse) throw new MalformedRecord(record.seq, error.message);
    throw error;
  }
}

function eventOf(record: LedgerRecord, { body, prose }: Revealed, readObject: ReadObject): ChangeEvent | Promise<ChangeEvent> {
  const parsed = parseBy<unknown>(changeEventBodies[record.type as ChangeEventType], body);
  if (!parsed.success) throw new MalformedRecord(record.seq, z.prettifyError(parsed.error));
  // The union is tied together by `type`: the schema of this type has accepted this body.
  const event = { type: record.type, actor: record.actor, body: parsed.data, changeId: record.change, seq: record.seq, atMs: parseTime(record.at) } as ChangeEvent;
  const named = statesNamedBy(event);
  const told: Attached = prose === null ? {} : { prose };
  if (named === null) return prose === null ? event : Object.assign(event, { attached: told });
  const due = named.filter(({ digest }) => digest !== null && record.objects.includes(digest));
  return due.length === 0 ? Object.assign(event, { attached: told }) : withAttached(event, told, due, readObject);
}

export function isChangeEventType(type: string): type is ChangeEventType {
  return Object.hasOwn(changeEventBodies, type);
}

/** An object that an event needs beside its body. */
interface Named {
  readonly as: keyof Attached;
  readonly digest: string | null;
  readonly schema: z.ZodType<Attached[keyof Attached]>;
}

/** What the body names that is attached where the record brings it; null for an event that needs nothing. */
function statesNamedBy(event: NewEvent): readonly Named[] | null {
  const state = (as: 'before' | 'after', digest: string | null): Named => ({ as, digest, schema: targetStateSchema });
  switch (event.type) {
    case 'policy.decided':
      return [{ as: 'plan', digest: event.body.planDigest, schema: planSchema }];
    case 'state.read':
      return [state('before', readReport(event.body.report, 'read').state)];
    case 'step.succeeded':
    case 'step.failed': {
      const report = readReport(event.body.report, 'acted', 'read');
      return report.kind === 'read' ? null : [state('before', report.before), state('after', report.after)];
    }
    case 'lease.ended':
      return [state('after', readReport(event.body.report, 'revoked').after)];
    default:
      return null;
  }
}

function withAttached(event: ChangeEvent, told: Attached, named: readonly Named[], readObject: ReadObject): ChangeEvent | Promise<ChangeEvent> {
  const objects = named.map(({ digest }) => (digest === null ? null : readObject(digest)));
  const atHand = objects.filter((one): one is Uint8Array | null => !(one instanceof Promise));
  return atHand.length === objects.length ? attach(event, told, named, atHand) : Promise.all(objects.map((one) => Promise.resolve(one))).then((all) => attach(event, told, named, all));
}

/** The event, with what goes with it. @param objects what `named` are, in their order */
function attach(event: ChangeEvent, told: Attached, named: readonly Named[], objects: readonly (Uint8Array | null)[]): ChangeEvent {
  const attached: Record<string, unknown> = { ...told };
  for (const [i, { as, digest, schema }] of named.entries()) {
    const bytes = objects[i] ?? null;
    if (bytes === null) continue;
    const parsed = parseBy(schema, parseStrict(bytes));
    if (!parsed.success) throw new MalformedRecord(event.seq, `object ${digest} is not what the record says: ${z.prettifyError(parsed.error)}`);
    attached[as] = parsed.data;
  }
  return Object.assign(event, { attached });
}
