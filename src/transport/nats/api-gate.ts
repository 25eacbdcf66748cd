/** Which sealed calls are looked at: no more than the sidecar has time for, and none twice. */
import { CALL_MS_MAX, isCallGood, type ApiCall, type CallRefusal } from '../../protocol/api-call.ts';
import { parseTime } from '../../protocol/values.ts';

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
  /** When each came, and until when it says that it is good. In the order in which they came: what is forgotten is at the front. */
  const seen = new Map<string, { readonly cameMs: number; readonly untilMs: number }>();
  /** None that was forgotten was good for longer: by a clock that was put forward and back, it would be good again. */
  let forgottenMs = -Infinity;
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
      for (const [id, { cameMs, untilMs }] of seen) {
        // By a clock that was put back since: remembered, and in nobody's way.
        if (cameMs > now) continue;
        if (now - cameMs <= CALL_MS_MAX) break;
        seen.delete(id);
        forgottenMs = Math.max(forgottenMs, untilMs);
      }
      const untilMs = parseTime(call.expiresAt);
      if (seen.has(call.id)) return 'replayed';
      if (!isCallGood(call, now) || untilMs <= forgottenMs) return 'outside-window';
      seen.set(call.id, { cameMs: now, untilMs });
      return null;
    },
  };
}
