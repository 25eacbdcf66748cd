/**
 * Mode `caller`: the caller's own code makes the change. Ask, wait, check the ticket, claim, run, report; the code runs only once its claim is
 * durable, and what became of it is told until it is durable too.
 */
import { canonicalText } from '../../ledger/index.ts';
import { openTicketForRun } from '../caller/open-ticket.ts';
import { actedReport, claimedReport, type Acted, type Run } from '../caller/reports.ts';
import { newRunKey, type RunKey } from '../caller/run-key.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import type { Plan } from '../protocol/plan.ts';
import { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
import { durationSeconds, parseTime } from '../protocol/values.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import type { ChangeView } from '../sidecar/schemas.ts';
import { AccessError, WorkError } from './access-error.ts';
import { askAndWait, giveUp } from './ask.ts';
import { ClientError } from './errors.ts';
import { keepHead, readHeads, type Heads } from './heads.ts';
import type { Client } from './index.ts';
import { signalUntil, WAIT_MS } from './limits.ts';
import { persist, type AccessPorts } from './persist.ts';
import type { Access, AccessOptions, AccessOutcome, CalledRequest } from './with-access.ts';

export async function runAsCaller<T>(
  client: Client, request: CalledRequest, work: (access: Access) => T | Promise<T>, options: AccessOptions, ports: AccessPorts,
): Promise<AccessOutcome<T>> {
  if (options.trust === undefined) throw new TypeError('what a caller makes itself needs a trust folder of its own');
  const trust = await loadTrustFolder(options.trust, { actedOn: true });
  const heads = options.heads === undefined ? {} : await readHeads(options.heads);
  const { workTimeout = 'PT10M', timeoutMs = WAIT_MS.decision, signal, seen } = options;
  const key = newRunKey(ports.random);
  const full = { ...request, caller: { key: key.publicKey, timeout: workTimeout } } as ChangeRequest;
  const change = await askAndWait({ client, ports, timeoutMs, askTimeoutMs: options.askTimeoutMs, signal, seen }, full, Buffer.from(ports.random(16)).toString('hex'), isMine);
  const { run, access } = await takeUp({ client, ports, options }, request, change, key, trust, heads, durationSeconds(workTimeout) * 1000);
  return report({ client, ports, options }, change, run, await attempt(work, access));
}

interface Door {
  readonly client: Client;
  readonly ports: AccessPorts;
  readonly options: AccessOptions;
}

/** There is a ticket, and its run has the next move. */
function isMine(change: ChangeView): boolean {
  return change.mode === 'caller' && (change.state === 'authorised' || (change.state === 'stuck' && change.steps[0]?.state === 'authorised'));
}

/** The run, once its claim is durable. @throws AccessError: the code has not run, and the change was withdrawn where it could be */
async function takeUp(
  door: Door, request: CalledRequest, change: ChangeView, key: RunKey, trust: Trust, heads: Heads, workMs: number,
): Promise<{ run: Run; access: Access }> {
  const { client, ports, options } = door;
  const log = change.id.slice('chg_'.length).slice(0, 16);
  const untilMs = ports.nowMs() + (options.reportTimeoutMs ?? WAIT_MS.report);
  const abandon = async (error: AccessError): Promise<never> => {
    await giveUp(door, change.id);
    throw error;
  };
  const envelope = await persist(() => client.callerTicket(change.id, heads[log]?.size), ports, untilMs, options.signal)
    .catch((cause: unknown) => abandon(notClaimed(change, cause)));
  const opened = openTicketForRun(envelope, { trust, key, nowMs: ports.nowMs(), head: (known) => heads[known] ?? null });
  if (!opened.ok) return abandon(refused(change, opened.code, opened.message));
  const { ticket, plan, head } = opened;
  if (!isWhatWasAsked(plan, request, change.id)) return abandon(refused(change, 'wrong-step', 'it is for something else than was asked for'));
  if (head !== null && options.heads !== undefined) await keepHead(options.heads, ticket.log, head).catch((cause: unknown) => abandon(notClaimed(change, cause)));
  const run: Run = { key, ticket };
  const claim = claimedReport(run, ports.nowMs());
  try {
    await persist(() => client.report(change.id, claim), ports, Math.min(untilMs, parseTime(ticket.notAfter)), options.signal);
  } catch (cause) {
    // The claim may be there though its answer is not: then this is the end of it, and otherwise it is refused.
    await client.report(change.id, actedReport(run, { outcome: 'failed', code: 'not-started', detail: null }, ports.nowMs())).catch(() => undefined);
    return abandon(notClaimed(change, cause));
  }
  const { account, connector, target, clientToken } = ticket.step;
  return { run, access: { changeId: plan.changeId, account, connector, target, clientToken, signal: signalUntil(workMs, options.signal) } };
}

/** Approved or not: a run does what it asked for, or nothing. */
function isWhatWasAsked(plan: Plan, request: CalledRequest, changeId: string): boolean {
  if (plan.changeId !== changeId || plan.kind !== request.kind || plan.subject !== request.subject) return false;
  if ('entitlements' in request) return canonicalText(plan.entitlements) === canonicalText(request.entitlements);
  return plan.connector === request.connector && plan.target === request.target;
}

function refused(change: ChangeView, code: string, message: string): AccessError {
  return new AccessError('refused', `the ticket of ${change.id} is refused (${code}): ${message}`, change, { reasons: [{ code, message }] });
}

function notClaimed(change: ChangeView, cause: unknown): AccessError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AccessError('not-claimed', `${change.id} could not be taken up: ${why}`, change, {
    reasons: [{ code: cause instanceof ClientError ? cause.code : 'internal', message: why }], cause,
  });
}

type Worked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

async function attempt<T>(work: (access: Access) => T | Promise<T>, access: Access): Promise<Worked<T>> {
  try {
    return { ok: true, value: await work(access) };
  } catch (error) {
    return { ok: false, error };
  }
}

/** @throws what the code threw, once that is recorded; AccessError `not-reported` where it could not be */
async function report<T>({ client, ports, options }: Door, change: ChangeView, run: Run, worked: Worked<T>): Promise<AccessOutcome<T>> {
  const message: ReportMessage = actedReport(run, actedBy(worked), ports.nowMs());
  let latest: ChangeView;
  try {
    latest = await persist(() => client.report(change.id, message), ports, ports.nowMs() + (options.reportTimeoutMs ?? WAIT_MS.report));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AccessError('not-reported', `the code of ${change.id} ${worked.ok ? 'ran' : 'failed'}, and the sidecar could not be told: ${why}`, change, {
      ran: true, reasons: [{ code: error instanceof ClientError ? error.code : 'internal', message: why }], cause: worked.ok ? error : worked.error,
    });
  }
  if (!worked.ok) throw worked.error;
  // What policy makes of it is a matter of moments; who cannot wait sees it in the change.
  const settled = await client.wait(latest.id, { until: ({ state }) => !['executing', 'verifying'].includes(state), timeoutMs: WAIT_MS.settled }).catch(() => latest);
  return { value: worked.value, change: settled };
}

/** What is reported. Of an error nothing but what it says for that purpose: its message may hold a secret. */
function actedBy(worked: Worked<unknown>): Acted {
  if (worked.ok) return { outcome: 'done', code: null, detail: null };
  if (worked.error instanceof WorkError) return { outcome: worked.error.outcome, code: worked.error.code, detail: null };
  return { outcome: 'failed', code: 'threw', detail: null };
}
