/** Of which controls each record is evidence: by its type, and by what the rules that spoke in it say. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { controlKey, slugOf } from './controls.ts';
import type { At, ControlCount } from './facts.ts';

export interface KnownControl {
  readonly framework: string;
  readonly id: string;
  readonly title: string;
  /** Types of record that are evidence for it whatever is in them; `every` for all. */
  readonly types: readonly string[];
}

export interface Controls {
  /** Takes a record, and says of which controls it is evidence: bit n for the nth. */
  take(record: LedgerRecord, at: At): bigint;
  counts(): readonly ControlCount[];
  /** How many records named a control beyond those that are told apart. */
  leftOut(): number;
}

export const EVERY_TYPE = 'every';
/** What a policy names beyond the controls that are known: its own frameworks. More are not told apart, and the report says so. */
const NAMED_MAX = 512;

/**
 * @param isWanted whether the records of a control are to be kept
 * @param isCounted whether a record of then is in the time that is asked for
 */
export function openControls(known: readonly KnownControl[], isWanted: (framework: string, id: string) => boolean, isCounted: (atMs: number) => boolean): Controls {
  const counts: (Omit<ControlCount, 'types' | 'records' | 'first' | 'last' | 'seqs'> & { types: Map<string, number>; records: number; first: At | null; last: At | null; seqs: number[] | null })[] = [];
  const places = new Map<string, number>();
  let leftOut = 0;
  /** By what stands for it in keys: `SOC 2` and `soc-2` are two spellings of one, and the first is shown. */
  const frameworks = new Map<string, string>();
  const placeOf = (spelling: string, id: string, title: string | null, couldBe = 0): number | null => {
    const slug = slugOf(spelling);
    const framework = frameworks.get(slug) ?? spelling;
    const key = controlKey({ framework, id });
    const found = places.get(key);
    if (found !== undefined) return found;
    if (title === null && places.size >= known.length + NAMED_MAX) return null;
    places.set(key, counts.length);
    frameworks.set(slug, framework);
    return counts.push({ framework, id, title: title ?? 'named by the policy that decided', couldBe, types: new Map(), records: 0, first: null, last: null, seqs: isWanted(framework, id) ? [] : null }) - 1;
  };
  const byType = new Map<string, number[]>();
  for (const { framework, id, title, types } of known) {
    const place = placeOf(framework, id, title, types.length)!;
    for (const type of types) byType.set(type, [...(byType.get(type) ?? []), place]);
  }
  const every = byType.get(EVERY_TYPE) ?? [];
  return {
    take(record, at) {
      const said = controlsIn(record).map(({ framework, id }) => placeOf(framework, id, null));
      const named = said.filter((place) => place !== null);
      if (named.length < said.length && isCounted(at.atMs)) leftOut += 1;
      let bits = 0n;
      for (const place of new Set([...every, ...(byType.get(record.type) ?? []), ...named])) {
        bits |= 1n << BigInt(place);
        if (!isCounted(at.atMs)) continue;
        const one = counts[place]!;
        one.records += 1;
        one.types.set(record.type, (one.types.get(record.type) ?? 0) + 1);
        one.first ??= at;
        one.last = at;
        one.seqs?.push(at.seq);
      }
      return bits;
    },
    counts: () => counts,
    leftOut: () => leftOut,
  };
}

/** What the rules that spoke in the record say that they are evidence for. Of a body of another form: nothing. */
function controlsIn({ body }: LedgerRecord): readonly { readonly framework: string; readonly id: string }[] {
  const answers = [body['decision'], body['verification'], body['redecision'], body['acceptance']];
  return answers.flatMap((answer) => {
    const { controls } = (answer ?? {}) as { readonly controls?: unknown };
    return Array.isArray(controls) ? controls.filter(isControl) : [];
  });
}

function isControl(value: unknown): value is { readonly framework: string; readonly id: string } {
  const { framework, id } = (value ?? {}) as { readonly framework?: unknown; readonly id?: unknown };
  return typeof framework === 'string' && typeof id === 'string';
}
