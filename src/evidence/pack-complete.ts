/** COMPLETENESS of a pack: that each change in it begins with its first record, has no gap, and ends with its last; or that no record of a time is left out. */
import { encodeHead, formatBase64, headKey, LedgerError, parseBase64, parseDigest, verifyHead, type Checkpoint, type Verdict } from '../../ledger/index.ts';
import { parseTime } from '../protocol/values.ts';
import { rootOf, type PackContents, type Shown } from './pack-contents.ts';
import type { HeadFile, PackAsked } from './pack-format.ts';

const NAME = 'COMPLETENESS';
const fails = (message: string, seq?: number): Verdict => ({ name: NAME, status: 'fails', message, ...(seq === undefined ? {} : { seq }) });
const unknown = (message: string, seq?: number): Verdict => ({ name: NAME, status: 'notEstablished', message, ...(seq === undefined ? {} : { seq }) });

/** The records of each change in the pack, in their order. */
export function byChange(shown: readonly Shown[]): ReadonlyMap<string, readonly Shown[]> {
  const found = new Map<string, Shown[]>();
  for (const one of shown) {
    if (one.change === null) continue;
    const those = found.get(one.change);
    if (those === undefined) found.set(one.change, [one]);
    else those.push(one);
  }
  return found;
}

/** The first place where a change's records do not follow one on another from its first; null where they all do. */
export function gapIn(records: readonly Shown[]): { readonly message: string; readonly seq: number } | null {
  for (const [i, one] of records.entries()) {
    const before = records[i - 1];
    const isNext = one.changeSeq === i && one.changePrev === (before?.leaf ?? null);
    if (isNext) continue;
    const missing = (one.changeSeq ?? 0) > i ? `its record ${i} is missing` : 'another is put in';
    return { message: `record ${one.seq} does not follow on the record of ${one.change ?? 'the change'} before it: ${missing}`, seq: one.seq };
  }
  return null;
}

export function completenessOf(asked: PackAsked, { shown, heads }: PackContents, checkpoint: Checkpoint): Verdict {
  for (const [i, one] of shown.entries()) {
    const before = shown[i - 1];
    if (before?.seq === one.seq - 1 && one.prev !== before.leaf) return fails(`record ${one.seq} does not follow on the record before it`, one.seq);
  }
  const changes = byChange(shown);
  for (const records of changes.values()) {
    const gap = gapIn(records);
    if (gap !== null) return fails(gap.message, gap.seq);
  }
  if ('from' in asked) return completenessOfTime(asked, shown, checkpoint);
  if ('change' in asked && !changes.has(asked.change)) return fails(`it is of ${asked.change}, and has no record of that`);
  if (changes.size === 0) return unknown('there is no change in it');
  const found = lastOfEach(changes, heads, shown);
  if (found !== null) return found;
  const at = heads[0]!.seq;
  const other = heads.find(({ seq }) => seq !== at);
  if (other !== undefined) return fails(`the heads are stated by record ${at} and by record ${other.seq}: of what came in between, one says nothing`, other.seq);
  const of = 'change' in asked ? `${asked.change} is shown from its first record to its last` : `each of the ${changes.size} changes shown is there from its first record to its last`;
  const others = 'change' in asked && changes.size > 1 ? `, and so are the ${changes.size - 1} that its records speak of` : '';
  const message = `${of}${others}, as record ${at} states it (${shown.find(({ seq }) => seq === at)?.at ?? '?'})`;
  return 'nhi' in asked ? unknown(`${message}; that ${asked.nhi} had no other, a pack cannot show`) : { name: NAME, status: 'holds', message };
}

