/** An OCSF event as records are told: classes and activities by the numbers and captions of OCSF 1.9.0, and what is the same in every event. */
import type { JsonObject } from '../../../ledger/index.ts';
import { inertJson } from '../../protocol/plain.ts';

export const OCSF_VERSION = '1.9.0';
/** The profile that `action_id`, `disposition_id`, `authorizations` and `is_alert` are of. */
const PROFILES = ['security_control'];

/** Each class that is used: its number, its category, and the activities that are used of it. What the schema says of each: `docs/ocsf.md`. */
export const CLASSES = {
  'Compliance Finding': { uid: 2003, category: 'Findings', activities: { Create: 1 } },
  'Detection Finding': { uid: 2004, category: 'Findings', activities: { Create: 1, Update: 2, Close: 3 } },
  'Entity Management': { uid: 3004, category: 'Identity & Access Management', activities: { Create: 1, Read: 2, Update: 3, Delete: 4, Move: 5, Disable: 9, Activate: 10, Deactivate: 11, Suspend: 12, Resume: 13 } },
  'User Management': {
    uid: 3007, category: 'Identity & Access Management',
    activities: { Create: 1, Update: 2, Disable: 5, Lock: 6, Unlock: 7, 'Password Change': 8, 'Assign Privileges': 14, 'Remove Privileges': 15, 'Add Programmatic Credentials': 18, 'Remove Programmatic Credentials': 19, Rotate: 99 },
  },
  'Application Lifecycle': { uid: 6002, category: 'Application Activity', activities: { Start: 3 } },
} as const;
export type ClassName = keyof typeof CLASSES;
type ActivityOf<C extends ClassName> = keyof (typeof CLASSES)[C]['activities'] & string;

const CATEGORIES = { Findings: 2, 'Identity & Access Management': 3, 'Application Activity': 6 } as const;
export const SEVERITIES = { Informational: 1, Low: 2, Medium: 3, High: 4 } as const;
export type Severity = keyof typeof SEVERITIES;
/** Of findings, and of everything else: the same words are other numbers there. */
const FINDING_STATUSES = { New: 1, 'In Progress': 2, Resolved: 4 } as const;
const STATUSES = { Unknown: 0, Success: 1, Failure: 2 } as const;
export type FindingStatus = keyof typeof FINDING_STATUSES;
export type Status = keyof typeof STATUSES;

/** What a record is told as, without what the ledger says of the record itself. */
export interface Told {
  readonly of: ClassName;
  readonly activity: string;
  readonly activityId: number;
  readonly severity: Severity;
  readonly status: Status | FindingStatus;
  /** When it happened, where that is another time than the record's: as its executor has signed it. */
  readonly atMs?: number;
  /** Attributes of the class. */
  readonly attributes: JsonObject;
  /** What OCSF has no attribute for. */
  readonly unmapped: JsonObject;
}

type More = Partial<Pick<Told, 'severity' | 'unmapped'>> & { readonly atMs?: number | undefined; readonly status?: Status | FindingStatus };

export function told<C extends ClassName>(of: C, activity: ActivityOf<C>, attributes: JsonObject, { severity = 'Informational', status, unmapped = {}, atMs }: More = {}): Told {
  const activityId = (CLASSES[of].activities as Record<string, number>)[activity]!;
  return { of, activity, activityId, severity, status: status ?? (isFinding(of) ? 'New' : 'Success'), attributes, unmapped, ...(atMs === undefined ? {} : { atMs }) };
}

const isFinding = (of: ClassName): boolean => CLASSES[of].category === 'Findings';

/** The log that events are of. */
export interface ToldLog {
  readonly logId: string;
  readonly origin: string;
  /** The checkpoint that it is verified up to. */
  readonly size: number;
  /** `sha256:<hex>` */
  readonly root: string;
}

/** Where an event comes from. */
export interface Source {
  readonly log: ToldLog;
  /** This program's. */
  readonly version: string;
  readonly seq: number;
  /** What tells it from another event of the same record; left out for the record's own. */
  readonly part?: string;
  /** Of a broken rule, when the newest record was that was read by then. */
  readonly recordedMs: number;
  /** The record's type. */
  readonly code: string;
  readonly change: string | null;
}

export function eventOf({ of, activity, activityId, severity, status, atMs, attributes, unmapped }: Told, { log: { logId, origin, size, root }, version, seq, part, recordedMs, code, change }: Source): JsonObject {
  const { uid, category } = CLASSES[of];
  return {
    activity_id: activityId, activity_name: activity, category_uid: CATEGORIES[category], category_name: category, class_uid: uid, class_name: of, type_uid: uid * 100 + activityId, type_name: `${of}: ${activity}`,
    time: atMs ?? recordedMs, severity_id: SEVERITIES[severity], severity,
    status_id: isFinding(of) ? FINDING_STATUSES[status as FindingStatus] : STATUSES[status as Status], status,
    metadata: {
      version: OCSF_VERSION, profiles: PROFILES, product: { name: 'Countersign', vendor_name: 'Countersign', version }, uid: `${logId}/${seq}${part === undefined ? '' : `/${part}`}`, sequence: seq, event_code: code, log_name: origin,
      // A rule that is broken is on record nowhere.
      ...(part === undefined ? { logged_time: recordedMs } : {}),
      ...(change === null ? {} : { correlation_uid: change }),
    },
    ...attributes, unmapped: { ...unmapped, checkpoint: { size, root } },
  };
}

/**
 * One line of JSON in which nothing but itself ends a line, and nothing is hidden or turns the direction of what stands around it: what others wrote is in it.
 */
export function lineOf(event: JsonObject): string {
  return `${inertJson(JSON.stringify(event))}\n`;
}
