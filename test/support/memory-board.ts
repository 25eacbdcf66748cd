/** A board of claims in memory, which cannot be reached while it is told so. */
import { TransportError } from '../../src/engine/ports.ts';
import type { Claim, ClaimBoard } from '../../src/executor/claims.ts';

export interface MemoryBoard {
  /** As one run of a program sees it: once that has ended, it is never answered. */
  of(run: { readonly alive: boolean }): ClaimBoard;
  isDown: boolean;
  readonly claims: ReadonlyMap<string, Claim>;
  /** Called at every call, before anything happens. */
  watch: (operation: 'claimRead' | 'claimPost') => void;
}

export function memoryBoard(): MemoryBoard {
  const claims = new Map<string, Claim>();
  const sequences = new Map<string, number>();
  let last = 0;
  const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
  const board: MemoryBoard = {
    isDown: false, claims, watch: () => undefined,
    of: (run) => {
      const answered = async <T>(operation: 'claimRead' | 'claimPost', act: () => T): Promise<T> => {
        if (!run.alive) return never();
        board.watch(operation);
        if (board.isDown) throw new TransportError('unreachable', 'the board is down');
        const answer = act();
        await Promise.resolve();
        return stillAlive(run) ? answer : never();
      };
      return {
        read: (leaseId) => answered('claimRead', () => ({ claim: claims.get(leaseId) ?? null, sequence: sequences.get(leaseId) ?? 0 })),
        post: (leaseId, claim, after) => answered('claimPost', () => {
          if ((sequences.get(leaseId) ?? 0) !== after) return null;
          last += 1;
          claims.set(leaseId, claim);
          sequences.set(leaseId, last);
          return last;
        }),
      };
    },
  };
  return board;
}

function stillAlive(run: { readonly alive: boolean }): boolean {
  return run.alive;
}
