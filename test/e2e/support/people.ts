/**
 * What callers and approvers do about one change, whatever happens to the processes: each looks at the state and does what is due,
 * asks again when nobody answered, and never assumes that a thing was done because it was asked for.
 */
import { Decrypter } from 'age-encryption';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientError, type ChangeRequest, type ChangeView } from '../../../src/client/index.ts';
import type { Principal } from '../../../examples/demo/installation.ts';

export interface Cast {
  readonly requester: Principal;
  readonly approver: Principal;
  readonly request: ChangeRequest;
  /** The same for every attempt: a request that is made again is the same change. */
  readonly idempotencyKey: string;
  /** age identity of the request's recipient. */
  readonly identity: string;
  /** Called once with what is there when the access is active and, for a provision, its secret delivered. Throws what does not hold. */
  readonly whileActive: (change: ChangeView, secret: string | null) => Promise<void>;
  /** Whether the owner takes the access back, or its lease is left to end. */
  readonly revokeEarly: boolean;
}

const RESTING: readonly ChangeView['state'][] = ['denied', 'rejected', 'expired', 'withdrawn', 'done', 'revoked', 'failed'];
/** Answers that mean: ask again. */
const PASSING = new Set(['unreachable', 'timed-out', 'aborted', 'unexpected-answer']);

/** Asks until there is an answer; the same Idempotency-Key makes it the same change. */
export async function requestOnce(cast: Cast, deadlineMs: number): Promise<ChangeView> {
  return insist(() => cast.requester.request(cast.request, { idempotencyKey: cast.idempotencyKey }), deadlineMs);
}

/** The change as it rests in the end. @throws Error when it does not before `deadlineMs` (of `performance.now()`), or `whileActive` does */
export async function seeThrough(cast: Cast, deadlineMs: number): Promise<ChangeView> {
  const { id } = await requestOnce(cast, deadlineMs);
  let checked = false;
  let change = await insist(() => cast.requester.get(id), deadlineMs);
  for (;;) {
    if (RESTING.includes(change.state)) return change;
    await attempt(async () => {
      if (change.state === 'pending') await cast.approver.approve(id, change.planDigest!);
      if (change.state !== 'active') return;
      const secret = change.delivery?.status === 'sealed' ? await fetchSecret(cast, id) : null;
      if (!checked && (change.delivery === null || secret !== null)) {
        await cast.whileActive(change, secret);
        checked = true;
      }
      if (secret !== null) await cast.requester.acknowledge(id, change.delivery!.digest);
      if (cast.revokeEarly) await cast.approver.revoke(id, 'enough');
    });
    if (performance.now() > deadlineMs) throw new Error(`${id} is ${change.state} and does not come to rest: ${JSON.stringify({ findings: change.findings, result: change.result, length: change.length })}`);
    const { length } = change;
    change = await insist(() => cast.requester.wait(id, { until: (seen) => seen.length > length, timeoutMs: 500 }), deadlineMs);
  }
}

async function fetchSecret(cast: Cast, changeId: string): Promise<string> {
  const { ciphertext } = await cast.requester.delivery(changeId);
  const decrypter = new Decrypter();
  decrypter.addIdentity(cast.identity);
  return decrypter.decrypt(Buffer.from(ciphertext, 'base64'), 'text');
}

/** Does something that may have been overtaken (409) or go unanswered: then the state says what is due. */
async function attempt(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof ClientError) || !(PASSING.has(error.code) || error.status === 409 || error.status === 503)) throw error;
  }
}

async function insist<T>(call: () => Promise<T>, deadlineMs: number): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const passing = error instanceof ClientError && (PASSING.has(error.code) || error.status === 503);
      if (!passing || performance.now() > deadlineMs) throw error;
      await delay(20);
    }
  }
}
