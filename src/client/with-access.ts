/**
 * Runs code while a change gives it access, or as the change itself.
 *
 * ```ts
 * // An executor gives the access, and takes it back when the code is through, whatever became of it.
 * await withAccess(client, { kind: 'grant', duration: 'PT15M', … }, async ({ account }) => deploy(account));
 *
 * // The code is the change: it runs once the ticket for this very run was checked against the caller's own trust folder.
 * await withAccess(client, { kind: 'rotate', … }, async ({ account }) => rotatePassword(account), { trust: '/etc/countersign/trust' });
 * ```
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleepMs } from 'node:timers/promises';
import type { ChangeRequest } from '../protocol/request.ts';
import type { ChangeView } from '../sidecar/schemas.ts';
import type { Client } from './index.ts';
import { runAsCaller } from './run-as-caller.ts';
import { runWithLease } from './run-with-lease.ts';
import type { AccessPorts } from './persist.ts';

/** An executor makes it, and its access ends: `duration` is needed, so that it ends even where this process does not come back. */
export type LeasedRequest = Extract<ChangeRequest, { kind: 'provision' | 'grant' }> & { readonly duration: string };
type Called<R> = R extends unknown ? Omit<R, 'caller' | 'recipient'> : never;
/** The caller's code makes it. The key of the run is added here; a secret that the code makes stays with it. */
export type CalledRequest = Called<Extract<ChangeRequest, { kind: 'rotate' | 'revoke' | 'disable' }>>;

/** What the code is told. In mode `caller` all of it is from the plan whose digest was approved. */
export interface Access {
  readonly changeId: string;
  readonly account: string;
  readonly connector: string;
  readonly target: string;
  /** What a credential that the code makes is to be found again by. */
  readonly clientToken: string;
  /** Aborts when the time is over: at the lease's end, at the caller's timeout, or when the caller's own signal does. */
  readonly signal: AbortSignal;
}

export interface AccessOptions {
  /** The caller's own trust folder: whose tickets it believes. Needed for what the caller's code makes. */
  readonly trust?: string;
  /** How long to wait until the code may run, in ms. Then the change is withdrawn. Default: 10 minutes. */
  readonly timeoutMs?: number;
  /** How long a sidecar that does not answer is asked before anything is recorded, in ms. Default: 30 s. */
  readonly askTimeoutMs?: number;
  /** ISO 8601: how long the caller's code may take until its outcome is taken for unknown. Default: `PT10M`. */
  readonly workTimeout?: string;
  /** How long a sidecar that does not answer is told what became of the code, in ms. Default: 5 minutes. */
  readonly reportTimeoutMs?: number;
  /** With a lease only: the same key and request give the same change. A caller's run is always a new one. */
  readonly idempotencyKey?: string;
  /** File that keeps the newest checkpoints seen, so that the next run notices a log that was rolled back. */
  readonly heads?: string;
  /** Gives up the waiting, and tells the code to stop. */
  readonly signal?: AbortSignal;
  /** Called for every state of the change that is seen on the way. */
  readonly seen?: (change: ChangeView) => void;
}

export interface AccessOutcome<T> {
  /** What the code returned. */
  readonly value: T;
  /** The change as it was seen last: its records are the evidence. */
  readonly change: ChangeView;
}

const SYSTEM: AccessPorts = { nowMs: () => Date.now(), random: (length) => randomBytes(length), sleep: (ms) => sleepMs(ms) };

/**
 * Runs `work` once the change allows it.
 *
 * With a lease, the access is given back early, always; where `work` threw, its error is thrown once that is done. In mode `caller`, what
 * became of `work` is recorded before this returns or throws its error.
 *
 * @throws AccessError whose `code` and `ran` say whether `work` ran; ClientError where the change could not be asked for; TrustError where the
 * trust folder cannot be believed: nothing was asked then
 */
export async function withAccess<T>(
  client: Client, change: LeasedRequest | CalledRequest, work: (access: Access) => T | Promise<T>, options: AccessOptions = {}, ports: AccessPorts = SYSTEM,
): Promise<AccessOutcome<T>> {
  if (change.kind !== 'grant' && change.kind !== 'provision') return runAsCaller(client, change, work, options, ports);
  return runWithLease(client, change, work, options, ports);
}
