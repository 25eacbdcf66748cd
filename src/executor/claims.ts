/**
 * Which of an executor's workers acts under a lease. One claim per lease, shared by giving and taking back: a worker that takes back learns
 * until when another's attempt may still arrive, and one that would give learns that it is over.
 *
 * Claims keep workers out of each other's way and authorise nothing: what gives needs one besides its receipt, and what takes back waits for
 * none longer than two seconds.
 */
import { z } from 'zod';
import type { Clock } from '../engine/ports.ts';
import { TargetError } from './connector.ts';
import { within } from './deadline.ts';

/** The name of one worker: its lease book's, so that a restart does not change it. */
export const workerIdSchema = z.string().regex(/^[0-9a-f]{16}$/);

/**
 * `giving`: an attempt may arrive until `untilMs`. `clearing`: the same, and what another left is undone first. `given`: an attempt had its
 * effect, which is this worker's to report. `replacing`: the old access may be shut out, so that what was given is not taken back by itself.
 * `ended`: taken back, or being; what another sent before may still arrive until `untilMs`.
 */
export const claimSchema = z.strictObject({
  v: z.literal(1), worker: workerIdSchema, state: z.enum(['giving', 'clearing', 'given', 'replacing', 'ended']),
  /** Epoch ms; 0 where nothing is on its way. */
  untilMs: z.int().min(0),
});
export type Claim = z.infer<typeof claimSchema>;

/** A claim and its place, by which the next one is fenced; `sequence` 0 where there is none. */
export interface HeldClaim {
  readonly claim: Claim | null;
  readonly sequence: number;
}

/** Where the workers of one executor see each other's claims. */
export interface ClaimBoard {
  /** @throws TransportError `unreachable` */
  read(leaseId: string): Promise<HeldClaim>;
  /** The sequence of the claim, now the newest; null where another was newer than `after`: nothing was changed. @throws TransportError `unreachable` */
  post(leaseId: string, claim: Claim, after: number): Promise<number | null>;
}

/** `mine`: act. `cleared first`: undo what another may have left, say {@link Claims.cleared}, act. `elsewhere`: another's, until `untilMs` or for good. */
export type Turn = { readonly whose: 'mine' | 'cleared first' | 'ended' } | { readonly whose: 'elsewhere'; readonly untilMs: number };

export interface Claims {
  /**
   * Claims what is free, one's own, or abandoned.
   *
   * @param untilMs when what is sent under it can arrive no more, for `giving`; it lapses then
   * @throws TargetError `unreachable`
   */
  take(leaseId: string, state: 'giving' | 'given' | 'replacing', untilMs: number): Promise<Turn>;
  /** What another may have left is undone. @throws TargetError `unreachable` */
  cleared(leaseId: string, untilMs: number): Promise<void>;
  /** Whether another worker has begun under this lease. @throws TargetError `unreachable` */
  isElsewhere(leaseId: string): Promise<boolean>;
  /**
   * Nothing is given any more under the lease, by anybody. Waits no longer than two seconds; what could not be said is said by {@link tell}.
   *
   * @param ordered by a person: then it is done whatever is being replaced
   * @returns when another's attempt can arrive no more, in epoch ms, 0 for none known; `kept` where it must not be taken back by itself
   */
  end(leaseId: string, ordered: boolean): Promise<number | 'kept'>;
  /** Says what is over and could not be said. @throws TargetError `unreachable` */
  tell(): Promise<void>;
}

/** Of an executor with one worker. */
export const noClaims: Claims = {
  take: () => Promise.resolve({ whose: 'mine' }), cleared: () => Promise.resolve(), isElsewhere: () => Promise.resolve(false),
  end: () => Promise.resolve(0), tell: () => Promise.resolve(),
};

const CONFLICTS_MAX = 8;
const END_MS = 2_000;

export interface ClaimsOptions {
  readonly board: ClaimBoard;
  readonly worker: string;
  readonly clock: Clock;
  /** Leases whose end others may not have heard of, and who is to know that they can. */
  readonly untold: Iterable<string>;
  readonly told: (leaseId: string) => void;
}

export function openClaims({ board, worker, clock, untold, told }: ClaimsOptions): Claims {
  const toTell = new Set(untold);

  /** Reads, says what comes of it, posts that, and begins again where another was faster. */
  const change = async <T>(leaseId: string, next: (claim: Claim | null) => { readonly post: Claim | null; readonly result: T }): Promise<T> => {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const held = await asTarget(() => board.read(leaseId));
      const { post, result } = next(held.claim);
      if (post === null || (await asTarget(() => board.post(leaseId, post, held.sequence))) !== null) return result;
    }
    throw new TargetError('unreachable', 'the claims of this lease change too often');
  };
  const end = (leaseId: string, ordered: boolean): Promise<number | 'kept'> => change<number | 'kept'>(leaseId, (claim) => {
    if (claim?.state === 'ended') return { post: null, result: claim.untilMs };
    const isAnothers = claim !== null && claim.worker !== worker;
    if (isAnothers && claim.state === 'replacing' && !ordered) return { post: null, result: 'kept' };
    const untilMs = isAnothers ? claim.untilMs : 0;
    return { post: { v: 1, worker, state: 'ended', untilMs }, result: untilMs };
  });

  return {
    take: (leaseId, state, untilMs) => change<Turn>(leaseId, (claim) => {
      const mine: Claim = { v: 1, worker, state, untilMs: state === 'giving' ? untilMs : 0 };
      if (claim === null) return { post: mine, result: { whose: 'mine' } };
      if (claim.state === 'ended') return { post: null, result: { whose: 'ended' } };
      const isMine = claim.worker === worker;
      if (!isMine && (claim.untilMs === 0 || claim.untilMs > clock.nowMs())) return { post: null, result: { whose: 'elsewhere', untilMs: claim.untilMs } };
      if (!isMine || claim.state === 'clearing') return { post: { v: 1, worker, state: 'clearing', untilMs }, result: { whose: 'cleared first' } };
      const isSaid = claim.state === 'replacing' || (claim.state === 'given' && state === 'given');
      return { post: isSaid ? null : mine, result: { whose: 'mine' } };
    }),
    cleared: (leaseId, untilMs) => change(leaseId, (claim) => ({
      post: claim?.worker === worker && claim.state === 'clearing' ? { v: 1, worker, state: 'giving', untilMs } : null, result: undefined,
    })),
    isElsewhere: async (leaseId) => {
      const { claim } = await asTarget(() => board.read(leaseId));
      return claim !== null && claim.worker !== worker;
    },
    async end(leaseId, ordered) {
      try {
        const quietAtMs = await within(clock, END_MS, () => end(leaseId, ordered));
        toTell.delete(leaseId);
        if (quietAtMs !== 'kept') told(leaseId);
        return quietAtMs;
      } catch {
        toTell.add(leaseId);
        return 0;
      }
    },
    async tell() {
      for (const leaseId of toTell) {
        await end(leaseId, true);
        toTell.delete(leaseId);
        told(leaseId);
      }
    },
  };
}

/** A bus that does not answer is to a step what a target is that does not: it waits, for as long as its ticket is good. */
async function asTarget<T>(asked: () => Promise<T>): Promise<T> {
  try {
    return await asked();
  } catch (cause) {
    throw new TargetError('unreachable', 'the claims of this executor cannot be read', { cause });
  }
}
