/**
 * A compiled policy on disk: `policy.wasm`, `data.json` and the `manifest.json` that names them by digest.
 *
 * The bundle's digest is `sha256(JCS({v, entrypoints, files}))` of its manifest: it stands for every byte that can change an answer, and
 * for nothing else, so that the same policy built anywhere has the same name.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalBytes, digestOf, parseStrict } from '../../ledger/index.ts';
import { digestSchema } from '../protocol/values.ts';
import type { PolicyImage } from './evaluator.ts';
import { EngineFault } from './fault.ts';

export const ENTRYPOINTS = ['access/decide', 'access/reconcile', 'access/schedule', 'access/verify'] as const;
export type Entrypoint = (typeof ENTRYPOINTS)[number];
/** Without this one nothing is proposed, and all else is as it was. */
const OPTIONAL: Entrypoint = 'access/reconcile';
const BUNDLE_FILES = ['data.json', 'policy.wasm'] as const;
const FILE_BYTES_MAX = 16 * 1024 * 1024;

export const manifestSchema = z.strictObject({
  v: z.literal(1),
  digest: digestSchema,
  entrypoints: z.array(z.string().max(128)).min(1).max(32),
  files: z.array(z.strictObject({ path: z.enum(BUNDLE_FILES), digest: digestSchema })).length(BUNDLE_FILES.length),
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
  return { ...listing, digest: digestOf(canonicalBytes(listing)), opa: origin.opa, sources: origin.sources };
}

/**
 * The bundle in a directory, every byte of it as its manifest says, compiled but not yet run.
 *
 * @throws EngineFault `no-policy` (no manifest), `bundle-tampered` or `bad-bundle`; nothing of it was run.
 */
export async function readBundle(directory: string): Promise<Bundle> {
  const present = await list(directory);
  if (!present.includes('manifest.json')) throw new EngineFault('no-policy', `${directory} holds no policy bundle`);
  const foreign = present.filter((name) => name !== 'manifest.json' && !BUNDLE_FILES.some((file) => file === name));
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
  const unserved = ENTRYPOINTS.filter((name) => name !== OPTIONAL && !manifest.entrypoints.includes(name));
  if (unserved.length > 0) throw new EngineFault('bad-bundle', `the bundle lacks the entrypoints ${unserved.join(', ')}`);
  return { digest: manifest.digest, manifest, image: { module: await compile(wasm), data: parseData(data), entrypoints: manifest.entrypoints } };
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
