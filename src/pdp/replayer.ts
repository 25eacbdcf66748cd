/** Runs recorded policy again: in threads that are killed at a deadline, with the memory and the answers of the engine that ran it first. */
import type { ReplayAnswer, ReplayBundle, ReplayEntrypoint, Replayer } from '../evidence/replay.ts';
import { asAcceptance, asDecision, asProposal, asRedecision, asVerification } from './answers.ts';
import { imageOf } from './bundle.ts';
import { EngineFault, type EngineFaultCode } from './fault.ts';
import { Pool } from './pool.ts';

/** Longer than a sidecar waits: an auditor's machine may be slower, and nobody waits for an answer. */
const DEADLINE_MS = 5_000;
const LOAD_DEADLINE_MS = 15_000;

const SHAPES: Readonly<Record<ReplayEntrypoint, (value: unknown) => unknown>> = { 'access/decide': asDecision, 'access/verify': asVerification, 'access/reconcile': asProposal, 'access/redecide': asRedecision, 'workflow/accept': asAcceptance };
/** Faults that say how this machine fared, and nothing of the policy. */
const STOPPED: ReadonlySet<EngineFaultCode> = new Set(['timed-out', 'crashed', 'overloaded', 'closed']);

export interface ReplayerOptions {
  readonly deadlineMs?: number;
  readonly loadDeadlineMs?: number;
}

export function createReplayer({ deadlineMs = DEADLINE_MS, loadDeadlineMs = LOAD_DEADLINE_MS }: ReplayerOptions = {}): Replayer {
  return {
    async open(bundle: ReplayBundle) {
      let pool: Pool;
      try {
        pool = new Pool(await imageOf(bundle), { deadlineMs, loadDeadlineMs, waitMs: 60 * deadlineMs + loadDeadlineMs, workersMax: 2, waitingMax: 64 });
      } catch (error) {
        if (error instanceof EngineFault) return null;
        throw error;
      }
      try {
        await pool.start();
      } catch (error) {
        await pool.close();
        if (error instanceof EngineFault) return null;
        throw error;
      }
      return {
        async ask(entrypoint, input): Promise<ReplayAnswer> {
          try {
            return { ok: true, value: SHAPES[entrypoint](await pool.evaluate(entrypoint, input)) };
          } catch (error) {
            if (!(error instanceof EngineFault)) throw error;
            return { ok: false, stopped: STOPPED.has(error.code), message: error.code };
          }
        },
        close: () => pool.close(),
      };
    },
  };
}
