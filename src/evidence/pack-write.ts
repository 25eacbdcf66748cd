/** Writing a pack: the same ledger under the same checkpoint, asked for the same, gives the same bytes. */
import { formatProof, digestOf, type Appended } from '../../ledger/index.ts';
import { encodeDocument, formatName, MANIFEST, PACK_BYTES_MAX, PACK_FILES_MAX, type Manifest, type PackFile } from './pack-format.ts';
import { PackRefused, type PackPlan, type PackSource } from './pack-plan.ts';
import { BLOCK_BYTES, END_BYTES, entryBytes, formatHeader } from './tar.ts';

const BUNDLE = 256;

interface Content {
  readonly file: PackFile;
  readonly bytes: Uint8Array;
}

/**
 * The archive, in pieces. It is read through twice, since its first file lists the others with their digests; of what is in it, one file is in
 * memory at a time, and the list.
 *
 * @throws PackRefused `too-large`, before the first piece; LedgerError `corrupt`, also where an object was erased meanwhile
 */
export async function* writePack(source: PackSource, plan: PackPlan, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const files: Manifest['files'] = [];
  let total = END_BYTES;
  for await (const { file, bytes } of contents(source, plan)) {
    signal?.throwIfAborted();
    total += entryBytes(bytes.byteLength);
    files.push({ name: formatName(file), size: bytes.byteLength, sha256: digestOf(bytes).slice('sha256:'.length) });
    if (files.length > PACK_FILES_MAX || total > PACK_BYTES_MAX) throw new PackRefused('too-large', `it has more than ${PACK_FILES_MAX} files or ${PACK_BYTES_MAX} bytes, which is more than one pack holds: ask for less`);
  }
  const manifest = encodeDocument({ v: 1, origin: source.origin, size: source.head.size, asked: plan.asked, files, erased: plan.erased });
  yield* entry(MANIFEST, manifest);
  for await (const { file, bytes } of contents(source, plan)) {
    signal?.throwIfAborted();
    yield* entry(formatName(file), bytes);
  }
  yield new Uint8Array(END_BYTES);
}

function* entry(name: string, bytes: Uint8Array): Generator<Uint8Array> {
  yield formatHeader(name, bytes.byteLength);
  if (bytes.byteLength > 0) yield bytes;
  const padding = entryBytes(bytes.byteLength) - BLOCK_BYTES - bytes.byteLength;
  if (padding > 0) yield new Uint8Array(padding);
}

async function* contents(source: PackSource, plan: PackPlan): AsyncGenerator<Content> {
  yield { file: { kind: 'checkpoint' }, bytes: Buffer.from(source.head.text) };
  for await (const { seq, bytes } of recordsAt(source, plan.seqs)) yield { file: { kind: 'record', seq }, bytes };
  for (const seq of plan.seqs) {
    yield { file: { kind: 'proof', seq }, bytes: Buffer.from(formatProof({ index: seq, hashes: source.prove(seq), checkpoint: source.head.text })) };
  }
  for (const head of plan.heads) yield { file: { kind: 'head', change: head.change }, bytes: encodeDocument(head) };
  for (const digest of plan.objects) {
    const bytes = await source.object(digest);
    if (bytes === null) throw new PackRefused('nothing-there', `object ${digest} was erased while the pack was made: ask again`);
    yield { file: { kind: 'object', digest }, bytes };
  }
}

/** The records, each bundle of entries read once. */
async function* recordsAt(source: PackSource, seqs: readonly number[]): AsyncGenerator<Appended> {
  for (let at = 0; at < seqs.length;) {
    const from = seqs[at]!;
    const next = (Math.floor(from / BUNDLE) + 1) * BUNDLE;
    const end = seqs.findIndex((seq, i) => i > at && seq >= next);
    const those = new Set(seqs.slice(at, end === -1 ? undefined : end));
    for await (const appended of source.entries(from, seqs[(end === -1 ? seqs.length : end) - 1]! + 1)) if (those.has(appended.seq)) yield appended;
    at = end === -1 ? seqs.length : end;
  }
}
