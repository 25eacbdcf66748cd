/** `report privilege`: of each identity, what it has been given and still has, what stands, and what its decisions said is too much or not used. */
import { plain } from '../protocol/plain.ts';
import { formatTime } from '../protocol/values.ts';
import { accessAt, type AccessThen } from './access-at.ts';
import { counted, type Cell, type Column, type Figure, type Report, type Row, type Source } from './model.ts';
import { changesIn, spanWordsOf, type Given } from './given.ts';
import type { ReportChange, Weighed } from './facts.ts';
import { faultsOf, ofChange, placeWords, spanWords, timeWords } from './words.ts';

const COLUMNS: readonly Column[] = [
  { name: 'identity', title: 'Identity' }, { name: 'place', title: 'At', under: 'Identity' },
  { name: 'granted', title: 'Granted now', hasRecords: true },
  { name: 'leases', title: 'Leases', under: 'Numbers' }, { name: 'standing', title: 'Standing', under: 'Numbers' }, { name: 'asked', title: 'Asked for', under: 'Numbers' }, { name: 'held', title: 'Held', under: 'Numbers' }, { name: 'used', title: 'Used', under: 'Numbers' },
  { name: 'unused', title: 'Unused', under: 'Numbers' }, { name: 'excess', title: 'Excess', under: 'Numbers' },
  { name: 'longest', title: 'Longest lease', under: 'Numbers' },
  { name: 'weighed', title: 'As decided', hasRecords: true },
];

interface Holder {
  readonly key: string;
  readonly subject: string;
  readonly place: string;
  readonly now: readonly AccessThen[];
  readonly weighed: Weighed | null;
  readonly longest: { readonly change: ReportChange; readonly lastedMs: number } | null;
  readonly changes: readonly ReportChange[];
}

export function privilegeReport(given: Given): Report {
  const holders = holdersOf(given);
  const now = holders.flatMap((holder) => holder.now);
  const leases = now.filter(({ end }) => end !== null);
  return {
    kind: 'privilege', title: 'Privileges of machine identities',
    intro: [
      `What each identity has by what is recorded, as of ${timeWords(given.asOfMs)}; asked for, held, used and excess as the newest decision about it has them, ${spanWordsOf(given.span)}.`,
      'Held is what was read at the target, whoever gave it. Used is what the observation that policy was given had seen; where it had none, nothing is said of what is unused.',
    ],
    groups: [
      {
        title: 'In short',
        figures: [
          counted('holders', 'identities, each at a target', holders, sourceOf), counted('granted', 'accesses now', now, accessSource), counted('leases', 'with an end', leases, accessSource),
          counted('standing', 'without an end', now.filter(({ end }) => end === null), accessSource), counted('excess', 'asked for too much', holders.filter(({ weighed }) => (weighed?.entitlements.excess.length ?? 0) > 0), sourceOf),
          counted('unused', 'hold what they do not use', holders.filter(({ weighed }) => (unusedOf(weighed)?.length ?? 0) > 0), sourceOf), longestOf(holders),
        ],
      },
    ],
    caption: 'Identities, each at a target', columns: COLUMNS, rowCount: holders.length, rows: () => rowsOf(holders),
    notCovered: ['access that was given outside Countersign, but for what was read when a change was decided', 'what an account uses, beyond what the observation of then had seen'],
  };
}

function holdersOf(given: Given): Holder[] {
  const changes = changesIn(given);
  const now = accessAt(given.facts, given.asOfMs);
  const by = new Map<string, { subject: string; place: string; now: AccessThen[]; changes: ReportChange[] }>();
  const holderOf = (subject: string, place: string): { now: AccessThen[]; changes: ReportChange[] } => {
    const key = `${subject}@${place}`;
    if (!by.has(key)) by.set(key, { subject, place, now: [], changes: [] });
    return by.get(key)!;
  };
  for (const then of now) holderOf(then.access.subject, placeWords(then.access)).now.push(then);
  for (const change of changes) if (change.connector !== null) holderOf(change.subject, placeWords(change)).changes.push(change);
  return [...by].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, { subject, place, now: theirs, changes: those }]) => ({
    key, subject, place, now: theirs, changes: those, weighed: newest(those.flatMap(({ weighed }) => weighed.at(-1) ?? [])), longest: longest(those),
  }));
}

const newest = (those: readonly Weighed[]): Weighed | null => those.reduce<Weighed | null>((best, one) => (best === null || one.seq > best.seq ? one : best), null);

