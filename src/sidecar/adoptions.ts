/** What a new log takes over from the old one: which changes, with which of their records and objects, and the locks that stood. */
import { canonicalBytes, canonicalText, digestOf, formatDigest, type JsonObject, type Log, type RecordDraft, type Signer } from '../../ledger/index.ts';
import type { RandomBytes } from '../engine/ports.ts';
import type { Lock } from '../engine/locks.ts';
import type { ChangeState } from '../change/state.ts';
import { CARRIED_OBJECTS_MAX, PART_BYTES, type AdoptedPart } from '../evidence/adoption.ts';
import { DISCLOSING } from '../evidence/prose.ts';
import { systemDraft, toEvent } from '../evidence/record.ts';
import { changesToAdopt } from '../evidence/to-adopt.ts';
import { signDsse } from '../protocol/dsse.ts';
import { LOCK_TYPE, type LockStatement } from '../protocol/lock.ts';
import { formatTime } from '../protocol/values.ts';

export interface Adoption {
  readonly change: string;
  readonly body: JsonObject;
  readonly objects: readonly Uint8Array[];
  readonly digests: readonly string[];
}

export interface Adoptions {
  readonly adoptions: AsyncIterable<Adoption>;
  readonly changes: number;
  /** Of all these changes, also those that the old log had adopted itself. */
  readonly records: number;
}

interface Entry {
  readonly seq: number;
  readonly text: string;
  readonly leaf: Uint8Array;
}

/**
 * @param changes all of the old log
 * @param size of the old log's checkpoint, under which each record is proven
 * @throws LedgerError, MalformedRecord
 */
export async function adoptionsFrom(log: Log, changes: ReadonlyMap<string, ChangeState>, size: number, random: RandomBytes): Promise<Adoptions> {
  const wanted = changesToAdopt([...changes.values()]);
  const entries = new Map<string, Entry[]>();
  let records = 0;
  for await (const { record, bytes, leaf, seq } of log.entries(0, size)) {
    if (record.change === null || !wanted.has(record.change)) continue;
    const own = entries.get(record.change) ?? [];
    own.push({ seq, text: Buffer.from(bytes).toString('utf8'), leaf });
    entries.set(record.change, own);
    records += 1 + (record.type === 'change.adopted' ? (record.body['records'] as number) : 0);
  }
  async function* make(): AsyncGenerator<Adoption> {
    for (const [change, own] of entries) yield adoptionOf(log, change, own, size, random);
  }
  return { adoptions: make(), changes: entries.size, records };
}

async function adoptionOf(log: Log, change: string, entries: readonly Entry[], size: number, random: RandomBytes): Promise<Adoption> {
  const parts = partsOf(log, entries, size).map((records): Uint8Array => {
    const part: AdoptedPart = { v: 1, salt: Buffer.from(random(16)).toString('base64url'), kind: 'adoptedRecords', log: log.logId, records };
    return canonicalBytes(part);
  });
  const named = await namedBy(log, entries);
  const digests = [...named.earlier, ...parts.map(digestOf)];
  const carried = new Map<string, Uint8Array>();
  for (const digest of [...named.earlier, ...named.plans, ...named.states.reverse(), ...named.disclosures]) {
    const payload = carried.size < CARRIED_OBJECTS_MAX ? await log.object(digest) : null;
    if (payload !== null) carried.set(digest, payload);
  }
  return {
    change,
    body: { log: log.logId, records: entries.length + named.adoptedRecords, head: formatDigest(entries.at(-1)!.leaf), parts: digests },
    objects: [...parts, ...carried.values()],
    digests: [...new Set([...digests, ...carried.keys()])],
  };
}

function partsOf(log: Log, entries: readonly Entry[], size: number): AdoptedPart['records'][] {
  const parts: AdoptedPart['records'][] = [];
  let bytes = Infinity;
  for (const { seq, text } of entries) {
    const record = { record: text, inclusion: log.prove(seq, size).hashes.map((hash) => Buffer.from(hash).toString('base64')) };
    const length = Buffer.byteLength(canonicalText(record));
    if (bytes + length > PART_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(record);
    bytes += length;
  }
  return parts;
}

interface Named {
  /** Parts that the old log had adopted itself, oldest first, and how many records are in them. */
  readonly earlier: string[];
  readonly adoptedRecords: number;
  readonly plans: string[];
  readonly states: string[];
  readonly disclosures: string[];
}

/** The objects that the fold of these records reads, in their order. */
async function namedBy(log: Log, entries: readonly Entry[]): Promise<Named> {
  const named = { earlier: [] as string[], adoptedRecords: 0, plans: [] as string[], states: [] as string[], disclosures: [] as string[] };
  for (const { seq } of entries) {
    for await (const { record } of log.entries(seq, seq + 1)) {
      const read: string[] = [];
      const event = await toEvent(record, (digest) => {
        read.push(digest);
        return log.object(digest);
      });
      if (event.type === 'change.adopted') {
        named.earlier.push(...event.body.parts);
        named.adoptedRecords += event.body.records;
        named.plans.push(...record.objects.filter((digest) => !event.body.parts.includes(digest)));
      } else (DISCLOSING.has(event.type) ? named.disclosures : event.type === 'policy.decided' ? named.plans : named.states).push(...read);
    }
  }
  return named;
}

/** The locks that stood, each as its authority has signed it: what executors hold of it stays what it is, and the sidecar of the new log lifts it. */
export function lockDrafts(locks: readonly Lock[], oldLog: string, ticketSigner: Signer, atMs: number): RecordDraft[] {
  return locks.map(({ lockId, nhi, connector, reason, by, atMs: setAtMs, envelope }) => {
    const statement: LockStatement = { op: 'set', v: 1, log: oldLog, lockId, by, at: formatTime(setAtMs), nhi, connector, reason };
    return systemDraft('lock.set', { lockId, nhi, connector, reason, statement: envelope ?? signDsse(LOCK_TYPE, statement, ticketSigner) }, by, atMs).draft;
  });
}
