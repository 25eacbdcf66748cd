/** `countersign policy build`: Rego in, `policy/bundle/` out, the same bytes wherever it is built. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { canonicalBytes, digestOf, parseStrict } from '../../ledger/index.ts';
import { describeBundle, ENTRYPOINTS, type Manifest } from '../pdp/bundle.ts';
import { overlayIn } from '../workbench/lint.ts';
import { demandOpa, demandOpaVersion, findOpa, OPA_VERSION, PolicyToolError, type OpaCommand } from './opa.ts';

/** Directories below `policy/` that are compiled; what else is there (tests' helpers, cases, framework ids) is not policy. */
export const POLICY_ROOTS = ['access', 'data', 'lib', 'workflow'] as const;
/** Teams' own packages, which tighten what the others decide. Compiled where they are. */
export const OVERLAYS = 'overlays';
const NOT_COMPILED = '*_test.rego';

/** The directories that are compiled of this `policy` folder. */
export function policyRoots(policy: string): readonly string[] {
  return existsSync(join(policy, OVERLAYS)) ? [...POLICY_ROOTS, OVERLAYS] : POLICY_ROOTS;
}

/** What makes `opa check` of the compiled sources hold them to the questions that are asked; none where the folder has no schemas. Tests ask about what is no question, on purpose. */
export function schemaCheck(policy: string): readonly string[] | null {
  if (!existsSync(join(policy, 'schemas'))) return null;
  const roots = [...policyRoots(policy), ...(existsSync(join(policy, 'checks')) ? ['checks'] : [])];
  return ['check', '--strict', '--capabilities', 'capabilities.json', '--ignore', NOT_COMPILED, '--schema', 'schemas', ...roots];
}

export interface PolicyFiles {
  readonly wasm: Uint8Array;
  readonly data: Uint8Array;
  readonly manifest: Manifest;
}

/** The bundle of these sources, nothing written. @throws PolicyToolError */
export async function compilePolicy(options: { readonly root: string; readonly opa?: OpaCommand }): Promise<PolicyFiles> {
  const policy = join(options.root, 'policy');
  await demandTightening(policy);
  const opa = options.opa ?? (await findOpa(policy));
  await demandOpaVersion(opa, policy);
  const { wasm, data } = await compileRoots(opa, policy, policyRoots(policy));
  const sources = await sourcesDigest(policy);
  return { wasm, data, manifest: describeBundle({ wasm, data }, { entrypoints: ENTRYPOINTS, opa: OPA_VERSION, sources }) };
}

/** What a sidecar asks, of these roots alone: the module, and its data as they are in a bundle. */
export async function compileRoots(opa: OpaCommand, policy: string, roots: readonly string[]): Promise<Pick<PolicyFiles, 'wasm' | 'data'>> {
  const archive = await buildArchive(opa, policy, ['--ignore', NOT_COMPILED, ...ENTRYPOINTS.flatMap((name) => ['-e', name]), ...roots]);
  return { wasm: member(archive, 'policy.wasm'), data: canonicalBytes(parseStrict(member(archive, 'data.json'))) };
}

/** Overlays have rules in packages of their own and nothing else: data, or a rule in another package, could permit what the baseline does not. No `deny` of theirs is where it is not heard. @throws PolicyToolError `overlay-loosens` or `overlay-not-heard` */
async function demandTightening(policy: string): Promise<void> {
  if (!existsSync(join(policy, OVERLAYS))) return;
  for (const file of await filesBelow(policy, OVERLAYS)) {
    if (!file.endsWith('.rego') || file.split('/').length < 3) throw new PolicyToolError('overlay-loosens', `${file} is no rule of a team's: overlays/<team>/ holds Rego and nothing else`);
    const [found] = overlayIn({ file, text: await readFile(join(policy, file), 'utf8') });
    if (found !== undefined && !file.endsWith('_test.rego')) throw new PolicyToolError(found.code === 'not-heard' ? 'overlay-not-heard' : 'overlay-loosens', `${file}:${found.line}: ${found.message}`);
  }
}

/**
 * `policy/bundle/` holds the bundle of the sources beside it, and nothing else.
 *
 * @param options.opa default: wherever it can be had (`findOpa`)
 * @throws PolicyToolError before anything in `policy/bundle/` has changed
 */
export async function buildPolicy(options: { readonly root: string; readonly opa?: OpaCommand }): Promise<Manifest> {
  const files = await compilePolicy(options);
  const directory = join(options.root, 'policy', 'bundle');
  const fresh = `${directory}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await writeFile(join(fresh, 'policy.wasm'), files.wasm);
  await writeFile(join(fresh, 'data.json'), files.data);
  await writeFile(join(fresh, 'manifest.json'), `${JSON.stringify(files.manifest, null, 2)}\n`);
  await rm(directory, { recursive: true, force: true });
  await rename(fresh, directory);
  return files.manifest;
}

/** The bytes of the archive that `opa build` makes of these arguments, unzipped. @throws PolicyToolError `opa-failed` */
export async function buildArchive(opa: OpaCommand, policy: string, args: readonly string[]): Promise<Uint8Array> {
  const scratch = await mkdtemp(join(tmpdir(), 'countersign-policy-'));
  try {
    const output = join(scratch, 'bundle.tar.gz');
    await demandOpa(opa, ['build', '-t', 'wasm', '--capabilities', 'capabilities.json', '-o', output, ...args], policy);
    return gunzipSync(await readFile(output));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** One file of a ustar archive. The archive's times and order are opa's; the bytes inside are not. */
export function member(archive: Uint8Array, name: string): Uint8Array {
  const text = new TextDecoder('latin1');
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const header = archive.subarray(at, at + 512);
    const path = text.decode(header.subarray(0, 100)).replace(/\0.*$/su, '').replace(/^\//u, '');
    const size = Number.parseInt(text.decode(header.subarray(124, 136)), 8);
    if (path === name) return archive.slice(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new PolicyToolError('opa-failed', `opa built no ${name}`);
}

/** `sha256(JCS([{path, digest}…]))` of everything that is compiled, by path: tells whether a bundle is older than its sources. */
export async function sourcesDigest(policy: string): Promise<string> {
  const listing: { path: string; digest: string }[] = [];
  for (const root of [...policyRoots(policy), 'capabilities.json']) {
    for (const path of await filesBelow(policy, root)) {
      if (path.endsWith('_test.rego')) continue;
      listing.push({ path, digest: digestOf(await readFile(join(policy, path))) });
    }
  }
  return digestOf(canonicalBytes(listing.sort((a, b) => (a.path < b.path ? -1 : 1))));
}

/** Paths of all files at or below `path`, with `/`, relative to `base`. */
export async function filesBelow(base: string, path: string): Promise<string[]> {
  const found: string[] = [];
  if (!path.endsWith('.json')) {
    for (const entry of await readdir(join(base, path), { withFileTypes: true })) {
      if (entry.isDirectory()) found.push(...(await filesBelow(base, `${path}/${entry.name}`)));
      else found.push(`${path}/${entry.name}`);
    }
    return found;
  }
  return [path];
}
