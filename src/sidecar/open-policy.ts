/** The policy that the configuration names: a compiled folder, a folder in the format of OPA, or a source that is fetched. */
import { readFile } from 'node:fs/promises';
import type { Disk } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { absentPdp, EngineFault, openPdp, runBundle, type Pdp } from '../pdp/engine.ts';
import { ARCHIVE_BYTES_MAX, filesOfArchive, filesOfDirectory } from '../pdp/opa-archive.ts';
import { openOpaBundle } from '../pdp/opa-bundle.ts';
import { parseVerificationKey, type VerificationKey } from '../pdp/opa-signature.ts';
import { policySignersOf } from '../protocol/policy-bundle.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { VERSION } from '../version.ts';
import { defaultPolicyDirectory } from './default-policy.ts';
import { fetchBundle } from './fetch-bundle.ts';
import { openPolicySource, type PolicySource } from './policy-source.ts';

/** A key, token or certificate of the policy source that cannot be used. Nothing was fetched. */
export class PolicySourceError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PolicySourceError';
  }
}

type Source = NonNullable<Config['policySource']>;

export interface PolicySurroundings {
  readonly trust: Trust;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly logger: Logger;
}

/**
 * The bundle, or a PDP that answers nothing: then nothing is given, and everything can still be taken back (invariant 4).
 *
 * @throws PolicySourceError or PrivateFileError
 */
export async function openPolicy(config: Pick<Config, 'policy' | 'policySource' | 'limits'>, surroundings: PolicySurroundings): Promise<{ readonly pdp: Pdp; readonly source: PolicySource | null }> {
  const { trust, logger } = surroundings;
  const options = { signers: policySignersOf(trust.requirements), deadlineMs: config.limits.policyDeadlineMs };
  const { policySource } = config;
  if (policySource?.url !== undefined) {
    const source = await sourceOf(policySource, policySource.url, options, surroundings);
    return { pdp: source.pdp, source };
  }
  const directory = config.policy ?? defaultPolicyDirectory();
  const keys = policySource === undefined ? null : await readKeys(policySource);
  try {
    return { pdp: keys === null ? await openPdp({ ...options, directory }) : await runBundle(withoutRevision(await openOpaBundle(await filesOfDirectory(directory), keys)), options), source: null };
  } catch (error) {
    if (!(error instanceof EngineFault)) throw error;
    logger.error({ code: error.code, directory }, `no policy is in force, so nothing is given: ${error.message}`);
    return { pdp: absentPdp(error.message), source: null };
  }
}

/** What lies in a directory is what its owner put there, forward or back. */
function withoutRevision({ digest, evidence, image }: Awaited<ReturnType<typeof openOpaBundle>>): Parameters<typeof runBundle>[0] {
  return { digest, evidence, image };
}

async function sourceOf(policySource: Source, url: string, options: Parameters<typeof runBundle>[1], { disk, clock, random, logger }: PolicySurroundings): Promise<PolicySource> {
  const { token, caFile, everySeconds, timeoutSeconds } = policySource;
  const keys = await readKeys(policySource);
  const bearer = token === undefined ? null : tokenIn(Buffer.from(await readPrivateFile(token)).toString('utf8'), token);
  const ca = caFile === undefined ? null : await readText(caFile);
  const request = { url: new URL(url), token: bearer, ca, clock, timeoutMs: timeoutSeconds * 1000, bytesMax: ARCHIVE_BYTES_MAX, userAgent: `countersign/${VERSION}` };
  return openPolicySource({
    read: async (archive) => openOpaBundle(await filesOfArchive(archive), keys),
    run: (bundle) => runBundle(bundle, options),
    fetch: (etag, signal) => fetchBundle(request, etag, signal),
    disk, clock, random, logger, everyMs: everySeconds * 1000,
  });
}

async function readKeys({ keys }: Source): Promise<VerificationKey[]> {
  return Promise.all(keys.map(async ({ file, algorithm, scope }) => {
    const pem = await readText(file);
    try {
      return { algorithm, key: parseVerificationKey(pem, algorithm), scope: scope ?? null };
    } catch {
      // The cause is left out: it may quote what is there, which may be a private key.
      throw new PolicySourceError(`${file} holds no public key for ${algorithm} (PEM)`);
    }
  }));
}

function tokenIn(text: string, path: string): string {
  const token = text.trim();
  if (!/^[A-Za-z0-9._~+/=-]{1,4096}$/.test(token)) throw new PolicySourceError(`${path} holds no bearer token`);
  return token;
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => {
    throw new PolicySourceError(`${path} cannot be read`);
  });
}
