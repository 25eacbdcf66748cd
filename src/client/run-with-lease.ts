/** Executor mode: the access is there while the code runs, and is given back when it is through. */
import type { ChangeView } from '../sidecar/schemas.ts';
import { AccessError } from './access-error.ts';
import { askAndWait } from './ask.ts';
import { ClientError } from './errors.ts';
import type { Client } from './index.ts';
import { persist, type AccessPorts } from './persist.ts';
import { signalUntil, WAIT_MS } from './limits.ts';
import type { Access, AccessOptions, AccessOutcome, LeasedRequest } from './with-access.ts';

export async function runWithLease<T>(
  client: Client, request: LeasedRequest, work: (access: Access) => T | Promise<T>, options: AccessOptions, ports: AccessPorts,
): Promise<AccessOutcome<T>> {
  // Types end at the door: without a duration nothing would end the access of a process that does not come back.
  if ((request as { duration?: string }).duration === undefined) throw new TypeError('withAccess needs a duration');
  const { timeoutMs = WAIT_MS.decision, signal, seen } = options;
  const idempotencyKey = options.idempotencyKey ?? Buffer.from(ports.random(16)).toString('hex');
  const change = await askAndWait({ client, ports, timeoutMs, askTimeoutMs: options.askTimeoutMs, signal, seen }, request, idempotencyKey, isActive);
  let value: T;
  try {
    value = await work(accessOf(change, options, ports));
  } catch (error) {
    await release(client, change, options, ports, error);
    throw error;
  }
  return { value, change: await release(client, change, options, ports) };
}

/** Also where a finding about it is open: the access is there. */
function isActive({ lease, ended, state }: ChangeView): boolean {
  return lease?.active === true && ended === null && (state === 'active' || state === 'stuck');
}

function accessOf(change: ChangeView, options: AccessOptions, ports: AccessPorts): Access {
  const step = change.plan?.steps[0];
  if (step === undefined || change.lease === null) throw new Error(`${change.id} is active without a plan or a lease`);
  const { account, connector, target, clientToken } = step;
  return { changeId: change.id, account, connector, target, clientToken, signal: signalUntil(Date.parse(change.lease.endsAt) - ports.nowMs(), options.signal) };
}

/** The change, once its access is ordered back. @throws AccessError `not-released`, with what the code threw, if it did, as its cause */
async function release(client: Client, change: ChangeView, options: AccessOptions, ports: AccessPorts, thrown?: unknown): Promise<ChangeView> {
  try {
    const untilMs = ports.nowMs() + (options.reportTimeoutMs ?? WAIT_MS.report);
    const { change: latest } = await persist(() => client.revoke(change.id, 'the work is done'), ports, untilMs);
    return latest;
  } catch (error) {
    // Somebody took it back before us, or its time was over.
    if (error instanceof ClientError && error.code === 'nothing-to-revoke') return change;
    const why = error instanceof Error ? error.message : String(error);
    throw new AccessError('not-released', `the access of ${change.id} could not be given back (${why}); it ends at ${change.lease?.endsAt ?? 'its end'}`, change, {
      ran: true, reasons: [{ code: error instanceof ClientError ? error.code : 'internal', message: why }], cause: thrown ?? error,
    });
  }
}
