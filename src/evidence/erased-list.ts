/** What was erased of a ledger, object by object: what it was, whose, and the record under which it went. */
import type { LedgerRecord, RuleSet } from '../../ledger/index.ts';
import { kindsIn } from './carried-kinds.ts';
import { namedBy, type ObjectKind } from './erasable.ts';
import type { ReadObject } from './record.ts';

export interface ErasedOnRecord {
  readonly digest: string;
  readonly kind: ObjectKind;
  /** The change whose record names it first; null for a record of no change. */
  readonly change: string | null;
  /** Of that record. */
  readonly namedBy: number;
  /** Of the erasure record. */
  readonly seq: number;
}

/** Those that are listed; all are counted by the ledger's own verification. */
export const ERASED_LISTED_MAX = 1_000;
/** Objects of which it is remembered that they are there: a few MB. */
const THERE_MAX = 65_536;

/** The rules, and beside them the list: `found` gets it with the verdicts. */
export function withErasedList(rules: RuleSet, found: (erased: readonly ErasedOnRecord[]) => void): RuleSet {
  const missing = new Map<string, Omit<ErasedOnRecord, 'seq'>>();
  const under = new Map<string, number>();
  /** Known to be there: an object of an earlier record that many name is not read for each. */
  const there = new Set<string>();
  /** Null where all that the record names is at hand, as it is where the record brings it. */
  const note = (record: LedgerRecord, readObject: ReadObject): Promise<void> | null => {
    if (record.type === 'erasure') {
      const erased = record.body['erased'];
      for (const digest of Array.isArray(erased) ? erased : []) if (typeof digest === 'string' && missing.has(digest) && !under.has(digest)) under.set(digest, record.seq);
    }
    if (record.objects.length === 0 || missing.size >= ERASED_LISTED_MAX) return null;
    const named = namedBy(record);
    for (const [at, [digest]] of named.entries()) {
      const object = isToSee(digest, record) ? readObject(digest) : undefined;
      if (object instanceof Promise || object === null) return noteFrom(at, object, named, record, readObject);
    }
    return null;
  };
  const isToSee = (digest: string, { objects }: LedgerRecord): boolean => !missing.has(digest) && !there.has(digest) && objects.includes(digest);
  /** Goes on with the first that is not at hand, one after another: `object` is what was read of it. */
  const noteFrom = async (from: number, object: Promise<Uint8Array | null> | null, named: readonly (readonly [string, ObjectKind])[], record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    let kinds: readonly (readonly [string, ObjectKind])[] | null = null;
    for (let at = from; at < named.length; at += 1) {
      const [digest] = named[at]!;
      if (!isToSee(digest, record)) continue;
      if ((await (at === from ? object : readObject(digest))) !== null) {
        if (there.size >= THERE_MAX) there.clear();
        there.add(digest);
        continue;
      }
      // Whether what it carries can be read is for the rules to say.
      kinds ??= await kindsIn(record, readObject).catch(() => named);
      missing.set(digest, { digest, kind: kinds[at]![1], change: record.change, namedBy: record.seq });
    }
  };
  return {
    names: rules.names,
    record(record, readObject) {
      if (record.objects.length === 0 && record.type !== 'erasure') return rules.record(record, readObject);
      const noting = note(record, readObject);
      return noting === null ? rules.record(record, readObject) : noting.then(() => rules.record(record, readObject));
    },
    async finish() {
      found([...missing.values()].flatMap((one) => (under.has(one.digest) ? [{ ...one, seq: under.get(one.digest)! }] : [])));
      return rules.finish();
    },
  };
}
