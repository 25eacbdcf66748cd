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
  /** Each approves what is pending, unless she has. */
  readonly approvers: readonly Principal[];
  /** null: whatever `Scenario.start` has started asks by itself. */
  readonly request: ChangeRequest | null;
  /** The same for every attempt: a request that is made again is the same change. */
  readonly idempotencyKey: string;
  /** age identity of the request's recipient. */
  readonly identity: string;
  /** Of a rotation: called with the new login's secret while old and new are both good; again where its delivery could not be acknowledged. Then consumers confirm. */
  readonly whileStaged?: (change: ChangeView, secret: string) => Promise<void>;
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
  const { request, idempotencyKey } = cast;
  if (request === null) throw new Error('nobody but a process of its own asks for this');
  return insist(() => cast.requester.request(request, { idempotencyKey }), deadlineMs);
}

/** The change as it rests in the end. @throws Error when it does not before `deadlineMs` (of `performance.now()`), or `whileActive` does */
export async function seeThrough(cast: Cast, deadlineMs: number): Promise<ChangeView> {
  const { id } = await requestOnce(cast, deadlineMs);
  let checked = false;
  let change = await insist(() => cast.requester.get(id), deadlineMs);
  for (;;) {
    if (RESTING.includes(change.state)) return change;
    await attempt(async () => {
      if (change.state === 'pending') await approveAsAsked(cast, change);
      if (change.state === 'staged' && cast.whileStaged !== undefined) await useAndConfirm(cast, change, cast.whileStaged);
      if (change.state !== 'active') return;
      const secret = change.delivery?.status === 'sealed' ? await fetchSecret(cast, id) : null;
      if (!checked && (change.delivery === null || secret !== null)) {
        await cast.whileActive(change, secret);
        checked = true;
      }
      if (secret !== null) await cast.requester.acknowledge(id, change.delivery!.digest);
      if (cast.revokeEarly) await cast.approvers[0]!.revoke(id, 'enough');
    });
    if (performance.now() > deadlineMs) throw new Error(`${id} is ${change.state} and does not come to rest: ${JSON.stringify({ findings: change.findings, result: change.result, length: change.length })}`);
    const { length } = change;
    change = await insist(() => cast.requester.wait(id, { until: (seen) => seen.length > length, timeoutMs: 500 }), deadlineMs);
  }
}

/** Whoever has not approved yet does; nothing where it was overtaken or nobody answers. */
export async function approveAsAsked({ approvers }: Pick<Cast, 'approvers'>, change: ChangeView): Promise<void> {
  const done = new Set<string>(change.approvals.map(({ approver }) => approver));
  for (const approver of approvers) if (!done.has(approver.principal)) await attempt(() => approver.approve(change.id, change.planDigest!));
}

/** Fetches the new secret, has it used, and says so; each consumer confirms. Nothing where that was done. */
async function useAndConfirm(cast: Cast, change: ChangeView, use: NonNullable<Cast['whileStaged']>): Promise<void> {
  const { id, delivery, rotation } = change;
  if (delivery?.status === 'sealed') {
    await use(change, await fetchSecret(cast, id));
    await cast.requester.acknowledge(id, delivery.digest);
  }
  for (const { consumer, confirmed } of rotation?.consumers ?? []) if (!confirmed) await cast.requester.confirm(id, consumer);
}

const fetchSecret = ({ requester, identity }: Cast, changeId: string): Promise<string> => fetchSecretOf(requester, identity, changeId);

export async function fetchSecretOf(requester: Principal, identity: string, changeId: string): Promise<string> {
  const { ciphertext } = await requester.delivery(changeId);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
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

/** Asks until there is an answer. @throws what it was refused with, or the last silence after `deadlineMs` */
export async function insist<T>(call: () => Promise<T>, deadlineMs: number): Promise<T> {
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
