/** A bundle in OPA's own format (`.manifest`, `.signatures.json`), verified here, since what runs its module verifies nothing. */
import { z } from 'zod';
import { canonicalBytes } from '../../ledger/index.ts';
import { plainTextSchema } from '../protocol/values.ts';
import { describeBundle, FILE_BYTES_MAX, imageOf, parseSignature, SIGNATURE_FILE, type Bundle, type BundleEvidence } from './bundle.ts';
import { EngineFault } from './fault.ts';
import type { BundleFiles } from './opa-archive.ts';
import { demandSigned, MANIFEST_FILE, parseJson, SIGNATURES_FILE, type VerificationKey } from './opa-signature.ts';

const MODULE = '/policy.wasm';
const ONES: ReadonlySet<string> = new Set([MANIFEST_FILE, SIGNATURES_FILE, SIGNATURE_FILE, 'data.json', 'policy.wasm']);

/** OPA's; members that are not here change no answer of a compiled module. What a record says of a bundle is held to what a record may say. */
const manifestSchema = z.looseObject({
  revision: z.union([z.literal(''), plainTextSchema(128)]).default(''),
  wasm: z.array(z.looseObject({ entrypoint: z.string().max(128), module: z.string() })).min(1).max(32),
});

/** What is run, and what it is called by whoever built it: empty where nobody said. */
export interface OpaBundle extends Pick<Bundle, 'digest' | 'evidence' | 'image'> {
  readonly revision: string;
}

/**
 * The bundle of these files, signed by one of the keys, compiled and not yet run. Its digest is that of the same policy in any other form.
 *
 * Rego sources may be there, signed like all else, and are not used. What OPA would read as further data or as a patch is refused.
 *
 * @throws EngineFault `bundle-unsigned`, `bundle-tampered` or `bad-bundle`; nothing of it was run
 */
export async function openOpaBundle(files: BundleFiles, keys: readonly VerificationKey[]): Promise<OpaBundle> {
  demandSigned(files, keys);
  const foreign = [...files.keys()].filter((name) => !ONES.has(name) && !name.endsWith('.rego'));
  if (foreign.length > 0) throw new EngineFault('bad-bundle', `neither module, data nor Rego: ${foreign.sort().slice(0, 5).join(', ')}`);
  const manifest = manifestSchema.safeParse(parseJson(MANIFEST_FILE, demand(files, MANIFEST_FILE)));
  if (!manifest.success) throw new EngineFault('bad-bundle', `${MANIFEST_FILE}: ${z.prettifyError(manifest.error).slice(0, 300)}`);
  const { revision, wasm: resolvers } = manifest.data;
  if (resolvers.some(({ module }) => module !== MODULE)) throw new EngineFault('bad-bundle', `${MANIFEST_FILE} names another module than ${MODULE}`);
  const wasm = demand(files, 'policy.wasm');
  if (wasm.length > FILE_BYTES_MAX) throw new EngineFault('bad-bundle', `policy.wasm is larger than ${FILE_BYTES_MAX} bytes`);
  // The same document however it was written: what a decision names is the policy, and not its white space.
  const data = canonicalBytes(parseJson('data.json', files.get('data.json') ?? Buffer.from('{}')));
  const entrypoints = [...new Set(resolvers.map(({ entrypoint }) => entrypoint))];
  const { v, entrypoints: sorted, files: listed, digest } = describeBundle({ wasm, data }, { entrypoints, opa: '', sources: '' });
  const signature = files.get(SIGNATURE_FILE);
  const evidence: BundleEvidence = { listing: { v, entrypoints: sorted, files: listed }, wasm, data, signature: signature === undefined ? null : parseSignature(signature) };
  return { digest, evidence, image: await imageOf(evidence), revision };
}

function demand(files: BundleFiles, name: string): Uint8Array {
  const bytes = files.get(name);
  if (bytes === undefined) throw new EngineFault('bad-bundle', `the bundle has no ${name}`);
  return new Uint8Array(bytes);
}
