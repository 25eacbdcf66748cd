/** The checkpoints of this log that an executor's workers may have seen last: each has its own, and which of them reads a receipt is not known before. */
import { HEADS_MAX } from '../protocol/envelope.ts';

export interface ExecutorHeads {
  /** Sizes, newest mention first; at most {@link HEADS_MAX}. One that was left out is said again by whoever needs it. */
  of(audience: string): readonly number[];
  saw(audience: string, size: number): void;
}

export function createExecutorHeads(): ExecutorHeads {
  const heads = new Map<string, readonly number[]>();
  const of = (audience: string): readonly number[] => heads.get(audience) ?? [];
  return {
    of,
    saw: (audience, size) => void heads.set(audience, [size, ...of(audience).filter((known) => known !== size)].slice(0, HEADS_MAX)),
  };
}
