/**
 * Loads a trust folder, and reads the floor off it. What is loaded here is believed; so everything in it is checked now, and anything
 * doubtful is refused with the name of the file and the place in it.
 */
import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { canonicalBytes, digestOf, JsonError, LedgerError, logIdOf, parseStrict, parseTrustPolicy, parseVerifier, type TrustPolicy, type Verifier } from '../../ledger/index.ts';
import { AllowedSignersError, parseAllowedSigners, type AllowedSigners } from './allowed-signers.ts';
import { meets } from './decision.ts';
import { passkeysFileSchema, passkeysOf, PasskeysError, type Passkeys } from './passkeys.ts';
import { givesAccess, type PlanStep } from './plan.ts';
import type { FloorDemand } from './sufficiency.ts';
import { executorsFileSchema, requirementsFileSchema, sidecarsFileSchema, type Floor, type RequirementsFile } from './trust.ts';

/** What a verifier or an executor believes. */
export interface Trust {
  /** Logs, witnesses and quorum. */
  readonly policy: TrustPolicy;
  /** Ticket keys by log id: never a key of the log itself. Empty where only a `trust.policy` was given. */
  readonly sidecars: ReadonlyMap<string, readonly Verifier[]>;
  /** Report keys, and the connectors each executor may speak for. */
  readonly executors: ReadonlyMap<string, TrustedExecutor>;
  readonly requirements: RequirementsFile;
  /** Whose SSH keys approve; nobody's where the folder has no such file. */
  readonly signers: AllowedSigners;
  /** Whose passkeys approve; nobody's where the folder has no such file. */
  readonly passkeys: Passkeys;
}

export interface LoadedTrust extends Trust {
  /** Names what was loaded: the digest of its files, see {@link trustDigest}. */
  readonly digest: string;
}

export interface TrustedExecutor {
  readonly key: Verifier;
  readonly connectors: readonly string[];
}

/** The texts of a trust folder's files. All but `trust.policy` may be absent only together. */
export interface TrustTexts {
  readonly policy: string;
  readonly rest: {
    readonly sidecars: string; readonly executors: string; readonly requirements: string;
    /** null: there is none. */
    readonly signers?: string | null;
    /** null: there is none. */
    readonly passkeys?: string | null;
  } | null;
}

/** A trust folder that cannot be believed: which file, where in it (a JSON pointer, or empty), and why. Nothing was loaded. */
export class TrustError extends Error {
  readonly file: string;
  readonly pointer: string;
  constructor(file: string, pointer: string, message: string, options?: ErrorOptions) {
    super(`${file}${pointer === '' ? '' : ` at ${pointer}`}: ${message}`, options);
    this.name = 'TrustError';
    this.file = file;
    this.pointer = pointer;
  }
}

const POLICY = 'trust.policy';
const SIDECARS = 'sidecars.json';
const EXECUTORS = 'executors.json';
const REQUIREMENTS = 'requirements.json';
const SIGNERS = 'allowed_signers';
const PASSKEYS = 'passkeys.json';
const NO_REQUIREMENTS: RequirementsFile = { v: 1, floors: [], revokers: [], clockSkewMs: 0 };

/**
 * The trust in a folder, or in a lone `trust.policy` file; the latter says only whose checkpoints to believe.
 *
 * @param options.actedOn access is given by it: then neither it nor a file in it may be one that everybody can write to
 * @throws TrustError; then nothing is trusted
 */
export async function loadTrustFolder(path: string, options: { readonly actedOn?: boolean } = {}): Promise<LoadedTrust> {
  const info = await statOf(path);
  const mayBeThere = async (name: string): Promise<boolean> => !info.isFile() && await exists(join(path, name));
  const [hasSigners, hasPasskeys] = [await mayBeThere(SIGNERS), await mayBeThere(PASSKEYS)];
  if (options.actedOn === true) {
    const files = info.isFile() ? [] : [POLICY, SIDECARS, EXECUTORS, REQUIREMENTS, ...(hasSigners ? [SIGNERS] : []), ...(hasPasskeys ? [PASSKEYS] : [])].map((name) => join(path, name));
    for (const one of [path, ...files]) {
      const { mode } = await statOf(one);
      if ((mode & 0o002) !== 0) throw new TrustError(one, '', `everybody can write to it, and so say whom to trust: chmod o-w ${one}`);
    }
  }
  if (info.isFile()) return parseTrust({ policy: await readText(path), rest: null });
  const [policy, sidecars, executors, requirements] = await Promise.all(
    [POLICY, SIDECARS, EXECUTORS, REQUIREMENTS].map((name) => readText(join(path, name))),
  ) as [string, string, string, string];
  const [signers, passkeys] = [hasSigners ? await readText(join(path, SIGNERS)) : null, hasPasskeys ? await readText(join(path, PASSKEYS)) : null];
  return parseTrust({ policy, rest: { sidecars, executors, requirements, signers, passkeys } });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    // Any other answer than that there is none, and nobody can say whom it lists.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new TrustError(path, '', 'cannot be read', { cause });
  }
}

