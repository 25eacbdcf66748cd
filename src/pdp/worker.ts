/** The thread that policy runs in: one question at a time, and no way out but its answer. */
import { parentPort, workerData } from 'node:worker_threads';
import { createEvaluator, type Evaluator, type PolicyImage } from './evaluator.ts';
import { EngineFault, type EngineFaultCode } from './fault.ts';

/** `id` tells answers apart; `0` answers the loading itself. */
export interface Question {
  readonly id: number;
  readonly entrypoint: string;
  readonly input: string;
}
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: EngineFaultCode; readonly message: string };

function fault(id: number, cause: unknown): Answer {
  if (cause instanceof EngineFault) return { id, fault: cause.code, message: cause.message };
  return { id, fault: 'policy-threw', message: cause instanceof Error ? cause.message : 'something that is not an error' };
}

function attempt(id: number, evaluate: () => unknown): Answer {
  try {
    return { id, value: evaluate() };
  } catch (cause) {
    return fault(id, cause);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  let evaluator: Evaluator | null = null;
  const loaded = attempt(0, () => {
    evaluator = createEvaluator(workerData as PolicyImage);
    return true;
  });
  port.postMessage(loaded);
  port.on('message', (question: Question) => {
    port.postMessage(attempt(question.id, () => {
      if (evaluator === null) throw new EngineFault('bad-bundle', 'the policy was not loaded');
      return evaluator.evaluate(question.entrypoint, question.input);
    }));
  });
}
