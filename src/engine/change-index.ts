/**
 * Where each change is in the ledger, and so much of it as tells whether it must be read: what stays in memory of a change that is at rest.
 *
 * Nothing here is believed of a change: whoever finds one by it reads its records. A row takes some 150 bytes, and a record four.
 */
import { isAtRest } from '../change/at-rest.ts';
import { clientTokenOf } from '../change/derive.ts';
import { STATES, stillGives, type ChangeState, type StateName } from '../change/state.ts';
import { approversNamed } from '../protocol/decision.ts';

/** What is known of a change at rest without reading it. */
export interface AtRest {
  readonly name: StateName;
  readonly kind: string;
  readonly subject: string;
  /** Everyone whom the change itself names: who asked, is asked, was told, has decided, or uses what is rotated. */
  readonly people: readonly string[];
  /** Whether what it gave may still be there. */
  readonly gives: boolean;
}

/** What a change is to be. Of one that is not at rest only kind and subject are known here: whoever finds it looks. */
export interface Wanted {
  readonly kind?: string | undefined;
  readonly subject?: string | undefined;
  readonly name?: StateName | undefined;
  /** What its plan is at. */
  readonly place?: { readonly connector: string; readonly target: string };
  /** One of that kind and subject, or else one that names such people. Asked once of each that there is; both left out: any. */
  readonly about?: (kind: string, subject: string) => boolean;
  readonly people?: (people: readonly string[]) => boolean;
}

/** The index as it is written down: columns with a place for each row, in the order of the changes' first records. */
export interface IndexDump {
  readonly ids: readonly string[];
  /** Of each record, 1 + the seq of the one before it of the same change; 0 for a change's first, and for a record of none. */
  readonly before: Uint32Array;
  readonly lastSeq: Uint32Array;
  readonly lastAtMs: Float64Array;
  /** 0 while the change is not at rest, else 1 + the number of its state. */
  readonly rest: Uint8Array;
  readonly gives: Uint8Array;
  /** Numbers of words: */
  readonly kind: Uint32Array;
  readonly subject: Uint32Array;
  readonly place: Uint32Array;
  readonly people: Uint32Array;
  readonly words: readonly string[];
  readonly keys: ReadonlyMap<string, number>;
  readonly epochs: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

type Column = Uint8Array | Uint32Array | Float64Array;
const FIRST_ROWS = 1_024;
const EMPTY: IndexDump = {
  ids: [], before: new Uint32Array(0), lastSeq: new Uint32Array(0), lastAtMs: new Float64Array(0), rest: new Uint8Array(0), gives: new Uint8Array(0), kind: new Uint32Array(0),
  subject: new Uint32Array(0), place: new Uint32Array(0), people: new Uint32Array(0), words: [], keys: new Map(), epochs: new Map(),
};

/** No row's. */
const NO_WORD = -1;
/** Numbers of two words in one that is still exact. */
const WORDS_MAX = 2 ** 26;

function remembered(known: Map<number, boolean>, number: number, ask: () => boolean): boolean {
  const before = known.get(number);
  if (before !== undefined) return before;
  const answer = ask();
  known.set(number, answer);
  return answer;
}

/** A copy of `column` with room for one more than it needs for `index`. */
function roomFor<T extends Column>(column: T, index: number): T {
  if (index < column.length) return column;
  const grown = new (column.constructor as new (length: number) => T)(Math.max(FIRST_ROWS, 2 ** Math.ceil(Math.log2(index + 1))));
  grown.set(column);
  return grown;
}

/** The same text by itself: one that was cut out of a record would keep all of the record in memory. */
const alone = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');
/** 128 bits of a digest say which it is. */
const shortKey = (key: string): string => alone(key.slice('sha256:'.length, 'sha256:'.length + 32));
const placeOf = (connector: string, target: string): string => `${connector}\n${target}`;

export class ChangeIndex {
  readonly #rows = new Map<string, number>();
  readonly #ids: string[];
  /** Row numbers in the order of the changes' ids. */
  readonly #byId: number[];
  readonly #words = new Map<string, number>();
  readonly #wordList: string[];
  readonly #keys: Map<string, number>;
  /** Of each change whose lease was to be extended: the epoch that each extension was authorised with. */
  readonly #epochs: Map<string, Map<string, number>>;
  #size = 0;
  #before: Uint32Array;
  #lastSeq: Uint32Array;
  #lastAtMs: Float64Array;
  #rest: Uint8Array;
  #gives: Uint8Array;
  #kind: Uint32Array;
  #subject: Uint32Array;
  #place: Uint32Array;
  #people: Uint32Array;

