/**
 * The claims of an executor's workers, in a stream of their own: the newest message of a lease's subject is its claim, and each is posted
 * after the one that was read, or not at all.
 */
import { jetstream, JetStreamApiError, jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import { canonicalBytes, parseStrict } from '../../../ledger/index.ts';
import { TransportError } from '../../engine/ports.ts';
import { claimSchema, type Claim, type ClaimBoard } from '../../executor/claims.ts';
import { API_PREFIX, claim, NOT_THE_LAST, STREAMS } from './bus-layout.ts';
import type { Bus } from './connection.ts';

/** Short: a revoke waits for a claim no longer than two seconds. */
const ANSWER_MS = 900;

export function natsClaimBoard(bus: Bus, lane: string): ClaimBoard {
  const unreachable = (cause: unknown): TransportError => new TransportError('unreachable', 'the claims of this lane cannot be reached', { cause });
  return {
    async read(leaseId) {
      let found: StoredMsg | null;
      try {
        const manager = await jetstreamManager(bus.up(), { apiPrefix: API_PREFIX, checkAPI: false, timeout: ANSWER_MS });
        found = await manager.direct.getMessage(STREAMS.claims, { last_by_subj: claim(lane, leaseId) });
      } catch (error) {
        if (error instanceof JetStreamApiError && error.status === 404) return { claim: null, sequence: 0 };
        throw error instanceof TransportError ? error : unreachable(error);
      }
      if (found === null) return { claim: null, sequence: 0 };
      return { claim: parseClaim(found.data), sequence: found.seq };
    },
    async post(leaseId, posted, after) {
      try {
        const { seq } = await jetstream(bus.up(), { apiPrefix: API_PREFIX, checkAPI: false })
          .publish(claim(lane, leaseId), canonicalBytes(posted), { timeout: ANSWER_MS, expect: { lastSubjectSequence: after } });
        return seq;
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === NOT_THE_LAST) return null;
        throw error instanceof TransportError ? error : unreachable(error);
      }
    },
  };
}

/** @throws TransportError where it is none: then nobody gives under that lease, and what was given ends without claims */
function parseClaim(bytes: Uint8Array): Claim {
  const parsed = claimSchema.safeParse(parseStrict(bytes, { maxBytes: 1_024 }));
  if (!parsed.success) throw new TransportError('rejected', 'what is on the board is no claim');
  return parsed.data;
}
