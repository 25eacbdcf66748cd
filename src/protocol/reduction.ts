/**
 * A request made smaller by somebody who is asked about it: less access, for a shorter time, and nothing else. The rule is one, for the sidecar that
 * makes it and for whoever verifies what it made.
 */
import { entitlementsOf, isSameRequest, type EntitlementRequest, type RecordedRequest } from './request.ts';
import { isSameJson } from './same-json.ts';
import { durationSeconds } from './values.ts';

type Entitlement = EntitlementRequest['entitlements'][number];

/** What is taken off a request. */
export interface Reduction {
  /** Each is one that the request asks for. */
  readonly without: readonly Entitlement[];
  /** Shorter than what was asked for; null: it stays. ISO 8601. */
  readonly duration: string | null;
}

export type Reduced = { readonly ok: true; readonly request: RecordedRequest } | { readonly ok: false; readonly message: string };

const no = (message: string): Reduced => ({ ok: false, message });

/** The request without that, or why it would be none: what takes access away is not made smaller, since less of it would be taken. */
export function reduceRequest(request: RecordedRequest, { without, duration }: Reduction): Reduced {
  const { kind } = request;
  if (kind !== 'grant' && kind !== 'provision' && kind !== 'extend') return no(`a ${kind} gives nothing of which less could be given`);
  if (without.length === 0 && duration === null) return no('nothing is taken off');
  if (kind === 'extend' && without.length > 0) return no('an extension is of all that its lease gives: only its duration can be reduced');
  const strange = without.find((one) => !request.entitlements.some((asked) => isSameJson(asked, one)));
  if (strange !== undefined) return no(`${strange.privilege} at ${strange.connector}/${strange.target} is not asked for`);
  const entitlements = request.entitlements.filter((asked) => !without.some((one) => isSameJson(asked, one)));
  if (entitlements.length === 0) return no('nothing would be left of it: reject it');
  if (duration !== null && request.duration !== undefined && durationSeconds(duration) >= durationSeconds(request.duration)) return no(`${duration} is not shorter than ${request.duration}`);
  return { ok: true, request: { ...request, entitlements, ...(duration === null ? {} : { duration }) } };
}

/** Whether `smaller` is what a reduction makes of `request`, and no request beside it. */
export function isReductionOf(smaller: RecordedRequest, request: RecordedRequest): boolean {
  const kept = entitlementsOf(smaller);
  const [before, after] = [request, smaller].map((one) => ('duration' in one ? (one.duration ?? null) : null));
  const reduced = reduceRequest(request, { without: entitlementsOf(request).filter((asked) => !kept.some((one) => isSameJson(asked, one))), duration: after === before ? null : (after ?? null) });
  return reduced.ok && isSameRequest(reduced.request, smaller);
}
