/**
 * How many changes that give access an identity has been given, and whoever asked has asked for, of late: a fold of the ledger, and so much of it as a
 * day needs.
 *
 * Of a change those count that were asked for before it, up to when it was asked for: of two that are asked for together one is the first, whenever policy
 * is asked about them. For an identity a change counts once something of it is authorised: nobody uses up what is another's by asking. For whoever asks it
 * counts at once, unless it comes to nothing before that.
 */
import type { ChangeState } from './state.ts';

export interface Counts {
  readonly hour: number;
  readonly day: number;
}

export interface RecentChanges {
  /** Given to the identity. */
  readonly subject: Counts;
  /** Asked for by whoever of the act chain asked most. */
  readonly requester: Counts;
  /** Given to the identity: those that make a credential. */
  readonly newCredentials: Pick<Counts, 'day'>;
}

export const NOTHING_RECENT: RecentChanges = { subject: { hour: 0, day: 0 }, requester: { hour: 0, day: 0 }, newCredentials: { day: 0 } };

/** Where the change's first record is, when it was asked for, and whether it makes a credential. */
interface Entry {
  readonly seq: number;
  readonly atMs: number;
  readonly makes: boolean;
}

/** By whom it is of, and whether as identity or as requester. */
export type RecentDump = ReadonlyMap<string, readonly Entry[]>;

/** Kept of one identity or requester; counts end there. */
export const COUNTED_MAX = 5_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Changes after which those are looked for of whom nothing is recent any more. */
const SWEEP_EVERY = 1_024;

const GAINS: ReadonlySet<string> = new Set(['provision', 'grant', 'extend', 'rotate']);
const MAKES: ReadonlySet<string> = new Set(['provision', 'rotate']);
const IN_VAIN: ReadonlySet<string> = new Set(['denied', 'rejected', 'expired', 'withdrawn']);

type Counted = Pick<ChangeState, 'requester' | 'requestedAtMs'> & { readonly request: { readonly kind: string; readonly subject: string } };

/** Whether it ended before anything of it was authorised. */
export function wasInVain({ firstActAtMs, name }: Pick<ChangeState, 'firstActAtMs' | 'name'>): boolean {
  return IN_VAIN.has(name) && firstActAtMs === null;
}

const subjectKey = (subject: string): string => `subject ${subject}`;
const requesterKeys = (requester: readonly string[]): string[] => [...new Set(requester.map((one) => `requester ${one}`))];

export class Recent {
  readonly #of: Map<string, Entry[]>;
  #added = 0;

  constructor(from: RecentDump = new Map()) {
    this.#of = new Map([...from].map(([key, entries]) => [key, [...entries]]));
  }

  /** A change whose first record is `seq` was asked for. */
  asked(seq: number, change: Counted): void {
    this.#add(seq, change, requesterKeys(change.requester));
  }

  /** Something of the change whose first record is `seq` is authorised, for the first time. */
  authorised(seq: number, change: Counted): void {
    this.#add(seq, change, [subjectKey(change.request.subject)]);
  }

  #add(seq: number, { request: { kind }, requestedAtMs: atMs }: Counted, keys: readonly string[]): void {
    if (!GAINS.has(kind)) return;
    for (const key of keys) {
      const entries = this.#of.get(key) ?? [];
      entries.push({ seq, atMs, makes: MAKES.has(kind) });
      if (entries.length > COUNTED_MAX || entries[0]!.atMs <= atMs - DAY_MS) this.#of.set(key, youngest(entries, atMs));
      // Cut from a record's text, the name would keep all of it.
      else if (entries.length === 1) this.#of.set(Buffer.from(key, 'utf8').toString('utf8'), entries);
    }
    this.#added += 1;
    if (this.#added % SWEEP_EVERY === 0) for (const [key, entries] of this.#of) if (entries.every((one) => one.atMs <= atMs - DAY_MS)) this.#of.delete(key);
  }

  /** The change whose first record is `seq` came to nothing before anything of it was authorised. */
  remove(seq: number, { requester }: Pick<Counted, 'requester'>): void {
    for (const key of requesterKeys(requester)) {
      const entries = this.#of.get(key);
      const at = entries?.findLastIndex((one) => one.seq === seq) ?? -1;
      if (at !== -1) entries!.splice(at, 1);
    }
  }

  /** What came before a change whose first record is `seq` (Infinity: one that there is not yet), in the hour and the day up to `atMs`. */
  before(seq: number, atMs: number, subject: string, requester: readonly string[]): RecentChanges {
    const count = (key: string, spanMs: number, makes = false): number =>
      (this.#of.get(key) ?? []).filter((one) => one.seq < seq && one.atMs <= atMs && one.atMs > atMs - spanMs && (one.makes || !makes)).length;
    const ofSubject = subjectKey(subject);
    const most = (spanMs: number): number => Math.max(0, ...requesterKeys(requester).map((key) => count(key, spanMs)));
    return {
      subject: { hour: count(ofSubject, HOUR_MS), day: count(ofSubject, DAY_MS) }, requester: { hour: most(HOUR_MS), day: most(DAY_MS) },
      newCredentials: { day: count(ofSubject, DAY_MS, true) },
    };
  }

  /** All that counts at `atMs`, the time of the last record: the same whichever way it was come to. */
  dump(atMs: number): RecentDump {
    const kept = [...this.#of].map(([key, entries]) => [key, youngest(entries, atMs)] as const).filter(([, entries]) => entries.length > 0);
    return new Map(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function youngest(entries: readonly Entry[], atMs: number): Entry[] {
  return entries.filter((one) => one.atMs > atMs - DAY_MS).slice(-COUNTED_MAX);
}
