/** `countersign policy pack`: a compiled bundle as one file in OPA's format, signed, for whatever serves bundles. */
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { canonicalBytes } from '../../ledger/index.ts';
import { BLOCK_BYTES, END_BYTES, formatHeader } from '../evidence/tar.ts';
import { readBundle, SIGNATURE_FILE } from '../pdp/bundle.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { BundleFiles } from '../pdp/opa-archive.ts';
import { MANIFEST_FILE, parseJson, parseSigningKey, SIGNATURE_ALGORITHMS, SIGNATURES_FILE, signFiles, type SignatureAlgorithm, type SigningKey } from '../pdp/opa-signature.ts';
import { revisionNumber } from '../pdp/revision.ts';
import { plainTextSchema } from '../protocol/values.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret } from './files.ts';
import type { Session } from './world.ts';

export interface PackFlags {
  readonly out: string;
  readonly signingKey: string;
  readonly signingAlg: string;
  readonly revision: string;
  readonly keyId?: string;
  readonly scope?: string;
}

/** The files of the OPA bundle of what is compiled in `directory`, with its `bundle.sig.json` where it has one. @throws EngineFault */
export async function opaFilesOf(directory: string, revision: string, signing: SigningKey): Promise<BundleFiles> {
  const { manifest, evidence } = await readBundle(directory);
  // As it will be read: in another spelling it would be another bundle than the one that was signed.
  if (!Buffer.from(canonicalBytes(parseJson('data.json', evidence.data))).equals(evidence.data)) throw new EngineFault('bad-bundle', 'data.json is not as countersign policy build writes it');
  const resolvers = manifest.entrypoints.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' }));
  const files = new Map<string, Uint8Array>([
    [MANIFEST_FILE, Buffer.from(JSON.stringify({ revision, roots: [''], wasm: resolvers, rego_version: 1 }))],
    ['data.json', evidence.data],
    ['policy.wasm', evidence.wasm],
  ]);
  if (existsSync(join(directory, SIGNATURE_FILE))) files.set(SIGNATURE_FILE, await readFile(join(directory, SIGNATURE_FILE)));
  return new Map([...files, [SIGNATURES_FILE, signFiles(files, signing)]]);
}

/** The gzipped tar of these files, named as OPA names them (by `/policy.wasm` its manifest finds the module), the same bytes each time. */
export async function packFiles(files: BundleFiles): Promise<Uint8Array> {
  const parts = [...files].flatMap(([name, bytes]) => [formatHeader(`/${name}`, bytes.length), bytes, Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES)]);
  return promisify(gzip)(Buffer.concat([...parts, Buffer.alloc(END_BYTES)]));
}

export async function pack(session: Session, directory: string | undefined, flags: PackFlags): Promise<ExitCode> {
  const algorithm = SIGNATURE_ALGORITHMS.find((one) => one === flags.signingAlg);
  if (algorithm === undefined) throw usage(`--signing-alg is one of ${SIGNATURE_ALGORITHMS.join(', ')}`);
  if (revisionNumber(flags.revision) === null || !plainTextSchema(128).safeParse(flags.revision).success) throw usage('--revision begins with a whole number (17, 17-3fa2c1b), by which a sidecar tells what is newer, and is at most 128 characters of plain text');
  const key = keyOf(readSecret(resolve(session.cwd, flags.signingKey), 'the key'), algorithm, flags.signingKey);
  const out = resolve(session.cwd, flags.out);
  try {
    const files = await opaFilesOf(resolve(session.cwd, directory ?? 'policy'), flags.revision, { algorithm, key, id: flags.keyId ?? null, scope: flags.scope ?? null });
    await writeWhole(out, await packFiles(files));
    session.out.document({ file: out, revision: flags.revision, files: [...files.keys()] });
    session.out.line(`wrote ${out}: revision ${flags.revision}${files.has(SIGNATURE_FILE) ? '' : `; it has no ${SIGNATURE_FILE}, so no verifier runs it again: countersign policy sign`}`);
    return EXIT.ok;
  } catch (cause) {
    if (!(cause instanceof EngineFault)) throw cause;
    throw new CliError(EXIT.io, cause.code, { cause: `no bundle can be packed there: ${cause.message}`, effect: 'Nothing was written.', next: 'countersign policy build   makes one' }, { cause });
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.new`;
  try {
    await writeFile(fresh, bytes);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}

function usage(cause: string): CliError {
  return new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was written.' });
}

function keyOf(pem: string, algorithm: SignatureAlgorithm, path: string): SigningKey['key'] {
  try {
    return parseSigningKey(pem, algorithm);
  } catch {
    // The cause is left out: it may quote the key.
    throw new CliError(EXIT.usage, 'bad-key', { cause: `${path} holds no private key for ${algorithm} (PEM)`, effect: 'Nothing was written.' });
  }
}
