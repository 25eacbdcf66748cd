/** `who`: which identities had which access at a moment, by whose approval and until when, each sentence with the records that say so. */
import { plain } from '../protocol/plain.ts';
import { accessAt, type AccessThen } from './access-at.ts';
import type { Given } from './given.ts';
import type { Access, At, CountedApproval, Outside, Weighed } from './facts.ts';
import { placeWords, timeWords } from './words.ts';

export interface Asked {
  /** `connector/target`; null: at any. */
  readonly target: string | null;
  /** null: any identity. */
  readonly nhi: string | null;
  readonly atMs: number;
}

export interface Sentence {
  /** `access`: by what this ledger gave; `outside`: found, and not as it is recorded; `held`: read when a change was decided. */
  readonly is: 'access' | 'maybe' | 'outside' | 'held';
  readonly subject: string;
  readonly place: string;
  readonly text: string;
  readonly records: readonly number[];
}

export interface Answer {
  readonly sentences: readonly Sentence[];
  readonly notCovered: readonly string[];
}

export function whoHad({ facts, trust, verification }: Pick<Given, 'facts' | 'trust' | 'verification'>, { target, nhi, atMs }: Asked): Answer {
  const isAsked = (subject: string | null, place: string): boolean => (target === null || place === target) && (nhi === null || subject === nhi);
  const there = accessAt(facts, atMs).filter(({ access }) => isAsked(access.subject, placeWords(access)));
  const outside = facts.outside.filter(({ found, atMs: foundMs, cleared }) => foundMs <= atMs && (cleared === null || cleared.atMs > atMs) && isAsked(found.nhi, placeWords(found)));
  const held = lastWeighed(facts.changes, atMs).filter(({ subject, place }) => isAsked(subject, place));
  return {
    sentences: [
      ...there.map((then) => accessSentence(then, atMs)), ...outside.map(outsideSentence),
      ...held.flatMap((one) => heldSentence(one, there)),
    ],
    notCovered: [...unnamed(facts, target, nhi), ...unseen({ facts, trust, verification }, target, atMs), ...later(facts.records.last, atMs), ...('pack' in verification ? ['what changes outside of this pack gave or took'] : [])],
  };
}

function accessSentence(then: AccessThen, atMs: number): Sentence {
  const { access, is, privileges, end, takings } = then;
  const { subject, account, authorised, given, gone } = access;
  const records = new Set<number>();
  const at = (what: At): string => `${timeWords(what.atMs)} (record ${note(records, what.seq)})`;
  const has = `${subject} ${is === 'there' ? 'had' : 'may have had'} ${privileges.join(', ')} at ${placeWords(access)}, as account ${account}, by ${access.change}`;
  const since = is === 'there' ? `since ${at(given!)}, authorised at ${at(authorised)}` : `authorised at ${at(authorised)}, of which nobody had reported yet what came`;
  const isOver = end !== null && end.endsAtMs <= atMs;
  const until = end === null ? 'without an end' : `${isOver ? 'though it was to end' : 'to end'} at ${timeWords(end.endsAtMs)} (record ${note(records, end.seq)})`;
  const after = gone === null ? 'Nobody has recorded since that it is gone' : `It was recorded as gone at ${at(gone)}`;
  const less = takings.length === 0 ? '' : ` Other changes had taken some of it: ${takings.map(({ change, seq }) => `${change} (record ${note(records, seq)})`).join(', ')}.`;
  return { is: is === 'there' ? 'access' : 'maybe', subject, place: placeWords(access), text: plain(`${has}, ${since}, ${until}. ${byWhom(access, records)}. ${after}.${less}`), records: [...records].sort((a, b) => a - b) };
}

const note = (records: Set<number>, seq: number): number => {
  records.add(seq);
  return seq;
};

