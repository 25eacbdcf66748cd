/** What looking at targets has put on record: the bodies of those records, and what they come to, connector by connector. */
import { z } from 'zod';
import { DISCREPANCY_CODES, PRIVILEGES_MAX, type Counts, type DiscrepancyCode } from '../change/compare.ts';
import { provenanceSchema, reasonSchema } from '../protocol/decision.ts';
import { discoveryAuthorisedSchema, discoveryIdSchema, PAGES_MAX } from '../protocol/discovery.ts';
import { dsseSchema } from '../protocol/signed.ts';
import { changeIdSchema, connectorIdSchema, digestSchema, nhiIdSchema, plainTextSchema, principalSchema } from '../protocol/values.ts';

/** `fnd_` and 32 hex characters: the same for the same thing, however often it is found. */
export const findingIdSchema = z.string().regex(/^fnd_[0-9a-f]{32}$/);
const evidence = z.array(digestSchema).min(1).max(PAGES_MAX);
const number = z.int().min(0);

export const countsSchema = z.strictObject({
  accounts: number, unknownAccounts: number, held: number, explained: number, unexplained: number, pastEnd: number, undecided: number, standing: number, recorded: number, missing: number,
}) satisfies z.ZodType<Counts>;

export const reconcileRecordBodies = {
  /** The sidecar authorises an executor to tell a page of what is there. The receipt is this very record. */
  'discovery.authorised': discoveryAuthorisedSchema,
  /** What the executor answered. The page is the object. */
  'discovery.read': z.strictObject({ discoveryId: discoveryIdSchema, connector: connectorIdSchema, report: dsseSchema }),
  /** Something at a target is not as it is recorded, and somebody owns that. */
  'reconcile.found': z.strictObject({
    findingId: findingIdSchema, discoveryId: discoveryIdSchema, code: z.enum(DISCREPANCY_CODES), connector: connectorIdSchema, target: plainTextSchema(128), account: plainTextSchema(128),
    nhi: nhiIdSchema.nullable(), change: changeIdSchema.nullable(), owner: principalSchema.nullable(), privileges: z.array(plainTextSchema(256)).max(PRIVILEGES_MAX), message: plainTextSchema(500), evidence,
  }),
  /** It is as it is recorded again, as the pages show. */
  'reconcile.cleared': z.strictObject({ findingId: findingIdSchema, discoveryId: discoveryIdSchema, evidence }),
  /** What this ledger gave and was found past its end is ordered back: that it ends was decided when it was given. */
  'reconcile.ordered': z.strictObject({ findingId: findingIdSchema, order: dsseSchema }),
  /** Policy said that a change be asked for which would end it; people decide on that as on any other. The policy input is the object. */
  'reconcile.proposed': z.strictObject({ findingId: findingIdSchema, change: changeIdSchema, reasons: z.array(reasonSchema).min(1).max(64), provenance: provenanceSchema }),
  /** A connector was looked at as a whole and compared with all that is recorded. `complete`: no page is missing. */
  'reconcile.compared': z.strictObject({
    discoveryId: discoveryIdSchema, connector: connectorIdSchema, target: plainTextSchema(128), complete: z.boolean(), pages: evidence, counts: countsSchema, found: number, cleared: number,
  }),
} as const;
export type ReconcileRecordType = keyof typeof reconcileRecordBodies;
export type ReconcileRecordBody<T extends ReconcileRecordType> = z.infer<(typeof reconcileRecordBodies)[T]>;

export interface OpenFinding extends ReconcileRecordBody<'reconcile.found'> {
  readonly code: DiscrepancyCode;
  readonly sinceMs: number;
  /** When it was last ordered back; null where it was not. */
  readonly orderedAtMs: number | null;
  /** The last change that was asked for to end it. */
  readonly proposed: string | null;
}

/** The last comparison of a connector. */
export interface Compared extends ReconcileRecordBody<'reconcile.compared'> {
  readonly atMs: number;
}

export interface Reconciled {
  readonly findings: ReadonlyMap<string, OpenFinding>;
  readonly compared: ReadonlyMap<string, Compared>;
}

export const NOTHING_RECONCILED: Reconciled = { findings: new Map(), compared: new Map() };

export function isReconcileRecordType(type: string): type is ReconcileRecordType {
  return Object.hasOwn(reconcileRecordBodies, type);
}

/** What it comes to with one more record. Pure. @throws ZodError for a body that is not what its type says */
export function afterReconcileRecord(before: Reconciled, type: ReconcileRecordType, body: unknown, atMs: number): Reconciled {
  const findings = new Map(before.findings);
  switch (type) {
    case 'discovery.authorised':
    case 'discovery.read':
      return before;
    case 'reconcile.found': {
      const found = reconcileRecordBodies[type].parse(body);
      return { ...before, findings: findings.set(found.findingId, { ...found, sinceMs: atMs, orderedAtMs: null, proposed: null }) };
    }
    case 'reconcile.cleared':
      findings.delete(reconcileRecordBodies[type].parse(body).findingId);
      return { ...before, findings };
    case 'reconcile.ordered': {
      const finding = findings.get(reconcileRecordBodies[type].parse(body).findingId);
      return finding === undefined ? before : { ...before, findings: findings.set(finding.findingId, { ...finding, orderedAtMs: atMs }) };
    }
    case 'reconcile.proposed': {
      const { findingId, change } = reconcileRecordBodies[type].parse(body);
      const finding = findings.get(findingId);
      return finding === undefined ? before : { ...before, findings: findings.set(findingId, { ...finding, proposed: change }) };
    }
    case 'reconcile.compared': {
      const compared = reconcileRecordBodies[type].parse(body);
      return { ...before, compared: new Map(before.compared).set(compared.connector, { ...compared, atMs }) };
    }
  }
}
