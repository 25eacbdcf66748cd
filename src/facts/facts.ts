/** Facts in memory, whichever way they came: read from files, or from the object that a record names. */
import type { z } from 'zod';
import { canonicalBytes, digestOf, OBJECT_BYTES_MAX } from '../../ledger/index.ts';
import type { ExceptionsFile } from './exceptions.ts';
import { FactsError } from './facts-error.ts';
import { withOwners } from './owners.ts';
import type { CalendarFile, Catalogue, Directory, InventoryFact, inventoryFileSchema, UsageFile } from './schemas.ts';

export const FACT_KINDS = ['inventory', 'catalogue', 'directory', 'usage', 'calendar', 'exceptions'] as const;
export type FactKind = (typeof FACT_KINDS)[number];

/** The documents themselves: what a decision's evidence names by digest. */
export interface FactsValue {
  readonly inventory: z.infer<typeof inventoryFileSchema>;
  readonly catalogue: Catalogue;
  readonly directory: Directory;
  /** null: nothing is observed. */
  readonly usage: UsageFile | null;
  /** null: no maintenance calendar is kept. */
  readonly calendar: CalendarFile | null;
  /** Absent: no exceptions are kept. */
  readonly exceptions?: ExceptionsFile;
}

/** Facts as they were at one moment. Never changed: another load gives another object. */
export interface Facts {
  /** By id, each with who answers for it. */
  readonly inventory: ReadonlyMap<string, InventoryFact>;
  readonly catalogue: Catalogue;
  readonly directory: Directory;
  readonly usage: UsageFile | null;
  readonly calendar: CalendarFile | null;
  readonly exceptions: ExceptionsFile | null;
  readonly loadedAtMs: number;
  readonly value: FactsValue;
  /** sha256 of each document's RFC 8785 bytes: comments and spelling aside, the same facts have the same digest. */
  readonly digests: Readonly<Record<FactKind, string | null>>;
}

/** Of all documents: in the object that a record names them by, their names and a salt are beside them. */
export const FACTS_BYTES_MAX = OBJECT_BYTES_MAX - 1_024;

/**
 * The same facts, as `nowMs` loads them, from documents that fit their schemas and name nothing twice.
 *
 * @param bytesMax those that are on record are read whatever they come to
 * @throws FactsError `malformed` where they are more: nothing could be decided on them
 */
export function factsOf(value: FactsValue, nowMs: number, bytesMax = Infinity): Facts {
  let total = 0;
  const digest = (document: object | null): string | null => {
    if (document === null) return null;
    const bytes = canonicalBytes(document);
    total += bytes.length;
    return digestOf(bytes);
  };
  const digests = {
    inventory: digest(value.inventory), catalogue: digest(value.catalogue), directory: digest(value.directory), usage: digest(value.usage), calendar: digest(value.calendar),
    exceptions: digest(value.exceptions ?? null),
  };
  if (total > bytesMax) throw new FactsError('malformed', [{ file: 'all facts', line: null, pointer: '', message: `${total} bytes together, and the object that evidence names them by has room for ${bytesMax}` }]);
  return {
    inventory: new Map(withOwners(value).map((nhi) => [nhi.id, nhi])),
    catalogue: value.catalogue,
    directory: value.directory,
    usage: value.usage,
    calendar: value.calendar,
    exceptions: value.exceptions ?? null,
    loadedAtMs: nowMs,
    value,
    digests,
  };
}
