/** Which policy a command is about: the compiled bundle, and the Rego that it was compiled from where that is at hand. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { EngineFault } from '../pdp/fault.ts';
import { readBundle, type Bundle } from '../pdp/bundle.ts';
import { openPdp, type Pdp } from '../pdp/engine.ts';
import { CliError, EXIT } from './exit.ts';
import { packageRoot } from './package.ts';
import { sourcesDigest } from './policy-build.ts';
import { readPolicyCodes, type PolicyCode } from './policy-codes.ts';
import type { Session } from './world.ts';

export interface PolicyPlace {
  /** The folder of the compiled bundle. */
  readonly bundle: string;
  /** The folder that holds `policy/` with the Rego; null where there is none beside the bundle. */
  readonly root: string | null;
}

/**
 * The policy in `given`, which may be a bundle, a `policy` folder or what holds one. Left out: here, where there is one, else the package's.
 *
 * @throws CliError `no-policy`
 */
export function policyPlace(session: Pick<Session, 'cwd'>, given: string | undefined): PolicyPlace {
  if (given === undefined) return placeIn(join(session.cwd)) ?? placeIn(packageRoot())!;
  const path = resolve(session.cwd, given);
  const found = placeIn(path);
  if (found !== null) return found;
  const hasSources = existsSync(join(path, 'access')) || existsSync(join(path, 'policy', 'access'));
  throw new CliError(EXIT.io, 'no-policy', { cause: `there is no compiled policy in ${path}`, effect: 'Nothing was asked.', next: hasSources ? `countersign policy build --root ${basename(path) === 'policy' ? dirname(path) : path}   makes it` : 'name a folder with manifest.json, or one that holds policy/' });
}

function placeIn(path: string): PolicyPlace | null {
  const bundle = [path, join(path, 'bundle'), join(path, 'policy', 'bundle'), join(path, 'policy')].find((one) => existsSync(join(one, 'manifest.json')));
  if (bundle === undefined) return null;
  const policy = dirname(bundle);
  return { bundle, root: basename(bundle) === 'bundle' && basename(policy) === 'policy' && existsSync(join(policy, 'access')) ? dirname(policy) : null };
}

/** `current`: the Rego is what was compiled; `other`: it is not; `none`: it is not at hand. */
export type SourcesState = 'current' | 'other' | 'none';

/** The METADATA for the rules of a bundle: of the Rego beside it, else of the package's where that is what was compiled. @throws CliError `malformed-metadata` */
export async function metadataFor(place: PolicyPlace, { manifest }: Pick<Bundle, 'manifest'>): Promise<{ readonly state: SourcesState; readonly rules: readonly PolicyCode[] }> {
  const own = packageRoot();
  const isOf = async (root: string): Promise<boolean> => existsSync(join(root, 'policy', 'access')) && (await sourcesDigest(join(root, 'policy'))) === manifest.sources;
  if (place.root !== null) return { state: (await isOf(place.root)) ? 'current' : 'other', rules: await metadataIn(place.root) };
  return (await isOf(own)) ? { state: 'current', rules: await metadataIn(own) } : { state: 'none', rules: [] };
}

async function metadataIn(root: string): Promise<readonly PolicyCode[]> {
  try {
    return await readPolicyCodes(root);
  } catch (cause) {
    throw new CliError(EXIT.failed, 'malformed-metadata', { cause: `the METADATA in ${join(root, 'policy')} cannot be read: ${(cause as Error).message}`, next: `countersign policy lint ${root}   says where` }, { cause });
  }
}

/** The bundle there, unrun. @throws CliError with the code of the fault */
export function openBundle(place: PolicyPlace): Promise<Bundle> {
  return orNoPolicy(() => readBundle(place.bundle));
}

/** Whoever works on policy waits longer than a sidecar does. */
const LIMITS = { deadlineMs: 5_000, waitMs: 300_000, waitingMax: 256, workersMax: 2, aheadMax: 15 } as const;
/** Questions that are worth having on their way: each thread has as many of them again as it may be given. */
export const ASKED_AT_ONCE = 32;

/** Runs `work` with the policy there, in threads that are killed at a deadline and are gone afterwards. @throws CliError with the code of the fault where it cannot be run */
export async function withPolicy<T>(place: PolicyPlace, work: (pdp: Pdp) => Promise<T>): Promise<T> {
  const pdp = await orNoPolicy(() => openPdp({ directory: place.bundle, ...LIMITS }));
  try {
    return await work(pdp);
  } finally {
    await pdp.close();
  }
}

async function orNoPolicy<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof EngineFault)) throw cause;
    throw new CliError(EXIT.notEstablished, cause.code, { cause: `this policy cannot be run: ${cause.message}`, effect: 'Nothing was asked. A sidecar that has it gives nothing.' }, { cause });
  }
}
