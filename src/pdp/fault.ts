/**
 * Why the policy engine gave no answer. A fault is not a decision: nothing is allowed and nothing is denied by it, the change is held.
 *
 * This file, `evaluator.ts` and `worker.ts` run inside the worker and import nothing else of ours.
 */
export const ENGINE_FAULTS = [
  /** There is no bundle at all. */
  'no-policy',
  /** A file of the bundle is missing, unlisted, or is not the one that the manifest names. */
  'bundle-tampered',
  /** The trust folder names policy signers, and none of them has signed this bundle. */
  'bundle-unsigned',
  /** The bundle is whole but is not one that this engine can run. */
  'bad-bundle',
  /** The module calls a built-in function that the runtime does not provide. */
  'unknown-builtin',
  'input-too-large',
  /** The entrypoint has no value for this input. */
  'undefined-result',
  /** The entrypoint has more than one value. */
  'ambiguous-result',
  /** The module wrote something that is not JSON. */
  'unparsable-result',
  /** The entrypoint is `null`. */
  'null-result',
  /** JSON, but no object: `true`, `"allow"`, a list. */
  'not-an-object',
  /** More than any answer may hold. */
  'result-too-large',
  /** An object, but not the answer that the entrypoint owes. */
  'malformed-result',
  /** The evaluation was aborted, trapped or ran out of memory. */
  'policy-threw',
  /** No answer by the deadline; the worker was killed. */
  'timed-out',
  /** Too many questions wait already. */
  'overloaded',
  /** The worker ended by itself. */
  'crashed',
  'closed',
] as const;
export type EngineFaultCode = (typeof ENGINE_FAULTS)[number];

/** The engine has no answer, and `code` says why. Whoever asked has been told nothing about the change. */
export class EngineFault extends Error {
  readonly code: EngineFaultCode;
  constructor(code: EngineFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineFault';
    this.code = code;
  }
}

/** Whether `text` is one of the codes: what comes from a worker is data. */
export function isEngineFaultCode(text: unknown): text is EngineFaultCode {
  return ENGINE_FAULTS.some((code) => code === text);
}
