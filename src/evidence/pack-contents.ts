/** INTEGRITY of a pack: each record under its proof, all proofs under the one checkpoint, each object by its digest, and nothing that none of these accounts for. */
import {
  decodeRecord, erasedBy, formatDigest, HEADS_TYPE, leafHash, LedgerError, parseDigest, parseProof, OBJECT_BYTES_MAX, RECORD_BYTES_MAX, sameBytes, verifyInclusion,
  type Checkpoint, type LedgerRecord,
} from '../../ledger/index.ts';
import type { PackArchive } from './pack-archive.ts';
import { decodeDocument, formatName, headFileSchema, PackError, SMALL_FILE_BYTES_MAX, type HeadFile, type PackFile } from './pack-format.ts';

/** What is kept of a record that holds; its bytes are read again where they are needed. */
export interface Shown {
  readonly seq: number;
  /** Digest spelling of its leaf hash. */
  readonly leaf: string;
  readonly prev: string | null;
  readonly change: string | null;
  readonly changeSeq: number | null;
  readonly changePrev: string | null;
  readonly type: string;
  readonly at: string;
  /** Of a `ledger.heads` record. */
  readonly heads: { readonly size: unknown; readonly root: unknown } | null;
}

export interface PackContents {
  /** In their order. */
  readonly shown: readonly Shown[];
  readonly heads: readonly HeadFile[];
  readonly objectCount: number;
  readonly erasedCount: number;
  readRecord(seq: number): Promise<LedgerRecord>;
  /** Objects that some record here names; null once erased. @throws LedgerError `not-found` */
  readObject(digest: string): Promise<Uint8Array | null>;
}

/** A fault of the pack, and the record nearest to it. */
export class PackFault extends PackError {
  readonly seq: number | undefined;
  constructor(message: string, seq?: number) {
    super(message);
    this.name = 'PackFault';
    this.seq = seq;
  }
}

