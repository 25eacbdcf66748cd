/**
 * Where the journal begins: at record 0, or, where what is before was given up because `ledger/` has it for good, at a later one. Then what is before is
 * read from there, and held to the chains as the journal is.
 */
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { decodeObjectHeader, OBJECT_HEADER_BYTES, payloadFault, segmentPath } from './objects.ts';
import { applyGroup, emptyState, journalFiles, type JournalPlace, type ReplayState } from './replay.ts';
import type { JournalObject } from './journal.ts';
import { decodeRecord } from './record.ts';
import { bundlePath, decodeBundle, TILE_WIDTH } from './tiles.ts';

/** What is before the journal, or before some place in it. */
export interface Beginning {
  readonly state: ReplayState;
  readonly journal: JournalPlace;
  /** Entries of the bundle that is open there. */
  readonly recent: readonly Uint8Array[];
  /** Objects before it that are erased, and those that are not what they should be with the record they were stored for. */
  readonly erased: ReadonlySet<string>;
  readonly faulty: ReadonlyMap<string, number>;
}

interface Site {
  readonly disk: Disk;
  readonly directory: string;
  readonly journal: string;
}

/** What is before the journal's first record. @throws LedgerError `corrupt` where `ledger/` should have it and has not */
export async function beginningOf(site: Site): Promise<Beginning> {
  const first = (await journalFiles(site.disk, site.journal))[0]?.firstSeq ?? 0;
  const state = emptyState();
  const erased = new Set<string>();
  const faulty = new Map<string, number>();
  const objects = new ObjectFiles(site);
  let recent: readonly Uint8Array[] = [];
  for (let from = 0; from < first; from += TILE_WIDTH) {
    const path = `${site.directory}/${bundlePath(from / TILE_WIDTH)}`;
    const bytes = await site.disk.read(path);
    if (bytes === null) throw new LedgerError('corrupt', `${path}, which alone holds record ${from}, is not there: put it back from a copy of ${site.directory}`, { seq: from });
    const entries = entriesOf(bytes, path, from).slice(0, first - from);
    const named = entries.flatMap((entry) => namedBy(entry, from));
    const fresh: JournalObject[] = [];
    for (const digest of new Set(named)) if (state.index.find(digest) === null) fresh.push(await objects.next(digest, from));
    for (const { digest, erased: isErased, fault } of fresh) {
      if (fault !== null) faulty.set(digest, from);
      else if (isErased) erased.add(digest);
    }
    applyGroup({ entries, objects: fresh }, state);
    recent = entries.length < TILE_WIDTH ? entries : [];
  }
  return { state, journal: { firstSeq: first, offset: 0 }, recent, erased, faulty };
}

function entriesOf(bytes: Uint8Array, path: string, seq: number): Uint8Array[] {
  try {
    const entries = decodeBundle(bytes);
    if (entries.length === TILE_WIDTH) return entries;
  } catch {
    // Said below.
  }
  throw new LedgerError('corrupt', `${path}, which alone holds record ${seq}, is damaged: put it back from a copy`, { seq });
}

function namedBy(entry: Uint8Array, seq: number): readonly string[] {
  try {
    return decodeRecord(entry).objects;
  } catch (cause) {
    throw new LedgerError('corrupt', `record ${seq} or one soon after it is not a record`, { seq, cause });
  }
}

/** Objects in the order in which they stand, which is that of naming. */
class ObjectFiles {
  readonly #site: Site;
  #segment = 0;
  #offset = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  async next(digest: string, seq: number): Promise<JournalObject> {
    const { disk, directory } = this.#site;
    const size = await disk.size(`${directory}/${segmentPath(this.#segment)}`);
    if (size !== null && this.#offset >= size) {
      this.#segment += 1;
      this.#offset = 0;
    }
    const path = `${directory}/${segmentPath(this.#segment)}`;
    try {
      const header = decodeObjectHeader(await disk.readRange(path, this.#offset, OBJECT_HEADER_BYTES));
      if (header.digest !== digest) throw new Error(`it holds ${header.digest} there`);
      const payload = await disk.readRange(path, this.#offset + OBJECT_HEADER_BYTES, header.length);
      this.#offset += OBJECT_HEADER_BYTES + header.length;
      const object = { digest, erased: header.erased, payload };
      return { ...object, fault: payloadFault(object) };
    } catch (cause) {
      throw new LedgerError('corrupt', `${path} does not hold object ${digest}, which record ${seq} or one soon after it names`, { seq, cause });
    }
  }
}
