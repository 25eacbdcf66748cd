/** What could not be asked again, by why; and of what was erased, under which record that was. */
import type { LedgerRecord } from '../../ledger/index.ts';

/** In the order in which they are told. */
const WHY = {
  unsigned: 'by a bundle that no policy signer of the trust folder has signed',
  notKept: 'by a bundle that is not in the evidence',
  unrunnable: 'by a bundle that cannot be run',
  stopped: 'policy did not answer in time',
  adopted: 'of a change that was adopted: its earlier log tells',
  outOfPlace: 'not in its place among the records',
} as const;
export type UnreplayedWhy = keyof typeof WHY;

export type Erasable = 'input' | 'facts' | 'state' | 'plan' | 'bundle';

export interface Unreplayed {
  readonly why: UnreplayedWhy | 'erased';
  readonly count: number;
  /** In words: `input erased under seq 40`. */
  readonly message: string;
}

export interface UnreplayedSoFar {
  add(why: UnreplayedWhy): void;
  erased(digest: string, what: Erasable): void;
  /** Takes an `erasure` record. */
  note(record: LedgerRecord): void;
  finish(): readonly Unreplayed[];
}

export function openUnreplayed(): UnreplayedSoFar {
  const counts = new Map<UnreplayedWhy, number>();
  /** By digest: what it was, and how many decisions needed it. Resolved once every erasure record is known. */
  const missing = new Map<string, { readonly what: string; count: number }>();
  const under = new Map<string, number>();
  return {
    add: (why) => void counts.set(why, (counts.get(why) ?? 0) + 1),
    erased(digest, what) {
      const known = missing.get(digest);
      if (known === undefined) missing.set(digest, { what, count: 1 });
      else known.count += 1;
    },
    note(record) {
      const erased = record.body['erased'];
      for (const digest of Array.isArray(erased) ? erased : []) if (typeof digest === 'string' && !under.has(digest)) under.set(digest, record.seq);
    },
    finish() {
      const erased = new Map<string, number>();
      for (const [digest, { what, count }] of missing) {
        const message = `${what} erased under seq ${under.get(digest) ?? '?'}`;
        erased.set(message, (erased.get(message) ?? 0) + count);
      }
      return [
        ...[...erased].map(([message, count]): Unreplayed => ({ why: 'erased', count, message })),
        ...(Object.keys(WHY) as UnreplayedWhy[]).flatMap((why) => (counts.has(why) ? [{ why, count: counts.get(why)!, message: WHY[why] }] : [])),
      ];
    },
  };
}
