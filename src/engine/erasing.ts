/**
 * Erasing objects on record: who asked and on what basis is recorded first, then the bytes are zeroed wherever they are.
 *
 * What is looked up is read off the ledger itself, record by record: it is rare, and nothing is kept in memory for its sake.
 */
import { isOpen } from '../change/work.ts';
import { isDoneForGood } from '../evidence/audited.ts';
import { disclose } from '../protocol/disclosure.ts';
import { kindsIn } from '../evidence/carried-kinds.ts';
import { ERASED_MAX, namedBy, type ErasableKind, type ObjectKind } from '../evidence/erasable.ts';
import type { Answer, EngineContext } from './engine.ts';
import { entriesAt } from './entries-at.ts';
import { newSalt } from './ids.ts';
import type { Store } from './store.ts';

export type ToErase = { readonly objects: readonly string[] } | { readonly changeId: string; readonly kinds: readonly ErasableKind[] };

export interface ErasedObject {
  readonly digest: string;
  readonly kind: ObjectKind;
  /** Of the record that says so. */
  readonly seq: number;
  /** Every change whose records name it. */
  readonly changes: readonly string[];
}

export interface Erased {
  /** Under the record of this call. */
  readonly erased: readonly ErasedObject[];
  /** Under an earlier one. */
  readonly already: readonly ErasedObject[];
}

interface Found {
  kind: ObjectKind;
  readonly changes: Set<string>;
}

export interface Eraser {
  /** Once resolved with ok, the objects are gone on this host; a copy of the ledger follows its records. @throws LedgerError: what is on record and not gone goes at the next start */
  erase(by: string, what: ToErase, basis: string): Promise<Answer<Erased>>;
}

export function createEraser(context: EngineContext): Eraser {
  /** One after another: the second finds what the first has recorded. */
  let before: Promise<unknown> = Promise.resolve();
  return {
    erase(by, what, basis) {
      const answer = before.then(() => erase(context, by, what, basis));
      before = answer.catch(() => undefined);
      return answer;
    },
  };
}

async function erase(context: EngineContext, by: string, what: ToErase, basis: string): Promise<Answer<Erased>> {
  const { log, store } = context;
  await store.durable();
  const wanted = 'objects' in what ? [...what.objects] : await objectsOf(context, what.changeId, what.kinds);
  if ('changeId' in what && !store.index.has(what.changeId)) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
  const { found, under } = await survey(context, new Set(wanted));
  const unknown = wanted.find((digest) => !found.has(digest));
  if (unknown !== undefined) return { ok: false, code: 'no-such-object', message: `no record names an object ${unknown}` };
  const due = wanted.filter((digest) => !under.has(digest));
  for (const digest of due) {
    const why = whyNeeded(context, digest, found.get(digest)!);
    if (why !== null) return { ok: false, code: 'not-erasable', message: `${digest} (${found.get(digest)!.kind}) ${why}` };
  }
  if (due.length > ERASED_MAX) return { ok: false, code: 'not-erasable', message: `${due.length} objects are more than the ${ERASED_MAX} that one record takes: name some of the kinds, or the objects` };
  const view = (digest: string, seq: number): ErasedObject => ({ digest, kind: found.get(digest)!.kind, seq, changes: [...found.get(digest)!.changes].sort() });
  const already = wanted.filter((digest) => under.has(digest));
  const { commitment, object } = disclose('basis', basis, newSalt(context.random));
  const seq = due.length === 0 ? null : store.record('erasure', { erased: due, basis: commitment }, [object], by);
  await store.durable();
  // Also what was on record before: an erasure that a full disk kept from its end is brought to it.
  if (wanted.length > 0) await log.erase(wanted);
  const inMemory = wanted.filter((digest) => ['plan', 'state', 'disclosure'].includes(found.get(digest)!.kind));
  await store.forget(new Set(wanted), new Set(inMemory.flatMap((digest) => [...found.get(digest)!.changes])));
  context.copy?.catchUp();
  return { ok: true, value: { erased: seq === null ? [] : due.map((digest) => view(digest, seq)), already: already.map((digest) => view(digest, under.get(digest)!)) } };
}

/** Why it cannot be erased now; null where it can. */
function whyNeeded({ store }: EngineContext, digest: string, { kind, changes }: Found): string | null {
  if (kind === 'adopted') return 'holds the records of a change that was adopted: they are evidence, and not erased';
  if (kind === 'bundle') return 'is a file of a policy bundle, which is about nobody';
  // Nothing is decided by what people wrote.
  if (kind === 'disclosure') return null;
  if (store.lastOf('facts.loaded')?.['facts'] === digest) return 'are the facts in force: load others first';
  // Without it nobody could tell, from the records that stay, that it has come to its end.
  if (kind === 'plan' && [...changes].some((changeId) => (store.index.atRest(changeId)?.kind ?? store.get(changeId)?.request.kind) === 'offboard')) return 'says what an offboarding takes back, and is not erased';
  const open = [...changes].find((changeId) => isNeededBy(store, changeId));
  return open === undefined ? null : `is needed by ${open}, which is open: end it first`;
}

/** Facts may be those of most changes that ever were: one at rest is judged by the index, and none is read. Nothing is due of it, so it is open only by what it gave. */
function isNeededBy({ index, get }: Store, changeId: string): boolean {
  const resting = index.atRest(changeId);
  if (resting !== null) return resting.gives;
  const state = get(changeId);
  return state !== undefined && isOpen(state) && !isDoneForGood(state);
}

async function objectsOf({ log }: EngineContext, changeId: string, kinds: readonly ErasableKind[]): Promise<string[]> {
  const digests = new Set<string>();
  for await (const { record } of log.entries(0)) {
    if (record.change !== changeId) continue;
    for (const [digest, kind] of await kindsIn(record, (named) => log.object(named))) if ((kinds as readonly ObjectKind[]).includes(kind)) digests.add(digest);
  }
  return [...digests];
}

/** Where the objects are named, and which are erased already, under which record. */
async function survey({ log }: EngineContext, wanted: ReadonlySet<string>): Promise<{ readonly found: ReadonlyMap<string, Found>; readonly under: ReadonlyMap<string, number> }> {
  const found = new Map<string, Found>();
  const under = new Map<string, number>();
  for await (const { record } of log.entries(0)) {
    if (record.type === 'erasure') for (const digest of record.body['erased'] as readonly string[]) if (wanted.has(digest) && !under.has(digest)) under.set(digest, record.seq);
    if (!namedBy(record).some(([digest]) => wanted.has(digest))) continue;
    for (const [digest, kind] of await kindsIn(record, (named) => log.object(named))) {
      if (!wanted.has(digest)) continue;
      const known: Found = found.get(digest) ?? { kind, changes: new Set() };
      if (record.change !== null) known.changes.add(record.change);
      // What is evidence for one record is so for all.
      if (kind === 'adopted' || kind === 'bundle') known.kind = kind;
      found.set(digest, known);
    }
  }
  return { found, under };
}

/** Under which record each of these objects was erased; those that were not are left out. @throws LedgerError */
export async function erasedUnder({ log, store }: Pick<EngineContext, 'log' | 'store'>, digests: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const under = new Map<string, number>();
  if (digests.size === 0) return under;
  for await (const { record } of entriesAt(log, store.erasures())) {
    for (const digest of record.body['erased'] as readonly string[]) if (digests.has(digest) && !under.has(digest)) under.set(digest, record.seq);
  }
  return under;
}
