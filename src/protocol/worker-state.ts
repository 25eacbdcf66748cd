/** What a worker says of itself beside its reports. Nobody has signed it: it is shown and put on record as said, and decides nothing. */
import { z } from 'zod';
import { REFUSALS, type Refusal } from './signed.ts';

/** So many messages were set aside for this reason since whoever says so began. */
export const refusedSchema = z.strictObject({ code: z.enum(REFUSALS), count: z.int().min(1) });
export type Refused = z.infer<typeof refusedSchema>;

/** A run of a worker, by a name that no other has. */
export const runSchema = z.string().regex(/^[0-9a-f]{16}$/);

export const workerStateSchema = z.strictObject({
  run: runSchema,
  /** Left out where nothing was. */
  refused: z.array(refusedSchema).min(1).max(REFUSALS.length).optional(),
  /** `lease-book`: it cannot be written, so nothing is given; what was given is taken back. */
  trouble: z.literal('lease-book').optional(),
});
export type WorkerState = z.infer<typeof workerStateSchema>;

export interface Tally {
  count(code: Refusal): void;
  /** In the order of the closed set, each with more than none. */
  counted(): Refused[];
}

export function openTally(): Tally {
  const counts = new Map<Refusal, number>();
  return {
    count: (code) => void counts.set(code, (counts.get(code) ?? 0) + 1),
    counted: () => REFUSALS.flatMap((code) => {
      const count = counts.get(code);
      return count === undefined ? [] : [{ code, count }];
    }),
  };
}
