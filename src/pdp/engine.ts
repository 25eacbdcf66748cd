/** The policy decision point (NIST SP 800-162): questions in, validated answers out, or an {@link EngineFault}, which decides nothing. */
import type { Verifier } from '../../ledger/index.ts';
import type { Acceptance, Decision, Redecision, Verification } from '../protocol/decision.ts';
import { bundleSigner } from '../protocol/policy-bundle.ts';
import { asAcceptance, asDecision, asProposal, asRedecision, asSchedule, asVerification } from './answers.ts';
import { readBundle, type Bundle, type BundleEvidence, type Entrypoint } from './bundle.ts';
import { EngineFault } from './fault.ts';
import { INPUT_BYTES_MAX, type AcceptInput, type ChangeInput, type Proposal, type ReconcileInput, type Schedule, type VerificationInput } from './policy-input.ts';
import { Pool, type PoolLimits } from './pool.ts';

export { EngineFault, type EngineFaultCode } from './fault.ts';

/** Every method rejects with an {@link EngineFault} and nothing else. */
export interface Pdp {
  /** Digest of the bundle that answers; null where none is loaded. */
  readonly bundle: string | null;
  /** Its bytes, for the ledger to keep; left out where there are none to show. */
  readonly evidence?: BundleEvidence | undefined;
  /** What it is called where it came from, where that says what is newer; left out where nobody says. */
  readonly revision?: string | undefined;
  /** May this change go ahead, and who must approve? */
  decide(input: ChangeInput): Promise<Decision>;
  /** Which maintenance window must this change use? Asked before there is a plan; the answer is one of the windows in the question, or none. */
  schedule(input: ChangeInput): Promise<Schedule>;
  /** Is the state that was read after the effect what was decided? */
  verify(input: VerificationInput): Promise<Verification>;
  /** What is to be proposed where a target is not as it is recorded? */
  reconcile(input: ReconcileInput): Promise<Proposal>;
  /** Would what runs under this lease be given again? The question of `decide` in phase `lease`. */
  redecide(input: ChangeInput): Promise<Redecision>;
  /** May this person approve this plan? */
  accept(input: AcceptInput): Promise<Acceptance>;
  close(): Promise<void>;
}

const LIMITS: PoolLimits = { deadlineMs: 1_000, waitMs: 10_000, loadDeadlineMs: 15_000, workersMax: 2, waitingMax: 4_096 };

export type PdpOptions = Partial<PoolLimits> & {
  /** The directory of the compiled bundle. */
  readonly directory: string;
  /** Whose bundles are run; none: anybody's. */
  readonly signers?: readonly Verifier[];
  readonly inputBytesMax?: number;
};

/**
 * A PDP whose bundle is whole, runs on this runtime, and is evaluated in threads that are killed at the deadline.
 *
 * @throws EngineFault `no-policy`, `bundle-tampered`, `bundle-unsigned`, `bad-bundle`, `unknown-builtin`, or `timed-out` while loading; no thread is left.
 */
export async function openPdp(options: PdpOptions): Promise<Pdp> {
  return runBundle(await readBundle(options.directory), options);
}

/** The same, of a bundle that was read already. @throws EngineFault as {@link openPdp} */
export async function runBundle(bundle: Pick<Bundle, 'digest' | 'evidence' | 'image'> & { readonly revision?: string }, options: Omit<PdpOptions, 'directory'>): Promise<Pdp> {
  const { signers = [] } = options;
  if (signers.length > 0 && bundleSigner(bundle.evidence.signature, bundle.digest, signers) === null) {
    throw new EngineFault('bundle-unsigned', `no policy signer of the trust folder has signed bundle ${bundle.digest}`);
  }
  const limits: PoolLimits = {
    deadlineMs: options.deadlineMs ?? LIMITS.deadlineMs,
    waitMs: options.waitMs ?? LIMITS.waitMs,
    loadDeadlineMs: options.loadDeadlineMs ?? LIMITS.loadDeadlineMs,
    workersMax: options.workersMax ?? LIMITS.workersMax,
    waitingMax: options.waitingMax ?? LIMITS.waitingMax,
    aheadMax: options.aheadMax ?? 0,
  };
  const pool = new Pool(bundle.image, limits);
  try {
    await pool.start();
  } catch (cause) {
    await pool.close();
    throw cause;
  }
  return answering(bundle, options.inputBytesMax, (entrypoint, input) => pool.evaluate(entrypoint, input), () => pool.close());
}

/** The PDP of a sidecar that has no policy: every question is a fault, so nothing is gained. */
export function absentPdp(reason = 'no policy bundle is loaded'): Pdp {
  const none = (): Promise<never> => Promise.reject(new EngineFault('no-policy', reason));
  return { bundle: null, decide: none, schedule: none, verify: none, reconcile: none, redecide: none, accept: none, close: () => Promise.resolve() };
}

/** Questions put to `evaluate` as text, and its answers looked at before anybody gets them. */
export function answering(
  { digest, evidence, revision }: Pick<Bundle, 'digest' | 'evidence'> & { readonly revision?: string },
  inputBytesMax: number = INPUT_BYTES_MAX,
  evaluate: (entrypoint: Entrypoint, input: string) => unknown,
  close: () => Promise<void>,
): Pdp {
  const ask = async (entrypoint: Entrypoint, input: object): Promise<unknown> => {
    const text = JSON.stringify(input);
    const bytes = Buffer.byteLength(text);
    if (bytes > inputBytesMax) throw new EngineFault('input-too-large', `an input of ${bytes} bytes is more than ${inputBytesMax}`);
    return evaluate(entrypoint, text);
  };
  return {
    bundle: digest,
    evidence,
    ...(revision === undefined ? {} : { revision }),
    decide: async (input) => asDecision(await ask('access/decide', input)),
    schedule: async (input) => asSchedule(await ask('access/schedule', input), input),
    verify: async (input) => asVerification(await ask('access/verify', input)),
    reconcile: async (input) => asProposal(await ask('access/reconcile', input)),
    redecide: async (input) => asRedecision(await ask('access/redecide', input)),
    accept: async (input) => asAcceptance(await ask('workflow/accept', input)),
    close,
  };
}
