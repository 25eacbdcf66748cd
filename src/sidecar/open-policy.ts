/** The policy that the configuration names: a compiled folder, a folder in the format of OPA, or a source that is fetched. */
import { readFile } from 'node:fs/promises';
import type { Disk } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { absentPdp, EngineFault, openPdp, runBundle, type Pdp } from '../pdp/engine.ts';
import { ARCHIVE_BYTES_MAX, filesOfArchive, filesOfDirectory } from '../pdp/opa-archive.ts';
import { livePdp } from '../pdp/live.ts';
import { openOpaBundle } from '../pdp/opa-bundle.ts';
import { parseVerificationKey, type VerificationKey } from '../pdp/opa-signature.ts';
import { policySignersOf } from '../protocol/policy-bundle.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { VERSION } from '../version.ts';
import { defaultPolicyDirectory } from './default-policy.ts';
import { fetchBundle } from './fetch-bundle.ts';
import { openPolicySource, type Activation, type PolicySource } from './policy-source.ts';

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

export interface OpenPolicy {
  readonly pdp: Pdp;
  readonly source: PolicySource | null;
  /** Resolves once a bundle that waited for people is in force, where they have let it. */
  settle(activation: Activation): Promise<void>;
}

/**
 * The bundle, or a PDP that answers nothing: then nothing is given, and everything can still be taken back (invariant 4).
 *
 * @throws PolicySourceError or PrivateFileError
 */
export async function openPolicy(config: Pick<Config, 'policy' | 'policySource' | 'policyActivation' | 'limits'>, surroundings: PolicySurroundings): Promise<OpenPolicy> {
  const { trust, logger } = surroundings;
  const options = { signers: policySignersOf(trust.requirements), deadlineMs: config.limits.policyDeadlineMs };
  const { policySource } = config;
  if (policySource?.url !== undefined) {
    const source = await sourceOf(policySource, policySource.url, options, surroundings);
    return { pdp: source.pdp, source, settle: () => source.settle() };
  }
  const directory = config.policy ?? defaultPolicyDirectory();
  const keys = policySource === undefined ? null : await readKeys(policySource);
  const open = async (): Promise<Pdp> => (keys === null ? openPdp({ ...options, directory }) : runBundle(withoutRevision(await openOpaBundle(await filesOfDirectory(directory), keys)), options));
  const orAbsent = async (): Promise<Pdp> => {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof EngineFault)) throw error;
      logger.error({ code: error.code, directory }, `no policy is in force, so nothing is given: ${error.message}`);
      return absentPdp(error.message);
    }
  };
  const first = await orAbsent();
  const isAsked = config.policyActivation !== undefined || trust.requirements.policyActivation !== undefined;
  return isAsked ? governedFolder(first, orAbsent, logger) : { pdp: first, source: null, settle: async () => undefined };
}

/** The bundle of a folder, of which people are asked: while none is in force it is offered again, as it is in the folder then. */
function governedFolder(first: Pdp, open: () => Promise<Pdp>, logger: Logger): OpenPolicy {
  const pdp = livePdp(first, (error) => logger.warn({ error: String(error) }, 'a policy that was replaced was not closed in order'));
  let settling: Promise<void> = Promise.resolve();
  const offer = async ({ proposeBundle, activateBundle }: Activation): Promise<void> => {
    if (pdp.bundle !== null) return;
    const next = await open();
    let isLet = false;
    try {
      isLet = next.bundle !== null && (await proposeBundle(next)) === null;
      // Nothing that policy has answered waits to be recorded at the beginning of a turn.
      await new Promise(setImmediate);
      if (isLet) await activateBundle(next);
    } catch (error) {
      isLet = false;
      throw error;
    } finally {
      if (!isLet) await next.close();
    }
  };
  return {
    pdp, source: null,
    settle(activation) {
      settling = settling.catch(() => undefined).then(() => offer(activation));
      return settling;
    },
  };
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