function byWhom({ approvals, glass, observed }: Access, records: Set<number>): string {
  const people = approvals.map(({ person, proofClass, isStanding, seq }: CountedApproval) => `${person} (${proofClass}${isStanding ? ', by a standing approval' : ''}, record ${note(records, seq)})`);
  const parts = [
    ...(people.length === 0 ? [] : [`approved by ${people.join(' and ')}`]),
    ...(glass === null ? [] : [`given by ${glass.by}, who broke the glass (record ${note(records, glass.seq)})`]),
    ...(observed === null ? [] : [`not as policy says: scope ${observed.scope} was under observe (record ${note(records, observed.seq)})`]),
  ];
  const text = parts.length === 0 ? 'policy asked for nobody’s approval' : parts.join(', ');
  return `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

function outsideSentence({ found, atMs, seq, cleared }: Outside): Sentence {
  const who = found.nhi ?? `account ${found.account}, which is nobody’s,`;
  const since = cleared === null ? 'and nothing has been recorded of it since' : `until ${timeWords(cleared.atMs)} (record ${cleared.seq}), when it was as it is recorded again`;
  return {
    is: 'outside', subject: found.nhi ?? found.account, place: placeWords(found), records: [seq, ...(cleared === null ? [] : [cleared.seq])],
    text: plain(`${who} was found at ${placeWords(found)} otherwise than is recorded, at ${timeWords(atMs)} (record ${seq}): ${found.code}, ${found.message}${found.privileges.length === 0 ? '' : ` (${found.privileges.join(', ')})`}; ${since}.`),
  };
}

interface Seen {
  readonly subject: string;
  readonly place: string;
  readonly weighed: Weighed;
}

/** The last of each identity at each target that a decision until then recorded. */
function lastWeighed(changes: Given['facts']['changes'], atMs: number): Seen[] {
  const last = new Map<string, Seen>();
  for (const change of changes) {
    const { subject } = change;
    const weighed = change.weighed.findLast((one) => one.atMs <= atMs);
    if (weighed === undefined || weighed.entitlements.held.length === 0) continue;
    const place = placeWords(change);
    const key = `${subject}@${place}`;
    if ((last.get(key)?.weighed.seq ?? -1) < weighed.seq) last.set(key, { subject, place, weighed });
  }
  return [...last.values()];
}

/** What was read beyond what this ledger gave. */
function heldSentence({ subject, place, weighed }: Seen, there: readonly AccessThen[]): Sentence[] {
  const given = new Set(there.filter(({ access }) => access.subject === subject && placeWords(access) === place).flatMap(({ privileges }) => privileges));
  const more = weighed.entitlements.held.filter((privilege) => !given.has(privilege));
  if (more.length === 0) return [];
  return [{
    is: 'held', subject, place, records: [weighed.seq],
    text: plain(`${subject} had been read to hold ${more.join(', ')} at ${place}, when ${weighed.change} was decided at ${timeWords(weighed.atMs)} (record ${weighed.seq}); whether it still did, nothing says.`),
  }];
}

/** Whoever misspells a name is not to read that nobody had anything. */
function unnamed({ changes, outside }: Given['facts'], target: string | null, nhi: string | null): string[] {
  const named = [...changes, ...outside.map(({ found }) => ({ ...found, subject: found.nhi }))];
  const isNowhere = [...(target === null || named.some((one) => placeWords(one) === target) ? [] : [target]), ...(nhi === null || named.some(({ subject }) => subject === nhi) ? [] : [nhi])];
  return isNowhere.map((name) => `whether ${name} is how it is called here: no change and no finding in these records names it`);
}

/** Since when nobody had looked at the connectors that are asked about. */
function unseen({ facts, trust, verification }: Pick<Given, 'facts' | 'trust' | 'verification'>, target: string | null, atMs: number): string[] {
  if ('pack' in verification) return ['changes made outside Countersign: what looking at targets came to is not judged in a pack'];
  const all = [...new Set([...[...trust.executors.values()].flatMap(({ connectors }) => connectors), ...facts.compared.keys()])].sort();
  const asked = all.filter((connector) => target === null || target.startsWith(`${connector}/`));
  const last = asked.map((connector) => {
    const look = (facts.compared.get(connector) ?? []).findLast((one) => one.complete && one.atMs <= atMs);
    return look === undefined ? `${connector}, which had never been looked at as a whole` : `${connector}, which had last been looked at as a whole at ${timeWords(look.atMs)} (record ${look.seq})`;
  });
  return last.length === 0 ? ['changes made outside Countersign: nothing here says that anybody had looked there'] : last.map((one) => `changes made outside Countersign at ${one}`);
}

function later(last: At | null, atMs: number): string[] {
  if (last === null || atMs <= last.atMs) return [];
  return [`what came after the last record, ${last.seq} of ${timeWords(last.atMs)}`];
}
