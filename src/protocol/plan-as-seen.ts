/**
 * A plan as an approver sees it: the same lines on every channel. What will be done is told from the plan itself, whose digest she approves; what
 * stands beside it (what was held, what it bears on, what was last) is the sidecar's word and no part of what is signed.
 *
 * Pure. Whatever somebody else wrote is inert; a list that is cut short says so.
 */
import { z } from 'zod';
import { turnsOf } from './awaited.ts';
import { partsOf, type ApproverExpression, type Requirement, type reasonSchema } from './decision.ts';
import { floorText } from './floor-part.ts';
import { formatLength, plain, spaced } from './plain.ts';
import { takesAway, type Plan } from './plan.ts';
import { recipientSchema } from './request.ts';
import { changeIdSchema, entitlementSchema, plainTextSchema, timeSchema } from './values.ts';

/** Names that are listed before the rest is counted. */
export const LISTED_MAX = 8;

/** What an approver is to know beside the plan, as things were when it was made and are now. */
export const bearingSchema = z.strictObject({
  /** Of the identity, by the inventory; null for one that it does not have, or that whoever looks may not see and is not asked about. */
  identity: z.strictObject({ environment: plainTextSchema(64), riskTier: z.enum(['low', 'medium', 'high', 'critical']), consumers: z.array(plainTextSchema(128)) }).nullable(),
  /** What the account held when the target was read: of the plan's privileges which, and how many others, which stay; null where nobody could look. */
  held: z.strictObject({ privileges: z.array(plainTextSchema(256)), others: z.int().min(0), /** The first of those by name, for who may know what the identity has; left out for anybody else. */ otherNames: z.array(plainTextSchema(256)).max(LISTED_MAX).optional() }).nullable(),
  /** The last change of this kind by which this identity was given, or lost, something at this connector and target, where whoever looks may see it. */
  last: z.strictObject({ change: changeIdSchema, at: timeSchema, /** Seconds; null: it stood. */ leaseSeconds: z.int().min(1).nullable(), entitlements: z.array(entitlementSchema), /** Whose a new secret was; null: there was none. Left out by a sidecar of before. */ recipient: recipientSchema.nullable().optional() }).nullable(),
});
export type Bearing = z.infer<typeof bearingSchema>;

export interface PlanLine {
  readonly name: string;
  readonly text: string;
  /** Of a line that says what would be other than it is: what is gained, what is lost, and what stays. */
  readonly sign?: '+' | '-' | '=';
}

/** What of a change the lines are made of. */
export interface Seen {
  readonly plan: Plan;
  readonly decision: { readonly reasons: readonly z.infer<typeof reasonSchema>[] } | null;
  readonly requirement: Requirement;
  /** What of it the sidecar's own floor asked for beyond policy; left out: nothing. */
  readonly floor?: Requirement | undefined;
  readonly approvals: readonly { readonly approver: string; readonly verdict: 'approve' | 'reject' }[];
  /** Where the sidecar says them: it knows which approvals count. */
  readonly turns?: { readonly now: readonly string[]; readonly then: readonly string[] } | undefined;
  /** How many people must reject before that ends the change; left out, or null: one. */
  readonly rejectionsDue?: number | null | undefined;
  readonly bearing?: Bearing | null | undefined;
  /** Of an extension, when the lease ends by it, once that is known. */
  readonly extends?: { readonly endsAt: string | null } | null | undefined;
  /** How far each step is; left out where nothing is to be said of that. */
  readonly steps?: readonly { readonly state: string }[] | undefined;
  /** How far each item of an offboarding is, in words that are inert. */
  readonly itemStates?: readonly string[];
}

/** Of a change that no executor makes. */
export const BY_CALLER = 'the caller’s own code';

