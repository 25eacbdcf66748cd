/** The PDP without threads. It loads the WASM host, which a sidecar leaves to its policy threads. */
import type { Bundle } from './bundle.ts';
import { answering, type Pdp } from './engine.ts';
import { createEvaluator } from './evaluator.ts';

/**
 * The answers of `openPdp`, evaluated in this thread at the call: no timers and no threads, so a simulation stays deterministic. An evaluation
 * that does not end is not ended: never for policy that others wrote.
 *
 * @throws EngineFault `unknown-builtin` or `bad-bundle`
 */
export function inlinePdp(bundle: Bundle, options: { readonly inputBytesMax?: number } = {}): Pdp {
  const evaluator = createEvaluator(bundle.image);
  return answering(bundle, options.inputBytesMax, (entrypoint, input) => evaluator.evaluate(entrypoint, input), () => Promise.resolve());
}
