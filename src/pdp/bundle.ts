/**
 * A compiled policy on disk: `policy.wasm`, `data.json` and the `manifest.json` that names them by digest; beside them, where somebody vouches
 * for it, `bundle.sig.json`.
 *
 * The bundle's digest is `sha256(JCS({v, entrypoints, files}))` of its manifest: it stands for every byte that can change an answer, and
 * for nothing else, so that the same policy built anywhere has the same name.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { digestOf, parseStrict } from '../../ledger/index.ts';
import { BUNDLE_FILES, bundleDigest, bundleListingSchema, type BundleListing } from '../protocol/policy-bundle.ts';
import { dsseSchema, type Dsse } from '../protocol/signed.ts';
import { digestSchema } from '../protocol/values.ts';
import type { PolicyImage } from './evaluator.ts';
import { EngineFault } from './fault.ts';

export const ENTRYPOINTS = ['access/decide', 'access/reconcile', 'access/redecide', 'access/schedule', 'access/verify', 'workflow/accept'] as const;
export type Entrypoint = (typeof ENTRYPOINTS)[number];
/** Without the first nothing is proposed, without the second no lease is decided on again, without the third no approval is asked about; all else is as it was. */
const OPTIONAL: ReadonlySet<Entrypoint> = new Set(['access/reconcile', 'access/redecide', 'workflow/accept'] as const);
/** The signature, which is no part of what it is over. */
export const SIGNATURE_FILE = 'bundle.sig.json';
/** Of each file: the ledger keeps it as one object. */
export const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** Many times what one takes; it is part of the record that says what is in force. */
const SIGNATURE_BYTES_MAX = 16_384;

export const manifestSchema = z.strictObject({
  ...bundleListingSchema.shape,
  digest: digestSchema,
  /** What compiled it: the version that gives the same bytes again. */
  opa: z.string().max(32),
  /** What it was compiled from: see `sourcesDigest` of the build. */
  sources: digestSchema,
});
export type Manifest = z.infer<typeof manifestSchema>;

export interface Bundle {
  readonly digest: string;
  readonly manifest: Manifest;
  readonly image: PolicyImage;
  readonly evidence: BundleEvidence;
}

/** What whoever would run the bundle again needs of it. */
export interface BundleEvidence {
  readonly listing: BundleListing;
  readonly wasm: Uint8Array;
  readonly data: Uint8Array;
  /** As it came; whose it is was not looked at. */
  readonly signature: Dsse | null;
}

/** The manifest for these bytes. */
export function describeBundle(files: { wasm: Uint8Array; data: Uint8Array }, origin: { entrypoints: readonly string[]; opa: string; sources: string }): Manifest {
  const listing = {
    v: 1 as const,
    entrypoints: [...origin.entrypoints].sort(),
    files: [
      { path: 'data.json' as const, digest: digestOf(files.data) },
      { path: 'policy.wasm' as const, digest: digestOf(files.wasm) },
    ],
  };
  return { ...listing, digest: bundleDigest(listing), opa: origin.opa, sources: origin.sources };
}

/**
 * The bundle in a directory, every byte of it as its manifest says, compiled but not yet run.
 *
 * @throws EngineFault `no-policy` (no manifest), `bundle-tampered` or `bad-bundle`; nothing of it was run.
 */
export async function readBundle(directory: string): Promise<Bundle> {
  const present = await list(directory);
  if (!present.includes('manifest.json')) throw new EngineFault('no-policy', `${directory} holds no policy bundle`);
  const foreign = present.filter((name) => name !== 'manifest.json' && name !== SIGNATURE_FILE && !BUNDLE_FILES.some((file) => file === name));
  if (foreign.length > 0) throw new EngineFault('bundle-tampered', `files that the manifest does not list: ${foreign.sort().join(', ')}`);
  const manifest = parseManifest(await read(directory, 'manifest.json'));
  const wasm = await read(directory, 'policy.wasm');
  const data = await read(directory, 'data.json');
  const due = describeBundle({ wasm, data }, manifest);
  for (const [index, file] of due.files.entries()) {
    const listed = manifest.files[index];
    if (listed?.path !== file.path || listed.digest !== file.digest) throw new EngineFault('bundle-tampered', `${file.path} is not the file that the manifest names`);
  }
  if (due.digest !== manifest.digest) throw new EngineFault('bundle-tampered', 'the manifest does not have the digest that it states');
  const signature = present.includes(SIGNATURE_FILE) ? parseSignature(await read(directory, SIGNATURE_FILE)) : null;
  const { v, entrypoints, files } = manifest;
  const evidence: BundleEvidence = { listing: { v, entrypoints, files }, wasm, data, signature };
  return { digest: manifest.digest, manifest, evidence, image: await imageOf(evidence) };
}

/**
 * What an evaluator is made of, compiled and not yet run, whether it was read from a directory or from a ledger.
 *
 * @throws EngineFault `bundle-tampered` where a file is not the one that the listing names; `bad-bundle`
 */
export async function imageOf({ listing, wasm, data }: Omit<BundleEvidence, 'signature'>): Promise<PolicyImage> {
  const due = describeBundle({ wasm, data }, { entrypoints: listing.entrypoints, opa: '', sources: '' });
  if (bundleDigest(listing) !== due.digest) throw new EngineFault('bundle-tampered', 'the files are not those that the listing names');
  const unserved = ENTRYPOINTS.filter((name) => !OPTIONAL.has(name) && !listing.entrypoints.includes(name));
  if (unserved.length > 0) throw new EngineFault('bad-bundle', `the bundle lacks the entrypoints ${unserved.join(', ')}`);
  return { module: await compile(wasm), data: parseData(data), entrypoints: listing.entrypoints };
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (cause) {
    throw new EngineFault('no-policy', `${directory} cannot be read`, { cause });
  }
}

async function read(directory: string, name: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(join(directory, name));
  } catch (cause) {
    throw new EngineFault('bundle-tampered', `${name} is missing or cannot be read`, { cause });
  }
  if (bytes.length > FILE_BYTES_MAX) throw new EngineFault('bad-bundle', `${name} is larger than ${FILE_BYTES_MAX} bytes`);
  return bytes;
}

function parseManifest(bytes: Uint8Array): Manifest {
  let value: unknown;
  try {
    value = parseStrict(bytes);
  } catch (cause) {
    throw new EngineFault('bundle-tampered', 'manifest.json is not strict JSON', { cause });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw new EngineFault('bundle-tampered', `manifest.json: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** @throws EngineFault `bundle-tampered` */
export function parseSignature(bytes: Uint8Array): Dsse {
  try {
    return dsseSchema.parse(parseStrict(bytes, { maxBytes: SIGNATURE_BYTES_MAX }));
  } catch (cause) {
    throw new EngineFault('bundle-tampered', `${SIGNATURE_FILE} is not a signature`, { cause });
  }
}

function parseData(bytes: Uint8Array): string {
  try {
    parseStrict(bytes, { maxBytes: FILE_BYTES_MAX });
  } catch (cause) {
    throw new EngineFault('bad-bundle', 'data.json is not strict JSON', { cause });
  }
  return new TextDecoder().decode(bytes);
}

async function compile(wasm: Uint8Array): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(new Uint8Array(wasm));
  } catch (cause) {
    throw new EngineFault('bad-bundle', 'policy.wasm is not a WebAssembly module', { cause });
  }
}