/** All that an approver is to see of the plan, in the order in which she reads. */
export function planLines(seen: Seen): PlanLine[] {
  const { plan, bearing = null } = seen;
  const lines: PlanLine[] = [];
  const line = (name: string, text: string | null): void => {
    if (text !== null) lines.push({ name, text: spaced(text) });
  };
  const { identity = null } = bearing ?? {};
  line('subject', `${plain(plan.subject)}${identity === null ? '' : ` (${plain(identity.environment)}, ${identity.riskTier} risk)`}`);
  line('requester', plan.requester.map(plain).join(' for '));
  line('purpose', plain(plan.purpose));
  lines.push(...accessLines(plan, bearing));
  if (plan.entitlements.length === 0 && plan.connector !== '-') line('system', `${plain(plan.connector)} / ${plain(plan.target)}`);
  lines.push(...besides(plan, bearing));
  line('duration', plan.lease === null ? null : formatLength(plan.lease.leaseSeconds));
  line('ends by', plan.lease?.endsBy ?? null);
  if (plan.lease === null && plan.steps.some(({ action }) => action === 'provision' || action === 'grant')) line('ends', 'never by itself: it stands until it is taken back');
  line('extends', plan.extends === undefined ? null : `the lease of ${plan.extends.change}${seen.extends?.endsAt == null ? '' : `, to ${seen.extends.endsAt}`}`);
  line('part of', plan.parent ?? null);
  line('made by', plan.mode === 'caller' ? BY_CALLER : null);
  lines.push(...plan.steps.map((_, index) => ({ name: index === 0 ? 'plan' : '', text: stepLine(seen, index) })));
  line('window', plan.window === undefined ? null : `${plain(plan.window.calendar)}, ${plan.window.opensAt} to ${plan.window.closesAt}; missed: ${plan.window.onMissed}`);
  line('rotation', plan.rotation === undefined ? null : rotationLine(plan.rotation));
  plan.items?.forEach((item, index) => line(index === 0 ? 'items' : '', itemLine(item, seen.itemStates?.[index])));
  line('secret for', plan.recipient === null ? null : plain(plan.recipient));
  line('last time', bearing === null ? null : lastLine(plan, bearing.last));
  line('reaches', reach(plan, identity?.consumers ?? []));
  for (const reason of seen.decision?.reasons ?? []) line('because', reasonLine(reason));
  for (const { name, text } of deciders(seen)) line(name, text);
  return lines;
}

/** What policy says, and which of its rules. */
export function reasonLine({ code, message, rule }: z.infer<typeof reasonSchema>): string {
  return `${code}: ${plain(message)} (${plain(rule)})`;
}

function stepLine({ plan, steps = [] }: Seen, index: number): string {
  const { action, account, connector, target, privileges } = plan.steps[index]!;
  const how = steps[index]?.state ?? 'waiting';
  const what = spaced(`${action} ${account} at ${connector} / ${target}${privileges.length === 0 ? '' : `: ${privileges.join(', ')}`}`);
  return how === 'waiting' ? what : `${what}  (${spaced(how)})`;
}

function itemLine(item: NonNullable<Plan['items']>[number], state: string | undefined): string {
  const what = item.kind === 'lease' ? `lease of ${item.change}` : `${plain(item.account)} at ${plain(item.connector)} / ${plain(item.target)}`;
  return `${plain(item.nhi)}, ${what}${state === undefined ? '' : `: ${state}`}`;
}

function rotationLine({ overlap, graceSeconds, retire }: NonNullable<Plan['rotation']>): string {
  if (overlap === 'none') return 'in place, without overlap: the old secret ends with the new one';
  return `old and new side by side; after ${formatLength(graceSeconds)} nobody is waited for, and the old one ${retire === 'endSessions' ? 'is cut off from what still uses it' : 'stays until nothing uses it'}`;
}

/** What would be other than it is now, privilege by privilege. */
function accessLines({ entitlements, kind, steps }: Plan, bearing: Bearing | null): PlanLine[] {
  const held = bearing?.held ?? null;
  const takes = kind === 'revoke' || steps.some(({ action }) => takesAway(action));
  return entitlements.map(({ connector, target, privilege, scope }) => {
    const has = held?.privileges.includes(privilege);
    const what = has === undefined ? (takes ? 'taken away' : '') : takes ? (has ? 'held, and taken away' : 'not held') : kind === 'extend' ? (has ? 'held, for longer' : 'not held any more') : has ? 'held already' : 'new';
    const sign = takes ? (has === false ? '=' : '-') : has === true ? '=' : '+';
    return { name: 'access', sign, text: `${spaced(`${connector} / ${target} / ${privilege}${scope === undefined ? '' : ` (${scope})`}`)}${what === '' ? '' : `  ${what}`}` };
  });
}

/** What else the account holds there, and whether it stays. */
function besides({ kind }: Plan, bearing: Bearing | null): PlanLine[] {
  const { others = 0, otherNames = [] } = bearing?.held ?? {};
  if (others === 0) return [];
  return [{ name: kind === 'disable' ? 'loses' : 'keeps', sign: kind === 'disable' ? '-' : '=', text: spaced(`${others} ${kind === 'disable' ? '' : 'other '}${others === 1 ? 'privilege' : 'privileges'} that the account holds there${otherNames.length === 0 ? '' : `: ${listed(otherNames, others)}`}`) }];
}

