/** Asks for a change and waits until its caller has the next move; a change that is not waited for any more is withdrawn. */
import type { ChangeRequest } from '../protocol/request.ts';
import type { ChangeView } from '../sidecar/schemas.ts';
import { AccessError, type AccessErrorCode } from './access-error.ts';
import { ClientError } from './errors.ts';
import type { Client } from './index.ts';
import { persist, type AccessPorts } from './persist.ts';

/** Long enough for a sidecar that is started again. */
const FIRST_ANSWER_MS = 30_000;
/** … and told that a change is not wanted any more. */
const GIVING_UP_MS = 30_000;

export interface Asking {
  readonly client: Client;
  readonly ports: AccessPorts;
  readonly timeoutMs: number;
  /** How long a sidecar that does not answer is asked before anything is recorded. Default: {@link FIRST_ANSWER_MS}. */
  readonly askTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly seen?: ((change: ChangeView) => void) | undefined;
}

const ENDED = {
  denied: 'denied', rejected: 'rejected', expired: 'expired', withdrawing: 'withdrawn', withdrawn: 'withdrawn', revoking: 'revoked', revoked: 'revoked', failed: 'failed',
} as const satisfies Partial<Record<ChangeView['state'], AccessErrorCode>>;

const isEnded = (state: ChangeView['state']): state is keyof typeof ENDED => Object.hasOwn(ENDED, state);

/**
 * The change once `isReady` holds.
 *
 * @throws ClientError where the request was not recorded, or is not known to be; AccessError where the change came to nothing, or the wait to its
 * end: then it was withdrawn
 */
export async function askAndWait(asking: Asking, request: ChangeRequest, idempotencyKey: string, isReady: (change: ChangeView) => boolean): Promise<ChangeView> {
  const { client, ports, signal } = asking;
  const untilMs = ports.nowMs() + asking.timeoutMs;
  const recorded = await persist(() => client.request(request, { idempotencyKey }), ports, ports.nowMs() + (asking.askTimeoutMs ?? FIRST_ANSWER_MS), signal);
  let latest = recorded;
  const seen = (change: ChangeView): void => {
    latest = change;
    asking.seen?.(change);
  };
  try {
    const wait = (): Promise<ChangeView> => client.wait(recorded.id, {
      until: (change) => isReady(change) || isEnded(change.state), timeoutMs: Math.max(0, untilMs - ports.nowMs()), seen, ...(signal === undefined ? {} : { signal }),
    });
    latest = await persist(wait, ports, untilMs, signal);
  } catch (cause) {
    await giveUp(asking, recorded.id);
    throw signal?.aborted === true ? aborted(latest, cause) : cause;
  }
  if (signal?.aborted === true && !isEnded(latest.state)) {
    await giveUp(asking, recorded.id);
    throw aborted(latest);
  }
  if (isReady(latest)) return latest;
  if (isEnded(latest.state)) throw ended(latest, ENDED[latest.state]);
  await giveUp(asking, recorded.id);
  const why = latest.waitingFor === null ? '' : `: ${latest.waitingFor}`;
  throw new AccessError('still-pending', `${latest.id} is still ${latest.state}${why}; it was withdrawn`, latest);
}

function aborted(change: ChangeView, cause?: unknown): AccessError {
  return new AccessError('aborted', `${change.id} was given up while it was ${change.state}`, change, { cause });
}

function ended(change: ChangeView, code: AccessErrorCode): AccessError {
  const reasons = code === 'denied' ? (change.decision?.reasons ?? []).map(({ code: reason, message }) => ({ code: reason, message })) : [];
  const words = reasons.length === 0 ? '' : `: ${reasons.map((reason) => `${reason.code}: ${reason.message}`).join('; ')}`;
  return new AccessError(code, `${change.id} is ${change.state}${words}`, change, { reasons });
}

/** Nothing will be given by the change, or what was is being taken back, as far as the sidecar can be told. Never rejects. */
export async function giveUp({ client, ports }: Pick<Asking, 'client' | 'ports'>, changeId: string): Promise<void> {
  const untilMs = ports.nowMs() + GIVING_UP_MS;
  try {
    await persist(() => client.withdraw(changeId, 'not waited for any more'), ports, untilMs);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'too-late') return;
    await persist(() => client.revoke(changeId, 'not waited for any more'), ports, untilMs).catch(() => undefined);
  }
}