/** Whether the map of heads says of each change that its last record here is its last; null where it does. */
function lastOfEach(changes: ReadonlyMap<string, readonly Shown[]>, heads: readonly HeadFile[], shown: readonly Shown[]): Verdict | null {
  const bySeq = new Map(shown.map((one) => [one.seq, one]));
  const byId = new Map(heads.map((head) => [head.change, head]));
  for (const head of heads) {
    const found = faultOf(head, bySeq.get(head.seq), changes.get(head.change) ?? []);
    if (found !== null) return found;
  }
  for (const [change, records] of changes) {
    const head = byId.get(change);
    if (head === undefined) return unknown(`that ${change} has no record after ${records.at(-1)!.seq} is not shown: there is no proof of its head`, records.at(-1)!.seq);
    const later = records.filter(({ seq }) => seq > head.seq);
    if (later.length > 0) return unknown(`${change} is whole as of record ${head.seq}; ${later.length} later ones are shown, and that none is missing after them is not`, later.at(-1)!.seq);
  }
  return null;
}

function faultOf({ change, seq, entry, hashes }: HeadFile, stating: Shown | undefined, records: readonly Shown[]): Verdict | null {
  if (stating?.heads == null) return fails(`the head of ${change} is to be stated by record ${seq}, which is not there, or states none`, seq);
  const root = rootOf(stating.heads.root);
  if (root === null || stating.heads.size !== seq) return fails(`record ${seq} is no change-head map`, seq);
  const proof = { entry: encodeHead(headKey(change), { changeSeq: entry.changeSeq, leaf: parseDigest(entry.leaf) }), hashes: hashes.map((hash) => parseBase64(hash) ?? new Uint8Array(0)) };
  if (hashes.some((hash, i) => formatBase64(proof.hashes[i]!) !== hash)) return fails(`the proof of the head of ${change} is not in base64`, seq);
  try {
    verifyHead(change, proof, root);
  } catch (error) {
    if (error instanceof LedgerError) return fails(`the head of ${change} is not what record ${seq} states: ${error.message}`, seq);
    throw error;
  }
  const last = records.findLast((one) => one.seq < seq);
  if (last === undefined) return fails(`record ${seq} states a head of ${change}, of which the pack has no record before that`, seq);
  if (last.changeSeq !== entry.changeSeq) return fails(`the last record of ${change} is its record ${entry.changeSeq} as of record ${seq}, and the pack ends with its record ${last.changeSeq ?? 0}: what came after it is left out`, last.seq);
  return last.leaf === entry.leaf ? null : fails(`the last record of ${change} is another than the one shown`, last.seq);
}

/** From the record before the time begins to the first after it, every one is there. */
function completenessOfTime({ from, to }: { readonly from: string; readonly to: string }, shown: readonly Shown[], { size }: Checkpoint): Verdict {
  if (from >= to) return fails(`it is of the time from ${from} to ${to}, which is none`);
  const isFrom = (one: Shown): boolean => parseTime(one.at) >= parseTime(from);
  const isAfter = (one: Shown): boolean => parseTime(one.at) >= parseTime(to);
  const first = shown.findIndex(isFrom);
  const inOrAfter = first === -1 ? shown.length : first;
  const after = shown.findIndex((one, i) => i >= inOrAfter && isAfter(one));
  const start = Math.max(0, inOrAfter - 1);
  const end = after === -1 ? shown.length - 1 : after;
  for (let i = start + 1; i <= end; i++) {
    if (shown[i]!.seq !== shown[i - 1]!.seq + 1) return fails(`record ${shown[i - 1]!.seq + 1} is missing, between two that are shown`, shown[i]!.seq);
  }
  if (inOrAfter === 0 && shown[0]?.seq !== 0) return unknown(`that no record between ${from} and record ${shown[0]?.seq ?? 0} is missing is not shown`, shown[0]?.seq);
  if (after === -1 && shown.at(-1)!.seq !== size - 1) return unknown(`that no record between record ${shown.at(-1)!.seq} and ${to} is missing is not shown`, shown.at(-1)!.seq);
  const count = (after === -1 ? shown.length : after) - inOrAfter;
  const until = after === -1 ? `to record ${size - 1}, the last under the checkpoint` : `before ${to}`;
  return { name: NAME, status: 'holds', message: `the ${count} records from ${from} on ${until} are all there, and those of their changes before them` };
}
