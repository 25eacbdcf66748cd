/**
 * What an AuthZEN evaluation is about: the change that would be asked for. The action is its kind, the subject whose access changes, the resource what
 * is touched, the context the rest. `properties` are read by nobody: what a PEP says of an identity is no fact.
 */
import type { z } from 'zod';
import { changeRequestSchema, type ChangeRequest } from '../../protocol/request.ts';
import { parseEntitlementId, parseTargetId } from '../../protocol/resource-id.ts';
import type { Entitlement } from '../../protocol/values.ts';
import { changeContextSchema, type EvaluationRequest } from './schemas.ts';

/** Kinds that can be asked about. What an offboarding takes back is only known once it has looked. */
export const ACTIONS = ['provision', 'grant', 'extend', 'revoke', 'rotate', 'disable'] as const;
type Action = (typeof ACTIONS)[number];

export type Question = { readonly ok: true; readonly request: ChangeRequest } | { readonly ok: false; readonly status: 400 | 404; readonly message: string };

/** Policy is told neither of the two: they stand where a change has what only it needs. */
const NO_RECIPIENT = 'kv:none/none';
const NO_KEY = `${'A'.repeat(43)}=`;

/** The change that the evaluation asks about, or why there is none. */
export function readQuestion({ subject, action, resource, context }: EvaluationRequest): Question {
  const kind = ACTIONS.find((known) => known === action.name);
  if (kind === undefined) return refuse(404, `no access change is called ${quote(action.name)}: ${ACTIONS.join(', ')}`);
  if (subject.type !== 'nhi') return refuse(404, `whose access changes is of type nhi, not ${quote(subject.type)}`);
  const said = changeContextSchema.safeParse(context ?? {});
  if (!said.success) return refuse(400, `context: ${issuesOf(said.error)}`);
  const touched = touchedBy(kind, resource, said.data.entitlements);
  if ('ok' in touched) return touched;
  const { purpose, reason = 'an evaluation', duration, ends_by: endsBy, urgency, calendar, mode, change } = said.data;
  const isCalled = mode === 'caller';
  const given = present({
    kind, subject: subject.id, reason, ...touched, purpose: kind === 'disable' ? undefined : purpose, duration: lasts(kind) ? duration : undefined, endsBy: lasts(kind) ? endsBy : undefined,
    urgency: gains(kind) ? urgency : undefined, window: gains(kind) && calendar !== undefined ? { calendar } : undefined, change: kind === 'extend' ? change : undefined,
    caller: isCalled ? { key: NO_KEY, timeout: 'PT10M' } : undefined, recipient: kind === 'provision' || (kind === 'rotate' && !isCalled) ? NO_RECIPIENT : undefined,
  });
  if (isCalled && lasts(kind)) return refuse(400, 'what ends by itself needs an executor: leave mode out');
  const request = changeRequestSchema.safeParse(given);
  return request.success ? { ok: true, request: request.data } : refuse(400, `no such change can be asked for: ${issuesOf(request.error)}`);
}

const lasts = (kind: Action): boolean => kind === 'provision' || kind === 'grant' || kind === 'extend';
const gains = (kind: Action): boolean => lasts(kind) || kind === 'rotate';

type Touched = { readonly entitlements: readonly Entitlement[] } | { readonly connector: string; readonly target: string };

function touchedBy(kind: Action, resource: EvaluationRequest['resource'], privileges: readonly { privilege: string; scope?: string | undefined }[] | undefined): Touched | Extract<Question, { ok: false }> {
  const isOfAccount = kind === 'rotate' || kind === 'disable';
  if (resource.type === 'entitlement' && !isOfAccount) {
    const entitlement = parseEntitlementId(resource.id);
    return entitlement === null ? refuse(404, 'the id of an entitlement is connector/target/privilege, or …/scope behind it; / is written %2F and % %25') : { entitlements: [entitlement] };
  }
  if (resource.type !== 'target') return refuse(404, `${kind} is about a resource of type ${isOfAccount ? 'target' : 'entitlement or target'}, not ${quote(resource.type)}`);
  const target = parseTargetId(resource.id);
  if (target === null) return refuse(404, 'the id of a target is connector/target; / is written %2F and % %25');
  if (isOfAccount) return target;
  if (privileges === undefined) return refuse(400, 'what is asked for at a target is in context.entitlements');
  return { entitlements: privileges.map(({ privilege, scope }) => ({ ...target, privilege, ...(scope === undefined ? {} : { scope }) })) };
}

function refuse(status: 400 | 404, message: string): Extract<Question, { ok: false }> {
  return { ok: false, status, message: message.slice(0, 500) };
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** What somebody else wrote, as one short line. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}

/** Which fields are wrong, in the standard's spelling where it is another. */
function issuesOf(error: z.ZodError): string {
  return error.issues.slice(0, 4).map(({ path, message }) => `${path.map(String).join('.').replace('endsBy', 'ends_by') || 'it'}: ${message}`).join('; ');
}
