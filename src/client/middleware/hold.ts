/**
 * Access for one HTTP request: asked for, waited for, there while the handler runs, and given back when the response is over. What Hono, Express and Fastify
 * have in common; none of them is imported.
 */
import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import type { ChangeRequest } from '../../protocol/request.ts';
import type { ChangeView } from '../../sidecar/schemas.ts';
import type { Client } from '../index.ts';
import { withAccess, type Access, type LeasedRequest } from '../with-access.ts';

type Provision = Extract<ChangeRequest, { kind: 'provision' }> & { readonly duration: string };

/** A leased change. A `provision` without a recipient delivers its secret to the handler, sealed to a key that lives as long as the request. */
export type GuardedRequest = Extract<LeasedRequest, { kind: 'grant' }> | (Omit<Provision, 'recipient'> & { readonly recipient?: string });

export interface GuardOptions<R> {
  readonly client: Client;
  /** The change that the request needs. What it throws is the framework's to handle: nothing was asked for. */
  readonly change: (request: R) => GuardedRequest | Promise<GuardedRequest>;
  /** How long a request may wait for the access, in ms. Then the change is withdrawn and the request refused. Default: 30 s. */
  readonly timeoutMs?: number;
  /** How long a sidecar that does not answer is told that the access is given back, in ms. Default: 5 minutes. */
  readonly reportTimeoutMs?: number;
  /** Told when it could not be, long after the response: the access ends with its lease. Default: a process warning. */
  readonly onNotReleased?: (error: unknown) => void;
}

/** What the handler is told, and given. */
export interface RequestAccess extends Access {
  readonly leaseId: string;
  /** RFC 3339; by then the access is gone, whatever becomes of the request. */
  readonly endsAt: string;
  /** Of a `provision` without a recipient; null for anything else. */
  readonly secret: string | null;
}

/** Requests wait at a door: minutes are for jobs. */
const WAIT_MS = 30_000;

const held = new WeakMap<object, RequestAccess>();

/** The access of a request that the middleware has let through: Hono's context, Express' or Fastify's request. @throws Error where there is none: the route has no such middleware */
export function accessOf(request: object): RequestAccess {
  const access = held.get(request);
  if (access === undefined) throw new Error('no access is held for this request: is the middleware before this handler?');
  return access;
}

/**
 * `request` has access ({@link accessOf}) until `over` aborts or the lease ends, and then it is given back. Where `over` aborts first, it is withdrawn.
 *
 * @throws what `change` throws; AccessError or ClientError: the request has no access, and what was asked for was withdrawn or given back
 */
export async function holdAccess<R extends object>(options: GuardOptions<R>, request: R, over: AbortSignal): Promise<void> {
  const { client, onNotReleased = warn, timeoutMs = WAIT_MS, reportTimeoutMs } = options;
  const { change, open } = await withRecipient(await options.change(request));
  let latest: ChangeView | null = null;
  await new Promise<void>((resolve, reject) => {
    let isGiven = false;
    const work = async (access: Access): Promise<void> => {
      const secret = open === null ? null : await open(client, access.changeId);
      held.set(request, { ...access, leaseId: latest!.lease!.leaseId, endsAt: latest!.lease!.endsAt, secret });
      isGiven = true;
      resolve();
      await Promise.race([aborted(over), aborted(access.signal)]);
      held.delete(request);
    };
    const seen = (view: ChangeView): void => {
      latest = view;
    };
    withAccess(client, change, work, { timeoutMs, askTimeoutMs: timeoutMs, signal: over, seen, ...(reportTimeoutMs === undefined ? {} : { reportTimeoutMs }) })
      .catch((error: unknown) => (isGiven ? onNotReleased(error) : reject(error as Error)));
  });
}

interface Asked {
  readonly change: LeasedRequest;
  /** The secret that was sealed to this request. */
  readonly open: ((client: Client, changeId: string) => Promise<string>) | null;
}

async function withRecipient(change: GuardedRequest): Promise<Asked> {
  if (change.kind === 'grant') return { change, open: null };
  if (change.recipient !== undefined) return { change: { ...change, recipient: change.recipient }, open: null };
  const identity = await generateX25519Identity();
  const open = async (client: Client, changeId: string): Promise<string> => {
    const { ciphertext, digest } = await client.delivery(changeId);
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    const secret = await decrypter.decrypt(Buffer.from(ciphertext, 'base64'), 'text');
    await client.acknowledge(changeId, digest);
    return secret;
  };
  return { change: { ...change, recipient: await identityToRecipient(identity) }, open };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : new Error(String(error)));
}