function statOf(path: string): Promise<Stats> {
  return stat(path).catch((cause: unknown) => {
    throw new TrustError(path, '', 'cannot be read', { cause });
  });
}

/** The trust that the texts of a folder's files state. Pure. @throws TrustError */
export function parseTrust(texts: TrustTexts): LoadedTrust {
  const policy = parsePolicy(texts.policy);
  const digest = trustDigest(texts);
  if (texts.rest === null) return { policy, sidecars: new Map(), executors: new Map(), requirements: NO_REQUIREMENTS, signers: new Map(), passkeys: new Map(), digest };
  const sidecars = sidecarsOf(parseFile(SIDECARS, texts.rest.sidecars, sidecarsFileSchema), policy);
  const requirements = checkedRequirements(parseFile(REQUIREMENTS, texts.rest.requirements, requirementsFileSchema));
  checkPolicySigners(requirements, [...policy.logs.map(({ verifier }) => verifier), ...[...sidecars.values()].flat()]);
  const executors = executorsOf(parseFile(EXECUTORS, texts.rest.executors, executorsFileSchema));
  return { policy, sidecars, executors, requirements, signers: signersOf(texts.rest.signers ?? null), passkeys: passkeysIn(texts.rest.passkeys ?? null), digest };
}

/** The digest of the RFC 8785 object in which each file's name has the digest of its bytes: any change of any file is another trust. */
export function trustDigest({ policy, rest }: TrustTexts): string {
  const files: [string, string][] = [[POLICY, policy], ...(rest === null ? [] : [[SIDECARS, rest.sidecars], [EXECUTORS, rest.executors], [REQUIREMENTS, rest.requirements], ...(rest.signers == null ? [] : [[SIGNERS, rest.signers]]), ...(rest.passkeys == null ? [] : [[PASSKEYS, rest.passkeys]])] as [string, string][])];
  return digestOf(canonicalBytes(Object.fromEntries(files.map(([name, text]) => [name, digestOf(Buffer.from(text, 'utf8'))]))));
}

/** The principal and key that may revoke under the name `keyName` (`name+xxxxxxxx`); null where the floor lists none. */
export function revokerOf(requirements: RequirementsFile, keyName: string): { readonly principal: string; readonly key: Verifier } | null {
  const listed = requirements.revokers.find(({ key }) => key.startsWith(`${keyName}+`));
  return listed === undefined ? null : { principal: listed.principal, key: parseVerifier(listed.key) };
}

/** Where no floor matches: one approval by session. Silence is not consent. */
const SILENT: FloorDemand = { quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null };

/**
 * What the floor asks for an effect: the strictest of all that match, privilege by privilege; a privilege that none matches asks for
 * {@link SILENT}. Lists of approvers are intersected: where they share nobody, a quorum above 0 cannot be met, and the effect is refused.
 */
export function floorFor(
  requirements: Pick<RequirementsFile, 'floors'>, effect: { readonly connector: string; readonly target: string; readonly privileges: readonly string[] },
): FloorDemand {
  const matches = (floor: Floor, privilege: string): boolean =>
    (floor.connector === '*' || floor.connector === effect.connector) && (floor.target === '*' || floor.target === effect.target)
    && (floor.privilege === '*' || floor.privilege === privilege);
  // What names no privilege is about the whole account: only floors for any privilege speak of it.
  const privileges = effect.privileges.length === 0 ? [''] : effect.privileges;
  const demands = privileges.flatMap((privilege): FloorDemand[] => {
    const matching = requirements.floors.filter((floor) => matches(floor, privilege));
    return matching.length > 0 ? matching : [SILENT];
  });
  const [first = SILENT, ...others] = demands;
  return others.reduce(stricter, demandOf(first));
}

/**
 * The floor under one step: null for one that gives nothing, since a floor is about what is gained (invariant 9). A new secret for what
 * stands already adds no access, so no limit on leases applies to it.
 */
export function floorOf(requirements: Pick<RequirementsFile, 'floors'>, step: Pick<PlanStep, 'action' | 'connector' | 'target' | 'privileges'>): FloorDemand | null {
  if (!givesAccess(step.action)) return null;
  const floor = floorFor(requirements, step);
  return step.action === 'provision' || step.action === 'grant' || step.action === 'extend' ? floor : { ...floor, maxLeaseSeconds: null };
}

function demandOf({ quorum, proofClass, approvers, maxLeaseSeconds, standing = false }: FloorDemand): FloorDemand {
  return { quorum, proofClass, approvers, maxLeaseSeconds, standing };
}

function stricter(a: FloorDemand, b: FloorDemand): FloorDemand {
  return {
    quorum: Math.max(a.quorum, b.quorum),
    proofClass: meets(a.proofClass, b.proofClass) ? a.proofClass : b.proofClass,
    approvers: a.approvers === null ? b.approvers : b.approvers === null ? a.approvers : a.approvers.filter((one) => b.approvers!.includes(one)),
    maxLeaseSeconds: a.maxLeaseSeconds === null ? b.maxLeaseSeconds : b.maxLeaseSeconds === null ? a.maxLeaseSeconds : Math.min(a.maxLeaseSeconds, b.maxLeaseSeconds),
    standing: a.standing === true && b.standing === true,
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TrustError(path, '', 'cannot be read', { cause });
  }
}

