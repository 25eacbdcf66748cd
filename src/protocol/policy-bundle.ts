/**
 * What a policy bundle is called, and who says that it may be run: its listing, whose digest is the bundle's name, and a signature over that.
 *
 * A signer vouches for the bundle and for nothing that is decided by it. Whom to believe is in `requirements.json` of one's own trust folder.
 */
import { z } from 'zod';
import { canonicalBytes, digestOf, parseVerifier, type Signer, type Verifier } from '../../ledger/index.ts';
import { openDsse, signDsse } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import type { Dsse } from './signed.ts';
import type { RequirementsFile } from './trust.ts';
import { digestSchema, plainTextSchema } from './values.ts';

export const POLICY_BUNDLE_TYPE = 'application/vnd.countersign.policy-bundle+json';
export const BUNDLE_FILES = ['data.json', 'policy.wasm'] as const;

/** Every byte that can change an answer, by digest, and nothing else: the same policy built anywhere has the same listing. */
export const bundleListingSchema = z.strictObject({
  v: z.literal(1),
  entrypoints: z.array(z.string().max(128)).min(1).max(32),
  files: z.array(z.strictObject({ path: z.enum(BUNDLE_FILES), digest: digestSchema })).length(BUNDLE_FILES.length),
});
export type BundleListing = z.infer<typeof bundleListingSchema>;

/** What is signed of a bundle. `revision`: what its signer calls it. */
export const bundleStatementSchema = z.strictObject({ v: z.literal(1), bundle: digestSchema, revision: plainTextSchema(128).optional() });

/** The bundle's digest: `sha256(JCS({v, entrypoints, files}))`. */
export function bundleDigest({ v, entrypoints, files }: BundleListing): string {
  return digestOf(canonicalBytes({ v, entrypoints, files }));
}

/** The digest of one of the files, as the listing has it. */
export function listedDigest({ files }: BundleListing, path: (typeof BUNDLE_FILES)[number]): string | null {
  return files.find((file) => file.path === path)?.digest ?? null;
}

export function signBundle(bundle: string, revision: string | null, signer: Signer): Dsse {
  return signDsse(POLICY_BUNDLE_TYPE, { v: 1, bundle, ...(revision === null ? {} : { revision }) }, signer);
}

/** The keys of those whose bundles may be run. */
export function policySignersOf({ policySigners = [] }: RequirementsFile): Verifier[] {
  return policySigners.map((key) => parseVerifier(key));
}

/** The signer of this very bundle; null where none of these has signed it. */
export function bundleSigner(signature: Dsse | null, bundle: string, signers: readonly Verifier[]): Verifier | null {
  if (signature === null) return null;
  try {
    const statement = openDsse(signature, POLICY_BUNDLE_TYPE, bundleStatementSchema, signers);
    return statement.bundle === bundle ? (signers.find(({ keyName }) => keyName === signature.signatures[0]?.keyid) ?? null) : null;
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}
