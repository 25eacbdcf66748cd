/** Executors of before standing approvals, which are upgraded some time in a run, and set back again. */
import { z } from 'zod';
import type { Worker } from '../../src/executor/worker.ts';
import { stepEnvelopeSchema, type StepEnvelope } from '../../src/protocol/envelope.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { approvalSchema } from '../../src/protocol/signed.ts';
import { EXECUTORS } from './fixtures.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** An approval had nothing to say of a use. */
const ENVELOPE_OF_BEFORE = stepEnvelopeSchema.extend({ approvals: z.array(approvalSchema.omit({ use: true })).max(32) });

/** What such an executor has not learnt to read it turns away, unanswered. */
export function ofBefore({ step }: Pick<Worker, 'step'>): Worker['step'] {
  return async (envelope, traceparent) => {
    const read = ENVELOPE_OF_BEFORE.safeParse(envelope);
    if (!read.success) throw new ProtocolError('malformed', read.error.issues.map(({ message }) => message).join('; '));
    return step(envelope, traceparent);
  };
}

/** The standing approvals that a step names. */
export const usesIn = ({ approvals }: StepEnvelope): string[] => approvals.filter(({ use }) => use !== undefined).map(({ approvalId }) => approvalId);

/** Some are of before at first; each changes its version a few times until `untilMs`, and stays as it is then. */
export function startUpgrades(world: World, rng: Rng, untilMs: number): void {
  const { scheduler } = world;
  for (const { audience } of EXECUTORS) {
    const node = world.executors.get(audience)!;
    node.isOfBefore = rng.chance(0.7);
    for (let left = rng.between(0, 3); left > 0; left -= 1) {
      scheduler.after(rng.between(0, untilMs - scheduler.nowMs()), `${audience} has another version`, () => {
        node.isOfBefore = !node.isOfBefore;
        if (node.process !== null) world.kill(node, 300, 'kill');
      });
    }
  }
}