function parsePolicy(text: string): TrustPolicy {
  try {
    return parseTrustPolicy(text);
  } catch (cause) {
    throw cause instanceof LedgerError ? new TrustError(POLICY, '', cause.message, { cause }) : cause;
  }
}

function parseFile<T>(file: string, text: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = parseStrict(Buffer.from(text, 'utf8'));
  } catch (cause) {
    throw cause instanceof JsonError ? new TrustError(file, cause.pointer, cause.message, { cause }) : cause;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TrustError(file, issue === undefined ? '' : issue.path.map((part) => `/${String(part)}`).join(''), issue?.message ?? 'not what it should be');
}

function signersOf(text: string | null): AllowedSigners {
  try {
    return parseAllowedSigners(text ?? '');
  } catch (cause) {
    throw cause instanceof AllowedSignersError ? new TrustError(SIGNERS, '', cause.message, { cause }) : cause;
  }
}

function passkeysIn(text: string | null): Passkeys {
  try {
    return passkeysOf(text === null ? [] : parseFile(PASSKEYS, text, passkeysFileSchema));
  } catch (cause) {
    throw cause instanceof PasskeysError ? new TrustError(PASSKEYS, cause.pointer, cause.message, { cause }) : cause;
  }
}

function parseKey(file: string, pointer: string, vkey: string): Verifier {
  try {
    const key = parseVerifier(vkey);
    // Type 01: Ed25519 over the bytes themselves. A witness key (04) signs another message.
    if (key.type !== 1) throw new TrustError(file, pointer, 'not an Ed25519 key of type 01');
    return key;
  } catch (cause) {
    throw cause instanceof LedgerError ? new TrustError(file, pointer, cause.message, { cause }) : cause;
  }
}

const hex = (key: Verifier): string => Buffer.from(key.publicKey).toString('hex');

function sidecarsOf(entries: z.infer<typeof sidecarsFileSchema>, policy: TrustPolicy): Map<string, Verifier[]> {
  const logKeys = new Set(policy.logs.map(({ verifier }) => hex(verifier)));
  const sidecars = new Map<string, Verifier[]>();
  entries.forEach(({ origin, key }, i) => {
    const verifier = parseKey(SIDECARS, `/${i}/key`, key);
    if (!policy.logs.some((log) => log.verifier.name === origin)) throw new TrustError(SIDECARS, `/${i}/origin`, `${POLICY} lists no log with the origin ${origin}`);
    // Whoever holds the log's key could then write a ticket and its receipt; two keys keep those two powers apart.
    if (logKeys.has(hex(verifier))) throw new TrustError(SIDECARS, `/${i}/key`, 'this is a key of the log: tickets need a key of their own');
    const keys = sidecars.get(logIdOf(origin)) ?? [];
    if (keys.some((known) => known.keyName === verifier.keyName)) throw new TrustError(SIDECARS, `/${i}/key`, 'a key that is listed already');
    sidecars.set(logIdOf(origin), [...keys, verifier]);
  });
  return sidecars;
}

function executorsOf(entries: z.infer<typeof executorsFileSchema>): Map<string, TrustedExecutor> {
  const executors = new Map<string, TrustedExecutor>();
  entries.forEach(({ id, key, connectors }, i) => {
    if (executors.has(id)) throw new TrustError(EXECUTORS, `/${i}/id`, `${id} is listed already`);
    executors.set(id, { key: parseKey(EXECUTORS, `/${i}/key`, key), connectors });
  });
  return executors;
}

function checkedRequirements(requirements: RequirementsFile): RequirementsFile {
  const seen = new Set<string>();
  requirements.revokers.forEach(({ key }, i) => {
    const verifier = parseKey(REQUIREMENTS, `/revokers/${i}/key`, key);
    // A key with two owners would let one revoke in the other's name.
    if (seen.has(hex(verifier)) || seen.has(verifier.keyName)) throw new TrustError(REQUIREMENTS, `/revokers/${i}/key`, 'a key that is listed already');
    seen.add(hex(verifier)).add(verifier.keyName);
  });
  return requirements;
}

/** @param sidecars the keys that a sidecar's host holds */
function checkPolicySigners({ policySigners = [] }: RequirementsFile, sidecars: readonly Verifier[]): void {
  const seen = new Set<string>();
  policySigners.forEach((key, i) => {
    const verifier = parseKey(REQUIREMENTS, `/policySigners/${i}`, key);
    if (seen.has(hex(verifier)) || seen.has(verifier.keyName)) throw new TrustError(REQUIREMENTS, `/policySigners/${i}`, 'a key that is listed already');
    // A sidecar that could sign its own policy would be held to nothing by it.
    if (sidecars.some((one) => hex(one) === hex(verifier))) throw new TrustError(REQUIREMENTS, `/policySigners/${i}`, 'a key that a sidecar holds: policy needs a signer of its own');
    seen.add(hex(verifier)).add(verifier.keyName);
  });
}
