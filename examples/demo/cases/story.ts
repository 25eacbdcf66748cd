/** What the cases have in common: asking, approving, waiting, and finding the records that prove it. */
import { isSettled, type ChangeRequest, type ChangeView, type Client, type Evidence } from '../../../src/client/index.ts';
import type { Entitlement } from '../../../src/protocol/values.ts';
import { check } from '../check.ts';
import type { Principal } from '../installation.ts';
import { short } from '../say.ts';

/** Longest that a change may take from one state to the next on a slow machine. */
export const SETTLE_MS = 30_000;

/** What each case leaves for the sentence at the end. */
export interface Told {
  readonly who: string;
  readonly what: string;
  readonly when: string;
  readonly policy: string;
}

/** Asks as `client` and waits until people, or nobody, must decide. */
export async function ask(client: Client, request: ChangeRequest): Promise<ChangeView> {
  const { id } = await client.request(request);
  const asked = await client.wait(id, { until: isSettled, timeoutMs: SETTLE_MS });
  check(`${id} is decided`, isSettled(asked), asked.state);
  return asked;
}

/** Approves the plan as `client` sees it: by its own look at the change, not by what the requester says of it. @throws Rejected where somebody is asked, and says no */
export async function approve(client: Principal, changeId: string): Promise<ChangeView> {
  const seen = await client.get(changeId);
  check('the approver sees the plan', seen.planDigest !== null, seen.state);
  await client.ask?.(client, client.principal, seen);
  return client.approve(changeId, seen.planDigest);
}

/** Waits for `state`, and for nothing else that a change may become. */
export async function reach(client: Client, changeId: string, state: ChangeView['state']): Promise<ChangeView> {
  const over = ['denied', 'rejected', 'expired', 'withdrawn', 'revoked', 'failed', 'stuck'];
  const view = await client.wait(changeId, { until: (change) => change.state === state || over.includes(change.state), timeoutMs: SETTLE_MS });
  check(`${changeId} becomes ${state}`, view.state === state, { state: view.state, result: view.result, findings: view.findings, verification: view.verification });
  return view;
}

/** The index of the last record of `type` in a change's evidence. */
export function recordOf(evidence: Evidence, type: string): number {
  const seq = evidence.records.filter((record) => record['type'] === type).at(-1)?.['seq'];
  check(`there is a record ${type}`, typeof seq === 'number', evidence.records.map((record) => record['type']));
  return seq;
}

/** The digest of the bundle that decided, from the change's first decision. */
export function policyOf(evidence: Evidence): string {
  const decided = evidence.records.find((record) => record['type'] === 'policy.decided');
  const body = decided?.['body'] as { provenance?: { bundle?: string } } | undefined;
  const bundle = body?.provenance?.bundle;
  check('the decision names its policy bundle', typeof bundle === 'string', body);
  return bundle;
}

/** `needs approval: The owner or backup owner … approves this. [owner-approval]`. */
export function decided(change: ChangeView): string {
  const effect = change.decision?.effect === 'needsApproval' ? 'needs approval' : (change.decision?.effect ?? 'undecided');
  const reason = change.decision?.reasons[0];
  return `${effect}: ${reason?.message ?? ''} [${change.decision?.reasons.map(({ code }) => code).join(', ') ?? ''}]`;
}

export function approved(change: ChangeView): string {
  return `${change.approvals.map(({ approver }) => approver).join(' and ')}, for exactly plan ${short(change.planDigest)}`;
}

export function privileges(change: Pick<ChangeView, 'entitlements'>): string {
  return change.entitlements.map(({ privilege }) => privilege).join(', ');
}

export const onApp = (...names: string[]): Entitlement[] => names.map((privilege) => ({ connector: 'pg-main', target: 'app', privilege }));
