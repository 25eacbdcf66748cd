/**
 * By what a worker can have things proven to it, and its floors: told to a sidecar that asks. Nobody has signed it. A sidecar uses a standing approval only
 * where every worker that is there says that it counts one, and asks people everywhere else; nothing is given by it, since the worker decides for itself.
 */
import { z } from 'zod';
import { floorSchema } from './trust.ts';
import { runSchema } from './worker-state.ts';

/** The kinds of proof that came after the first release. */
const PROOFS = ['standing'] as const;

export const workerKnowsSchema = z.strictObject({
  run: runSchema,
  /** Kinds of proof beside a person's own approval. What a sidecar does not know of them it passes over: a later worker may name more. */
  proofs: z.array(z.string().regex(/^[a-zA-Z]{1,40}$/)).max(32),
  /** Of its `requirements.json`. */
  floors: z.array(floorSchema).max(256),
});
export type WorkerKnows = z.infer<typeof workerKnowsSchema>;

/** What a worker of this version knows, with these floors. */
export function workerKnows(run: string, floors: WorkerKnows['floors']): WorkerKnows {
  return { run, proofs: [...PROOFS], floors };
}

export function knowsProof({ proofs }: WorkerKnows, proof: (typeof PROOFS)[number]): boolean {
  return proofs.includes(proof);
}