/** From when its access was there to when it was gone, or is to end. */
function longest(changes: readonly ReportChange[]): Holder['longest'] {
  const lasted = changes.flatMap((change) => (change.effect === null || change.ends === null ? [] : [{ change, lastedMs: (change.ended?.atMs ?? change.ends.endsAtMs) - change.effect.atMs }]));
  return lasted.reduce<Holder['longest']>((best, one) => (best === null || one.lastedMs > best.lastedMs ? one : best), null);
}

/** What is held and was not seen to be used; null where nothing is known of use. */
export function unusedOf(weighed: Weighed | null): string[] | null {
  if (weighed?.knowsUse !== true) return null;
  const { held, used } = weighed.entitlements;
  return held.filter((privilege) => !used.includes(privilege));
}

function sourceOf({ subject, place, changes, weighed, now }: Holder): Source {
  const records = [...changes.map(({ record }) => record), ...(weighed === null ? [] : [weighed.seq]), ...now.map(({ access }) => access.authorised.seq)];
  return { what: plain(`${subject} at ${place}`), records: [...new Set(records)].sort((a, b) => a - b) };
}

function accessSource({ access, is, end, privileges }: AccessThen): Source {
  const until = end === null ? 'standing' : `to end at ${formatTime(end.endsAtMs)}`;
  return {
    what: plain(`${access.change}: ${privileges.join(', ')} of ${access.subject} at ${placeWords(access)}, ${until}${is === 'there' ? '' : ', authorised and not reported'}`),
    records: [access.authorised.seq, ...(access.given === null ? [] : [access.given.seq]), ...(end === null ? [] : [end.seq])].filter((seq, n, all) => all.indexOf(seq) === n),
  };
}

function longestOf(holders: readonly Holder[]): Figure {
  const found = holders.flatMap(({ longest: one }) => one ?? []).reduce<Holder['longest']>((best, one) => (best === null || one.lastedMs > best.lastedMs ? one : best), null);
  return { key: 'longest', label: 'longest lease', value: found === null ? 'none' : spanWords(found.lastedMs), sources: () => (found === null ? [] : [ofChange(found.change)]) };
}

function* rowsOf(holders: readonly Holder[]): Generator<Row> {
  for (const holder of holders) yield rowOf(holder);
}

function rowOf(holder: Holder): Row {
  const { key, subject, place, now, weighed, longest: found, changes } = holder;
  const privilege = (what: string): Source => ({ what: plain(what), records: weighed === null ? [] : [weighed.seq] });
  const listed = (name: string, label: string, those: readonly string[]): Figure => counted(`${key}/${name}`, `${label} by ${subject} at ${place}`, those, privilege);
  const { requested, held, used, excess } = weighed?.entitlements ?? { requested: [], held: [], used: [], excess: [] };
  const unused = unusedOf(weighed);
  const asked = listed('asked', 'asked for', requested.map((one) => one.privilege));
  const holding = listed('held', 'held', held);
  const using = listed('used', 'used', used);
  const beyond = listed('excess', 'asked for beyond the purpose', excess.map((one) => one.privilege));
  const bars = weighed === null ? [] : [{ label: 'asked for', figure: asked }, { label: 'held', figure: holding }, ...(unused === null ? [] : [{ label: 'used', figure: using }]), { label: 'excess', figure: beyond }];
  const granted = now.map((then) => accessSource(then)).flatMap(({ records }) => records);
  return {
    key, records: [...new Set([...sourceOf(holder).records, ...granted])].sort((a, b) => a - b), faults: changes.flatMap(faultsOf),
    cells: [
      { text: subject }, { text: place },
      { text: now.map(({ privileges, end, is }) => `${privileges.join(', ')} ${end === null ? '(standing)' : `until ${formatTime(end.endsAtMs)}`}${is === 'there' ? '' : ' (authorised, not reported)'}`).join('; '), records: [...new Set(granted)] },
      number(counted(`${key}/leases`, `leases of ${subject} at ${place}`, now.filter(({ end }) => end !== null), accessSource)), number(counted(`${key}/standing`, `standing access of ${subject} at ${place}`, now.filter(({ end }) => end === null), accessSource)),
      ...(weighed === null ? [NOTHING, NOTHING, NOTHING, NOTHING, NOTHING] : [number(asked), number(holding), unused === null ? { text: 'not observed' } : number(using), unused === null ? { text: 'not known' } : number(listed('unused', 'held and not used', unused)), number(beyond)]),
      found === null ? NOTHING : number({ key: `${key}/longest`, label: `longest lease of ${subject} at ${place}`, value: spanWords(found.lastedMs), sources: () => [ofChange(found.change)] }),
      weighed === null ? NOTHING : { text: timeWords(weighed.atMs), records: [weighed.seq], bars },
    ],
  };
}

const NOTHING: Cell = { text: '' };
const number = (figure: Figure): Cell => ({ text: String(figure.value), figure });