  /** @param from what {@link dump} gave; taken over */
  constructor(from: IndexDump = EMPTY) {
    this.#ids = [...from.ids];
    this.#wordList = [...from.words];
    this.#keys = new Map(from.keys);
    this.#epochs = new Map([...from.epochs].map(([changeId, epochs]) => [changeId, new Map(epochs)]));
    this.#size = from.before.length;
    this.#before = from.before;
    this.#lastSeq = from.lastSeq;
    this.#lastAtMs = from.lastAtMs;
    this.#rest = from.rest;
    this.#gives = from.gives;
    this.#kind = from.kind;
    this.#subject = from.subject;
    this.#place = from.place;
    this.#people = from.people;
    for (const [row, changeId] of this.#ids.entries()) this.#rows.set(changeId, row);
    for (const [number, word] of this.#wordList.entries()) this.#words.set(word, number);
    this.#byId = this.#ids.map((_, row) => row).sort((a, b) => (this.#ids[a]! < this.#ids[b]! ? -1 : 1));
  }

  /** All of it as it is now; a copy, which stays what it is. */
  dump(): IndexDump {
    const rows = this.#ids.length;
    const { kind, subject, place, people, words } = this.#worded();
    return {
      ids: [...this.#ids], before: this.#before.slice(0, this.#size), lastSeq: this.#lastSeq.slice(0, rows), lastAtMs: this.#lastAtMs.slice(0, rows), rest: this.#rest.slice(0, rows),
      gives: this.#gives.slice(0, rows), kind, subject, place, people, words,
      keys: new Map(this.#keys), epochs: new Map([...this.#epochs].map(([changeId, epochs]) => [changeId, new Map(epochs)])),
    };
  }

  /** The columns of words, and those words alone that are in them: what was forgotten is in none. */
  #worded(): Pick<IndexDump, 'kind' | 'subject' | 'place' | 'people' | 'words'> {
    const words: string[] = [];
    const numbers = new Map<number, number>();
    const column = (from: Uint32Array): Uint32Array => from.slice(0, this.#ids.length).map((old) => {
      const known = numbers.get(old);
      if (known !== undefined) return known;
      const number = words.push(this.#wordList[old]!) - 1;
      numbers.set(old, number);
      return number;
    });
    return { kind: column(this.#kind), subject: column(this.#subject), place: column(this.#place), people: column(this.#people), words };
  }

  has(changeId: string): boolean {
    return this.#rows.has(changeId);
  }

  /** A record of no change. */
  skip(seq: number): void {
    this.#before = roomFor(this.#before, seq);
    this.#size = seq + 1;
  }

  /** Record `seq` has brought a change to `state`. */
  note(seq: number, state: ChangeState): void {
    const row = this.#rows.get(state.changeId) ?? this.#add(state);
    this.skip(seq);
    this.#before[seq] = this.#lastSeq[row]!;
    this.#lastSeq[row] = seq + 1;
    this.#lastAtMs[row] = state.lastAtMs;
    const { extension } = state;
    if (extension !== null) {
      const extended = this.#epochs.get(extension.change) ?? new Map<string, number>();
      this.#epochs.set(alone(extension.change), extended.set(this.#ids[row]!, extension.epoch));
    }
    const rests = isAtRest(state);
    const wasAtRest = this.#rest[row] !== 0;
    this.#rest[row] = rests ? 1 + STATES.indexOf(state.name) : 0;
    if (!rests) return;
    this.#people[row] = this.#word(peopleOf(state).join('\n'));
    // What only a plan that is gone could tell stays as it was told.
    const isKnown = !wasAtRest || !isPlanGone(state);
    this.#gives[row] = stillGives(state) && (isKnown || this.#gives[row] !== 0) ? 1 : 0;
    if (isKnown) this.#place[row] = this.#word(state.plan === null ? '' : placeOf(state.plan.connector, state.plan.target));
  }

  /** The plan of a change was erased: nobody whom it alone named is known any more, nor a place where no ticket says it. */
  forget(state: ChangeState): void {
    const row = this.#rows.get(state.changeId);
    if (row === undefined || this.#rest[row] === 0 || !isPlanGone(state)) return;
    this.#people[row] = this.#word(peopleOf(state).join('\n'));
    if (state.act === null) this.#place[row] = this.#word('');
  }

  #add(state: ChangeState): number {
    const { request, idempotency } = state;
    const changeId = alone(state.changeId);
    const row = this.#ids.push(changeId) - 1;
    this.#rows.set(changeId, row);
    let low = 0;
    // Nearly always the youngest of all.
    for (let high = this.#byId.length; low < high; ) {
      const middle = high === this.#byId.length && low === 0 ? high - 1 : (low + high) >>> 1;
      if (this.#ids[this.#byId[middle]!]! < changeId) low = middle + 1;
      else high = middle;
    }
    this.#byId.splice(low, 0, row);
    this.#lastSeq = roomFor(this.#lastSeq, row);
    this.#lastAtMs = roomFor(this.#lastAtMs, row);
    this.#rest = roomFor(this.#rest, row);
    this.#gives = roomFor(this.#gives, row);
    this.#kind = roomFor(this.#kind, row);
    this.#subject = roomFor(this.#subject, row);
    this.#place = roomFor(this.#place, row);
    this.#people = roomFor(this.#people, row);
    this.#kind[row] = this.#word(request.kind);
    this.#subject[row] = this.#word(request.subject);
    if (idempotency !== null) this.#keys.set(shortKey(idempotency.key), row);
    return row;
  }

  #word(word: string): number {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    const own = alone(word);
    const number = this.#wordList.push(own) - 1;
    this.#words.set(own, number);
    return number;
  }

  /** The change that a caller's Idempotency-Key made. */
  idempotent(key: string): string | undefined {
    const row = this.#keys.get(shortKey(key));
    return row === undefined ? undefined : this.#ids[row];
  }

  /** The extensions of a change's lease that were authorised, each with its epoch. */
  epochsOf(changeId: string): ReadonlyMap<string, number> {
    return this.#epochs.get(changeId) ?? new Map<string, number>();
  }

  /** Seqs of all records of a change, oldest first. */
  recordsOf(changeId: string): number[] {
    const row = this.#rows.get(changeId);
    const seqs: number[] = [];
    for (let next = row === undefined ? 0 : this.#lastSeq[row]!; next !== 0; next = this.#before[next - 1]!) seqs.push(next - 1);
    return seqs.reverse();
  }

  /** Seqs of all records of those changes that have one younger than `sinceMs`, in order. */
  recordsSince(sinceMs: number): number[] {
    const seqs: number[] = [];
    for (const [row, changeId] of this.#ids.entries()) if (this.#lastAtMs[row]! > sinceMs) for (const seq of this.recordsOf(changeId)) seqs.push(seq);
    return seqs.sort((a, b) => a - b);
  }

  /** Seqs of all records of those changes that are not at rest, whose access may still be there, or that have a record from `fromSeq` on: what may be asked for without anybody looking back. */
  recordsNeeded(fromSeq: number): number[] {
    return this.#ids.flatMap((changeId, row) => (this.#rest[row] === 0 || this.#gives[row] !== 0 || this.#lastSeq[row]! > fromSeq ? this.recordsOf(changeId) : []));
  }

  /** Ids of the changes that may be what is wanted, the greatest first, which is to say the youngest. @param before only those below it */
  *newest(before?: string, wanted: Wanted = {}): Generator<string> {
    let low = 0;
    for (let high = this.#byId.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (before === undefined || this.#ids[this.#byId[middle]!]! < before) low = middle + 1;
      else high = middle;
    }
    const isWanted = this.#filter(wanted);
    for (let at = low - 1; at >= 0; at -= 1) {
      const row = this.#byId[at]!;
      if (!isWanted(row)) continue;
      yield this.#ids[row]!;
      // Whoever asks may have waited, and what came meanwhile with a lower id has moved this one up.
      while (this.#byId[at] !== row) at += 1;
    }
  }

  /** By numbers alone: of a hundred thousand rows nearly all are passed over. */
  #filter({ kind, subject, name, place, about, people }: Wanted): (row: number) => boolean {
    const numberOf = (word: string | undefined): number | undefined => (word === undefined ? undefined : (this.#words.get(word) ?? NO_WORD));
    const [ofKind, ofSubject, ofPlace] = [numberOf(kind), numberOf(subject), numberOf(place === undefined ? undefined : placeOf(place.connector, place.target))];
    const rest = name === undefined ? undefined : 1 + STATES.indexOf(name);
    const [known, named] = [new Map<number, boolean>(), new Map<number, boolean>()];
    const word = (number: number): string => this.#wordList[number]!;
    const isAbout = (row: number): boolean => about === undefined || remembered(known, this.#kind[row]! * WORDS_MAX + this.#subject[row]!, () => about(word(this.#kind[row]!), word(this.#subject[row]!)));
    const names = (row: number): boolean => people !== undefined && remembered(named, this.#people[row]!, () => people(word(this.#people[row]!).split('\n')));
    return (row) => (ofKind === undefined || this.#kind[row] === ofKind) && (ofSubject === undefined || this.#subject[row] === ofSubject)
      && (this.#rest[row] === 0 || ((rest === undefined || this.#rest[row] === rest) && (ofPlace === undefined || this.#place[row] === ofPlace) && (isAbout(row) || names(row))));
  }

  /** What is known of a change at rest; null for one that is not, and for one that is not known. */
  atRest(changeId: string): AtRest | null {
    const row = this.#rows.get(changeId);
    if (row === undefined || this.#rest[row] === 0) return null;
    const word = (column: Uint32Array): string => this.#wordList[column[row]!]!;
    return { name: STATES[this.#rest[row]! - 1]!, kind: word(this.#kind), subject: word(this.#subject), people: word(this.#people).split('\n'), gives: this.#gives[row] !== 0 };
  }

  /** Changes that are not at rest. */
  notAtRest(): string[] {
    return this.#ids.filter((_, row) => this.#rest[row] === 0);
  }

  knowsSubject(subject: string): boolean {
    const number = this.#words.get(subject);
    return number !== undefined && this.#subject.subarray(0, this.#ids.length).includes(number);
  }

  /** The changes at rest whose access still stands, of these subjects. */
  standing(subjects: ReadonlySet<string>): string[] {
    return this.#ids.filter((_, row) => this.#rest[row] !== 0 && this.#gives[row] !== 0 && subjects.has(this.#wordList[this.#subject[row]!]!));
  }

  /**
   * The changes at rest that can say anything of what is at a target now: what bears their client tokens, what they gave and nobody took back, whose
   * login they retired or shut out, and those with a record since `fromSeq`.
   */
  concerning(connector: string, target: string, clientTokens: ReadonlySet<string>, fromSeq: number): string[] {
    const place = this.#words.get(placeOf(connector, target));
    const kinds = new Set(['rotate', 'disable'].map((kind) => this.#words.get(kind)));
    return this.#ids.filter((changeId, row) => this.#rest[row] !== 0 && this.#place[row] === place && place !== undefined
      && (this.#gives[row] !== 0 || kinds.has(this.#kind[row]) || this.#lastSeq[row]! > fromSeq || clientTokens.has(clientTokenOf(changeId))));
  }
}

/** Whether it was decided on a plan that was erased since. */
export function isPlanGone({ plan, planDigest }: ChangeState): boolean {
  return plan === null && planDigest !== null;
}

function peopleOf({ requester, requirement, approvals, plan, escalated, breakGlass }: ChangeState): string[] {
  const all = [...requester, ...approversNamed(requirement.approvers), ...approvals.map(({ statement }) => statement.approver), ...(plan?.rotation?.consumers ?? []), ...(escalated?.to ?? []), ...(breakGlass === null ? [] : [breakGlass.statement.usedBy])];
  return [...new Set(all)].sort();
}
