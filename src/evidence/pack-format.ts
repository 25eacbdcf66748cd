/**
 * What is in an evidence pack, and under which names: an uncompressed tar whose every byte follows from `pack.json` and the files it lists.
 * See docs/evidence-pack.md.
 */
import { z } from 'zod';
import { canonicalBytes, HEAD_HASHES_MAX, JsonError, parseCanonical } from '../../ledger/index.ts';
import { changeIdSchema, digestSchema, nhiIdSchema, timeSchema } from '../protocol/values.ts';

export const PACK_FILES_MAX = 65_536;
/** Of the whole archive. */
export const PACK_BYTES_MAX = 1_073_741_824;
export const MANIFEST_BYTES_MAX = 16_777_216;
/** Of `checkpoint`, of a proof, and of a head. */
export const SMALL_FILE_BYTES_MAX = 65_536;

export const MANIFEST = 'pack.json';
export const CHECKPOINT = 'checkpoint';

export type PackFile =
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'record'; readonly seq: number }
  | { readonly kind: 'proof'; readonly seq: number }
  | { readonly kind: 'head'; readonly change: string }
  | { readonly kind: 'object'; readonly digest: string };

/** In the order in which they stand in the archive. */
const KINDS = ['checkpoint', 'record', 'proof', 'head', 'object'] as const;

export function formatName(file: PackFile): string {
  switch (file.kind) {
    case 'checkpoint':
      return CHECKPOINT;
    case 'record':
      return `records/${file.seq}.json`;
    case 'proof':
      return `proofs/${file.seq}.tlog-proof`;
    case 'head':
      return `heads/${file.change}.json`;
    case 'object':
      return `objects/${file.digest.slice('sha256:'.length)}`;
  }
}

/** The file that a name stands for; null for any that none has, or that is its second spelling. */
export function parseName(name: string): PackFile | null {
  if (name === CHECKPOINT) return { kind: 'checkpoint' };
  const [, folder, stem, end] = /^(records|proofs|heads|objects)\/([0-9A-Za-z_]{1,64})(\.json|\.tlog-proof|)$/.exec(name) ?? [];
  if (folder === undefined || stem === undefined) return null;
  const file = fileOf(folder, stem);
  return file !== null && formatName(file) === name && end !== undefined ? file : null;
}

function fileOf(folder: string, stem: string): PackFile | null {
  if (folder === 'heads') return changeIdSchema.safeParse(stem).success ? { kind: 'head', change: stem } : null;
  if (folder === 'objects') return digestSchema.safeParse(`sha256:${stem}`).success ? { kind: 'object', digest: `sha256:${stem}` } : null;
  const seq = /^(0|[1-9][0-9]{0,15})$/.test(stem) ? Number(stem) : NaN;
  return Number.isSafeInteger(seq) ? { kind: folder === 'records' ? 'record' : 'proof', seq } : null;
}

/** Negative where `a` stands before `b`: by kind, records and proofs by number, the others by name. */
export function compareFiles(a: PackFile, b: PackFile): number {
  if (a.kind !== b.kind) return KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind);
  if ('seq' in a && 'seq' in b) return a.seq - b.seq;
  const [nameA, nameB] = [formatName(a), formatName(b)];
  return nameA === nameB ? 0 : nameA < nameB ? -1 : 1;
}

/** What was asked for when the pack was made: a change, what there is about an identity, or the records of a time, `to` not included. */
export const askedSchema = z.union([
  z.strictObject({ change: changeIdSchema }),
  z.strictObject({ nhi: nhiIdSchema }),
  z.strictObject({ from: timeSchema, to: timeSchema }),
]);
export type PackAsked = z.infer<typeof askedSchema>;

const hexSchema = z.string().regex(/^[0-9a-f]{64}$/);
export const manifestSchema = z.strictObject({
  v: z.literal(1),
  origin: z.string().min(1).max(255),
  /** Of the checkpoint. */
  size: z.int().min(1),
  asked: askedSchema,
  files: z.array(z.strictObject({ name: z.string().max(100), size: z.int().min(0).max(PACK_BYTES_MAX), sha256: hexSchema })).min(1).max(PACK_FILES_MAX),
  /** Objects that records here name and that are no more, each with a record here that erased it. */
  erased: z.array(z.strictObject({ digest: digestSchema, seq: z.int().min(0) })).max(PACK_FILES_MAX),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** `heads/<change>.json`: the entry of the change in the map that record `seq` states. */
export const headFileSchema = z.strictObject({
  v: z.literal(1),
  change: changeIdSchema,
  /** Of the `ledger.heads` record. */
  seq: z.int().min(0),
  entry: z.strictObject({ changeSeq: z.int().min(0).max(0xffff_ffff), leaf: digestSchema }),
  /** Beside the path, from the entry to the root. */
  hashes: z.array(z.base64().length(44)).max(HEAD_HASHES_MAX),
});
export type HeadFile = z.infer<typeof headFileSchema>;

/** A file of a pack that is not what its place says. */
export class PackError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PackError';
  }
}

/** @throws PackError */
export function decodeDocument<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  try {
    const parsed = schema.safeParse(parseCanonical(bytes, { maxBytes: MANIFEST_BYTES_MAX }));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new PackError(`${what} is not what it should be: ${issue?.message ?? 'malformed'} at /${issue?.path.join('/') ?? ''}`);
  } catch (error) {
    if (error instanceof JsonError) throw new PackError(`${what} is not what it should be: ${error.message}`);
    throw error;
  }
}

export function encodeDocument(document: Manifest | HeadFile): Uint8Array {
  return canonicalBytes(document);
}