export interface ReadOptions {
  /** To hold the records to. */
  readonly checkpoint: Checkpoint;
  /** As it stands in the pack, and in each of its proofs. */
  readonly note: string;
  readonly progress: (done: number, size: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** @throws PackError at the first fault; the reason of `signal` once it is aborted */
export async function readContents(archive: PackArchive, options: ReadOptions): Promise<PackContents> {
  const { manifest, files } = archive;
  const { checkpoint, signal } = options;
  if (manifest.origin !== checkpoint.origin || manifest.size !== checkpoint.size) throw new PackFault(`the pack says that it is of ${manifest.size} records of ${manifest.origin}, and its checkpoint is of ${checkpoint.size} of ${checkpoint.origin}`);
  const work = files.length;
  let done = 0;
  const step = (): void => {
    signal?.throwIfAborted();
    done += 1;
    if (done % 64 === 0 || done === work) options.progress(done, work);
  };
  const shown: Shown[] = [];
  const heads: HeadFile[] = [];
  const named = new Set<string>();
  const erasures = new Map<number, readonly string[]>();
  const leaves = new Map<number, Uint8Array>();
  const proven = new Set<number>();
  let objectCount = 0;
  for (const file of files) {
    step();
    switch (file.kind) {
      case 'checkpoint':
        break;
      case 'record': {
        const { record, leaf } = await readRecord(archive, file.seq, checkpoint.size);
        for (const digest of record.objects) named.add(digest);
        if (record.type === 'erasure') erasures.set(record.seq, erasedBy(record));
        leaves.set(record.seq, leaf);
        shown.push(keptOf(record, leaf));
        break;
      }
      case 'proof': {
        const leaf = leaves.get(file.seq);
        if (leaf === undefined) throw new PackFault(`${formatName(file)} proves a record that is not in the pack`, file.seq);
        checkProof(await textOf(archive, file), file.seq, leaf, options);
        proven.add(file.seq);
        break;
      }
      case 'head': {
        const head = decodeDocument(await small(archive, file), headFileSchema, formatName(file));
        if (head.change !== file.change) throw new PackFault(`${formatName(file)} is of ${head.change}`);
        heads.push(head);
        break;
      }
      case 'object':
        if (!named.has(file.digest)) throw new PackFault(`${formatName(file)} is named by no record in the pack`);
        if (archive.size(file) === 0 || archive.size(file) > OBJECT_BYTES_MAX) throw new PackFault(`${formatName(file)} is of ${archive.size(file)} bytes, and no object is`);
        if (archive.digest(file) !== file.digest) throw new PackFault(`${formatName(file)} holds another object`);
        await archive.read(file);
        objectCount += 1;
        break;
    }
  }
  const unproven = shown.find(({ seq }) => !proven.has(seq));
  if (unproven !== undefined) throw new PackFault(`record ${unproven.seq} is without a proof`, unproven.seq);
  const erased = erasedIn(archive, named, erasures);
  const gone = [...named].find((digest) => !erased.has(digest) && !archive.has({ kind: 'object', digest }));
  if (gone !== undefined) throw new PackFault(`object ${gone}, which a record in the pack names, is missing, and no erasure is shown`);
  return {
    shown, heads, objectCount, erasedCount: erased.size,
    readRecord: async (seq) => decodeRecord(await archive.read({ kind: 'record', seq })),
    async readObject(digest) {
      if (erased.has(digest)) return null;
      if (!named.has(digest)) throw new LedgerError('not-found', `no record in the pack names object ${digest}`);
      return archive.read({ kind: 'object', digest });
    },
  };
}

async function readRecord(archive: PackArchive, seq: number, size: number): Promise<{ readonly record: LedgerRecord; readonly leaf: Uint8Array }> {
  const file: PackFile = { kind: 'record', seq };
  if (seq >= size) throw new PackFault(`record ${seq} is none of the ${size} under the checkpoint`, seq);
  if (archive.size(file) > RECORD_BYTES_MAX) throw new PackFault(`record ${seq} is larger than any record`, seq);
  const bytes = await archive.read(file);
  try {
    const record = decodeRecord(bytes);
    if (record.seq !== seq) throw new PackFault(`${formatName(file)} holds record ${record.seq}`, seq);
    return { record, leaf: leafHash(bytes) };
  } catch (error) {
    if (error instanceof LedgerError) throw new PackFault(`${formatName(file)}: ${error.message}`, seq);
    throw error;
  }
}

function keptOf({ seq, prev, change, changeSeq, changePrev, type, at, body }: LedgerRecord, leaf: Uint8Array): Shown {
  return { seq, leaf: formatDigest(leaf), prev, change, changeSeq, changePrev, type, at, heads: type === HEADS_TYPE ? { size: body['size'], root: body['root'] } : null };
}

async function small(archive: PackArchive, file: PackFile): Promise<Uint8Array> {
  if (archive.size(file) > SMALL_FILE_BYTES_MAX) throw new PackFault(`${formatName(file)} is larger than it may be`);
  return archive.read(file);
}

/** @throws PackFault for what is not UTF-8 */
export async function textOf(archive: PackArchive, file: PackFile): Promise<string> {
  const bytes = await small(archive, file);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (!sameBytes(Buffer.from(text, 'utf8'), bytes)) throw new PackFault(`${formatName(file)} is not UTF-8`);
  return text;
}

function checkProof(text: string, seq: number, leaf: Uint8Array, { checkpoint, note }: ReadOptions): void {
  try {
    const proof = parseProof(text);
    if (proof.checkpoint !== note) throw new PackFault(`the proof of record ${seq} is under another checkpoint`, seq);
    if (proof.index !== seq || proof.extra !== undefined) throw new PackFault(`the proof of record ${seq} is of record ${proof.index}, or holds more than a proof`, seq);
    verifyInclusion(leaf, seq, checkpoint.size, [...proof.hashes], checkpoint.root);
  } catch (error) {
    if (error instanceof LedgerError) throw new PackFault(`record ${seq} is not proven: ${error.message}`, seq);
    throw error;
  }
}

/** What is listed as erased, once a record here has erased it. */
function erasedIn({ manifest, has }: PackArchive, named: ReadonlySet<string>, erasures: ReadonlyMap<number, readonly string[]>): ReadonlySet<string> {
  const found = new Set<string>();
  let before = '';
  for (const { digest, seq } of manifest.erased) {
    if (digest <= before) throw new PackFault(`erased object ${digest} is listed twice, or not in its place`);
    before = digest;
    if (!named.has(digest)) throw new PackFault(`erased object ${digest} is named by no record in the pack`);
    if (has({ kind: 'object', digest })) throw new PackFault(`object ${digest} is listed as erased, and is there`);
    if (erasures.get(seq)?.includes(digest) !== true) throw new PackFault(`object ${digest} is said to be erased by record ${seq}, and no such record is shown`, seq);
    found.add(digest);
  }
  return found;
}

/** The digest of a root, or null where a record states none. */
export function rootOf(root: unknown): Uint8Array | null {
  try {
    return typeof root === 'string' ? parseDigest(root) : null;
  } catch (error) {
    if (error instanceof LedgerError) return null;
    throw error;
  }
}
