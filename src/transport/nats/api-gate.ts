/** Which sealed calls are looked at: no more than the sidecar has time for, and none twice. */
import { CALL_MS_MAX, isCallGood, type ApiCall, type CallRefusal } from '../../protocol/api-call.ts';

/** Opening what comes costs a millisecond of the process that also takes access back: more than this is refused unopened. */
const BURST = 200;
const EACH_SECOND = 100;
/** Calls that are being answered, those included that wait for something to happen. */
const AT_ONCE_MAX = 256;

export interface ApiGate {
  /** Whether there is time for another, which counts until {@link left}. */
  mayEnter(): boolean;
  left(): void;
  /** null: it is good, and has not come before. */
  refusalOf(call: Pick<ApiCall, 'id' | 'expiresAt'>): CallRefusal | null;
}

/**
 * Remembers each call until it is good no more. Nothing outlives the process, and nothing needs to: the key that calls are sealed to does not either.
 */
export function createApiGate(nowMs: () => number): ApiGate {
  let tokens = BURST;
  let atMs = nowMs();
  let inside = 0;
  /** In the order in which they came: what is forgotten is at the front. */
  const seen = new Map<string, number>();
  return {
    mayEnter() {
      const now = nowMs();
      tokens = Math.min(BURST, tokens + (Math.max(0, now - atMs) / 1000) * EACH_SECOND);
      atMs = now;
      if (tokens < 1 || inside >= AT_ONCE_MAX) return false;
      tokens -= 1;
      inside += 1;
      return true;
    },
    left() {
      inside -= 1;
    },
    refusalOf(call) {
      const now = nowMs();
      // No call is good for longer than this after it came, whatever it says itself.
      for (const [id, cameMs] of seen) {
        if (now - cameMs <= CALL_MS_MAX) break;
        seen.delete(id);
      }
      if (seen.has(call.id)) return 'replayed';
      if (!isCallGood(call, now)) return 'outside-window';
      seen.set(call.id, now);
      return null;
    },
  };
}