/** `as on 2026-11-20 (chg_…), but duration 1 h → 8 h`. What was not compared is not said to be the same. */
function lastLine(plan: Plan, last: Bearing['last']): string {
  if (last === null) return 'none of this kind there, that you may see';
  const [before, now] = [last.leaseSeconds, plan.lease?.leaseSeconds ?? null];
  const key = ({ privilege, scope }: Plan['entitlements'][number]): string => `${plain(privilege)}${scope === undefined ? '' : ` (${plain(scope)})`}`;
  const [had, has] = [last.entitlements.map(key), plan.entitlements.map(key)];
  const secretOf = (recipient: string | null): string => (recipient === null ? 'nobody' : plain(recipient));
  const span = (seconds: number | null): string => (seconds === null ? 'without end' : formatLength(seconds));
  const differences = [
    ...(before === now ? [] : [`duration ${span(before)} → ${span(now)}`]),
    ...(last.recipient === undefined || last.recipient === plan.recipient ? [] : [`secret for ${secretOf(last.recipient)} → ${secretOf(plan.recipient)}`]),
    ...has.filter((one) => !had.includes(one)).map((one) => `with ${one}`), ...had.filter((one) => !has.includes(one)).map((one) => `without ${one}`),
  ];
  return `as on ${last.at.slice(0, 10)} (${last.change})${differences.length === 0 ? `, the same${last.recipient === undefined && plan.recipient !== null ? ' access and duration' : ''}` : `, but ${differences.join(', ')}`}`;
}

/** Who feels it: whoever uses the identity's credential, or is told of the window. */
function reach(plan: Plan, known: readonly string[]): string | null {
  const all = [...new Set([...(plan.rotation?.consumers ?? []), ...(plan.window?.consumers ?? []), ...known])];
  return all.length === 0 ? null : `${all.length} ${all.length === 1 ? 'consumer' : 'consumers'}: ${listed(all)}`;
}

/** The names, as many as are read; how many more there are is said. @param count of all of them, where not all are there */
export function listed(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, LISTED_MAX);
  const text = shown.map(plain).join(', ');
  return count <= shown.length ? text : `${text}, … and ${count - shown.length} more`;
}

/** Who decides: of stages, whose turn it is and who is asked then. */
function deciders({ requirement: { approvers, proofClass }, floor, approvals, turns, rejectionsDue, plan }: Seen): PlanLine[] {
  if (approvers === null) return [];
  const who = `${describeApprovers(approvers)}${proofClass === 'session' ? '' : `, proven by ${proofClass}`}`;
  const { now, then } = turns ?? turnsOf(approvers, approvals, plan.requester);
  const against = approvals.filter(({ verdict }) => verdict === 'reject').length;
  const lines = [{ name: 'approvers', text: who }];
  if (floor !== undefined) lines.push({ name: 'floor', text: `asks for ${floorText(floor, listed)}; policy asks for less` });
  if (approvals.length > 0 || then.length > 0) lines.push({ name: 'can decide', text: now.length > 0 ? listed(now) : then.length === 0 ? 'nobody else is asked' : 'nobody who is left' });
  if (then.length > 0) lines.push({ name: 'then', text: listed(then) });
  if ((rejectionsDue ?? 1) > 1) lines.push({ name: 'rejections', text: `${against} of the ${rejectionsDue} people that end it` });
  return lines;
}

/** `person:ana, and one of person:olga or person:sam`. */
export function describeApprovers(expression: ApproverExpression | null): string {
  if (expression === null) return 'nobody';
  if (typeof expression === 'string') return plain(expression);
  const parts = partsOf(expression);
  if (parts.length === 0) return '(nobody can)';
  const texts = parts.map(describeApprovers);
  if ('stages' in expression) return texts.length === 1 ? texts[0]! : `first ${texts.join(', then ')}`;
  const word = 'allOf' in expression ? 'all of' : 'anyOf' in expression ? 'one of' : `${expression.atLeast} of`;
  const isOfAll = 'of' in expression && expression.atLeast > parts.length;
  return parts.length === 1 && !isOfAll ? texts[0]! : `${word} (${texts.join(', ')})`;
}
